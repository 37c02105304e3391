//! How much memory and time a guest has used, and the two limits that end it from within.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::config::Limits;
use crate::engine::TICK;

const TABLE_ELEMENTS_MAX: usize = 1 << 20;

/// The guest asked for more memory than it may have.
#[derive(Debug, thiserror::Error)]
#[error("it asked for {asked} bytes of memory; its limit is {limit}")]
pub(crate) struct MemoryExceeded {
    asked: usize,
    limit: usize,
}

/// The guest computed for too long without handing control back.
#[derive(Debug, thiserror::Error)]
#[error("it computed for more than {} ms without handing control back", .0.as_millis())]
pub(crate) struct ComputeExceeded(Duration);

/// Counts for one guest.
#[derive(Debug)]
pub(crate) struct Meter {
    memory_bytes: usize,
    memory_bytes_max: usize,
    ticks: u64,
    ticks_max: u64,
    compute_max: Duration,
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Self {
        let ticks_max = limits.compute_max.as_millis().div_ceil(TICK.as_millis());
        Self {
            memory_bytes: 0,
            memory_bytes_max: limits.memory_bytes_max,
            ticks: 0,
            ticks_max: u64::try_from(ticks_max).unwrap_or(u64::MAX),
            compute_max: limits.compute_max,
        }
    }

    /// Linear memory in use.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes as u64
    }

    /// The guest handed control back: it was called, or it waits for the host.
    pub(crate) fn rested(&mut self) {
        self.ticks = 0;
    }

    /// The guest has computed for one tick more.
    pub(crate) fn tick(&mut self) -> Result<(), ComputeExceeded> {
        self.ticks += 1;
        if self.ticks > self.ticks_max { Err(ComputeExceeded(self.compute_max)) } else { Ok(()) }
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_sub(current).saturating_add(desired);
        if total > self.memory_bytes_max {
            return Err(MemoryExceeded { asked: total, limit: self.memory_bytes_max }.into());
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}
