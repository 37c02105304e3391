//! Connect's types as they stand in its JSON, field by field. Ours never appear in them: they are under `/v1`.
//!
//! Lists are always lists and never null; `trace` is left out when there is none. The place of a key in its group is given under both
//! names that 4.x versions use.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use towpath_model::{ConfigKey, ConnectorKind, ConnectorState, Importance, TaskId, TaskState, ValueType, Width};
use towpath_worker::{ConnectorInfo, ConnectorStatus, OffsetEntry, PluginInfo, TaskStatus, ValidatedKey, Validation};
use utoipa::ToSchema;

use crate::openapi::shapes;

/// `GET /`.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServerInfo<'a> {
    pub(crate) version: &'a str,
    pub(crate) commit: &'a str,
    pub(crate) kafka_cluster_id: &'a str,
}

/// `GET /health`.
#[derive(Serialize, ToSchema)]
pub(crate) struct WorkerStatus {
    pub(crate) status: &'static str,
    pub(crate) message: String,
}

/// `POST /connectors`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateConnectorRequest {
    pub(crate) name: Option<String>,
    #[schema(value_type = shapes::Settings)]
    pub(crate) config: Option<serde_json::Value>,
    /// `RUNNING` unless given, `PAUSED` or `STOPPED`.
    pub(crate) initial_state: Option<String>,
    /// Where it begins; only with the state `STOPPED` or before it first runs.
    pub(crate) initial_offsets: Option<Vec<ConnectorOffset>>,
}

/// The body of `PATCH /connectors/{c}/offsets`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlterOffsetsRequest {
    pub(crate) offsets: Option<Vec<ConnectorOffset>>,
}

/// What was done.
#[derive(Serialize, ToSchema)]
pub(crate) struct Message {
    pub(crate) message: &'static str,
}

/// One task of a connector, as lists name it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectorTaskId {
    connector: String,
    task: u32,
}

impl From<&TaskId> for ConnectorTaskId {
    fn from(id: &TaskId) -> Self {
        Self { connector: id.connector.to_string(), task: id.task }
    }
}

/// A connector with its configuration.
#[derive(Serialize, ToSchema)]
pub(crate) struct Connector {
    name: String,
    config: BTreeMap<String, String>,
    tasks: Vec<ConnectorTaskId>,
    r#type: &'static str,
}

impl From<ConnectorInfo> for Connector {
    fn from(info: ConnectorInfo) -> Self {
        Self {
            name: info.name.to_string(),
            config: info.config.0,
            tasks: info.tasks.iter().map(ConnectorTaskId::from).collect(),
            r#type: kind(info.kind),
        }
    }
}

/// How a connector and its tasks fare.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectorStateInfo {
    name: String,
    #[schema(value_type = State<shapes::ConnectorState>)]
    connector: State<ConnectorState>,
    tasks: Vec<TaskStateInfo>,
    r#type: &'static str,
}

#[derive(Serialize, ToSchema)]
struct State<S> {
    state: S,
    worker_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    version: Option<String>,
}

/// How a task fares.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskStateInfo {
    id: u32,
    #[serde(flatten)]
    #[schema(value_type = State<shapes::TaskState>)]
    state: State<TaskState>,
}

impl From<ConnectorStatus> for ConnectorStateInfo {
    fn from(status: ConnectorStatus) -> Self {
        Self {
            name: status.name.to_string(),
            connector: State {
                state: status.state,
                worker_id: status.worker_id.to_string(),
                trace: not_empty(status.trace),
                version: status.version,
            },
            tasks: status.tasks.into_iter().map(TaskStateInfo::from).collect(),
            r#type: kind(status.kind),
        }
    }
}

impl From<TaskStatus> for TaskStateInfo {
    fn from(task: TaskStatus) -> Self {
        Self {
            id: task.id.task,
            state: State {
                state: task.state,
                worker_id: task.worker_id.to_string(),
                trace: not_empty(task.trace),
                version: task.version,
            },
        }
    }
}

/// A task with its configuration.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskInfo {
    pub(crate) id: ConnectorTaskId,
    pub(crate) config: BTreeMap<String, String>,
}

/// `GET /connectors/{c}/offsets`.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectorOffsets {
    offsets: Vec<ConnectorOffset>,
}

/// A position: a partition and an offset in it. Null stands for a field that is missing.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectorOffset {
    #[serde(default)]
    partition: serde_json::Value,
    #[serde(default)]
    offset: serde_json::Value,
}

impl From<ConnectorOffset> for OffsetEntry {
    fn from(offset: ConnectorOffset) -> Self {
        Self { partition: offset.partition, offset: offset.offset }
    }
}

impl From<Vec<OffsetEntry>> for ConnectorOffsets {
    fn from(entries: Vec<OffsetEntry>) -> Self {
        let offset = |entry: OffsetEntry| ConnectorOffset { partition: entry.partition, offset: entry.offset };
        Self { offsets: entries.into_iter().map(offset).collect() }
    }
}

/// `GET /connectors/{c}/topics`.
pub(crate) type ActiveTopics = IndexMap<String, TopicNames>;

/// The topics of a connector.
#[derive(Serialize, ToSchema)]
pub(crate) struct TopicNames {
    pub(crate) topics: Vec<String>,
}

/// `GET /connector-plugins`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Plugin {
    class: String,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

impl From<PluginInfo> for Plugin {
    fn from(plugin: PluginInfo) -> Self {
        Self { class: plugin.class, r#type: plugin.kind.as_str(), version: plugin.version }
    }
}

/// The definition of one key.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConfigKeyInfo {
    name: String,
    #[schema(value_type = shapes::ValueType)]
    r#type: ValueType,
    required: bool,
    default_value: Option<String>,
    #[schema(value_type = shapes::Importance)]
    importance: Importance,
    documentation: String,
    group: Option<String>,
    order_in_group: i32,
    order: i32,
    #[schema(value_type = shapes::Width)]
    width: Width,
    display_name: String,
    dependents: Vec<String>,
}

impl From<ConfigKey> for ConfigKeyInfo {
    fn from(key: ConfigKey) -> Self {
        Self {
            required: key.required(),
            name: key.name,
            r#type: key.value_type,
            default_value: key.default,
            importance: key.importance,
            documentation: key.doc,
            group: key.group,
            order_in_group: key.order,
            order: key.order,
            width: key.width,
            display_name: key.display_name,
            dependents: key.dependents,
        }
    }
}

/// The answer to validate.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConfigInfos {
    name: String,
    error_count: usize,
    groups: Vec<String>,
    configs: Vec<ConfigInfo>,
}

#[derive(Serialize, ToSchema)]
struct ConfigInfo {
    definition: ConfigKeyInfo,
    value: ConfigValueInfo,
}

#[derive(Serialize, ToSchema)]
struct ConfigValueInfo {
    name: String,
    value: Option<String>,
    recommended_values: Vec<String>,
    errors: Vec<String>,
    visible: bool,
}

impl From<Validation> for ConfigInfos {
    fn from(validation: Validation) -> Self {
        Self {
            error_count: validation.error_count(),
            name: validation.class,
            groups: validation.groups,
            configs: validation.keys.into_iter().map(ConfigInfo::from).collect(),
        }
    }
}

impl From<ValidatedKey> for ConfigInfo {
    fn from(key: ValidatedKey) -> Self {
        Self {
            value: ConfigValueInfo {
                name: key.definition.name.clone(),
                value: key.value,
                recommended_values: key.recommended,
                errors: key.errors,
                visible: key.visible,
            },
            definition: key.definition.into(),
        }
    }
}

fn kind(kind: Option<ConnectorKind>) -> &'static str {
    match kind {
        Some(ConnectorKind::Source) => "source",
        Some(ConnectorKind::Sink) => "sink",
        Some(ConnectorKind::Transform) | None => "unknown",
    }
}

fn not_empty(trace: Option<String>) -> Option<String> {
    trace.filter(|trace| !trace.is_empty())
}
