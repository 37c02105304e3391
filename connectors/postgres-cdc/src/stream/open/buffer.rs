//! What is kept of one transaction: its messages in blocks, the older ones in a scratch file, and what was undone of it.
//!
//! ```text
//! block   length of the entries  u32 │ CRC-32C of place and entries  u32 │ entries …
//! entry   transaction  u32 │ place in the log  u64 │ length  u32 │ kind of message  u8 │ its body
//! ```
//!
//! A block has the same bytes in memory and in the file, so that spilling is one write a block. Its place in the file goes
//! into the checksum: a block that stands where another belongs is found out too.

use std::collections::{BTreeMap, HashMap};

use super::entries::Entries;
use crate::network::Host;
use crate::scratch::{ScratchError, ScratchFile};

/// A block is not made larger than this, unless a single message is.
const BLOCK_BYTES: usize = 256 << 10;
/// A block begins with room for so much, as many transactions are not that large after all.
const BLOCK_BYTES_FIRST: usize = 8 << 10;
pub(super) const BLOCK_HEAD: usize = 8;
pub(super) const ENTRY_HEAD: usize = 16;
/// What remembering a range of transactions or a table costs, roughly.
const INDEX_BYTES: usize = 64;

/// Blocks in a scratch file.
pub(super) struct Spilled {
    pub(super) file: Box<dyn ScratchFile>,
    pub(super) bytes: u64,
}

/// What is kept of a transaction.
#[derive(Default)]
pub(in crate::stream) struct Buffer {
    spilled: Option<Spilled>,
    /// The blocks after those that are spilled.
    blocks: Vec<Vec<u8>>,
    /// Memory of the blocks.
    block_bytes: usize,
    /// The most memory that the ranges of what was undone have taken.
    undone_bytes: usize,
    /// When each table was last described, counted in all descriptions.
    pub(in crate::stream) described: HashMap<u32, u64>,
    pub(in crate::stream) aborted: Xids,
    /// The origin's name, on a server that is itself a replica.
    pub(in crate::stream) upstream: Option<String>,
    has_messages: bool,
}

impl Buffer {
    /// Keeps a message; answers how many bytes of memory that took.
    #[inline]
    pub(super) fn push(&mut self, xid: u32, lsn: u64, kind: u8, rest: &[u8]) -> usize {
        self.has_messages |= kind == b'M';
        let size = ENTRY_HEAD + 1 + rest.len();
        let mut grown = 0;
        if self.blocks.last().is_none_or(|block| block.len() + size > BLOCK_BYTES) {
            let mut block = Vec::with_capacity(if self.blocks.is_empty() { BLOCK_BYTES_FIRST } else { BLOCK_BYTES });
            block.extend_from_slice(&[0; BLOCK_HEAD]);
            grown += block.capacity();
            self.blocks.push(block);
        }
        let Some(block) = self.blocks.last_mut() else { return 0 };
        let before = block.capacity();
        // A message has at most a gigabyte.
        let length = (rest.len() + 1) as u32;
        block.extend_from_slice(&xid.to_le_bytes());
        block.extend_from_slice(&lsn.to_le_bytes());
        block.extend_from_slice(&length.to_le_bytes());
        block.push(kind);
        block.extend_from_slice(rest);
        grown += block.capacity() - before;
        self.block_bytes += grown;
        grown
    }

    /// A table was described, as the `place`-th description of all; answers how many bytes of memory that took.
    pub(super) fn describe(&mut self, oid: u32, place: u64) -> usize {
        if self.described.insert(oid, place).is_none() { INDEX_BYTES } else { 0 }
    }

    /// A subtransaction is undone; answers how many bytes of memory that took.
    pub(super) fn abort(&mut self, subxid: u32) -> usize {
        let before = self.bytes();
        self.aborted.insert(subxid);
        self.undone_bytes = self.undone_bytes.max(self.aborted.0.len() * INDEX_BYTES);
        self.bytes() - before
    }

    /// Whether messages of applications may be among what was undone. The server says of a message only to which
    /// transaction it belongs, not to which part of it.
    pub(in crate::stream) fn is_ambiguous(&self) -> bool {
        self.has_messages && !self.aborted.0.is_empty()
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.block_bytes + self.undone_bytes + self.described.len() * INDEX_BYTES
    }

    /// Bytes of memory that spilling would set free.
    pub(super) fn spillable(&self) -> usize {
        self.block_bytes
    }

    pub(super) fn is_spilled(&self) -> bool {
        self.spilled.is_some()
    }

    /// Writes all blocks to the scratch file; answers how many bytes that were.
    pub(super) fn spill(&mut self, host: &dyn Host) -> Result<u64, ScratchError> {
        let spilled = match &mut self.spilled {
            Some(spilled) => spilled,
            none => none.insert(Spilled { file: host.scratch()?, bytes: 0 }),
        };
        let begun = spilled.bytes;
        for mut block in self.blocks.drain(..) {
            let Some((head, entries)) = block.split_at_mut_checked(BLOCK_HEAD) else { continue };
            let checksum = checksum(spilled.bytes, entries);
            let (length, rest) = head.split_at_mut(4);
            length.copy_from_slice(&(entries.len() as u32).to_le_bytes());
            rest.copy_from_slice(&checksum.to_le_bytes());
            spilled.file.append(&block)?;
            spilled.bytes += block.len() as u64;
        }
        self.block_bytes = 0;
        Ok(spilled.bytes - begun)
    }

    /// Everything that is kept, in its order.
    pub(in crate::stream) fn into_entries(self) -> Entries {
        Entries::new(self.spilled, self.blocks)
    }
}

/// The checksum of a block that stands at `place`.
pub(super) fn checksum(place: u64, entries: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&place.to_le_bytes()), entries)
}

/// A set of transactions, kept as ranges: what is undone together has numbers that follow each other.
#[derive(Debug, Default)]
pub(in crate::stream) struct Xids(BTreeMap<u32, u32>);

impl Xids {
    fn insert(&mut self, xid: u32) {
        if self.contains(xid) {
            return;
        }
        let end = xid.checked_add(1).and_then(|next| self.0.remove(&next)).unwrap_or(xid);
        let before = self.0.range_mut(..xid).next_back().filter(|(_, last)| **last + 1 == xid);
        match before {
            Some((_, last)) => *last = end,
            None => {
                self.0.insert(xid, end);
            }
        }
    }

    /// Whether it is one of them.
    pub(in crate::stream) fn contains(&self, xid: u32) -> bool {
        self.0.range(..=xid).next_back().is_some_and(|(_, last)| *last >= xid)
    }
}
