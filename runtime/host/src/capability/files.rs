//! Local files: those that the task's configuration names. A path is walked part by part without following a link, so that nobody
//! who may write into one of its folders can turn it to another file, before or after it was permitted.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use towpath_model::Capability;
use wasmtime::component::Resource;

use super::require;
use super::scratch::blocking;
use crate::bindings::imports::towpath::connect::files as wit;
use crate::guest::Guest;

/// The most that one read returns.
const READ_BYTES_MAX: u32 = 4 << 20;
/// Rights of a file that is made here, less what the process leaves out.
const NEW: Mode = Mode::from_raw_mode(0o666);

/// A file that a guest reads.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Reader(Arc<File>);

/// A file that a guest appends to.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Appender(Arc<File>);

impl wit::Host for Guest {}

impl wit::HostReader for Guest {
    async fn open(&mut self, path: String) -> wasmtime::Result<Result<Resource<Reader>, wit::FileError>> {
        match self.open_file(path, OFlags::RDONLY).await {
            Ok(file) => Ok(Ok(self.table.push(Reader(file))?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn read(
        &mut self,
        this: Resource<Reader>,
        offset: u64,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, wit::FileError>> {
        self.meter.rested();
        let (file, max) = (Arc::clone(&self.table.get(&this)?.0), max.min(READ_BYTES_MAX));
        let read = move || {
            let left = file.metadata()?.len().saturating_sub(offset).min(max.into());
            let mut bytes = vec![0; usize::try_from(left).unwrap_or_default()];
            let read = file.read_at(&mut bytes, offset)?;
            bytes.truncate(read);
            Ok(bytes)
        };
        Ok(blocking(read).await.map_err(|error| failed(&error)))
    }

    async fn size(&mut self, this: Resource<Reader>) -> wasmtime::Result<Result<u64, wit::FileError>> {
        let metadata = self.table.get(&this)?.0.metadata();
        Ok(metadata.map(|metadata| metadata.len()).map_err(|error| failed(&error)))
    }

    async fn drop(&mut self, this: Resource<Reader>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl wit::HostAppender for Guest {
    async fn open(&mut self, path: String) -> wasmtime::Result<Result<Resource<Appender>, wit::FileError>> {
        match self.open_file(path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE).await {
            Ok(file) => Ok(Ok(self.table.push(Appender(file))?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn append(
        &mut self,
        this: Resource<Appender>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), wit::FileError>> {
        self.meter.rested();
        let file = Arc::clone(&self.table.get(&this)?.0);
        Ok(blocking(move || append(&file, &bytes)).await.map_err(|error| failed(&error)))
    }

    async fn sync(&mut self, this: Resource<Appender>) -> wasmtime::Result<Result<(), wit::FileError>> {
        self.meter.rested();
        let file = Arc::clone(&self.table.get(&this)?.0);
        Ok(blocking(move || file.sync_data()).await.map_err(|error| failed(&error)))
    }

    async fn drop(&mut self, this: Resource<Appender>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl Guest {
    async fn open_file(&mut self, path: String, how: OFlags) -> Result<Arc<File>, wit::FileError> {
        require(self, Capability::Files).map_err(wit::FileError::Denied)?;
        self.scope.allowed.file(&path).map_err(|denied| wit::FileError::Denied(denied.0))?;
        self.meter.rested();
        let opened = blocking(move || Ok(open(Path::new(&path), how))).await;
        opened.map_err(|error| failed(&error))?.map(Arc::new)
    }
}

/// Opens a regular file.
fn open(path: &Path, how: OFlags) -> Result<File, wit::FileError> {
    let shown = path.display();
    let denied = |reason: &str| wit::FileError::Denied(format!("{shown}: {reason}"));
    let refused = |error: Errno| match error {
        Errno::NOENT => wit::FileError::NotFound(format!("{shown} does not exist")),
        // What a link is to those who do not follow it.
        Errno::LOOP | Errno::NOTDIR => denied("a part of the path is a symbolic link or no folder; name the real path"),
        Errno::ISDIR => denied("it is no regular file"),
        error => wit::FileError::Io(format!("{shown}: {error}")),
    };
    let mut folder: Option<OwnedFd> = None;
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        let at = folder.as_ref().map_or(CWD, |folder| std::os::fd::AsFd::as_fd(folder));
        match part {
            Component::ParentDir | Component::Prefix(_) => return Err(denied("the path leads back up")),
            Component::Normal(name) if parts.peek().is_none() => {
                let flags = how | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
                let file = File::from(openat(at, name, flags, NEW).map_err(refused)?);
                let metadata = file.metadata().map_err(|error| failed(&error))?;
                return if metadata.is_file() { Ok(file) } else { Err(denied("it is no regular file")) };
            }
            part => {
                let name: &Path = part.as_ref();
                let flags = FOLDER | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                folder = Some(openat(at, name, flags, Mode::empty()).map_err(refused)?);
            }
        }
    }
    Err(denied("it is no file"))
}

/// To go through a folder needs no right to list it.
#[cfg(target_os = "linux")]
const FOLDER: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const FOLDER: OFlags = OFlags::RDONLY;

/// Appends all of the bytes or none: what a full disk took in part is taken back, unless somebody has written behind it.
fn append(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    let before = file.metadata()?.len();
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                if file.metadata()?.len() == before + written as u64 {
                    file.set_len(before)?;
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

fn failed(error: &io::Error) -> wit::FileError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => wit::FileError::Full(error.to_string()),
        io::ErrorKind::NotFound => wit::FileError::NotFound(error.to_string()),
        _ => wit::FileError::Io(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_anywhere_in_the_path_leads_nowhere() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path().canonicalize().expect("its real path");
        std::fs::create_dir(root.join("folder")).expect("made");
        std::fs::write(root.join("folder/file"), "text").expect("written");
        std::os::unix::fs::symlink(root.join("folder"), root.join("link")).expect("linked");
        std::os::unix::fs::symlink(root.join("folder/file"), root.join("folder/other")).expect("linked");
        let read = |path: &str| open(&root.join(path), OFlags::RDONLY);
        assert!(read("folder/file").is_ok());
        for path in ["link/file", "folder/other", "folder/../folder/file", "folder"] {
            assert!(matches!(read(path), Err(wit::FileError::Denied(_))), "{path}");
        }
        assert!(matches!(read("folder/nothing"), Err(wit::FileError::NotFound(_))));
        let append = |path: &str| open(&root.join(path), OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE);
        assert!(matches!(append("folder"), Err(wit::FileError::Denied(_))), "no folder is appended to");
        assert!(matches!(open(Path::new("/dev/null"), OFlags::RDONLY), Err(wit::FileError::Denied(_))));
    }

    #[test]
    fn what_is_appended_stands_behind_what_was_there() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().canonicalize().expect("its real path").join("out");
        for line in ["one\n", "two\n"] {
            let file = open(&path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE).expect("opened");
            append(&file, line.as_bytes()).expect("appended");
        }
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "one\ntwo\n");
    }
}
