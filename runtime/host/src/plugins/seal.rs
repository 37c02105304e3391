//! Files that only this worker can have written: each carries a code made with a key of the cache's own.
//!
//! ```text
//! file:  32 bytes  HMAC-SHA-256 over name and contents, with the key in <cache_dir>/key
//!        …         contents
//! ```
//! The name takes part, so that one sealed file cannot stand in for another. A file is read once, and what was checked is what
//! is used. It must also be a plain file of this process's user that nobody else can write to. Whoever can read the key can
//! seal: another process of the same user is not kept out, and neither is root.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

const KEY_BYTES: usize = 32;
const SEAL_BYTES: usize = 32;

/// Why a sealed file is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("it is no plain file")]
    NotPlain,
    #[error("it belongs to another user, or others can write to it")]
    NotPrivate,
    #[error("it was not written by this worker, or was changed since")]
    Changed,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Seals and opens the files of one folder.
#[derive(Debug)]
pub(super) struct Sealer {
    key: hmac::Key,
    /// The user of this process.
    owner: u32,
}

impl Sealer {
    /// Takes the key of the folder, making one when there is none that can be used.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let owner = probe_owner(folder)?;
        let path = folder.join("key");
        let known = read_plain(&path, owner).ok().filter(|(key, mode)| key.len() == KEY_BYTES && mode & 0o077 == 0);
        let key = match known {
            Some((key, _)) => key,
            None => {
                let mut key = vec![0; KEY_BYTES];
                SystemRandom::new().fill(&mut key).map_err(|_| io::Error::other("the system gives no random bytes"))?;
                write_whole(&path, &[&key])?;
                key
            }
        };
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), owner })
    }

    /// The user of this process.
    pub(super) fn owner(&self) -> u32 {
        self.owner
    }

    /// The contents of a sealed file; none when there is no file.
    pub(super) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Broken> {
        let (mut bytes, _) = match read_plain(path, self.owner) {
            Err(Broken::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let (seal, contents) = bytes.split_at_checked(SEAL_BYTES).ok_or(Broken::Changed)?;
        // Compared under the key, so that the time it takes tells nothing of what is due.
        let due = hmac::sign(&self.key, self.seal(path, contents).as_ref());
        hmac::verify(&self.key, seal, due.as_ref()).map_err(|_| Broken::Changed)?;
        bytes.drain(..SEAL_BYTES);
        Ok(Some(bytes))
    }

    /// Writes a sealed file, whole.
    pub(super) fn write(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        write_whole(path, &[self.seal(path, contents).as_ref(), contents])
    }

    fn seal(&self, path: &Path, contents: &[u8]) -> hmac::Tag {
        // The folder's name says for which engine the contents are.
        let name = path.iter().rev().take(2).map(|part| part.as_encoded_bytes());
        let mut context = hmac::Context::with_key(&self.key);
        for part in name {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        context.update(contents);
        context.sign()
    }
}

/// Reads a plain file of this user's own, and its mode.
fn read_plain(path: &Path, owner: u32) -> Result<(Vec<u8>, u32), Broken> {
    let named = fs::symlink_metadata(path)?;
    if !named.is_file() {
        return Err(Broken::NotPlain);
    }
    let mut file = File::open(path)?;
    let found = file.metadata()?;
    if (found.dev(), found.ino()) != (named.dev(), named.ino()) {
        return Err(Broken::NotPlain);
    }
    if found.uid() != owner || found.mode() & 0o022 != 0 {
        return Err(Broken::NotPrivate);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default());
    file.read_to_end(&mut bytes)?;
    Ok((bytes, found.mode()))
}

/// Whom a new file belongs to is who this process is.
fn probe_owner(folder: &Path) -> io::Result<u32> {
    let path = unique(&folder.join("probe"));
    let file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
    let owner = file.metadata()?.uid();
    fs::remove_file(&path)?;
    Ok(owner)
}

/// Files appear by rename, so a reader sees a whole file or none.
fn write_whole(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let temporary = unique(path);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = parts.iter().try_for_each(|part| file.write_all(part));
    let written = written.and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Whatever is left of it is never read.
        drop(fs::remove_file(&temporary));
    }
    written
}

fn unique(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    path.with_extension(format!("{}-{number}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn refused(sealer: &Sealer, path: &Path, why: &str) {
        let broken = sealer.read(path).expect_err("it must not be read").to_string();
        assert!(broken.contains(why), "{broken}");
    }

    #[test]
    fn only_what_was_sealed_here_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let sealer = Sealer::open(folder.path()).expect("a key is made");
        let path = folder.path().join("a.cwasm");
        assert!(sealer.read(&path).expect("nothing is there").is_none());
        sealer.write(&path, b"code").expect("written");
        let again = Sealer::open(folder.path()).expect("the key is found");
        assert_eq!(again.read(&path).expect("sealed").as_deref(), Some(&b"code"[..]));

        let sealed = fs::read(&path).expect("there");
        for at in 0..sealed.len() {
            let mut edited = sealed.clone();
            edited[at] ^= 1;
            fs::write(&path, &edited).expect("edited");
            refused(&sealer, &path, "changed since");
        }
        for end in 0..sealed.len() {
            fs::write(&path, &sealed[..end]).expect("cut");
            refused(&sealer, &path, "changed since");
        }
        fs::write(folder.path().join("b.cwasm"), &sealed).expect("copied");
        refused(&sealer, &folder.path().join("b.cwasm"), "changed since");
    }

    #[test]
    fn links_and_files_that_others_can_write_to_are_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let sealer = Sealer::open(folder.path()).expect("a key is made");
        let path = folder.path().join("a.cwasm");
        sealer.write(&path, b"code").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).expect("changed");
        refused(&sealer, &path, "others can write");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changed");
        let link = folder.path().join("link.cwasm");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        refused(&sealer, &link, "no plain file");
        refused(&sealer, folder.path(), "no plain file");
    }

    #[test]
    fn a_key_that_others_could_read_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.cwasm");
        Sealer::open(folder.path()).expect("a key is made").write(&path, b"code").expect("written");
        fs::set_permissions(folder.path().join("key"), fs::Permissions::from_mode(0o644)).expect("changed");
        let sealer = Sealer::open(folder.path()).expect("a new key is made");
        refused(&sealer, &path, "changed since");
    }
}
