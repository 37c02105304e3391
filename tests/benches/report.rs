//! The table that a run prints: what was measured, what it should be, the yardstick beside it, and the ratio to that.

use std::collections::BTreeMap;
use std::fmt;

/// What was measured so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    machine: String,
    rows: Vec<[String; 5]>,
    rates: BTreeMap<String, f64>,
}

/// What a figure should be, and whether it is.
#[derive(Debug, Default)]
pub(crate) struct Target(String);

impl Target {
    /// None is set.
    pub(crate) const NONE: Self = Self(String::new());

    pub(crate) fn at_least(wanted: f64, measured: f64) -> Self {
        Self::new(format!("at least {}", short(wanted)), measured >= wanted)
    }

    pub(crate) fn at_most(wanted: f64, measured: f64) -> Self {
        Self::new(format!("at most {}", short(wanted)), measured <= wanted)
    }

    /// For a row of two figures.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(format!("{}; {}", self.0, other.0))
    }

    fn new(wanted: String, met: bool) -> Self {
        Self(if met { wanted } else { format!("{wanted}: MISSED") })
    }
}

fn short(number: f64) -> String {
    if number < 1000.0 { format!("{number}") } else { thousands(number) }
}

impl Report {
    pub(crate) fn machine(&mut self, machine: String) {
        self.machine = machine;
    }

    /// A number without a yardstick.
    pub(crate) fn alone(&mut self, what: &str, measured: String, target: Target) {
        self.push([what.to_owned(), measured, target.0, String::new(), String::new()]);
    }

    /// A rate beside another tool's rate at the same work.
    pub(crate) fn rate(&mut self, what: &str, unit: &str, ours: f64, target: Target, yardstick: &str, theirs: f64) {
        let measured = format!("{} {unit}", thousands(ours));
        let beside = format!("{} {yardstick}", thousands(theirs));
        self.rates.insert(what.to_owned(), ours);
        self.push([what.to_owned(), measured, target.0, beside, format!("{:.2}", ours / theirs)]);
    }

    /// A peer's rate at the same work, beside the rate that was measured before, if it was.
    pub(crate) fn peer(&mut self, what: &str, peer: &str, theirs: f64, detail: &str) {
        let beside = format!("{} {peer}, {detail}", thousands(theirs));
        let ours = self.rates.get(what).copied();
        let measured = ours.map_or_else(String::new, thousands);
        let ratio = ours.map_or_else(String::new, |ours| format!("{:.1}", ours / theirs));
        self.push([format!("{what} beside a peer"), measured, String::new(), beside, ratio]);
    }

    fn push(&mut self, row: [String; 5]) {
        eprintln!("  {}", row.join("  "));
        self.rows.push(row);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}\n", self.machine)?;
        writeln!(f, "| what | Towpath | target | yardstick, same run | ratio |\n|---|---|---|---|---|")?;
        for row in &self.rows {
            writeln!(f, "| {} |", row.join(" | "))?;
        }
        Ok(())
    }
}

/// `1234567.8` as `1,234,568`.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && digit.is_ascii_digit() {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The value below which `share` of the sorted values lie.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of a list")]
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::{percentile, thousands};

    #[test]
    fn numbers_are_grouped_for_reading() {
        for (number, expected) in [(7.0, "7"), (999.6, "1,000"), (1_234_567.0, "1,234,567")] {
            assert_eq!(thousands(number), expected);
        }
    }

    #[test]
    fn percentiles_lie_within() {
        let sorted: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!((percentile(&sorted, 0.5), percentile(&sorted, 0.99), percentile(&sorted, 1.0)), (50.0, 99.0, 99.0));
    }
}
