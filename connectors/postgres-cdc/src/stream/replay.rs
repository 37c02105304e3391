//! A streamed transaction that is committed: what was kept of it goes the way of any other, batch by batch.
//!
//! Its own descriptions of tables count from where they stand in it, as the server takes them to. A table that was described
//! anew while the transaction was open is put back to that when it is through. What was undone is left out and not counted, so
//! that positions are those of a transaction that the server sends whole.

use std::collections::HashMap;

use super::changes::Changes;
use super::open::{Buffer, Entries, Xids};
use super::tables::{Described, Tables};
use super::{Limits, Stream};
use crate::catalog::Catalog;
use crate::config::Settings;
use crate::envelope::Writer;
use crate::error::Error;
use crate::wire::Message;

/// The server is told of us after so many messages at the latest, though none of them may make a record.
const MESSAGES_MAX: usize = 4096;

/// A transaction on its way.
pub(super) struct Replay {
    entries: Entries,
    aborted: Xids,
    /// Tables that another transaction described later, as it did.
    later: Vec<(u32, Described)>,
    end_lsn: u64,
    /// The transaction of the last entry, and whether it was undone.
    last: (u32, bool),
}

impl Replay {
    /// Begins with what is kept. `described` says when each of `tables` was described.
    pub(super) fn new(mut buffer: Buffer, end_lsn: u64, tables: &Tables, described: &mut HashMap<u32, u64>) -> Self {
        let mut later = Vec::new();
        for (oid, place) in std::mem::take(&mut buffer.described) {
            if described.get(&oid).is_some_and(|last| *last > place) {
                later.extend(tables.described(oid).map(|described| (oid, described)));
            } else {
                described.insert(oid, place);
            }
        }
        let aborted = std::mem::take(&mut buffer.aborted);
        Self { aborted, entries: buffer.into_entries(), later, end_lsn, last: (0, false) }
    }
}

impl Stream {
    /// Goes on with the transaction that is on its way, if there is one.
    pub(super) fn replay(
        &mut self,
        writer: &mut Writer,
        catalog: &mut Catalog,
        settings: &Settings,
        limits: Limits,
    ) -> Result<(), Error> {
        let (Some(replay), Some(open)) = (&mut self.replay, &mut self.transaction) else { return Ok(()) };
        let Replay { entries, aborted, last, .. } = replay;
        for _ in 0..MESSAGES_MAX {
            if limits.are_met_by(writer) {
                return Ok(());
            }
            let Some(entry) = entries.next()? else {
                self.end_replay(writer);
                return Ok(());
            };
            if entry.xid != last.0 {
                *last = (entry.xid, aborted.contains(entry.xid));
            }
            let message = Message::read(entry.message)?;
            // A table stays as it was described, whatever became of the change that it was described for.
            if let Message::Relation(relation) = &message {
                self.tables.describe(relation, catalog, settings)?;
                continue;
            }
            if last.1 {
                continue;
            }
            let mut changes = Changes {
                settings,
                writer,
                tables: &mut self.tables,
                catalog,
                start: &mut self.start,
                position: &mut self.position,
                event: &mut self.event,
                last_commit: self.last_commit,
                lsn: entry.lsn,
                old: &mut self.old,
                new: &mut self.new,
            };
            changes.take_in(message, open)?;
        }
        Ok(())
    }

    fn end_replay(&mut self, writer: &Writer) {
        let Some(replay) = self.replay.take() else { return };
        for (oid, described) in replay.later {
            self.tables.put_back(oid, described);
        }
        self.end(replay.end_lsn, writer);
    }
}
