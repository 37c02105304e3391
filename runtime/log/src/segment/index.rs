//! Kafka's two indexes of a segment, as sparse hints where to begin a search.
//!
//! `.index`: last offset of a batch relative to the segment's first 4, position of that batch 4.
//! `.timeindex`: largest timestamp so far 8, relative last offset of the batch that has it 4. Both ascend.

use std::io;

use crate::vfs::{VfsFile, read_whole};

/// Bytes of an entry of `.index`.
pub(super) const OFFSET_ENTRY_BYTES: u64 = 8;
/// Bytes of an entry of `.timeindex`.
pub(super) const TIME_ENTRY_BYTES: u64 = 12;

/// Entries that wait to be appended to the indexes of one segment.
#[derive(Clone, Debug, Default)]
pub(super) struct IndexEntries {
    pub(super) offsets: Vec<u8>,
    pub(super) times: Vec<u8>,
    last_time: Option<i64>,
}

impl IndexEntries {
    pub(super) fn offset(&mut self, relative: u32, position: u32) {
        self.offsets.extend_from_slice(&relative.to_be_bytes());
        self.offsets.extend_from_slice(&position.to_be_bytes());
    }

    /// Notes the largest timestamp so far, unless it is noted already.
    pub(super) fn time(&mut self, timestamp: i64, relative: u32) {
        if self.last_time.is_none_or(|last| last < timestamp) {
            self.times.extend_from_slice(&timestamp.to_be_bytes());
            self.times.extend_from_slice(&relative.to_be_bytes());
            self.last_time = Some(timestamp);
        }
    }
}

/// The last entry at or below `relative` that points below `limit`: relative offset and position.
pub(super) fn find_offset(file: &dyn VfsFile, relative: u32, limit: u64) -> io::Result<Option<(u32, u64)>> {
    let entry = |number| {
        let bytes: [u8; OFFSET_ENTRY_BYTES as usize] = entry_at(file, number)?;
        let value = u64::from_be_bytes(bytes);
        Ok(((value >> 32) as u32, value & 0xffff_ffff))
    };
    let fits = |(offset, position): &(u32, u64)| *offset <= relative && *position < limit;
    find_last(file.length()? / OFFSET_ENTRY_BYTES, entry, fits)
}

/// The last entry at or before `timestamp`: timestamp and relative offset.
pub(super) fn find_time(file: &dyn VfsFile, timestamp: i64) -> io::Result<Option<(i64, u32)>> {
    let entry = |number| {
        let bytes: [u8; TIME_ENTRY_BYTES as usize] = entry_at(file, number)?;
        let value = i128::from_be_bytes({
            let mut wide = [0; 16];
            wide[..12].copy_from_slice(&bytes);
            wide
        });
        Ok(((value >> 64) as i64, ((value >> 32) & 0xffff_ffff) as u32))
    };
    find_last(file.length()? / TIME_ENTRY_BYTES, entry, |(time, _)| *time <= timestamp)
}

fn find_last<E>(count: u64, entry: impl Fn(u64) -> io::Result<E>, fits: impl Fn(&E) -> bool) -> io::Result<Option<E>> {
    let (mut low, mut high, mut found) = (0, count, None);
    while low < high {
        let middle = low + (high - low) / 2;
        let candidate = entry(middle)?;
        if fits(&candidate) {
            found = Some(candidate);
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(found)
}

fn entry_at<const N: usize>(file: &dyn VfsFile, number: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let read = crate::vfs::read_full_at(file, &mut bytes, number * N as u64)?;
    if read == N { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// The number of bytes of `.index` that ascend and point below `limit`; what follows is the rest of an earlier life.
pub(super) fn sound_offset_bytes(file: &dyn VfsFile, limit: u64) -> io::Result<u64> {
    let length = file.length()?;
    if length.is_multiple_of(OFFSET_ENTRY_BYTES) {
        let Some(last) = (length / OFFSET_ENTRY_BYTES).checked_sub(1) else { return Ok(0) };
        let [.., a, b, c, d] = entry_at::<8>(file, last)?;
        let position = u64::from(u32::from_be_bytes([a, b, c, d]));
        if position > 0 && position < limit {
            return Ok(length);
        }
    }
    let content = read_whole(file)?;
    let mut sound = 0;
    let mut before: Option<(u32, u32)> = None;
    for entry in content.as_chunks::<8>().0 {
        let [a, b, c, d, e, f, g, h] = *entry;
        let (offset, position) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        let ascends =
            before.is_none_or(|(last_offset, last_position)| offset > last_offset && position > last_position);
        if !ascends || u64::from(position) >= limit {
            break;
        }
        before = Some((offset, position));
        sound += OFFSET_ENTRY_BYTES;
    }
    Ok(sound)
}

/// The number of bytes of `.timeindex` whose offsets ascend and stay below `next_relative`.
pub(super) fn sound_time_bytes(file: &dyn VfsFile, next_relative: u32) -> io::Result<(u64, Option<i64>)> {
    let content = read_whole(file)?;
    let mut sound = 0;
    let mut before: Option<(i64, u32)> = None;
    for entry in content.as_chunks::<12>().0 {
        let [t @ .., a, b, c, d] = *entry;
        let (time, offset) = (i64::from_be_bytes(t), u32::from_be_bytes([a, b, c, d]));
        let ascends = before.is_none_or(|(last_time, last_offset)| time > last_time && offset >= last_offset);
        if !ascends || offset >= next_relative {
            break;
        }
        before = Some((time, offset));
        sound += TIME_ENTRY_BYTES;
    }
    Ok((sound, before.map(|(time, _)| time)))
}

/// Holds the indexes of a segment against its batches, which it is shown one after the other.
pub(super) struct IndexAudit<'a> {
    offsets: std::iter::Peekable<Entries<'a, 8>>,
    times: std::iter::Peekable<Entries<'a, 12>>,
    /// The largest timestamp so far.
    latest: i64,
    /// Whether what was seen of `.index` is sound.
    pub(super) offsets_sound: bool,
    /// Whether what was seen of `.timeindex` is.
    pub(super) times_sound: bool,
}

type Entries<'a, const N: usize> = std::iter::Copied<std::slice::Iter<'a, [u8; N]>>;

impl<'a> IndexAudit<'a> {
    pub(super) fn new(offsets: &'a [u8], times: &'a [u8]) -> Self {
        Self {
            offsets: offsets.as_chunks().0.iter().copied().peekable(),
            times: times.as_chunks().0.iter().copied().peekable(),
            latest: i64::MIN,
            offsets_sound: offsets.as_chunks::<8>().1.is_empty(),
            times_sound: times.as_chunks::<12>().1.is_empty(),
        }
    }

    /// Takes in a batch: its last offset relative to the segment's first, its largest timestamp, its position.
    pub(super) fn batch(&mut self, last: u32, timestamp: i64, position: u64) {
        let (before, latest) = (self.latest, self.latest.max(timestamp));
        while let Some([a, b, c, d, e, f, g, h]) = self.offsets.next_if(|entry| position_of(entry) <= position) {
            let right = position_of(&[a, b, c, d, e, f, g, h]) == position && u32::from_be_bytes([a, b, c, d]) == last;
            self.offsets_sound &= right;
        }
        while let Some([t @ .., a, b, c, d]) =
            self.times.next_if(|[.., a, b, c, d]| u32::from_be_bytes([*a, *b, *c, *d]) <= last)
        {
            // An entry between two batches was noted when the segment was opened again, and counts those before it.
            let expected = if u32::from_be_bytes([a, b, c, d]) == last { latest } else { before };
            self.times_sound &= i64::from_be_bytes(t) == expected;
        }
        self.latest = latest;
    }

    /// All batches have been seen: what lies beyond them is wrong.
    pub(super) fn end(&mut self) {
        self.offsets_sound &= self.offsets.peek().is_none();
        self.times_sound &= self.times.peek().is_none();
    }
}

fn position_of([.., a, b, c, d]: &[u8; 8]) -> u64 {
    u64::from(u32::from_be_bytes([*a, *b, *c, *d]))
}

impl IndexEntries {
    /// Entries that follow one with this timestamp.
    pub(super) fn after(last_time: Option<i64>) -> Self {
        Self { last_time, ..Self::default() }
    }
}
