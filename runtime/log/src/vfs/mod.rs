//! Files as something that is handed in, so that a simulated disk can take the place of the system's.
//!
//! The contract is what POSIX promises and no more: a write is durable after [`VfsFile::sync`] of its file, an entry of a
//! directory (created, renamed, removed) after [`Vfs::sync_dir`]; before that a power cut may keep any part of it, in any
//! order. [`OsVfs`] is the machine's; `sim` keeps a disk in memory and breaks it as real ones break.

mod os;

use std::io;
use std::path::Path;
use std::sync::Arc;

pub use os::OsVfs;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// It exists and is only read.
    Read,
    /// It exists and is read and written.
    Write,
    /// It is read and written, and made empty or created first.
    Create,
    /// It is read and written, and created where it does not exist.
    WriteOrCreate,
}

/// Directories and their entries.
pub trait Vfs: Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn VfsFile>>;
    /// The names in a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Creates a directory and those above it; fine if it exists.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Renames a file or directory; a file in the way is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file, or a directory with all that is in it.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the entries of a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file. Reads and writes name their place; there is no cursor.
pub trait VfsFile: Send + Sync {
    /// Reads up to `buffer.len()` bytes; fewer only at the end of the file or when interrupted, zero only at the end.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
    /// Writes some bytes from the front of `bytes` and says how many.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize>;
    /// Makes what was written durable, with the length of the file. After a failure nothing may be assumed.
    fn sync(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Its length.
    fn length(&self) -> io::Result<u64>;
    /// Takes the lock of the file, alone or with other readers; false when another process has it. Freed on close.
    fn try_lock(&self, alone: bool) -> io::Result<bool>;
}

/// Writes all of `bytes`.
pub(crate) fn write_all_at(file: &dyn VfsFile, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                at += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until `buffer` is full or the file ends; says how many bytes were read.
pub(crate) fn read_full_at(file: &dyn VfsFile, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Reads a file from its beginning to its end.
pub(crate) fn read_whole(file: &dyn VfsFile) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.length()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; length];
    let read = read_full_at(file, &mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Fills a file with zeros up to a length, durably, so that the space is its own.
pub(crate) fn fill_with_zeros(file: &dyn VfsFile, bytes: u64) -> io::Result<()> {
    let mut at = 0;
    while at < bytes {
        let step = (bytes - at).min(ZEROS.len() as u64);
        write_all_at(file, ZEROS.get(..step as usize).unwrap_or_default(), at)?;
        at += step;
    }
    file.sync()
}
