//! Scratch folders that vanish after success and stay for inspection after a failure.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A folder for one test. It is removed by [`Folder::remove`] and otherwise kept.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes a new folder whose name begins with `prefix`. Other users can pass through it, as a server that does not run
    /// as root must.
    pub fn new(prefix: &str) -> Result<Self> {
        Self::within(&std::env::temp_dir(), prefix)
    }

    /// The same, in another place than the system's for such folders.
    pub fn within(parent: &Path, prefix: &str) -> Result<Self> {
        let made = tempfile::Builder::new().prefix(prefix).tempdir_in(parent);
        let path = made.context("making a scratch folder")?.keep();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// A new folder inside it.
    pub fn make(&self, name: impl AsRef<Path>) -> Result<PathBuf> {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(path)
    }

    /// Removes it with all that it holds.
    pub fn remove(self) -> Result<()> {
        std::fs::remove_dir_all(&self.path).with_context(|| format!("removing {}", self.path.display()))
    }
}
