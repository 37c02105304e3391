//! The traits between `worker`, which runs tasks, and `host`, which runs components.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Batch, Config, ConnectorError, Fault, Redactor, Spec, TaskId};

/// Where a task runs and for whom.
#[derive(Clone)]
pub struct TaskContext {
    /// The task.
    pub task: TaskId,
    /// Its configuration with secrets resolved. The host withholds from the guest what it uses in the guest's stead.
    pub config: Config,
    /// New for every start.
    pub run_id: String,
    /// Grows with every start.
    pub epoch: u64,
    /// Takes the secrets of the configuration out of what the task says.
    pub redactor: Redactor,
    /// The most bytes that the task should hold in buffers of its own.
    pub buffer_bytes_max: u64,
    /// Where the task's metrics and its wish for a new plan go.
    pub telemetry: Arc<dyn Telemetry>,
}

/// One number reported by a connector.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Words joined by underscores.
    pub name: String,
    /// Its value.
    pub reading: Reading,
}

/// The value of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// Adds to a count.
    Counter(u64),
    /// Sets a value.
    Gauge(f64),
}

/// What a running task tells the worker apart from records. Called from within calls into the connector; must not block.
pub trait Telemetry: Send + Sync {
    /// Numbers, one call a batch.
    fn metrics(&self, metrics: Vec<Metric>);
    /// The plan of the connector should change.
    fn request_reconfiguration(&self, reason: String);
    /// Guest memory in bytes and time spent in the guest so far.
    fn usage(&self, memory_bytes: u64, busy: Duration);
}

/// Ends a wait inside a connector early, so that the call under way returns with its state kept.
pub trait Interrupt: Send + Sync {
    /// Raises the interrupt: it ends the wait under way, or the next one.
    fn raise(&self);
}

/// A position in a source: Connect's source partition and source offset, each the text of a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The source partition.
    pub partition: String,
    /// The source offset; none removes it.
    pub offset: Option<String>,
}

/// Whether a source has more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Poll again at once.
    More,
    /// All that there was is delivered.
    Idle,
    /// There will never be more.
    Finished,
}

/// The answer to a poll. Records and checkpoints become durable together or not at all.
#[derive(Clone, Debug)]
pub struct Polled {
    /// The records.
    pub records: Batch,
    /// Positions after the whole batch; without records, an idle advance.
    pub checkpoints: Vec<Checkpoint>,
    /// Whether there is more.
    pub progress: Progress,
    /// How far the source is behind in milliseconds, where known.
    pub lag_ms: Option<u64>,
    /// How far the source is behind in bytes, where known.
    pub lag_bytes: Option<u64>,
    /// Indexes of records after which a transaction of the source ends.
    pub transaction_ends: Vec<u32>,
}

/// A source task. Calls never overlap; after a fatal error only drop is allowed. Dropping a call under way ends the task.
#[async_trait]
pub trait Source: Send {
    /// Starts at the stored positions; none is a first start.
    async fn open(&mut self, offsets: Vec<Checkpoint>) -> Result<(), ConnectorError>;
    /// Returns records as soon as there are any, nothing after `max_wait`, and early when interrupted.
    async fn poll(&mut self, max_wait: Duration, max_records: u32, max_bytes: u32) -> Result<Polled, ConnectorError>;
    /// These positions are durable in the log. Invariant 1: called only then.
    async fn commit(&mut self, offsets: &[Checkpoint]) -> Result<(), ConnectorError>;
    /// The log takes no records for now: keep connections alive.
    async fn keep_alive(&mut self) -> Result<(), ConnectorError>;
    /// Lets go of everything. Errors are logged by the host.
    async fn close(&mut self);
}

/// The next offset of a partition, with a text of the sink's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
    /// A text of the sink's own, stored with the offset.
    pub metadata: String,
}

/// A record that an earlier `put` took and that failed afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateError {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// A stable code.
    pub code: String,
    /// What is wrong, in a sentence.
    pub reason: String,
    /// Whether handing the record over again can succeed.
    pub retriable: bool,
}

/// The answer to a flush.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Offsets that are durable in the target and may be committed.
    pub offsets: Vec<Position>,
    /// Records that failed after they had been accepted.
    pub late_errors: Vec<LateError>,
    /// Partitions of which something buffered is lost: they are read again from this offset, with nothing of them handed
    /// over in between.
    pub rewinds: Vec<Position>,
}

/// A sink task. Calls never overlap; after a fatal error only drop is allowed. Dropping a call under way ends the task.
#[async_trait]
pub trait Sink: Send {
    /// Starts.
    async fn open(&mut self) -> Result<(), ConnectorError>;
    /// These partitions are now the task's, each from its offset.
    async fn assigned(&mut self, positions: &[Position]) -> Result<(), ConnectorError>;
    /// These partitions go elsewhere: what is buffered of them is forgotten.
    async fn revoked(&mut self, partitions: &[crate::TopicPartition]) -> Result<(), ConnectorError>;
    /// Takes the batch, to write now or to buffer until `flush`.
    async fn put(&mut self, records: &Batch) -> Result<(), ConnectorError>;
    /// Makes durable what is due. The answer is committed before the next flush.
    async fn flush(&mut self, handed_over: &[Position]) -> Result<Flushed, ConnectorError>;
    /// Time until a flush is due, or none when only the next `put` can make one due.
    async fn next_flush(&mut self) -> Result<Option<Duration>, ConnectorError>;
    /// Lets go of everything. Errors are logged by the host.
    async fn close(&mut self);
}

/// Records that came out of a transform.
#[derive(Clone, Debug)]
pub struct Transformed {
    /// The records.
    pub records: Batch,
    /// For each of them, the index of the record that it was made of.
    pub origins: Vec<u32>,
}

/// A step between connector and converter.
#[async_trait]
pub trait Transform: Send {
    /// Records in, records out.
    async fn apply(&mut self, records: &Batch) -> Result<Transformed, ConnectorError>;
}

/// The class is not among the plugins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no plugin is named {class}; there are: {}", available.join(", "))]
pub struct UnknownPlugin {
    /// What was asked for.
    pub class: String,
    /// What there is, as `name@version`.
    pub available: Vec<String>,
    /// The name that was probably meant.
    pub suggestion: Option<String>,
}

/// One plugin: its spec, and tasks made of it.
#[async_trait]
pub trait Plugin: Send + Sync {
    /// What it says of itself.
    fn spec(&self) -> &Spec;
    /// SHA-256 of the component in hexadecimal.
    fn digest(&self) -> &str;
    /// Faults of a configuration that key definitions cannot express. The configuration is resolved. With `connect` it also
    /// looks at the systems concerned, changing nothing there; dropping the call ends that. What `redactor` knows is told to nobody.
    async fn validate(&self, config: &Config, redactor: &Redactor, connect: bool)
    -> Result<Vec<Fault>, ConnectorError>;
    /// Divides the work into at most `max_tasks` task configurations.
    async fn plan(&self, config: &Config, redactor: &Redactor, max_tasks: u32) -> Result<Vec<Config>, ConnectorError>;
    /// An operator wants a source to go on at these positions: says what is wrong with them, if anything. The configuration is
    /// resolved; no task runs meanwhile.
    async fn alter_offsets(&self, _: &Config, _: &Redactor, _: &[Checkpoint]) -> Result<(), ConnectorError> {
        Ok(())
    }
    /// A new source task, not yet open.
    async fn source(&self, context: TaskContext) -> Result<(Box<dyn Source>, Arc<dyn Interrupt>), ConnectorError>;
    /// A new sink task, not yet open.
    async fn sink(&self, context: TaskContext) -> Result<(Box<dyn Sink>, Arc<dyn Interrupt>), ConnectorError>;
    /// A new transform, open.
    async fn transform(&self, context: TaskContext) -> Result<Box<dyn Transform>, ConnectorError>;
}

/// The plugins of a worker.
pub trait Plugins: Send + Sync {
    /// All of them, sorted by name and version.
    fn all(&self) -> Vec<Arc<dyn Plugin>>;
    /// Finds a class: `name`, `name@version`, a path of a `.wasm` file, or a known Java class.
    fn find(&self, class: &str) -> Result<Arc<dyn Plugin>, UnknownPlugin>;
}
