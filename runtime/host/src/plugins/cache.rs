//! Compiled code and specs on disk, keyed by the component's digest and by all that compiled code depends on.
//!
//! Compiled code is run as it stands, so a file of the cache is used only when it is known to be this worker's own and
//! unchanged: the folder belongs to the user of this process and nobody else can write to it, anything else is refused; each
//! file carries a code made with the cache's key ([`Sealer`]). A file that fails this, or does not load, for instance after an
//! update, is never used: the component is compiled anew and the file replaced.
//!
//! ```text
//! <cache_dir>/key                        the key, for this user alone
//! <cache_dir>/<engine>/<digest>.cwasm    code, sealed
//! <cache_dir>/<engine>/<digest>.json     spec, sealed
//! ```
//!
//! This is the one file of the workspace with `unsafe` code: loading compiled code cannot be checked by the compiler. It is
//! sound as long as the bytes come from wasmtime itself: they were either sealed by this module, or compiled into the binary
//! by its own build. The latter run where the binary lies in memory, so that only the pages in use take any, and their debug
//! lines none until a backtrace wants them. For which processor code is made is said here, too, as the wrong one would be
//! the end of it.
#![allow(unsafe_code)]

use std::fs::{self, DirBuilder};
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;

use rustix::mm::{MprotectFlags, mprotect};
use rustix::param::page_size;
use sha2::{Digest, Sha256};
use towpath_model::Spec;
use wasmtime::component::Component;
use wasmtime::{Config, CustomCodeMemory, Engine};

use super::seal::Sealer;
use crate::Error;

/// The cache of one engine.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    sealer: Sealer,
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
        let io = |path: &Path, what| {
            let path = path.to_owned();
            move |source| Error::Io { path, what, source }
        };
        for path in [cache_dir, &folder] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(io(path, "the folder cannot be made"))?;
            require_unshared(path)?;
        }
        let sealer = Sealer::open(cache_dir).map_err(io(cache_dir, "cannot be written to"))?;
        for path in [cache_dir, &folder] {
            if fs::symlink_metadata(path).map_err(io(path, "cannot be examined"))?.uid() != sealer.owner() {
                return Err(not_private(path, "this one belongs to another user. Name another one."));
            }
        }
        Ok(Self { folder, sealer })
    }

    /// The compiled component, from disk or compiled now by `compile`, which answers with what wasmtime made.
    ///
    /// # Errors
    /// When it cannot be compiled.
    pub(crate) fn component(
        &self,
        engine: &Engine,
        name: &str,
        digest: &str,
        compile: impl FnOnce() -> Result<Vec<u8>, Error>,
    ) -> Result<Component, Error> {
        let path = self.folder.join(format!("{digest}.cwasm"));
        if let Some(component) = self.load(engine, &path) {
            return Ok(component);
        }
        let code = compile()?;
        if let Err(error) = self.sealer.write(&path, &code) {
            tracing::warn!(path = %path.display(), %error, "compiled code could not be kept; the next start compiles again");
        }
        // SAFETY: the bytes were made by this program's own compiler a moment ago.
        let loaded = unsafe { Component::deserialize(engine, &code) };
        loaded.map_err(|source| Error::Component { name: name.to_owned(), source })
    }

    /// The spec that was kept for a component.
    pub(crate) fn spec(&self, digest: &str) -> Option<Spec> {
        serde_json::from_slice(&self.read(&self.folder.join(format!("{digest}.json")))?).ok()
    }

    /// Keeps the spec of a component.
    pub(crate) fn keep_spec(&self, digest: &str, spec: &Spec) {
        let path = self.folder.join(format!("{digest}.json"));
        let text = serde_json::to_vec(spec).map_err(io::Error::other);
        let written = text.and_then(|text| self.sealer.write(&path, &text));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "a spec could not be kept; the next start asks for it again");
        }
    }

    fn load(&self, engine: &Engine, path: &Path) -> Option<Component> {
        let code = self.read(path)?;
        // SAFETY: the seal says that this module wrote the bytes, which it does only with what wasmtime produced.
        match unsafe { Component::deserialize(engine, &code) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "compiled code does not load and is compiled anew");
                None
            }
        }
    }

    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        match self.sealer.read(path) {
            Ok(contents) => contents,
            Err(broken) => {
                tracing::warn!(path = %path.display(), "a file of the code cache is not used and is made anew: {broken}");
                None
            }
        }
    }
}

/// Loads a component that is part of the binary; none when it was compiled for another engine or machine.
pub(crate) fn load_embedded(engine: &Engine, cwasm: &'static [u8]) -> Result<Component, wasmtime::Error> {
    if !cwasm.as_ptr().addr().is_multiple_of(page_size()) {
        // SAFETY: the bytes are part of this program's own read-only data, put there by its build from wasmtime's output.
        return unsafe { Component::deserialize(engine, cwasm) };
    }
    // SAFETY: as above, and they stay there, unchanged, for as long as the program runs.
    unsafe { Component::deserialize_raw(engine, NonNull::from(cwasm)) }
}

/// Lets compiled code use the vectors that every x86-64 machine has had since 2009, its level 2: without them a shuffle is a
/// call into the host.
pub(crate) fn use_vectors(config: &mut Config) {
    if env!("TOWPATH_TARGET").starts_with("x86_64") {
        for feature in ["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"] {
            // SAFETY: the code is checked against the machine by the engine before any of it is run: one without these
            // features refuses the engine.
            unsafe { config.cranelift_flag_enable(feature) };
        }
    }
}

/// Makes pages of code executable, in place, wherever they lie.
pub(crate) fn code_pages() -> Arc<dyn CustomCodeMemory> {
    Arc::new(CodePages)
}

struct CodePages;

impl CustomCodeMemory for CodePages {
    fn required_alignment(&self) -> usize {
        page_size()
    }

    fn publish_executable(&self, start: *const u8, bytes: usize) -> wasmtime::Result<()> {
        // SAFETY: wasmtime passes the text of code that it has just loaded: whole pages, which hold nothing else.
        unsafe { mprotect(start.cast_mut().cast(), bytes, MprotectFlags::READ | MprotectFlags::EXEC) }?;
        Ok(())
    }

    fn unpublish_executable(&self, start: *const u8, bytes: usize) -> wasmtime::Result<()> {
        // SAFETY: as above, and none of the code runs any more. Nobody writes to it either: it is dropped or part of the binary.
        unsafe { mprotect(start.cast_mut().cast(), bytes, MprotectFlags::READ) }?;
        Ok(())
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The folder is one, no link, and nobody else can write to it.
fn require_unshared(path: &Path) -> Result<(), Error> {
    let found = fs::symlink_metadata(path);
    let found = found.map_err(|source| Error::Io { path: path.to_owned(), what: "cannot be examined", source })?;
    if !found.is_dir() {
        return Err(not_private(path, "it is not a folder. Name another one."));
    }
    if found.mode() & 0o022 != 0 {
        return Err(not_private(path, "others can write to this one. Take the right from them with `chmod go-w`."));
    }
    Ok(())
}

fn not_private(path: &Path, reason: &str) -> Error {
    Error::CacheNotPrivate { path: path.to_owned(), reason: reason.to_owned() }
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
