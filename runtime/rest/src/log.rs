//! What the server asks of the log, which it does not know: topics, records, numbers. `cli` fulfils it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use towpath_model::Batch;
use utoipa::ToSchema;

/// A log to look into.
#[async_trait]
pub trait Log: Send + Sync {
    /// All topics, sorted by name.
    fn topics(&self) -> Vec<TopicDescription>;
    /// The ends of a topic's partitions, in order.
    ///
    /// # Errors
    /// [`LogFault::UnknownTopic`].
    fn ends(&self, topic: &str) -> Result<Vec<TopicPartitionEnds>, LogFault>;
    /// For each partition, the offset of the first record at or after this time; the end where there is none.
    ///
    /// # Errors
    /// [`LogFault::UnknownTopic`], or the log's.
    async fn offsets_at(&self, topic: &str, timestamp_ms: i64) -> Result<Vec<i64>, LogFault>;
    /// Reads on from `positions`, one offset a partition, and moves them. Waits up to `max_wait` for the first record. Positions that
    /// the log no longer holds move to its start. A position of none is not read.
    ///
    /// # Errors
    /// [`LogFault::UnknownTopic`], or the log's.
    async fn read(
        &self,
        topic: &str,
        positions: &mut [Option<i64>],
        max_bytes: usize,
        max_wait: Duration,
    ) -> Result<Vec<Batch>, LogFault>;
    /// Numbers for metrics.
    fn numbers(&self) -> LogNumbers;
    /// Why the log has failed for good, if it has.
    fn failure(&self) -> Option<String>;
}

/// Why the log could not be looked into.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogFault {
    /// There is no such topic.
    #[error("topic {0} does not exist")]
    UnknownTopic(String),
    /// Reading failed.
    #[error("{0}")]
    Failed(String),
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Whether it is the worker's own.
    pub internal: bool,
    /// How many records there are, as far as offsets tell.
    pub records: i64,
    /// Its partitions, in order.
    pub partitions: Vec<TopicPartitionEnds>,
    /// The configs that were set.
    pub configs: BTreeMap<String, String>,
}

/// The ends of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopicPartitionEnds {
    /// The partition.
    pub partition: i32,
    /// The first offset that is kept.
    pub start: i64,
    /// The offset after the last durable record.
    pub high_watermark: i64,
}

/// Numbers of the log since the process started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogNumbers {
    /// Bytes on disk, journal and segments.
    pub disk_bytes: Option<u64>,
    /// Bytes of segments on disk, by topic.
    pub topic_disk_bytes: Vec<(String, u64)>,
    /// Bytes of the journal alone.
    pub journal_bytes: Option<u64>,
    /// Commits that became durable.
    pub commits_total: u64,
    /// Records appended.
    pub records_total: u64,
    /// Bytes appended.
    pub bytes_total: u64,
    /// How long fsyncs took.
    pub fsync: FsyncLatency,
    /// Transactions of Kafka clients.
    pub transactions: TransactionNumbers,
}

/// Numbers of transactions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TransactionNumbers {
    /// How many are open.
    pub open: u64,
    /// How many have ended in which way: `committed`, `aborted`, `timed_out`.
    pub ended: Vec<(&'static str, u64)>,
    /// Where open ones hold readers of committed records up.
    pub held: Vec<HeldPartition>,
}

/// A partition that is part of an open transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldPartition {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// How long the oldest open transaction in it has been open.
    pub oldest_seconds: f64,
    /// The records behind the last stable offset.
    pub lag: i64,
}

/// A histogram of fsync durations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FsyncLatency {
    /// Upper bound in seconds and count of fsyncs at or below it, ascending.
    pub buckets: Vec<(f64, u64)>,
    /// All of them.
    pub count: u64,
    /// Seconds summed.
    pub seconds_sum: f64,
}
