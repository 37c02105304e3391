//! Why the registry could not be started or ended early. Faults of single requests are answered, not returned: see `fault`.

use std::net::SocketAddr;
use std::sync::Arc;

/// What went wrong with the registry itself.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The address is in use or not this machine's.
    #[error("cannot listen for clients of the schema registry on {address}")]
    Bind {
        /// The address asked for.
        address: String,
        /// The system's answer.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Anyone on the network could change schemas.
    #[error(
        "refusing to listen on {address} without asking who comes. Set --registry-token or --registry-basic-auth, or listen on 127.0.0.1."
    )]
    TokenMissing {
        /// The address asked for.
        address: SocketAddr,
    },
    /// Serving ended.
    #[error("the schema registry ended")]
    Serve(#[source] Arc<std::io::Error>),
    /// The topic cannot be read.
    #[error("cannot read the schemas in the topic {topic}")]
    Log {
        /// The topic.
        topic: &'static str,
        /// The log's answer.
        #[source]
        source: Arc<towpath_log::Error>,
    },
}

impl Error {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "registry.bind",
            Self::TokenMissing { .. } => "registry.token_missing",
            Self::Serve(_) => "registry.serve",
            Self::Log { .. } => "registry.log",
        }
    }
}
