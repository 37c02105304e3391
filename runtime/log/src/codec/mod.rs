//! Kafka's record batches, version 2: from columns to the bytes that lie in segments, and back.
//!
//! `header` reads the 61 bytes ahead of the records, `encode` and `decode` pass over records without allocating for each,
//! `received` takes in what clients send, `marker` ends transactions, `rewrite` is what compaction does to a batch, `compress` holds
//! Kafka's four codecs, `varint` its zigzag numbers. Nothing here touches files, and bytes from outside never panic: whatever does
//! not parse is [`Damaged`].

mod compress;
mod decode;
mod encode;
mod header;
mod marker;
mod received;
mod rewrite;
#[cfg(test)]
mod tests;
mod varint;

pub(crate) use compress::DECOMPRESSED_MAX;
pub(crate) use decode::{ColumnReader, RawRecords, first_at_or_after, records_section};
pub(crate) use encode::BatchEncoder;
pub(crate) use header::{BatchHeader, HEADER_BYTES, set_base_offset, set_leader_epoch, set_transactional};
pub(crate) use marker::{commits, write_marker};
pub(crate) use received::{Change, copy_received, empty_batch, received, without_keys};
pub(crate) use rewrite::{Fate, Left, rewrite};

/// Bytes that are no record batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Damaged(pub(crate) &'static str);
