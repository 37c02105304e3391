//! What a process uses of the machine, as Linux counts it.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};

/// Linux counts processor time in hundredths of a second on every architecture that matters here.
const TICKS_A_SECOND: u64 = 100;

/// What a process has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, of all threads.
    pub processor: Duration,
    /// Resident memory now.
    pub memory_bytes: u64,
    /// The most resident memory so far.
    pub memory_bytes_peak: u64,
}

impl Usage {
    /// Of the process with this id.
    pub fn of(pid: u32) -> Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("reading the process's times")?;
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).ok_or_else(|| anyhow!("no times in {stat}"))?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("reading the process's memory")?;
        let bytes = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
        };
        let (memory_bytes, memory_bytes_peak) =
            bytes("VmRSS:").zip(bytes("VmHWM:")).ok_or_else(|| anyhow!("no memory in {status}"))?;
        let processor = Duration::from_millis((user + system) * (1_000 / TICKS_A_SECOND));
        Ok(Self { processor, memory_bytes, memory_bytes_peak })
    }
}
