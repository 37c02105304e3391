//! Appends record batches as Kafka clients sent them: judged by their heads, never taken apart, all in one frame.
//!
//! Partitions are judged one by one, so a batch that is refused keeps none of its neighbours out. Batches of idempotent producers
//! are judged once more under the sequencer's lock; one that was sent before is not appended again and is answered as soon as the
//! first is durable. Batches of transactions are let in while the order of transactions is held, and a partition that one of them
//! makes a part of its transaction is noted in the same frame.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::{Notify, oneshot};
use towpath_model::TopicPartition;

use crate::append::check_writable;
use crate::codec::{BatchHeader, Change, copy_received, received, without_keys};
use crate::core::{Core, Encoded, EncodedBatch, Enqueued};
use crate::embedded::Embedded;
use crate::engine::Committed;
use crate::error::Error;
use crate::journal::FrameBuilder;
use crate::partition::{Partition, TopicEntry};
use crate::producers::{Fate, Verdict};
use crate::sync::lock;
use crate::transaction::Joining;

/// A record batch for a partition.
#[derive(Clone, Debug)]
pub struct ReceivedBatch {
    /// The partition.
    pub partition: TopicPartition,
    /// One batch, in Kafka's format.
    pub bytes: Bytes,
    /// Whether a batch of a transaction makes its partition a part of it (KIP-890), as opposed to one that was added before.
    pub adds_partition: bool,
}

/// Where a received batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedBatch {
    /// The offset of its first record.
    pub base_offset: i64,
    /// The time that replaced those of its records, where the topic wants that.
    pub append_time_ms: Option<i64>,
    /// The first offset that the partition keeps.
    pub log_start: i64,
}

/// Resolves when each batch is durable and visible, or has failed and left nothing; in the order of the request.
pub type AppendFuture = BoxFuture<'static, Vec<Result<AppendedBatch, Error>>>;

/// A batch on its way.
struct Judged {
    entry: Arc<TopicEntry>,
    partition: Arc<Partition>,
    header: BatchHeader,
    bytes: Bytes,
    adds_partition: bool,
}

/// What is known of a batch when the call returns.
enum Slot {
    Refused(Error),
    Queued(Judged),
    Repeated(Judged, i64),
}

type Done = oneshot::Receiver<Result<Committed, Error>>;

impl Embedded {
    /// Queues batches before it returns; calls take effect in their order. Dropping the future takes nothing back. Callers bound
    /// how many they have under way.
    ///
    /// Invariant 1: the future resolves with success for a batch only after it is on stable storage.
    pub fn append_batches(&self, batches: Vec<ReceivedBatch>) -> AppendFuture {
        let core = self.core.clone();
        let now_ms = core.clock.now_ms();
        let mut slots = core.judge_all(batches, now_ms);
        let queued = core.queue_batches(&mut slots, now_ms);
        Box::pin(async move {
            let committed = match queued {
                Ok(None) => Ok(Committed::default()),
                Ok(Some(done)) => done.await.unwrap_or_else(|_| Err(Error::Closed("it was dropped".into()))),
                Err(error) => Err(error),
            };
            let mut appends = committed.as_ref().map(|committed| committed.appends.iter()).map_err(Clone::clone);
            let mut answers = Vec::with_capacity(slots.len());
            for slot in slots {
                answers.push(match slot {
                    Slot::Refused(error) => Err(error),
                    Slot::Queued(judged) => match &mut appends {
                        // Partitions stand in a commit's answer in the order in which they were queued, each once.
                        Ok(appends) => {
                            Ok(judged.answer(appends.next().map_or(-1, |append| append.base_offset), now_ms))
                        }
                        Err(error) => Err(error.clone()),
                    },
                    Slot::Repeated(judged, base_offset) => {
                        core.durable(&judged).await.map(|()| judged.answer(base_offset, now_ms))
                    }
                });
            }
            answers
        })
    }

    /// An id for an idempotent producer that no other has had.
    pub fn new_producer_id(&self) -> i64 {
        self.core.new_producer_id()
    }
}

impl Judged {
    fn answer(&self, base_offset: i64, now_ms: i64) -> AppendedBatch {
        let append_time_ms = self.entry.settings.log_append_time.then_some(now_ms);
        AppendedBatch { base_offset, append_time_ms, log_start: lock(&self.partition.state).log_start }
    }
}

impl Core {
    fn judge_all(&self, batches: Vec<ReceivedBatch>, now_ms: i64) -> Vec<Slot> {
        let mut seen = HashSet::with_capacity(batches.len());
        let mut slots = Vec::with_capacity(batches.len());
        for batch in batches {
            let judged = match seen.insert(batch.partition.clone()) {
                true => self.judge(batch, now_ms),
                false => Err(invalid(&batch.partition, "a partition stands in the request more than once")),
            };
            slots.push(judged.map_or_else(Slot::Refused, Slot::Queued));
        }
        slots
    }

    fn judge(&self, batch: ReceivedBatch, now_ms: i64) -> Result<Judged, Error> {
        let ReceivedBatch { partition: name, bytes, adds_partition } = batch;
        let (entry, partition) = self.partition_of(&name)?;
        let topic = || name.topic.to_string();
        check_writable(&name.topic)?;
        let settings = &entry.settings;
        if bytes.len() > settings.max_message_bytes {
            let (bytes, limit) = (bytes.len(), settings.max_message_bytes);
            return Err(Error::RecordTooLarge { topic: topic(), index: 0, bytes, limit });
        }
        let header = received(&bytes).map_err(|damage| invalid(&name, damage.0))?;
        BatchHeader::verify(&bytes).map_err(|_| Error::BatchDamaged { topic: topic() })?;
        if header.transactional() && header.producer_id < 0 {
            return Err(invalid(&name, "a transaction has a producer"));
        }
        if header.producer_id >= 0 && (header.producer_epoch < 0 || header.base_sequence < 0) {
            return Err(invalid(&name, "a producer with an id must number its records"));
        }
        let has_one_open = || lock(&partition.state).transactions.open().contains_key(&header.producer_id);
        if header.numbered() && !header.transactional() && has_one_open() {
            let id = format!("of producer {}", header.producer_id);
            return Err(Error::InvalidTransactionState {
                id,
                reason: "it is open, and these records are no part of it",
            });
        }
        if !settings.log_append_time {
            let ahead = header.max_timestamp.saturating_sub(now_ms).saturating_sub(settings.timestamp_after_max_ms);
            let behind = now_ms.saturating_sub(header.base_timestamp).saturating_sub(settings.timestamp_before_max_ms);
            // Without a timestamp, which is -1, a record has none to compare.
            let by_ms = ahead.max(if header.base_timestamp >= 0 { behind } else { 0 });
            if by_ms > 0 {
                return Err(Error::InvalidTimestamp { topic: topic(), by_ms });
            }
        }
        if settings.compact {
            let indexes = without_keys(&header, &bytes).map_err(|damage| invalid(&name, damage.0))?;
            if !indexes.is_empty() {
                return Err(Error::KeyMissing { topic: topic(), indexes });
            }
        }
        Ok(Judged { entry, partition, header, bytes, adds_partition })
    }

    /// Queues what is still to be queued; batches that their producers' state forbids are taken out first.
    fn queue_batches(&self, slots: &mut [Slot], now_ms: i64) -> Result<Option<Done>, Error> {
        let transactional = |slot: &Slot| matches!(slot, Slot::Queued(judged) if judged.header.transactional());
        let mut joining = slots.iter().any(transactional).then(|| Joining::begin(self, now_ms));
        for slot in slots.iter_mut() {
            if let (Some(joining), Slot::Queued(judged)) = (&mut joining, &*slot)
                && judged.header.transactional()
                && let Err(error) = joining.admit(&judged.header, &judged.partition.name, judged.adds_partition)
            {
                *slot = Slot::Refused(error);
            }
        }
        loop {
            let queued: Vec<usize> =
                (0..slots.len()).filter(|index| matches!(slots.get(*index), Some(Slot::Queued(_)))).collect();
            if queued.is_empty() {
                return Ok(None);
            }
            let mut encoded = self.encode_batches(slots, now_ms)?;
            if let Some(joining) = &joining {
                encoded = joining.write(encoded)?;
            }
            match self.enqueue(encoded)? {
                Enqueued::Queued(done) => {
                    if let Some(joining) = joining {
                        joining.queued();
                    }
                    return Ok(Some(done));
                }
                Enqueued::Forbidden(verdicts) => {
                    for (at, verdict) in verdicts {
                        if let Some(slot) = queued.get(at).and_then(|index| slots.get_mut(*index)) {
                            slot.refuse(verdict);
                        }
                    }
                }
            }
        }
    }

    fn encode_batches(&self, slots: &[Slot], now_ms: i64) -> Result<Encoded, Error> {
        let queued =
            || slots.iter().filter_map(|slot| if let Slot::Queued(judged) = slot { Some(judged) } else { None });
        let mut frame = FrameBuilder::with_capacity(queued().map(|judged| judged.bytes.len() + 24).sum());
        let mut batches = Vec::new();
        for judged in queued() {
            let Judged { entry, partition, header, bytes, .. } = judged;
            let append_time = entry.settings.log_append_time.then_some(now_ms);
            let change = Change { compression: entry.settings.compression, append_time };
            let copy = |out: &mut Vec<u8>| {
                copy_received(header, bytes, change, out).map_err(|damage| std::io::Error::other(damage.to_string()))
            };
            let placed = frame
                .entry(partition.topic, partition.name.partition, copy)
                .map_err(|_| invalid(&partition.name, "its records do not decompress"))?;
            let header =
                BatchHeader::parse(frame.slice(placed)).map_err(|damage| Error::corrupt("a received batch", damage))?;
            batches.push(EncodedBatch { partition: partition.clone(), placed, header, reported: true, at: None });
        }
        let (bytes, limit) = (frame.len(), self.config.commit_bytes_max);
        if bytes > limit {
            return Err(Error::CommitTooLarge { bytes, limit });
        }
        Ok(Encoded { frame: frame.into_bytes(), batches, transactions: Vec::new(), now_ms })
    }

    /// Waits until a batch that was sent before is durable.
    async fn durable(&self, judged: &Judged) -> Result<(), Error> {
        let notify = Arc::new(Notify::new());
        loop {
            lock(&judged.partition.state).wait(&notify);
            match lock(&judged.partition.producers).fate(&judged.header) {
                Fate::Durable => return Ok(()),
                Fate::Lost => return Err(Error::DiskFull("the batch was refused when it was sent first".into())),
                Fate::Queued => {}
            }
            self.check_open()?;
            notify.notified().await;
        }
    }
}

impl Slot {
    fn refuse(&mut self, verdict: Verdict) {
        let before = std::mem::replace(self, Self::Refused(Error::Closed(String::new())));
        let Self::Queued(judged) = before else { return };
        let partition = judged.partition.name.clone();
        *self = match verdict {
            Verdict::Duplicate(sent) => Self::Repeated(judged, sent.base_offset),
            Verdict::OutOfOrder => Self::Refused(Error::OutOfOrderSequence { partition }),
            Verdict::Unknown => Self::Refused(Error::UnknownProducer { partition }),
            Verdict::Fenced => Self::Refused(Error::ProducerFenced { partition }),
        };
    }
}

fn invalid(partition: &TopicPartition, reason: &'static str) -> Error {
    Error::InvalidBatch { topic: partition.topic.to_string(), reason }
}
