//! Whether the other side of a connection sends in bulk, so that what it sends had better gather.
//!
//! A server of PostgreSQL hands every row to the network by itself, and to be woken for each costs both sides more than the rows
//! do: one that was told to wait for 64 KiB was sent 570,000 rows a second where it had been 160,000. Whoever sends little is
//! still read at once.

use std::time::{Duration, Instant};

/// So much gathers before anybody is woken.
pub(super) const GATHERED_BYTES: u32 = 64 << 10;
/// What has gathered for so long is read in any case.
pub(super) const GATHERED_FOR: Duration = Duration::from_millis(2);
/// Whoever sends as much as this in that time sends in bulk.
const BULK_BYTES: u128 = 16 << 10;

/// What one connection brings, over periods of at least [`GATHERED_FOR`].
pub(super) struct Gathering {
    since: Instant,
    bytes: usize,
    bulk: bool,
}

impl Gathering {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, bytes: 0, bulk: false }
    }

    /// Whether to let it gather.
    pub(super) fn is_on(&self) -> bool {
        self.bulk
    }

    /// So much was read.
    pub(super) fn arrived(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Judges by what has arrived; whether that changes anything.
    pub(super) fn judge(&mut self, now: Instant) -> bool {
        let period = now.saturating_duration_since(self.since);
        if period < GATHERED_FOR {
            return false;
        }
        let bulk = self.bytes as u128 * GATHERED_FOR.as_nanos() >= BULK_BYTES * period.as_nanos();
        let changed = bulk != self.bulk;
        *self = Self { since: now, bytes: 0, bulk };
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_keeps_coming_gathers() {
        let mut now = Instant::now();
        let mut gathering = Gathering::new(now);
        gathering.arrived(1 << 20);
        assert!(!gathering.judge(now), "one answer is not yet a stream");
        now += Duration::from_millis(50);
        assert!(gathering.judge(now) && gathering.is_on());
        now += Duration::from_millis(10);
        gathering.arrived(80 << 10);
        assert!(!gathering.judge(now) && gathering.is_on(), "8 MB a second");
        now += Duration::from_millis(10);
        gathering.arrived((80 << 10) - 1);
        assert!(gathering.judge(now) && !gathering.is_on(), "less than that");
        now += Duration::from_millis(1000);
        gathering.arrived(500 << 10);
        assert!(!gathering.judge(now), "a thousand rows of 500 bytes a second");
    }
}
