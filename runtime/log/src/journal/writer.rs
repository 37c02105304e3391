//! Writes frames into journal files of a fixed size, which are filled with zeros beforehand and used again after a checkpoint.
//!
//! Space is found before the first byte of a round is written: a full disk refuses a commit, it never tears one. A failed
//! write or sync is reported and not repeated; the caller ends the engine.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use towpath_model::crash_point;

use super::frame::{self, FRAME_HEAD_BYTES};
use crate::vfs::{Open, Vfs, VfsFile, fill_with_zeros, write_all_at};

/// Frames below this are gathered into one write.
const GATHER_BELOW_BYTES: usize = 256 << 10;
const GATHER_BYTES_MAX: usize = 1 << 20;

/// Why a round was not begun. Nothing of it was written.
#[derive(Debug)]
pub(crate) enum NoSpace {
    /// The journal has all the files it may have; a checkpoint frees some.
    JournalFull(String),
    /// The disk has no room for another journal file.
    DiskFull(String),
    /// The file system failed.
    Io(io::Error),
}

/// One file of the journal.
pub(crate) struct JournalFile {
    number: u64,
    file: Arc<dyn VfsFile>,
    bytes: u64,
    last_sequence: u64,
}

/// The journal's files and the place to write next.
pub(crate) struct JournalWriter {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    file_bytes: u64,
    bytes_max: u64,
    epoch: u64,
    current: Option<JournalFile>,
    at: u64,
    used: VecDeque<JournalFile>,
    free: Vec<JournalFile>,
    next_number: u64,
}

impl JournalWriter {
    /// Takes over the journal of a directory. All files found there must be obsolete.
    pub(crate) fn open(
        vfs: Arc<dyn Vfs>,
        dir: PathBuf,
        (file_bytes, bytes_max): (u64, u64),
        epoch: u64,
    ) -> io::Result<Self> {
        let mut free = Vec::new();
        let mut next_number = 0;
        for name in file_names(vfs.as_ref(), &dir)? {
            let file = vfs.open(&dir.join(&name), Open::Write)?;
            let number = number_of(&name).unwrap_or(0);
            next_number = next_number.max(number + 1);
            let bytes = file.length()?;
            if bytes == file_bytes {
                free.push(JournalFile { number, file, bytes, last_sequence: 0 });
            } else {
                vfs.remove(&dir.join(&name))?;
            }
        }
        Ok(Self {
            vfs,
            dir,
            file_bytes,
            bytes_max,
            epoch,
            current: None,
            at: 0,
            used: VecDeque::new(),
            free,
            next_number,
        })
    }

    /// Bytes on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.used.iter().chain(&self.free).chain(&self.current).map(|file| file.bytes).sum()
    }

    /// Makes room for all `frames` (their lengths), so that writing them cannot meet a full disk.
    pub(crate) fn reserve(&mut self, frames: impl Iterator<Item = usize>) -> Result<(), NoSpace> {
        let mut at = self.at;
        let mut end = self.current.as_ref().map_or(0, |file| file.bytes);
        let mut needed = Vec::new();
        for length in frames.map(|length| length as u64) {
            if at + length > end {
                (at, end) = (0, self.file_bytes.max(length));
                needed.push(end);
            }
            at += length;
        }
        let ready = self.free.len();
        // Files of an odd size are made for one frame; plain ones come from those that are free.
        let mut plain = 0;
        for bytes in needed {
            if bytes == self.file_bytes {
                plain += 1;
                if plain <= ready {
                    continue;
                }
            }
            if self.disk_bytes() + bytes > self.bytes_max.max(bytes) {
                let bytes = self.disk_bytes();
                return Err(NoSpace::JournalFull(format!(
                    "the journal has {bytes} bytes and segments cannot be written"
                )));
            }
            let file = self.plan(bytes).create(self.vfs.as_ref())?;
            self.free.push(file);
        }
        Ok(())
    }

    /// Writes frames, the first of which gets `sequence`, and makes them durable.
    pub(crate) fn write(&mut self, frames: &[Bytes], sequence: u64, durable: u64) -> io::Result<()> {
        crash_point("journal.before_write");
        let mut gathered = Vec::new();
        for (frame, sequence) in frames.iter().zip(sequence..) {
            let length = frame.len() as u64;
            if self.current.as_ref().is_none_or(|file| self.at + length > file.bytes) {
                self.flush(&mut gathered)?;
                self.next_file(length)?;
            }
            let head = frame::seal(frame, sequence, self.epoch, durable);
            gathered.extend_from_slice(&head);
            let payload = frame.get(FRAME_HEAD_BYTES..).unwrap_or_default();
            if payload.len() < GATHER_BELOW_BYTES {
                gathered.extend_from_slice(payload);
                if gathered.len() >= GATHER_BYTES_MAX {
                    self.flush(&mut gathered)?;
                }
            } else {
                self.flush(&mut gathered)?;
                self.append(payload)?;
            }
            if let Some(file) = &mut self.current {
                file.last_sequence = sequence;
            }
        }
        self.flush(&mut gathered)?;
        crash_point("journal.before_fsync");
        if let Some(file) = &self.current {
            file.file.sync()?;
        }
        crash_point("journal.after_fsync");
        Ok(())
    }

    /// Frees the files whose frames are all at or below `sequence`, which segments hold by now. Keeps `keep` of them.
    pub(crate) fn recycle(&mut self, sequence: u64, keep: usize) -> io::Result<()> {
        while self.used.front().is_some_and(|file| file.last_sequence <= sequence) {
            self.free.extend(self.used.pop_front());
        }
        let mut surplus: Vec<JournalFile> = Vec::new();
        while self.free.len() > keep || self.free.iter().any(|file| file.bytes != self.file_bytes) {
            let odd = self.free.iter().position(|file| file.bytes != self.file_bytes).unwrap_or(0);
            surplus.push(self.free.swap_remove(odd));
        }
        for file in surplus {
            self.vfs.remove(&self.dir.join(name_of(file.number)))?;
        }
        Ok(())
    }

    /// Plans a file to be ready beyond the current one, so that a commit seldom waits for zeros to be written.
    pub(crate) fn plan_spare(&mut self) -> Option<Spare> {
        let wanted = self.free.is_empty() && self.disk_bytes() + self.file_bytes <= self.bytes_max;
        wanted.then(|| self.plan(self.file_bytes))
    }

    /// Takes in a file that was made as planned.
    pub(crate) fn adopt_spare(&mut self, file: JournalFile) {
        self.free.push(file);
    }

    fn plan(&mut self, bytes: u64) -> Spare {
        let number = self.next_number;
        self.next_number += 1;
        Spare { dir: self.dir.clone(), number, bytes }
    }

    fn flush(&mut self, gathered: &mut Vec<u8>) -> io::Result<()> {
        self.append(gathered)?;
        gathered.clear();
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let file = self.current.as_ref().ok_or_else(|| io::Error::other("no journal file is current"))?;
        write_all_at(file.file.as_ref(), bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn next_file(&mut self, length: u64) -> io::Result<()> {
        let wanted = self.file_bytes.max(length);
        let index = self.free.iter().position(|file| file.bytes == wanted);
        let index = index.ok_or_else(|| io::Error::other("no journal file was reserved"))?;
        let next = self.free.swap_remove(index);
        if let Some(full) = self.current.replace(next) {
            full.file.sync()?;
            self.used.push_back(full);
        }
        self.at = 0;
        Ok(())
    }
}

/// A journal file that is yet to be made.
pub(crate) struct Spare {
    dir: PathBuf,
    number: u64,
    bytes: u64,
}

impl Spare {
    /// Makes the file: filled with zeros, and durable with its name.
    pub(crate) fn create(self, vfs: &dyn Vfs) -> Result<JournalFile, NoSpace> {
        let Self { dir, number, bytes } = self;
        let path = dir.join(name_of(number));
        let file = vfs.open(&path, Open::Create)?;
        if let Err(error) = fill_with_zeros(file.as_ref(), bytes).and_then(|()| vfs.sync_dir(&dir)) {
            drop(file);
            // The file holds nothing; if it cannot be removed either, the next open does so.
            let _ = vfs.remove(&path);
            return Err(error.into());
        }
        Ok(JournalFile { number, file, bytes, last_sequence: 0 })
    }
}

impl From<io::Error> for NoSpace {
    fn from(error: io::Error) -> Self {
        if crate::error::is_disk_full(&error) { Self::DiskFull(error.to_string()) } else { Self::Io(error) }
    }
}

/// The names of the journal's files, in the order of their numbers.
pub(crate) fn file_names(vfs: &dyn Vfs, dir: &std::path::Path) -> io::Result<Vec<String>> {
    let mut names = vfs.list(dir)?;
    names.retain(|name| number_of(name).is_some());
    Ok(names)
}

fn name_of(number: u64) -> String {
    format!("{number:010}.journal")
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_suffix(".journal")?.parse().ok()
}
