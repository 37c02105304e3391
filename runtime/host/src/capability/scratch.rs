//! Scratch: files of one task, bounded together, empty at every start. The folder is wiped when the task begins and ends.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use towpath_model::{Capability, crash_point};
use wasmtime::component::Resource;

use super::require;
use crate::bindings::imports::towpath::connect::scratch as wit;
use crate::guest::Guest;

/// The most that one read returns.
const READ_BYTES_MAX: u32 = 4 << 20;

/// A file under the guest's hand.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct File {
    file: Arc<fs::File>,
    path: PathBuf,
    size: u64,
}

/// The task's folder and how much of it is used.
#[derive(Debug)]
pub(crate) struct Space {
    folder: PathBuf,
    made: bool,
    next: u64,
    used: u64,
    max: u64,
}

impl Space {
    /// The space of the task with this label; nothing is touched until the first file.
    pub(crate) fn new(scratch_dir: &Path, label: &str, max: u64) -> Self {
        Self { folder: scratch_dir.join(folder_name(label)), made: false, next: 0, used: 0, max }
    }

    fn create(&mut self) -> io::Result<File> {
        if !self.made {
            wipe(&self.folder)?;
            fs::create_dir_all(&self.folder)?;
            self.made = true;
        }
        let path = self.folder.join(self.next.to_string());
        self.next += 1;
        let file = fs::File::options().read(true).write(true).create_new(true).open(&path)?;
        Ok(File { file: Arc::new(file), path, size: 0 })
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if self.made {
            // What is left is wiped at the next start.
            drop(wipe(&self.folder));
        }
    }
}

impl wit::Host for Guest {}

impl wit::HostFile for Guest {
    async fn create(&mut self) -> wasmtime::Result<Result<Resource<File>, wit::ScratchError>> {
        if let Err(reason) = require(self, Capability::Scratch) {
            return Ok(Err(wit::ScratchError::Io(reason)));
        }
        match self.scratch.create() {
            Ok(file) => Ok(Ok(self.table.push(file)?)),
            Err(error) => Ok(Err(wit::ScratchError::Io(error.to_string()))),
        }
    }

    async fn append(
        &mut self,
        this: Resource<File>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), wit::ScratchError>> {
        self.meter.rested();
        let length = bytes.len() as u64;
        if self.scratch.used.saturating_add(length) > self.scratch.max {
            let text = format!("the task's scratch files would grow beyond {} bytes", self.scratch.max);
            return Ok(Err(wit::ScratchError::Full(text)));
        }
        crash_point("scratch.before_append");
        let file = self.table.get(&this)?;
        let (handle, size) = (file.file.clone(), file.size);
        let written = blocking(move || {
            handle.write_all_at(&bytes, size).or_else(|error| {
                // Whatever part was written is taken back, so that the file is as before.
                handle.set_len(size)?;
                Err(error)
            })
        });
        match written.await {
            Ok(()) => {
                self.table.get_mut(&this)?.size += length;
                self.scratch.used += length;
                Ok(Ok(()))
            }
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                Ok(Err(wit::ScratchError::Full(error.to_string())))
            }
            Err(error) => Ok(Err(wit::ScratchError::Io(error.to_string()))),
        }
    }

    async fn read(
        &mut self,
        this: Resource<File>,
        offset: u64,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, wit::ScratchError>> {
        self.meter.rested();
        let file = self.table.get(&this)?;
        let left = file.size.saturating_sub(offset).min(max.min(READ_BYTES_MAX).into());
        let (handle, length) = (file.file.clone(), usize::try_from(left).unwrap_or_default());
        let read = blocking(move || {
            let mut bytes = vec![0; length];
            handle.read_exact_at(&mut bytes, offset).map(|()| bytes)
        });
        let read = read.await.map_err(|error| wit::ScratchError::Io(error.to_string()));
        crash_point("scratch.after_read");
        Ok(read)
    }

    async fn size(&mut self, this: Resource<File>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&this)?.size)
    }

    async fn drop(&mut self, this: Resource<File>) -> wasmtime::Result<()> {
        let file = self.table.delete(this)?;
        self.scratch.used = self.scratch.used.saturating_sub(file.size);
        // Failing that, the folder is wiped as a whole.
        drop(fs::remove_file(&file.path));
        Ok(())
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn wipe(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A file name for a label, whatever characters it has.
fn folder_name(label: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    label.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_leaves_the_folder() {
        assert_eq!(folder_name("../a b-0"), "%2e%2e%2fa%20b-0");
    }

    #[test]
    fn a_start_finds_nothing_of_an_earlier_one() {
        let root = tempfile::tempdir().expect("a folder");
        let mut first = Space::new(root.path(), "t-0", 100);
        let file = first.create().expect("a file");
        file.file.write_all_at(b"old", 0).expect("written");
        std::mem::forget(first);
        let mut second = Space::new(root.path(), "t-0", 100);
        let path = second.create().expect("a file").path;
        assert_eq!(fs::read(path).expect("readable"), b"");
    }
}
