//! A small generator with a seed that can be printed and given again.

pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Seeds to run: `CHAOS_SEEDS` from `CHAOS_FIRST` on, or so many.
pub(crate) fn seeds(count: u64) -> std::ops::Range<u64> {
    let number = |variable: &str| std::env::var(variable).ok()?.parse::<u64>().ok();
    let first = number("CHAOS_FIRST").unwrap_or(1);
    first..first + number("CHAOS_SEEDS").unwrap_or(count)
}
