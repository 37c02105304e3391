//! The worker at a glance: every connector with state, health, rate, lag, retries and cause. What `status` shows and `run` draws.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use towpath_model::{ConnectorKind, ConnectorState, Health, TargetState, TaskState};
use towpath_worker::{ConnectorStatus, ErrorEntry, Owner, RetryState, TaskStatus};
use utoipa::ToSchema;

use crate::openapi::shapes;
use crate::server::Served;

/// The worker at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    /// Towpath's version.
    pub version: String,
    /// The worker, as `host:port`.
    pub worker_id: String,
    /// When it started, in milliseconds since the epoch.
    pub started_ms: i64,
    /// Its time, in milliseconds since the epoch.
    pub now_ms: i64,
    /// Why the log has failed for good, if it has.
    pub log_failure: Option<String>,
    /// All connectors, sorted by name.
    pub connectors: Vec<ConnectorOverview>,
}

/// A connector at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConnectorOverview {
    /// Its name.
    pub name: String,
    /// What it does; none while its class is not among the plugins.
    #[schema(value_type = Option<shapes::ConnectorKind>)]
    pub kind: Option<ConnectorKind>,
    /// Its class.
    pub class: String,
    /// The version of its plugin.
    pub version: Option<String>,
    /// SHA-256 of its component.
    pub digest: Option<String>,
    /// Connect's state.
    #[schema(value_type = shapes::ConnectorState)]
    pub state: ConnectorState,
    /// What the user wants.
    #[schema(value_type = shapes::TargetState)]
    pub target: TargetState,
    /// Whether data moves.
    #[schema(value_type = shapes::Health)]
    pub health: Health,
    /// The file it stands in; none for one made over REST.
    pub file: Option<String>,
    /// Why its file was refused, while the last good configuration goes on.
    pub rejected: Option<String>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// Why it failed.
    pub trace: Option<String>,
    /// Records moved since the process started.
    pub records_total: u64,
    /// Records a second over the last seconds.
    pub records_per_second: f64,
    /// Bytes a second over the last seconds.
    pub bytes_per_second: f64,
    /// Records that a sink has not yet delivered.
    pub lag_records: Option<i64>,
    /// How far a source is behind in milliseconds, where known.
    pub lag_ms: Option<u64>,
    /// How far a source is behind in bytes, where known.
    pub lag_bytes: Option<u64>,
    /// Records in the dead letter queue since the process started.
    pub dead_letters_total: u64,
    /// How far its snapshot is, while there is one.
    pub snapshot: Option<Snapshot>,
    /// Its tasks, in order.
    pub tasks: Vec<TaskOverview>,
    /// Its last errors, oldest first; only for a single connector.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ErrorOverview>,
}

/// How far a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    /// Rows read.
    pub rows_done: u64,
    /// Rows expected; an estimate.
    pub rows_total: u64,
    /// Seconds left at the present rate, where there is a rate.
    pub seconds_left: Option<u64>,
}

/// A task at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskOverview {
    /// Its number.
    pub id: u32,
    /// Connect's state.
    #[schema(value_type = shapes::TaskState)]
    pub state: TaskState,
    /// Whether data moves.
    #[schema(value_type = shapes::Health)]
    pub health: Health,
    /// Why it failed.
    pub trace: Option<String>,
    /// What is being retried.
    #[schema(value_type = Option<shapes::RetryState>)]
    pub retry: Option<RetryState>,
    /// Records moved since the process started.
    pub records_total: u64,
    /// Records a second over the last seconds.
    pub records_per_second: f64,
    /// Attempts beyond the first.
    pub retries_total: u64,
    /// Records refused.
    pub errors_total: u64,
    /// Records dropped by a stated rule.
    pub skipped_total: u64,
    /// Records dropped by transforms.
    pub filtered_total: u64,
    /// Records in the dead letter queue.
    pub dead_letters_total: u64,
    /// Records that wait to be put again while others pass them.
    #[serde(default)]
    pub deferred: u64,
    /// Starts beyond the first.
    pub restarts_total: u64,
    /// Memory of the component.
    pub guest_memory_bytes: u64,
    /// Time spent in the component.
    pub guest_busy_ms: u64,
    /// When data last moved.
    pub last_progress_ms: Option<i64>,
    /// The partitions of a sink.
    pub partitions: Vec<PartitionOverview>,
    /// Numbers of the connector's own.
    pub connector: BTreeMap<String, f64>,
}

/// How far a sink is in a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartitionOverview {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next offset to deliver.
    pub committed: Option<i64>,
    /// The offset after the last durable record.
    pub high_watermark: i64,
    /// Records between the two.
    pub lag: i64,
}

/// An error that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorOverview {
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The task, or none for the connector itself.
    pub task: Option<u32>,
    /// Where, in Connect's words.
    pub stage: String,
    /// A stable code.
    pub code: String,
    /// What happened.
    pub message: String,
}

impl Served {
    /// The worker at a glance.
    pub fn overview(&self) -> Overview {
        Overview {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            worker_id: self.worker_id.clone(),
            started_ms: self.started_ms,
            now_ms: self.clock.now_ms(),
            log_failure: self.log.failure(),
            connectors: self.worker.statuses().into_iter().map(ConnectorOverview::of).collect(),
        }
    }
}

impl ConnectorOverview {
    /// A connector's status at a glance, without its errors.
    pub(crate) fn of(status: ConnectorStatus) -> Self {
        let sum = |read: fn(&TaskStatus) -> u64| status.tasks.iter().map(read).sum();
        let worst = |read: fn(&TaskStatus) -> Option<u64>| status.tasks.iter().filter_map(read).max();
        let records_per_second = status.records_per_second();
        Self {
            records_total: sum(|task| task.metrics.records_total),
            records_per_second,
            bytes_per_second: status.bytes_per_second(),
            lag_records: status.lag_records(),
            lag_ms: worst(|task| task.metrics.source_lag_ms),
            lag_bytes: worst(|task| task.metrics.source_lag_bytes),
            dead_letters_total: sum(|task| task.metrics.dead_letters_total),
            snapshot: snapshot(&status, records_per_second),
            name: status.name.to_string(),
            kind: status.kind,
            class: status.class,
            version: status.version,
            digest: status.digest,
            state: status.state,
            target: status.target,
            health: status.health,
            file: match status.owner {
                Owner::File { path } => Some(path),
                Owner::Api => None,
            },
            rejected: status.rejected,
            notes: status.notes,
            trace: status.trace,
            tasks: status.tasks.into_iter().map(TaskOverview::from).collect(),
            errors: Vec::new(),
        }
    }
}

/// The snapshots of all tasks in one, while any has rows to go.
fn snapshot(status: &ConnectorStatus, records_per_second: f64) -> Option<Snapshot> {
    let running = || status.tasks.iter().filter_map(|task| task.metrics.snapshot);
    let rows_done = running().map(|snapshot| snapshot.rows_done).sum();
    let rows_total = running().map(|snapshot| snapshot.rows_total).sum::<u64>();
    running().next()?;
    let rows_left = rows_total.saturating_sub(rows_done);
    // An estimate of an estimate: whole seconds are more than enough.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let seconds_left = (records_per_second >= 1.0).then(|| (rows_left as f64 / records_per_second).ceil() as u64);
    Some(Snapshot { rows_done, rows_total, seconds_left })
}

impl From<TaskStatus> for TaskOverview {
    fn from(task: TaskStatus) -> Self {
        let metrics = task.metrics;
        let partitions = metrics.partitions.into_iter().map(|progress| PartitionOverview {
            topic: progress.topic.to_string(),
            partition: progress.partition,
            committed: progress.committed,
            high_watermark: progress.high_watermark,
            lag: progress.lag,
        });
        Self {
            id: task.id.task,
            state: task.state,
            health: task.health,
            trace: task.trace,
            retry: task.retry,
            records_total: metrics.records_total,
            records_per_second: metrics.records_per_second,
            retries_total: metrics.retries_total,
            errors_total: metrics.errors_total,
            skipped_total: metrics.skipped_total,
            filtered_total: metrics.filtered_total,
            dead_letters_total: metrics.dead_letters_total,
            deferred: metrics.deferred,
            restarts_total: metrics.restarts_total,
            guest_memory_bytes: metrics.guest_memory_bytes,
            guest_busy_ms: metrics.guest_busy_ms,
            last_progress_ms: metrics.last_progress_ms,
            partitions: partitions.collect(),
            connector: metrics.connector.into_iter().collect(),
        }
    }
}

impl From<ErrorEntry> for ErrorOverview {
    fn from(entry: ErrorEntry) -> Self {
        Self { at_ms: entry.at_ms, task: entry.task, stage: entry.stage, code: entry.code, message: entry.message }
    }
}
