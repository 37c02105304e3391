//! What can go wrong, and what the worker should do about it.
//!
//! [`Error::told`] sorts every error, by the diagnoses of `safety`, into passing (reconnect and go on), the user's
//! configuration, and permanent. Errors of the server keep their SQLSTATE, by which they are sorted.

use std::time::Duration;

use towpath_model::{ConnectorError, Fault, Gravity};

use crate::network::NetworkError;
use crate::safety::diagnose;
use crate::schema::Misfit;
use crate::scratch::ScratchError;
use crate::wire::Login;

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
    /// What is wrong is known, with what mends it.
    #[error("{}", .0.reason)]
    Fault(Box<Fault>),
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
    /// Open transactions cannot be kept in scratch files.
    #[error("keeping open transactions: {0}")]
    Scratch(#[from] ScratchError),
    /// Of a streamed transaction with messages of applications, parts were undone: only the server knows which messages.
    #[error("a transaction with messages and savepoints undone has to be sent whole")]
    Unstreamable {
        /// The end of its commit in the log.
        end_lsn: u64,
    },
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
            Self::Fault(fault) => fault.gravity == Gravity::Passing,
            Self::Network(_) | Self::Closed | Self::Unanswered(_) | Self::Busy(_) | Self::Protocol(_) => true,
            // The server can send such transactions when they are committed.
            Self::Scratch(_) | Self::Unstreamable { .. } => true,
            Self::Server { error, .. } => passing(&error.code),
            Self::Setting { .. } | Self::Value { .. } | Self::Misfit(_) | Self::Offset(_) | Self::Fatal(_) => false,
        }
    }

    /// Whether the server lacks the publication for changes that it is to decode. It looks for it as it was when they were made.
    pub fn is_undecodable(&self) -> bool {
        matches!(self, Self::Server { error, .. } if error.code == "42704" && error.message.contains("publication"))
    }

    /// Whether the server failed at decoding its own log.
    pub fn is_of_decoding(&self) -> bool {
        matches!(self, Self::Server { during, error } if error.code == "XX000" && during.starts_with("START_REPLICATION"))
    }

    /// The SQLSTATE, when the server reported the error.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Server { error, .. } => Some(&error.code),
            _ => None,
        }
    }

    /// As the worker is told.
    pub fn told(self, login: &Login) -> ConnectorError {
        let table_at_fault = matches!(self, Self::Value { .. } | Self::Misfit(_) | Self::Offset(_) | Self::Fatal(_));
        let at_once = matches!(self, Self::Busy(_)) || self.sqlstate() == Some("55006");
        let Fault { key, gravity, reason } = diagnose(self, login);
        match gravity {
            Gravity::Passing => {
                let after = (at_once || reason.code.as_deref() == Some("postgres.slot_busy")).then_some(BUSY_RETRY);
                ConnectorError::Retriable { reason, after }
            }
            _ if table_at_fault => ConnectorError::fatal(reason),
            _ => ConnectorError::Config { key, reason },
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

/// A dying connection of ours is gone within milliseconds, so the slot is asked for again soon.
const BUSY_RETRY: Duration = Duration::from_millis(250);

/// SQLSTATE classes: 08 connection, 40 rollback, 53 resources, 57 operator's intervention, 58 system, XX internal.
fn passing(code: &str) -> bool {
    match code {
        // Too few replication slots or senders; removed WAL: neither passes by waiting.
        "53400" | "58P01" | "08P01" => false,
        "55P03" | "55006" => true,
        _ => ["08", "40", "53", "57", "58", "XX"].iter().any(|class| code.starts_with(class)),
    }
}

#[cfg(test)]
mod tests {
    use towpath_model::Coded;

    use super::*;

    fn login() -> Login {
        let tls = crate::network::Tls {
            verify: crate::network::Verify::None,
            roots_key: None,
            certificate_key: None,
            private_key_key: None,
        };
        Login {
            host: "db".into(),
            port: 5432,
            user: "cdc".into(),
            password: None,
            database: "shop".into(),
            ssl: crate::wire::SslMode::Prefer,
            tls,
            application_name: "test".into(),
            timeout: Duration::from_secs(1),
        }
    }

    fn check(code: &str, message: &str, expected: &str) {
        check_during("logging in", code, message, expected);
    }

    fn check_during(during: &str, code: &str, message: &str, expected: &str) {
        let error = ServerError { code: code.into(), message: message.into(), ..ServerError::default() };
        let error = Error::Server { during: during.into(), error }.told(&login());
        let kind = match &error {
            ConnectorError::Retriable { .. } => "passes",
            ConnectorError::Config { .. } => "stays",
            _ => "fatal",
        };
        assert_eq!(format!("{} {kind}", error.code()), expected, "{code}: {message}");
    }

    #[test]
    fn errors_of_the_server_are_sorted_by_their_code_and_words() {
        check("28P01", "password authentication failed for user \"cdc\"", "postgres.password stays");
        check("28000", "role \"cdc\" does not exist", "postgres.role_missing stays");
        check("28000", "role \"cdc\" is not permitted to log in", "postgres.login_right stays");
        check("28000", "no pg_hba.conf entry for host \"1.2.3.4\", no encryption", "postgres.tls_required stays");
        check("28000", "certificate authentication failed", "postgres.not_admitted stays");
        check("3D000", "database \"shop\" does not exist", "postgres.database_missing stays");
        check("42501", "permission denied for database \"shop\"", "postgres.connect_right stays");
        check("42501", "must be superuser or replication role to start walsender", "postgres.replication_right stays");
        check(
            "53300",
            "number of requested standby connections exceeds max_wal_senders",
            "postgres.senders_exhausted passes",
        );
        check("53300", "sorry, too many clients already", "postgres.too_many_connections passes");
        check("53400", "all replication slots are in use", "postgres.slots_exhausted stays");
        check("55006", "replication slot \"s\" is active for PID 7", "postgres.slot_busy passes");
        check("55000", "can no longer get changes from replication slot \"s\"", "postgres.slot_lost stays");
        check("58P01", "requested WAL segment 00 has already been removed", "postgres.slot_lost stays");
        check("42704", "publication \"p\" does not exist", "postgres.publication_missing stays");
        check("42704", "replication slot \"s\" does not exist", "postgres.slot_gone stays");
        check("08P01", "unsupported startup parameter: replication", "postgres.pooler stays");
        check("0A000", "logical decoding cannot be used while in recovery", "postgres.standby stays");
        check("57P03", "the database system is starting up", "postgres.starting passes");
        check("57P01", "terminating connection due to administrator command", "postgres.server passes");
        check("08006", "broken", "postgres.server passes");
        check("42501", "permission denied for table t", "postgres.server stays");
        check("XX000", "internal", "postgres.server passes");
        check_during("START_REPLICATION SLOT \"s\"", "XX000", "could not map filenode", "postgres.decoding passes");
    }
}
