//! Literals that were given for secret keys over REST, in one file that only its owner may read.
//!
//! The file is JSON: `{"version":1,"secrets":{"<connector>":{"<key>":"<value>"}}}`. It is replaced whole: written beside,
//! synced, renamed. Invariant 5: a crash leaves the old file or the new one.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::Error;

const VERSION: u32 = 1;

type Secrets = BTreeMap<String, BTreeMap<String, String>>;

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    secrets: Secrets,
}

/// Literals that were given for secret keys over REST, in one file that only its owner may read.
pub struct SecretStore {
    path: PathBuf,
    secrets: Mutex<Secrets>,
}

impl std::fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SecretStore {
    /// Opens the store; the file is made at the first write.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let secrets = match std::fs::read(path) {
            Ok(bytes) => {
                let damaged = |reason: String| Error::Store { path: path.to_owned(), reason };
                // The text of a JSON error would quote the value it stumbles over.
                let stored: Stored = serde_json::from_slice(&bytes)
                    .map_err(|error| damaged(format!("line {} column {}", error.line(), error.column())))?;
                if stored.version != VERSION {
                    return Err(damaged(format!(
                        "its version is {}, and this program knows {VERSION}",
                        stored.version
                    )));
                }
                restrict(path)?;
                stored.secrets
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Secrets::new(),
            Err(source) => return Err(Error::Io { path: path.to_owned(), source }),
        };
        Ok(Self { path: path.to_owned(), secrets: Mutex::new(secrets) })
    }

    /// Stores a value durably and returns the reference to put in its place.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put(&self, connector: &str, key: &str, value: &str) -> Result<String, Error> {
        let mut secrets = self.lock();
        let mut changed = secrets.clone();
        changed.entry(connector.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
        if changed != *secrets {
            self.write(&changed)?;
            *secrets = changed;
        }
        Ok(format!("${{secret:{connector}:{key}}}"))
    }

    /// The value of a key of a connector.
    pub fn get(&self, connector: &str, key: &str) -> Option<String> {
        self.lock().get(connector)?.get(key).cloned()
    }

    /// Forgets a connector.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove(&self, connector: &str) -> Result<(), Error> {
        let mut secrets = self.lock();
        let mut changed = secrets.clone();
        if changed.remove(connector).is_some() {
            self.write(&changed)?;
            *secrets = changed;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Secrets> {
        // The map is replaced whole, so a panic elsewhere leaves it sound.
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, secrets: &Secrets) -> Result<(), Error> {
        let io = |source| Error::Io { path: self.path.clone(), source };
        let stored = Stored { version: VERSION, secrets: secrets.clone() };
        let bytes = serde_json::to_vec(&stored).map_err(|error| io(error.into()))?;
        let beside = self.path.with_extension("new");
        let mut file = create_private(&beside).map_err(io)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(io)?;
        std::fs::rename(&beside, &self.path).map_err(io)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
    }
}

/// A file that only its owner may read, from its first byte on.
pub(crate) fn create_private(path: &Path) -> std::io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Takes everybody else's rights to a file away.
fn restrict(path: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, permissions).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
