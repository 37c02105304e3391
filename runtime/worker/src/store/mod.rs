//! The worker's own topics: what connectors are configured, where sources stand, how tasks fare. Keys and JSON are Kafka Connect's,
//! so that its tools read ours and its state can be imported; what Connect does not know stands under keys of our own.

mod configs;
mod offsets;
mod retries;
mod status;

pub(crate) use configs::{ConfigStore, Ownership, Restored, Stored, connector_records, stored_records};
pub(crate) use offsets::{OWN_TOPIC, OffsetTopics, SourceOffsets, offset_record, offset_records};
pub(crate) use retries::{Row, Rows, ensure_retries, read_all_rows, read_given, read_row, read_rows, retries_topic};
pub(crate) use status::{StatusBook, TaskMemory, task_memory, used_topic};
