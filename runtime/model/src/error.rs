//! What can go wrong, sorted by what the caller does next.

use std::time::Duration;

/// What a caller does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Try again.
    Retry,
    /// Refuse this record.
    Reject,
    /// The user's configuration is at fault.
    Invalid,
    /// End this task.
    Fail,
    /// Stored data is damaged.
    Corrupt,
}

/// An error that a user can see: it has a stable code.
pub trait Coded: std::error::Error {
    /// What the caller does about it.
    fn kind(&self) -> Kind;
    /// A stable, dotted code such as `config.unknown_field`.
    fn code(&self) -> &str;
}

/// One record that a connector refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// Index of the record in the batch.
    pub index: u32,
    /// A stable code.
    pub code: String,
    /// What is wrong, in a sentence.
    pub reason: String,
    /// Whether handing the record over again can succeed.
    pub retriable: bool,
}

/// How a call into a connector failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectorError {
    /// The call may succeed when repeated.
    #[error("{message}")]
    Retriable {
        /// What happened.
        message: String,
        /// Wait at least this long, where the other side said so.
        after: Option<Duration>,
    },
    /// The other side asked for a pause.
    #[error("asked to wait {} ms", after.as_millis())]
    Throttled {
        /// How long.
        after: Duration,
    },
    /// These records were refused; all others of the batch were accepted.
    #[error("{} records refused, the first: {}", .0.len(), .0.first().map_or("", |first| first.reason.as_str()))]
    Records(Vec<RecordError>),
    /// The configuration is at fault.
    #[error("{key}: {reason}")]
    Config {
        /// The key.
        key: String,
        /// What is wrong with its value.
        reason: String,
    },
    /// Repeating cannot help.
    #[error("{message}")]
    Fatal {
        /// A stable code such as `guest.panic`, `guest.memory`, `guest.time` or `connector.fatal`.
        code: &'static str,
        /// What happened, in a sentence.
        message: String,
        /// A backtrace or other detail, where there is one.
        trace: Option<String>,
    },
}

impl ConnectorError {
    /// A fatal error that a connector reported itself.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::Fatal { code: "connector.fatal", message: message.into(), trace: None }
    }

    /// A passing error without advice on when to come back.
    pub fn retriable(message: impl Into<String>) -> Self {
        Self::Retriable { message: message.into(), after: None }
    }

    /// A fault of the configuration.
    pub fn config(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Config { key: key.into(), reason: reason.into() }
    }
}

impl Coded for ConnectorError {
    fn kind(&self) -> Kind {
        match self {
            Self::Retriable { .. } | Self::Throttled { .. } => Kind::Retry,
            Self::Records(_) => Kind::Reject,
            Self::Config { .. } => Kind::Invalid,
            Self::Fatal { .. } => Kind::Fail,
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Retriable { .. } => "connector.retriable",
            Self::Throttled { .. } => "connector.throttled",
            Self::Records(errors) => errors.first().map_or("connector.records", |first| first.code.as_str()),
            Self::Config { .. } => "connector.config",
            Self::Fatal { code, .. } => code,
        }
    }
}
