//! The users: a file that only its owner may read, with what SCRAM stores of each password. It is read again when it has changed, so a
//! user that is added may log in at once, and one that is removed no more.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::Mechanism;
use super::scram::{Credential, Hash};
use crate::error::Error;

const NAME_BYTES_MAX: usize = 255;
const PASSWORD_BYTES_MAX: usize = 1024;
const PRIVATE: u32 = 0o600;

/// The users of a file.
pub struct Users {
    path: PathBuf,
    known: Mutex<Known>,
    /// Makes up credentials for names that do not exist.
    secret: [u8; 32],
}

#[derive(Default)]
struct Known {
    stamp: Option<Stamp>,
    users: Arc<Stored>,
}

/// By what a change of the file is seen: its inode, size and time of change.
type Stamp = (u64, u64, i64, i64);

#[derive(Default, Serialize, Deserialize)]
struct Stored {
    users: BTreeMap<String, Credentials>,
}

/// What a user may do over REST, where that asks for users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestAccess {
    /// Look.
    Read,
    /// Everything.
    Write,
}

#[derive(Serialize, Deserialize)]
struct Credentials {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rest: Option<RestAccess>,
    #[serde(rename = "scram-sha-256")]
    sha256: Credential,
    #[serde(rename = "scram-sha-512")]
    sha512: Credential,
}

impl Users {
    /// The users of a file, which need not exist yet: then there are none.
    ///
    /// # Errors
    /// [`Error::Users`]: others may read it, or it holds something else.
    pub fn open(path: impl Into<PathBuf>, seed: u64) -> Result<Self, Error> {
        let mut secret = [0; 32];
        StdRng::seed_from_u64(seed).fill_bytes(&mut secret);
        let users = Self { path: path.into(), known: Mutex::default(), secret };
        users.refresh()?;
        Ok(users)
    }

    /// Their names, sorted, and what they may do over REST.
    ///
    /// # Errors
    /// [`Error::Users`].
    pub fn all(&self) -> Result<Vec<(String, Option<RestAccess>)>, Error> {
        Ok(self.refresh()?.users.iter().map(|(name, credentials)| (name.clone(), credentials.rest)).collect())
    }

    /// What a user with this name and password may do over REST; none where there is no such user.
    pub fn rest_access(&self, name: &str, password: &str) -> Option<RestAccess> {
        // Looked up last, so that whether a name exists shows in no duration.
        let fits = self.credential(name, Mechanism::Plain).fits(Hash::of(Mechanism::Plain), password);
        let users = self.refresh().ok()?;
        users.users.get(name).filter(|_| fits)?.rest
    }

    /// Adds a user, or gives one that exists another password and leaves it what it may do. Says whether it is new.
    ///
    /// # Errors
    /// [`Error::User`] where name or password cannot be, [`Error::Users`].
    pub fn put(&self, name: &str, password: &str, random: &mut impl Rng) -> Result<bool, Error> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(Error::User(format!(
                "{name:?} cannot be the name of a user: it has 1 to {NAME_BYTES_MAX} bytes and no control characters"
            )));
        }
        if password.is_empty() || password.len() > PASSWORD_BYTES_MAX || password.contains('\0') {
            return Err(Error::User(format!("a password has 1 to {PASSWORD_BYTES_MAX} bytes and no zero among them")));
        }
        let mut credentials = Credentials {
            rest: None,
            sha256: Credential::new(Hash::Sha256, password, random),
            sha512: Credential::new(Hash::Sha512, password, random),
        };
        self.change(|users| {
            credentials.rest = users.get(name).and_then(|known| known.rest);
            users.insert(name.to_owned(), credentials).is_none()
        })
    }

    /// Says what a user may do over REST. Says whether there is that user.
    ///
    /// # Errors
    /// [`Error::Users`].
    pub fn allow_rest(&self, name: &str, access: Option<RestAccess>) -> Result<bool, Error> {
        self.change(|users| users.get_mut(name).map(|known| known.rest = access).is_some())
    }

    /// Takes a user away. Says whether there was one.
    ///
    /// # Errors
    /// [`Error::Users`].
    pub fn remove(&self, name: &str) -> Result<bool, Error> {
        self.change(|users| users.remove(name).is_some())
    }

    /// What is stored of a user's password, or something that no password fits.
    pub(super) fn credential(&self, name: &str, mechanism: Mechanism) -> Credential {
        let hash = Hash::of(mechanism);
        let users = self.refresh().unwrap_or_else(|error| {
            tracing::error!(%error, "nobody can log in");
            Arc::default()
        });
        let known = users.users.get(name).map(|credentials| match hash {
            Hash::Sha256 => credentials.sha256.clone(),
            Hash::Sha512 => credentials.sha512.clone(),
        });
        known.unwrap_or_else(|| Credential::of_nobody(hash, &self.secret, name))
    }

    /// The file as it is now.
    fn refresh(&self) -> Result<Arc<Stored>, Error> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.stamp()?;
        if stamp != known.stamp {
            known.users = Arc::new(if stamp.is_some() { self.read()? } else { Stored::default() });
            known.stamp = stamp;
        }
        Ok(Arc::clone(&known.users))
    }

    fn stamp(&self) -> Result<Option<Stamp>, Error> {
        match fs::metadata(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(&error)),
            Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
                let reason = format!("others may read it. Say chmod 600 {}", self.path.display());
                Err(self.failed(&reason))
            }
            Ok(metadata) => Ok(Some((metadata.ino(), metadata.len(), metadata.ctime(), metadata.ctime_nsec()))),
        }
    }

    fn read(&self) -> Result<Stored, Error> {
        let text = fs::read_to_string(&self.path).map_err(|error| self.failed(&error))?;
        let file: Stored = serde_json::from_str(&text).map_err(|error| self.failed(&error))?;
        let sound = |credentials: &Credentials| {
            credentials.sha256.is_sound(Hash::Sha256) && credentials.sha512.is_sound(Hash::Sha512)
        };
        match file.users.iter().find(|(_, credentials)| !sound(credentials)) {
            Some((name, _)) => Err(self.failed(&format!("what it holds of {name} is nothing that was written here"))),
            None => Ok(file),
        }
    }

    /// Changes the file as a whole, one change after the other.
    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Credentials>) -> T) -> Result<T, Error> {
        let failed = |error: std::io::Error| self.failed(&error);
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(failed)?;
        let turn = File::open(folder).map_err(failed)?;
        turn.lock().map_err(failed)?;
        let mut file = if self.stamp()?.is_some() { self.read()? } else { Stored::default() };
        let changed = change(&mut file.users);
        let mut text = serde_json::to_string_pretty(&file).map_err(|error| self.failed(&error))?;
        text.push('\n');
        let fresh = self.path.with_extension("new");
        // One that a crash left would keep the rights that it has.
        let _ = fs::remove_file(&fresh);
        let mut out = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&fresh).map_err(failed)?;
        out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).map_err(failed)?;
        fs::rename(&fresh, &self.path).and_then(|()| turn.sync_all()).map_err(failed)?;
        Ok(changed)
    }

    fn failed(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::Users { path: self.path.clone(), reason: reason.to_string() }
    }
}
