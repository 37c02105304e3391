//! Appends records of another log at the offsets that they have there, so that positions of its readers stay true.
//!
//! What lies between them (what compaction or an aborted transaction took away there) is covered by batches without records, as
//! compaction leaves them behind: heads follow each other without a gap, and nothing else of the log needs to know.

use std::sync::Arc;

use towpath_model::{Batch, TopicPartition};

use crate::append::check_writable;
use crate::codec::{BatchEncoder, BatchHeader, empty_batch};
use crate::core::{Encoded, EncodedBatch, Enqueued};
use crate::embedded::Embedded;
use crate::engine::Compression;
use crate::error::Error;
use crate::journal::FrameBuilder;
use crate::partition::Partition;

/// The most offsets that one batch covers.
const COVERED_MAX: i64 = i32::MAX as i64;
/// A batch is sealed before it grows beyond this, uncompressed.
const BATCH_BYTES_MAX: usize = 1_000_000;

/// A stretch of a partition with its bounds.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// The partition.
    pub partition: TopicPartition,
    /// Where it begins, which must be where the partition ends now.
    pub from: i64,
    /// Its records, all of the partition, with their offsets, which rise.
    pub records: Batch,
    /// Where the partition ends after it.
    pub next: i64,
}

impl Embedded {
    /// Appends a stretch, whole or not at all; durable when it returns.
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`] where the partition ends elsewhere, [`Error::InvalidBatch`] where offsets do not rise, and those of
    /// [`commit_atomic`](crate::Appends::commit_atomic).
    pub async fn append_at(&self, stretch: &Stretch) -> Result<(), Error> {
        let Some(encoded) = self.encode_at(stretch)? else { return Ok(()) };
        match self.core.enqueue(encoded)? {
            Enqueued::Queued(done) => {
                done.await.unwrap_or_else(|_| Err(Error::Closed("it was dropped".into()))).map(drop)
            }
            Enqueued::Forbidden(_) => Err(invalid(&stretch.partition, "no producer numbers these records")),
        }
    }

    fn encode_at(&self, stretch: &Stretch) -> Result<Option<Encoded>, Error> {
        let Stretch { partition: name, from, records, next } = stretch;
        let (entry, partition) = self.core.partition_of(name)?;
        check_writable(&name.topic)?;
        let bytes_max = entry.settings.max_message_bytes.min(BATCH_BYTES_MAX);
        let compression = entry.settings.compression.unwrap_or(Compression::Lz4);
        let frame = FrameBuilder::with_capacity(records.payload_bytes() + 12 * records.len());
        let mut writer = Writer { partition, compression, from: *from, frame, batches: Vec::new() };
        let mut encoder = BatchEncoder::default();
        let mut end = *from;
        for record in records.records() {
            let offset = record.offset.filter(|offset| (end..*next).contains(offset));
            let offset = offset.ok_or_else(|| invalid(name, "offsets do not rise within the bounds"))?;
            if entry.settings.compact && record.key.bytes.is_none() {
                return Err(Error::KeyMissing { topic: name.topic.to_string(), indexes: vec![record.index] });
            }
            if offset > end || encoder.bytes() + BatchEncoder::size_alone(&record) > bytes_max {
                writer.seal(&mut encoder)?;
            }
            writer.cover(end, offset)?;
            encoder.push(&record, record.timestamp.unwrap_or(-1));
            end = offset + 1;
        }
        writer.seal(&mut encoder)?;
        writer.cover(end, *next)?;
        let (bytes, limit) = (writer.frame.len(), self.core.config.commit_bytes_max);
        if bytes > limit {
            return Err(Error::CommitTooLarge { bytes, limit });
        }
        let now_ms = self.core.clock.now_ms();
        let Writer { frame, batches, .. } = writer;
        let whole = Encoded { frame: frame.into_bytes(), batches, transactions: Vec::new(), now_ms };
        Ok((!whole.batches.is_empty()).then_some(whole))
    }
}

/// Writes batches of one partition into a frame.
struct Writer {
    partition: Arc<Partition>,
    compression: Compression,
    from: i64,
    frame: FrameBuilder,
    batches: Vec<EncodedBatch>,
}

impl Writer {
    fn seal(&mut self, encoder: &mut BatchEncoder) -> Result<(), Error> {
        if encoder.count() == 0 {
            return Ok(());
        }
        let compression = self.compression;
        self.batch(|out| encoder.seal(compression, None, out))
    }

    /// Puts batches without records where there are none.
    fn cover(&mut self, mut from: i64, until: i64) -> Result<(), Error> {
        while from < until {
            let next = until.min(from.saturating_add(COVERED_MAX));
            self.batch(|out| {
                out.extend_from_slice(&empty_batch(from, next));
                Ok(())
            })?;
            from = next;
        }
        Ok(())
    }

    fn batch(&mut self, write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> Result<(), Error> {
        let placed = self.frame.entry(self.partition.topic, self.partition.name.partition, write);
        let placed = placed.map_err(|error| Error::io("compressing records", error))?;
        let header = BatchHeader::parse(self.frame.slice(placed));
        let header = header.map_err(|damage| Error::corrupt("a new batch", damage))?;
        let at = self.batches.is_empty().then_some(self.from);
        self.batches.push(EncodedBatch { partition: self.partition.clone(), placed, header, reported: true, at });
        Ok(())
    }
}

/// The records of a batch as one record batch in Kafka's format, to be sent to another broker; they are of one partition. Those without
/// a timestamp get this one.
pub fn record_batch(records: &Batch, timestamp_ms: i64) -> Vec<u8> {
    let (mut encoder, mut bytes) = (BatchEncoder::default(), Vec::new());
    for record in records.records() {
        encoder.push(&record, record.timestamp.unwrap_or(timestamp_ms));
    }
    encoder.seal(Compression::None, None, &mut bytes).expect("what is not compressed does not fail");
    bytes
}

fn invalid(partition: &TopicPartition, reason: &'static str) -> Error {
    Error::InvalidBatch { topic: partition.topic.to_string(), reason }
}
