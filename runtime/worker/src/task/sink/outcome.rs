//! What the guest's answers mean: records delivered, refused or to be repeated, offsets that are safe, pauses.

use std::time::Duration;

use tokio::time::Instant;
use towpath_log::{Fetch, LogEngine};
use towpath_model::{Batch, Coded, ConnectorError, Flushed, Kind, LateError, Position, RecordError, TopicPartition};

use super::assignment;
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
        let refused = match put {
            Ok(()) => Vec::new(),
            Err(ConnectorError::Records(refused)) => refused,
            Err(ConnectorError::Throttled { after }) if after < ROOM_WAIT_MAX => {
                self.pause_ends = Some(Instant::now() + after);
                return Ok(Event::Failed(Step::Put));
            }
            Err(error) => return self.failed(Step::Put, "putting records", &error),
        };
        let (again, refused): (Vec<&RecordError>, Vec<_>) = refused.iter().partition(|error| error.retriable);
        let delay = match again.first() {
            Some(first) => {
                let cause = self.task.redactor.redact(&first.reason).into_owned();
                self.retrying.failed(Stage::Put, &first.code, cause, None)
            }
            None => None,
        };
        let (again, given_up) = if delay.is_some() { (again, vec![]) } else { (vec![], again) };
        self.refuse(refused.into_iter().chain(given_up).collect())?;
        let bytes = self.delivery.chunk_bytes();
        let settled = self.delivery.settle(&again, &mut self.lanes);
        let meters = &self.task.meters;
        meters.records.add(settled as u64);
        if let Some(delay) = delay {
            self.pause_ends = Some(Instant::now() + delay);
            return Ok(Event::Failed(Step::Put));
        }
        self.retrying.worked();
        meters.bytes.add(bytes as u64);
        meters.progress(self.task.shared.clock.now_ms());
        Ok(Event::Put { more: self.delivery.more() })
    }

    /// Applies the rules to records of the chunk that the guest refused for good.
    fn refuse(&mut self, mut refused: Vec<&RecordError>) -> Result<(), Failure> {
        if refused.is_empty() {
            return Ok(());
        }
        refused.sort_by_key(|error| error.index);
        let mut refusing = Refusing::new(&self.task, &self.settings, &mut self.dead_letters);
        for error in refused {
            let record = self.delivery.consumed(error.index);
            let record =
                record.ok_or_else(|| Failure::internal("the connector refused a record that it was not given"))?;
            let class = &self.task.plugin.spec().name;
            refusing.refuse(&record, Stage::Put, class, &error.code, &error.reason)?;
        }
        self.letters.add(refusing.finish());
        Ok(())
    }

    async fn flushed(&mut self, flushed: Flushed) -> Result<Event, Failure> {
        if self.retrying.is_at(Stage::Flush) {
            self.retrying.worked();
        }
        let (late_again, late): (Vec<LateError>, Vec<LateError>) =
            flushed.late_errors.into_iter().partition(|late| late.retriable);
        let mut rewinds = flushed.rewinds;
        // What may pass is read and put again from there on; order per partition holds, what stood behind is repeated.
        rewinds.extend(late_again.iter().map(rewind_to));
        if let Some(first) = late_again.first() {
            let cause = self.task.redactor.redact(&first.reason).into_owned();
            let delay = self.retrying.failed(Stage::Flush, &first.code, cause, None);
            self.pause_ends = Some(Instant::now() + delay.unwrap_or_default());
        }
        for late in &late {
            self.refuse_late(late).await?;
        }
        self.lanes.flushed(&flushed.offsets);
        let refetch = !rewinds.is_empty();
        if refetch {
            self.lanes.give_up_repeating();
            self.delivery = super::put::Delivery::default();
            for position in &rewinds {
                self.lanes.rewind(position);
                self.letters.rewind(&TopicPartition::new(position.topic.clone(), position.partition), position.offset);
            }
        }
        let commit = !self.lanes.to_commit(&self.group).is_empty() || self.letters.too_many();
        Ok(Event::Flushed { commit, refetch, pause: !late_again.is_empty() })
    }

    async fn refuse_late(&mut self, late: &LateError) -> Result<(), Failure> {
        let partition = TopicPartition::new(late.topic.clone(), late.partition);
        let batch = consumed_again(self.task.shared.log.as_ref(), &partition, late.offset).await?;
        let record = batch.records().find(|record| record.offset == Some(late.offset));
        let record = record.ok_or_else(|| {
            Failure::internal(format!("record at {partition}, offset {}, is not in the log any more", late.offset))
        })?;
        let mut refusing = Refusing::new(&self.task, &self.settings, &mut self.dead_letters);
        refusing.refuse(&record, Stage::Flush, &self.task.plugin.spec().name, &late.code, &late.reason)?;
        self.letters.add(refusing.finish());
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
