//! The plugins of a worker: those in the binary, those in the plugins folder, those that a class names by path.
//!
//! The folder is looked at when asked to ([`Host::rescan`]): new files are added, changed ones replace, removed ones go. A
//! broken file is listed as a fault and the last good component of that file stays. Tasks hold the component that they were
//! made of, so nothing here touches what runs.

mod cache;
mod classes;
mod compile;
mod component;
mod seal;
mod version;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::SystemTime;

use towpath_model::{Clock, Coded, Plugin, Plugins, UnknownPlugin};
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::capability::{self, Services};
use crate::config::{EmbeddedComponent, HostConfig, Program};
use crate::engine::{Ticker, engine};
use crate::error::{Error, chain};
use crate::guest::Guest;
use cache::Cache;
pub(crate) use cache::{code_pages, use_vectors};
pub use classes::java_class;
pub use compile::compile_within;
use component::{ComponentPlugin, Place};
use version::Version;

/// How alike two names must be for one to be suggested for the other.
const ALIKE: f64 = 0.75;

/// What all components of a worker share.
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Guest>,
    pub(crate) ticker: Ticker,
    pub(crate) services: Arc<Services>,
    pub(crate) scratch_dir: PathBuf,
    cache: Cache,
    compiler: Option<Program>,
}

/// Runs components and knows which there are.
pub struct Host {
    runtime: Arc<Runtime>,
    embedded: Vec<Loaded>,
    plugins_dir: Option<PathBuf>,
    pipelines_dir: PathBuf,
    /// What was found in files, by path.
    files: RwLock<BTreeMap<PathBuf, FromFile>>,
    /// Held while files are read and compiled, so that no two threads do it at once.
    loading: Mutex<()>,
}

/// What came of looking at the plugins folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rescan {
    /// Names of plugins that are new, changed or gone.
    pub changed: Vec<String>,
    /// Files that hold no usable component.
    pub faults: Vec<PluginFault>,
}

/// A file that holds no usable component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginFault {
    /// The file.
    pub path: PathBuf,
    /// A stable code such as `plugin.component`.
    pub code: String,
    /// What is wrong with it, in a sentence.
    pub message: String,
}

/// A plugin and where it came from.
pub struct Installed {
    /// The plugin.
    pub plugin: Arc<dyn Plugin>,
    /// Its file; none when it is part of the binary.
    pub path: Option<PathBuf>,
}

#[derive(Clone)]
struct Loaded {
    plugin: Arc<ComponentPlugin>,
    place: Place,
}

struct FromFile {
    stamp: Stamp,
    loaded: Option<Loaded>,
    fault: Option<PluginFault>,
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    /// Also when it is put in another one's place with that one's times.
    changed: (i64, i64),
    file: (u64, u64),
    length: u64,
}

impl Host {
    /// Starts the engine, loads the embedded components and looks at the plugins folder.
    ///
    /// # Errors
    /// When the engine does not start, the cache is not private, or an embedded component does not load.
    pub fn new(config: HostConfig, clock: Arc<dyn Clock>) -> Result<Arc<Self>, Error> {
        // Another part of the program may have chosen the same provider already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let engine = engine()?;
        let mut linker = Linker::new(&engine);
        capability::link(&mut linker).map_err(Error::Engine)?;
        let services = Arc::new(Services {
            limits: config.limits,
            allow_link_local: config.allow_link_local,
            clock,
            http: OnceLock::new(),
            memory: Mutex::default(),
        });
        let cache = Cache::open(&config.cache_dir, &engine)?;
        let ticker = Ticker::start(&engine)?;
        let (scratch_dir, compiler) = (config.scratch_dir, config.compiler);
        let runtime = Arc::new(Runtime { engine, linker, ticker, services, scratch_dir, cache, compiler });
        let embedded =
            config.embedded.iter().map(|embedded| load_embedded(&runtime, embedded)).collect::<Result<_, _>>()?;
        let host = Self {
            runtime,
            embedded,
            plugins_dir: config.plugins_dir,
            pipelines_dir: config.pipelines_dir,
            files: RwLock::default(),
            loading: Mutex::default(),
        };
        let found = host.rescan();
        for fault in &found.faults {
            tracing::warn!(path = %fault.path.display(), code = fault.code, "{}", fault.message);
        }
        Ok(Arc::new(host))
    }

    /// Looks at the plugins folder and at the files that classes have named. Compiles what is new, which takes a while.
    pub fn rescan(&self) -> Rescan {
        let mut paths = self.wasm_files();
        let named: Vec<PathBuf> = self.read_files().keys().cloned().collect();
        paths.extend(named.into_iter().filter(|path| path.exists()));
        paths.sort();
        paths.dedup();
        let mut changed = Vec::new();
        for path in &paths {
            let before = self.last_good(path);
            let after = self.load(path);
            changed.extend(difference(before.as_ref(), after.ok().as_ref()));
        }
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        files.retain(|path, file| {
            let kept = paths.contains(path);
            if !kept {
                changed.extend(file.loaded.as_ref().map(|loaded| loaded.plugin.spec().name.clone()));
            }
            kept
        });
        let faults = files.values().filter_map(|file| file.fault.clone()).collect();
        changed.sort();
        changed.dedup();
        Rescan { changed, faults }
    }

    /// Files that hold no usable component, as of the last look.
    pub fn faults(&self) -> Vec<PluginFault> {
        self.read_files().values().filter_map(|file| file.fault.clone()).collect()
    }

    /// All plugins, sorted by name and version, with the file each came from.
    pub fn installed(&self) -> Vec<Installed> {
        let path = |place: &Place| match place {
            Place::Embedded => None,
            Place::File(path) => Some(path.clone()),
        };
        self.loaded()
            .into_values()
            .map(|loaded| Installed { path: path(&loaded.place), plugin: loaded.plugin })
            .collect()
    }

    /// The plugin that stands in for a Java class of Kafka Connect's world.
    pub fn stand_in(class: &str) -> Option<&'static str> {
        classes::plugin_for(class)
    }

    fn loaded(&self) -> BTreeMap<(String, Version), Loaded> {
        let files = self.read_files();
        let in_folder = |path: &Path| self.plugins_dir.as_ref().is_some_and(|folder| path.starts_with(folder));
        let from_files = files.iter().filter(|(path, _)| in_folder(path)).filter_map(|(_, file)| file.loaded.as_ref());
        // A file stands in for an embedded component of the same name and version.
        let all = self.embedded.iter().chain(from_files).cloned();
        all.map(|loaded| {
            let spec = loaded.plugin.spec();
            ((spec.name.clone(), Version::new(&spec.version)), loaded)
        })
        .collect()
    }

    fn by_name(&self, name: &str) -> Option<Arc<dyn Plugin>> {
        let all = self.loaded();
        let (name, version) = match name.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (name, None),
        };
        let fits =
            |spec: &towpath_model::Spec| spec.name == name && version.is_none_or(|version| spec.version == version);
        // Sorted by version: the last one is the newest.
        let found = all.into_values().rfind(|loaded| fits(loaded.plugin.spec()));
        found.map(|loaded| loaded.plugin as Arc<dyn Plugin>)
    }

    fn unknown(&self, class: String) -> UnknownPlugin {
        let all = self.loaded();
        let available = all.values().map(|loaded| loaded.plugin.spec());
        let available = available.map(|spec| format!("{}@{}", spec.name, spec.version)).collect();
        let short = class.rsplit('.').next().unwrap_or(&class).to_ascii_lowercase();
        let likeness = |name: &str| strsim::jaro_winkler(name, &class).max(strsim::jaro_winkler(name, &short));
        let best = all.keys().map(|(name, _)| (likeness(name), name)).max_by(|a, b| a.0.total_cmp(&b.0));
        let suggestion = best.filter(|(likeness, _)| *likeness >= ALIKE).map(|(_, name)| name.clone());
        UnknownPlugin { class, available, suggestion }
    }

    /// The component of a file as it is now; when it is broken, the last good one.
    fn load(&self, path: &Path) -> Result<Loaded, PluginFault> {
        let _one_at_a_time = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(path);
        let before = {
            let files = self.read_files();
            match files.get(path) {
                Some(file) if file.stamp == stamp => return file.answer(),
                Some(file) => file.loaded.clone(),
                None => None,
            }
        };
        let (loaded, fault) = match load_file(&self.runtime, path, before.as_ref()) {
            Ok(loaded) => (Some(loaded), None),
            Err(error) => {
                let fault = PluginFault { path: path.to_owned(), code: error.code().into(), message: chain(&error) };
                (before, Some(fault))
            }
        };
        let file = FromFile { stamp, loaded, fault };
        let answer = file.answer();
        self.files.write().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), file);
        answer
    }

    fn last_good(&self, path: &Path) -> Option<Loaded> {
        self.read_files().get(path).and_then(|file| file.loaded.clone())
    }

    fn read_files(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<PathBuf, FromFile>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn wasm_files(&self) -> Vec<PathBuf> {
        let Some(folder) = &self.plugins_dir else { return Vec::new() };
        match fs::read_dir(folder) {
            Ok(entries) => {
                let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
                paths.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).collect()
            }
            Err(error) => {
                if error.kind() != std::io::ErrorKind::NotFound {
                    tracing::warn!(path = %folder.display(), %error, "the plugins folder cannot be read");
                }
                Vec::new()
            }
        }
    }
}

impl Plugins for Host {
    fn all(&self) -> Vec<Arc<dyn Plugin>> {
        self.loaded().into_values().map(|loaded| loaded.plugin as Arc<dyn Plugin>).collect()
    }

    fn find(&self, class: &str) -> Result<Arc<dyn Plugin>, UnknownPlugin> {
        if class.ends_with(".wasm") {
            let path = self.pipelines_dir.join(class.strip_prefix("./").unwrap_or(class));
            return match self.load(&path) {
                Ok(loaded) => Ok(loaded.plugin),
                Err(fault) => Err(self.unknown(format!("{class} ({})", fault.message))),
            };
        }
        let name = match classes::plugin_for(class) {
            Some(name) => {
                tracing::debug!(class, plugin = name, "a plugin stands in for a Java class");
                name
            }
            None => class,
        };
        self.by_name(name).ok_or_else(|| self.unknown(class.to_owned()))
    }
}

impl FromFile {
    fn answer(&self) -> Result<Loaded, PluginFault> {
        match (&self.loaded, &self.fault) {
            (Some(loaded), _) => Ok(loaded.clone()),
            (None, Some(fault)) => Err(fault.clone()),
            (None, None) => {
                Err(PluginFault { path: PathBuf::new(), code: "plugin.absent".into(), message: "it is gone".into() })
            }
        }
    }
}

impl Stamp {
    fn of(path: &Path) -> Self {
        let found = fs::metadata(path).ok();
        Self {
            modified: found.as_ref().and_then(|found| found.modified().ok()),
            changed: found.as_ref().map_or((0, 0), |found| (found.ctime(), found.ctime_nsec())),
            file: found.as_ref().map_or((0, 0), |found| (found.dev(), found.ino())),
            length: found.map_or(0, |found| found.len()),
        }
    }
}

fn difference(before: Option<&Loaded>, after: Option<&Loaded>) -> Vec<String> {
    let digest = |loaded: Option<&Loaded>| loaded.map(|loaded| loaded.plugin.digest().to_owned());
    if digest(before) == digest(after) {
        return Vec::new();
    }
    [before, after].into_iter().flatten().map(|loaded| loaded.plugin.spec().name.clone()).collect()
}

fn load_embedded(runtime: &Arc<Runtime>, embedded: &EmbeddedComponent) -> Result<Loaded, Error> {
    let loaded = cache::load_embedded(&runtime.engine, embedded.cwasm);
    let component = loaded.map_err(|source| Error::Component { name: embedded.name.to_owned(), source })?;
    let known = runtime.cache.spec(embedded.digest);
    let plugin = plugin(runtime, embedded.name, embedded.digest.to_owned(), &component, known)?;
    Ok(Loaded { plugin, place: Place::Embedded })
}

fn load_file(runtime: &Arc<Runtime>, path: &Path, before: Option<&Loaded>) -> Result<Loaded, Error> {
    let wasm = read_component(path, runtime.services.limits.component_bytes_max)?;
    let digest = cache::digest(&wasm);
    if let Some(before) = before.filter(|before| before.plugin.digest() == digest) {
        return Ok(before.clone());
    }
    let name = path.display().to_string();
    let compile = || match &runtime.compiler {
        Some(program) => compile::elsewhere(program, &runtime.services.limits, &name, &wasm),
        None => compile::here(&runtime.engine, &name, &wasm),
    };
    let component = runtime.cache.component(&runtime.engine, &name, &digest, compile)?;
    let known = runtime.cache.spec(&digest);
    Ok(Loaded { plugin: plugin(runtime, &name, digest, &component, known)?, place: Place::File(path.to_owned()) })
}

/// The bytes of a component. A link is followed, as deployments make them; what is no file, or too large, is refused unread.
fn read_component(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Io { path: path.to_owned(), what: "cannot be read", source };
    let refused = |reason| Error::File { path: path.to_owned(), reason };
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(refused("it is no file".to_owned()));
    }
    let file = fs::File::open(path).map_err(failed)?;
    let mut wasm = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut wasm).map_err(failed)?;
    if wasm.len() as u64 > bytes_max {
        return Err(refused(format!("it has more than {bytes_max} bytes")));
    }
    Ok(wasm)
}

fn plugin(
    runtime: &Arc<Runtime>,
    name: &str,
    digest: String,
    component: &wasmtime::component::Component,
    known: Option<towpath_model::Spec>,
) -> Result<Arc<ComponentPlugin>, Error> {
    let is_new = known.is_none();
    let plugin = ComponentPlugin::new(name, digest, component, known, runtime.clone())?;
    if is_new {
        runtime.cache.keep_spec(plugin.digest(), plugin.spec());
    }
    Ok(Arc::new(plugin))
}

/// A component compiled for any machine of this kind, to be embedded in a binary.
pub struct Precompiled {
    /// SHA-256 of the component in hexadecimal.
    pub digest: String,
    /// The compiled code.
    pub cwasm: Vec<u8>,
}

/// Compiles a component ahead of time.
///
/// # Errors
/// When the bytes are no component.
pub fn precompile(name: &str, wasm: &[u8]) -> Result<Precompiled, Error> {
    Ok(Precompiled { digest: cache::digest(wasm), cwasm: compile::here(&engine()?, name, wasm)? })
}
