//! What the worker answers when asked: connectors, states, health, numbers. Plain values, no channels and no locks.
//!
//! Kafka Connect's nouns carry Connect's fields; ours (health, retries, rates, lag) stand beside them, for `/v1`, metrics
//! and the command line.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use towpath_config::Finding;
use towpath_model::{
    Config, ConfigKey, ConnectorKind, ConnectorName, ConnectorState, Health, TargetState, TaskId, TaskState,
    TopicPartition,
};

/// Who may change a connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// It stands in a file of the folder.
    File {
        /// The file, relative to the folder.
        path: String,
    },
    /// It came over REST.
    Api,
}

/// A connector as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorInfo {
    /// Its name.
    pub name: ConnectorName,
    /// Its configuration, with references in place of secrets.
    pub config: Config,
    /// Its tasks, in order; none while it is stopped or not yet planned.
    pub tasks: Vec<TaskId>,
    /// What it does; none while its class is not among the plugins.
    pub kind: Option<ConnectorKind>,
    /// Who may change it.
    pub owner: Owner,
}

/// The answer to writing a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// Whether the connector was not there before.
    pub created: bool,
    /// The connector.
    pub connector: ConnectorInfo,
}

/// How a connector fares.
#[derive(Clone, Debug)]
pub struct ConnectorStatus {
    /// Its name.
    pub name: ConnectorName,
    /// What it does; none while its class is not among the plugins.
    pub kind: Option<ConnectorKind>,
    /// The class of its configuration.
    pub class: String,
    /// The version of its plugin, once known.
    pub version: Option<String>,
    /// SHA-256 of its component in hexadecimal, once known.
    pub digest: Option<String>,
    /// What the user wants.
    pub target: TargetState,
    /// Connect's reported state.
    pub state: ConnectorState,
    /// Why it failed: the first line is a sentence.
    pub trace: Option<String>,
    /// The worker, as `host:port` of its REST listener.
    pub worker_id: Arc<str>,
    /// Its tasks, in order.
    pub tasks: Vec<TaskStatus>,
    /// Whether data moves.
    pub health: Health,
    /// Who may change it.
    pub owner: Owner,
    /// Why its file was refused, while the last good configuration goes on.
    pub rejected: Option<String>,
    /// What was found when it was last planned: why there is no plan, or what is noteworthy though there is one.
    pub findings: Vec<Finding>,
    /// What a user should know and need not act upon, such as that its file is gone but a slot remains.
    pub notes: Vec<String>,
}

impl ConnectorStatus {
    /// Records a second over all tasks.
    pub fn records_per_second(&self) -> f64 {
        self.over_all_tasks(|metrics| metrics.records_per_second)
    }

    /// Bytes a second over all tasks.
    pub fn bytes_per_second(&self) -> f64 {
        self.over_all_tasks(|metrics| metrics.bytes_per_second)
    }

    fn over_all_tasks(&self, read: impl Fn(&TaskMetrics) -> f64) -> f64 {
        // The sum of no floating-point numbers is -0.
        self.tasks.iter().map(|task| read(&task.metrics)).sum::<f64>() + 0.0
    }

    /// Records that the sink has not yet delivered, or none for a source.
    pub fn lag_records(&self) -> Option<i64> {
        let mut lags =
            self.tasks.iter().flat_map(|task| &task.metrics.partitions).map(|partition| partition.lag).peekable();
        lags.peek()?;
        Some(lags.sum())
    }
}

/// How a task fares.
#[derive(Clone, Debug)]
pub struct TaskStatus {
    /// The task.
    pub id: TaskId,
    /// Connect's reported state.
    pub state: TaskState,
    /// Why it failed: the first line is a sentence.
    pub trace: Option<String>,
    /// The worker, as `host:port` of its REST listener.
    pub worker_id: Arc<str>,
    /// The version of its plugin, once known.
    pub version: Option<String>,
    /// Whether data moves.
    pub health: Health,
    /// What is being retried, if anything is.
    pub retry: Option<RetryState>,
    /// Its numbers.
    pub metrics: TaskMetrics,
}

/// A step that failed in a way that may pass, and is tried again. Written to the log, so that a restart resumes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryState {
    /// What is tried, such as `TASK_PUT`.
    pub stage: String,
    /// How often it failed.
    pub attempt: u32,
    /// The last failure.
    pub cause: String,
    /// Its stable code.
    pub code: String,
    /// When it first failed, in milliseconds since the epoch.
    pub since_ms: i64,
    /// When it is tried next, in milliseconds since the epoch.
    pub next_ms: i64,
}

/// A record by where it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordId {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl RecordId {
    /// The partition that it stands in.
    pub fn partition(&self) -> TopicPartition {
        TopicPartition::new(self.topic.clone(), self.partition)
    }
}

/// A record of a sink that waits to be put again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeferredRecord {
    /// Which record.
    #[serde(flatten)]
    pub id: RecordId,
    /// How it fares; it was not tried yet while it waits behind another of its key.
    pub retry: Option<RetryState>,
}

/// What a replay of dead letters has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// So many are delivered again.
    pub records: usize,
    /// So many are of other connectors, or have no headers that say what record they were.
    pub skipped: usize,
}

/// The numbers of a task since it first started in this process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskMetrics {
    /// Records durable in the log (source) or in the target (sink).
    pub records_total: u64,
    /// Bytes of their keys, values and headers.
    pub bytes_total: u64,
    /// Records a second over the last seconds.
    pub records_per_second: f64,
    /// Bytes a second over the last seconds.
    pub bytes_per_second: f64,
    /// Batches that were polled or put.
    pub batches_total: u64,
    /// Records in them.
    pub batch_records_total: u64,
    /// Records in the largest one.
    pub batch_records_max: u64,
    /// Attempts beyond the first.
    pub retries_total: u64,
    /// Records refused by converter, transform, connector or log.
    pub errors_total: u64,
    /// Records dropped by a stated rule: `errors.tolerance=all` without a dead letter queue.
    pub skipped_total: u64,
    /// Records dropped by transforms.
    pub filtered_total: u64,
    /// Records written to the dead letter queue.
    pub dead_letters_total: u64,
    /// Records set apart, to be put again while others pass them: `errors.retry.mode=defer`.
    pub deferred_total: u64,
    /// How many of them wait.
    pub deferred: u64,
    /// Times that a committed offset lay outside of what the log still holds.
    pub offsets_out_of_range_total: u64,
    /// Commits of offsets.
    pub commits_total: u64,
    /// Time from handing a commit to the log until it was durable, in microseconds, summed over all commits.
    pub commit_micros_total: u64,
    /// Starts of the task beyond the first.
    pub restarts_total: u64,
    /// Memory of the guest.
    pub guest_memory_bytes: u64,
    /// Time spent in the guest.
    pub guest_busy_ms: u64,
    /// How far a source is behind, in milliseconds, where known.
    pub source_lag_ms: Option<u64>,
    /// How far a source is behind, in bytes, where known.
    pub source_lag_bytes: Option<u64>,
    /// Snapshot progress of a source, where it has one.
    pub snapshot: Option<SnapshotProgress>,
    /// When data last moved, in milliseconds since the epoch.
    pub last_progress_ms: Option<i64>,
    /// The partitions of a sink.
    pub partitions: Vec<PartitionProgress>,
    /// Numbers of the connector's own, sorted by name.
    pub connector: Vec<(String, f64)>,
}

/// How far a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SnapshotProgress {
    /// Rows read.
    pub rows_done: u64,
    /// Rows expected; an estimate.
    pub rows_total: u64,
}

/// How far a sink is in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionProgress {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The next offset to deliver.
    pub committed: Option<i64>,
    /// The offset after the last durable record.
    pub high_watermark: i64,
    /// Records between the two.
    pub lag: i64,
}

/// Something that went wrong or was noteworthy, kept for the last of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorEntry {
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The task, or none for the connector itself.
    pub task: Option<u32>,
    /// Where, in Connect's words, such as `VALUE_CONVERTER`; empty for the connector itself.
    pub stage: String,
    /// A stable code.
    pub code: String,
    /// What happened, in a sentence.
    pub message: String,
}

/// A plugin as Connect lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginInfo {
    /// The name for `connector.class`.
    pub class: String,
    /// What it does.
    pub kind: PluginKind,
    /// Its version.
    pub version: Option<String>,
    /// SHA-256 of the component, none for what is built in.
    pub digest: Option<String>,
}

/// The kinds of plugin that Connect lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum PluginKind {
    Source,
    Sink,
    Converter,
    HeaderConverter,
    Transformation,
    Predicate,
}

impl PluginKind {
    /// Connect's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Converter => "converter",
            Self::HeaderConverter => "header_converter",
            Self::Transformation => "transformation",
            Self::Predicate => "predicate",
        }
    }
}

/// What checking a configuration found, key by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validation {
    /// The class.
    pub class: String,
    /// Groups of keys, in order.
    pub groups: Vec<String>,
    /// The keys: the framework's, then the plugin's, then keys that only the configuration names and that are at fault.
    pub keys: Vec<ValidatedKey>,
}

impl Validation {
    /// How many faults.
    pub fn error_count(&self) -> usize {
        self.keys.iter().map(|key| key.errors.len()).sum()
    }

    /// All faults, in order.
    pub fn errors(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().flat_map(|key| key.errors.iter().map(String::as_str))
    }
}

/// A key with its value and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatedKey {
    /// Its definition.
    pub definition: ConfigKey,
    /// Its value or default.
    pub value: Option<String>,
    /// What is wrong with it.
    pub errors: Vec<String>,
    /// What it could be.
    pub recommended: Vec<String>,
    /// Whether it has a meaning together with the others.
    pub visible: bool,
}

/// How a new connector begins.
#[derive(Clone, Debug, Default)]
pub struct Initial {
    /// What is wanted of it.
    pub state: TargetState,
    /// Where it begins; nothing said of a partition is its beginning.
    pub offsets: Vec<OffsetEntry>,
}

impl From<TargetState> for Initial {
    fn from(state: TargetState) -> Self {
        Self { state, offsets: Vec::new() }
    }
}

/// The position of a connector in one partition, as JSON objects in Connect's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetEntry {
    /// The source partition, or `kafka_topic` and `kafka_partition`.
    pub partition: serde_json::Value,
    /// The source offset, or `kafka_offset`; null where it was reset.
    pub offset: serde_json::Value,
}
