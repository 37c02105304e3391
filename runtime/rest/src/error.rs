//! Why the REST server could not be started or ended early.

use std::net::SocketAddr;
use std::sync::Arc;

/// What went wrong with the server itself; faults of single requests are answered, not returned.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The address is in use or not this machine's.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address asked for.
        address: String,
        /// The system's answer.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Anyone on the network could change connectors.
    #[error(
        "refusing to listen on {address} where anyone may ask. Set --rest-token or --rest-basic-auth, or listen on 127.0.0.1."
    )]
    TokenMissing {
        /// The address asked for.
        address: SocketAddr,
    },
    /// Serving ended.
    #[error("the REST server ended")]
    Serve(#[source] Arc<std::io::Error>),
}

impl Error {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "rest.bind",
            Self::TokenMissing { .. } => "rest.token_missing",
            Self::Serve(_) => "rest.serve",
        }
    }
}
