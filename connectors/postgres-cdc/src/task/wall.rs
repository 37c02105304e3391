//! The wall clock in nanoseconds: told by the steady clock, and set right when the wall clock was set.

use std::sync::Arc;
use std::time::Duration;

use towpath_model::Clock;

use crate::envelope::Moment;

/// Tells the time.
pub struct Wall {
    clock: Arc<dyn Clock>,
    /// The wall clock at a moment of the steady one.
    anchor: (i64, Duration),
}

/// Beyond this many nanoseconds the two clocks disagree.
const APART_MAX: i64 = 500_000_000;

impl Wall {
    /// Sets it by the clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { anchor: (clock.now_ms() * 1_000_000, clock.monotonic()), clock }
    }

    /// Now, as exact as the clocks are.
    pub fn now(&mut self) -> Moment {
        let (steady, wall) = (self.clock.monotonic(), self.clock.now_ms() * 1_000_000);
        let since = i64::try_from(steady.saturating_sub(self.anchor.1).as_nanos()).unwrap_or(0);
        let told = self.anchor.0 + since;
        if (told - wall).abs() > APART_MAX {
            self.anchor = (wall, steady);
            return Moment(wall);
        }
        Moment(told)
    }
}
