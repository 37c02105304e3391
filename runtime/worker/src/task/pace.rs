//! `rate.limit.records` and `rate.limit.bytes`: how fast a task may go. Pure: told the time, it says how long to wait.
//!
//! What was moved is owed: the next batch waits until so much could have passed at the permitted rate. Batches are kept to what
//! may pass in a second, so that waits are short.

use std::time::Duration;

use crate::settings::RateSettings;

/// The pace of one task.
#[derive(Debug)]
pub(super) struct Pace {
    rate: RateSettings,
    free_at: Duration,
}

impl Pace {
    pub(super) fn new(rate: RateSettings) -> Self {
        Self { rate, free_at: Duration::ZERO }
    }

    /// How long the next batch has to wait.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        self.free_at.saturating_sub(now)
    }

    /// So much was moved.
    pub(super) fn moved(&mut self, now: Duration, records: usize, bytes: usize) {
        let takes = |moved: usize, rate: Option<u32>| {
            rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(moved as f64 / f64::from(rate)))
        };
        let takes = takes(records, self.rate.records).max(takes(bytes, self.rate.bytes));
        self.free_at = self.free_at.max(now) + takes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn second(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn the_slower_of_both_limits_holds_and_idle_time_is_not_saved_up() {
        let mut pace = Pace::new(RateSettings { records: Some(10), bytes: Some(1_000) });
        assert_eq!(pace.wait(second(5)), Duration::ZERO);
        pace.moved(second(5), 10, 1);
        pace.moved(second(5), 1, 2_000);
        assert_eq!((pace.wait(second(5)), pace.wait(second(7))), (second(3), second(1)));
        pace.moved(second(60), 20, 0);
        assert_eq!(pace.wait(second(60)), second(2));
    }

    #[test]
    fn without_limits_nothing_waits() {
        let mut pace = Pace::new(RateSettings::default());
        pace.moved(second(1), usize::MAX, usize::MAX);
        assert_eq!(pace.wait(second(1)), Duration::ZERO);
    }
}
