//! The middle of a source task: transforms and converters over one batch, and what becomes of records that they refuse.

use std::sync::Arc;

use tokio::sync::watch;
use towpath_convert::SourcePath;
use towpath_model::{Batch, Coded, ConnectorError, Kind, Polled};

use super::Ready;
use crate::errors::{Action, Context, DeadLetters, Origin, Stage, on_failed_call, on_refused_record};
use crate::settings::TaskSettings;
use crate::task::failure::Refusal;
use crate::task::pace::Pace;
use crate::task::retry::Retrying;
use crate::task::{Failure, Halt, Task, Wanted, pause, wait_of};

/// Converts batches in the order in which they come.
pub(super) struct Converter {
    task: Arc<Task>,
    settings: TaskSettings,
    path: SourcePath,
    dead_letters: Option<DeadLetters>,
    retrying: Retrying,
    pace: Pace,
    wanted: watch::Receiver<Wanted>,
}

impl Converter {
    pub(super) async fn new(task: &Arc<Task>, settings: &TaskSettings) -> Result<Self, Failure> {
        let transforms = task.plugin_transforms().await?;
        let path = SourcePath::new(&task.config, transforms, task.shared.registries.as_ref())
            .map_err(|error| Failure::conversion(&error))?;
        let stages = [Stage::Transformation, Stage::SchemaRegistry];
        Ok(Self {
            path,
            dead_letters: DeadLetters::new(&settings.errors, &task.id),
            retrying: Retrying::new(task, settings.retry, &stages),
            pace: Pace::new(settings.rate),
            wanted: task.wanted.clone(),
            settings: settings.clone(),
            task: task.clone(),
        })
    }

    pub(super) fn task(&self) -> &Arc<Task> {
        &self.task
    }

    /// Converts a batch. Invariant 3: each of its records is in the answer, among the dead letters, or counted.
    pub(super) async fn convert(&mut self, polled: Polled) -> Result<Ready, Halt> {
        let Polled { records: original, checkpoints, transaction_ends, .. } = polled;
        let ends_transaction = match original.len().checked_sub(1) {
            Some(last) => transaction_ends.last().is_some_and(|end| *end as usize == last),
            None => true,
        };
        let clock = self.task.shared.clock.clone();
        let wait = self.pace.wait(clock.monotonic());
        if !wait.is_zero() {
            pause(&mut self.wanted, wait).await?;
        }
        self.pace.moved(clock.monotonic(), original.len(), original.payload_bytes());
        let converted = loop {
            let mut watched = self.task.watch(original.len());
            let converted = self.path.convert_watched(&original, watched.as_mut()).await;
            self.task.show(watched, converted.as_ref().err());
            match converted {
                Ok(converted) => break converted,
                Err(error) => self.repeat(error).await?,
            }
        };
        self.retrying.worked();
        self.task.meters.filtered.add(converted.filtered);
        if !converted.failures.is_empty() {
            let position = position_json(&checkpoints);
            let mut failures = converted.failures.iter().peekable();
            for record in original.records() {
                while let Some(failure) = failures.next_if(|failure| failure.index as usize == record.index) {
                    let refusal = Refusal {
                        stage: Stage::Convert(failure.stage),
                        place: place(&record, &position),
                        class: &failure.class,
                        code: &failure.code,
                        reason: &failure.reason,
                    };
                    let context = Context {
                        stage: refusal.stage,
                        class: refusal.class,
                        code: refusal.code,
                        reason: refusal.reason,
                        origin: Origin::Source(&position),
                    };
                    refuse(&self.task, &self.settings, &mut self.dead_letters, &record, &refusal, &context)?;
                }
            }
        }
        let dead_letters = self.dead_letters.as_mut().and_then(DeadLetters::take);
        let (records, origins) = (converted.records, converted.origins);
        Ok(Ready { original, records, origins, checkpoints, dead_letters, ends_transaction, traced: None })
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

/// Applies the rules to one refused record.
pub(super) fn refuse(
    task: &Task,
    settings: &TaskSettings,
    dead_letters: &mut Option<DeadLetters>,
    record: &towpath_model::Record<'_>,
    refusal: &Refusal<'_>,
    context: &Context<'_>,
) -> Result<(), Failure> {
    match (on_refused_record(Kind::Reject, &settings.errors), dead_letters) {
        (Action::DeadLetter, Some(dead_letters)) => {
            task.refused(settings, refusal);
            let context = Context { reason: &task.redactor.redact(context.reason), ..context.clone() };
            dead_letters.add(record, &context, task.shared.clock.now_ms());
            Ok(())
        }
        (Action::Skip, _) => {
            task.refused(settings, refusal);
            task.meters.skipped.add(1);
            Ok(())
        }
        _ => Err(Failure::poison(refusal, &task.redactor)),
    }
}

/// A record of a source in words.
pub(super) fn place(record: &towpath_model::Record<'_>, position: &str) -> String {
    format!("record {} of the batch for topic {} up to source position {position}", record.index, record.topic())
}

/// Source positions as one JSON array, for the headers of dead letters.
pub(super) fn position_json(checkpoints: &[towpath_model::Checkpoint]) -> String {
    let pairs: Vec<_> = checkpoints
        .iter()
        .map(|checkpoint| format!("[{},{}]", checkpoint.partition, checkpoint.offset.as_deref().unwrap_or("null")))
        .collect();
    format!("[{}]", pairs.join(","))
}

/// The part of a batch that is left when some records are taken out.
pub(super) fn without(batch: &Batch, index: usize) -> (Batch, Vec<u32>) {
    let kept: Vec<u32> = (0u32..).take(batch.len()).filter(|at| *at as usize != index).collect();
    (crate::batch::select(batch, &kept), kept)
}
