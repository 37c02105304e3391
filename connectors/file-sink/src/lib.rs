//! Each record's value as a line at the end of a file: Kafka Connect's `FileStreamSink`, under its keys.
//!
//! What is flushed is on disk before its offsets are committed, so nothing is lost; after a crash the lines since the last flush
//! are written again, as Kafka's does.

#[cfg(target_family = "wasm")]
mod component;
mod line;
mod spec;

pub use line::append;
pub use spec::spec;
