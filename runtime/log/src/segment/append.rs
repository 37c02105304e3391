//! Appends durable batches to the segments of one partition, beginning new segments by size, age and index range.
//!
//! Works on a copy of the partition's list; the caller adopts the list when all writes have succeeded and syncs the files
//! before it is put into a checkpoint. After a failure the old list stands, and the same bytes are written again later.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::index::{self, IndexEntries};
use super::{SWAP_SUFFIX, file_name};
use crate::aborted::{Aborted, ENTRY_BYTES};
use crate::checkpoint::SegmentPoint;
use crate::codec::BatchHeader;
use crate::topic_config::TopicSettings;
use crate::vfs::{Open, Vfs, VfsFile, write_all_at};

const WRITE_BYTES: usize = 1 << 20;

/// What must be synced before the new list of segments counts.
#[derive(Default)]
pub(crate) struct SegmentFiles {
    /// Files.
    pub(crate) files: Vec<Arc<dyn VfsFile>>,
    /// Whether the directory has new entries.
    pub(crate) dir: bool,
}

/// Appends to one partition.
pub(crate) struct Appender<'a> {
    vfs: &'a dyn Vfs,
    dir: &'a Path,
    settings: &'a TopicSettings,
    segments: Vec<SegmentPoint>,
    open: Option<OpenSegment>,
    touched: SegmentFiles,
    /// Segments that begin before this are complete.
    complete_before: i64,
    /// Whether new files get the name that compaction gives them.
    swapping: bool,
}

struct OpenSegment {
    log: Arc<dyn VfsFile>,
    offset_index: Arc<dyn VfsFile>,
    time_index: Arc<dyn VfsFile>,
    entries: IndexEntries,
    offset_index_at: u64,
    time_index_at: u64,
    buffer: Vec<u8>,
    /// Entries for its `.txnindex`.
    aborted: Vec<u8>,
    since_entry: u64,
    max_timestamp_relative: u32,
}

impl<'a> Appender<'a> {
    /// An appender behind these segments.
    pub(crate) fn new(
        vfs: &'a dyn Vfs,
        dir: &'a Path,
        settings: &'a TopicSettings,
        segments: Vec<SegmentPoint>,
    ) -> Self {
        Self {
            vfs,
            dir,
            settings,
            segments,
            open: None,
            touched: SegmentFiles::default(),
            complete_before: 0,
            swapping: false,
        }
    }

    /// An appender that writes new segments beside old ones, for compaction.
    pub(crate) fn beside(vfs: &'a dyn Vfs, dir: &'a Path, settings: &'a TopicSettings) -> Self {
        Self { swapping: true, ..Self::new(vfs, dir, settings, Vec::new()) }
    }

    /// Appends to no segment that begins before `offset`.
    pub(crate) fn leave_alone_before(&mut self, offset: i64) {
        self.complete_before = offset;
    }

    /// Appends a batch. `aborted` is the transaction that it ended, where it is a marker that aborted one.
    pub(crate) fn append(&mut self, header: &BatchHeader, batch: &[u8], aborted: Option<&Aborted>) -> io::Result<()> {
        if self.segments.last().is_none_or(|last| self.is_full(last, header)) {
            self.roll(header)?;
        } else if self.open.is_none() {
            self.reopen(header)?;
        }
        let (Some(segment), Some(open)) = (self.segments.last_mut(), self.open.as_mut()) else {
            return Err(io::Error::other("no segment is open"));
        };
        let relative = relative(segment.base, header.last_offset());
        if open.since_entry > self.settings.index_interval_bytes {
            open.entries.offset(relative, u32::try_from(segment.bytes).unwrap_or(u32::MAX));
            open.entries.time(segment.max_timestamp, open.max_timestamp_relative);
            open.since_entry = 0;
        }
        if header.max_timestamp > segment.max_timestamp || segment.bytes == 0 {
            segment.max_timestamp = header.max_timestamp;
            open.max_timestamp_relative = relative;
        }
        if let Some(aborted) = aborted {
            aborted.write(&mut open.aborted);
        }
        open.since_entry += batch.len() as u64;
        open.buffer.extend_from_slice(batch);
        segment.bytes += batch.len() as u64;
        if open.buffer.len() >= WRITE_BYTES {
            open.write_buffer(segment.bytes)?;
        }
        Ok(())
    }

    /// Writes what is left. The segments as they are now, and what to sync.
    pub(crate) fn finish(mut self) -> io::Result<(Vec<SegmentPoint>, SegmentFiles)> {
        self.leave(self.swapping)?;
        Ok((self.segments, self.touched))
    }

    fn is_full(&self, segment: &SegmentPoint, next: &BatchHeader) -> bool {
        let bytes = segment.bytes + next.bytes as u64;
        let aged = next.max_timestamp.saturating_sub(segment.first_timestamp) > self.settings.segment_ms;
        segment.bytes > 0
            && (segment.base < self.complete_before
                || segment.swapping != self.swapping
                || bytes > self.settings.segment_bytes
                || aged
                || bytes > i32::MAX as u64
                || next.last_offset() - segment.base > i64::from(i32::MAX))
    }

    fn roll(&mut self, header: &BatchHeader) -> io::Result<()> {
        self.leave(true)?;
        let base = header.base_offset;
        let suffix = if self.swapping { SWAP_SUFFIX } else { "" };
        let create = |extension: &str| self.vfs.open(&self.dir.join(file_name(base, extension) + suffix), Open::Create);
        self.open = Some(OpenSegment {
            log: create("log")?,
            offset_index: create("index")?,
            time_index: create("timeindex")?,
            entries: IndexEntries::default(),
            offset_index_at: 0,
            time_index_at: 0,
            buffer: Vec::new(),
            aborted: Vec::new(),
            since_entry: 0,
            max_timestamp_relative: 0,
        });
        self.touched.dir = true;
        let timestamp = header.max_timestamp;
        let (first_timestamp, max_timestamp, swapping) = (timestamp, timestamp, self.swapping);
        let (aborted, aborted_crc) = (0, 0);
        let bytes = 0;
        let point = SegmentPoint { base, bytes, first_timestamp, max_timestamp, swapping, aborted, aborted_crc };
        self.segments.push(point);
        Ok(())
    }

    fn reopen(&mut self, next: &BatchHeader) -> io::Result<()> {
        let Some(segment) = self.segments.last() else { return Ok(()) };
        let open = |extension, how| self.vfs.open(&self.dir.join(file_name(segment.base, extension)), how);
        let log = open("log", Open::Write)?;
        let offset_index = open("index", Open::WriteOrCreate)?;
        let time_index = open("timeindex", Open::WriteOrCreate)?;
        let offset_index_at = index::sound_offset_bytes(offset_index.as_ref(), segment.bytes)?;
        let (time_index_at, last_time) =
            index::sound_time_bytes(time_index.as_ref(), relative(segment.base, next.base_offset))?;
        for (file, at) in [(&offset_index, offset_index_at), (&time_index, time_index_at)] {
            if file.length()? > at {
                file.set_len(at)?;
            }
        }
        self.open = Some(OpenSegment {
            log,
            offset_index,
            time_index,
            // The largest timestamp so far is either noted already or is noted late, for the offset before the next batch:
            // a hint that begins the search too early is still right.
            entries: IndexEntries::after(last_time),
            offset_index_at,
            time_index_at,
            buffer: Vec::new(),
            aborted: Vec::new(),
            since_entry: 0,
            max_timestamp_relative: relative(segment.base, next.base_offset).saturating_sub(1),
        });
        Ok(())
    }

    /// Writes out the open segment. Its indexes are synced only when it is complete; until then they can be rebuilt.
    fn leave(&mut self, complete: bool) -> io::Result<()> {
        let (Some(mut open), Some(segment)) = (self.open.take(), self.segments.last_mut()) else { return Ok(()) };
        if complete {
            open.entries.time(segment.max_timestamp, open.max_timestamp_relative);
        }
        open.write_buffer(segment.bytes)?;
        write_all_at(open.offset_index.as_ref(), &open.entries.offsets, open.offset_index_at)?;
        write_all_at(open.time_index.as_ref(), &open.entries.times, open.time_index_at)?;
        if !open.aborted.is_empty() {
            let suffix = if segment.swapping { SWAP_SUFFIX } else { "" };
            let path = self.dir.join(file_name(segment.base, "txnindex") + suffix);
            // What follows the entries that are listed is the rest of something that was never listed.
            let listed = u64::from(segment.aborted) * ENTRY_BYTES as u64;
            let file = self.vfs.open(&path, if listed == 0 { Open::Create } else { Open::Write })?;
            if file.length()? > listed {
                file.set_len(listed)?;
            }
            write_all_at(file.as_ref(), &open.aborted, listed)?;
            segment.aborted += u32::try_from(open.aborted.len() / ENTRY_BYTES).unwrap_or(0);
            segment.aborted_crc = crc32c::crc32c_append(segment.aborted_crc, &open.aborted);
            self.touched.dir |= listed == 0;
            self.touched.files.push(file);
        }
        self.touched.files.push(open.log);
        if complete {
            self.touched.files.extend([open.offset_index, open.time_index]);
        }
        Ok(())
    }
}

impl OpenSegment {
    /// Writes the buffer so that it ends at `end`.
    fn write_buffer(&mut self, end: u64) -> io::Result<()> {
        write_all_at(self.log.as_ref(), &self.buffer, end - self.buffer.len() as u64)?;
        self.buffer.clear();
        Ok(())
    }
}

fn relative(base: i64, offset: i64) -> u32 {
    u32::try_from(offset - base).unwrap_or(u32::MAX)
}
