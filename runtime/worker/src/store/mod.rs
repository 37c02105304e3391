//! The worker's own topics: what connectors are configured, where sources stand, how tasks fare. Keys and JSON are Kafka Connect's,
//! so that its tools read ours and its state can be imported; what Connect does not know stands under keys of our own.

mod offsets;

pub(crate) use offsets::{SourceOffsets, offset_record};
