//! Why a request to the worker was not fulfilled, one variant for each answer that Kafka Connect's REST API knows.
//!
//! The texts are Connect's, word for word where Connect has one: clients and runbooks match on them.

use std::sync::Arc;

use towpath_model::{ConnectorName, Kind, TaskId};

use crate::answers::RecordId;

/// Why a request to the worker was not fulfilled.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// There is no such connector.
    #[error("Connector {0} not found")]
    NotFound(ConnectorName),
    /// There is no status of such a connector.
    #[error("No status found for connector {0}")]
    NoStatus(ConnectorName),
    /// There is no status of such a task.
    #[error("No status found for task {0}")]
    NoTaskStatus(TaskId),
    /// There is no connector to pause, resume or stop.
    #[error("Unknown connector {0}")]
    UnknownConnector(ConnectorName),
    /// There is no connector to restart.
    #[error("Unknown connector: {0}")]
    UnknownToRestart(ConnectorName),
    /// There is no task to restart.
    #[error("Unknown task: {0}")]
    UnknownTask(TaskId),
    /// A connector of this name is there already.
    #[error("Connector {0} already exists")]
    Exists(ConnectorName),
    /// The name in the configuration is not the one the request is for.
    #[error("Connector name configuration ({configured}) doesn't match connector name in the URL ({requested})")]
    NameMismatch {
        /// The name in the configuration.
        configured: String,
        /// The name in the request.
        requested: String,
    },
    /// The configuration is at fault; one entry for each fault.
    #[error(
        "Connector configuration is invalid and contains the following {} error(s):\n{}\nYou can also find the above list of \
         errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`",
        .0.len(), .0.join("\n")
    )]
    InvalidConfig(Vec<String>),
    /// The connector comes from a file of the folder, which is the place to change it.
    #[error("Connector {name} is defined by the file {file}: change or delete it there")]
    FileOwned {
        /// The connector.
        name: ConnectorName,
        /// The file.
        file: String,
    },
    /// There is no such plugin.
    #[error("Unknown plugin {0}.")]
    UnknownPlugin(String),
    /// `connector.class` names no plugin.
    #[error(
        "Failed to find any class that implements Connector and which name matches {class}, available connectors are: {}",
        available.join(", ")
    )]
    UnknownClass {
        /// What was asked for.
        class: String,
        /// What there is.
        available: Vec<String>,
    },
    /// A configuration was sent for validation to another plugin than it names.
    #[error("Included connector type {included} does not match request type {requested}")]
    ClassMismatch {
        /// The class in the configuration.
        included: String,
        /// The class in the request.
        requested: String,
    },
    /// The record does not wait to be put again.
    #[error("No record at topic {}, partition {}, offset {} waits to be put again", .0.topic, .0.partition, .0.offset)]
    NotDeferred(RecordId),
    /// As many listen to the connector's records as may.
    #[error("Too many taps of connector {0} are open: end one of them first")]
    TooManyTaps(ConnectorName),
    /// A request that makes no sense as it stands.
    #[error("{0}")]
    BadRequest(String),
    /// The connector must be stopped first.
    #[error(
        "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified \
         connector by issuing a 'PUT' request to the '/connectors/{0}/stop' endpoint"
    )]
    NotStopped(ConnectorName),
    /// The worker still reads its state.
    #[error("The worker is starting: its configuration is being read from the log")]
    Starting,
    /// The worker is shutting down or has ended.
    #[error("The worker is shutting down")]
    ShuttingDown,
    /// The log refused.
    #[error("the log refused: {}", .0.told())]
    Log(Arc<towpath_log::Error>),
    /// A record of the worker's own topics cannot be read.
    #[error("the record with key {key} in {topic} cannot be read: {reason}")]
    State {
        /// The topic.
        topic: String,
        /// The record's key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A result of the worker.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) | Self::UnknownConnector(_) | Self::UnknownToRestart(_) => "worker.connector_not_found",
            Self::NoStatus(_) | Self::NoTaskStatus(_) => "worker.no_status",
            Self::UnknownTask(_) => "worker.task_not_found",
            Self::Exists(_) => "worker.connector_exists",
            Self::NameMismatch { .. } => "worker.name_mismatch",
            Self::InvalidConfig(_) => "worker.invalid_config",
            Self::FileOwned { .. } => "worker.file_owned",
            Self::UnknownPlugin(_) | Self::UnknownClass { .. } => "worker.unknown_plugin",
            Self::ClassMismatch { .. } => "worker.class_mismatch",
            Self::NotDeferred(_) => "worker.not_deferred",
            Self::TooManyTaps(_) => "worker.too_many_taps",
            Self::BadRequest(_) => "worker.bad_request",
            Self::NotStopped(_) => "worker.not_stopped",
            Self::Starting => "worker.starting",
            Self::ShuttingDown => "worker.shutting_down",
            Self::Log(error) => error.code(),
            Self::State { .. } => "worker.state",
        }
    }

    /// The status with which Kafka Connect's REST API answers.
    pub fn http_status(&self) -> u16 {
        match self {
            Self::NotFound(_)
            | Self::NoStatus(_)
            | Self::NoTaskStatus(_)
            | Self::UnknownConnector(_)
            | Self::UnknownToRestart(_)
            | Self::UnknownTask(_)
            | Self::NotDeferred(_)
            | Self::UnknownPlugin(_) => 404,
            Self::Exists(_) => 409,
            Self::NameMismatch { .. }
            | Self::InvalidConfig(_)
            | Self::UnknownClass { .. }
            | Self::ClassMismatch { .. }
            | Self::BadRequest(_)
            | Self::NotStopped(_) => 400,
            Self::FileOwned { .. } => 403,
            Self::TooManyTaps(_) => 429,
            Self::Starting | Self::ShuttingDown => 503,
            Self::Log(_) | Self::State { .. } => 500,
        }
    }

    /// What a caller does about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Starting | Self::TooManyTaps(_) => Kind::Retry,
            Self::Log(error) => error.kind(),
            Self::State { .. } => Kind::Corrupt,
            Self::ShuttingDown => Kind::Fail,
            _ => Kind::Invalid,
        }
    }
}

impl From<towpath_log::Error> for Error {
    fn from(error: towpath_log::Error) -> Self {
        Self::Log(Arc::new(error))
    }
}
