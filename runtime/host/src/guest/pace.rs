//! How often a guest may do what costs the host something each time, such as writing a log line.
//!
//! An allowance fills up steadily to a bound. What comes when it is empty is left out and counted, and the count is told with
//! the next that passes.

use std::time::Duration;

/// An allowance that fills up steadily.
#[derive(Debug)]
pub(crate) struct Pace {
    burst: u32,
    every: Duration,
    left: u32,
    /// Up to when the allowance has been filled.
    filled: Duration,
    left_out: u64,
}

impl Pace {
    /// `burst` at once, then one in each stretch of `every`.
    pub(crate) fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every, left: burst, filled: Duration::ZERO, left_out: 0 }
    }

    /// Whether one may pass now, and then how many were left out before it.
    pub(crate) fn admit(&mut self, now: Duration) -> Option<u64> {
        let every = self.every.max(Duration::from_nanos(1));
        let grown = now.saturating_sub(self.filled).as_nanos() / every.as_nanos();
        let grown = u32::try_from(grown).unwrap_or(u32::MAX);
        self.filled = if grown > self.burst { now } else { self.filled + every * grown };
        self.left = self.left.saturating_add(grown).min(self.burst);
        if self.left == 0 {
            self.left_out += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_a_steady_few_and_the_rest_is_counted() {
        let mut pace = Pace::new(3, Duration::from_millis(10));
        let mut admit = |at| pace.admit(Duration::from_millis(at));
        assert_eq!([admit(0), admit(0), admit(0), admit(0), admit(9)], [Some(0), Some(0), Some(0), None, None]);
        assert_eq!([admit(10), admit(11), admit(20)], [Some(2), None, Some(1)]);
        assert_eq!([admit(9_000), admit(9_000), admit(9_000), admit(9_000)], [Some(0), Some(0), Some(0), None]);
    }
}
