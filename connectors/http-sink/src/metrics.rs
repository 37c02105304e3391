//! What the sink counts between two readings. The component hands the numbers on after each call.

use towpath_model::{Metric, Reading};

/// Counts since the last reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were answered, and those that were not.
    pub requests: u64,
    /// Requests that were answered with 2xx.
    pub requests_accepted: u64,
    /// Requests that are to be sent again.
    pub requests_failed: u64,
    /// Records in requests that were answered with 2xx.
    pub records_accepted: u64,
    /// Records in requests that were refused.
    pub records_refused: u64,
    /// Records left out because their value is null.
    pub null_values_ignored: u64,
}

impl Counts {
    /// The numbers that are not zero, as metrics; counting starts anew.
    pub fn take(&mut self) -> Vec<Metric> {
        let Self {
            requests,
            requests_accepted,
            requests_failed,
            records_accepted,
            records_refused,
            null_values_ignored,
        } = std::mem::take(self);
        [
            ("requests", requests),
            ("requests_accepted", requests_accepted),
            ("requests_failed", requests_failed),
            ("records_accepted", records_accepted),
            ("records_refused", records_refused),
            ("null_values_ignored", null_values_ignored),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| Metric { name: name.to_owned(), reading: Reading::Counter(count) })
        .collect()
    }
}
