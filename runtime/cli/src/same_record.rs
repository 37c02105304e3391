//! Whether a record of one log is that of another.

use std::ops::Range;

use towpath_model::Batch;

/// What tells a record from others.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    offset: Option<i64>,
    timestamp: Option<i64>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

impl Told {
    /// Whether it stands at one of these offsets.
    pub(crate) fn is_within(&self, offsets: &Range<i64>) -> bool {
        self.offset.is_some_and(|offset| offsets.contains(&offset))
    }
}

/// The first record of a batch.
pub(crate) fn first(batch: &Batch) -> Option<Told> {
    let record = batch.records().next()?;
    let (key, value) = (record.key.bytes.map(<[u8]>::to_vec), record.value.bytes.map(<[u8]>::to_vec));
    Some(Told { offset: record.offset, timestamp: record.timestamp, key, value })
}
