//! What can go wrong in the host itself. What goes wrong inside a running component is a `ConnectorError`.

use std::path::PathBuf;

use towpath_model::{Coded, ConnectorKind, Kind};

/// An error of the host.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine does not start on this machine.
    #[error("the WASM engine cannot start")]
    Engine(#[source] wasmtime::Error),
    /// A file or folder cannot be used.
    #[error("{path}: {what}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot hold a component.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder for compiled code could be written to by others, whose code would then run unchecked.
    #[error("{}: compiled code is kept only where no other user can write; {reason}", path.display())]
    CacheNotPrivate {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it, and what mends it.
        reason: String,
    },
    /// The file is no component, or needs what the host does not offer.
    #[error("{name} is not a component that this worker can run")]
    Component {
        /// The component.
        name: String,
        /// Why.
        #[source]
        source: wasmtime::Error,
    },
    /// Compiling the component takes too long or too much memory.
    #[error("{name} is not compiled: {reason}")]
    CompileLimit {
        /// The component.
        name: String,
        /// What it takes too much of.
        reason: String,
    },
    /// The component does not export what its kind requires.
    #[error("{name} says it is a {kind:?} but does not export the interface of one")]
    Exports {
        /// The component.
        name: String,
        /// What it says of itself.
        kind: ConnectorKind,
    },
    /// The component's spec contradicts itself.
    #[error("{name} has a spec that contradicts itself: {reason}")]
    Spec {
        /// The component.
        name: String,
        /// How.
        reason: String,
    },
    /// TLS or HTTP cannot be set up.
    #[error("the HTTP client cannot be set up")]
    Http(#[source] reqwest::Error),
}

impl Coded for Error {
    fn kind(&self) -> Kind {
        Kind::Fail
    }

    fn code(&self) -> &str {
        match self {
            Self::Engine(_) => "host.engine",
            Self::Io { .. } => "host.io",
            Self::File { .. } => "plugin.file",
            Self::CacheNotPrivate { .. } => "host.cache_not_private",
            Self::Component { .. } => "plugin.component",
            Self::CompileLimit { .. } => "plugin.compile_limit",
            Self::Exports { .. } => "plugin.exports",
            Self::Spec { .. } => "plugin.spec",
            Self::Http(_) => "host.http",
        }
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
