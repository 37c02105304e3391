//! Segments: Kafka's own files, `<first offset>.log` with `.index`, `.timeindex` and, where transactions were aborted, `.txnindex`,
//! which lag behind the journal.
//!
//! `append` writes durable batches into them, `read` finds them again, `salvage` finds what is left in a damaged one; `index` and
//! `txn_index` are the derived files. What belongs to a segment is said by the checkpoint's list, never by the length of a file.
//! Indexes are trusted only as hints: what they point at is compared with what the log says, and a wrong or missing one is built anew.

use std::io;
use std::path::Path;

use crate::checkpoint::SegmentPoint;
use crate::vfs::Vfs;

mod append;
mod index;
mod read;
mod salvage;
mod txn_index;

pub(crate) use append::{Appender, SegmentFiles};
pub(crate) use read::{ReadFailure, SegmentReader};
pub(crate) use salvage::{Lost, Salvage};
pub(crate) use txn_index::{Rebuilt, aborted_of, build as aborted_by_batches};

/// What the name of a file ends with that compaction has written and that is yet to take its place.
pub(crate) const SWAP_SUFFIX: &str = ".cleaned";

/// The files of a segment.
pub(crate) const EXTENSIONS: [&str; 4] = ["log", "index", "timeindex", "txnindex"];

/// The name of a segment's file.
pub(crate) fn file_name(base: i64, extension: &str) -> String {
    format!("{base:020}.{extension}")
}

/// Gives files that compaction has written their final names, in place of what bore them; durable when it returns.
pub(crate) fn finish_swap(vfs: &dyn Vfs, dir: &Path, segments: &[SegmentPoint]) -> io::Result<()> {
    let mut renamed = false;
    for segment in segments.iter().filter(|segment| segment.swapping) {
        for extension in EXTENSIONS {
            let name = file_name(segment.base, extension);
            match vfs.rename(&dir.join(name.clone() + SWAP_SUFFIX), &dir.join(name)) {
                Ok(()) => renamed = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    if renamed { vfs.sync_dir(dir) } else { Ok(()) }
}

/// The first offset and the extension that a file name says, if it is one of a segment.
pub(crate) fn parse_file_name(name: &str) -> Option<(i64, &str)> {
    let (base, extension) = name.split_once('.')?;
    let digits = base.len() == 20 && base.bytes().all(|byte| byte.is_ascii_digit());
    let known = EXTENSIONS.contains(&extension.strip_suffix(SWAP_SUFFIX).unwrap_or(extension));
    (digits && known).then(|| base.parse().ok()).flatten().map(|base| (base, extension))
}
