//! Reads batches back from a segment, and does not believe the disk: heads must follow each other without a gap that
//! compaction could not have left, what is returned must match its checksum, and the segment must end where it should.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::index::{self, IndexEntries};
use super::{SWAP_SUFFIX, file_name};
use crate::checkpoint::SegmentPoint;
use crate::codec::{BatchHeader, HEADER_BYTES, first_at_or_after};
use crate::error::Error;
use crate::vfs::{Open, Vfs, VfsFile, read_full_at, read_whole, write_all_at};

const WINDOW_BYTES: usize = 64 << 10;
/// Without an index, a segment up to this size is just searched from its beginning.
const SEARCHED_WITHOUT_INDEX_BYTES: u64 = 1 << 20;

/// Why a segment was not read.
pub(crate) enum ReadFailure {
    /// Its file is gone: it was dropped by retention in the meantime.
    Gone,
    /// Anything else.
    Error(Error),
}

impl From<Error> for ReadFailure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Batches read from a segment.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// The batches, in order, verified.
    pub(crate) batches: Vec<(BatchHeader, Bytes)>,
    /// The position after the last of them.
    pub(crate) next_position: u64,
}

/// Reads one segment.
pub(crate) struct SegmentReader<'a> {
    vfs: &'a dyn Vfs,
    dir: &'a Path,
    pub(super) point: SegmentPoint,
    /// The first offset that lies behind the segment.
    pub(super) end: i64,
    /// Whether compaction may have left gaps.
    pub(super) gaps: bool,
    /// What the names of its files end with.
    suffix: &'static str,
    pub(super) log: Arc<dyn VfsFile>,
}

impl<'a> SegmentReader<'a> {
    /// Opens a segment whose records end before `end`.
    pub(crate) fn open(
        vfs: &'a dyn Vfs,
        dir: &'a Path,
        point: SegmentPoint,
        end: i64,
        gaps: bool,
    ) -> Result<Self, ReadFailure> {
        let suffixes: &[&str] = if point.swapping { &[SWAP_SUFFIX, ""] } else { &[""] };
        for suffix in suffixes {
            let path = dir.join(file_name(point.base, "log") + suffix);
            match vfs.open(&path, Open::Read) {
                Ok(log) => return Ok(Self { vfs, dir, point, end, gaps, suffix, log }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io(format!("opening {}", path.display()), error).into()),
            }
        }
        Err(ReadFailure::Gone)
    }

    /// Reads all batches, one after the other, into `each`; stops where it says so.
    pub(crate) fn scan(&self, mut each: impl FnMut(&BatchHeader, &[u8]) -> Result<bool, Error>) -> Result<(), Error> {
        let mut next = self.point.base;
        let mut position = 0;
        while position < self.point.bytes {
            let chunk = self.read(next, 1 << 20, Some(position))?;
            for (header, batch) in &chunk.batches {
                next = header.next_offset();
                if !each(header, batch)? {
                    return Ok(());
                }
            }
            position = chunk.next_position;
        }
        Ok(())
    }

    /// Reads batches from the one that holds `from` on, until they have `bytes_max` bytes; at least one, where there is any.
    /// `hint` is a position at which the batch that holds `from`, or the next one, is known to begin.
    pub(crate) fn read(&self, from: i64, bytes_max: usize, hint: Option<u64>) -> Result<Chunk, Error> {
        let (mut position, mut expected) = match hint {
            Some(position) => (position, Some(from)),
            None => self.search_start(from)?,
        };
        let mut chunk = Chunk::default();
        let mut gathered = 0;
        let mut window = Window::default();
        while position < self.point.bytes && gathered < bytes_max {
            let header = self.header(&mut window, position, expected)?;
            expected = Some(header.next_offset());
            if header.last_offset() >= from {
                let batch = self.whole(&mut window, position, header.bytes, bytes_max - gathered)?;
                BatchHeader::verify(&batch).map_err(|damage| self.corrupt(position, damage))?;
                gathered += batch.len();
                chunk.batches.push((header, batch));
            }
            position += header.bytes as u64;
        }
        if position >= self.point.bytes && !self.gaps && expected.is_some_and(|next| next != self.end) {
            return Err(self.corrupt(position, "its records end too early"));
        }
        chunk.next_position = position;
        Ok(chunk)
    }

    /// The first record at or after `timestamp_ms` and at or after `from`: its offset and its timestamp.
    pub(crate) fn offset_for_time(&self, timestamp_ms: i64, from: i64) -> Result<Option<(i64, i64)>, Error> {
        let begin = self.time_hint(timestamp_ms)?.unwrap_or(self.point.base).max(from);
        let (mut position, mut expected) = self.search_start(begin)?;
        let mut window = Window::default();
        while position < self.point.bytes {
            let header = self.header(&mut window, position, expected)?;
            expected = Some(header.next_offset());
            if header.last_offset() >= from && header.max_timestamp >= timestamp_ms {
                let batch = self.whole(&mut window, position, header.bytes, 0)?;
                BatchHeader::verify(&batch).map_err(|damage| self.corrupt(position, damage))?;
                let found = first_at_or_after(&header, &batch, timestamp_ms);
                if let Some(found) =
                    found.map_err(|damage| self.corrupt(position, damage))?.filter(|(offset, _)| *offset >= from)
                {
                    return Ok(Some(found));
                }
            }
            position += header.bytes as u64;
        }
        Ok(None)
    }

    /// The head at a position, where the batch that holds or follows `expected` is to begin.
    fn header(&self, window: &mut Window, position: u64, expected: Option<i64>) -> Result<BatchHeader, Error> {
        let bytes = window.get(self, position, HEADER_BYTES, 0)?;
        let header = BatchHeader::parse(&bytes).map_err(|damage| self.corrupt(position, damage))?;
        let end = position + header.bytes as u64;
        let in_place = expected.is_none_or(|expected| {
            if self.gaps { header.base_offset >= expected } else { header.base_offset == expected }
        });
        let in_place = in_place
            || expected.is_some_and(|expected| header.base_offset <= expected && expected <= header.last_offset());
        if !in_place || end > self.point.bytes || header.next_offset() > self.end {
            return Err(self.corrupt(position, "a batch is out of place"));
        }
        Ok(header)
    }

    fn whole(&self, window: &mut Window, position: u64, bytes: usize, ahead: usize) -> Result<Bytes, Error> {
        let batch = window.get(self, position, bytes, ahead)?;
        if batch.len() == bytes { Ok(batch) } else { Err(self.corrupt(position, "the file is shorter than it was")) }
    }

    /// Where to begin a search for `offset`: a position, and the offset the batch there begins with, where that is known.
    fn search_start(&self, offset: i64) -> Result<(u64, Option<i64>), Error> {
        let beginning = (0, (!self.gaps).then_some(self.point.base));
        let path = self.path("index");
        let relative = u32::try_from((offset - self.point.base).max(0)).unwrap_or(u32::MAX);
        let found = match self.vfs.open(&path, Open::Read) {
            Ok(file) => index::find_offset(file.as_ref(), relative, self.point.bytes).ok().flatten(),
            Err(_) => None,
        };
        if let Some((relative, position)) = found {
            let says = self.point.base + i64::from(relative);
            let header = Window::default()
                .get(self, position, HEADER_BYTES, 0)
                .ok()
                .and_then(|bytes| BatchHeader::parse(&bytes).ok());
            if header.is_some_and(|header| header.last_offset() == says) {
                return Ok((position, None));
            }
        } else if self.point.bytes <= SEARCHED_WITHOUT_INDEX_BYTES || offset <= self.point.base {
            return Ok(beginning);
        }
        // The index is missing or wrong. A failure to rebuild it costs time, never truth.
        if let Err(error) = self.rebuild_index(&path) {
            tracing::warn!(path = %path.display(), %error, "the index of a segment could not be rebuilt");
        }
        Ok(beginning)
    }

    fn time_hint(&self, timestamp_ms: i64) -> Result<Option<i64>, Error> {
        let Ok(file) = self.vfs.open(&self.path("timeindex"), Open::Read) else { return Ok(None) };
        let Ok(Some((time, relative))) = index::find_time(file.as_ref(), timestamp_ms) else { return Ok(None) };
        let offset = self.point.base + i64::from(relative);
        if offset >= self.end {
            return Ok(None);
        }
        // The batch that holds the offset must have the timestamp that the entry says; otherwise the entry is no hint.
        let chunk = self.read(offset, 1, None)?;
        let holds = chunk.batches.first().is_some_and(|(header, _)| header.max_timestamp == time);
        Ok(holds.then_some(offset))
    }

    fn rebuild_index(&self, path: &Path) -> Result<(), Error> {
        self.write_index(path, &self.index_entries()?.offsets).map(|_| ())
    }

    /// Writes both indexes anew, durably.
    pub(crate) fn rebuild_indexes(&self) -> Result<(), Error> {
        let entries = self.index_entries()?;
        for (extension, bytes) in [("index", &entries.offsets), ("timeindex", &entries.times)] {
            let path = self.path(extension);
            let file = self.write_index(&path, bytes)?;
            file.sync().map_err(|error| Error::io(format!("writing {}", path.display()), error))?;
        }
        self.vfs.sync_dir(self.dir).map_err(|error| Error::io(format!("syncing {}", self.dir.display()), error))
    }

    fn write_index(&self, path: &Path, bytes: &[u8]) -> Result<Arc<dyn VfsFile>, Error> {
        let write = || {
            let file = self.vfs.open(path, Open::Create)?;
            write_all_at(file.as_ref(), bytes, 0).map(|()| file)
        };
        write().map_err(|error| Error::io(format!("writing {}", path.display()), error))
    }

    fn index_entries(&self) -> Result<IndexEntries, Error> {
        let relative = |header: &BatchHeader| u32::try_from(header.last_offset() - self.point.base).unwrap_or(u32::MAX);
        let mut entries = IndexEntries::default();
        let (mut position, mut expected) = (0, (!self.gaps).then_some(self.point.base));
        let mut window = Window::default();
        let mut since_entry = 0;
        let mut latest: Option<(i64, u32)> = None;
        while position < self.point.bytes {
            let header = self.header(&mut window, position, expected)?;
            expected = Some(header.next_offset());
            if since_entry > WINDOW_BYTES / 4 {
                entries.offset(relative(&header), u32::try_from(position).unwrap_or(u32::MAX));
                latest.inspect(|(timestamp, relative)| entries.time(*timestamp, *relative));
                since_entry = 0;
            }
            if latest.is_none_or(|(timestamp, _)| header.max_timestamp > timestamp) {
                latest = Some((header.max_timestamp, relative(&header)));
            }
            since_entry += header.bytes;
            position += header.bytes as u64;
        }
        latest.inspect(|(timestamp, relative)| entries.time(*timestamp, *relative));
        Ok(entries)
    }

    /// The path of one of its files.
    pub(crate) fn path(&self, extension: &str) -> PathBuf {
        self.dir.join(file_name(self.point.base, extension) + self.suffix)
    }

    /// The content of one of its derived files; none where there is none.
    pub(super) fn derived(&self, extension: &str) -> Option<Vec<u8>> {
        self.vfs.open(&self.path(extension), Open::Read).and_then(|file| read_whole(file.as_ref())).ok()
    }

    fn corrupt(&self, position: u64, reason: impl std::fmt::Display) -> Error {
        Error::corrupt(format!("{} at byte {position}", self.path("log").display()), reason)
    }
}

/// A stretch of the log that was read in one go.
#[derive(Default)]
pub(super) struct Window {
    at: u64,
    bytes: Bytes,
}

impl Window {
    /// `length` bytes at `position`, or fewer where the file ends. Reads `ahead` more where it must read.
    pub(super) fn get(
        &mut self,
        reader: &SegmentReader<'_>,
        position: u64,
        length: usize,
        ahead: usize,
    ) -> Result<Bytes, Error> {
        let inside = |window: &Self| {
            let from = usize::try_from(position.checked_sub(window.at)?).ok()?;
            let range = from..from.checked_add(length)?;
            (range.end <= window.bytes.len()).then(|| window.bytes.slice(range))
        };
        if let Some(bytes) = inside(self) {
            return Ok(bytes);
        }
        let left = usize::try_from(reader.point.bytes.saturating_sub(position)).unwrap_or(usize::MAX);
        let wanted = length.max(WINDOW_BYTES).max(ahead.min(1 << 20)).min(left.max(length));
        let mut buffer = vec![0; wanted];
        let read = read_full_at(reader.log.as_ref(), &mut buffer, position).map_err(|error| {
            Error::io(format!("reading {}", reader.dir.join(file_name(reader.point.base, "log")).display()), error)
        })?;
        buffer.truncate(read);
        *self = Self { at: position, bytes: buffer.into() };
        Ok(inside(self).unwrap_or_else(|| self.bytes.clone()))
    }
}
