//! Reads record batches as they lie in the log, for readers that take them apart themselves.
//!
//! Partitions are read in the order asked for and fail one by one. Limits are Kafka's (KIP-74): the first batch of the first
//! partition that has any is returned whatever its size, so no batch is too large to be read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use towpath_model::TopicPartition;

use crate::codec::empty_batch;
use crate::core::Core;
use crate::embedded::{Embedded, blocking};
use crate::engine::PartitionOffsets;
use crate::error::Error;
use crate::fetch::{Look, out_of_range};
use crate::partition::TailBatch;
use crate::sync::{lock, read};

/// A partition to read.
#[derive(Clone, Debug)]
pub struct FetchBatches {
    /// The partition.
    pub partition: TopicPartition,
    /// The first offset wanted. The batch that holds it is returned whole.
    pub offset: i64,
    /// How many bytes of this partition are wanted at most.
    pub bytes_max: usize,
}

/// How much to read, and how long to wait for it.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// Waits until there are this many bytes …
    pub bytes_min: usize,
    /// … for so long.
    pub max_wait: Duration,
    /// How many bytes are wanted at most.
    pub bytes_max: usize,
}

/// What was read of one partition.
#[derive(Clone, Debug)]
pub struct FetchedBatches {
    /// Batches, one after the other.
    pub batches: Vec<Bytes>,
    /// The ends of the partition.
    pub offsets: PartitionOffsets,
}

type Looked = Result<Look, Error>;
type Answers = Vec<Result<FetchedBatches, Error>>;

impl Embedded {
    /// Reads batches of each partition in turn. Waits for `bytes_min` unless a partition cannot be read. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Closed`] for all. Whatever concerns one partition stands in its place.
    pub async fn fetch_batches(&self, wanted: &[FetchBatches], limits: FetchLimits) -> Result<Answers, Error> {
        let core = &self.core;
        let deadline = tokio::time::Instant::now() + limits.max_wait;
        let notify = Arc::new(Notify::new());
        loop {
            core.check_open()?;
            let (looks, ready) = core.look_for_batches(wanted, limits, &notify);
            if ready || tokio::time::Instant::now() >= deadline {
                let wanted_max: Vec<usize> = wanted.iter().map(|fetch| fetch.bytes_max).collect();
                if looks.iter().flatten().all(|look| look.tail.is_some()) {
                    return Ok(core.gather_batches(looks, &wanted_max, limits.bytes_max));
                }
                let core = core.clone();
                return blocking(move || Ok(core.gather_batches(looks, &wanted_max, limits.bytes_max))).await;
            }
            // Whether it was woken or the time is up: the next look decides.
            let _ = tokio::time::timeout_at(deadline, notify.notified()).await;
        }
    }

    /// The first record with a timestamp at or after `timestamp_ms`: its offset and its timestamp.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::UnknownPartition`], or the disk's.
    pub async fn record_at_time(
        &self,
        partition: &TopicPartition,
        timestamp_ms: i64,
    ) -> Result<Option<(i64, i64)>, Error> {
        let (core, partition) = (self.core.clone(), partition.clone());
        blocking(move || core.offset_for_time(&partition, timestamp_ms)).await
    }

    /// The first of the records with the largest timestamp: its offset and its timestamp.
    ///
    /// # Errors
    /// As [`record_at_time`](Self::record_at_time).
    pub async fn record_of_max_time(&self, partition: &TopicPartition) -> Result<Option<(i64, i64)>, Error> {
        let (_, found) = self.core.partition_of(partition)?;
        let largest = {
            let state = lock(&found.state);
            let segments = state.segments.iter().map(|segment| segment.max_timestamp);
            segments.chain(state.tail.iter().map(|batch| batch.header.max_timestamp)).max()
        };
        match largest {
            Some(largest) => self.record_at_time(partition, largest).await,
            None => Ok(None),
        }
    }
}

impl Core {
    /// One look under the lock of what is visible, and whether it is worth an answer.
    fn look_for_batches(
        &self,
        wanted: &[FetchBatches],
        limits: FetchLimits,
        notify: &Arc<Notify>,
    ) -> (Vec<Looked>, bool) {
        let found: Vec<_> = wanted.iter().map(|fetch| self.partition_of(&fetch.partition)).collect();
        let _visible = read(&self.visible);
        let (mut bytes, mut ready) = (0, limits.max_wait.is_zero());
        let mut looks = Vec::with_capacity(wanted.len());
        for (index, (fetch, found)) in wanted.iter().zip(found).enumerate() {
            let look = found.and_then(|(entry, partition)| {
                let mut state = lock(&partition.state);
                let offsets = state.offsets();
                if fetch.offset < offsets.start || fetch.offset > offsets.high_watermark {
                    return Err(out_of_range(&fetch.partition, fetch.offset, offsets));
                }
                let in_memory = fetch.offset >= state.flushed;
                // Segments hold more than anyone waits for.
                ready |= !in_memory && fetch.offset < offsets.high_watermark;
                let tail = in_memory.then(|| {
                    let mut tail: Vec<TailBatch> = Vec::new();
                    let mut taken = 0;
                    for batch in state.tail_from(fetch.offset) {
                        if taken > 0 && taken + batch.bytes.len() > fetch.bytes_max.min(limits.bytes_max) {
                            break;
                        }
                        taken += batch.bytes.len();
                        tail.push(batch.clone());
                    }
                    bytes += taken;
                    tail
                });
                state.wait(notify);
                drop(state);
                Ok(Look { index, entry, partition, from: fetch.offset, offsets, tail })
            });
            ready |= look.is_err();
            looks.push(look);
        }
        (looks, ready || bytes >= limits.bytes_min)
    }

    fn gather_batches(&self, looks: Vec<Looked>, wanted_max: &[usize], bytes_max: usize) -> Answers {
        let mut gathered = 0;
        let mut answers = Vec::with_capacity(looks.len());
        for (look, partition_max) in looks.into_iter().zip(wanted_max) {
            let answer = look.and_then(|look| {
                let limit = bytes_max.saturating_sub(gathered).min(*partition_max);
                let batches = self.batches_of(&look, limit, gathered == 0)?;
                gathered += batches.iter().map(Bytes::len).sum::<usize>();
                Ok(FetchedBatches { batches, offsets: look.offsets })
            });
            answers.push(answer);
        }
        answers
    }

    fn batches_of(&self, look: &Look, limit: usize, at_least_one: bool) -> Result<Vec<Bytes>, Error> {
        if look.from >= look.offsets.high_watermark || (limit == 0 && !at_least_one) {
            return Ok(Vec::new());
        }
        let from_disk = match look.tail {
            Some(_) => Vec::new(),
            None => self.read_segments(look, limit)?.0,
        };
        let found = look.tail.as_ref().unwrap_or(&from_disk);
        if found.is_empty() {
            return Ok(vec![empty_batch(look.from, look.offsets.high_watermark).into()]);
        }
        let mut taken = 0;
        let mut batches = Vec::with_capacity(found.len());
        for batch in found {
            let fits = taken + batch.bytes.len() <= limit || (at_least_one && batches.is_empty());
            // A commit that came after the look is left for the next one.
            if !fits || batch.header.next_offset() > look.offsets.high_watermark {
                break;
            }
            taken += batch.bytes.len();
            batches.push(batch.bytes.clone());
        }
        Ok(batches)
    }
}
