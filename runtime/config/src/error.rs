//! Why this crate could not do its work; faults of what users wrote are [`Finding`](crate::Finding)s instead.

use std::path::PathBuf;

use towpath_model::{Coded, Kind};

/// The environment does not let the crate work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("{} cannot be used", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The folder cannot be watched.
    #[error("{} cannot be watched: {reason}", path.display())]
    Watch {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The secret store is not what it wrote itself.
    #[error("secret store {} is damaged: {reason}", path.display())]
    Store {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Coded for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Store { .. } => Kind::Corrupt,
            Self::Io { .. } | Self::Watch { .. } => Kind::Fail,
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Io { .. } => "config.io",
            Self::Watch { .. } => "config.watch",
            Self::Store { .. } => "config.secret_store",
        }
    }
}
