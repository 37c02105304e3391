//! References to secrets, where they may point, and the store of literals that came over REST.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use towpath_model::{Config, Spec};

use crate::Error;

/// Where references of a configuration may point.
#[derive(Clone, Debug)]
pub enum Policy {
    /// Anywhere: the operator's own files.
    Trusted,
    /// Only there: configurations that came over REST.
    Allowed {
        /// Names of environment variables; a trailing `*` stands for any rest.
        env: Vec<String>,
        /// Files and folders.
        paths: Vec<PathBuf>,
    },
}

/// A reference that cannot be resolved. Never shows a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct ResolveError {
    /// The key in whose value it stands.
    pub key: String,
    /// A stable code, such as `config.secret_missing`.
    pub code: &'static str,
    /// Why, in a sentence.
    pub reason: String,
}

/// A configuration with its references resolved.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The configuration to run with; never to be shown or stored.
    pub config: Config,
    /// Takes the resolved values out of texts.
    pub redactor: Redactor,
    /// The files that were read, to be watched.
    pub files: Vec<PathBuf>,
}

/// Replaces secret values in texts.
#[derive(Clone, Default)]
pub struct Redactor {}

impl Redactor {
    /// The text without secrets.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let _ = text;
        unimplemented!()
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

/// Literals that were given for secret keys over REST, in one file that only its owner may read.
#[derive(Debug)]
pub struct SecretStore {}

impl SecretStore {
    /// Opens the store; the file is made at the first write.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let _ = path;
        unimplemented!()
    }

    /// Stores a value durably and returns the reference to put in its place.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put(&self, connector: &str, key: &str, value: &str) -> Result<String, Error> {
        let _ = (connector, key, value);
        unimplemented!()
    }

    /// The value of a key of a connector.
    pub fn get(&self, connector: &str, key: &str) -> Option<String> {
        let _ = (connector, key);
        unimplemented!()
    }

    /// Forgets a connector.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove(&self, connector: &str) -> Result<(), Error> {
        let _ = connector;
        unimplemented!()
    }
}

/// Resolves every `${env:X}`, `${file:/path:key}`, `${dir:/path:file}` and `${secret:connector:key}` of `config`.
/// `env` reads the environment.
///
/// # Errors
/// All references that cannot be resolved or are not allowed.
pub fn resolve(
    config: &Config,
    policy: &Policy,
    store: Option<&SecretStore>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Resolved, Vec<ResolveError>> {
    let _ = (config, policy, store, env);
    unimplemented!()
}

/// Moves literals of secret keys to the store and puts references in their place; for configurations that come over REST.
///
/// # Errors
/// When the store cannot be written.
pub fn withhold_literals(connector: &str, config: &mut Config, spec: &Spec, store: &SecretStore) -> Result<(), Error> {
    let _ = (connector, config, spec, store);
    unimplemented!()
}
