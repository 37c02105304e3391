//! The durable log: partitioned, replayable, in Kafka's own formats, behind [`LogEngine`].
//!
//! ```text
//! engine ── the traits           embedded ── the engine: open, close, threads
//!   append ─> core ─> journal ─> (durable, visible) ─> checkpointer ─> segment
//!                        recovery <── open               retention, compaction
//!   fetch <── partition (tail) <── segment
//! ```
//! `inspect` shows the batches of a stopped log, `repair` says what is damaged in one and mends it.
//! `transaction` coordinates transactions across partitions and groups, `aborted` is what one partition knows of them.
//! `codec` holds record batches, `partitioner` Kafka's hashes, `group` the offsets of groups, `records` what keeps state in topics, `catalog` and `checkpoint`
//! the two small files that say what there is, `vfs` the seam to the disk. Formats are drawn in `FORMAT.md`.

mod aborted;
mod append;
mod append_at;
mod append_batches;
mod catalog;
mod checkpoint;
mod checkpointer;
mod codec;
mod compaction;
mod config;
mod core;
mod durable_file;
mod embedded;
mod engine;
mod error;
mod fetch;
mod fetch_batches;
mod group;
mod inspect;
mod journal;
mod leader_epochs;
mod maintenance;
mod metrics;
mod open;
mod partition;
mod partitioner;
mod producers;
mod received_batches;
pub mod records;
mod recovery;
mod repair;
mod retention;
mod segment;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
#[cfg(any(test, feature = "sim"))]
mod stepped;
mod sync;
#[cfg(test)]
mod tests;
mod topic_config;
mod topics;
mod transaction;
mod vfs;
mod visible;

pub use aborted::Aborted;
pub use append_at::{Stretch, record_batch};
pub use append_batches::{AppendFuture, AppendedBatch, ReceivedBatch};
pub use config::{LogConfig, OFFSETS_TOPIC, RETRIES_PREFIX, TRANSACTIONS_TOPIC};
pub use embedded::Embedded;
pub use engine::{
    AppendResult, Appends, Commit, CommitFuture, Committed, Compression, Fetch, Fetched, Fetches, GroupOffset,
    GroupOffsets, LogEngine, NewTopic, PartitionOffsets, Topic, Topics, TransactionFuture, TransactionalProducer,
    Transactions,
};
pub use error::Error;
pub use fetch_batches::{FetchBatches, FetchLimits, FetchedBatches};
pub use inspect::{BatchFacts, Inspection};
pub use metrics::{LogMetrics, SYNC_BUCKETS_MICROS};
pub use partition::Ends;
pub use partitioner::partition_of as partition_of_key;
pub use received_batches::records_of;
pub use repair::{Examination, Finding, Remedy, examine, repair};
pub use topic_config::{check_name as check_topic_name, topic_config_defaults};
pub use transaction::{
    ActiveProducer, DescribedTransaction, Ended, Held, Producer, TransactionMetrics, TransactionStatus,
};
pub use vfs::{Open, OsVfs, Vfs, VfsFile};
