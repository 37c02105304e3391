//! The shapes of what model, config and worker define, which know nothing of documents, and of lines that are written by hand.

#![allow(dead_code, reason = "only the shapes of these are used; answers are held against them in tests")]

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::entities::{Connector, ConnectorStateInfo};

/// What a plugin does.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum ConnectorKind {
    Source,
    Sink,
    Transform,
}

/// The reported state of a connector.
#[derive(ToSchema)]
#[schema(rename_all = "UPPERCASE")]
pub(crate) enum ConnectorState {
    Unassigned,
    Running,
    Paused,
    Stopped,
    Failed,
    Restarting,
}

/// The reported state of a task.
#[derive(ToSchema)]
#[schema(rename_all = "UPPERCASE")]
pub(crate) enum TaskState {
    Unassigned,
    Running,
    Paused,
    Failed,
    Restarting,
}

/// What the user wants of a connector.
#[derive(ToSchema)]
#[schema(rename_all = "UPPERCASE")]
pub(crate) enum TargetState {
    Started,
    Paused,
    Stopped,
}

/// Whether data moves.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum HealthLevel {
    Ok,
    Degraded,
    Stalled,
    Failed,
}

/// Whether data moves, with the reason.
#[derive(ToSchema)]
pub(crate) struct Health {
    level: HealthLevel,
    /// Why, in a sentence; empty when all is well.
    reason: String,
    /// Since when, in milliseconds since the epoch.
    since_ms: i64,
}

/// A step that failed in a way that may pass, and is tried again.
#[derive(ToSchema)]
pub(crate) struct RetryState {
    /// What is tried, such as `TASK_PUT`.
    stage: String,
    /// How often it failed.
    attempt: u32,
    /// The last failure.
    cause: String,
    /// Its stable code.
    code: String,
    /// When it first failed, in milliseconds since the epoch.
    since_ms: i64,
    /// When it is tried next, in milliseconds since the epoch.
    next_ms: i64,
}

/// A record of a sink that waits to be put again.
#[derive(ToSchema)]
pub(crate) struct DeferredRecord {
    topic: String,
    partition: i32,
    offset: i64,
    /// How it fares; null while it waits behind another of its key.
    #[schema(required)]
    retry: Option<RetryState>,
}

/// What a replay of dead letters has found.
#[derive(ToSchema)]
pub(crate) struct Replayed {
    /// So many are delivered again.
    records: usize,
    /// So many are of other connectors, or have no headers that say what record they were.
    skipped: usize,
}

/// How bad a finding is: an error is refused, a warning is taken.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Severity {
    Error,
    Warning,
    Note,
}

/// One thing that the user should know, and where.
#[derive(ToSchema)]
pub(crate) struct Finding {
    /// A stable code, such as `config.unknown_key`.
    code: String,
    severity: Severity,
    /// The connector, where known.
    #[schema(required)]
    connector: Option<String>,
    /// The file; null for what came over REST.
    #[schema(required)]
    file: Option<String>,
    /// The line, from 1; 0 where unknown.
    line: u64,
    /// The column, from 1; 0 where unknown.
    column: u64,
    /// The key, or empty for the configuration as a whole.
    path: String,
    /// What is wrong, in a sentence.
    message: String,
    /// What to do, in a sentence.
    #[schema(required)]
    suggestion: Option<String>,
    /// Of an error: the world outside is at fault, and it may pass.
    #[schema(required = false)]
    passing: bool,
}

/// The type of a value in a configuration.
#[derive(ToSchema)]
#[schema(rename_all = "UPPERCASE")]
pub(crate) enum ValueType {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

/// How much a key matters.
#[derive(ToSchema)]
#[schema(rename_all = "UPPERCASE")]
pub(crate) enum Importance {
    High,
    Medium,
    Low,
}

/// How wide a form shows a key.
#[derive(ToSchema)]
#[schema(rename_all = "UPPERCASE")]
pub(crate) enum Width {
    None,
    Short,
    Medium,
    Long,
}

/// Keys and values. Numbers and booleans are taken as texts; null is a key that is not set.
#[derive(ToSchema)]
pub(crate) struct Settings(BTreeMap<String, Scalar>);

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(f64),
    Flag(bool),
    Unset,
}

/// Names, or with `expand` what is known of each connector.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Listed {
    Names(Vec<String>),
    Expanded(BTreeMap<String, Expanded>),
}

/// What was asked for of a connector.
#[derive(Serialize, ToSchema)]
pub(crate) struct Expanded {
    info: Option<Connector>,
    status: Option<ConnectorStateInfo>,
}

/// The level that a logger is to have.
#[derive(ToSchema)]
pub(crate) struct SetLevel {
    level: crate::Level,
}

/// A record of the log.
#[derive(ToSchema)]
pub(crate) struct LogRecord {
    topic: String,
    partition: i32,
    #[schema(required)]
    offset: Option<i64>,
    /// In milliseconds since the epoch.
    #[schema(required)]
    timestamp: Option<i64>,
    #[schema(required)]
    key: Option<Payload>,
    #[schema(required)]
    value: Option<Payload>,
    headers: Vec<Header>,
}

/// A header of a record; several may have the same key.
#[derive(ToSchema)]
struct Header {
    key: String,
    #[schema(required)]
    value: Option<Payload>,
}

/// The text that is stored, or bytes that are no text.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Payload {
    Text(String),
    Bytes {
        /// The bytes in Base64.
        base64: String,
    },
}
