//! What a process used while it was measured: processor time and memory.

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;
use towpath_tests::Usage;

/// Measures a process from now on.
pub(crate) struct Meter {
    pid: u32,
    started: Instant,
    cpu_before: f64,
}

impl Meter {
    pub(crate) fn start(pid: u32) -> Result<Self> {
        Ok(Self { pid, started: Instant::now(), cpu_before: cpu_seconds(pid)? })
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Processor seconds since the start.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        Ok(cpu_seconds(self.pid)? - self.cpu_before)
    }
}

/// Processor seconds that a process has used.
fn cpu_seconds(pid: u32) -> Result<f64> {
    Ok(Usage::of(pid)?.processor.as_secs_f64())
}

/// Megabytes of resident memory: now, and the most so far.
pub(crate) fn memory_mb(pid: u32) -> Result<(f64, f64)> {
    let usage = Usage::of(pid)?;
    let mb = |bytes: u64| bytes as f64 / 1_048_576.0;
    Ok((mb(usage.memory_bytes), mb(usage.memory_bytes_peak)))
}
