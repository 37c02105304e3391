//! The plugins: those embedded in the binary, those in the plugins folder, those that a file names by path; and news of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use towpath_config::{Watch, WatchOptions};
use towpath_host::{EmbeddedComponent, Host, HostConfig, Limits, Rescan};
use towpath_model::{Plugins, SystemClock};
use towpath_worker::Handle;

use crate::commands;
use crate::failure::{Failure, Result};
use crate::storage;

/// The connectors that `build.rs` found precompiled.
const EMBEDDED: &[EmbeddedComponent] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Where plugins are found and what they may reach.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// A folder of .wasm files that add plugins or newer versions of them; changed ones are picked up while running [default: DIR/plugins, where there is one].
    #[arg(long = "plugins", env = "TOWPATH_PLUGINS", value_name = "DIR")]
    plugins_dir: Option<PathBuf>,
    /// Let connectors reach link-local and metadata addresses when their configuration names them.
    #[arg(long, env = "TOWPATH_ALLOW_LINK_LOCAL")]
    allow_link_local: bool,
    #[command(flatten)]
    limits: LimitOptions,
}

/// What every task is held to.
#[derive(Clone, Debug, clap::Args)]
struct LimitOptions {
    /// Memory that the component of a task may have.
    #[arg(long, env = "TOWPATH_TASK_MEMORY_MB", value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
    task_memory_mb: u32,
    /// How long the component of a task may compute without a pause; in one call it may compute six times as long.
    #[arg(long, env = "TOWPATH_TASK_COMPUTE_MS", value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(10..))]
    task_compute_ms: u64,
    /// How long a call into the component of a task may take, waiting included.
    #[arg(long, env = "TOWPATH_TASK_CALL_SECONDS", value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..))]
    task_call_seconds: u64,
    /// Space on disk that a task may spill to.
    #[arg(long, env = "TOWPATH_TASK_SCRATCH_MB", value_name = "MIB", default_value_t = 4096)]
    task_scratch_mb: u64,
    /// How long compiling a component that is new may take.
    #[arg(long, env = "TOWPATH_COMPILE_SECONDS", value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    compile_seconds: u64,
    /// Memory that compiling it may take.
    #[arg(long, env = "TOWPATH_COMPILE_MEMORY_MB", value_name = "MIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(1..))]
    compile_memory_mb: u64,
}

impl LimitOptions {
    fn limits(&self) -> Limits {
        Limits {
            memory_bytes_max: (self.task_memory_mb as usize) << 20,
            compute_max: Duration::from_millis(self.task_compute_ms),
            call_max: Duration::from_secs(self.task_call_seconds),
            scratch_bytes_max: self.task_scratch_mb.saturating_mul(1 << 20),
            compile_memory_bytes_max: self.compile_memory_mb.saturating_mul(1 << 20),
            compile_max: Duration::from_secs(self.compile_seconds),
            ..Limits::default()
        }
    }
}

impl Options {
    /// The folder of plugins, where one is named.
    pub(crate) fn folder(&self) -> Option<&PathBuf> {
        self.plugins_dir.as_ref()
    }

    fn dir(&self, pipelines: &Path) -> Result<Option<PathBuf>> {
        match &self.plugins_dir {
            Some(dir) if !dir.is_dir() => Err(Failure::input(format!("--plugins {} is no folder", dir.display()))),
            Some(dir) => Ok(Some(dir.clone())),
            None => Ok(Some(pipelines.join("plugins")).filter(|dir| dir.is_dir())),
        }
    }

    fn open(&self, pipelines: &Path, cache_dir: PathBuf, scratch_dir: PathBuf) -> Result<Arc<Host>> {
        let config = HostConfig {
            embedded: EMBEDDED.to_vec(),
            plugins_dir: self.dir(pipelines)?,
            pipelines_dir: pipelines.to_owned(),
            cache_dir,
            scratch_dir,
            limits: self.limits.limits(),
            allow_link_local: self.allow_link_local,
            compiler: Some(commands::compile_component::program()?),
        };
        let host = Host::new(config, Arc::new(SystemClock::default()));
        host.map_err(|error| Failure::environment(error).context("cannot load the plugins"))
    }
}

/// The plugins for a command that runs no connector. Nothing is kept but the cache of compiled code, in the user's own place.
pub(crate) fn open_to_check(options: &Options, pipelines: &Path) -> Result<Arc<Host>> {
    let cache = user_cache_dir();
    let scratch = cache.join("scratch");
    options.open(pipelines, cache, scratch)
}

/// Where a user's caches lie by convention; the system's temporary folder for users without a home.
fn user_cache_dir() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    folder("XDG_CACHE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("towpath")
}

/// The plugins of a worker.
pub(crate) struct Opened {
    host: Arc<Host>,
    /// The folders in which components may change.
    folders: Vec<PathBuf>,
}

/// Opens the plugins to run connectors. Compiles what is neither embedded nor cached.
pub(crate) async fn open(options: &Options, pipelines: &Path, data_dir: &Path) -> Result<Opened> {
    let folders = options.dir(pipelines)?.into_iter().chain([pipelines.to_owned()]).collect();
    let (options, pipelines, data_dir) = (options.clone(), pipelines.to_owned(), data_dir.to_owned());
    let opening = move || options.open(&pipelines, storage::cache_dir(&data_dir), storage::scratch_dir(&data_dir));
    let host = tokio::task::spawn_blocking(opening).await.map_err(Failure::ours)??;
    Ok(Opened { host, folders })
}

impl Opened {
    /// The plugins.
    pub(crate) fn all(&self) -> Arc<dyn Plugins> {
        Arc::clone(&self.host) as _
    }

    /// From now on tells the worker when components change.
    pub(crate) fn tell(self, worker: Handle) -> Result<Running> {
        let (changed, mut changes) = mpsc::channel(1);
        let mut watches = Vec::new();
        for folder in &self.folders {
            let changed = changed.clone();
            let tell = move || {
                // One waiting change stands for any number of them.
                _ = changed.try_send(());
            };
            watches.push(Watch::start(folder, WatchOptions::default(), tell).map_err(Failure::environment)?);
        }
        let host = self.host;
        let telling = tokio::spawn(async move {
            while changes.recv().await.is_some() {
                let host = Arc::clone(&host);
                match tokio::task::spawn_blocking(move || host.rescan()).await {
                    Ok(found) => tell_of(found, &worker).await,
                    Err(error) => tracing::error!(%error, "the plugins could not be looked at; those loaded stay"),
                }
            }
        });
        Ok(Running { telling, _watches: watches })
    }
}

async fn tell_of(found: Rescan, worker: &Handle) {
    for fault in &found.faults {
        tracing::warn!(path = %fault.path.display(), code = fault.code, "{}", fault.message);
    }
    if found.changed.is_empty() {
        return;
    }
    tracing::info!(plugins = found.changed.join(","), "plugins have changed");
    if let Err(error) = worker.plugins_changed().await {
        tracing::debug!(%error, "the worker takes no new plugins");
    }
}

/// Tells the worker of changed components until dropped.
pub(crate) struct Running {
    telling: JoinHandle<()>,
    _watches: Vec<Watch>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.telling.abort();
    }
}
