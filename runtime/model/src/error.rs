//! What can go wrong, sorted by what the caller does next.

use std::borrow::Cow;
use std::fmt;
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

/// What went wrong, as users read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// A stable, dotted code such as `postgres.slot_lost`; none where there is nothing to tell apart.
    pub code: Option<Cow<'static, str>>,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What mends it, in full sentences: a setting, a command, SQL.
    pub remedy: Option<String>,
}

impl Reason {
    /// A reason without a code of its own.
    pub fn new(message: impl Into<String>) -> Self {
        Self { code: None, message: message.into(), remedy: None }
    }

    /// A reason with a code.
    pub fn coded(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: Some(code.into()), message: message.into(), remedy: None }
    }

    /// The same with what mends it.
    #[must_use]
    pub fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, ". {remedy}"),
            None => Ok(()),
        }
    }
}

impl From<String> for Reason {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl From<&str> for Reason {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

/// What is to be done about a fault of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gravity {
    /// It is refused.
    Error,
    /// The world outside is at fault, and that may pass: a task is started all the same, and waits.
    Passing,
    /// It is taken, though it is probably not what was meant or will do harm later.
    Warning,
}

/// What is wrong with a configuration beyond what the definition of its keys can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key concerned.
    pub key: String,
    /// What is to be done about it.
    pub gravity: Gravity,
    /// What is wrong.
    pub reason: Reason,
}

impl Fault {
    /// A fault for which the configuration is refused.
    pub fn error(key: impl Into<String>, reason: impl Into<Reason>) -> Self {
        Self { key: key.into(), gravity: Gravity::Error, reason: reason.into() }
    }

    /// A fault of the world outside, which may pass.
    pub fn passing(key: impl Into<String>, reason: impl Into<Reason>) -> Self {
        Self { key: key.into(), gravity: Gravity::Passing, reason: reason.into() }
    }

    /// A fault with which the configuration is taken.
    pub fn warning(key: impl Into<String>, reason: impl Into<Reason>) -> Self {
        Self { key: key.into(), gravity: Gravity::Warning, reason: reason.into() }
    }
}

/// How a call into a connector failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectorError {
    /// The call may succeed when repeated.
    #[error("{reason}")]
    Retriable {
        /// What happened.
        reason: Reason,
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
        reason: Reason,
    },
    /// Repeating cannot help.
    #[error("{reason}")]
    Fatal {
        /// What happened, with a code such as `guest.panic`, `guest.memory` or `guest.time`.
        reason: Reason,
        /// A backtrace or other detail, where there is one.
        trace: Option<String>,
    },
}

impl ConnectorError {
    /// A fatal error that a connector reported itself.
    pub fn fatal(reason: impl Into<Reason>) -> Self {
        Self::Fatal { reason: reason.into(), trace: None }
    }

    /// A passing error without advice on when to come back.
    pub fn retriable(reason: impl Into<Reason>) -> Self {
        Self::Retriable { reason: reason.into(), after: None }
    }

    /// A fault of the configuration.
    pub fn config(key: impl Into<String>, reason: impl Into<Reason>) -> Self {
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
            Self::Retriable { reason, .. } => reason.code.as_deref().unwrap_or("connector.retriable"),
            Self::Throttled { .. } => "connector.throttled",
            Self::Records(errors) => errors.first().map_or("connector.records", |first| first.code.as_str()),
            Self::Config { reason, .. } => reason.code.as_deref().unwrap_or("connector.config"),
            Self::Fatal { reason, .. } => reason.code.as_deref().unwrap_or("connector.fatal"),
        }
    }
}
