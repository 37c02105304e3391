//! Tells when the folder, or a file that a secret is read from, has changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

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

/// Watches until dropped.
pub struct Watch {}

impl Watch {
    /// Watches `dir` on a thread of its own and calls `changed` after each burst of changes.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(dir: &Path, options: WatchOptions, changed: impl FnMut() + Send + 'static) -> Result<Self, Error> {
        let _ = (dir, options, changed);
        unimplemented!()
    }

    /// Watches these files as well, instead of those given before.
    pub fn files(&self, files: Vec<PathBuf>) {
        let _ = files;
        unimplemented!()
    }
}
