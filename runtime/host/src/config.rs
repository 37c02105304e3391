//! What the host is given: folders, embedded components, limits.

use std::path::PathBuf;
use std::time::Duration;

/// Where the host finds components and keeps what it makes of them.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Components that are part of the binary.
    pub embedded: Vec<EmbeddedComponent>,
    /// The folder of `.wasm` files that add plugins or newer versions of them.
    pub plugins_dir: Option<PathBuf>,
    /// The folder of pipelines: a class such as `./mine.wasm` is relative to it.
    pub pipelines_dir: PathBuf,
    /// Where compiled code is kept. Made when absent; refused when others could write to it.
    pub cache_dir: PathBuf,
    /// Where tasks spill to.
    pub scratch_dir: PathBuf,
    /// What every task is held to.
    pub limits: Limits,
    /// Whether tasks may reach link-local and metadata addresses when their configuration names them.
    pub allow_link_local: bool,
}

/// A component that was compiled ahead of time by `towpath-precompile` and is part of the binary.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedComponent {
    /// Its name, for messages until its spec is read.
    pub name: &'static str,
    /// SHA-256 of the `.wasm` file in hexadecimal.
    pub digest: &'static str,
    /// The compiled code.
    pub cwasm: &'static [u8],
}

/// What every task is held to.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Linear memory of a component.
    pub memory_bytes_max: usize,
    /// Time a component may compute without handing control back to the host.
    pub compute_max: Duration,
    /// Time a call may take in all, on top of any wait that the call itself asks for.
    pub call_max: Duration,
    /// Bytes that one answer of a component may carry in a batch.
    pub batch_bytes_max: usize,
    /// Bytes of a task's scratch files.
    pub scratch_bytes_max: u64,
    /// Requests, connections, files and uploads that a task may hold at once.
    pub handles_max: usize,
    /// Readers that a source task may have beside itself, each held to these limits on its own.
    pub readers_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 256 << 20,
            compute_max: Duration::from_secs(10),
            call_max: Duration::from_secs(900),
            batch_bytes_max: 64 << 20,
            scratch_bytes_max: 4 << 30,
            handles_max: 256,
            readers_max: 16,
        }
    }
}
