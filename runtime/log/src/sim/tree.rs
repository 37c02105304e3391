//! The directories of the simulated disk: what is there now, and per directory which changes no sync has made durable.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use rand::RngExt;
use rand::rngs::StdRng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    File(usize),
    Dir(usize),
}

/// One change of a directory, whole or absent after a cut.
#[derive(Clone, Debug)]
struct Change(Vec<(String, Option<Entry>)>);

#[derive(Clone, Debug, Default)]
struct Dir {
    now: BTreeMap<String, Entry>,
    durable: BTreeMap<String, Entry>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
pub(super) struct Tree {
    dirs: Vec<Dir>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { dirs: vec![Dir::default()] }
    }
}

impl Tree {
    pub(super) fn file(&self, path: &Path) -> io::Result<usize> {
        match self.entry(path)? {
            Entry::File(inode) => Ok(inode),
            Entry::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn create(&mut self, path: &Path, inode: usize) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        self.change(dir, vec![(name, Some(Entry::File(inode)))]);
        Ok(())
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        let mut so_far = PathBuf::new();
        for name in names(path) {
            so_far.push(&name);
            if self.entry(&so_far).is_err() {
                let (dir, name) = self.parent(&so_far)?;
                let new = self.dirs.len();
                self.dirs.push(Dir::default());
                self.change(dir, vec![(name, Some(Entry::Dir(new)))]);
            }
        }
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let entry = self.entry(from)?;
        let ((dir, name), (to_dir, to_name)) = (self.parent(from)?, self.parent(to)?);
        if dir != to_dir {
            // The log renames within a directory only; elsewhere the simulation would be kinder than a disk.
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        self.change(dir, vec![(name, None), (to_name, Some(entry))]);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.entry(path)?;
        let (dir, name) = self.parent(path)?;
        self.change(dir, vec![(name, None)]);
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let dir = self.dir(path)?;
        Ok(self.dirs.get(dir).map(|dir| dir.now.keys().cloned().collect()).unwrap_or_default())
    }

    pub(super) fn sync(&mut self, path: &Path) -> io::Result<()> {
        let dir = self.dir(path)?;
        if let Some(dir) = self.dirs.get_mut(dir) {
            dir.durable.clone_from(&dir.now);
            dir.unsynced.clear();
        }
        Ok(())
    }

    /// All files with their inodes.
    pub(super) fn files(&self) -> Vec<(PathBuf, usize)> {
        let mut files = Vec::new();
        let mut open = vec![(PathBuf::from("/"), 0)];
        while let Some((path, dir)) = open.pop() {
            for (name, entry) in self.dirs.get(dir).map(|dir| &dir.now).into_iter().flatten() {
                match entry {
                    Entry::File(inode) => files.push((path.join(name), *inode)),
                    Entry::Dir(dir) => open.push((path.join(name), *dir)),
                }
            }
        }
        files.sort();
        files
    }

    /// What a power cut leaves: of each directory what was durable, and any of the later changes.
    pub(super) fn after_cut(&self, random: &mut StdRng) -> Self {
        let mut after = self.clone();
        for dir in &mut after.dirs {
            dir.now = dir.durable.clone();
            for Change(entries) in std::mem::take(&mut dir.unsynced) {
                if random.random_bool(0.5) {
                    apply(&mut dir.now, entries);
                }
            }
        }
        after
    }

    /// Takes what is there as durable.
    pub(super) fn forget_history(&mut self) {
        for dir in &mut self.dirs {
            dir.durable.clone_from(&dir.now);
            dir.unsynced.clear();
        }
    }

    fn change(&mut self, dir: usize, entries: Vec<(String, Option<Entry>)>) {
        if let Some(dir) = self.dirs.get_mut(dir) {
            apply(&mut dir.now, entries.clone());
            dir.unsynced.push(Change(entries));
        }
    }

    fn entry(&self, path: &Path) -> io::Result<Entry> {
        let mut entry = Entry::Dir(0);
        for name in names(path) {
            let Entry::Dir(dir) = entry else { return Err(io::ErrorKind::NotADirectory.into()) };
            let found = self.dirs.get(dir).and_then(|dir| dir.now.get(&name)).copied();
            entry = found.ok_or(io::Error::from(io::ErrorKind::NotFound))?;
        }
        Ok(entry)
    }

    fn dir(&self, path: &Path) -> io::Result<usize> {
        match self.entry(path)? {
            Entry::Dir(dir) => Ok(dir),
            Entry::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn parent(&self, path: &Path) -> io::Result<(usize, String)> {
        let mut names: Vec<String> = names(path).collect();
        let name = names.pop().ok_or(io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok((self.dir(&names.iter().collect::<PathBuf>())?, name))
    }
}

fn apply(now: &mut BTreeMap<String, Entry>, entries: Vec<(String, Option<Entry>)>) {
    for (name, entry) in entries {
        match entry {
            Some(entry) => now.insert(name, entry),
            None => now.remove(&name),
        };
    }
}

fn names(path: &Path) -> impl Iterator<Item = String> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str().map(str::to_owned),
        _ => None,
    })
}
