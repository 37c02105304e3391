//! Why the broker does not start or a connection ends. What concerns one request is an error code of Kafka's: see `codes`.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the broker did not start, or its users cannot be changed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("cannot listen for Kafka clients on {address}")]
    Listen {
        address: String,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "the listener {listener} at {address} can be reached from other machines, and as {protocol} it asks nobody for a password or certificate"
    )]
    Exposed { listener: String, address: SocketAddr, protocol: &'static str },
    #[error("{text:?} is no listener: {reason}")]
    Listener { text: String, reason: String },
    #[error("clients of the listener {listener} cannot be told to connect to {address:?}: {reason}")]
    Advertised { listener: String, address: String, reason: &'static str },
    #[error("the certificate of the Kafka listener cannot be used: {}: {reason}", path.display())]
    Tls { path: PathBuf, reason: String },
    #[error("the listener {listener} speaks {protocol}, and there is no certificate for it")]
    CertificateMissing { listener: String, protocol: &'static str },
    #[error("the users of Kafka clients cannot be used: {}: {reason}", path.display())]
    Users { path: PathBuf, reason: String },
    #[error("{0}")]
    User(String),
}

impl Error {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "kafka.listen",
            Self::Exposed { .. } => "kafka.exposed",
            Self::Listener { .. } => "kafka.listener",
            Self::Advertised { .. } => "kafka.advertised",
            Self::Tls { .. } | Self::CertificateMissing { .. } => "kafka.tls",
            Self::Users { .. } => "kafka.users",
            Self::User(_) => "kafka.user",
        }
    }
}

/// Why a connection is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Hangup {
    #[error("a request of {bytes} bytes is larger than {limit}")]
    TooLarge { bytes: i64, limit: usize },
    #[error("no request has this shape: {0}")]
    Malformed(&'static str),
    #[error("API {key} version {version} is not offered")]
    NotOffered { key: i16, version: i16 },
    #[error("an answer could not be encoded: {0}")]
    Unanswerable(String),
    #[error("an append without acknowledgement failed")]
    Unacknowledged,
    #[error("nothing happened for too long")]
    Idle,
    #[error("the login took too long")]
    SlowLogin,
    #[error("it speaks TLS, which this listener does not: set its security.protocol to {0}")]
    SpeaksTls(&'static str),
    #[error("it does not speak TLS, which this listener does: set its security.protocol to {0}")]
    SpeaksPlain(&'static str),
    #[error("TLS failed: {0}")]
    Handshake(std::io::Error),
    #[error("it sent API {key} before it logged in: set its security.protocol to {protocol}, with a user")]
    NotLoggedIn { key: i16, protocol: &'static str },
    #[error("its login was refused: {0}")]
    LoginRefused(String),
    #[error("its login has expired, and it did not log in again")]
    LoginExpired,
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
}

impl Hangup {
    /// Whether someone has to change a setting, so that an operator should be told.
    pub(crate) fn is_misconfiguration(&self) -> bool {
        matches!(
            self,
            Self::SpeaksTls(_)
                | Self::SpeaksPlain(_)
                | Self::Handshake(_)
                | Self::NotLoggedIn { .. }
                | Self::LoginRefused(_)
        )
    }

    /// What metrics call it.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::Malformed(_) => "malformed",
            Self::NotOffered { .. } => "not_offered",
            Self::Unanswerable(_) => "unanswerable",
            Self::Unacknowledged => "unacknowledged",
            Self::Idle => "idle",
            Self::SlowLogin => "slow_login",
            Self::SpeaksTls(_) | Self::SpeaksPlain(_) | Self::Handshake(_) => "tls",
            Self::NotLoggedIn { .. } | Self::LoginRefused(_) | Self::LoginExpired => "login",
            Self::Io(_) => "broken",
        }
    }
}
