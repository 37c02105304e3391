//! Transactions that the server sends while they are still open: kept in memory up to a limit over all of them, beyond it in
//! scratch files, until their commit or abort is known.
//!
//! ```text
//! start(x) message … stop   start(y) message … stop   start(x) … stop   abort(y)   commit(x)
//!          └─ kept with x ─┘         └─ kept with y ─┘                    y is gone  x is read back, in its order
//! ```
//!
//! Blocks of different transactions alternate, one at a time. When the limit is passed, the transaction that holds the most
//! is written out. Nothing here understands a message beyond its kind, its transaction and the table it describes.

mod buffer;
mod entries;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::Error;
use crate::network::Host;
use crate::scratch::ScratchError;
use crate::wire::Streamed;

pub(super) use buffer::{Buffer, Xids};
pub(super) use entries::Entries;

/// More transactions than this are not spilled at the same time: each holds a file.
const FILES_MAX: usize = 64;

/// What happened since it was last asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) spilled_bytes: u64,
    pub(super) transactions: u64,
    pub(super) aborted: u64,
    pub(super) subtransactions_aborted: u64,
}

/// All transactions that are open.
pub(super) struct Open {
    host: Arc<dyn Host>,
    bytes_max: usize,
    /// The one whose block is being read.
    current: Option<(u32, Buffer)>,
    others: HashMap<u32, Buffer>,
    bytes: usize,
    descriptions: u64,
    pub(super) counts: Counts,
}

impl Open {
    /// None yet; they may hold so many bytes of memory.
    pub(super) fn new(host: Arc<dyn Host>, bytes_max: usize) -> Self {
        Self {
            host,
            bytes_max,
            current: None,
            others: HashMap::new(),
            bytes: 0,
            descriptions: 0,
            counts: Counts::default(),
        }
    }

    /// Bytes of memory that they hold.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a block is being read.
    #[inline]
    pub(super) fn is_in_block(&self) -> bool {
        self.current.is_some()
    }

    /// The place of a description among all descriptions of tables that came.
    pub(super) fn describe(&mut self) -> u64 {
        self.descriptions += 1;
        self.descriptions
    }

    /// A block of a transaction begins.
    ///
    /// # Errors
    /// When another has not ended, or what came before of this one is not here.
    pub(super) fn start(&mut self, xid: u32, is_first: bool) -> Result<(), Error> {
        let before = self.others.remove(&xid);
        if self.current.is_some() || before.is_some() == is_first {
            return Err(Error::Protocol("a block of a streamed transaction out of its order"));
        }
        self.current = Some((xid, before.unwrap_or_default()));
        Ok(())
    }

    /// Keeps a message of the block, or ends it.
    ///
    /// # Errors
    /// When there is no block, or no space.
    #[inline]
    pub(super) fn take_in(&mut self, lsn: u64, message: &[u8]) -> Result<(), Error> {
        let Some((_, buffer)) = &mut self.current else { return Err(OUTSIDE) };
        match Streamed::read(message)? {
            Streamed::Change { xid, kind, rest } => {
                self.bytes += buffer.push(xid, lsn, kind, rest);
            }
            Streamed::Relation { xid, oid, rest } => {
                self.descriptions += 1;
                self.bytes += buffer.push(xid, lsn, b'R', rest);
                self.bytes += buffer.describe(oid, self.descriptions);
            }
            Streamed::Origin { name } => buffer.upstream = Some(name.to_owned()),
            Streamed::Stop => {
                self.others.extend(self.current.take());
            }
        }
        if self.bytes > self.bytes_max { self.make_room() } else { Ok(()) }
    }

    /// A transaction, or one of its subtransactions, is undone.
    ///
    /// # Errors
    /// When a block is being read, or no space is left to remember it.
    pub(super) fn abort(&mut self, xid: u32, subxid: u32) -> Result<(), Error> {
        if self.current.is_some() {
            return Err(Error::Protocol("an abort inside of a block"));
        }
        if xid == subxid {
            if let Some(buffer) = self.others.remove(&xid) {
                self.bytes -= buffer.bytes();
                self.counts.aborted += 1;
            }
            return Ok(());
        }
        // A transaction whose changes are all left out by the publication is not known here.
        if let Some(buffer) = self.others.get_mut(&xid) {
            self.bytes += buffer.abort(subxid);
            self.counts.subtransactions_aborted += 1;
        }
        if self.bytes > self.bytes_max { self.make_room() } else { Ok(()) }
    }

    /// A transaction is committed: hands out what is kept of it.
    ///
    /// # Errors
    /// When nothing is known of it.
    pub(super) fn commit(&mut self, xid: u32) -> Result<Buffer, Error> {
        let buffer = self.others.remove(&xid).filter(|_| self.current.is_none());
        let buffer = buffer.ok_or(Error::Protocol("the commit of a transaction that was not streamed"))?;
        self.bytes -= buffer.bytes();
        self.counts.transactions += 1;
        Ok(buffer)
    }

    /// Spills the largest until the rest is within the limit.
    #[cold]
    fn make_room(&mut self) -> Result<(), Error> {
        while self.bytes > self.bytes_max {
            let files = self.buffers().filter(|buffer| buffer.is_spilled()).count();
            let all = self.current.iter_mut().map(|(_, buffer)| buffer).chain(self.others.values_mut());
            let Some(largest) = all.max_by_key(|buffer| buffer.spillable()).filter(|one| one.spillable() > 0) else {
                let text = format!("what must be known of open transactions exceeds {} bytes", self.bytes_max);
                return Err(ScratchError::Full(text).into());
            };
            if !largest.is_spilled() && files >= FILES_MAX {
                return Err(ScratchError::Full(format!("more than {FILES_MAX} large transactions are open")).into());
            }
            let before = largest.bytes();
            self.counts.spilled_bytes += largest.spill(self.host.as_ref())?;
            self.bytes -= before - largest.bytes();
        }
        Ok(())
    }

    fn buffers(&self) -> impl Iterator<Item = &Buffer> {
        self.current.iter().map(|(_, buffer)| buffer).chain(self.others.values())
    }
}

const OUTSIDE: Error = Error::Protocol("a streamed change outside of a block");
