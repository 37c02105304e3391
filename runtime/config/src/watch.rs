//! Tells when the configuration files or components of a folder, or a file that a secret is read from, have changed.
//!
//! The system's notices only wake this up; what counts is a fingerprint of the files (identity, size, times), so reading
//! them wakes nobody, and the rename swaps of editors and the link swaps of Kubernetes are seen like any other change.
//! Where the system gives no notices, as on NFS, the fingerprint is taken at every poll.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use towpath_model::{Clock, SystemClock};

use crate::Error;

/// How to watch.
#[derive(Clone, Copy, Debug)]
pub struct WatchOptions {
    /// How long the folder must be quiet before a change is told.
    pub debounce: Duration,
    /// How often to look in any case, for file systems that do not tell; also the only way where watching is impossible.
    pub poll: Duration,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self { debounce: Duration::from_millis(150), poll: Duration::from_secs(10) }
    }
}

/// What wakes the thread.
enum Event {
    /// Something has happened somewhere that is watched.
    Noticed,
    /// Other files are to be watched; how they were when they were named.
    Files(Fingerprint),
    /// The end.
    Stop,
}

/// Watches until dropped.
#[derive(Debug)]
pub struct Watch {
    events: SyncSender<Event>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches `dir` on a thread of its own and calls `changed` after each burst of changes.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(dir: &Path, options: WatchOptions, changed: impl FnMut() + Send + 'static) -> Result<Self, Error> {
        let (events, received) = sync_channel(256);
        let notices = events.clone();
        // A full queue loses nothing: the thread is about to look anyway.
        let watcher = notify::recommended_watcher(move |_| drop(notices.try_send(Event::Noticed)));
        let watcher = watcher.inspect_err(
            |error| tracing::warn!(%error, "no notices of changed files, looking every {:?}", options.poll),
        );
        let mut looker = Looker {
            dir: dir.to_owned(),
            files: Vec::new(),
            options,
            watcher: watcher.ok(),
            watched: Vec::new(),
            clock: SystemClock::default(),
        };
        looker.watch();
        let before = looker.fingerprint();
        let thread = std::thread::Builder::new()
            .name("config-watch".into())
            .spawn(move || looker.run(&received, before, changed));
        let thread = thread.map_err(|error| Error::Watch { path: dir.to_owned(), reason: error.to_string() })?;
        Ok(Self { events, thread: Some(thread) })
    }

    /// Watches these files as well, instead of those given before. What changes after this call is told.
    pub fn files(&self, files: Vec<PathBuf>) {
        let files = files.into_iter().map(|file| (file.clone(), print_of(&file))).collect();
        // It fails only when the thread has panicked, and then there is nobody left to tell.
        let _ = self.events.send(Event::Files(files));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Stop);
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

/// Identity, size and times of each file; none for one that is not there.
type Fingerprint = BTreeMap<PathBuf, Option<Print>>;

/// Identity, size, time of the last change of contents and of anything.
type Print = (u64, u64, i128, i128);

struct Looker {
    dir: PathBuf,
    files: Vec<PathBuf>,
    options: WatchOptions,
    watcher: Option<RecommendedWatcher>,
    watched: Vec<PathBuf>,
    clock: SystemClock,
}

impl Looker {
    fn run(mut self, events: &Receiver<Event>, mut known: Fingerprint, mut changed: impl FnMut()) {
        loop {
            match events.recv_timeout(self.options.poll) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Event::Files(files)) => self.take(files, &mut known),
                Ok(Event::Noticed) => {
                    if !self.settle(events, &mut known) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let found = self.fingerprint();
            if found != known {
                known = found;
                // A folder that was replaced by another one must be watched anew.
                self.watch();
                changed();
            }
        }
    }

    /// Watches other files than before, from how they were when they were named.
    fn take(&mut self, files: Fingerprint, known: &mut Fingerprint) {
        for file in std::mem::take(&mut self.files) {
            known.remove(&file);
        }
        self.files = files.keys().cloned().collect();
        known.extend(files);
        self.watch();
    }

    /// Waits until it has been quiet for a while, though not for ever. False at the end.
    fn settle(&mut self, events: &Receiver<Event>, known: &mut Fingerprint) -> bool {
        let until = self.clock.monotonic() + self.options.debounce * 10;
        while self.clock.monotonic() < until {
            match events.recv_timeout(self.options.debounce) {
                Ok(Event::Noticed) => {}
                Ok(Event::Files(files)) => self.take(files, known),
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => return true,
            }
        }
        true
    }

    /// Watches the folder, the folder it stands in, and the folders of the files.
    fn watch(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        for path in self.watched.drain(..) {
            // What is gone is no longer watched in any case.
            let _ = watcher.unwatch(&path);
        }
        let parent = |path: &Path| path.parent().filter(|parent| !parent.as_os_str().is_empty()).map(Path::to_owned);
        let mut folders: Vec<PathBuf> = std::iter::once(self.dir.clone()).chain(parent(&self.dir)).collect();
        folders.extend(self.files.iter().filter_map(|file| parent(file)));
        folders.sort();
        folders.dedup();
        for folder in folders {
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => self.watched.push(folder),
                Err(error) => tracing::debug!(folder = %folder.display(), %error, "not watched, only looked at"),
            }
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let wanted = |path: &PathBuf| {
            let ending = path.extension().and_then(|end| end.to_str());
            matches!(ending, Some("yaml" | "yml" | "json" | "wasm"))
        };
        entries.filter(wanted).chain(self.files.iter().cloned()).map(|path| (path.clone(), print_of(&path))).collect()
    }
}

fn print_of(path: &Path) -> Option<Print> {
    std::fs::metadata(path).ok().map(|metadata| print(&metadata))
}

#[cfg(unix)]
fn print(metadata: &std::fs::Metadata) -> Print {
    use std::os::unix::fs::MetadataExt;
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let modified = nanos(metadata.mtime(), metadata.mtime_nsec());
    (metadata.ino(), metadata.len(), modified, nanos(metadata.ctime(), metadata.ctime_nsec()))
}

#[cfg(not(unix))]
fn print(metadata: &std::fs::Metadata) -> Print {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    (0, metadata.len(), since.map_or(0, |since| since.as_nanos().cast_signed()), 0)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn watched(poll: Duration) -> (tempfile::TempDir, Watch, mpsc::Receiver<()>) {
        let root = tempfile::tempdir().expect("a folder");
        let dir = root.path().join("pipelines");
        std::fs::create_dir(&dir).expect("made");
        std::fs::write(dir.join("a.yaml"), "a: 1").expect("written");
        let (told, changes) = mpsc::channel();
        let options = WatchOptions { debounce: Duration::from_millis(20), poll };
        let watch = Watch::start(&dir, options, move || told.send(()).expect("the test listens")).expect("watched");
        (root, watch, changes)
    }

    #[test]
    fn every_kind_of_change_is_told() {
        let (root, _watch, changes) = watched(Duration::from_secs(600));
        let dir = root.path().join("pipelines");
        let file = dir.join("a.yaml");
        type Step<'a> = (&'a str, Box<dyn Fn() + 'a>);
        let steps: [Step<'_>; 6] = [
            ("write", Box::new(|| std::fs::write(&file, "a: 2").expect("written"))),
            ("add", Box::new(|| std::fs::write(dir.join("b.yml"), "b: 1").expect("written"))),
            (
                "swap",
                Box::new(|| {
                    std::fs::write(dir.join(".a.swp"), "a: 3").expect("written");
                    std::fs::rename(dir.join(".a.swp"), &file).expect("renamed");
                }),
            ),
            ("delete", Box::new(|| std::fs::remove_file(dir.join("b.yml")).expect("deleted"))),
            (
                "replace the folder",
                Box::new(|| {
                    let other = root.path().join("other");
                    std::fs::create_dir(&other).expect("made");
                    std::fs::write(other.join("c.json"), "{}").expect("written");
                    std::fs::rename(&dir, root.path().join("old")).expect("renamed");
                    std::fs::rename(&other, &dir).expect("renamed");
                }),
            ),
            ("write in the new folder", Box::new(|| std::fs::write(dir.join("c.json"), "{ }").expect("written"))),
        ];
        for (what, step) in steps {
            step();
            assert!(changes.recv_timeout(SOON).is_ok(), "{what} was not told");
        }
    }

    #[test]
    fn a_link_swapped_as_kubernetes_does_and_secret_files_are_told() {
        let (root, watch, changes) = watched(Duration::from_secs(600));
        let dir = root.path().join("pipelines");
        for version in ["v1", "v2"] {
            std::fs::create_dir(root.path().join(version)).expect("made");
            std::fs::write(root.path().join(version).join("k.yaml"), version).expect("written");
        }
        let link = |version: &str| {
            std::os::unix::fs::symlink(root.path().join(version), dir.join("..tmp")).expect("linked");
            std::fs::rename(dir.join("..tmp"), dir.join("..data")).expect("renamed");
        };
        link("v1");
        std::os::unix::fs::symlink("..data/k.yaml", dir.join("k.yaml")).expect("linked");
        assert!(changes.recv_timeout(SOON).is_ok(), "the new link");
        link("v2");
        assert!(changes.recv_timeout(SOON).is_ok(), "the swapped link");

        let secret = root.path().join("v1").join("password");
        std::fs::write(&secret, "one").expect("written");
        watch.files(vec![secret.clone()]);
        std::fs::write(&secret, "another").expect("written");
        assert!(changes.recv_timeout(SOON).is_ok(), "the secret");
    }

    #[test]
    fn without_notices_polling_finds_changes() {
        let (root, watch, changes) = watched(Duration::from_millis(10));
        drop(watch);
        let (told, changes_polled) = mpsc::channel();
        drop(changes);
        let dir = root.path().join("pipelines");
        let mut looker = Looker {
            dir: dir.clone(),
            files: Vec::new(),
            options: WatchOptions { debounce: Duration::from_millis(1), poll: Duration::from_millis(10) },
            watcher: None,
            watched: Vec::new(),
            clock: SystemClock::default(),
        };
        looker.watch();
        let (events, received) = sync_channel(1);
        let before = looker.fingerprint();
        let thread =
            std::thread::spawn(move || looker.run(&received, before, move || told.send(()).expect("the test listens")));
        std::fs::write(dir.join("new.yaml"), "n: 1").expect("written");
        assert!(changes_polled.recv_timeout(SOON).is_ok());
        events.send(Event::Stop).expect("the thread runs");
        thread.join().expect("the thread ends");
    }
}
