//! Each line of a file as a record, and those that are appended later: Kafka Connect's `FileStreamSource`, under its keys, positions
//! and words.
//!
//! The position is a number of bytes, after the last whole line that was delivered. A line without an end waits for it.

#[cfg(target_family = "wasm")]
mod component;
mod lines;
mod position;
mod spec;

pub use lines::{Lines, SCHEMA};
pub use position::{FILENAME, at, check, checkpoint};
pub use spec::spec;
