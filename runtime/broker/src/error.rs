//! Why the listener does not start or a connection ends. What concerns one request is an error code of Kafka's: see `codes`.

use std::net::SocketAddr;

/// Why the broker did not start.
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
        "{address} can be reached from other machines, and Kafka clients have no password here. Listen on 127.0.0.1, or allow it in so many words."
    )]
    Exposed { address: SocketAddr },
    #[error("{address:?} is no host:port to tell Kafka clients")]
    Advertised { address: String },
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
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
}
