//! Compiled code and specs on disk, keyed by the component's digest and by all that compiled code depends on.
//!
//! Compiled code is run as it stands, so it is only ever read from a folder that belongs to the user of this process and that
//! nobody else can write to; anything else is refused. Files appear by rename, so a reader sees a whole file or none. A file
//! that does not load, for instance after an update, is compiled anew.
//!
//! ```text
//! <cache_dir>/<engine>/<digest>.cwasm    code
//! <cache_dir>/<engine>/<digest>.json     spec
//! ```
//!
//! This is the one file of the workspace with `unsafe` code: loading compiled code cannot be checked by the compiler. It is
//! sound as long as the bytes come from wasmtime itself: they were either written by this module into the private folder, or
//! compiled into the binary by its own build.
#![allow(unsafe_code)]

use std::fs::{self, DirBuilder};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use towpath_model::Spec;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::Error;

/// The cache of one engine.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens the cache, making its folder when absent.
    ///
    /// # Errors
    /// When others could write to the folder, or it cannot be made.
    pub(crate) fn open(cache_dir: &Path, engine: &Engine) -> Result<Self, Error> {
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let folder = cache_dir.join(&hex(&hasher.0.finalize())[..16]);
        for path in [cache_dir, &folder] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|source| Error::Io { path: path.to_owned(), what: "the folder cannot be made", source })?;
            require_private(path)?;
        }
        Ok(Self { folder })
    }

    /// The compiled component, from disk or compiled now.
    ///
    /// # Errors
    /// When the bytes are no component.
    pub(crate) fn component(&self, engine: &Engine, name: &str, digest: &str, wasm: &[u8]) -> Result<Component, Error> {
        let path = self.folder.join(format!("{digest}.cwasm"));
        if let Some(component) = load_file(engine, &path) {
            return Ok(component);
        }
        let failed = |source| Error::Component { name: name.to_owned(), source };
        let code = engine.precompile_component(wasm).map_err(failed)?;
        if let Err(error) = write_whole(&path, &code) {
            tracing::warn!(path = %path.display(), %error, "compiled code could not be kept; the next start compiles again");
        }
        // SAFETY: the bytes were made by this engine a moment ago.
        unsafe { Component::deserialize(engine, &code) }.map_err(failed)
    }

    /// The spec that was kept for a component.
    pub(crate) fn spec(&self, digest: &str) -> Option<Spec> {
        let text = fs::read(self.folder.join(format!("{digest}.json"))).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Keeps the spec of a component.
    pub(crate) fn keep_spec(&self, digest: &str, spec: &Spec) {
        let path = self.folder.join(format!("{digest}.json"));
        let written = serde_json::to_vec(spec).map_err(io::Error::other).and_then(|text| write_whole(&path, &text));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "a spec could not be kept; the next start asks for it again");
        }
    }
}

/// Loads a component that is part of the binary; none when it was compiled for another engine or machine.
pub(crate) fn load_embedded(engine: &Engine, cwasm: &'static [u8]) -> Result<Component, wasmtime::Error> {
    // SAFETY: the bytes are part of this program's own read-only data, put there by its build from wasmtime's output.
    unsafe { Component::deserialize(engine, cwasm) }
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn load_file(engine: &Engine, path: &Path) -> Option<Component> {
    if !path.exists() {
        return None;
    }
    // SAFETY: `Cache::open` made sure that only this user can write to the folder, and only this module writes to it, by
    // rename of whole files that wasmtime produced.
    match unsafe { Component::deserialize_file(engine, path) } {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "compiled code does not load and is compiled anew");
            None
        }
    }
}

fn require_private(path: &Path) -> Result<(), Error> {
    let refused = |reason: &str| Error::CacheNotPrivate { path: path.to_owned(), reason: reason.to_owned() };
    let found = fs::symlink_metadata(path);
    let found = found.map_err(|source| Error::Io { path: path.to_owned(), what: "cannot be examined", source })?;
    if !found.is_dir() {
        return Err(refused("it is not a folder. Name another one."));
    }
    if found.mode() & 0o022 != 0 {
        return Err(refused("others can write to this one. Take the right from them with `chmod go-w`."));
    }
    // Whom a new file belongs to is who this process is.
    let own = probe_owner(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        what: "cannot be written to",
        source,
    })?;
    if own != found.uid() {
        return Err(refused("this one belongs to another user. Name another one."));
    }
    Ok(())
}

fn probe_owner(folder: &Path) -> io::Result<u32> {
    let path = unique(&folder.join("probe"));
    let file = fs::File::options().write(true).create_new(true).mode(0o600).open(&path)?;
    let owner = file.metadata()?.uid();
    fs::remove_file(&path)?;
    Ok(owner)
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = unique(path);
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Whatever is left of it is never read.
        drop(fs::remove_file(&temporary));
    }
    written
}

fn unique(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    path.with_extension(format!("{}-{number}.tmp", std::process::id()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Feeds what implements `Hash` to SHA-256, so that the key is the same in every run.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let engine = crate::engine::engine().expect("an engine");
        let folder = tempfile::tempdir().expect("a folder");
        let cache = folder.path().join("cache");
        Cache::open(&cache, &engine).expect("a new folder is private");
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).expect("changed");
        assert!(matches!(Cache::open(&cache, &engine), Err(Error::CacheNotPrivate { .. })));
    }

    #[test]
    fn a_symbolic_link_is_refused() {
        let engine = crate::engine::engine().expect("an engine");
        let folder = tempfile::tempdir().expect("a folder");
        let cache = folder.path().join("cache");
        std::os::unix::fs::symlink("/tmp", &cache).expect("linked");
        assert!(matches!(Cache::open(&cache, &engine), Err(Error::CacheNotPrivate { .. })));
    }
}
