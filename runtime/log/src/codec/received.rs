//! Batches as clients send them: judged by their head and checksum, copied as they are, and changed only where the configs of
//! a topic say so. The records themselves are read for compacted topics alone, which need a key in each.

use std::borrow::Cow;

use super::Damaged;
use super::compress::Codec;
use super::decode::{RawRecords, records_section};
use super::header::{self, BatchHeader, HEADER_BYTES, NewHeader};
use crate::engine::Compression;

/// What a topic wants changed in what it receives.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Change {
    /// The compression, where the producer's does not stay.
    pub(crate) compression: Option<Compression>,
    /// The time that replaces those of the records.
    pub(crate) append_time: Option<i64>,
}

/// Reads the head of what should be one batch of a producer.
pub(crate) fn received(batch: &[u8]) -> Result<BatchHeader, Damaged> {
    let header = BatchHeader::parse(batch)?;
    if batch.len() > header.bytes {
        return Err(Damaged("there is more than one batch"));
    }
    if !header.dense() {
        return Err(Damaged("the offsets of a batch do not number its records"));
    }
    if !header.plain() {
        return Err(Damaged("only the log itself sets some of the attributes"));
    }
    header.codec()?;
    Ok(header)
}

/// Which records have no key.
pub(crate) fn without_keys(header: &BatchHeader, batch: &[u8]) -> Result<Vec<usize>, Damaged> {
    let section = records_section(header, batch)?;
    let mut indexes = Vec::new();
    for (index, record) in RawRecords::new(header, &section).enumerate() {
        if record?.key.is_none() {
            indexes.push(index);
        }
    }
    Ok(indexes)
}

/// Appends a received batch to `out`, changed as the topic wants it.
pub(crate) fn copy_received(
    header: &BatchHeader,
    batch: &[u8],
    change: Change,
    out: &mut Vec<u8>,
) -> Result<(), Damaged> {
    let at = out.len();
    let kept = header.codec()?;
    let wanted = change.compression.map_or(kept, Codec);
    if wanted == kept {
        out.extend_from_slice(batch);
    } else {
        let section: Cow<'_, [u8]> = records_section(header, batch)?;
        out.extend_from_slice(batch.get(..HEADER_BYTES).unwrap_or_default());
        wanted.compress(&section, out).map_err(|_| Damaged("the records of a batch do not compress"))?;
    }
    let Some(copy) = out.get_mut(at..) else { return Ok(()) };
    if wanted != kept || change.append_time.is_some() {
        header::set_changed(copy, wanted, change.append_time);
    }
    Ok(())
}

/// A batch without records that covers the offsets from `base` to before `next`, for readers to step over what compaction left of
/// the end of a partition.
pub(crate) fn empty_batch(base: i64, next: i64) -> Vec<u8> {
    let mut batch = vec![0; HEADER_BYTES];
    let last_offset_delta = i32::try_from(next - base - 1).unwrap_or(i32::MAX);
    let new = NewHeader {
        codec: Codec(Compression::None),
        log_append_time: false,
        last_offset_delta,
        base_timestamp: -1,
        max_timestamp: -1,
        records: 0,
    };
    header::write(&mut batch, &new);
    header::set_base_offset(&mut batch, base);
    batch
}
