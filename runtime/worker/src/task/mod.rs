//! Tasks: one connector's work on one guest instance, from open to close.
//!
//! ```text
//! source: guest poll ─▶ transforms, converter ─▶ commit_atomic(records, offsets) ─▶ guest commit
//! sink:   fetch ─▶ converter, transforms ─▶ guest put ─▶ guest flush ─▶ commit_atomic(offsets, dead letters)
//! ```
//! Each kind has a machine, which decides, and a driver, which does. The supervisor starts tasks, tells them what is
//! [`Wanted`] and waits for their [`Outcome`]; it never touches records.

mod calls;
mod failure;
mod halt;
mod pace;
mod retry;
mod sink;
mod source;
mod telemetry;
mod topics;
mod traces;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use towpath_convert::SchemaRegistries;
use towpath_log::LogEngine;
use towpath_model::{Clock, Config, ConnectorError, ConnectorKind, Plugin, Plugins, Redactor, TaskContext, TaskId};

use crate::answers::{ErrorEntry, RetryState};
use crate::board::Board;
use crate::config::Limits;
use crate::handle::consumer_group;
use crate::meters::Meters;
use crate::settings::TaskSettings;
use crate::spans::Spans;
use crate::store::{SourceOffsets, StatusBook};
use crate::tap::Taps;

pub(crate) use failure::Failure;
use failure::Refusal;
use halt::{Halt, pause, wait_of};
use telemetry::TaskTelemetry;
pub(crate) use traces::Traces;

/// What the supervisor wants of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Run,
    /// Keep resources, move nothing.
    Pause,
    /// Finish what is begun, then end.
    Stop,
}

/// How a task ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// As wanted.
    Stopped,
    Failed(Failure),
}

/// What a task tells the supervisor while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The guest is open.
    Opened,
    /// The connector's plan should change.
    Reconfigure(String),
}

/// What all tasks of a worker share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn LogEngine>,
    pub(crate) plugins: Arc<dyn Plugins>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) offsets_topic: Arc<str>,
    pub(crate) offsets: Arc<SourceOffsets>,
    pub(crate) status: Arc<StatusBook>,
    pub(crate) board: Arc<Board>,
    pub(crate) registries: Arc<dyn SchemaRegistries>,
    pub(crate) spans: Option<Arc<dyn Spans>>,
}

impl Shared {
    /// What tells of a task's batches, where somebody traces. Sinks have a consumer group.
    pub(crate) fn traces(&self, id: &TaskId, kind: ConnectorKind) -> Option<Traces> {
        let group = (kind == ConnectorKind::Sink).then(|| consumer_group(&id.connector));
        Some(Traces::new(self.spans.clone()?, self.clock.clone(), id.clone(), group))
    }
}

/// One start of a task.
pub(crate) struct Task {
    pub(crate) shared: Shared,
    pub(crate) id: TaskId,
    /// How many tasks the connector has.
    pub(crate) tasks: u32,
    pub(crate) plugin: Arc<dyn Plugin>,
    /// Resolved.
    pub(crate) config: Config,
    pub(crate) redactor: Redactor,
    pub(crate) epoch: u64,
    pub(crate) seed: u64,
    /// What an earlier start was retrying when it ended.
    pub(crate) resume: Option<RetryState>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) taps: Arc<Taps>,
    pub(crate) traces: Option<Traces>,
    pub(crate) wanted: watch::Receiver<Wanted>,
    pub(crate) notices: mpsc::Sender<(TaskId, Notice)>,
}

impl Task {
    /// Runs until stopped or failed.
    pub(crate) async fn run(self) -> Outcome {
        let settings = match TaskSettings::new(&self.config, &self.shared.limits) {
            Ok(settings) => settings,
            Err(error) => return Outcome::Failed(Failure::config(&error.key, &error.reason)),
        };
        let ended = match self.plugin.spec().kind {
            ConnectorKind::Source => Box::pin(source::run(self, settings)).await,
            ConnectorKind::Sink => Box::pin(sink::run(self, settings)).await,
            ConnectorKind::Transform => Err(Failure::config("connector.class", "names a transform, not a connector")),
        };
        ended.map_or_else(Outcome::Failed, |()| Outcome::Stopped)
    }

    fn context(&self) -> TaskContext {
        let telemetry = TaskTelemetry::new(self.id.clone(), self.meters.clone(), self.notices.clone());
        TaskContext {
            task: self.id.clone(),
            config: self.config.clone(),
            redactor: self.redactor.clone(),
            run_id: uuid_from(self.seed, self.epoch),
            epoch: self.epoch,
            buffer_bytes_max: self.shared.limits.buffer_bytes,
            telemetry: Arc::new(telemetry),
        }
    }

    /// The transforms that are components, open, by alias.
    async fn plugin_transforms(
        &self,
    ) -> Result<std::collections::HashMap<String, Box<dyn towpath_model::Transform>>, Failure> {
        let mut transforms = std::collections::HashMap::new();
        for wanted in towpath_convert::plugin_transforms(&self.config).map_err(|error| Failure::conversion(&error))? {
            let key = format!("transforms.{}.type", wanted.alias);
            let plugin =
                self.shared.plugins.find(&wanted.class).map_err(|error| Failure::config(&key, &error.to_string()))?;
            let context = TaskContext { config: wanted.config, ..self.context() };
            let opened = plugin.transform(context).await;
            transforms.insert(wanted.alias, opened.map_err(|error| self.failure("opening a transform", &error))?);
        }
        Ok(transforms)
    }

    /// A failed call as the end of the task, without secrets.
    fn failure(&self, doing: &str, error: &ConnectorError) -> Failure {
        Failure::call(doing, error, &self.redactor)
    }

    /// Counts a refused record, keeps it among the last errors, and logs it where that is wanted.
    fn refused(&self, settings: &TaskSettings, refusal: &Refusal<'_>) {
        self.meters.errors.add(1);
        let reason = self.redactor.redact(refusal.reason);
        let message = format!("{}: {reason}", refusal.place);
        if settings.errors.log {
            tracing::error!(task = %self.id, stage = refusal.stage.name(), code = refusal.code, "record refused: {message}");
        }
        self.note_error(refusal.stage.name(), refusal.code, message);
    }

    fn note_error(&self, stage: &str, code: &str, message: String) {
        let error = ErrorEntry {
            at_ms: self.shared.clock.now_ms(),
            task: Some(self.id.task),
            stage: stage.to_owned(),
            code: code.to_owned(),
            message,
        };
        self.shared.board.error(&self.id.connector, error);
    }

    /// The connector has used this topic, which is remembered across restarts.
    fn topic_used(&self, topic: &Arc<str>) {
        if self.shared.board.topic_used(&self.id.connector, topic) {
            self.shared.status.topic_used(topic, &self.id, self.shared.clock.now_ms());
        }
    }

    /// Tells the supervisor; a full queue loses nothing that matters, as the supervisor also sees the outcome.
    async fn notice(&self, notice: Notice) {
        if self.notices.send((self.id.clone(), notice)).await.is_err() {
            tracing::debug!(task = %self.id, "nobody listens to notices any more");
        }
    }
}

/// A UUID that is new for every start: random bits from the worker's seed, told apart by the epoch.
fn uuid_from(seed: u64, epoch: u64) -> String {
    uuid::Builder::from_random_bytes(((u128::from(seed) << 64) | u128::from(epoch)).to_be_bytes())
        .into_uuid()
        .to_string()
}
