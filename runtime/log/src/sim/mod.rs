//! A disk in memory that breaks as real ones break, for tests that cut the power thousands of times.
//!
//! It keeps apart what a program reads back (the page cache) and what a power cut leaves. A cut decides for each unsynced
//! 512-byte sector, each change of a file's length and each unsynced entry of a directory by itself whether it was in time,
//! so writes are dropped, reordered and torn. A sync may fail once, losing what it should have kept and succeeding from then
//! on, as Linux does. The disk can be full, write less than asked, and flip bits. All choices come from one seed.

mod file;
mod tree;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::sync::lock;
use crate::vfs::{Open, Vfs, VfsFile};
use file::{Content, SimFile};
use tree::Tree;

/// What happens to which operation. Operations that change the disk are counted from the last reboot.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The power fails at this operation, which may still take effect in part.
    pub cut_at: Option<u64>,
    /// The first sync at or after this operation fails.
    pub failed_sync_at: Option<u64>,
    /// Bytes that all files may have together.
    pub capacity: Option<u64>,
    /// Whether writes may be shorter than asked.
    pub short_writes: bool,
}

/// The disk. Clones share it.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    tree: Tree,
    contents: Vec<Content>,
    faults: Faults,
    operations: u64,
    cut: bool,
    random: StdRng,
}

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        let state = State {
            tree: Tree::default(),
            contents: Vec::new(),
            faults: Faults::default(),
            operations: 0,
            cut: false,
            random: StdRng::seed_from_u64(seed),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Sets the faults that lie ahead.
    pub fn set_faults(&self, faults: Faults) {
        lock(&self.state).faults = faults;
    }

    /// The faults that lie ahead.
    pub fn faults(&self) -> Faults {
        lock(&self.state).faults
    }

    /// Operations since the last reboot.
    pub fn operations(&self) -> u64 {
        lock(&self.state).operations
    }

    /// Whether the power is cut.
    pub fn is_cut(&self) -> bool {
        lock(&self.state).cut
    }

    /// Cuts the power now, wherever the program is, and returns the disk as it is after the restart. The old one stays cut.
    pub fn reboot(&self) -> Self {
        let mut state = lock(&self.state);
        state.cut = true;
        let State { tree, contents, random, .. } = &mut *state;
        let mut after = State {
            tree: tree.after_cut(random),
            contents: contents.iter().map(|content| content.after_cut(random)).collect(),
            faults: Faults::default(),
            operations: 0,
            cut: false,
            random: StdRng::seed_from_u64(random.next_u64()),
        };
        after.tree.forget_history();
        Self { state: Arc::new(Mutex::new(after)) }
    }

    /// Flips one bit of a file, in cache and on disk.
    ///
    /// # Errors
    /// When there is no such file or no such byte.
    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u8) -> io::Result<()> {
        let mut state = lock(&self.state);
        let inode = state.tree.file(path)?;
        state
            .contents
            .get_mut(inode)
            .and_then(|content| content.flip(byte, bit))
            .ok_or(io::ErrorKind::InvalidInput.into())
    }

    /// All files with their lengths, sorted by path.
    pub fn files(&self) -> Vec<(std::path::PathBuf, u64)> {
        let state = lock(&self.state);
        let with_length = |(path, inode): (std::path::PathBuf, usize)| {
            let length = state.contents.get(inode).map_or(0, Content::len);
            (path, length)
        };
        state.tree.files().into_iter().map(with_length).collect()
    }
}

impl State {
    /// Counts an operation that changes the disk. Fails once the power is cut; the one that is cut may take effect in part,
    /// which `true` says.
    fn change(&mut self) -> io::Result<bool> {
        if self.cut {
            return Err(no_power());
        }
        self.operations += 1;
        if self.faults.cut_at.is_some_and(|at| self.operations >= at) {
            self.cut = true;
            return if self.random.random_bool(0.5) { Ok(true) } else { Err(no_power()) };
        }
        Ok(false)
    }

    fn read(&self) -> io::Result<()> {
        if self.cut { Err(no_power()) } else { Ok(()) }
    }

    /// How much longer files may become.
    fn room(&self) -> u64 {
        let used: u64 =
            self.tree.files().iter().map(|(_, inode)| self.contents.get(*inode).map_or(0, Content::len)).sum();
        self.faults.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(used))
    }
}

/// Ends a changing operation: one that the cut has met reports failure whatever it did.
fn ended<T>(cut: bool, value: T) -> io::Result<T> {
    if cut { Err(no_power()) } else { Ok(value) }
}

fn no_power() -> io::Error {
    io::Error::other("the power is cut")
}

impl Vfs for SimDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn VfsFile>> {
        let mut state = lock(&self.state);
        state.read()?;
        let known = state.tree.file(path);
        let inode = match (known, how) {
            (Ok(inode), Open::Create) => {
                let cut = state.change()?;
                if let Some(content) = state.contents.get_mut(inode) {
                    content.set_len(0);
                }
                ended(cut, inode)?
            }
            (Err(error), Open::Create | Open::WriteOrCreate) if error.kind() == io::ErrorKind::NotFound => {
                let cut = state.change()?;
                let inode = state.contents.len();
                state.contents.push(Content::default());
                state.tree.create(path, inode)?;
                ended(cut, inode)?
            }
            (known, _) => known?,
        };
        Ok(Arc::new(SimFile::new(self.state.clone(), inode)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = lock(&self.state);
        state.read()?;
        state.tree.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        let cut = state.change()?;
        state.tree.create_dir(dir)?;
        ended(cut, ())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        let cut = state.change()?;
        state.tree.rename(from, to)?;
        ended(cut, ())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        let cut = state.change()?;
        state.tree.remove(path)?;
        ended(cut, ())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        let cut = state.change()?;
        state.tree.sync(dir)?;
        ended(cut, ())
    }
}
