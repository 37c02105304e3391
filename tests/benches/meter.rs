//! What a process used: processor time and memory, as Linux counts them.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::time::Instant;

/// Linux counts processor time in hundredths of a second on every architecture that matters here.
const TICKS_A_SECOND: f64 = 100.0;

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
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("reading the process's times")?;
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    ticks(11)
        .zip(ticks(12))
        .map(|(user, system)| (user + system) / TICKS_A_SECOND)
        .ok_or_else(|| anyhow!("no times in {stat}"))
}

/// Megabytes of resident memory: now, and the most so far.
pub(crate) fn memory_mb(pid: u32) -> Result<(f64, f64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("reading the process's memory")?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kb| kb / 1024.0)
    };
    field("VmRSS:").zip(field("VmHWM:")).ok_or_else(|| anyhow!("no memory in {status}"))
}
