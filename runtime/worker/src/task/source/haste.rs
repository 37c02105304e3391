//! A guest should wait inside its polls. One that comes back at once with nothing, again and again, would keep a processor busy
//! for nothing: it is polled ever less often, until it has something again.

use std::time::Duration;

/// So many answers in a row are forgiven: interrupts make for some of them.
const FORGIVEN: u32 = 16;
/// An answer that came sooner was not waited for.
const AT_ONCE: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(128);

/// How often in a row a guest has come back at once with nothing.
#[derive(Debug, Default)]
pub(super) struct Haste {
    polled_at: Duration,
    in_a_row: u32,
}

impl Haste {
    /// How long to wait before the next poll.
    pub(super) fn pause(&self) -> Duration {
        let doublings = self.in_a_row.saturating_sub(FORGIVEN);
        if doublings == 0 {
            return Duration::ZERO;
        }
        AT_ONCE.saturating_mul(1_u32.checked_shl(doublings - 1).unwrap_or(u32::MAX)).min(PAUSE_MAX)
    }

    /// A poll begins.
    pub(super) fn polls(&mut self, now: Duration) {
        self.polled_at = now;
    }

    /// It has ended, with something or with nothing.
    pub(super) fn polled(&mut self, something: bool, now: Duration) {
        let at_once = now.saturating_sub(self.polled_at) < AT_ONCE;
        self.in_a_row = if !something && at_once { self.in_a_row.saturating_add(1) } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_guest_that_never_waits_is_slowed_down() {
        let mut haste = Haste::default();
        let mut pauses = Vec::new();
        for _ in 0..FORGIVEN + 12 {
            pauses.push(haste.pause().as_millis());
            haste.polled(false, Duration::ZERO);
        }
        let (forgiven, slowed) = pauses.split_at(FORGIVEN as usize + 1);
        assert!(forgiven.iter().all(|pause| *pause == 0));
        assert_eq!(slowed, [1, 2, 4, 8, 16, 32, 64, 128, 128, 128, 128]);
        haste.polled(true, Duration::ZERO);
        assert_eq!(haste.pause(), Duration::ZERO);
        haste.in_a_row = FORGIVEN + 5;
        haste.polled(false, Duration::from_millis(3));
        assert_eq!(haste.pause(), Duration::ZERO, "it has waited");
    }
}
