//! Reading: from the tail in memory where a partition's reader keeps up, from segments where it lags.
//!
//! One look under the lock of what is visible decides for all partitions of a fetch what there is, so no reader sees a part
//! of a commit, and none reads beyond the first open transaction. Segment files are read outside of all locks; one that retention drops in between is noticed and looked up
//! anew. A fetch that finds nothing waits for the first of its partitions to be written.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;
use towpath_model::TopicPartition;

use crate::aborted::Aborted;
use crate::checkpoint::SegmentPoint;
use crate::codec::{ColumnReader, first_at_or_after};
use crate::core::Core;
use crate::engine::{Fetch, Fetched};
use crate::error::Error;
use crate::partition::{Ends, Partition, State, TailBatch, TopicEntry};
use crate::segment::{ReadFailure, SegmentReader};
use crate::sync::{lock, read};

/// What is read of segments at once is a fetch's share of this, for records may grow so much when they are decompressed.
const EXPANSION: usize = 8;

/// What one look found out about a partition.
pub(crate) struct Look {
    /// Its place in the caller's list.
    pub(crate) index: usize,
    pub(crate) entry: Arc<TopicEntry>,
    pub(crate) partition: Arc<Partition>,
    pub(crate) from: i64,
    pub(crate) ends: Ends,
    /// What is wanted ends before this.
    pub(crate) until: i64,
    /// What of it is in memory; none where segments have it.
    pub(crate) tail: Option<Stretch>,
}

/// Batches that follow each other.
#[derive(Default)]
pub(crate) struct Stretch {
    pub(crate) batches: Vec<TailBatch>,
    /// The offset up to which that is all.
    pub(crate) next: i64,
    /// The aborted transactions that may have records among them.
    pub(crate) aborted: Vec<Aborted>,
}

impl Core {
    /// Reads, waiting for the first record as long as `max_wait`.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        wanted: &[Fetch],
        bytes_max: usize,
        max_wait: Duration,
    ) -> Result<Vec<Fetched>, Error> {
        let deadline = tokio::time::Instant::now() + max_wait;
        let notify = Arc::new(Notify::new());
        loop {
            self.check_open()?;
            let looks = self.look(wanted, bytes_max, &notify)?;
            let any = looks.iter().any(|look| look.from < look.until);
            if any || max_wait.is_zero() || tokio::time::Instant::now() >= deadline {
                let fetched = if looks.iter().any(|look| look.tail.is_none()) {
                    let core = self.clone();
                    let read = tokio::task::spawn_blocking(move || core.gather(looks, bytes_max)).await;
                    read.map_err(|error| Error::Closed(error.to_string()))??
                } else {
                    self.gather(looks, bytes_max)?
                };
                return Ok(fetched);
            }
            // Whether it was woken or the time is up: the next look decides.
            let _ = tokio::time::timeout_at(deadline, notify.notified()).await;
        }
    }

    /// Reads what there is, at once.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn fetch_now(&self, wanted: &[Fetch], bytes_max: usize) -> Result<Vec<Fetched>, Error> {
        let looks = self.look(wanted, bytes_max, &Arc::new(Notify::new()))?;
        self.gather(looks, bytes_max)
    }

    fn look(&self, wanted: &[Fetch], bytes_max: usize, notify: &Arc<Notify>) -> Result<Vec<Look>, Error> {
        let mut found = Vec::with_capacity(wanted.len());
        for (index, fetch) in wanted.iter().enumerate() {
            found.push((index, self.partition_of(&fetch.partition)?, fetch));
        }
        // Another partition begins each time, so none starves behind one that always fills the answer.
        let turn = self.fetch_turn.fetch_add(1, Ordering::Relaxed);
        found.rotate_left(turn.checked_rem(wanted.len()).unwrap_or(0));
        let _visible = read(&self.visible);
        let mut left = bytes_max;
        let mut looks = Vec::with_capacity(wanted.len());
        for (index, (entry, partition), fetch) in found {
            let mut state = lock(&partition.state);
            let ends = state.ends();
            if fetch.offset < ends.start || fetch.offset > ends.high_watermark {
                return Err(out_of_range(&fetch.partition, fetch.offset, ends));
            }
            let until = ends.last_stable;
            let tail = (fetch.offset >= state.flushed).then(|| {
                let within = |batch: &&TailBatch| {
                    let taken = left > 0 && batch.header.base_offset < until;
                    left = left.saturating_sub(batch.bytes.len());
                    taken
                };
                state.stretch_of_tail(fetch.offset, within)
            });
            if fetch.offset >= until {
                state.wait(notify);
            }
            drop(state);
            looks.push(Look { index, entry, partition, from: fetch.offset, ends, until, tail });
        }
        Ok(looks)
    }

    fn gather(&self, looks: Vec<Look>, bytes_max: usize) -> Result<Vec<Fetched>, Error> {
        let mut fetched = Vec::with_capacity(looks.len());
        let mut gathered = 0;
        for look in looks {
            let name = &look.partition.name;
            let mut reader = ColumnReader::new(name.topic.clone(), name.partition);
            let mut next_offset = look.from;
            if look.from < look.until && (gathered < bytes_max || gathered == 0) {
                let from_disk = match look.tail {
                    Some(_) => Stretch::default(),
                    None => self.read_segments(&look, bytes_max.saturating_sub(gathered) / EXPANSION)?,
                };
                let found = look.tail.as_ref().unwrap_or(&from_disk);
                next_offset = next_offset.max(from_disk.next);
                for batch in &found.batches {
                    // The bound is on records as they are in memory, whatever they take compressed.
                    if reader.records() > 0 && gathered + reader.payload_bytes() >= bytes_max {
                        next_offset = batch.header.base_offset;
                        break;
                    }
                    let damaged =
                        |damage| Error::corrupt(format!("{name} at offset {}", batch.header.base_offset), damage);
                    if !found.aborted.iter().any(|aborted| aborted.holds(&batch.header)) {
                        reader.read(&batch.header, &batch.bytes, look.from).map_err(damaged)?;
                    }
                    next_offset = batch.header.next_offset();
                }
            }
            gathered += reader.payload_bytes().max(usize::from(reader.records() > 0));
            let records = reader.finish().map_err(|damage| Error::corrupt(name, damage))?;
            let (partition, high_watermark) = (name.clone(), look.ends.last_stable);
            fetched.push((look.index, Fetched { partition, records, next_offset, high_watermark }));
        }
        fetched.sort_by_key(|(index, _)| *index);
        Ok(fetched.into_iter().map(|(_, fetched)| fetched).collect())
    }

    /// Batches from segments, from the first one that holds or follows `look.from`.
    pub(crate) fn read_segments(&self, look: &Look, bytes_max: usize) -> Result<Stretch, Error> {
        let mut from = look.from;
        loop {
            let (segment, end, hint, cleaned) = {
                let state = lock(&look.partition.state);
                let ends = state.ends();
                if from < ends.start || look.partition.deleted.load(Ordering::Acquire) {
                    return Err(out_of_range(&look.partition.name, look.from, ends));
                }
                if from >= look.until {
                    return Ok(Stretch { next: look.until, ..Stretch::default() });
                }
                if from >= state.flushed {
                    let mut first = true;
                    return Ok(state.stretch_of_tail(from, |_| std::mem::replace(&mut first, false)));
                }
                let Some((segment, end)) = state.segment_of(from) else {
                    if look.entry.gaps {
                        from = state.segments.first().map_or(state.flushed, |first| first.base);
                        continue;
                    }
                    return Err(Error::corrupt(&look.partition.name, format!("no segment holds offset {from}")));
                };
                (segment, end, state.place_of(from, segment.base), state.cleaned)
            };
            let opened = SegmentReader::open(self.vfs.as_ref(), &look.partition.dir, segment, end, look.entry.gaps);
            let chunk = match opened {
                Ok(reader) => reader.read(from, bytes_max.max(1), hint),
                Err(ReadFailure::Gone) if moved_on(&lock(&look.partition.state), segment.base, cleaned) => continue,
                Err(ReadFailure::Gone) => {
                    return Err(Error::corrupt(
                        look.partition.dir.display(),
                        format!("segment {} is gone", segment.base),
                    ));
                }
                Err(ReadFailure::Error(error)) => return Err(error),
            };
            let mut state = lock(&look.partition.state);
            if moved_on(&state, segment.base, cleaned) {
                continue;
            }
            let chunk = chunk?;
            if let Some((last, _)) = chunk.batches.last() {
                let next = last.next_offset();
                state.remember(next, segment.base, chunk.next_position);
                // While the segment is known to be what was read: compaction forgets what it has taken out.
                let aborted = state.transactions.aborted_in(from, next.min(look.until));
                drop(state);
                let within = chunk.batches.into_iter().filter(|(header, _)| header.base_offset < look.until);
                let batches = within.map(|(header, bytes)| TailBatch { header, bytes, aborted: None }).collect();
                return Ok(Stretch { batches, next: next.min(look.until), aborted });
            }
            // Compaction has left nothing of this segment at or after the offset.
            from = end;
        }
    }

    /// The first record with a timestamp at or after `timestamp_ms`: its offset and its timestamp.
    pub(crate) fn offset_for_time(
        &self,
        name: &TopicPartition,
        timestamp_ms: i64,
    ) -> Result<Option<(i64, i64)>, Error> {
        let (entry, partition) = self.partition_of(name)?;
        let mut below = i64::MIN;
        loop {
            let (segment, end, start, cleaned) = {
                let state = lock(&partition.state);
                let candidate = |(_, segment): &(usize, &SegmentPoint)| {
                    segment.base > below && segment.max_timestamp >= timestamp_ms
                };
                let Some((index, segment)) = state.segments.iter().enumerate().find(candidate) else {
                    return first_in_tail(&state.tail, timestamp_ms).map_err(|damage| Error::corrupt(name, damage));
                };
                let end = state.segments.get(index + 1).map_or(state.flushed, |next| next.base);
                (*segment, end, state.log_start, state.cleaned)
            };
            let found = match SegmentReader::open(self.vfs.as_ref(), &partition.dir, segment, end, entry.gaps) {
                Ok(reader) => reader.offset_for_time(timestamp_ms, start),
                Err(ReadFailure::Gone) => Ok(None),
                Err(ReadFailure::Error(error)) => Err(error),
            };
            if moved_on(&lock(&partition.state), segment.base, cleaned) {
                below = i64::MIN;
                continue;
            }
            if let Some(found) = found? {
                return Ok(Some(found));
            }
            below = segment.base;
        }
    }

    /// A partition by name, with its topic.
    pub(crate) fn partition_of(&self, name: &TopicPartition) -> Result<(Arc<TopicEntry>, Arc<Partition>), Error> {
        let entry = self.topic_entry(&name.topic)?;
        let index = usize::try_from(name.partition).ok();
        let partition = index.and_then(|index| entry.partitions.get(index)).cloned();
        let unknown = || Error::UnknownPartition { topic: name.topic.to_string(), partition: name.partition };
        partition.map(|partition| (entry.clone(), partition)).ok_or_else(unknown)
    }
}

/// Whether a segment that was looked up was dropped, or rewritten by compaction, which always raises `cleaned`.
fn moved_on(state: &State, base: i64, cleaned: i64) -> bool {
    state.cleaned != cleaned || !state.segments.iter().any(|segment| segment.base == base)
}

fn first_in_tail<'a>(
    tail: impl IntoIterator<Item = &'a TailBatch>,
    timestamp_ms: i64,
) -> Result<Option<(i64, i64)>, crate::codec::Damaged> {
    for batch in tail {
        if batch.header.max_timestamp >= timestamp_ms
            && let Some(found) = first_at_or_after(&batch.header, &batch.bytes, timestamp_ms)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

pub(crate) fn out_of_range(partition: &TopicPartition, offset: i64, ends: Ends) -> Error {
    Error::OffsetOutOfRange { partition: partition.clone(), offset, start: ends.start, end: ends.high_watermark }
}
