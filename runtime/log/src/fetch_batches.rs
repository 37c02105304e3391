//! Reads record batches as they lie in the log, for readers that take them apart themselves.
//!
//! Partitions are read in the order asked for and fail one by one. Limits are Kafka's (KIP-74): the first batch of the first
//! partition that has any is returned whatever its size, so no batch is too large to be read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use towpath_model::TopicPartition;

use crate::aborted::Aborted;
use crate::codec::empty_batch;
use crate::core::Core;
use crate::embedded::{Embedded, blocking};
use crate::error::Error;
use crate::fetch::{Look, Stretch, out_of_range};
use crate::partition::{Ends, TailBatch};
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
    /// Whether to stop where the first open transaction begins, and to name those that were aborted; else everything durable is read.
    pub committed: bool,
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
    pub ends: Ends,
    /// Where only committed records are wanted: the aborted transactions that may have records among the batches.
    pub aborted: Vec<Aborted>,
}

type Looked = Result<Look, Error>;
/// In the order of the request.
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

    /// Reads what there is, blocking.
    #[cfg(any(test, feature = "sim"))]
    pub fn fetch_batches_now(&self, wanted: &[FetchBatches], limits: FetchLimits) -> Answers {
        let (looks, _) = self.core.look_for_batches(wanted, limits, &Arc::new(Notify::new()));
        let wanted_max: Vec<usize> = wanted.iter().map(|fetch| fetch.bytes_max).collect();
        self.core.gather_batches(looks, &wanted_max, limits.bytes_max)
    }

    /// All ends of a partition.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::UnknownPartition`].
    pub fn ends(&self, partition: &TopicPartition) -> Result<Ends, Error> {
        let (_, partition) = self.core.partition_of(partition)?;
        let ends = lock(&partition.state).ends();
        Ok(ends)
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
                let ends = state.ends();
                if fetch.offset < ends.start || fetch.offset > ends.high_watermark {
                    return Err(out_of_range(&fetch.partition, fetch.offset, ends));
                }
                let until = if fetch.committed { ends.last_stable } else { ends.high_watermark };
                let in_memory = fetch.offset >= state.flushed;
                // Segments hold more than anyone waits for.
                ready |= !in_memory && fetch.offset < until;
                let tail = in_memory.then(|| {
                    let mut taken = 0;
                    let within = |batch: &&TailBatch| {
                        let all = taken + batch.bytes.len();
                        let fits = taken == 0 || all <= fetch.bytes_max.min(limits.bytes_max);
                        let within = fits && batch.header.base_offset < until;
                        taken = if within { all } else { taken };
                        within
                    };
                    let tail = state.stretch_of_tail(fetch.offset, within);
                    bytes += taken;
                    tail
                });
                state.wait(notify);
                drop(state);
                Ok(Look { index, entry, partition, from: fetch.offset, ends, until, tail })
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
                let (batches, aborted) = self.batches_of(&look, limit, gathered == 0)?;
                gathered += batches.iter().map(Bytes::len).sum::<usize>();
                Ok(FetchedBatches { batches, ends: look.ends, aborted })
            });
            answers.push(answer);
        }
        answers
    }

    fn batches_of(&self, look: &Look, limit: usize, at_least_one: bool) -> Result<(Vec<Bytes>, Vec<Aborted>), Error> {
        if look.from >= look.until || (limit == 0 && !at_least_one) {
            return Ok((Vec::new(), Vec::new()));
        }
        let from_disk = match look.tail {
            Some(_) => Stretch::default(),
            None => self.read_segments(look, limit)?,
        };
        let found = look.tail.as_ref().unwrap_or(&from_disk);
        if found.batches.is_empty() {
            return Ok((vec![empty_batch(look.from, look.until).into()], Vec::new()));
        }
        let (mut taken, mut next) = (0, look.from);
        let mut batches = Vec::with_capacity(found.batches.len());
        for batch in &found.batches {
            let fits = taken + batch.bytes.len() <= limit || (at_least_one && batches.is_empty());
            // A commit that came after the look is left for the next one.
            if !fits || batch.header.next_offset() > look.until {
                break;
            }
            (taken, next) = (taken + batch.bytes.len(), batch.header.next_offset());
            batches.push(batch.bytes.clone());
        }
        let among = found.aborted.iter().filter(|aborted| aborted.first_offset < next);
        Ok((batches, among.copied().collect()))
    }
}
