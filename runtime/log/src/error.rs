//! What the log may answer instead of doing what it was asked.
//!
//! Codes are stable. Bytes that do not parse are [`Error::Corrupt`] and name the file and the place.

use std::sync::Arc;

use towpath_model::{Coded, Kind, TopicPartition};

/// Why the log did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("topic {0} does not exist")]
    UnknownTopic(String),
    #[error("topic {topic} has no partition {partition}")]
    UnknownPartition { topic: String, partition: i32 },
    #[error("topic {0} exists already")]
    TopicExists(String),
    #[error("topic name {name:?} is invalid: {reason}")]
    InvalidTopic { name: String, reason: &'static str },
    #[error("topic config {key}={value} is invalid: {reason}")]
    InvalidConfig { key: String, value: String, reason: String },
    #[error("offset {offset} of {partition} is outside {start}..{end}")]
    OffsetOutOfRange { partition: TopicPartition, offset: i64, start: i64, end: i64 },
    #[error("a record of {bytes} bytes for {topic} is larger than max.message.bytes={limit}")]
    RecordTooLarge { topic: String, index: usize, bytes: usize, limit: usize },
    #[error("a batch for {topic} does not match its checksum")]
    BatchDamaged { topic: String },
    #[error("a batch for {topic} is invalid: {reason}")]
    InvalidBatch { topic: String, reason: &'static str },
    #[error("a timestamp for {topic} lies {by_ms} ms further away than the topic allows")]
    InvalidTimestamp { topic: String, by_ms: i64 },
    #[error("a batch of an idempotent producer for {partition} is not the next one")]
    OutOfOrderSequence { partition: TopicPartition },
    #[error("nothing is known of the producer of a batch for {partition} that is not its first")]
    UnknownProducer { partition: TopicPartition },
    #[error("a newer instance of a producer has taken over {partition}")]
    ProducerFenced { partition: TopicPartition },
    #[error("transactional id {id} is not known, or belongs to another producer")]
    UnknownTransaction { id: String },
    #[error(
        "a newer instance of the producer of transactional id {id} has taken over, or its transaction took too long"
    )]
    TransactionFenced { id: String },
    #[error("the transaction of {id} does not allow this: {reason}")]
    InvalidTransactionState { id: String, reason: &'static str },
    #[error("transaction.timeout.ms={timeout_ms} is not between 1 and {most}")]
    InvalidTransactionTimeout { timeout_ms: i32, most: i32 },
    #[error("record without a key for compacted topic {topic}")]
    KeyMissing { topic: String, indexes: Vec<usize> },
    #[error("a commit of {bytes} bytes is larger than {limit}")]
    CommitTooLarge { bytes: usize, limit: usize },
    #[error("a committed offset of group {group} is invalid: {reason}")]
    InvalidGroupOffset { group: String, reason: &'static str },
    #[error("the disk of the log is full: {0}")]
    DiskFull(String),
    #[error("{bytes} bytes of commits wait for the disk already")]
    Overloaded { bytes: usize },
    #[error("{0} is in use by another process")]
    Locked(String),
    #[error("{place} has format {found}, and this version knows formats up to {known}")]
    UnsupportedFormat { place: String, found: u32, known: u32 },
    #[error("the log is closed: {0}")]
    Closed(String),
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    #[error("log I/O failed: {context}")]
    Io {
        context: String,
        #[source]
        source: Arc<std::io::Error>,
    },
}

impl Error {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownTopic(_) => "log.unknown_topic",
            Self::UnknownPartition { .. } => "log.unknown_partition",
            Self::TopicExists(_) => "log.topic_exists",
            Self::InvalidTopic { .. } => "log.invalid_topic",
            Self::InvalidConfig { .. } => "log.invalid_config",
            Self::OffsetOutOfRange { .. } => "log.offset_out_of_range",
            Self::RecordTooLarge { .. } => "log.record_too_large",
            Self::BatchDamaged { .. } => "log.batch_damaged",
            Self::InvalidBatch { .. } => "log.invalid_batch",
            Self::InvalidTimestamp { .. } => "log.invalid_timestamp",
            Self::OutOfOrderSequence { .. } => "log.out_of_order_sequence",
            Self::UnknownProducer { .. } => "log.unknown_producer",
            Self::ProducerFenced { .. } => "log.producer_fenced",
            Self::UnknownTransaction { .. } => "log.unknown_transaction",
            Self::TransactionFenced { .. } => "log.transaction_fenced",
            Self::InvalidTransactionState { .. } => "log.invalid_transaction_state",
            Self::InvalidTransactionTimeout { .. } => "log.invalid_transaction_timeout",
            Self::KeyMissing { .. } => "log.key_missing",
            Self::CommitTooLarge { .. } => "log.commit_too_large",
            Self::InvalidGroupOffset { .. } => "log.invalid_group_offset",
            Self::DiskFull(_) => "log.disk_full",
            Self::Overloaded { .. } => "log.overloaded",
            Self::Locked(_) => "log.locked",
            Self::UnsupportedFormat { .. } => "log.unsupported_format",
            Self::Closed(_) => "log.closed",
            Self::Corrupt(_) => "log.corrupt",
            Self::Io { .. } => "log.io",
        }
    }

    /// What a caller does about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::DiskFull(_) | Self::Overloaded { .. } => Kind::Retry,
            Self::RecordTooLarge { .. }
            | Self::KeyMissing { .. }
            | Self::BatchDamaged { .. }
            | Self::InvalidBatch { .. }
            | Self::InvalidTimestamp { .. } => Kind::Reject,
            Self::InvalidTopic { .. } | Self::InvalidConfig { .. } | Self::UnknownTopic(_) | Self::TopicExists(_) => {
                Kind::Invalid
            }
            Self::OutOfOrderSequence { .. } | Self::UnknownProducer { .. } | Self::ProducerFenced { .. } => Kind::Fail,
            Self::UnknownPartition { .. } | Self::OffsetOutOfRange { .. } | Self::Closed(_) | Self::Io { .. } => {
                Kind::Fail
            }
            Self::UnknownTransaction { .. }
            | Self::TransactionFenced { .. }
            | Self::InvalidTransactionState { .. }
            | Self::InvalidTransactionTimeout { .. } => Kind::Fail,
            Self::CommitTooLarge { .. } | Self::InvalidGroupOffset { .. } => Kind::Fail,
            Self::Locked(_) | Self::UnsupportedFormat { .. } => Kind::Fail,
            Self::Corrupt(_) => Kind::Corrupt,
        }
    }

    /// The message with the system's reason, where there is one, for those who do not follow sources.
    pub fn told(&self) -> String {
        match self {
            Self::Io { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        }
    }

    /// What the file system answered, with what was being done.
    pub(crate) fn io(context: impl Into<String>, source: std::io::Error) -> Self {
        let context = context.into();
        if is_disk_full(&source) {
            return Self::DiskFull(format!("{context}: {source}"));
        }
        Self::Io { context, source: Arc::new(source) }
    }

    /// Stored bytes that contradict themselves, and where.
    pub(crate) fn corrupt(place: impl std::fmt::Display, reason: impl std::fmt::Display) -> Self {
        Self::Corrupt(format!("{place}: {reason}"))
    }
}

impl Coded for Error {
    fn kind(&self) -> Kind {
        self.kind()
    }

    fn code(&self) -> &str {
        self.code()
    }
}

/// Whether the file system has no room, as opposed to being broken.
pub(crate) fn is_disk_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}
