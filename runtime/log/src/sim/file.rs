//! The content of a file on the simulated disk, by sectors, and the handle through which it is used.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rand::RngExt;
use rand::rngs::StdRng;

use super::{State, ended};
use crate::sync::lock;
use crate::vfs::VfsFile;

const SECTOR_BYTES: usize = 512;
/// Older versions of an unsynced sector that are remembered; a cut may leave any of them.
const VERSIONS_MAX: usize = 4;

#[derive(Default)]
pub(super) struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that were changed since the last sync, with what they became in turn.
    unsynced: BTreeMap<usize, Vec<Vec<u8>>>,
    locked: bool,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.cached.len() as u64
    }

    pub(super) fn set_len(&mut self, length: u64) {
        let (before, after) = (self.cached.len(), length as usize);
        self.cached.resize(after, 0);
        self.touch(before.min(after), before.max(after));
    }

    fn write(&mut self, bytes: &[u8], at: usize) {
        let end = at + bytes.len();
        let from = at.min(self.cached.len());
        if end > self.cached.len() {
            self.cached.resize(end, 0);
        }
        self.cached[at..end].copy_from_slice(bytes);
        self.touch(from, end);
    }

    /// Notes what the sectors between two places have become.
    fn touch(&mut self, from: usize, to: usize) {
        for sector in from / SECTOR_BYTES..to.div_ceil(SECTOR_BYTES) {
            let versions = self.unsynced.entry(sector).or_default();
            if versions.len() == VERSIONS_MAX {
                versions.remove(0);
            }
            versions.push(sector_of(&self.cached, sector).to_vec());
        }
    }

    fn sync(&mut self) {
        self.durable.clone_from(&self.cached);
        self.unsynced.clear();
    }

    /// A sync that fails: what it should have kept is lost, and later syncs do not know of it.
    fn fail_sync(&mut self) {
        self.unsynced.clear();
    }

    pub(super) fn flip(&mut self, byte: u64, bit: u8) -> Option<()> {
        let byte = byte as usize;
        let flip = |byte: &mut u8| *byte ^= 1 << (bit % 8);
        // What was never synced is in the cache alone.
        self.durable.get_mut(byte).map(flip);
        self.cached.get_mut(byte).map(flip)
    }

    /// What a power cut leaves.
    pub(super) fn after_cut(&self, random: &mut StdRng) -> Self {
        // Sometimes all was in time, sometimes nothing, mostly some.
        let in_time = *[0.0, 0.2, 0.5, 0.8, 1.0].get(random.random_range(0..5)).unwrap_or(&0.5);
        let length = if random.random_bool(in_time) { self.cached.len() } else { self.durable.len() };
        let mut left = self.durable.clone();
        left.resize(length, 0);
        for (sector, versions) in &self.unsynced {
            if !random.random_bool(in_time) {
                continue;
            }
            let back = if random.random_bool(0.8) { 0 } else { random.random_range(0..versions.len()) };
            let Some(version) = versions.iter().rev().nth(back) else { continue };
            let from = sector * SECTOR_BYTES;
            for (index, byte) in version.iter().enumerate() {
                if let Some(place) = left.get_mut(from + index) {
                    *place = *byte;
                }
            }
        }
        Self { cached: left.clone(), durable: left, unsynced: BTreeMap::new(), locked: false }
    }
}

fn sector_of(bytes: &[u8], sector: usize) -> &[u8] {
    let from = (sector * SECTOR_BYTES).min(bytes.len());
    bytes.get(from..(from + SECTOR_BYTES).min(bytes.len())).unwrap_or_default()
}

/// An open file.
pub(super) struct SimFile {
    state: Arc<Mutex<State>>,
    inode: usize,
    holds_lock: AtomicBool,
}

impl SimFile {
    pub(super) fn new(state: Arc<Mutex<State>>, inode: usize) -> Self {
        Self { state, inode, holds_lock: AtomicBool::new(false) }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State, usize) -> io::Result<T>) -> io::Result<T> {
        act(&mut lock(&self.state), self.inode)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if self.holds_lock.load(Ordering::Relaxed)
            && let Some(content) = lock(&self.state).contents.get_mut(self.inode)
        {
            content.locked = false;
        }
    }
}

fn content(state: &mut State, inode: usize) -> io::Result<&mut Content> {
    state.contents.get_mut(inode).ok_or(io::ErrorKind::NotFound.into())
}

impl VfsFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.with(|state, inode| {
            state.read()?;
            let content = content(state, inode)?;
            let rest = content.cached.get(at as usize..).unwrap_or_default();
            let read = rest.len().min(buffer.len());
            buffer[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        })
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.with(|state, inode| {
            let cut = state.change()?;
            let mut written = bytes.len();
            if (cut || state.faults.short_writes) && written > 1 && state.random.random_bool(0.3) {
                written = state.random.random_range(1..written);
            }
            let length = content(state, inode)?.len();
            let beyond = (at + written as u64).saturating_sub(length);
            if beyond > 0 && state.faults.capacity.is_some() {
                let room = state.room();
                if beyond > room {
                    written = written.saturating_sub((beyond - room) as usize);
                }
                if written == 0 {
                    return Err(io::ErrorKind::StorageFull.into());
                }
            }
            content(state, inode)?.write(&bytes[..written], at as usize);
            ended(cut, written)
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state, inode| {
            let cut = state.change()?;
            if state.faults.failed_sync_at.is_some_and(|at| state.operations >= at) {
                state.faults.failed_sync_at = None;
                content(state, inode)?.fail_sync();
                return Err(io::Error::other("input/output error"));
            }
            content(state, inode)?.sync();
            ended(cut, ())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.with(|state, inode| {
            let cut = state.change()?;
            content(state, inode)?.set_len(length);
            ended(cut, ())
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.with(|state, inode| {
            state.read()?;
            Ok(content(state, inode)?.len())
        })
    }

    fn try_lock(&self, _alone: bool) -> io::Result<bool> {
        self.with(|state, inode| {
            let content = content(state, inode)?;
            let free = !std::mem::replace(&mut content.locked, true);
            self.holds_lock.store(free, Ordering::Relaxed);
            Ok(free)
        })
    }
}
