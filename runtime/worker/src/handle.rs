//! The worker as others see it: REST, the command line and the folder's watcher hold a [`Handle`].
//!
//! Reading never waits: it looks at what the supervisor last published. Changing is a command to the supervisor, whose queue is
//! bounded, and returns when the change is durable in the log. Nothing here touches the data plane.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::{mpsc, oneshot, watch};
use towpath_config::{Finding, Reading};
use towpath_log::{GroupOffset, LogEngine};
use towpath_model::{Clock, Config, ConfigKey, ConnectorKind, ConnectorName, Plugin, Plugins, TargetState, TaskId};

use crate::answers::{
    ConnectorInfo, ConnectorStatus, ErrorEntry, Initial, OffsetEntry, Owner, PluginInfo, Put, TaskStatus, Validation,
};
use crate::board::Board;
use crate::checker::Checker;
use crate::config::{Limits, Secrets};
use crate::error::{Error, Result};
use crate::folder::Applied;
use crate::plan;
use crate::positions::Positions;
use crate::spans::Spans;
use crate::store::SourceOffsets;

/// A command to the supervisor.
pub(crate) enum Command {
    /// Make a new connector, with positions to begin at where they are given.
    Create {
        name: ConnectorName,
        config: Config,
        initial: TargetState,
        positions: Option<Positions>,
        reply: Reply<ConnectorInfo>,
    },
    /// Write a configuration, of a connector that may be new.
    Put { name: ConnectorName, config: Config, reply: Reply<Put> },
    /// Change some keys; none takes a key away.
    Patch { name: ConnectorName, patch: BTreeMap<String, Option<String>>, reply: Reply<ConnectorInfo> },
    /// Delete a connector; its offsets stay.
    Delete { name: ConnectorName, reply: Reply<()> },
    /// Start, pause or stop.
    Target { name: ConnectorName, target: TargetState, reply: Reply<()> },
    /// Change where a stopped connector is to go on.
    AlterOffsets { name: ConnectorName, positions: Positions, reply: Reply<()> },
    /// Forget which topics a connector has used.
    ResetTopics { name: ConnectorName, reply: Reply<()> },
    /// Restart a connector and, if wanted, its tasks.
    Restart { name: ConnectorName, include_tasks: bool, only_failed: bool, reply: Reply<ConnectorStatus> },
    /// Restart one task.
    RestartTask { task: TaskId, reply: Reply<()> },
    /// Make the connectors be what the folder says.
    Folder { reading: Box<Reading>, reply: Reply<Applied> },
    /// A plugin was replaced: connectors that pin no version take the new one.
    PluginsChanged,
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

/// The worker as others see it. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) board: Arc<Board>,
    pub(crate) plugins: Arc<dyn Plugins>,
    pub(crate) secrets: Secrets,
    pub(crate) limits: Limits,
    pub(crate) log: Arc<dyn LogEngine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) offsets: Arc<SourceOffsets>,
    pub(crate) ready: watch::Receiver<bool>,
    pub(crate) spans: Option<Arc<dyn Spans>>,
}

impl Handle {
    /// Becomes true when the worker has read its state from the log and answers.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.clone()
    }

    /// Grows with every change of a connector's state, configuration or tasks; not with numbers.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.board.changes()
    }

    /// How many spans were lost on their way to whoever traces; none where nobody does.
    pub fn spans_dropped(&self) -> Option<u64> {
        self.spans.as_ref().map(|spans| spans.dropped())
    }

    /// The names of all connectors, sorted.
    pub fn connectors(&self) -> Vec<ConnectorName> {
        self.board.names()
    }

    /// A connector as it is configured.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn connector(&self, name: &ConnectorName) -> Result<ConnectorInfo> {
        self.board.connector(name).ok_or_else(|| Error::NotFound(name.clone()))
    }

    /// The configurations of a connector's tasks, with references in place of secrets.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn task_configs(&self, name: &ConnectorName) -> Result<Vec<(TaskId, Config)>> {
        self.board.task_configs(name).ok_or_else(|| Error::NotFound(name.clone()))
    }

    /// How a connector fares, with health, numbers and retries.
    ///
    /// # Errors
    /// [`Error::NoStatus`].
    pub fn status(&self, name: &ConnectorName) -> Result<ConnectorStatus> {
        self.board.status(name).ok_or_else(|| Error::NoStatus(name.clone()))
    }

    /// How all connectors fare, sorted by name.
    pub fn statuses(&self) -> Vec<ConnectorStatus> {
        self.board.statuses()
    }

    /// How a task fares.
    ///
    /// # Errors
    /// [`Error::NoTaskStatus`].
    pub fn task_status(&self, task: &TaskId) -> Result<TaskStatus> {
        let status = self.board.status(&task.connector);
        let found = status.and_then(|status| status.tasks.into_iter().find(|found| found.id == *task));
        found.ok_or_else(|| Error::NoTaskStatus(task.clone()))
    }

    /// The last errors of a connector, oldest first.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn errors(&self, name: &ConnectorName) -> Result<Vec<ErrorEntry>> {
        self.board.errors(name).ok_or_else(|| Error::NotFound(name.clone()))
    }

    /// The topics that a connector has used, sorted; none for an unknown connector, as Connect answers.
    pub fn topics(&self, name: &ConnectorName) -> Vec<Arc<str>> {
        self.board.topics(name)
    }

    /// Forgets which topics a connector has used; those that it goes on using appear again.
    ///
    /// # Errors
    /// [`Error::ShuttingDown`].
    pub async fn reset_topics(&self, name: ConnectorName) -> Result<()> {
        self.ask(|reply| Command::ResetTopics { name, reply }).await
    }

    /// The files that secrets of running connectors were read from, for the folder's watcher.
    pub fn secret_files(&self) -> Vec<PathBuf> {
        self.board.secret_files().into_iter().collect()
    }

    /// The positions of a connector: those of its source partitions, or of its consumer group.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn offsets(&self, name: &ConnectorName) -> Result<Vec<OffsetEntry>> {
        let connector = self.connector(name)?;
        Ok(match connector.kind {
            Some(ConnectorKind::Sink) => sink_offsets(self.log.as_ref(), name),
            _ => self.offsets.entries(name),
        })
    }

    /// Changes where a stopped connector goes on; positions that are not named stay. Waits for its tasks to have ended.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotStopped`], [`Error::BadRequest`] with what is wrong with a position.
    pub async fn alter_offsets(&self, name: ConnectorName, offsets: &[OffsetEntry]) -> Result<()> {
        let connector = self.stopped(&name).await?;
        let kind = connector.kind.unwrap_or(ConnectorKind::Source);
        let positions = Positions::parse(&name, kind, offsets, &self.offsets, self.log.as_ref())?;
        self.check_positions(&positions, &connector.owner, &connector.config).await?;
        self.ask(|reply| Command::AlterOffsets { name, positions, reply }).await
    }

    /// Takes all positions of a stopped connector away: it begins anew. Waits for its tasks to have ended.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotStopped`].
    pub async fn reset_offsets(&self, name: ConnectorName) -> Result<()> {
        let kind = self.stopped(&name).await?.kind.unwrap_or(ConnectorKind::Source);
        let positions = Positions::reset(&name, kind, &self.offsets, self.log.as_ref());
        self.ask(|reply| Command::AlterOffsets { name, positions, reply }).await
    }

    /// Creates a connector owned by the API.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::InvalidConfig`], [`Error::UnknownClass`], [`Error::NameMismatch`], and [`Error::BadRequest`]
    /// with what is wrong with an initial offset.
    pub async fn create(
        &self,
        name: ConnectorName,
        config: Config,
        initial: impl Into<Initial>,
    ) -> Result<ConnectorInfo> {
        let Initial { state: initial, offsets } = initial.into();
        self.checked(&name, &config).await?;
        let positions = match offsets.as_slice() {
            [] => None,
            offsets => Some(self.initial_positions(&name, &config, offsets).await?),
        };
        self.ask(|reply| Command::Create { name, config, initial, positions, reply }).await
    }

    /// Creates or replaces a connector's configuration.
    ///
    /// # Errors
    /// [`Error::FileOwned`], [`Error::InvalidConfig`], [`Error::UnknownClass`], [`Error::NameMismatch`].
    pub async fn put_config(&self, name: ConnectorName, config: Config) -> Result<Put> {
        self.checked(&name, &config).await?;
        self.ask(|reply| Command::Put { name, config, reply }).await
    }

    /// Changes some keys of a configuration; none takes a key away.
    ///
    /// # Errors
    /// [`Error::NotFound`] and those of [`put_config`](Self::put_config).
    pub async fn patch_config(
        &self,
        name: ConnectorName,
        patch: BTreeMap<String, Option<String>>,
    ) -> Result<ConnectorInfo> {
        let mut config = self.connector(&name)?.config;
        for (key, value) in &patch {
            match value {
                Some(value) => config.set(key, value),
                None => drop(config.0.remove(key)),
            }
        }
        self.checked(&name, &config).await?;
        self.ask(|reply| Command::Patch { name, patch, reply }).await
    }

    /// Deletes a connector. Its offsets stay.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::FileOwned`].
    pub async fn delete(&self, name: ConnectorName) -> Result<()> {
        self.ask(|reply| Command::Delete { name, reply }).await
    }

    /// Pauses: tasks keep their resources and move nothing. Persists. Idempotent.
    ///
    /// # Errors
    /// [`Error::UnknownConnector`].
    pub async fn pause(&self, name: ConnectorName) -> Result<()> {
        self.target(name, TargetState::Paused).await
    }

    /// Goes on after a pause or stop. Persists. Idempotent.
    ///
    /// # Errors
    /// [`Error::UnknownConnector`].
    pub async fn resume(&self, name: ConnectorName) -> Result<()> {
        self.target(name, TargetState::Started).await
    }

    /// Stops: no tasks. Persists. Idempotent.
    ///
    /// # Errors
    /// [`Error::UnknownConnector`].
    pub async fn stop(&self, name: ConnectorName) -> Result<()> {
        self.target(name, TargetState::Stopped).await
    }

    /// Restarts a connector, with all or only its failed tasks if wanted; answers with the planned states.
    ///
    /// # Errors
    /// [`Error::UnknownToRestart`].
    pub async fn restart(
        &self,
        name: ConnectorName,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<ConnectorStatus> {
        self.ask(|reply| Command::Restart { name, include_tasks, only_failed, reply }).await
    }

    /// Restarts one task, also one that failed for good.
    ///
    /// # Errors
    /// [`Error::UnknownToRestart`], [`Error::UnknownTask`].
    pub async fn restart_task(&self, task: TaskId) -> Result<()> {
        self.ask(|reply| Command::RestartTask { task, reply }).await
    }

    /// Makes the connectors owned by files be exactly those of a reading of the folder, changing only what differs.
    ///
    /// # Errors
    /// [`Error::ShuttingDown`] or the log's; faults of single files are in the answer.
    pub async fn apply_folder(&self, reading: Reading) -> Result<Applied> {
        self.ask(|reply| Command::Folder { reading: Box::new(reading), reply }).await
    }

    /// Tells that a plugin was added or replaced.
    ///
    /// # Errors
    /// [`Error::ShuttingDown`].
    pub async fn plugins_changed(&self) -> Result<()> {
        self.commands.send(Command::PluginsChanged).await.map_err(|_| Error::ShuttingDown)
    }

    /// The connector plugins, and what is built in where `connectors_only` is false.
    pub fn plugins(&self, connectors_only: bool) -> Vec<PluginInfo> {
        plan::listed(self.plugins.as_ref(), connectors_only)
    }

    /// The keys of a plugin: the framework's and its own.
    ///
    /// # Errors
    /// [`Error::UnknownPlugin`].
    pub fn plugin_keys(&self, class: &str) -> Result<Vec<ConfigKey>> {
        let plugin = self.plugin(class)?;
        Ok(plan::keys(plugin.spec()))
    }

    /// Checks a configuration without keeping it, also with the plugin's own checks.
    ///
    /// # Errors
    /// [`Error::UnknownClass`], [`Error::ClassMismatch`].
    pub async fn validate(&self, class: &str, config: Config) -> Result<Validation> {
        plan::validate(&self.checker(), self.plugins.as_ref(), &self.secrets.api_policy, class, &config).await
    }

    /// Everything that is wrong with a configuration, as `check` says it of a file.
    pub async fn check(&self, config: Config) -> Vec<Finding> {
        plan::findings(&self.checker(), &self.secrets.api_policy, &config).await
    }

    fn checker(&self) -> Checker {
        Checker::new(self.plugins.clone(), self.secrets.clone(), self.limits.clone())
    }

    /// Refuses what cannot be right, here rather than in the supervisor, which waits for no plugin.
    async fn checked(&self, name: &ConnectorName, config: &Config) -> Result<()> {
        if let Ok(ConnectorInfo { owner: Owner::File { path }, .. }) = self.connector(name) {
            return Err(Error::FileOwned { name: name.clone(), file: path });
        }
        if name.as_str().is_empty() {
            return Err(Error::InvalidConfig(vec![
                "Invalid value  for configuration name: String may not be empty".into(),
            ]));
        }
        match config.get("name") {
            Some(configured) if configured != name.as_str() => {
                return Err(Error::NameMismatch { configured: configured.to_owned(), requested: name.to_string() });
            }
            _ => {}
        }
        let mut config = config.clone();
        config.set("name", name.as_str());
        let class = config.get("connector.class").map(str::to_owned);
        let class = class.ok_or_else(|| {
            let missing = r#"Missing required configuration "connector.class" which has no default value."#;
            Error::InvalidConfig(vec![missing.to_owned()])
        })?;
        let validation =
            plan::validate(&self.checker(), self.plugins.as_ref(), &self.secrets.api_policy, &class, &config).await?;
        let errors: Vec<_> = validation.errors().map(str::to_owned).collect();
        if errors.is_empty() { Ok(()) } else { Err(Error::InvalidConfig(errors)) }
    }

    /// A connector that is stopped, once nothing of it runs any more.
    async fn stopped(&self, name: &ConnectorName) -> Result<ConnectorInfo> {
        let mut changes = self.changes();
        loop {
            let connector = self.connector(name)?;
            match self.board.status(name) {
                Some(status) if status.target == TargetState::Stopped && status.tasks.is_empty() => {
                    return Ok(connector);
                }
                // It ends by itself: what does not stop in time is cut off.
                Some(status) if status.target == TargetState::Stopped => {
                    changes.changed().await.map_err(|_| Error::ShuttingDown)?;
                }
                _ => return Err(Error::NotStopped(name.clone())),
            }
        }
    }

    async fn initial_positions(
        &self,
        name: &ConnectorName,
        config: &Config,
        offsets: &[OffsetEntry],
    ) -> Result<Positions> {
        let kind = self.plugin(config.get("connector.class").unwrap_or_default())?.spec().kind;
        let positions = Positions::parse(name, kind, offsets, &self.offsets, self.log.as_ref())?;
        self.check_positions(&positions, &Owner::Api, config).await?;
        Ok(positions)
    }

    async fn check_positions(&self, positions: &Positions, owner: &Owner, config: &Config) -> Result<()> {
        let plugin = self.plugin(config.get("connector.class").unwrap_or_default())?;
        positions.check(plugin.as_ref(), config, self.secrets.policy(owner), &self.secrets).await
    }

    fn plugin(&self, class: &str) -> Result<Arc<dyn Plugin>> {
        self.plugins.find(class).map_err(|_| Error::UnknownPlugin(class.to_owned()))
    }

    async fn target(&self, name: ConnectorName, target: TargetState) -> Result<()> {
        self.ask(|reply| Command::Target { name, target, reply }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T> {
        if !*self.ready.borrow() {
            return Err(Error::Starting);
        }
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| Error::ShuttingDown)?;
        answer.await.map_err(|_| Error::ShuttingDown)?
    }
}

fn sink_offsets(log: &dyn LogEngine, name: &ConnectorName) -> Vec<OffsetEntry> {
    let committed = log.group_offsets(&consumer_group(name)).into_iter();
    let entry = |offset: GroupOffset| OffsetEntry {
        partition: json!({"kafka_topic": offset.partition.topic.as_ref(), "kafka_partition": offset.partition.partition}),
        offset: offset.offset.map_or(serde_json::Value::Null, |offset| json!({ "kafka_offset": offset })),
    };
    committed.map(entry).collect()
}

/// The consumer group of a sink, as Connect names it.
pub(crate) fn consumer_group(name: &ConnectorName) -> String {
    format!("connect-{name}")
}
