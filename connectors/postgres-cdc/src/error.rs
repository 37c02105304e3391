//! What can go wrong, and what the worker should do about it.
//!
//! One table, [`Error::into_connector_error`], sorts every error into passing (reconnect and go on), the user's
//! configuration, and permanent. Errors of the server keep their SQLSTATE, by which they are sorted.

use std::time::Duration;

use towpath_model::ConnectorError;

use crate::network::NetworkError;
use crate::schema::Misfit;

/// An error that the server reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// The SQLSTATE.
    pub code: String,
    /// What happened.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)?;
        if let Some(detail) = &self.detail {
            write!(f, "; {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

/// How the connector fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The connection failed.
    #[error("connection to the database: {0}")]
    Network(#[from] NetworkError),
    /// The server broke off in the middle.
    #[error("the database closed the connection")]
    Closed,
    /// The server did not answer in time.
    #[error("the database did not answer within {} ms", .0.as_millis())]
    Unanswered(Duration),
    /// The server reported an error.
    #[error("{during}: {error}")]
    Server {
        /// What the connector was doing.
        during: String,
        /// What the server said.
        error: ServerError,
    },
    /// Bytes that are not the protocol.
    #[error("the database sent bytes that are not the protocol: {0}")]
    Protocol(&'static str),
    /// The slot is in use by another process, perhaps one of ours that is dying.
    #[error("{0}")]
    Busy(String),
    /// A key of the configuration is at fault.
    #[error("{key}: {reason}")]
    Setting {
        /// The key.
        key: &'static str,
        /// What is wrong, and what mends it.
        reason: String,
    },
    /// A value that cannot be represented.
    #[error("{table}.{column}: {reason}")]
    Value {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What is wrong. Never the value itself.
        reason: String,
    },
    /// A value for which another version of its table's schema has room; whoever reads rows makes that version.
    #[error("{0}")]
    Misfit(Misfit),
    /// A stored offset that cannot be used.
    #[error("stored offset: {0}")]
    Offset(String),
    /// Repeating cannot help.
    #[error("{0}")]
    Fatal(String),
}

impl Error {
    /// Whether the same call may succeed when repeated.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Network(NetworkError::Denied(_) | NetworkError::Tls(_)) => false,
            Self::Network(_) | Self::Closed | Self::Unanswered(_) | Self::Busy(_) | Self::Protocol(_) => true,
            Self::Server { error, .. } => passing(&error.code),
            Self::Setting { .. } | Self::Value { .. } | Self::Misfit(_) | Self::Offset(_) | Self::Fatal(_) => false,
        }
    }

    /// The SQLSTATE, when the server reported the error.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Server { error, .. } => Some(&error.code),
            _ => None,
        }
    }

    /// As the worker is told.
    pub fn into_connector_error(self) -> ConnectorError {
        match self {
            Self::Busy(message) => ConnectorError::Retriable { reason: message.into(), after: Some(BUSY_RETRY) },
            Self::Setting { key, reason } => ConnectorError::config(key, reason),
            Self::Server { ref error, .. } => match key_at_fault(&error.code) {
                Some(key) => ConnectorError::config(key, self.to_string()),
                None if self.is_passing() => ConnectorError::retriable(self.to_string()),
                None => ConnectorError::fatal(self.to_string()),
            },
            error if error.is_passing() => ConnectorError::retriable(error.to_string()),
            error => ConnectorError::fatal(error.to_string()),
        }
    }
}

/// A dying connection of ours is gone within milliseconds, so the slot is asked for again soon.
const BUSY_RETRY: Duration = Duration::from_millis(250);

fn key_at_fault(code: &str) -> Option<&'static str> {
    match code {
        "28P01" => Some("database.password"),
        "28000" => Some("database.user"),
        "3D000" => Some("database.dbname"),
        _ => None,
    }
}

/// SQLSTATE classes: 08 connection, 40 rollback, 53 resources, 57 operator's intervention, 58 system, XX internal.
fn passing(code: &str) -> bool {
    match code {
        // Too few replication slots or senders; removed WAL: neither passes by waiting.
        "53400" | "58P01" => false,
        "55P03" | "55006" => true,
        _ => ["08", "40", "53", "57", "58", "XX"].iter().any(|class| code.starts_with(class)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str, expected: &str) {
        let error = ServerError { code: code.into(), message: "no".into(), ..ServerError::default() };
        let error = Error::Server { during: "logging in".into(), error }.into_connector_error();
        let kind = match error {
            ConnectorError::Retriable { .. } => "retriable",
            ConnectorError::Config { .. } => "config",
            _ => "fatal",
        };
        assert_eq!(kind, expected, "{code}");
    }

    #[test]
    fn errors_of_the_server_are_sorted_by_their_code() {
        check("28P01", "config");
        check("3D000", "config");
        check("57P01", "retriable");
        check("08006", "retriable");
        check("53300", "retriable");
        check("53400", "fatal");
        check("42501", "fatal");
        check("58P01", "fatal");
        check("55000", "fatal");
    }
}
