//! `.txnindex`: which transactions of a partition were aborted, in the segment that holds the marker.
//!
//! It only repeats what the batches say, so one that is missing, or is not what the checkpoint lists, is built anew from them; the
//! batches before it are read for that, back to where compaction has seen everything, for a transaction may begin in any of them.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::{ReadFailure, SWAP_SUFFIX, SegmentReader, file_name};
use crate::aborted::{Aborted, ENTRY_BYTES, Transactions};
use crate::checkpoint::{PartitionPoint, SegmentPoint};
use crate::error::Error;
use crate::vfs::{Open, Vfs, read_whole, write_all_at};

/// An index that was built anew and is to be written in place of what is there.
pub(crate) struct Rebuilt {
    pub(crate) path: PathBuf,
    bytes: Vec<u8>,
}

impl Rebuilt {
    /// Writes it; durable when it returns, but for its name where that is new.
    pub(crate) fn write(&self, vfs: &dyn Vfs) -> io::Result<()> {
        let file = vfs.open(&self.path, Open::Create)?;
        write_all_at(file.as_ref(), &self.bytes, 0)?;
        file.sync()
    }
}

/// The aborted transactions of a partition, and the indexes that had to be built anew; `point` lists those as they are then.
/// `build` says what the index of each segment is to hold.
///
/// # Errors
/// What `build` returns, or the disk's.
pub(crate) fn aborted_of(
    vfs: &dyn Vfs,
    dir: &Path,
    point: &mut PartitionPoint,
    build: impl FnOnce(&PartitionPoint) -> Result<Vec<Vec<u8>>, Error>,
) -> Result<(VecDeque<Aborted>, Vec<Rebuilt>), Error> {
    let listed = |segment: &SegmentPoint| match segment.aborted {
        0 => Ok(Some(Vec::new())),
        _ => listed_bytes(vfs, dir, segment),
    };
    let mut indexes = point.segments.iter().map(listed).collect::<Result<Vec<_>, _>>()?;
    let mut rebuilt = Vec::new();
    if indexes.iter().any(Option::is_none) {
        let built = build(point)?;
        for ((segment, index), bytes) in point.segments.iter_mut().zip(&mut indexes).zip(built) {
            if index.is_none() {
                segment.aborted = u32::try_from(bytes.len() / ENTRY_BYTES).unwrap_or(u32::MAX);
                segment.aborted_crc = crc32c::crc32c(&bytes);
                let path = dir.join(file_name(segment.base, "txnindex"));
                rebuilt.push(Rebuilt { path, bytes: bytes.clone() });
                *index = Some(bytes);
            }
        }
    }
    let all = indexes.iter().flatten().flat_map(|bytes| Aborted::read_all(bytes));
    Ok((all.filter(|aborted| aborted.last_offset >= point.log_start).collect(), rebuilt))
}

/// The entries of a segment's index; none where they are not what the checkpoint lists.
fn listed_bytes(vfs: &dyn Vfs, dir: &Path, segment: &SegmentPoint) -> Result<Option<Vec<u8>>, Error> {
    let suffixes: &[&str] = if segment.swapping { &[SWAP_SUFFIX, ""] } else { &[""] };
    let path = |suffix: &str| dir.join(file_name(segment.base, "txnindex") + suffix);
    let Some(file) = suffixes.iter().find_map(|suffix| vfs.open(&path(suffix), Open::Read).ok()) else {
        return Ok(None);
    };
    let mut bytes =
        read_whole(file.as_ref()).map_err(|error| Error::io(format!("reading {}", path("").display()), error))?;
    bytes.truncate(segment.aborted as usize * ENTRY_BYTES);
    Ok((crc32c::crc32c(&bytes) == segment.aborted_crc).then_some(bytes))
}

/// What the index of each segment is to hold, read from its batches. What compaction has seen holds nothing that was aborted.
///
/// # Errors
/// Where the batches are damaged, or the disk's.
pub(crate) fn build(vfs: &dyn Vfs, dir: &Path, point: &PartitionPoint, gaps: bool) -> Result<Vec<Vec<u8>>, Error> {
    let mut transactions = Transactions::default();
    let mut indexes = Vec::with_capacity(point.segments.len());
    for (segment, end) in point.with_ends() {
        let mut index = Vec::new();
        if segment.base >= point.cleaned {
            let reader = match SegmentReader::open(vfs, dir, segment, end, gaps) {
                Ok(reader) => reader,
                Err(ReadFailure::Error(error)) => return Err(error),
                Err(ReadFailure::Gone) => {
                    return Err(Error::corrupt(
                        dir.join(file_name(segment.base, "log")).display(),
                        "the file is missing",
                    ));
                }
            };
            reader.scan(|header, batch| {
                let applied = transactions.apply(header, batch).map_err(|damage| Error::corrupt(dir.display(), damage));
                if let Some(aborted) = applied? {
                    aborted.write(&mut index);
                }
                Ok(true)
            })?;
        }
        indexes.push(index);
    }
    Ok(indexes)
}
