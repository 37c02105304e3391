//! Segments: Kafka's own files, `<first offset>.log` with `.index`, `.timeindex` and, where transactions were aborted, `.txnindex`,
//! which lag behind the journal.
//!
//! `append` writes durable batches into them, `read` finds them again, `index` is the two derived files. What belongs to a
//! segment is said by the checkpoint's list, never by the length of a file. Indexes are trusted only as hints: what they
//! point at is compared with what the log says, and a wrong or missing one is built anew.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use crate::aborted::{Aborted, ENTRY_BYTES};
use crate::checkpoint::{PartitionPoint, SegmentPoint};
use crate::error::Error;
use crate::vfs::{Open, Vfs, read_whole};

mod append;
mod index;
mod read;

pub(crate) use append::{Appender, SegmentFiles};
pub(crate) use read::{ReadFailure, SegmentReader};

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

/// The aborted transactions that a partition's indexes list, which must be what the checkpoint says.
pub(crate) fn aborted_of(vfs: &dyn Vfs, dir: &Path, point: &PartitionPoint) -> Result<VecDeque<Aborted>, Error> {
    let mut all = VecDeque::new();
    for segment in point.segments.iter().filter(|segment| segment.aborted > 0) {
        let suffixes: &[&str] = if segment.swapping { &[SWAP_SUFFIX, ""] } else { &[""] };
        let path = |suffix: &str| dir.join(file_name(segment.base, "txnindex") + suffix);
        let opened = suffixes.iter().find_map(|suffix| vfs.open(&path(suffix), Open::Read).ok());
        let mut bytes = match opened {
            Some(file) => {
                read_whole(file.as_ref()).map_err(|error| Error::io("reading an index of transactions", error))?
            }
            None => Vec::new(),
        };
        bytes.truncate(segment.aborted as usize * ENTRY_BYTES);
        if crc32c::crc32c(&bytes) != segment.aborted_crc {
            return Err(Error::corrupt(path("").display(), "it is not what the checkpoint lists"));
        }
        all.extend(Aborted::read_all(&bytes).filter(|aborted| aborted.last_offset >= point.log_start));
    }
    Ok(all)
}

/// The first offset and the extension that a file name says, if it is one of a segment.
pub(crate) fn parse_file_name(name: &str) -> Option<(i64, &str)> {
    let (base, extension) = name.split_once('.')?;
    let digits = base.len() == 20 && base.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| base.parse().ok()).flatten().map(|base| (base, extension))
}
