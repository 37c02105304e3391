//! The embedded engine as others see it: opened, shared, closed; the traits of `engine` in terms of [`Core`].
//!
//! Three threads of its own belong to it: one writes the journal, one makes checkpoints, applies retention and ends transactions that
//! are open for too long, one compacts.
//! [`Embedded::close`] ends and joins them; dropping the engine does so too, without a last checkpoint, as a crash would.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{oneshot, watch};
use towpath_model::{Clock, TopicPartition};

use crate::config::{LogConfig, OFFSETS_TOPIC, TRANSACTIONS_TOPIC};
use crate::core::{Core, Enqueued};
use crate::engine::{
    Appends, Commit, CommitFuture, Committed, Fetch, Fetched, Fetches, GroupOffset, GroupOffsets, NewTopic,
    PartitionOffsets, Topic, Topics,
};
use crate::error::Error;
use crate::maintenance;
use crate::metrics::LogMetrics;
use crate::open::{self, LockFile};
use crate::sync::{lock, read};
use crate::topic_config::TopicSettings;
use crate::vfs::Vfs;

/// The embedded log: one directory, one process.
pub struct Embedded {
    pub(crate) core: Arc<Core>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Holds the directory's lock for as long as this lives.
    _lock: LockFile,
}

impl Embedded {
    /// Opens the log in a directory, creates it where there is none, and recovers it where it was not closed.
    ///
    /// Blocks for as long as that takes. `seed` feeds the ids of topics; every open makes its own use of it.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process has it open, [`Error::Corrupt`] when acknowledged data is damaged,
    /// [`Error::UnsupportedFormat`] when a newer version wrote it, or the disk's.
    pub fn open(config: LogConfig, vfs: Arc<dyn Vfs>, clock: Arc<dyn Clock>, seed: u64) -> Result<Self, Error> {
        let embedded = Self::open_without_threads(config, vfs, clock, seed)?;
        let spawn = |name: &str, body: fn(&Core)| {
            let core = embedded.core.clone();
            let run = move || {
                // A thread that panics has broken an invariant: whoever waits for it must learn that it is gone.
                if catch_unwind(AssertUnwindSafe(|| body(&core))).is_err() {
                    core.fail(Error::Closed("a thread of the log has panicked".into()));
                }
            };
            let spawned = std::thread::Builder::new().name(name.into()).spawn(run);
            spawned.map_err(|error| Error::io("starting a thread", error))
        };
        let mut threads = lock(&embedded.threads);
        threads.push(spawn("log-journal", journal_thread)?);
        threads.push(spawn("log-maintenance", maintenance::thread)?);
        threads.push(spawn("log-compaction", maintenance::compaction_thread)?);
        drop(threads);
        Ok(embedded)
    }

    /// Opens the log of a stopped worker to read it; nothing in the directory is changed.
    ///
    /// # Errors
    /// [`Error::Locked`] while a worker has it open, [`Error::Corrupt`] when acknowledged data is damaged, or the disk's.
    pub fn open_read_only(config: LogConfig, vfs: Arc<dyn Vfs>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let (core, lock) = open::read_only(config, vfs, clock)?;
        Ok(Self { core, threads: Mutex::default(), _lock: lock })
    }

    pub(crate) fn open_without_threads(
        config: LogConfig,
        vfs: Arc<dyn Vfs>,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Result<Self, Error> {
        let (core, lock) = open::writable(config, vfs, clock, seed)?;
        Ok(Self { core, threads: Mutex::default(), _lock: lock })
    }

    /// Makes durable what is queued, makes a last checkpoint, and ends the engine's threads. Later calls are refused.
    ///
    /// # Errors
    /// The engine's failure, if it had failed, or the disk's. The log can be opened again in any case.
    pub async fn close(self: &Arc<Self>) -> Result<(), Error> {
        let this = self.clone();
        blocking(move || this.close_now()).await
    }

    /// The same, blocking.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn close_now(&self) -> Result<(), Error> {
        self.stop_threads();
        let closed = Error::Closed("it was closed".into());
        let outcome = match self.core.check_open() {
            Err(Error::Closed(_)) => Ok(()),
            Err(failure) => Err(failure),
            Ok(()) if lock(&self.core.sequencer).read_only => Ok(()),
            Ok(()) => self.core.checkpoint(true),
        };
        self.core.close_with(closed);
        outcome
    }

    /// The reason once the engine has failed. A process that sees one ends: the log recovers when it is opened anew.
    pub fn failed(&self) -> watch::Receiver<Option<Error>> {
        self.core.failed.subscribe()
    }

    /// Counts since the log was opened, and disk use now.
    pub fn metrics(&self) -> LogMetrics {
        let mut metrics = self.core.counters.snapshot();
        metrics.transactions = self.core.transaction_metrics();
        metrics.journal_disk_bytes = lock(&self.core.journal).as_ref().map_or(0, |journal| journal.disk_bytes());
        let entries: Vec<_> = read(&self.core.topics).values().cloned().collect();
        for entry in entries {
            let of = |partition: &Arc<crate::partition::Partition>| {
                lock(&partition.state).segments.iter().map(|segment| segment.bytes).sum::<u64>()
            };
            metrics.topic_disk_bytes.push((entry.topic.name.to_string(), entry.partitions.iter().map(of).sum()));
        }
        metrics
    }

    /// Gives a topic more partitions; durable when it returns. What it has stays where it is.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::InvalidConfig`] where that is not more or too many, or the disk's.
    pub async fn grow_topic(&self, name: &str, partitions: i32) -> Result<Topic, Error> {
        let (core, name) = (self.core.clone(), name.to_owned());
        blocking(move || core.grow_topic(&name, partitions)).await
    }

    /// Drops the records of a partition before an offset, or all where it is none. The first offset that is kept; durable when it
    /// returns.
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`] beyond the end, [`Error::UnknownTopic`], [`Error::UnknownPartition`], or the disk's.
    pub async fn delete_records(&self, partition: &TopicPartition, before: Option<i64>) -> Result<i64, Error> {
        let (core, partition) = (self.core.clone(), partition.clone());
        blocking(move || core.delete_records(&partition, before)).await
    }

    /// The directory of the log, and what each partition takes there.
    pub fn disk_use(&self) -> (PathBuf, Vec<(TopicPartition, u64)>) {
        let size = |partition: &Arc<crate::partition::Partition>| {
            let state = lock(&partition.state);
            let tail: u64 = state.tail.iter().map(|batch| batch.bytes.len() as u64).sum();
            let segments: u64 = state.segments.iter().map(|segment| segment.bytes).sum();
            (partition.name.clone(), segments + tail)
        };
        (self.core.config.dir.clone(), self.core.all_partitions().iter().map(size).collect())
    }

    /// Says whether a topic could be created, and what it would be but for its id.
    ///
    /// # Errors
    /// As [`Topics::create_topic`].
    pub fn check_topic(&self, new: &NewTopic) -> Result<Topic, Error> {
        let (partitions, _) = self.core.check_new(new)?;
        let (name, internal) = (new.name.as_str().into(), self.core.config.is_internal(&new.name));
        Ok(Topic { name, id: uuid::Uuid::nil(), partitions, configs: new.configs.clone(), internal })
    }

    /// Says whether a topic could have these configs.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`].
    pub fn check_configs(&self, configs: &BTreeMap<String, String>) -> Result<(), Error> {
        TopicSettings::parse(configs).map(|_| ())
    }

    /// What a group has committed, and when, in milliseconds since the epoch.
    pub fn group_offsets_with_times(&self, group: &str) -> Vec<(GroupOffset, i64)> {
        read(&self.core.visible).groups.with_times(group)
    }

    /// The cluster's id, made when the directory was.
    pub fn cluster_id(&self) -> String {
        lock(&self.core.catalog).catalog.cluster_id.clone()
    }

    fn stop_threads(&self) {
        self.core.ending.store(true, Ordering::Release);
        lock(&self.core.sequencer).stop = true;
        self.core.work.notify_all();
        let mut threads = lock(&self.threads).drain(..).collect::<Vec<_>>().into_iter();
        join(threads.next());
        // What the journal thread drained may still go into a checkpoint, so the other thread ends after it.
        lock(&self.core.chores).stop = true;
        self.core.chore.notify_all();
        self.core.compaction.notify_all();
        threads.for_each(|thread| join(Some(thread)));
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop_threads();
        self.core.close_with(Error::Closed("it was dropped".into()));
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("a thread of the log has panicked");
    }
}

fn journal_thread(core: &Core) {
    let mut marked = true;
    loop {
        let (mut stop, mut idle) = (false, false);
        {
            let mut sequencer = lock(&core.sequencer);
            while sequencer.queue.is_empty() && !stop && !idle {
                stop = sequencer.stop || sequencer.closed.is_some();
                if stop {
                    break;
                }
                if marked {
                    sequencer = core.work.wait(sequencer).unwrap_or_else(PoisonError::into_inner);
                } else {
                    let waited = core.work.wait_timeout(sequencer, core.config.idle_mark_after);
                    let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    (sequencer, idle) = (guard, timeout.timed_out());
                }
            }
        }
        if core.round() {
            marked = false;
        } else if stop {
            return;
        } else if idle {
            core.mark();
            marked = true;
        }
    }
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::Closed(error.to_string())))
}

#[async_trait]
impl Topics for Embedded {
    async fn create_topic(&self, topic: NewTopic) -> Result<Topic, Error> {
        let core = self.core.clone();
        blocking(move || core.create_topic(topic)).await
    }

    async fn delete_topic(&self, name: &str) -> Result<(), Error> {
        if matches!(name, OFFSETS_TOPIC | TRANSACTIONS_TOPIC) {
            return Err(Error::InvalidTopic { name: name.into(), reason: "the log itself needs it" });
        }
        let removals = read(&self.core.visible).groups.removals_of_topic(name);
        let (core, topic) = (self.core.clone(), name.to_owned());
        blocking(move || core.delete_topic(&topic)).await?;
        if !removals.is_empty() {
            self.commit_atomic(Commit { group_offsets: removals, ..Commit::default() }).await?;
        }
        Ok(())
    }

    async fn alter_topic(&self, name: &str, configs: BTreeMap<String, Option<String>>) -> Result<Topic, Error> {
        let (core, name) = (self.core.clone(), name.to_owned());
        blocking(move || core.alter_topic(&name, configs)).await
    }

    fn topic(&self, name: &str) -> Option<Topic> {
        self.core.topic(name)
    }

    fn topics(&self) -> Vec<Topic> {
        self.core.topics()
    }

    fn topic_changes(&self) -> watch::Receiver<u64> {
        self.core.topic_changes.subscribe()
    }
}

impl Appends for Embedded {
    fn commit_atomic(&self, commit: Commit) -> CommitFuture {
        let queued = self.core.encode(commit).and_then(|encoded| match encoded.batches.is_empty() {
            true => Ok(None),
            false => match self.core.enqueue(encoded)? {
                Enqueued::Queued(done) => Ok(Some(done)),
                Enqueued::Forbidden(_) => Err(Error::Closed("records in columns have no producer".into())),
            },
        });
        when_committed(queued)
    }
}

/// The answer to a commit, when it is durable; at once where there was nothing to write.
pub(crate) fn when_committed(
    queued: Result<Option<oneshot::Receiver<Result<Committed, Error>>>, Error>,
) -> CommitFuture {
    Box::pin(async move {
        match queued? {
            None => Ok(Committed::default()),
            Some(done) => done.await.unwrap_or_else(|_| Err(Error::Closed("it was dropped".into()))),
        }
    })
}

#[async_trait]
impl Fetches for Embedded {
    async fn fetch(&self, partitions: &[Fetch], max_bytes: usize, max_wait: Duration) -> Result<Vec<Fetched>, Error> {
        self.core.fetch(partitions, max_bytes, max_wait).await
    }

    fn offsets(&self, partition: &TopicPartition) -> Result<PartitionOffsets, Error> {
        self.ends(partition).map(PartitionOffsets::from)
    }

    async fn offset_for_time(&self, partition: &TopicPartition, timestamp_ms: i64) -> Result<Option<i64>, Error> {
        let (core, partition) = (self.core.clone(), partition.clone());
        let found = blocking(move || core.offset_for_time(&partition, timestamp_ms)).await?;
        Ok(found.map(|(offset, _)| offset))
    }
}

impl GroupOffsets for Embedded {
    fn groups(&self) -> Vec<Arc<str>> {
        read(&self.core.visible).groups.names()
    }

    fn group_offsets(&self, group: &str) -> Vec<GroupOffset> {
        read(&self.core.visible).groups.of(group)
    }
}
