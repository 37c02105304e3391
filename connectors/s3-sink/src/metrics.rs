//! What the sink counts between two readings. The component hands the numbers on after each call.

use towpath_model::{Metric, Reading};

/// Counts since the last reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records written into objects that are complete.
    pub records_written: u64,
    /// Objects completed.
    pub objects_written: u64,
    /// Bytes of these objects, as stored.
    pub bytes_written: u64,
    /// Records left out because their value is null.
    pub null_values_ignored: u64,
    /// Objects of an earlier, uncommitted attempt that were removed.
    pub leftovers_removed: u64,
    /// Partitions that had to be read again because an upload broke off.
    pub rewinds: u64,
}

impl Counts {
    /// The numbers that are not zero, as metrics; counting starts anew.
    pub fn take(&mut self) -> Vec<Metric> {
        let Self { records_written, objects_written, bytes_written, null_values_ignored, leftovers_removed, rewinds } =
            std::mem::take(self);
        [
            ("records_written", records_written),
            ("objects_written", objects_written),
            ("bytes_written", bytes_written),
            ("null_values_ignored", null_values_ignored),
            ("leftovers_removed", leftovers_removed),
            ("rewinds", rewinds),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| Metric { name: name.to_owned(), reading: Reading::Counter(count) })
        .collect()
    }
}
