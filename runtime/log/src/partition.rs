//! A partition in memory: its bounds, its segments, and the tail of durable records that segments do not hold yet.
//!
//! ```text
//! log start ......... flushed ......... high watermark ......... assigned
//!     | segments          | tail              | queued for the journal |
//!     |         last stable: where the first open transaction begins, or the high watermark
//! ```
//! Whatever stands in [`State`] is durable; readers of committed records stop at what is last stable and leave out what was aborted.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32};
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use tokio::sync::Notify;
use towpath_model::TopicPartition;
use uuid::Uuid;

use crate::aborted::{Aborted, Transactions};
use crate::checkpoint::{PartitionPoint, SegmentPoint};
use crate::codec::{BatchHeader, Damaged};
use crate::engine::{PartitionOffsets, Topic};
use crate::fetch::Stretch;
use crate::producers::Producers;
use crate::topic_config::TopicSettings;

/// How many places where readers left off are remembered.
const PLACES_MAX: usize = 8;

/// A topic with what belongs to it. Replaced whole when it is altered; the partitions stay.
pub(crate) struct TopicEntry {
    pub(crate) topic: Topic,
    pub(crate) settings: TopicSettings,
    /// Whether compaction may ever have left gaps between offsets.
    pub(crate) gaps: bool,
    pub(crate) partitions: Arc<[Arc<Partition>]>,
    /// Whose turn it is among the partitions, for null keys.
    pub(crate) turn: Arc<AtomicU32>,
}

/// One partition.
pub(crate) struct Partition {
    pub(crate) topic: Uuid,
    pub(crate) name: TopicPartition,
    pub(crate) dir: PathBuf,
    /// The offset of the next record to be queued. Changed only under the sequencer's lock.
    pub(crate) assigned: AtomicI64,
    pub(crate) deleted: AtomicBool,
    pub(crate) state: Mutex<State>,
    pub(crate) producers: Mutex<Producers>,
}

/// The durable part.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) log_start: i64,
    /// Everything before this lies in segments.
    pub(crate) flushed: i64,
    pub(crate) high_watermark: i64,
    pub(crate) tail: VecDeque<TailBatch>,
    pub(crate) segments: Vec<SegmentPoint>,
    /// Compaction has seen everything before this.
    pub(crate) cleaned: i64,
    /// Compaction rewrites everything before this right now; nothing is appended to those segments, and none is dropped.
    pub(crate) rewriting: Option<i64>,
    pub(crate) transactions: Transactions,
    /// The leader epochs under which it was written, each with its first offset.
    pub(crate) leader_epochs: Vec<(i32, i64)>,
    places: VecDeque<Place>,
    waiters: Vec<Weak<Notify>>,
}

/// A durable batch that is kept in memory.
#[derive(Clone)]
pub(crate) struct TailBatch {
    pub(crate) header: BatchHeader,
    pub(crate) bytes: Bytes,
    /// The transaction that it aborted, where it is a marker that did.
    pub(crate) aborted: Option<Aborted>,
}

/// The ends of a partition, for readers who tell committed records from others themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The first offset that is kept.
    pub start: i64,
    /// The first offset of a transaction that is not decided, or the high watermark where there is none.
    pub last_stable: i64,
    /// The offset after the last durable record.
    pub high_watermark: i64,
}

impl From<Ends> for PartitionOffsets {
    fn from(ends: Ends) -> Self {
        Self { start: ends.start, high_watermark: ends.last_stable }
    }
}

/// Where the batch that begins with an offset lies.
#[derive(Clone, Copy)]
struct Place {
    offset: i64,
    base: i64,
    position: u64,
}

impl Partition {
    /// A partition without records.
    pub(crate) fn new(topic: Uuid, name: TopicPartition, dir: PathBuf) -> Self {
        let (assigned, deleted) = (AtomicI64::new(0), AtomicBool::new(false));
        Self { topic, name, dir, assigned, deleted, state: Mutex::default(), producers: Mutex::default() }
    }

    /// A partition as a checkpoint describes it.
    pub(crate) fn restored(topic: Uuid, name: TopicPartition, dir: PathBuf, point: &PartitionPoint) -> Self {
        let mut partition = Self::new(topic, name, dir);
        partition.state = Mutex::new(State {
            log_start: point.log_start,
            flushed: point.end,
            high_watermark: point.end,
            segments: point.segments.clone(),
            cleaned: point.cleaned,
            leader_epochs: point.leader_epochs.clone(),
            ..State::default()
        });
        partition.assigned = AtomicI64::new(point.end);
        partition.producers = Mutex::new(Producers::restore(&point.producers));
        partition
    }
}

impl State {
    pub(crate) fn ends(&self) -> Ends {
        let (start, high_watermark) = (self.log_start, self.high_watermark);
        let last_stable = self.transactions.first_open().map_or(high_watermark, |first| first.max(start));
        Ends { start, last_stable, high_watermark }
    }

    /// Enters a durable batch.
    pub(crate) fn push(&mut self, header: BatchHeader, bytes: Bytes) -> Result<(), Damaged> {
        let aborted = self.transactions.apply(&header, &bytes)?;
        if self.leader_epochs.last().is_none_or(|(epoch, _)| *epoch < header.leader_epoch) {
            self.leader_epochs.push((header.leader_epoch, header.base_offset));
        }
        self.high_watermark = header.next_offset();
        self.tail.push_back(TailBatch { header, bytes, aborted });
        Ok(())
    }

    /// Moves the log's start, and forgets what lies before it.
    pub(crate) fn start_at(&mut self, offset: i64) {
        self.log_start = self.log_start.max(offset);
        self.transactions.forget_before(self.log_start);
        while let [_, (_, next), ..] = self.leader_epochs.as_slice()
            && *next <= self.log_start
        {
            self.leader_epochs.remove(0);
        }
    }

    /// The tail's batches from the one that holds `offset` on.
    pub(crate) fn tail_from(&self, offset: i64) -> impl Iterator<Item = &TailBatch> {
        let first = self.tail.partition_point(|batch| batch.header.last_offset() < offset);
        self.tail.range(first..)
    }

    /// The tail's batches from the one that holds `offset` on, as long as `within` takes them.
    pub(crate) fn stretch_of_tail(&self, offset: i64, within: impl FnMut(&&TailBatch) -> bool) -> Stretch {
        let batches: Vec<TailBatch> = self.tail_from(offset).take_while(within).cloned().collect();
        let next = batches.last().map_or(offset, |last| last.header.next_offset());
        let aborted = self.transactions.aborted_in(offset, next);
        Stretch { batches, next, aborted }
    }

    /// Takes over segments that hold everything before `end`. Says how many bytes of the tail that sets free.
    pub(crate) fn adopt(&mut self, segments: Vec<SegmentPoint>, end: i64) -> usize {
        self.segments = segments;
        self.flushed = end;
        let behind = self.tail.partition_point(|batch| batch.header.last_offset() < end);
        self.tail.drain(..behind).map(|batch| batch.bytes.len()).sum()
    }

    /// The segment that holds `offset`, with the first offset behind it.
    pub(crate) fn segment_of(&self, offset: i64) -> Option<(SegmentPoint, i64)> {
        let after = self.segments.partition_point(|segment| segment.base <= offset);
        let segment = *self.segments.get(after.checked_sub(1)?)?;
        Some((segment, self.segments.get(after).map_or(self.flushed, |next| next.base)))
    }

    /// Wakes `waiter` once, when something changes.
    pub(crate) fn wait(&mut self, waiter: &Arc<Notify>) {
        let waiter = Arc::downgrade(waiter);
        self.waiters.retain(|known| known.strong_count() > 0 && !known.ptr_eq(&waiter));
        self.waiters.push(waiter);
    }

    /// Wakes all that wait.
    pub(crate) fn wake(&mut self) {
        for waiter in self.waiters.drain(..) {
            if let Some(waiter) = waiter.upgrade() {
                waiter.notify_one();
            }
        }
    }

    /// Remembers that the batch after `offset` begins at `position` of the segment `base`.
    pub(crate) fn remember(&mut self, offset: i64, base: i64, position: u64) {
        self.places.retain(|place| place.offset != offset);
        if self.places.len() == PLACES_MAX {
            self.places.pop_front();
        }
        self.places.push_back(Place { offset, base, position });
    }

    /// Where in the segment `base` the batch that begins with `offset` lies, if that is remembered.
    pub(crate) fn place_of(&self, offset: i64, base: i64) -> Option<u64> {
        self.places.iter().find(|place| place.offset == offset && place.base == base).map(|place| place.position)
    }

    /// Takes over segments that compaction has written in place of those before `cleaned`.
    pub(crate) fn swap(&mut self, segments: Vec<SegmentPoint>, cleaned: i64) {
        self.segments = segments;
        self.cleaned = cleaned;
        // Nothing that was aborted is left before there.
        self.transactions.forget_before(cleaned);
        self.places.clear();
    }
}
