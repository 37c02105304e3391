//! What can still be read of a segment that is damaged: every batch that matches its checksum and is in its place, wherever it lies.
//!
//! Behind a batch that is not sound the next one is looked for, first where its length says that it ends, then at every byte. What
//! lies between is lost, with the offsets that are missing then. On the way the indexes are held against the batches.

use std::ops::Range;

use bytes::Bytes;

use super::index::IndexAudit;
use super::read::{SegmentReader, Window};
use crate::codec::{BatchHeader, Damaged, HEADER_BYTES};
use crate::error::Error;

/// A batch with its head.
type Found = (BatchHeader, Bytes);

const OUT_OF_PLACE: Damaged = Damaged("a batch is out of place");

/// A stretch of a segment that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Where it lies.
    pub(crate) bytes: Range<u64>,
    /// What is missing with it.
    pub(crate) offsets: Range<i64>,
    pub(crate) reason: String,
}

/// What is left of a segment.
#[derive(Debug, Default)]
pub(crate) struct Salvage {
    pub(crate) batches: u64,
    pub(crate) records: u64,
    /// Bytes of batches that are sound.
    pub(crate) bytes: u64,
    pub(crate) lost: Vec<Lost>,
    /// The offset after the last of them.
    pub(crate) next: i64,
    /// Derived files that are missing or do not say what the batches say, by what their names end with.
    pub(crate) wrong_indexes: Vec<&'static str>,
}

impl SegmentReader<'_> {
    /// Expects no more than the file has; how much of the segment that is.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn shorten(&mut self) -> Result<u64, Error> {
        let length = self.log.length();
        let length = length.map_err(|error| Error::io(format!("reading {}", self.path("log").display()), error))?;
        self.point.bytes = self.point.bytes.min(length);
        Ok(self.point.bytes)
    }

    /// Hands every sound batch to `each`, in order. `complete` says that nothing more is appended to the segment.
    ///
    /// # Errors
    /// The disk's, or what `each` returns. Damage is none.
    pub(crate) fn salvage(
        &self,
        complete: bool,
        mut each: impl FnMut(&BatchHeader, &[u8]) -> Result<(), Error>,
    ) -> Result<Salvage, Error> {
        let (offsets, times) = (self.derived("index"), self.derived("timeindex"));
        let mut audit = IndexAudit::new(offsets.as_deref().unwrap_or_default(), times.as_deref().unwrap_or_default());
        let mut salvage = Salvage::default();
        let mut window = Window::default();
        let (mut position, mut next) = (0, self.point.base);
        while position < self.point.bytes {
            let found = match self.sound(&mut window, position, next)? {
                Ok(found) => {
                    let missing = next..found.0.base_offset;
                    if !missing.is_empty() && !self.gaps {
                        let reason = format!("byte {position}: records are missing before it");
                        salvage.lost.push(Lost { bytes: position..position, offsets: missing, reason });
                    }
                    Some((position, found))
                }
                Err(damage) => {
                    let found = self.next_sound(&mut window, position, next)?;
                    let bytes = position..found.as_ref().map_or(self.point.bytes, |(at, _)| *at);
                    let offsets = next..found.as_ref().map_or(self.end, |(_, (header, _))| header.base_offset);
                    salvage.lost.push(Lost { bytes, offsets, reason: format!("byte {position}: {damage}") });
                    found
                }
            };
            let Some((at, (header, batch))) = found else {
                next = self.end;
                break;
            };
            let relative = u32::try_from(header.last_offset() - self.point.base).unwrap_or(u32::MAX);
            audit.batch(relative, header.max_timestamp, at);
            each(&header, &batch)?;
            salvage.batches += 1;
            salvage.records += u64::from(header.records.unsigned_abs());
            salvage.bytes += header.bytes as u64;
            (position, next) = (at + header.bytes as u64, header.next_offset());
        }
        if next != self.end && !self.gaps {
            let reason = "its records end too early".to_owned();
            salvage.lost.push(Lost { bytes: position..position, offsets: next..self.end, reason });
        }
        salvage.next = next;
        audit.end();
        // Those of a segment that is written to are not synced; what is wrong in them goes when it is opened to be written.
        let sound = [
            ("index", offsets.is_some() && (audit.offsets_sound || !complete)),
            ("timeindex", times.is_some() && (audit.times_sound || !complete)),
        ];
        salvage.wrong_indexes.extend(sound.iter().filter(|(_, sound)| !sound).map(|(extension, _)| *extension));
        Ok(salvage)
    }

    /// The batch at a position, if one that is whole and comes at or after `next` lies there.
    ///
    /// Its base offset lies outside of its checksum. One that leaves a gap must end before the batch behind it begins: of two that
    /// contradict each other so, the first is wrong.
    fn sound(&self, window: &mut Window, position: u64, next: i64) -> Result<Result<Found, Damaged>, Error> {
        let batch = match self.whole_at(window, position)? {
            Ok(batch) => batch,
            Err(damage) => return Ok(Err(damage)),
        };
        let header = &batch.0;
        if header.base_offset < next || header.next_offset() > self.end {
            return Ok(Err(OUT_OF_PLACE));
        }
        if header.base_offset > next
            && let Ok((behind, _)) = self.whole_at(window, position + header.bytes as u64)?
            && (next..header.next_offset()).contains(&behind.base_offset)
        {
            return Ok(Err(OUT_OF_PLACE));
        }
        Ok(Ok(batch))
    }

    /// The batch at a position, if one that matches its checksum lies there.
    fn whole_at(&self, window: &mut Window, position: u64) -> Result<Result<Found, Damaged>, Error> {
        let head = window.get(self, position, HEADER_BYTES, 0)?;
        let header = match BatchHeader::parse(&head) {
            Ok(header) if header.bytes as u64 <= self.point.bytes.saturating_sub(position) => header,
            Ok(_) => return Ok(Err(Damaged("a batch ends behind the segment"))),
            Err(damage) => return Ok(Err(damage)),
        };
        let batch = window.get(self, position, header.bytes, 0)?;
        Ok(BatchHeader::verify(&batch).map(|header| (header, batch)))
    }

    /// The first sound batch behind one that is damaged, and where it lies.
    fn next_sound(&self, window: &mut Window, damaged: u64, next: i64) -> Result<Option<(u64, Found)>, Error> {
        let head = window.get(self, damaged, HEADER_BYTES, 0)?;
        let by_length = BatchHeader::parse(&head).ok().map(|header| damaged + header.bytes as u64);
        for position in by_length.into_iter().chain(damaged + 1..self.point.bytes) {
            // Most bytes are no head of a batch; whatever looks like one is held against its checksum.
            if let Ok(found) = self.sound(window, position, next)? {
                return Ok(Some((position, found)));
            }
        }
        Ok(None)
    }
}
