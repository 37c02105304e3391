//! Reads back what was kept of a transaction: the blocks of its scratch file first, then those in memory, one at a time.

use super::buffer::{BLOCK_HEAD, ENTRY_HEAD, Spilled, checksum};
use crate::error::Error;
use crate::scratch::ScratchError;

/// How much is read from the file at once: about a block.
const READ_BYTES: usize = 256 << 10;

/// A message as it was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stream) struct Entry<'a> {
    /// The transaction or subtransaction that it belongs to.
    pub(in crate::stream) xid: u32,
    /// Its place in the log.
    pub(in crate::stream) lsn: u64,
    /// Its kind and body, as an unstreamed transaction would have them.
    pub(in crate::stream) message: &'a [u8],
}

/// Everything that was kept of a transaction, to be read once.
pub(in crate::stream) struct Entries {
    spilled: Option<Spilled>,
    /// How far the file is read.
    read: u64,
    blocks: std::vec::IntoIter<Vec<u8>>,
    /// What is being read: of the file perhaps more than one block, of memory exactly one.
    bytes: Vec<u8>,
    /// Where in it the next entry stands, and where its block ends.
    at: usize,
    end: usize,
}

impl Entries {
    pub(super) fn new(spilled: Option<Spilled>, blocks: Vec<Vec<u8>>) -> Self {
        Self { spilled, read: 0, blocks: blocks.into_iter(), bytes: Vec::new(), at: 0, end: 0 }
    }

    /// The next message, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read, or is not as it was written.
    #[inline]
    pub(in crate::stream) fn next(&mut self) -> Result<Option<Entry<'_>>, Error> {
        while self.at >= self.end {
            if !self.next_block()? {
                return Ok(None);
            }
        }
        let block = self.bytes.get(self.at..self.end).unwrap_or_default();
        let Some((head, rest)) = block.split_first_chunk::<ENTRY_HEAD>() else { return Err(UNREADABLE) };
        let [a, b, c, d, lsn @ .., e, f, g, h] = *head;
        let length = u32::from_le_bytes([e, f, g, h]) as usize;
        let message = rest.get(..length).ok_or(UNREADABLE)?;
        self.at += ENTRY_HEAD + length;
        Ok(Some(Entry { xid: u32::from_le_bytes([a, b, c, d]), lsn: u64::from_le_bytes(lsn), message }))
    }

    #[cold]
    fn next_block(&mut self) -> Result<bool, Error> {
        if let Some(spilled) = &self.spilled {
            // What is read and not consumed stands before the place up to which the file is read.
            let place = self.read - (self.bytes.len() - self.end) as u64;
            if place < spilled.bytes {
                self.spilled_block(place)?;
                return Ok(true);
            }
            // The file is read whole, and goes.
            self.spilled = None;
        }
        let Some(block) = self.blocks.next() else {
            self.bytes = Vec::new();
            (self.at, self.end) = (0, 0);
            return Ok(false);
        };
        (self.at, self.end) = (BLOCK_HEAD, block.len());
        self.bytes = block;
        Ok(true)
    }

    /// Makes the block at `place` of the file the one that is read, if it is sound.
    fn spilled_block(&mut self, place: u64) -> Result<(), Error> {
        self.bytes.drain(..self.end);
        (self.at, self.end) = (0, 0);
        self.fill(BLOCK_HEAD, place)?;
        let Some(&[a, b, c, d, e, f, g, h]) = self.bytes.first_chunk::<BLOCK_HEAD>() else { return Err(UNREADABLE) };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let end = BLOCK_HEAD.saturating_add(length);
        if self.spilled.as_ref().is_none_or(|spilled| place.saturating_add(end as u64) > spilled.bytes) {
            return Err(ScratchError::Damaged(place).into());
        }
        self.fill(end, place)?;
        let entries = self.bytes.get(BLOCK_HEAD..end).unwrap_or_default();
        if checksum(place, entries) != u32::from_le_bytes([e, f, g, h]) {
            return Err(ScratchError::Damaged(place).into());
        }
        (self.at, self.end) = (BLOCK_HEAD, end);
        Ok(())
    }

    /// Reads on in the file until so many bytes are there.
    fn fill(&mut self, count: usize, place: u64) -> Result<(), Error> {
        let Some(spilled) = &mut self.spilled else { return Err(UNREADABLE) };
        while self.bytes.len() < count {
            let max = u32::try_from((count - self.bytes.len()).max(READ_BYTES)).unwrap_or(u32::MAX);
            let more = spilled.file.read(self.read, max)?;
            if more.is_empty() {
                return Err(ScratchError::Damaged(place).into());
            }
            self.read += more.len() as u64;
            if self.bytes.is_empty() {
                self.bytes = more;
            } else {
                self.bytes.extend_from_slice(&more);
            }
        }
        Ok(())
    }
}

/// A block whose checksum fits holds entries as they were written, so that this is never seen.
const UNREADABLE: Error = Error::Protocol("a block of a streamed transaction that ends early");
