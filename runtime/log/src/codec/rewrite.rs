//! Takes records out of a batch, for compaction: offsets, timestamps and the range of offsets stay as they were.

use super::Damaged;
use super::decode::{RawRecord, RawRecords, records_section};
use super::header::{self, BatchHeader, HEADER_BYTES};

/// What is left of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Everything.
    All,
    /// Some records, as a batch of their own.
    Some(Vec<u8>),
    /// Nothing.
    Nothing,
}

/// Keeps the records that `keep` names.
pub(crate) fn rewrite(
    header: &BatchHeader,
    batch: &[u8],
    mut keep: impl FnMut(&RawRecord<'_>) -> bool,
) -> Result<Left, Damaged> {
    let section = records_section(header, batch)?;
    let mut kept = Vec::new();
    let (mut records, mut max_timestamp) = (0, i64::MIN);
    for record in RawRecords::new(header, &section) {
        let record = record?;
        if keep(&record) {
            kept.extend_from_slice(record.stored);
            records += 1;
            max_timestamp = max_timestamp.max(record.timestamp);
        }
    }
    if records == header.records {
        return Ok(Left::All);
    }
    if records == 0 {
        return Ok(Left::Nothing);
    }
    let mut out = batch.get(..HEADER_BYTES).unwrap_or_default().to_vec();
    let compressed = header.codec()?.compress(&kept, &mut out);
    compressed.map_err(|_| Damaged("the records of a batch do not compress"))?;
    header::set_rewritten(&mut out, records, max_timestamp);
    Ok(Left::Some(out))
}
