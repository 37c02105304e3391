//! Segments: Kafka's own files, `<first offset>.log` with `.index` and `.timeindex`, which lag behind the journal.
//!
//! `append` writes durable batches into them, `read` finds them again, `index` is the two derived files. What belongs to a
//! segment is said by the checkpoint's list, never by the length of a file. Indexes are trusted only as hints: what they
//! point at is compared with what the log says, and a wrong or missing one is built anew.

mod append;
mod index;
mod read;

pub(crate) use append::{Appender, SegmentFiles};
pub(crate) use read::{ReadFailure, SegmentReader};

/// The name of a segment's file.
pub(crate) fn file_name(base: i64, extension: &str) -> String {
    format!("{base:020}.{extension}")
}

/// The first offset and the extension that a file name says, if it is one of a segment.
pub(crate) fn parse_file_name(name: &str) -> Option<(i64, &str)> {
    let (base, extension) = name.split_once('.')?;
    let digits = base.len() == 20 && base.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| base.parse().ok()).flatten().map(|base| (base, extension))
}
