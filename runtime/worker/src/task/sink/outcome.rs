//! What the guest's answers mean: records delivered, refused or to be repeated, offsets that are safe, pauses.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;
use towpath_log::{Fetch, LogEngine};
use towpath_model::{Batch, Coded, ConnectorError, Flushed, Kind, LateError, Position, RecordError, TopicPartition};

use super::assignment;
use super::deferred::{Cause, Deferring, id_of, same_lane};
use super::driver::{Answer, Driver};
use super::fetch::Refusing;
use super::machine::{Event, Step};
use crate::answers::RecordId;
use crate::errors::Stage;
use crate::settings::Reset;
use crate::store::read_given;
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
                let event = self.put_answered(put)?;
                self.flush_within(next?);
                Ok(event)
            }
            Answer::Flushed(Ok((flushed, next))) => {
                self.flush_at = next.map(|next| Instant::now() + next.max(FLUSH_PAUSE));
                self.flushed(flushed).await
            }
            Answer::Flushed(Err(error)) => self.failed(Step::Flush, "flushing", &error),
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

    /// Which records of a batch that failed as a whole are deferred, if any are: all of one that was deferred before, and of another the
    /// first, with those of its key, once it has failed often enough.
    fn set_apart(&mut self, error: &ConnectorError) -> Option<Apart> {
        let deferring = self.deferring.as_mut().filter(|_| error.kind() == Kind::Retry)?;
        let consumed = self.delivery.chunk_consumed();
        let first = consumed.first()?;
        let is_deferred = self.delivery.is_deferred();
        if !is_deferred && (matches!(error, ConnectorError::Throttled { .. }) || !deferring.failed_as_a_whole()) {
            return None;
        }
        let mut apart = Apart::default();
        for (index, record) in (0..).zip(&consumed) {
            if is_deferred || same_lane(first, record) {
                let (code, reason) = (error.code().to_owned(), error.to_string());
                apart.failed.push(RecordError { index, code, reason, retriable: true });
            } else {
                apart.others.push(index);
            }
        }
        Some(apart)
    }

    /// Records of the chunk that may pass when repeated wait for that while others pass them. Answers those that have been tried
    /// often enough.
    fn defer(&mut self, passing: Vec<RecordError>, after: Option<Duration>) -> Result<Vec<RecordError>, Failure> {
        let Some(deferring) = &mut self.deferring else { return Ok(passing) };
        if passing.is_empty() {
            deferring.went_through();
            return Ok(passing);
        }
        let now_ms = self.task.shared.clock.now_ms();
        let consumed = self.delivery.chunk_consumed();
        let mut given_up = Vec::new();
        for (number, error) in passing.into_iter().enumerate() {
            let record = consumed.get(error.index as usize).ok_or_else(not_given)?;
            let reason = &*self.task.redactor.redact(&error.reason);
            let cause = Cause { code: &error.code, reason, after };
            let waits = match self.delivery.is_deferred() {
                true => deferring.failed_again(&id_of(record), cause, now_ms),
                false => deferring.defer(record, cause, now_ms),
            };
            if number == 0 {
                let place = record.offset.unwrap_or(-1);
                let message = format!(
                    "record at topic {}, partition {}, offset {place}: {reason}",
                    record.origin(),
                    record.run.partition
                );
                self.task.note_error(Stage::Put.name(), &error.code, message);
            }
            if waits {
                self.task.meters.retries.add(1);
            } else {
                given_up.push(error);
            }
        }
        Ok(given_up)
    }

    /// The guest has taken all of the chunk but for these.
    fn taken(&mut self, failed: &HashSet<u32>) {
        let Some(deferring) = self.deferring.as_mut().filter(|_| self.delivery.is_deferred()) else { return };
        let consumed = self.delivery.chunk_consumed();
        let taken = (0..).zip(&consumed).filter(|(index, _)| !failed.contains(index));
        deferring.handed(taken.map(|(_, record)| id_of(record)).collect());
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
                let partition = TopicPartition::new(position.topic.clone(), position.partition);
                self.lanes.rewind(position);
                self.letters.rewind(&partition, position.offset);
                if let Some(deferring) = &mut self.deferring {
                    deferring.rewound(&partition, position.offset);
                }
            }
        }
        if let Some(deferring) = &mut self.deferring {
            // Where the guest vouches for less than it was handed over, it may hold deferred records as well.
            let behind =
                |safe: &&Position| handed_over.iter().any(|end| is_same(end, safe) && safe.offset < end.offset);
            let holds: Vec<_> = flushed.offsets.iter().filter(behind).collect();
            let holds = |partition: &TopicPartition| holds.iter().any(|position| is_of(position, partition));
            deferring.flushed(holds, self.task.shared.clock.now_ms());
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

    /// As [`defer`](Self::defer), of a record that an earlier put took. Answers false when it has been tried often enough.
    async fn defer_late(&mut self, late: &LateError) -> Result<bool, Failure> {
        let (batch, was_deferred) = self.consumed_late(late).await?;
        let record = batch.records().find(|record| record.offset == Some(late.offset)).ok_or_else(|| lost(late))?;
        let Some(deferring) = &mut self.deferring else { return Ok(false) };
        let now_ms = self.task.shared.clock.now_ms();
        let reason = self.task.redactor.redact(&late.reason);
        let cause = Cause { code: &late.code, reason: &reason, after: None };
        self.task.meters.retries.add(1);
        Ok(match was_deferred {
            true => deferring.failed_again(&id_of(&record), cause, now_ms),
            false => deferring.defer(&record, cause, now_ms),
        })
    }

    /// A record that an earlier put took, as consumed, and whether it is one that was deferred.
    fn consumed_late(&self, late: &LateError) -> impl Future<Output = Result<(Batch, bool), Failure>> + Send + 'static {
        let log = self.task.shared.log.clone();
        let id = RecordId { topic: late.topic.clone(), partition: late.partition, offset: late.offset };
        let place =
            self.deferring.as_ref().and_then(|deferring| Some((deferring.topic().to_owned(), deferring.place(&id)?)));
        async move {
            match place {
                Some((topic, at)) => {
                    let read = read_given(log.as_ref(), &topic, &[(id, at)]).await;
                    Ok((read.map_err(|error| Failure::log("reading a deferred record again", &error))?, true))
                }
                None => Ok((consumed_again(log.as_ref(), &id.partition(), id.offset).await?, false)),
            }
        }
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

/// What is deferred of a batch that failed as a whole.
#[derive(Default)]
struct Apart {
    failed: Vec<RecordError>,
    /// The others are put again at once.
    others: Vec<u32>,
}

fn is_of(position: &Position, partition: &TopicPartition) -> bool {
    position.topic == partition.topic && position.partition == partition.partition
}

fn is_same(one: &Position, other: &Position) -> bool {
    one.topic == other.topic && one.partition == other.partition
}

fn not_given() -> Failure {
    Failure::internal("the connector refused a record that it was not given")
}

fn lost(late: &LateError) -> Failure {
    let LateError { topic, partition, offset, .. } = late;
    Failure::internal(format!("record at {topic}-{partition}, offset {offset}, is not in the log any more"))
}

fn rewind_to(late: &LateError) -> Position {
    Position { topic: late.topic.clone(), partition: late.partition, offset: late.offset, metadata: String::new() }
}

/// Reads one record of the log again.
async fn consumed_again(log: &dyn LogEngine, partition: &TopicPartition, offset: i64) -> Result<Batch, Failure> {
    let fetch = [Fetch { partition: partition.clone(), offset }];
    let fetched = log.fetch(&fetch, ONE_RECORD_BYTES, Duration::ZERO).await;
    let fetched = fetched.map_err(|error| Failure::log("reading a refused record again", &error))?;
    Ok(fetched.into_iter().next().map(|fetched| fetched.records).unwrap_or_default())
}
