//! Takes records out of a batch, for compaction: offsets, timestamps and the range of offsets stay as they were.
//!
//! What compaction keeps only for a time, so that readers see it, is a batch with a delete horizon (KIP-534). The horizon stands where
//! the base of the timestamps stood, so that each record is written anew, relative to it.

use super::decode::{RawRecord, RawRecords, records_section};
use super::header::{self, BatchHeader, HEADER_BYTES};
use super::{Damaged, varint};

/// What is left of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Everything, as it was.
    All,
    /// Some records, or all of them with a delete horizon, as a batch of their own.
    Some(Vec<u8>),
    /// Nothing.
    Nothing,
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Stays,
    /// It stays until the batch's delete horizon, which is set if there is none yet.
    StaysForAWhile,
    Goes,
}

/// Keeps the records that `judge` lets stay; a batch with some that stay for a while gets `horizon` unless it has one.
pub(crate) fn rewrite(
    header: &BatchHeader,
    batch: &[u8],
    horizon: i64,
    mut judge: impl FnMut(&RawRecord<'_>) -> Fate,
) -> Result<Left, Damaged> {
    let section = records_section(header, batch)?;
    let mut kept = Vec::new();
    let mut for_a_while = false;
    for record in RawRecords::new(header, &section) {
        let record = record?;
        let fate = judge(&record);
        for_a_while |= fate == Fate::StaysForAWhile;
        if fate != Fate::Goes {
            kept.push(record);
        }
    }
    let horizon = Some(horizon).filter(|_| for_a_while && header.delete_horizon().is_none());
    if kept.is_empty() {
        return Ok(Left::Nothing);
    }
    if kept.len() == header.records.unsigned_abs() as usize && horizon.is_none() {
        return Ok(Left::All);
    }
    let mut records = Vec::with_capacity(section.len());
    for record in &kept {
        match horizon {
            None => records.extend_from_slice(record.stored),
            Some(horizon) => write_anew(record, horizon, &mut records),
        }
    }
    let max_timestamp = match header.log_append_time() {
        true => header.max_timestamp,
        false => kept.iter().map(|record| record.timestamp).max().unwrap_or(header.max_timestamp),
    };
    let mut out = batch.get(..HEADER_BYTES).unwrap_or_default().to_vec();
    let compressed = header.codec()?.compress(&records, &mut out);
    compressed.map_err(|_| Damaged("the records of a batch do not compress"))?;
    header::set_rewritten(&mut out, i32::try_from(kept.len()).unwrap_or(i32::MAX), max_timestamp, horizon);
    Ok(Left::Some(out))
}

/// Writes a record with a timestamp that is relative to `base`.
fn write_anew(record: &RawRecord<'_>, base: i64, out: &mut Vec<u8>) {
    let delta = record.timestamp.wrapping_sub(base);
    let length = 1 + varint::size(delta) + record.after_timestamp.len();
    varint::write(out, length as i64);
    out.push(0);
    varint::write(out, delta);
    out.extend_from_slice(record.after_timestamp);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::BatchEncoder;
    use crate::engine::Compression;

    #[test]
    fn a_delete_horizon_is_set_once_and_records_keep_their_times() {
        let mut encoder = BatchEncoder::default();
        for (index, value) in [Some(&b"a"[..]), None, Some(b"c")].into_iter().enumerate() {
            encoder.push_plain(Some(b"k"), value, 1_000 + index as i64);
        }
        let mut bytes = Vec::new();
        encoder.seal(Compression::Lz4, None, &mut bytes).expect("sealed");
        let header = BatchHeader::verify(&bytes).expect("sound");
        let judge = |record: &RawRecord<'_>| match (record.offset, record.value) {
            (0, _) => Fate::Goes,
            (_, None) => Fate::StaysForAWhile,
            _ => Fate::Stays,
        };
        let Ok(Left::Some(first)) = rewrite(&header, &bytes, 9_000, judge) else { panic!("not rewritten") };
        let header = BatchHeader::verify(&first).expect("sound");
        assert_eq!((header.delete_horizon(), header.records, header.max_timestamp), (Some(9_000), 2, 1_002));
        let mut input = bytes::Bytes::from(first.clone());
        let sets = kafka_protocol::records::RecordBatchDecoder::decode_all(&mut input).expect("decodes");
        let found: Vec<_> = sets[0].records.iter().map(|record| (record.offset, record.timestamp)).collect();
        assert_eq!(found, [(1, 1_001), (2, 1_002)]);
        assert_eq!(rewrite(&header, &first, 20_000, judge), Ok(Left::All), "a horizon that stands is not put off");
    }
}
