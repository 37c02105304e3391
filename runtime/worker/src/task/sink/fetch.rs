//! The front of a sink task: records of the log, converted into what the guest takes, with refused ones set apart.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use towpath_convert::SinkPath;
use towpath_log::{Error as LogError, Fetch};
use towpath_model::{Batch, Coded, ConnectorError, Kind, Record, TopicPartition};

use super::letters::Letter;
use crate::answers::RecordId;
use crate::batch;
use crate::errors::{Action, Context, DeadLetters, Origin, Stage, on_failed_call, on_refused_record};
use crate::settings::TaskSettings;
use crate::store::read_given;
use crate::task::failure::Refusal;
use crate::task::retry::Retrying;
use crate::task::traces::{CONVERT, FETCH, Fault, Load, Traced, carried};
use crate::task::{Failure, Halt, Task, Wanted, pause, wait_of};

/// How long a fetch waits for the first record; a cancel ends it early.
const WAIT: Duration = Duration::from_secs(30);

/// Records that are ready for the guest.
#[derive(Default)]
pub(super) struct Fetched {
    /// For each partition that was read: the offset to fetch next and the high watermark.
    pub(super) ends: Vec<(TopicPartition, i64, i64)>,
    /// As consumed.
    pub(super) original: Batch,
    /// As the guest takes them.
    pub(super) records: Batch,
    /// For each of `records`, the index in `original`.
    pub(super) origins: Vec<u32>,
    /// Records that converters and transforms refused.
    pub(super) letters: Vec<Letter>,
    /// These come from the retry topic.
    pub(super) deferred: bool,
    /// Where they are traced.
    pub(super) traced: Option<Traced>,
}

/// Why nothing was fetched.
pub(super) enum Miss {
    /// The driver had no more use for it.
    Cancelled,
    OutOfRange {
        partition: TopicPartition,
        offset: i64,
    },
    /// A topic or partition is no more.
    Gone,
    Halt(Halt),
}

impl From<Failure> for Miss {
    fn from(failure: Failure) -> Self {
        Self::Halt(Halt::Failed(failure))
    }
}

/// Fetches and converts, one batch at a time.
pub(super) struct Fetcher {
    task: Arc<Task>,
    settings: TaskSettings,
    path: SinkPath,
    dead_letters: Option<DeadLetters>,
    retrying: Retrying,
    wanted: watch::Receiver<Wanted>,
    cancel: Arc<Notify>,
}

impl Fetcher {
    pub(super) async fn new(task: &Arc<Task>, settings: &TaskSettings, cancel: Arc<Notify>) -> Result<Self, Failure> {
        let transforms = task.plugin_transforms().await?;
        let path =
            SinkPath::new(&task.config, &task.plugin.spec().accepts, transforms, task.shared.registries.as_ref());
        Ok(Self {
            path: path.map_err(|error| Failure::conversion(&error))?,
            dead_letters: DeadLetters::new(&settings.errors, &task.id),
            retrying: Retrying::new(
                task,
                settings.retry,
                &[Stage::Consume, Stage::Transformation, Stage::SchemaRegistry],
            ),
            wanted: task.wanted.clone(),
            settings: settings.clone(),
            cancel,
            task: task.clone(),
        })
    }

    /// Waits for records, and gathers more until the batch is full or old enough.
    pub(super) async fn fetch(&mut self, mut fetches: Vec<Fetch>) -> Result<Fetched, Miss> {
        let limits = self.settings.batch;
        let (mut batches, mut ends) = (Vec::new(), Vec::new());
        let (mut records, mut bytes) = (0, 0);
        let mut wait = WAIT;
        let mut old_at = None;
        let clock = self.task.shared.clock.clone();
        let mut arrived = Duration::ZERO;
        while records < limits.records as usize && bytes < limits.bytes as usize {
            let room = (limits.bytes as usize - bytes).max(1);
            let fetched = tokio::select! {
                fetched = self.task.shared.log.fetch(&fetches, room, wait) => fetched,
                () = self.cancel.notified() => return Err(Miss::Cancelled),
            };
            let fetched = match fetched {
                Ok(fetched) => fetched,
                Err(error) => {
                    self.missed(error).await?;
                    continue;
                }
            };
            let before = records;
            for part in fetched {
                if let Some(fetch) = fetches.iter_mut().find(|fetch| fetch.partition == part.partition) {
                    fetch.offset = part.next_offset;
                }
                records += part.records.len();
                bytes += part.records.payload_bytes();
                batches.push(part.records);
                ends.retain(|(partition, _, _)| *partition != part.partition);
                ends.push((part.partition, part.next_offset, part.high_watermark));
            }
            if before == 0 && records > 0 {
                arrived = clock.monotonic();
            }
            let now = Instant::now();
            let old_at = *old_at.get_or_insert(now + limits.age);
            if records == before || now >= old_at {
                break;
            }
            wait = old_at - now;
        }
        self.convert_traced(batch::join(batches), ends, arrived).await
    }

    /// Fetches and converts deferred records that were given out.
    pub(super) async fn fetch_deferred(&mut self, topic: &str, given: &[(RecordId, i64)]) -> Result<Fetched, Miss> {
        let began = self.task.shared.clock.monotonic();
        let original = loop {
            match read_given(self.task.shared.log.as_ref(), topic, given, self.settings.batch.bytes as usize).await {
                Ok(original) => break original,
                Err(error) => self.missed(error).await?,
            }
        };
        Ok(Fetched { deferred: true, ..self.convert_traced(original, Vec::new(), began).await? })
    }

    async fn missed(&mut self, error: LogError) -> Result<(), Miss> {
        match error {
            LogError::OffsetOutOfRange { partition, offset, .. } => Err(Miss::OutOfRange { partition, offset }),
            LogError::UnknownTopic(_) | LogError::UnknownPartition { .. } => Err(Miss::Gone),
            error if error.kind() == Kind::Retry => {
                let failure = || Failure::log("reading from the log", &error);
                let delay = self.retrying.failed(Stage::Consume, error.code(), error.to_string(), None);
                pause(&mut self.wanted, delay.ok_or_else(failure)?).await.map_err(Miss::Halt)
            }
            error => Err(Failure::log("reading from the log", &error).into()),
        }
    }

    /// Converts what was fetched since its first records arrived, and tells of it where it is traced.
    async fn convert_traced(
        &mut self,
        original: Batch,
        ends: Vec<(TopicPartition, i64, i64)>,
        arrived: Duration,
    ) -> Result<Fetched, Miss> {
        let task = self.task.clone();
        let traces = task.traces.as_ref().filter(|_| !original.is_empty());
        let batch = traces.and_then(|traces| Some((traces, traces.batch(arrived, carried(&original))?)));
        let Some((traces, traced)) = batch else { return self.convert(original, ends).await };
        let load = Load::of(&original);
        traces.step(FETCH, &traced, arrived, &load, None);
        let began = traces.now();
        let converted = self.convert(original, ends).await;
        let fault = match &converted {
            Err(Miss::Halt(halt)) => Fault::of(halt),
            _ => None,
        };
        traces.step(CONVERT, &traced, began, &load, fault);
        match converted {
            Ok(fetched) if !fetched.records.is_empty() => Ok(Fetched { traced: Some(traced), ..fetched }),
            ended => {
                traces.over(traced, &load, None);
                ended
            }
        }
    }

    async fn convert(&mut self, original: Batch, ends: Vec<(TopicPartition, i64, i64)>) -> Result<Fetched, Miss> {
        let converted = loop {
            let mut watched = self.task.watch(original.len());
            let converted = self.path.convert_watched(&original, watched.as_mut()).await;
            self.task.show(watched, converted.as_ref().err());
            match converted {
                Ok(converted) => break converted,
                Err(error) => self.repeat(error).await.map_err(Miss::Halt)?,
            }
        };
        self.retrying.worked();
        self.task.meters.filtered.add(converted.filtered);
        let mut letters = Vec::new();
        if !converted.failures.is_empty() {
            let mut refusing = Refusing::new(&self.task, &self.settings, &mut self.dead_letters);
            let mut failures = converted.failures.iter().peekable();
            for record in original.records() {
                while let Some(failure) = failures.next_if(|failure| failure.index as usize == record.index) {
                    let stage = Stage::Convert(failure.stage);
                    refusing.refuse(&record, stage, &failure.class, &failure.code, &failure.reason)?;
                }
            }
            letters = refusing.finish();
        }
        let (records, origins) = (converted.records, converted.origins);
        Ok(Fetched { ends, original, records, origins, letters, deferred: false, traced: None })
    }

    async fn repeat(&mut self, error: ConnectorError) -> Result<(), Halt> {
        let stage = Stage::of_conversion(&error);
        let failure = || self.task.failure(stage.conversion(), &error);
        if on_failed_call(stage, error.kind(), self.retrying.elapsed(), &self.settings.errors) != Action::Retry {
            return Err(Failure { restart: false, ..failure() }.into());
        }
        let cause = self.task.redactor.redact(&error.to_string()).into_owned();
        let delay = self.retrying.failed(stage, error.code(), cause, wait_of(&error)).ok_or_else(failure)?;
        pause(&mut self.wanted, delay).await
    }
}

/// Applies the rules to refused records, one after the other.
pub(super) struct Refusing<'a> {
    task: &'a Task,
    settings: &'a TaskSettings,
    dead_letters: &'a mut Option<DeadLetters>,
    open: Option<(TopicPartition, i64)>,
    letters: Vec<Letter>,
}

impl<'a> Refusing<'a> {
    pub(super) fn new(task: &'a Task, settings: &'a TaskSettings, dead_letters: &'a mut Option<DeadLetters>) -> Self {
        Self { task, settings, dead_letters, open: None, letters: Vec::new() }
    }

    /// `record` is the one that was consumed, not what was made of it.
    pub(super) fn refuse(
        &mut self,
        record: &Record<'_>,
        stage: Stage,
        class: &str,
        code: &str,
        reason: &str,
    ) -> Result<(), Failure> {
        let partition = TopicPartition::new(record.origin().clone(), record.run.partition);
        let offset = record.offset.unwrap_or(-1);
        let place = format!("record at topic {}, partition {}, offset {offset}", partition.topic, partition.partition);
        let refusal = Refusal { stage, place, class, code, reason };
        match on_refused_record(Kind::Reject, &self.settings.errors) {
            Action::DeadLetter => {
                self.task.refused(self.settings, &refusal);
                if self.open.as_ref().is_some_and(|(open, _)| *open != partition) {
                    self.seal();
                }
                let reason = &*self.task.redactor.redact(reason);
                let context = Context { stage, class, code, reason, origin: Origin::Log };
                if let Some(dead_letters) = self.dead_letters {
                    dead_letters.add(record, &context, self.task.shared.clock.now_ms());
                }
                self.open.get_or_insert((partition, offset));
                Ok(())
            }
            Action::Skip => {
                self.task.refused(self.settings, &refusal);
                self.task.meters.skipped.add(1);
                Ok(())
            }
            Action::Fail | Action::Retry => Err(Failure::poison(&refusal, &self.task.redactor)),
        }
    }

    /// The dead letters.
    pub(super) fn finish(mut self) -> Vec<Letter> {
        self.seal();
        self.letters
    }

    fn seal(&mut self) {
        let records = self.dead_letters.as_mut().and_then(DeadLetters::take);
        if let (Some((partition, first)), Some(records)) = (self.open.take(), records) {
            self.letters.push(Letter { partition, first, records });
        }
    }
}
