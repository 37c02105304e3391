//! Waiting before a repetition: exponential, with jitter, capped, and counted. Pure: randomness is handed in as a seed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::settings::RetrySettings;

/// Delays for one chain of repetitions.
#[derive(Debug)]
pub(crate) struct Backoff {
    settings: RetrySettings,
    random: StdRng,
    attempt: u32,
}

impl Backoff {
    pub(crate) fn new(settings: RetrySettings, seed: u64) -> Self {
        Self { settings, random: StdRng::seed_from_u64(seed), attempt: 0 }
    }

    /// How many failures in a row.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Goes on where an earlier process stopped.
    pub(crate) fn resume(&mut self, attempt: u32) {
        self.attempt = attempt;
    }

    /// The delay after one more failure, at least `least`; none when the repetitions are used up.
    pub(crate) fn next(&mut self, least: Option<Duration>) -> Option<Duration> {
        if self.settings.retries_max.is_some_and(|most| self.attempt >= most) {
            return None;
        }
        let doubled = self.settings.delay.saturating_mul(1 << self.attempt.min(24)).min(self.settings.delay_max);
        // Between half and the whole of it, so that tasks that failed together do not come back together.
        let jittered = doubled.mul_f64(self.random.random_range(0.5..=1.0));
        self.attempt = self.attempt.saturating_add(1);
        Some(least.map_or(jittered, |least| jittered.max(least)))
    }

    /// It worked: the next failure is a first one.
    pub(crate) fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: RetrySettings =
        RetrySettings { delay: Duration::from_millis(100), delay_max: Duration::from_secs(2), retries_max: None };

    #[test]
    fn delays_double_with_jitter_up_to_the_cap_without_end() {
        let mut backoff = Backoff::new(SETTINGS, 7);
        for attempt in 0..100u32 {
            let delay = backoff.next(None).expect("without end");
            let whole = Duration::from_millis(100).saturating_mul(1 << attempt.min(10)).min(SETTINGS.delay_max);
            assert!(delay >= whole / 2 && delay <= whole, "attempt {attempt}: {delay:?}");
        }
        backoff.reset();
        assert!(backoff.next(None).expect("without end") <= SETTINGS.delay);
    }

    #[test]
    fn what_the_other_side_asks_for_is_waited_and_a_bound_ends_it() {
        let mut backoff = Backoff::new(RetrySettings { retries_max: Some(2), ..SETTINGS }, 7);
        let asked = Duration::from_secs(9);
        assert_eq!(
            [backoff.next(Some(asked)), backoff.next(Some(asked)), backoff.next(None)],
            [Some(asked), Some(asked), None]
        );
    }
}
