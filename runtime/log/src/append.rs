//! Encodes a commit, on the caller's thread: records are divided among partitions and written into batches, which together
//! with the records that store group offsets make up one journal frame, still without offsets.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use towpath_model::{Batch, Record};

use crate::codec::{BatchEncoder, BatchHeader, DECOMPRESSED_MAX};
use crate::config::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC};
use crate::core::{Core, Encoded, EncodedBatch};
use crate::engine::{Commit, Compression, GroupOffset};
use crate::error::Error;
use crate::group;
use crate::journal::FrameBuilder;
use crate::partition::TopicEntry;
use crate::partitioner::{partition_of, partition_of_group};

/// A batch is sealed before it grows beyond this, uncompressed, even where the topic would allow more.
const BATCH_BYTES_MAX: usize = 1_000_000;

struct CommitEncoder<'a> {
    core: &'a Core,
    compression: Compression,
    now_ms: i64,
    frame: FrameBuilder,
    batches: Vec<EncodedBatch>,
    topics: Vec<TopicSlots>,
}

/// The batches under way for the partitions of one topic.
struct TopicSlots {
    entry: Arc<TopicEntry>,
    slots: Vec<BatchEncoder>,
    /// Where null keys of this commit go.
    null_partition: Option<i32>,
    reported: bool,
}

impl Core {
    /// Encodes a commit. Nothing is queued yet.
    pub(crate) fn encode(&self, commit: Commit) -> Result<Encoded, Error> {
        let now_ms = self.clock.now_ms();
        // Uncompressed batches then fit without the frame being moved; payloads are in memory already, so this is bounded.
        let plain: usize = commit.records.iter().map(|batch| batch.payload_bytes() + 12 * batch.len()).sum();
        let expected = if commit.compression == Compression::None { plain } else { plain / 8 };
        let (compression, frame) = (commit.compression, FrameBuilder::with_capacity(expected));
        let mut encoder =
            CommitEncoder { core: self, compression, now_ms, frame, batches: Vec::new(), topics: Vec::new() };
        let mut index = 0;
        for batch in &commit.records {
            encoder.records(batch, index)?;
            index += batch.len();
        }
        for offset in &commit.group_offsets {
            encoder.group_offset(offset)?;
        }
        encoder.seal_all()?;
        let CommitEncoder { frame, batches, .. } = encoder;
        Ok(Encoded { frame: frame.into_bytes(), batches, transactions: Vec::new(), now_ms })
    }
}

/// Refuses records for the topics that hold the log's own state.
pub(crate) fn check_writable(topic: &str) -> Result<(), Error> {
    let reason = match topic {
        OFFSETS_TOPIC => "it is written through committed offsets alone",
        TRANSACTIONS_TOPIC => "it is written by the coordinator of transactions alone",
        _ => return Ok(()),
    };
    Err(Error::InvalidTopic { name: topic.into(), reason })
}

impl CommitEncoder<'_> {
    fn records(&mut self, batch: &Batch, first_index: usize) -> Result<(), Error> {
        let tables: Vec<usize> =
            batch.columns().topics.iter().map(|name| self.topic_if_used(batch, name)).collect::<Result<_, _>>()?;
        for record in batch.records() {
            let table = tables.get(record.run.topic as usize).copied().unwrap_or(usize::MAX);
            self.record(table, &record, first_index + record.index)?;
        }
        Ok(())
    }

    /// The slots of a topic of a batch's dictionary. Names that no run uses may be unknown to the log.
    fn topic_if_used(&mut self, batch: &Batch, name: &str) -> Result<usize, Error> {
        if !batch.columns().runs.iter().any(|run| batch.topic(run.topic).as_ref() == name) {
            return Ok(usize::MAX);
        }
        check_writable(name)?;
        self.topic(name, true)
    }

    fn topic(&mut self, name: &str, reported: bool) -> Result<usize, Error> {
        if let Some(index) = self.topics.iter().position(|topic| topic.entry.topic.name.as_ref() == name) {
            return Ok(index);
        }
        let entry = self.core.topic_entry(name)?;
        let slots = entry.partitions.iter().map(|_| BatchEncoder::default()).collect();
        self.topics.push(TopicSlots { entry, slots, null_partition: None, reported });
        Ok(self.topics.len() - 1)
    }

    fn record(&mut self, table: usize, record: &Record<'_>, index: usize) -> Result<(), Error> {
        let Some(topic) = self.topics.get_mut(table) else { return Ok(()) };
        let name = || topic.entry.topic.name.to_string();
        let partitions = topic.entry.topic.partitions;
        if topic.entry.settings.compact && record.key.bytes.is_none() {
            return Err(Error::KeyMissing { topic: name(), indexes: vec![index] });
        }
        let partition = match (record.run.partition, record.key.bytes) {
            (-1, Some(key)) => partition_of(key, partitions),
            (-1, None) => *topic.null_partition.get_or_insert_with(|| {
                let turn = topic.entry.turn.fetch_add(1, Ordering::Relaxed);
                i32::try_from(turn % partitions.unsigned_abs().max(1)).unwrap_or(0)
            }),
            (chosen, _) => chosen,
        };
        let limit = topic.entry.settings.max_message_bytes.min(DECOMPRESSED_MAX as usize);
        let slot = usize::try_from(partition).ok().filter(|slot| *slot < topic.slots.len());
        let slot = slot.ok_or_else(|| Error::UnknownPartition { topic: name(), partition })?;
        let timestamp = record.timestamp.unwrap_or(self.now_ms);
        let full = |encoder: &BatchEncoder| {
            encoder.count() > 0 && encoder.bytes() + BatchEncoder::size_alone(record) > limit.min(BATCH_BYTES_MAX)
        };
        if topic.slots.get(slot).is_some_and(full) {
            self.seal(table, slot)?;
        }
        let Some(topic) = self.topics.get_mut(table) else { return Ok(()) };
        let Some(encoder) = topic.slots.get_mut(slot) else { return Ok(()) };
        encoder.push(record, timestamp);
        if encoder.count() == 1 && encoder.bytes() > limit {
            let topic = topic.entry.topic.name.to_string();
            return Err(Error::RecordTooLarge { topic, index, bytes: encoder.bytes(), limit });
        }
        Ok(())
    }

    fn group_offset(&mut self, offset: &GroupOffset) -> Result<(), Error> {
        let (key, value) = group::encode(offset, self.now_ms)?;
        let table = self.topic(OFFSETS_TOPIC, false)?;
        let now_ms = self.now_ms;
        let Some(topic) = self.topics.get_mut(table) else { return Ok(()) };
        let slot = usize::try_from(partition_of_group(&offset.group, topic.entry.topic.partitions)).unwrap_or(0);
        if let Some(encoder) = topic.slots.get_mut(slot) {
            encoder.push_plain(Some(&key), value.as_deref(), now_ms);
        }
        Ok(())
    }

    fn seal_all(&mut self) -> Result<(), Error> {
        for table in 0..self.topics.len() {
            for slot in 0..self.topics.get(table).map_or(0, |topic| topic.slots.len()) {
                self.seal(table, slot)?;
            }
        }
        Ok(())
    }

    fn seal(&mut self, table: usize, slot: usize) -> Result<(), Error> {
        let Some(topic) = self.topics.get_mut(table) else { return Ok(()) };
        let (Some(encoder), Some(partition)) = (topic.slots.get_mut(slot), topic.entry.partitions.get(slot)) else {
            return Ok(());
        };
        if encoder.count() == 0 {
            return Ok(());
        }
        let compression = topic.entry.settings.compression.unwrap_or(self.compression);
        let append_time = topic.entry.settings.log_append_time.then_some(self.now_ms);
        let placed = self
            .frame
            .entry(partition.topic, partition.name.partition, |out| encoder.seal(compression, append_time, out))
            .map_err(|error| Error::io("compressing records", error))?;
        let (bytes, limit) = (self.frame.len(), self.core.config.commit_bytes_max);
        if bytes > limit {
            return Err(Error::CommitTooLarge { bytes, limit });
        }
        let header =
            BatchHeader::parse(self.frame.slice(placed)).map_err(|damage| Error::corrupt("a new batch", damage))?;
        let reported = topic.reported;
        self.batches.push(EncodedBatch { partition: partition.clone(), placed, header, reported, at: None });
        Ok(())
    }
}
