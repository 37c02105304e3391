//! The task: which partition a record belongs to, when memory must be relieved, and the answers that the worker gets.
//!
//! What happens to one partition is decided in [`partition`](crate::partition). Here is what concerns all of them: the bound
//! on memory, the order of a flush, and errors. A `put` that fails took nothing; a flush that achieved something says so first
//! and fails, if it must, when called again.

use std::sync::Arc;
use std::time::Duration;

use towpath_model::{Batch, Clock, ConnectorError, Flushed, Position, RecordError, TopicPartition};

use crate::metrics::Counts;
use crate::partition::{Partition, Taken};
use crate::place::{self, Folders};
use crate::store::{self, StoreError};
use crate::{Settings, Store};

/// From here on an object is streamed instead of kept: the smallest part that S3 takes.
const STREAM_BYTES: usize = 5 * 1024 * 1024;
/// The host keeps the handles of a task within bounds, and each upload holds memory there.
const UPLOADS_MAX: usize = 128;
/// When memory is full: about the time of a flush.
const ROOM_PAUSE: Duration = Duration::from_millis(10);

/// The task of an S3 sink.
pub struct S3Sink<S: Store> {
    settings: Settings,
    store: S,
    clock: Arc<dyn Clock>,
    buffer_bytes_max: usize,
    /// Sorted by topic and number.
    partitions: Vec<Partition<S::Upload>>,
    counts: Counts,
    notes: Vec<String>,
}

impl<S: Store> S3Sink<S> {
    /// A task without partitions.
    pub fn new(settings: Settings, store: S, clock: Arc<dyn Clock>, buffer_bytes_max: u64) -> Self {
        let buffer_bytes_max = usize::try_from(buffer_bytes_max).unwrap_or(usize::MAX);
        Self {
            settings,
            store,
            clock,
            buffer_bytes_max,
            partitions: Vec::new(),
            counts: Counts::default(),
            notes: Vec::new(),
        }
    }

    /// Takes partitions on, each from its offset.
    pub fn assigned(&mut self, positions: &[Position]) {
        for position in positions {
            let folders = place::read(&self.settings.store_name(), &position.metadata).unwrap_or_else(|store| {
                self.notes.push(format!(
                    "{}-{} was written to {store} before; if that ended in a crash, one object there may hold offsets from {} on",
                    position.topic, position.partition, position.offset
                ));
                Folders::new()
            });
            let partition = Partition::new(position, folders);
            match self.find(&position.topic, position.partition) {
                Ok(at) => self.partitions[at] = partition,
                Err(at) => self.partitions.insert(at, partition),
            }
        }
    }

    /// Forgets partitions and what is buffered of them.
    pub fn revoked(&mut self, partitions: &[TopicPartition]) {
        let is_gone = |partition: &Partition<S::Upload>| {
            partitions.iter().any(|gone| gone.topic == partition.topic && gone.partition == partition.number)
        };
        self.partitions.retain(|partition| !is_gone(partition));
    }

    /// Takes records in.
    ///
    /// # Errors
    /// When memory is full no record is taken: throttled while flushes make room, retriable where the store takes nothing.
    /// Records whose value cannot stand in an object of this format are refused; all others were taken.
    pub fn put(&mut self, records: &Batch) -> Result<(), ConnectorError> {
        if self.held_bytes() > self.buffer_bytes_max {
            self.relieve().map_err(store::told)?;
            if self.held_bytes() > self.buffer_bytes_max {
                return Err(ConnectorError::Throttled { after: ROOM_PAUSE });
            }
        }
        let now_ms = self.clock.now_ms();
        let mut refused = Vec::new();
        let mut run = std::ptr::null();
        let mut at = 0;
        for record in records.records() {
            if !std::ptr::eq(run, record.run) {
                run = record.run;
                at = self.find(record.origin(), record.run.partition).map_err(|_| {
                    let partition = record.run.partition;
                    ConnectorError::fatal(format!("{}-{partition} was not assigned to this task", record.origin()))
                })?;
            }
            let partition = &mut self.partitions[at];
            let offset = record.offset.ok_or_else(|| ConnectorError::fatal("records came without offsets"))?;
            let expected = partition.expects(offset).map_err(|_| {
                ConnectorError::fatal(format!(
                    "{}-{} was not read again from where it was asked for; restart the task",
                    partition.topic, partition.number
                ))
            })?;
            if !expected {
                continue;
            }
            match partition.append(&self.settings, record.topic(), offset, record.value, now_ms) {
                Ok(Taken::Written) => {}
                Ok(Taken::Ignored) => self.counts.null_values_ignored += 1,
                Err(error) => refused.push(RecordError {
                    index: u32::try_from(record.index).unwrap_or(u32::MAX),
                    code: error.code().to_owned(),
                    reason: error.to_string(),
                    retriable: false,
                }),
            }
        }
        // The batch is taken. If the store takes nothing now, the next put says so before it takes anything.
        let _ = self.relieve();
        if refused.is_empty() { Ok(()) } else { Err(ConnectorError::Records(refused)) }
    }

    /// Completes what is due, one group of objects a partition.
    ///
    /// # Errors
    /// When nothing was achieved, and why.
    pub fn flush(&mut self, handed_over: &[Position]) -> Result<Flushed, ConnectorError> {
        let now_ms = self.clock.now_ms();
        let mut flushed = Flushed::default();
        let mut standing = Vec::new();
        let mut failed: Option<StoreError> = None;
        for partition in &mut self.partitions {
            partition.settle();
            flushed.rewinds.extend(partition.rewind());
            if failed.as_ref().is_some_and(store::concerns_all) {
                standing.push(partition.standing(&self.settings));
                continue;
            }
            let position = handed_over
                .iter()
                .find(|position| position.topic == partition.topic && position.partition == partition.number)
                .map(|position| position.offset);
            match partition.flush(&mut self.store, &self.settings, position, now_ms, &mut self.counts) {
                Ok(reported) => flushed.offsets.extend(reported),
                Err(error) => {
                    standing.push(partition.standing(&self.settings));
                    failed = Some(error);
                }
            }
        }
        self.counts.rewinds += flushed.rewinds.len() as u64;
        if !flushed.offsets.is_empty() || !flushed.rewinds.is_empty() {
            // Of a partition left out, the worker would commit what it knows to be filtered, though it is not swept yet.
            flushed.offsets.append(&mut standing);
            return Ok(flushed);
        }
        let lost = self.partitions.iter().find_map(Partition::untold_loss);
        let Some(error) = failed.or(lost) else { return Ok(flushed) };
        self.partitions.iter_mut().for_each(Partition::loss_is_told);
        Err(store::told(error))
    }

    /// Milliseconds until a flush has something to do.
    pub fn next_flush_ms(&self) -> Option<u64> {
        let now_ms = self.clock.now_ms();
        self.partitions.iter().filter_map(|partition| partition.next_flush_ms(&self.settings, now_ms)).min()
    }

    /// The counts since they were last taken.
    pub fn counts(&mut self) -> &mut Counts {
        &mut self.counts
    }

    /// Sentences for the log since they were last taken.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn find(&self, topic: &str, number: i32) -> Result<usize, usize> {
        self.partitions.binary_search_by(|partition| (&*partition.topic, partition.number).cmp(&(topic, number)))
    }

    fn held_bytes(&self) -> usize {
        self.partitions.iter().map(Partition::held_bytes).sum()
    }

    /// Sends large objects on, and when memory is full smaller ones too. Where that is not enough, objects are closed before
    /// their time, the largest first: a closed one holds no compressor, and the next flush is free to complete it.
    fn relieve(&mut self) -> Result<(), StoreError> {
        let large = STREAM_BYTES.min(self.buffer_bytes_max / 4);
        self.stream(large, large)?;
        let mut held = self.held_bytes();
        while held > self.buffer_bytes_max {
            let largest = self.partitions.iter().map(Partition::largest_open).max().unwrap_or(0);
            self.stream(largest / 2, large)?;
            if std::mem::replace(&mut held, self.held_bytes()) <= held {
                break;
            }
        }
        while self.held_bytes() > self.buffer_bytes_max {
            let open = self.partitions.iter_mut().max_by_key(|partition| partition.open_bytes());
            let Some(open) = open.filter(|partition| partition.open_bytes() > 0) else { break };
            open.close_last();
        }
        Ok(())
    }

    fn stream(&mut self, at_least: usize, closed_at_least: usize) -> Result<(), StoreError> {
        let under_way = self.partitions.iter().map(Partition::uploads).sum();
        let mut left = UPLOADS_MAX.saturating_sub(under_way);
        let store = &mut self.store;
        self.partitions
            .iter_mut()
            .try_for_each(|partition| partition.stream(store, at_least, closed_at_least, &mut left))
    }
}
