//! What the rest of the runtime asks of a log: six small traits over records in columns, summed as [`LogEngine`].
//!
//! Payloads in the log are bytes: every form in a batch given here is [`Encoding::Bytes`](towpath_model::Encoding::Bytes).
//! The embedded engine fulfils the traits with direct calls; a Kafka cluster can, too. One conformance suite runs on each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::watch;
use towpath_model::{Batch, TopicPartition};

use crate::error::Error;

/// A topic to create.
#[derive(Clone, Debug, Default)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; none takes the engine's default.
    pub partitions: Option<i32>,
    /// Kafka's topic configs, such as `retention.ms` and `cleanup.policy`.
    pub configs: BTreeMap<String, String>,
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id, random and never used again.
    pub id: uuid::Uuid,
    /// How many partitions.
    pub partitions: i32,
    /// The configs that were set; all others have their defaults.
    pub configs: BTreeMap<String, String>,
    /// Whether it is the runtime's own, such as `__consumer_offsets` and `connect-offsets`.
    pub internal: bool,
}

/// Topics and their configs.
#[async_trait]
pub trait Topics: Send + Sync {
    /// Creates a topic; durable when it returns.
    ///
    /// # Errors
    /// [`Error::TopicExists`], [`Error::InvalidTopic`], [`Error::InvalidConfig`], or the disk's.
    async fn create_topic(&self, topic: NewTopic) -> Result<Topic, Error>;
    /// Deletes a topic with its records.
    async fn delete_topic(&self, name: &str) -> Result<(), Error>;
    /// Sets configs, or takes them back to their defaults where the value is none.
    async fn alter_topic(&self, name: &str, configs: BTreeMap<String, Option<String>>) -> Result<Topic, Error>;
    /// One topic.
    fn topic(&self, name: &str) -> Option<Topic>;
    /// All topics, sorted by name.
    fn topics(&self) -> Vec<Topic>;
    /// Changes its value whenever topics are created, deleted or altered.
    fn topic_changes(&self) -> watch::Receiver<u64>;
}

/// How record batches are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// The committed offset of a consumer group in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOffset {
    /// The group.
    pub group: Arc<str>,
    /// The partition.
    pub partition: TopicPartition,
    /// The next offset to read; none removes what is committed.
    pub offset: Option<i64>,
    /// The leader epoch of the last record before it, where the consumer told.
    pub leader_epoch: Option<i32>,
    /// A text of the consumer's own.
    pub metadata: String,
}

/// Records for any number of partitions and offsets of groups, which become durable and visible together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The records. A run with partition -1 is divided by key: murmur2 as Kafka's Java client does, null keys in turn.
    pub records: Vec<Batch>,
    /// The offsets.
    pub group_offsets: Vec<GroupOffset>,
    /// How to compress, where the topic's `compression.type` is `producer`.
    pub compression: Compression,
}

/// Where a stretch of records went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendResult {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset of the first record.
    pub base_offset: i64,
    /// How many records.
    pub records: u32,
}

/// The answer to a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// One entry for each partition that was written.
    pub appends: Vec<AppendResult>,
}

/// Resolves when the commit is durable and visible, or has failed and left nothing.
pub type CommitFuture = BoxFuture<'static, Result<Committed, Error>>;

/// Writing.
pub trait Appends: Send + Sync {
    /// Queues a commit before it returns; commits take effect in the order of these calls. Dropping the future takes
    /// nothing back. Callers bound how many they have under way.
    ///
    /// Invariants 1 and 5: the future resolves with success only after the data is on stable storage, all of it.
    fn commit_atomic(&self, commit: Commit) -> CommitFuture;
}

/// Resolves when what was asked is durable and visible, or has failed and left nothing. Dropping it takes nothing back.
pub type TransactionFuture<T> = BoxFuture<'static, Result<T, Error>>;

/// Transactions: for what is to be seen whole or not at all, and is more than one commit can hold.
pub trait Transactions: Send + Sync {
    /// A producer whose transactions bear this id. What an older one of the id has open is aborted, and it is fenced.
    fn transactional_producer(&self, id: &str) -> TransactionFuture<Box<dyn TransactionalProducer>>;
}

/// Writes transactions, one after another. Dropping it aborts the one that is open.
pub trait TransactionalProducer: Send {
    /// Queues a commit as a part of the transaction, which begins with its first part. Durable when the future resolves, and
    /// seen by nobody before the end.
    ///
    /// # Errors
    /// [`Error::TransactionFenced`] where a newer producer has the id or the transaction was open for too long: it is aborted then.
    /// As [`Appends::commit_atomic`] otherwise; the other parts stay as they are then, and the same part may be written again.
    fn write(&mut self, part: Commit) -> CommitFuture;
    /// Ends the transaction: all of its parts are seen from now on (invariant 5).
    ///
    /// # Errors
    /// As those of [`write`](Self::write).
    fn commit(&mut self) -> TransactionFuture<()>;
}

/// One partition to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The partition.
    pub partition: TopicPartition,
    /// The first offset wanted.
    pub offset: i64,
}

/// What was read of one partition.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The partition.
    pub partition: TopicPartition,
    /// Records from the wanted offset on, with offsets and timestamps; one run; empty when there are none yet.
    pub records: Batch,
    /// The offset to fetch next. May lie beyond the last record where compaction left gaps.
    pub next_offset: i64,
    /// The end, as [`PartitionOffsets`] has it.
    pub high_watermark: i64,
}

/// The ends of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// The first offset that is kept.
    pub start: i64,
    /// The offset after the last record that can be read: one that is durable and, as are all before it, of no transaction that
    /// is still open. Kafka calls this the last stable offset; without transactions it is the high watermark.
    pub high_watermark: i64,
}

/// Reading. Only durable, committed records are ever seen: those of aborted transactions, and markers, are left out.
#[async_trait]
pub trait Fetches: Send + Sync {
    /// Reads the partitions in turn until about `max_bytes` of payload are gathered, at least one batch where there is any.
    /// Waits up to `max_wait` for the first record. Cancel safe.
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`] and [`Error::UnknownTopic`] name the partition at fault; nothing of the others is returned then.
    async fn fetch(&self, partitions: &[Fetch], max_bytes: usize, max_wait: Duration) -> Result<Vec<Fetched>, Error>;
    /// The ends of a partition.
    fn offsets(&self, partition: &TopicPartition) -> Result<PartitionOffsets, Error>;
    /// The first offset whose record's timestamp is at or after `timestamp_ms`, or none.
    async fn offset_for_time(&self, partition: &TopicPartition, timestamp_ms: i64) -> Result<Option<i64>, Error>;
}

/// Committed offsets of consumer groups. They are written with [`Appends::commit_atomic`].
pub trait GroupOffsets: Send + Sync {
    /// All groups that have offsets, sorted.
    fn groups(&self) -> Vec<Arc<str>>;
    /// The committed offsets of a group, sorted by partition.
    fn group_offsets(&self, group: &str) -> Vec<GroupOffset>;
}

/// A log.
pub trait LogEngine: Topics + Appends + Transactions + Fetches + GroupOffsets {}

impl<T: Topics + Appends + Transactions + Fetches + GroupOffsets> LogEngine for T {}
