//! What may be set about the log as a whole. What may be set about a topic is in `topic_config`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// The topic that holds the committed offsets of groups.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// The topic that holds the state of transactional ids.
pub const TRANSACTIONS_TOPIC: &str = "__transaction_state";

/// How the names of topics begin that hold what a connector puts again later. They are the runtime's own.
pub const RETRIES_PREFIX: &str = "connect-retries-";

/// The settings of an embedded log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The directory that holds the log and nothing else.
    pub dir: PathBuf,
    /// Partitions of a topic that is created without a number.
    pub default_partitions: i32,
    /// Partitions of `__consumer_offsets`.
    pub offsets_topic_partitions: i32,
    /// Partitions of `__transaction_state`.
    pub transactions_topic_partitions: i32,
    /// How long a client may ask that its transactions may be open.
    pub transaction_timeout_max_ms: i32,
    /// A transactional id is forgotten when it has not been used for so long.
    pub transactional_id_expiration_ms: i64,
    /// Topics that are the runtime's own and shown as such.
    pub internal_topics: BTreeSet<String>,
    /// Size of a journal file.
    pub journal_file_bytes: u64,
    /// What the journal may take on disk before commits are refused.
    pub journal_bytes_max: u64,
    /// Disk space that is held back, so that retention can still make room when the disk is full.
    pub reserve_bytes: u64,
    /// What of the records may be in memory alone beside the journal: commits wait while segments lag so far behind.
    pub tail_bytes_max: usize,
    /// A checkpoint is made after this many bytes of commits …
    pub checkpoint_bytes: u64,
    /// … or this long after the first of them.
    pub checkpoint_interval: Duration,
    /// After this long without a commit, the journal notes what is durable.
    pub idle_mark_after: Duration,
    /// How often retention looks for segments to drop.
    pub retention_interval: Duration,
    /// A partition of a compacted topic is compacted when this much, and the topic's ratio, has not been looked at yet.
    pub compaction_bytes_min: u64,
    /// Commits are refused while this many bytes of others wait for the disk.
    pub queue_bytes_max: usize,
    /// What one commit may take, encoded.
    pub commit_bytes_max: usize,
}

impl LogConfig {
    /// Whether a topic of this name is the runtime's own.
    pub fn is_internal(&self, topic: &str) -> bool {
        self.internal_topics.contains(topic) || topic.starts_with(RETRIES_PREFIX)
    }

    /// The defaults, for a log in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let internal = [OFFSETS_TOPIC, TRANSACTIONS_TOPIC, "connect-configs", "connect-offsets", "connect-status"];
        Self {
            dir: dir.into(),
            default_partitions: 1,
            offsets_topic_partitions: 50,
            transactions_topic_partitions: 50,
            transaction_timeout_max_ms: 900_000,
            transactional_id_expiration_ms: 604_800_000,
            internal_topics: internal.map(String::from).into(),
            journal_file_bytes: 16 << 20,
            journal_bytes_max: 256 << 20,
            reserve_bytes: 1 << 20,
            tail_bytes_max: 24 << 20,
            checkpoint_bytes: 8 << 20,
            checkpoint_interval: Duration::from_secs(5),
            idle_mark_after: Duration::from_millis(50),
            retention_interval: Duration::from_secs(60),
            compaction_bytes_min: 1 << 20,
            queue_bytes_max: 256 << 20,
            commit_bytes_max: 64 << 20,
        }
    }
}
