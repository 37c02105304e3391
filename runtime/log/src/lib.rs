//! The durable log: partitioned, replayable, in Kafka's own formats, behind [`LogEngine`].

mod engine;

pub use engine::{
    AppendResult, Appends, Commit, CommitFuture, Committed, Compression, Error, Fetch, Fetched, Fetches, GroupOffset, GroupOffsets,
    LogEngine, NewTopic, PartitionOffsets, Topic, Topics,
};
