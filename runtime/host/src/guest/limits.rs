//! How much memory and time a guest has used, and the two limits that end it from within.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::config::Limits;
use crate::engine::TICK;

/// Elements of all tables of a component together.
const TABLE_ELEMENTS_MAX: usize = 1 << 20;
/// Core instances, memories and tables that a component may be made of. Interpreters are made of a few dozen.
const PARTS_MAX: usize = 512;

/// The guest asked for more memory than it may have.
#[derive(Debug, thiserror::Error)]
#[error("it asked for {asked} bytes of memory; its limit is {limit}")]
pub(crate) struct MemoryExceeded {
    asked: usize,
    limit: usize,
}

/// The guest computed for too long.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComputeExceeded {
    /// It never handed control back.
    #[error("it computed for more than {} ms without handing control back", .0.as_millis())]
    AtOnce(Duration),
    /// It asked the host for something now and then, and came to no end all the same.
    #[error("it computed for more than {} ms in one call", .0.as_millis())]
    InCall(Duration),
}

/// How much longer than without a rest a guest may compute in one call with rests.
const CALL_TIMES: u32 = 6;

/// Counts for one guest.
#[derive(Debug)]
pub(crate) struct Meter {
    memory_bytes: usize,
    memory_bytes_max: usize,
    table_elements: usize,
    ticks: u64,
    call_ticks: u64,
    ticks_max: u64,
    compute_max: Duration,
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Self {
        let ticks_max = limits.compute_max.as_millis().div_ceil(TICK.as_millis());
        Self {
            memory_bytes: 0,
            memory_bytes_max: limits.memory_bytes_max,
            table_elements: 0,
            ticks: 0,
            call_ticks: 0,
            ticks_max: u64::try_from(ticks_max).unwrap_or(u64::MAX),
            compute_max: limits.compute_max,
        }
    }

    /// Linear memory in use.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes as u64
    }

    /// The guest is called.
    pub(crate) fn called(&mut self) {
        (self.ticks, self.call_ticks) = (0, 0);
    }

    /// The guest handed control back: it waits for the host.
    pub(crate) fn rested(&mut self) {
        self.ticks = 0;
    }

    /// The guest has computed for one tick more.
    pub(crate) fn tick(&mut self) -> Result<(), ComputeExceeded> {
        self.ticks += 1;
        self.call_ticks += 1;
        if self.ticks > self.ticks_max {
            Err(ComputeExceeded::AtOnce(self.compute_max))
        } else if self.call_ticks > self.ticks_max.saturating_mul(CALL_TIMES.into()) {
            Err(ComputeExceeded::InCall(self.compute_max.saturating_mul(CALL_TIMES)))
        } else {
            Ok(())
        }
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

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_sub(current).saturating_add(desired);
        let fits = total <= TABLE_ELEMENTS_MAX;
        if fits {
            self.table_elements = total;
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        PARTS_MAX
    }

    fn tables(&self) -> usize {
        PARTS_MAX
    }

    fn memories(&self) -> usize {
        PARTS_MAX
    }
}
