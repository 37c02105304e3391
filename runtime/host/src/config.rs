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
    /// What compiles components in a process of its own, so that one that takes too much harms nobody; without, this process does.
    pub compiler: Option<Program>,
}

/// A program that calls [`compile_within`](crate::compile_within), with the limits as its last two arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// The arguments before the limits.
    pub arguments: Vec<String>,
}

/// A component that was compiled ahead of time by `towpath-precompile` and is part of the binary.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedComponent {
    /// Its name, for messages until its spec is read.
    pub name: &'static str,
    /// SHA-256 of the `.wasm` file in hexadecimal.
    pub digest: &'static str,
    /// The compiled code. It runs in place where it begins with a page, see [`Paged`], and is copied otherwise.
    pub cwasm: &'static [u8],
}

/// Bytes that begin with a page of memory.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Paged<B: ?Sized>(pub B);

/// What every task is held to.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Linear memory of a component.
    pub memory_bytes_max: usize,
    /// Time a component may compute without handing control back to the host.
    pub compute_max: Duration,
    /// Time a call may take in all, on top of any wait that the call itself asks for.
    pub call_max: Duration,
    /// Bytes that one answer of a component may carry in a batch, payloads and everything that describes them.
    pub batch_bytes_max: usize,
    /// Records that one answer of a component may carry.
    pub batch_records_max: usize,
    /// Bytes that the host takes out of a component's memory for one call, whatever they are.
    pub crossing_bytes_max: usize,
    /// Bytes of a task's scratch files.
    pub scratch_bytes_max: u64,
    /// Requests, connections, files and uploads that a task may hold at once.
    pub handles_max: usize,
    /// Readers that a source task may have beside itself, each held to these limits on its own.
    pub readers_max: usize,
    /// Bytes that the host holds for a task's uploads and for the answers to its requests.
    pub held_bytes_max: usize,
    /// Lines that a task may log in a second, after a first burst of ten times as many; the rest is counted.
    pub log_lines_a_second: u32,
    /// Bytes of a file that holds a component.
    pub component_bytes_max: u64,
    /// Memory that compiling a component may take, where a process of its own does it.
    pub compile_memory_bytes_max: u64,
    /// How long that may take.
    pub compile_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 256 << 20,
            compute_max: Duration::from_secs(10),
            call_max: Duration::from_secs(900),
            batch_bytes_max: 64 << 20,
            batch_records_max: 1 << 20,
            crossing_bytes_max: 128 << 20,
            scratch_bytes_max: 4 << 30,
            handles_max: 256,
            readers_max: 16,
            held_bytes_max: 512 << 20,
            log_lines_a_second: 100,
            component_bytes_max: 256 << 20,
            compile_memory_bytes_max: 4 << 30,
            compile_max: Duration::from_secs(120),
        }
    }
}
