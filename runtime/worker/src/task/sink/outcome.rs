//! What the guest's answers mean: records delivered, refused or to be repeated, offsets that are safe, pauses.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;
use towpath_log::{Fetch, LogEngine};
use towpath_model::{Batch, Coded, ConnectorError, Flushed, Kind, LateError, Position, RecordError, TopicPartition};

use super::assignment;
use super::deferred::{Deferring, id_of};
use super::driver::{Answer, Driver};
use super::fetch::Refusing;
use super::machine::{Event, Step};
use crate::errors::Stage;
use crate::settings::Reset;
use crate::task::{Failure, Notice, wait_of};

/// The least time between a flush and the next one that no put has asked for.
const FLUSH_PAUSE: Duration = Duration::from_millis(10);
/// A connector that asks to wait for less before a put has no trouble with the other side: it makes room.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(1);
/// The most bytes read to find one record again.
const ONE_RECORD_BYTES: usize = 1 << 20;

impl Driver {
    pub(super) async fn answered(&mut self, answer: Answer) -> Result<Event, Failure> {
        match answer {
            Answer::Opened(Ok(())) => {
                if self.retrying.is_at(Stage::Open) {
                    self.retrying.worked();
                }
                self.task.notice(Notice::Opened).await;
                Ok(Event::Opened)
            }
            Answer::Opened(Err(error)) => self.failed(Step::Open, "opening the connector", &error),
            Answer::Reassigned(Ok(next)) => {
                self.told = self.lanes.partitions().cloned().collect();
                self.show_lag();
                self.flush_within(next);
                Ok(Event::Reassigned { any: !self.lanes.is_empty() })
            }
            Answer::Reassigned(Err(error)) => self.failed(Step::Reassign, "taking over partitions", &error),
            Answer::Put(put, next) => {
                let next = next.map_err(|error| self.task.failure("asking for the next flush", &error));
                self.tracking.was_put(&self.task, put.as_ref().copied());
                let event = self.put_answered(put)?;
                if !self.delivery.more() {
                    self.tracking.over(&self.task);
                }
                self.flush_within(next?);
                Ok(event)
            }
            Answer::Flushed(Ok((flushed, next))) => {
                self.tracking.was_flushed(&self.task, Ok(()));
                self.flush_at = next.map(|next| Instant::now() + next.max(FLUSH_PAUSE));
                self.flushed(flushed).await
            }
            Answer::Flushed(Err(error)) => {
                self.tracking.was_flushed(&self.task, Err(&error));
                self.failed(Step::Flush, "flushing", &error)
            }
        }
    }

    fn put_answered(&mut self, put: Result<(), ConnectorError>) -> Result<Event, Failure> {
        let (mut after, mut again) = (None, Vec::new());
        let errors = match put {
            Ok(()) => Vec::new(),
            Err(ConnectorError::Records(errors)) => errors,
            Err(ConnectorError::Throttled { after }) if after < ROOM_WAIT_MAX => {
                self.pause_ends = Some(Instant::now() + after);
                return Ok(Event::Failed(Step::Put));
            }
            Err(error) => match self.set_apart(&error) {
                Some(apart) => {
                    after = wait_of(&error);
                    again = apart.others;
                    apart.failed
                }
                None => return self.failed(Step::Put, "putting records", &error),
            },
        };
        let failed: HashSet<u32> = errors.iter().map(|error| error.index).collect();
        let (passing, mut refused): (Vec<_>, Vec<_>) = errors.into_iter().partition(|error| error.retriable);
        let has_room = |deferring: &Deferring| self.delivery.is_deferred() || deferring.has_room();
        let (mut delay, mut deferred) = (None, 0);
        if self.deferring.as_ref().is_some_and(has_room) {
            deferred = passing.len();
            let given_up = self.defer(passing, after)?;
            deferred -= given_up.len();
            refused.extend(given_up);
        } else if let Some(first) = passing.first() {
            let cause = self.task.redactor.redact(&first.reason).into_owned();
            delay = self.retrying.failed(Stage::Put, &first.code, cause, None);
            match delay {
                Some(_) => again.extend(passing.iter().map(|error| error.index)),
                None => refused.extend(passing),
            }
        }
        self.refuse(refused)?;
        self.taken(&failed);
        let bytes = self.delivery.chunk_bytes();
        let settled = self.delivery.settle(&again, &mut self.lanes).saturating_sub(deferred);
        self.seal_deferred();
        let meters = &self.task.meters;
        meters.records.add(settled as u64);
        if let Some(delay) = delay {
            self.pause_ends = Some(Instant::now() + delay);
            return Ok(Event::Failed(Step::Put));
        }
        self.retrying.worked();
        if settled > 0 {
            meters.bytes.add(bytes as u64);
            meters.progress(self.task.shared.clock.now_ms());
        }
        Ok(Event::Put { more: self.delivery.more() })
    }

    /// Applies the rules to records of the chunk that the guest refused for good.
    fn refuse(&mut self, mut refused: Vec<RecordError>) -> Result<(), Failure> {
        if refused.is_empty() {
            return Ok(());
        }
        refused.sort_by_key(|error| error.index);
        let now_ms = self.task.shared.clock.now_ms();
        let mut deferring = self.deferring.as_mut().filter(|_| self.delivery.is_deferred());
        let mut refusing = Refusing::new(&self.task, &self.settings, &mut self.dead_letters);
        for error in refused {
            let record = self.delivery.consumed(error.index).ok_or_else(not_given)?;
            let class = &self.task.plugin.spec().name;
            refusing.refuse(&record, Stage::Put, class, &error.code, &error.reason)?;
            if let Some(deferring) = &mut deferring {
                deferring.done(&id_of(&record), now_ms);
            }
        }
        let letters = refusing.finish();
        match deferring {
            Some(deferring) => deferring.dead_letters(letters),
            None => self.letters.add(letters),
        }
        Ok(())
    }

    async fn flushed(&mut self, flushed: Flushed) -> Result<Event, Failure> {
        if self.retrying.is_at(Stage::Flush) {
            self.retrying.worked();
        }
        let (mut late_again, mut late): (Vec<LateError>, Vec<LateError>) =
            flushed.late_errors.into_iter().partition(|late| late.retriable);
        let mut deferred_late = Vec::new();
        if self.deferring.as_ref().is_some_and(Deferring::has_room) {
            deferred_late = std::mem::take(&mut late_again);
        }
        let mut rewinds = flushed.rewinds;
        // What may pass is read and put again from there on; order per partition holds, what stood behind is repeated.
        rewinds.extend(late_again.iter().map(rewind_to));
        if let Some(first) = late_again.first() {
            let cause = self.task.redactor.redact(&first.reason).into_owned();
            let delay = self.retrying.failed(Stage::Flush, &first.code, cause, None);
            self.pause_ends = Some(Instant::now() + delay.unwrap_or_default());
        }
        for error in deferred_late {
            if !self.defer_late(&error).await? {
                late.push(error);
            }
        }
        for late in &late {
            self.refuse_late(late).await?;
        }
        let handed_over = self.lanes.handed_over();
        self.lanes.flushed(&flushed.offsets);
        let refetch = !rewinds.is_empty();
        if refetch {
            self.lanes.give_up_repeating();
            self.delivery = super::put::Delivery::default();
            if let Some(deferring) = &mut self.deferring {
                deferring.recall_delivery();
            }
            for position in &rewinds {
                let partition = partition_of(position);
                self.lanes.rewind(position);
                self.letters.rewind(&partition, position.offset);
                if let Some(deferring) = &mut self.deferring {
                    deferring.rewound(&partition, position.offset);
                }
            }
        }
        if let Some(deferring) = &mut self.deferring {
            // Where the guest vouches for less than it was handed over, it may hold deferred records as well.
            let ends: HashMap<_, _> = handed_over.iter().map(|end| (partition_of(end), end.offset)).collect();
            let behind = |safe: &&Position| ends.get(&partition_of(safe)).is_some_and(|end| safe.offset < *end);
            let holds: HashSet<_> = flushed.offsets.iter().filter(behind).map(partition_of).collect();
            deferring.flushed(|partition| holds.contains(partition), self.task.shared.clock.now_ms());
        }
        self.seal_deferred();
        let unwritten = self.deferring.as_ref().is_some_and(Deferring::must_commit);
        let commit = !self.lanes.to_commit(&self.group).is_empty() || self.letters.too_many() || unwritten;
        Ok(Event::Flushed { commit, refetch, pause: !late_again.is_empty() })
    }

    async fn refuse_late(&mut self, late: &LateError) -> Result<(), Failure> {
        let (batch, was_deferred) = self.consumed_late(late).await?;
        let record = batch.records().find(|record| record.offset == Some(late.offset)).ok_or_else(|| lost(late))?;
        let mut refusing = Refusing::new(&self.task, &self.settings, &mut self.dead_letters);
        refusing.refuse(&record, Stage::Flush, &self.task.plugin.spec().name, &late.code, &late.reason)?;
        let letters = refusing.finish();
        match &mut self.deferring {
            Some(deferring) if was_deferred => {
                deferring.dead_letters(letters);
                deferring.done(&id_of(&record), self.task.shared.clock.now_ms());
            }
            _ => self.letters.add(letters),
        }
        Ok(())
    }

    fn failed(&mut self, step: Step, doing: &str, error: &ConnectorError) -> Result<Event, Failure> {
        let failure = self.task.failure(doing, error);
        if error.kind() != Kind::Retry {
            return Err(failure);
        }
        let stage = match step {
            Step::Open | Step::Reassign => Stage::Open,
            Step::Put => Stage::Put,
            Step::Flush => Stage::Flush,
        };
        self.task.note_error("", error.code(), failure.message.clone());
        let cause = self.task.redactor.redact(&error.to_string()).into_owned();
        let delay = self.retrying.failed(stage, error.code(), cause, wait_of(error)).ok_or(failure)?;
        self.pause_ends = Some(Instant::now() + delay);
        Ok(Event::Failed(step))
    }

    /// The log no longer holds what comes next: retention was faster than this sink.
    pub(super) fn out_of_range(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), Failure> {
        let ends = self.task.shared.log.offsets(partition);
        let ends = ends.map_err(|error| Failure::log("looking up a partition", &error))?;
        let to = assignment::reset(partition, Some(offset), ends, self.sink_settings.out_of_range)?;
        debug_assert!(self.sink_settings.out_of_range != Reset::Fail, "that policy has failed the task");
        self.task.meters.out_of_range.add(1);
        self.task.note_error(
            "",
            "log.offset_out_of_range",
            format!("offset {offset} of {partition} is gone; going on at {to}"),
        );
        self.lanes.jump(partition, to);
        Ok(())
    }

    /// Flushes within the guest's wish, and within the worker's interval in any case.
    fn flush_within(&mut self, wish: Option<Duration>) {
        let wish = wish.unwrap_or(self.sink_settings.commit_interval).min(self.sink_settings.commit_interval);
        let at = Instant::now() + wish;
        self.flush_at = Some(self.flush_at.map_or(at, |before| before.min(at)));
    }

    pub(super) fn show_lag(&mut self) {
        let log = self.task.shared.log.clone();
        let high_watermark = |partition: &TopicPartition| log.offsets(partition).ok().map(|ends| ends.high_watermark);
        self.task.meters.partitions(self.lanes.progress(high_watermark));
    }
}

fn partition_of(position: &Position) -> TopicPartition {
    TopicPartition::new(position.topic.clone(), position.partition)
}

pub(super) fn not_given() -> Failure {
    Failure::internal("the connector refused a record that it was not given")
}

pub(super) fn lost(late: &LateError) -> Failure {
    let LateError { topic, partition, offset, .. } = late;
    Failure::internal(format!("record at {topic}-{partition}, offset {offset}, is not in the log any more"))
}

fn rewind_to(late: &LateError) -> Position {
    Position { topic: late.topic.clone(), partition: late.partition, offset: late.offset, metadata: String::new() }
}

/// Reads one record of the log again.
pub(super) async fn consumed_again(
    log: &dyn LogEngine,
    partition: &TopicPartition,
    offset: i64,
) -> Result<Batch, Failure> {
    let fetch = [Fetch { partition: partition.clone(), offset }];
    let fetched = log.fetch(&fetch, ONE_RECORD_BYTES, Duration::ZERO).await;
    let fetched = fetched.map_err(|error| Failure::log("reading a refused record again", &error))?;
    Ok(fetched.into_iter().next().map(|fetched| fetched.records).unwrap_or_default())
}
