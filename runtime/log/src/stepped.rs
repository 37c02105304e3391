//! The engine without threads, for simulations that decide themselves when each thing happens.

use std::sync::Arc;

use towpath_model::Clock;

use crate::config::LogConfig;
use crate::embedded::Embedded;
use crate::engine::{Fetch, Fetched, NewTopic, Topic};
use crate::error::Error;
use crate::vfs::Vfs;

impl Embedded {
    /// Opens the log without its threads.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_stepped(config: LogConfig, vfs: Arc<dyn Vfs>, clock: Arc<dyn Clock>, seed: u64) -> Result<Self, Error> {
        Self::open_without_threads(config, vfs, clock, seed)
    }

    /// Makes durable what is queued; says whether there was anything.
    pub fn step_journal(&self) -> bool {
        self.core.round()
    }

    /// Writes an idle mark.
    pub fn step_mark(&self) {
        self.core.mark();
    }

    /// Makes a checkpoint, and looks for space if there was none.
    ///
    /// # Errors
    /// The disk's.
    pub fn step_checkpoint(&self) -> Result<(), Error> {
        self.core.checkpoint(false)?;
        self.core.look_for_space();
        Ok(())
    }

    /// Applies retention.
    ///
    /// # Errors
    /// The disk's.
    pub fn step_retention(&self) -> Result<usize, Error> {
        self.core.retain()
    }

    /// Compacts what is due.
    ///
    /// # Errors
    /// The disk's.
    pub fn step_compaction(&self) -> Result<usize, Error> {
        self.core.compact()
    }

    /// Compacts what is due; `meanwhile` happens while what was rewritten does not count yet.
    ///
    /// # Errors
    /// The disk's.
    pub fn step_compaction_beside(&self, meanwhile: impl FnMut()) -> Result<usize, Error> {
        self.core.compact_beside(meanwhile)
    }

    /// Ends transactions that have been open for too long.
    ///
    /// # Errors
    /// The disk's.
    pub fn step_transactions(&self) -> Result<(), Error> {
        self.core.expire_transactions()
    }

    /// Creates a topic, blocking.
    ///
    /// # Errors
    /// As [`Topics::create_topic`].
    pub fn create_topic_now(&self, topic: NewTopic) -> Result<Topic, Error> {
        self.core.create_topic(topic)
    }

    /// Gives a topic more partitions, blocking.
    ///
    /// # Errors
    /// As [`grow_topic`](Self::grow_topic).
    pub fn grow_topic_now(&self, name: &str, partitions: i32) -> Result<Topic, Error> {
        self.core.grow_topic(name, partitions)
    }

    /// Deletes a topic, blocking; what groups have committed in it stays.
    ///
    /// # Errors
    /// As [`Topics::delete_topic`].
    pub fn delete_topic_now(&self, name: &str) -> Result<(), Error> {
        self.core.delete_topic(name)
    }

    /// Reads what there is, blocking.
    ///
    /// # Errors
    /// As [`Fetches::fetch`].
    pub fn fetch_now(&self, partitions: &[Fetch], max_bytes: usize) -> Result<Vec<Fetched>, Error> {
        self.core.fetch_now(partitions, max_bytes)
    }

    /// Whether the engine has failed.
    pub fn has_failed(&self) -> bool {
        self.core.failed.borrow().is_some()
    }
}
