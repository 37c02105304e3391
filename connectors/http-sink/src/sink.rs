//! The task: records become entries, fates become the worker's errors, and an endpoint that asked for a pause gets it.
//!
//! Without `linger.ms`, `put` sends and answers for each record, and there is nothing to flush. With it, `put` queues and `flush`
//! sends; what fails stays in the [`queue`](crate::queue), so the order of a key holds there too.
//! Invariant 1: a record counts as delivered after a 2xx for its request, and not before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use towpath_model::{Batch, Clock, ConnectorError, Flushed, Position, Reason, Record, RecordError, TopicPartition};

use crate::answer::{Failure, Fault};
use crate::dispatch::{Fate, Misconfigured, Outcome, dispatch};
use crate::packet::Entry;
use crate::queue::Queue;
use crate::{Client, Counts, Error, NullValues, Settings};

/// What was delivered is committed within this time, so that little is repeated after a crash.
const COMMIT_WITHIN_MS: i64 = 100;

/// What is queued is sent before more is taken; a worker that is told to wait so little flushes first.
const ROOM_PAUSE: Duration = Duration::from_millis(10);

/// The task of an HTTP sink.
pub struct HttpSink<C> {
    settings: Settings,
    client: C,
    clock: Arc<dyn Clock>,
    buffer_bytes_max: usize,
    queue: Queue,
    /// What was reported as safe, so that only progress is reported.
    reported: BTreeMap<TopicPartition, i64>,
    /// When the first record was delivered that no flush has reported.
    delivered_ms: Option<i64>,
    /// The endpoint asked not to be bothered before this time.
    pause: Option<(i64, Reason)>,
    counts: Counts,
}

impl<C: Client> HttpSink<C> {
    /// A task without partitions.
    pub fn new(settings: Settings, client: C, clock: Arc<dyn Clock>, buffer_bytes_max: u64) -> Self {
        let buffer_bytes_max = usize::try_from(buffer_bytes_max).unwrap_or(usize::MAX);
        Self {
            settings,
            client,
            clock,
            buffer_bytes_max,
            queue: Queue::default(),
            reported: BTreeMap::new(),
            delivered_ms: None,
            pause: None,
            counts: Counts::default(),
        }
    }

    /// Takes partitions on.
    pub fn assigned(&mut self, positions: &[Position]) {
        for position in positions {
            self.queue.forget(&position.topic, position.partition);
            let partition = TopicPartition::new(position.topic.clone(), position.partition);
            self.reported.insert(partition, position.offset);
        }
    }

    /// Forgets partitions and what is queued of them.
    pub fn revoked(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.queue.forget(&partition.topic, partition.partition);
            self.reported.remove(partition);
        }
    }

    /// Sends records, or queues them when there is time to linger.
    ///
    /// # Errors
    /// Records that were not accepted, the passing ones marked as retriable together with those behind them on their key. When
    /// nothing of the batch went through and nothing was refused: retriable as a whole, with the wait asked for.
    pub fn put(&mut self, records: &Batch) -> Result<(), ConnectorError> {
        let now_ms = self.clock.now_ms();
        self.honour_pause(now_ms)?;
        if self.settings.linger_ms > 0 {
            return self.queue_up(records, now_ms);
        }
        let (mut errors, mut ignored) = (Vec::new(), 0);
        let mut entries = Vec::with_capacity(records.len());
        let mut indexes = Vec::with_capacity(records.len());
        for record in records.records() {
            match self.entry(&record) {
                Ok(Some(entry)) => {
                    entries.push(entry);
                    indexes.push(record.index);
                }
                Ok(None) => ignored += 1,
                Err(error) => errors.push(error),
            }
        }
        let outcome =
            dispatch(&mut self.client, &self.settings, &entries, now_ms, &mut self.counts).map_err(config_error)?;
        self.remember_pause(outcome.failure.as_ref(), now_ms);
        if let Some(failure) = nothing_happened(&outcome).filter(|_| errors.is_empty()) {
            return Err(retriable(failure));
        }
        self.counts.null_values_ignored += ignored;
        self.delivered_ms.get_or_insert(now_ms);
        errors.extend(record_errors(outcome, &indexes));
        errors.sort_by_key(|error| error.index);
        if errors.is_empty() { Ok(()) } else { Err(ConnectorError::Records(errors)) }
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// When nothing went through, and why. What is queued stays.
    pub fn flush(&mut self, handed_over: &[Position]) -> Result<Flushed, ConnectorError> {
        let now_ms = self.clock.now_ms();
        self.delivered_ms = None;
        let mut flushed = Flushed::default();
        let mut failure = None;
        if !self.queue.is_empty() {
            self.honour_pause(now_ms)?;
            (flushed.late_errors, failure) = self.send_queue(now_ms)?;
        }
        for position in self.queue.safe(handed_over) {
            let partition = TopicPartition::new(position.topic.clone(), position.partition);
            let reported = self.reported.entry(partition).or_insert(i64::MIN);
            if position.offset > *reported {
                *reported = position.offset;
                flushed.offsets.push(position);
            }
        }
        match failure {
            Some(failure) if flushed.offsets.is_empty() && flushed.late_errors.is_empty() => Err(retriable(failure)),
            _ => Ok(flushed),
        }
    }

    /// Milliseconds until a flush has something to do.
    pub fn next_flush_ms(&self) -> Option<u64> {
        let now_ms = self.clock.now_ms();
        if self.queue.is_empty() {
            let due_ms = self.delivered_ms?.saturating_add(COMMIT_WITHIN_MS);
            return Some(u64::try_from(due_ms.saturating_sub(now_ms)).unwrap_or(0));
        }
        if let Some((until_ms, _)) = &self.pause {
            return Some(u64::try_from(until_ms.saturating_sub(now_ms)).unwrap_or(0));
        }
        let is_full = self.queue.len() >= self.settings.batch_max_size || self.queue.bytes() >= self.buffer_bytes_max;
        let due_ms = if is_full { now_ms } else { self.queue.since_ms().saturating_add(self.settings.linger_ms) };
        Some(u64::try_from(due_ms.saturating_sub(now_ms)).unwrap_or(0))
    }

    /// The counts since they were last taken.
    pub fn counts(&mut self) -> &mut Counts {
        &mut self.counts
    }

    /// The record's entry, or none when it is to be ignored.
    fn entry<'a>(&self, record: &Record<'a>) -> Result<Option<Entry<'a>>, RecordError> {
        let refused = |error: Error| RecordError {
            index: u32::try_from(record.index).unwrap_or(u32::MAX),
            code: error.code().to_owned(),
            reason: error.to_string(),
            retriable: false,
        };
        match (record.value.bytes, self.settings.null_values) {
            (None, NullValues::Ignore) => return Ok(None),
            (None, NullValues::Fail) => return Err(refused(Error::Null)),
            _ => {}
        }
        Entry::new(self.settings.mode, record.key.bytes, record.value).map(Some).map_err(refused)
    }

    fn queue_up(&mut self, records: &Batch, now_ms: i64) -> Result<(), ConnectorError> {
        if self.queue.bytes() >= self.buffer_bytes_max {
            return Err(ConnectorError::Throttled { after: ROOM_PAUSE });
        }
        let mut errors = Vec::new();
        for record in records.records() {
            let offset = record.offset.ok_or_else(|| ConnectorError::fatal("records came without offsets"))?;
            match self.entry(&record) {
                Ok(Some(entry)) => self.queue.push(&record, offset, entry, now_ms),
                Ok(None) => self.counts.null_values_ignored += 1,
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(ConnectorError::Records(errors)) }
    }

    fn send_queue(&mut self, now_ms: i64) -> Result<(Vec<towpath_model::LateError>, Option<Failure>), ConnectorError> {
        let entries = self.queue.entries();
        let outcome =
            dispatch(&mut self.client, &self.settings, &entries, now_ms, &mut self.counts).map_err(config_error)?;
        self.remember_pause(outcome.failure.as_ref(), now_ms);
        Ok((self.queue.settle(&outcome, now_ms), outcome.failure))
    }

    fn honour_pause(&mut self, now_ms: i64) -> Result<(), ConnectorError> {
        match &self.pause {
            Some((until_ms, reason)) if *until_ms > now_ms => {
                let after = Duration::from_millis(u64::try_from(until_ms.saturating_sub(now_ms)).unwrap_or(0));
                Err(ConnectorError::Retriable { reason: reason.clone(), after: Some(after) })
            }
            _ => {
                self.pause = None;
                Ok(())
            }
        }
    }

    fn remember_pause(&mut self, failure: Option<&Failure>, now_ms: i64) {
        self.pause = failure.and_then(|failure| {
            let after_ms = i64::try_from(failure.after?.as_millis()).unwrap_or(i64::MAX);
            Some((now_ms.saturating_add(after_ms), failure.fault.clone().into()))
        });
    }
}

fn config_error(Misconfigured(reason): Misconfigured) -> ConnectorError {
    ConnectorError::config("http.url", reason)
}

fn retriable(failure: Failure) -> ConnectorError {
    ConnectorError::Retriable { reason: failure.fault.into(), after: failure.after }
}

/// The failure, when nothing was accepted and nothing refused.
fn nothing_happened(outcome: &Outcome) -> Option<Failure> {
    let is_open = |fate: &Fate| matches!(fate, Fate::Failed(_) | Fate::Behind);
    outcome.failure.clone().filter(|_| outcome.fates.iter().all(is_open))
}

fn record_errors(outcome: Outcome, indexes: &[usize]) -> impl Iterator<Item = RecordError> {
    let behind = outcome.failure.map(|failure| failure.fault.reason).unwrap_or_default();
    let behind =
        Fault { code: "http.not_sent", reason: format!("not sent, because of what failed before it: {behind}") };
    outcome.fates.into_iter().zip(indexes).filter_map(move |(fate, index)| {
        let (fault, retriable) = match fate {
            Fate::Accepted => return None,
            Fate::Refused(fault) => (fault, false),
            Fate::Failed(fault) => (fault, true),
            Fate::Behind => (behind.clone(), true),
        };
        let index = u32::try_from(*index).unwrap_or(u32::MAX);
        Some(RecordError { index, code: fault.code.to_owned(), reason: fault.reason, retriable })
    })
}
