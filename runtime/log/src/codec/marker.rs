//! The marker that ends a transaction in a partition: a control batch of one record, whose key says how it ended.
//!
//! Key: version 2 bytes (0), type 2 (0 abort, 1 commit). Value: version 2 bytes (0), epoch of the coordinator 4 (0).

use super::Damaged;
use super::decode::{RawRecords, records_section};
use super::encode::BatchEncoder;
use super::header::{self, BatchHeader};
use crate::engine::Compression;

const ABORT: [u8; 4] = [0, 0, 0, 0];
const COMMIT: [u8; 4] = [0, 0, 0, 1];
const VALUE: [u8; 6] = [0; 6];

/// Appends the marker that ends a producer's transaction to `out`.
pub(crate) fn write_marker(producer: (i64, i16), commit: bool, now_ms: i64, out: &mut Vec<u8>) -> std::io::Result<()> {
    let at = out.len();
    let mut encoder = BatchEncoder::default();
    encoder.push_plain(Some(if commit { &COMMIT } else { &ABORT }), Some(&VALUE), now_ms);
    encoder.seal(Compression::None, None, out)?;
    if let Some(batch) = out.get_mut(at..) {
        header::set_transactional(batch, producer, true);
    }
    Ok(())
}

/// Whether a marker commits, as opposed to aborting; none for control records of other kinds.
pub(crate) fn commits(header: &BatchHeader, batch: &[u8]) -> Result<Option<bool>, Damaged> {
    let section = records_section(header, batch)?;
    let record = RawRecords::new(header, &section).next().ok_or(Damaged("a control batch is empty"))??;
    Ok(match record.key {
        Some([_, _, 0, 0, ..]) => Some(false),
        Some([_, _, 0, 1, ..]) => Some(true),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_has_kafkas_bytes_and_says_how_a_transaction_ended() {
        for commit in [false, true] {
            let mut bytes = Vec::new();
            write_marker((7, 3), commit, 1_000, &mut bytes).expect("written");
            let header = BatchHeader::verify(&bytes).expect("a sound batch");
            assert!(header.control() && header.transactional() && !header.numbered());
            assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (7, 3, -1));
            assert_eq!(commits(&header, &bytes), Ok(Some(commit)));
            let mut input = bytes::Bytes::from(bytes);
            let mut sets = kafka_protocol::records::RecordBatchDecoder::decode_all(&mut input).expect("decodes");
            let record = sets.remove(0).records.remove(0);
            assert!(record.control && record.transactional);
            assert_eq!(record.key.as_deref(), Some(&[0, 0, 0, u8::from(commit)][..]));
            assert_eq!(record.value.as_deref(), Some(&[0; 6][..]));
        }
    }
}
