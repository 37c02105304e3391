//! The service: reads its state from the log, runs the supervisor until told to stop, drains.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use towpath_log::{LogEngine, records};
use towpath_model::{Clock, Plugins, TaskId};

use crate::board::Board;
use crate::config::WorkerConfig;
use crate::error::Result;
use crate::handle::{Command, Handle};
use crate::store::{ConfigStore, SourceOffsets, StatusBook, TaskMemory, task_memory, used_topic};
use crate::supervisor::{Given, Supervisor};
use crate::task::Shared;

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
            limits: self.config.limits.clone(),
            log: self.log.clone(),
            clock: self.clock.clone(),
            offsets: self.offsets.clone(),
            ready: self.ready.subscribe(),
            spans: self.config.spans.clone(),
        }
    }

    /// Restores the connectors from the log and runs their tasks until `shutdown` becomes true or its sender is gone, then drains.
    ///
    /// Invariant 7: tasks finish what they have begun and commit before this returns, unless that takes longer than
    /// [`drain_timeout`](WorkerConfig::drain_timeout).
    ///
    /// # Errors
    /// When the worker's own topics cannot be made or read.
    pub async fn run(self, shutdown: watch::Receiver<bool>) -> Result<()> {
        let topics = &self.config.topics;
        let configs = ConfigStore::new(self.log.clone(), &topics.configs);
        let stored = configs.restore().await?;
        self.restore_offsets().await?;
        let memories = self.restore_memories().await?;
        let status = Arc::new(StatusBook::new(topics.status.clone(), self.config.worker_id.clone()));
        let shared = Shared {
            log: self.log.clone(),
            plugins: self.plugins.clone(),
            clock: self.clock.clone(),
            limits: self.config.limits.clone(),
            offsets_topic: topics.offsets.as_str().into(),
            offsets: self.offsets.clone(),
            status: status.clone(),
            board: self.board.clone(),
            registries: self.config.registries.clone(),
            spans: self.config.spans.clone(),
        };
        let given = Given { config: self.config, shared, configs, stored, memories, seed: self.seed };
        let supervisor = Supervisor::new(given);
        self.ready.send_replace(true);
        let log = self.log;
        // The supervisor ends by itself; the writer of status ends with it.
        tokio::select! {
            () = supervisor.run(self.commands.1, shutdown) => {}
            () = status.write(log.as_ref()) => {}
        }
        self.ready.send_replace(false);
        self.board.end_taps();
        status.flush(log.as_ref()).await;
        Ok(())
    }

    async fn restore_offsets(&self) -> Result<()> {
        let topics = &self.config.topics;
        let topic = records::compacted(self.log.as_ref(), &topics.offsets, topics.offsets_partitions, &[]).await?;
        records::read(self.log.as_ref(), &topic, |key, value| {
            if let Err(error) = self.offsets.restore(key, value) {
                tracing::warn!(topic = %topic.name, key = %String::from_utf8_lossy(key), %error, "record cannot be read");
            }
        })
        .await?;
        Ok(())
    }

    async fn restore_memories(&self) -> Result<HashMap<TaskId, TaskMemory>> {
        let topics = &self.config.topics;
        let topic = records::compacted(self.log.as_ref(), &topics.status, topics.status_partitions, &[]).await?;
        let mut memories = HashMap::new();
        records::read(self.log.as_ref(), &topic, |key, value| {
            memories.extend(task_memory(key, value));
            if let Some((connector, topic, used)) = used_topic(key, value) {
                self.board.restore_topic(connector, topic, used);
            }
        })
        .await?;
        Ok(memories)
    }
}
