//! The end of a source task: records, dead letters and source offsets in one commit.
//!
//! Invariants 1, 2, 4 and 5: the commit is whole or absent; there is one at a time, so a refused one is put right and repeated
//! before anything later is written; positions are handed on only when it is durable.
//!
//! With `transaction.boundary=connector` a commit ends where a transaction of the source does. What comes before its end is known
//! goes into a transaction of the log, which takes in any amount and shows nothing of it; the offsets come last.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use towpath_log::{Commit, Error as LogError, TransactionalProducer};
use towpath_model::{Batch, Checkpoint, Kind, crash_point};

use super::Ready;
use super::convert::{place, position_json, refuse, without};
use crate::creation::{Creation, KnownTopics};
use crate::errors::{Context, DeadLetters, Origin, Stage};
use crate::settings::{Boundary, TaskSettings};
use crate::store::{OWN_TOPIC, OffsetTopics};
use crate::task::failure::Refusal;
use crate::task::retry::Retrying;
use crate::task::topics::UsedTopics;
use crate::task::{Failure, Halt, Task, Wanted, pause};

/// Topics that one task may write to.
const TOPICS_MAX: usize = 10_000;

/// What a write is of what its readers are to see together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// All of it: it is seen at once, and the positions after it count.
    Whole,
    /// A part.
    Part,
}

/// Writes batches in the order in which they come.
pub(super) struct Writer {
    task: Arc<Task>,
    settings: TaskSettings,
    creation: Creation,
    known: KnownTopics,
    used: UsedTopics,
    dead_letters: Option<DeadLetters>,
    retrying: Retrying,
    wanted: watch::Receiver<Wanted>,
    offset_topics: OffsetTopics,
    /// Writes what is to be seen together and is more than one commit.
    transactions: Option<Box<dyn TransactionalProducer>>,
    /// Positions after what is written of the open transaction; they count when it ends.
    pending: Vec<Checkpoint>,
    /// There is something that waits for the end of a transaction.
    open: bool,
}

impl Writer {
    /// Where transactions of the source are to be seen whole, what an earlier start of the task left of one is aborted.
    pub(super) async fn new(task: &Arc<Task>, settings: &TaskSettings) -> Result<Self, Failure> {
        let creation = Creation::new(&task.config).map_err(|error| Failure::config(&error.key, &error.reason))?;
        let offset_topics = offset_topics(task).await?;
        let transactions = match settings.boundary {
            Boundary::Connector => {
                let id = format!("connect-{}", task.id);
                let begun = task.shared.log.transactional_producer(&id).await;
                Some(begun.map_err(|error| Failure::log("beginning transactions", &error))?)
            }
            Boundary::Poll | Boundary::Interval(_) => None,
        };
        Ok(Self {
            transactions,
            offset_topics,
            pending: Vec::new(),
            open: false,
            creation,
            known: KnownTopics::default(),
            used: UsedTopics::default(),
            dead_letters: DeadLetters::new(&settings.errors, &task.id),
            retrying: Retrying::new(task, settings.retry, &[Stage::Produce]),
            wanted: task.wanted.clone(),
            settings: settings.clone(),
            task: task.clone(),
        })
    }

    /// Writes the batches and returns the positions that are durable with them: those after the last, or after the last whole
    /// transaction where these are to be seen together.
    pub(super) async fn write(&mut self, mut batches: Vec<Ready>) -> Result<Vec<Checkpoint>, Halt> {
        for batch in &batches {
            self.check(batch)?;
        }
        if self.transactions.is_none() {
            return self.write_all(batches, Scope::Whole).await;
        }
        let whole = batches.iter().rposition(|batch| batch.ends_transaction).map_or(0, |last| last + 1);
        let rest = batches.split_off(whole);
        let durable = match batches.is_empty() {
            true => Vec::new(),
            false => self.write_whole(batches).await?,
        };
        self.write_all(rest, Scope::Part).await?;
        Ok(durable)
    }

    /// Writes batches after which a transaction of the source ends.
    async fn write_whole(&mut self, batches: Vec<Ready>) -> Result<Vec<Checkpoint>, Halt> {
        let scope = if self.open { Scope::Part } else { Scope::Whole };
        let durable = self.write_all(batches, scope).await?;
        if self.open { self.end_transaction().await } else { Ok(durable) }
    }

    async fn write_all(&mut self, mut batches: Vec<Ready>, mut scope: Scope) -> Result<Vec<Checkpoint>, Halt> {
        let mut durable = Vec::new();
        // A record that the log refuses is found by writing its batch alone.
        let mut alone = false;
        while !batches.is_empty() {
            let together = if alone { 1 } else { batches.len() };
            let stretch = batches.get(..together).unwrap_or_default();
            match self.attempt(stretch, scope).await {
                Ok(positions) => {
                    merge_positions(&mut durable, positions);
                    batches.drain(..together);
                }
                Err(LogError::UnknownTopic(topic)) => {
                    self.known.forget();
                    self.repeat(&LogError::UnknownTopic(topic)).await?;
                }
                Err(error) if error.kind() == Kind::Reject && together > 1 => {
                    alone = true;
                    // A transaction keeps together what is written one by one.
                    if self.transactions.is_some() {
                        scope = Scope::Part;
                    }
                }
                Err(error) if error.kind() == Kind::Reject => {
                    let Some(batch) = batches.first_mut() else { break };
                    self.drop_refused(batch, &error)?;
                }
                Err(error) if error.kind() == Kind::Retry => self.repeat(&error).await?,
                Err(error) => return Err(Failure::log("writing to the log", &error).into()),
            }
        }
        self.retrying.worked();
        Ok(durable)
    }

    /// Writes batches, and their positions unless these have to wait for the end of a transaction.
    async fn attempt(&mut self, batches: &[Ready], scope: Scope) -> Result<Vec<Checkpoint>, LogError> {
        let mut positions = Vec::new();
        let mut records: Vec<Batch> = Vec::with_capacity(batches.len() + 1);
        let (mut count, mut bytes, mut dead) = (0, 0, 0);
        for batch in batches {
            self.ensure_topics(&batch.records).await?;
            count += batch.records.len();
            bytes += batch.records.payload_bytes();
            records.extend((!batch.records.is_empty()).then(|| batch.records.clone()));
            if let Some(letters) = &batch.dead_letters {
                self.ensure_topics(letters).await?;
                dead += letters.len();
                records.push(letters.clone());
            }
            merge_positions(&mut positions, batch.checkpoints.clone());
        }
        let idle_advance = records.is_empty();
        if scope == Scope::Whole {
            records.extend(self.offset_records(&positions));
        }
        let clock = self.task.shared.clock.clone();
        let began = clock.monotonic();
        if !records.is_empty() {
            crash_point(if idle_advance { "source.idle_advance" } else { "source.before_commit" });
            let commit = Commit { records, group_offsets: Vec::new(), compression: self.settings.compression };
            match (&mut self.transactions, scope) {
                (Some(transactions), Scope::Part) => _ = transactions.write(commit).await?,
                _ => _ = self.task.shared.log.commit_atomic(commit).await?,
            }
            crash_point("source.after_commit");
            self.count(count, bytes, dead, clock.monotonic().saturating_sub(began));
        }
        match scope {
            Scope::Whole => {
                self.task.shared.offsets.durable(&self.task.id.connector, &positions);
                Ok(positions)
            }
            Scope::Part => {
                // Also where nothing is left of the records, their positions wait for the end.
                self.open = true;
                merge_positions(&mut self.pending, positions);
                Ok(Vec::new())
            }
        }
    }

    /// Shows the open transaction, with the positions after it.
    async fn end_transaction(&mut self) -> Result<Vec<Checkpoint>, Halt> {
        let positions = std::mem::take(&mut self.pending);
        loop {
            let records = self.offset_records(&positions);
            let commit = Commit { records, group_offsets: Vec::new(), compression: self.settings.compression };
            let Some(transactions) = &mut self.transactions else { return Ok(positions) };
            let ended = match transactions.write(commit).await {
                Ok(_) => transactions.commit().await,
                Err(error) => Err(error),
            };
            match ended {
                Ok(()) => break,
                Err(error) if error.kind() == Kind::Retry => self.repeat(&error).await?,
                Err(error) => return Err(Failure::log("ending a transaction", &error).into()),
            }
        }
        self.open = false;
        self.retrying.worked();
        self.task.shared.offsets.durable(&self.task.id.connector, &positions);
        Ok(positions)
    }

    fn offset_records(&self, positions: &[Checkpoint]) -> Vec<Batch> {
        self.offset_topics.records(self.task.shared.log.as_ref(), &self.task.id.connector, positions)
    }

    /// What a connector may not do, whatever it says: write into the worker's own topics, make topics or positions without end.
    fn check(&self, batch: &Ready) -> Result<(), Failure> {
        let log = &self.task.shared.log;
        let columns = batch.records.columns();
        let named: BTreeSet<u32> = columns.runs.iter().map(|run| run.topic).collect();
        let unknown =
            named.into_iter().map(|topic| batch.records.topic(topic)).filter(|topic| !self.known.knows(topic));
        let mut new = 0;
        for topic in unknown {
            new += 1;
            if log.topic(topic).is_some_and(|topic| topic.internal) {
                let message = format!("the connector wants to write to {topic}, which is the worker's own");
                return Err(Failure::forbidden("worker.internal_topic", message));
            }
        }
        if self.known.len() + new > TOPICS_MAX {
            let message = format!("the connector writes to more than {TOPICS_MAX} topics");
            return Err(Failure::forbidden("worker.too_many_topics", message));
        }
        if !self.task.shared.offsets.has_room(&self.task.id.connector, &batch.checkpoints) {
            let message = "the connector keeps more source partitions than a worker can hold".to_owned();
            return Err(Failure::forbidden("worker.too_many_source_partitions", message));
        }
        Ok(())
    }

    async fn ensure_topics(&mut self, batch: &Batch) -> Result<(), LogError> {
        for run in &batch.columns().runs {
            let topic = batch.topic(run.topic);
            if !self.known.knows(topic) {
                self.known.ensure(self.task.shared.log.as_ref(), &self.creation, topic).await?;
            }
        }
        self.used.of(&self.task, batch, |run| run.topic);
        Ok(())
    }

    /// Takes the refused record out of its batch, by the rules.
    fn drop_refused(&mut self, batch: &mut Ready, error: &LogError) -> Result<(), Failure> {
        let failure = || Failure::log("writing to the log", error);
        let (topic, index) = match error {
            LogError::RecordTooLarge { topic, index, .. } => (topic, *index),
            LogError::KeyMissing { topic, indexes } => (topic, indexes.first().copied().unwrap_or_default()),
            _ => return Err(failure()),
        };
        let refused = batch.records.records().nth(index).filter(|record| record.topic().as_ref() == topic);
        let origin = batch.origins.get(index).and_then(|origin| batch.original.records().nth(*origin as usize));
        let (Some(refused), Some(origin)) = (refused, origin) else { return Err(failure()) };
        let (position, reason) = (position_json(&batch.checkpoints), error.to_string());
        let refusal = Refusal {
            stage: Stage::Produce,
            place: place(&refused, &position),
            class: "log",
            code: error.code(),
            reason: &reason,
        };
        let context = Context {
            stage: Stage::Produce,
            class: "log",
            code: error.code(),
            reason: &reason,
            origin: Origin::Source(&position),
        };
        refuse(&self.task, &self.settings, &mut self.dead_letters, &origin, &refusal, &context)?;
        let (records, kept) = without(&batch.records, index);
        batch.origins = kept.iter().filter_map(|at| batch.origins.get(*at as usize).copied()).collect();
        batch.records = records;
        if let Some(letter) = self.dead_letters.as_mut().and_then(DeadLetters::take) {
            let letters = batch.dead_letters.take().into_iter().chain([letter]).collect();
            batch.dead_letters = Some(crate::batch::join(letters));
        }
        Ok(())
    }

    async fn repeat(&mut self, error: &LogError) -> Result<(), Halt> {
        let failure = || Failure::log("writing to the log", error);
        let delay = self.retrying.failed(Stage::Produce, error.code(), error.to_string(), None).ok_or_else(failure)?;
        pause(&mut self.wanted, delay).await
    }

    fn count(&self, records: usize, bytes: usize, dead_letters: usize, took: Duration) {
        let meters = &self.task.meters;
        meters.records.add(records as u64);
        meters.bytes.add(bytes as u64);
        meters.dead_letters.add(dead_letters as u64);
        meters.commits.add(1);
        meters.commit_micros.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        meters.progress(self.task.shared.clock.now_ms());
    }
}

/// Later positions of the same source partition replace earlier ones.
pub(super) fn merge_positions(positions: &mut Vec<Checkpoint>, later: Vec<Checkpoint>) {
    for checkpoint in later {
        match positions.iter_mut().find(|known| known.partition == checkpoint.partition) {
            Some(known) => *known = checkpoint,
            None => positions.push(checkpoint),
        }
    }
}

/// Where the connector's positions are written, with what only its own topic knows taken in.
async fn offset_topics(task: &Task) -> Result<OffsetTopics, Failure> {
    let shared = &task.shared;
    let topics = OffsetTopics::new(&shared.offsets_topic, &task.config);
    if let Some(own) = topics.own()
        && shared.log.topic(own).is_some_and(|topic| topic.internal)
    {
        return Err(Failure::config(OWN_TOPIC, &format!("the topic {own} is the worker's own; name another")));
    }
    let prepared = topics.prepare(shared.log.as_ref(), &task.id.connector, &shared.offsets).await;
    prepared.map_err(|error| Failure::log("preparing the connector's own offsets topic", &error))?;
    Ok(topics)
}
