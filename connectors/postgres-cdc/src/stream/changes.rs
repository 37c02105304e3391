//! One change of a transaction: counted, filtered, and written as the records it makes.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Start, Transaction};
use crate::config::Settings;
use crate::envelope::{Operation, Origin, Writer};
use crate::error::Error;
use crate::offset::{Event, Position};
use crate::schema::Table;
use crate::wire::{Cells, Cursor, OldTuple, read_delete, read_update};

/// What a change needs to become records.
pub(super) struct Changes<'a> {
    pub(super) settings: &'a Settings,
    pub(super) writer: &'a mut Writer,
    pub(super) tables: &'a HashMap<u32, Option<Arc<Table>>>,
    pub(super) start: &'a mut Start,
    pub(super) position: &'a mut Position,
    pub(super) event: &'a mut Event,
    pub(super) last_commit: Option<u64>,
    pub(super) lsn: u64,
    pub(super) old: &'a mut Cells,
    pub(super) new: &'a mut Cells,
}

impl<'a> Changes<'a> {
    /// Counts a change; answers whether it is to be delivered.
    #[inline]
    pub(super) fn counts(&mut self, open: &mut Transaction) -> bool {
        open.ordinal += 1;
        let place = Position { lsn: open.commit_lsn, ordinal: open.ordinal };
        if place <= *self.position {
            return false;
        }
        *self.position = place;
        if let Some((xid, through)) = self.start.taken_over
            && xid == u64::from(open.xid)
        {
            if self.lsn >= through {
                self.start.taken_over = None;
            }
            return false;
        }
        true
    }

    #[inline]
    pub(super) fn table(&self, oid: u32) -> Result<Option<&'a Arc<Table>>, Error> {
        let known = self.tables.get(&oid).ok_or(Error::Protocol("a change of a table that was not described"))?;
        Ok(known.as_ref())
    }

    #[inline]
    pub(super) fn origin<'b>(&mut self, open: &'b Transaction, kind: &'static str) -> Origin<'b> {
        *self.event = Event { lsn: self.lsn, xid: open.xid.into(), ts_us: open.ts_us, kind };
        Origin {
            ts_us: open.ts_us,
            snapshot: "false",
            last_commit: self.last_commit,
            lsn: self.lsn,
            xid: open.xid.into(),
            upstream: open.upstream.as_ref().map(|(name, lsn)| (name.as_str(), *lsn)),
        }
    }

    pub(super) fn insert(&mut self, open: &mut Transaction, oid: u32, mut cursor: Cursor<'_>) -> Result<(), Error> {
        let (true, Some(table)) = (self.counts(open), self.table(oid)?) else { return Ok(()) };
        if self.settings.skipped.creates {
            return Ok(());
        }
        let origin = self.origin(open, "INSERT");
        self.new.read_tuple(&mut cursor)?;
        self.writer.change(table, Operation::Create, None, (self.new, cursor.whole()), &origin)
    }

    pub(super) fn update(&mut self, open: &mut Transaction, oid: u32, mut cursor: Cursor<'_>) -> Result<(), Error> {
        let (true, Some(table)) = (self.counts(open), self.table(oid)?) else { return Ok(()) };
        if self.settings.skipped.updates {
            return Ok(());
        }
        let origin = self.origin(open, "UPDATE");
        let kind = read_update(&mut cursor, self.old, self.new)?;
        let bytes = cursor.whole();
        let (old, new) = (&*self.old, &*self.new);
        if kind != OldTuple::Absent && table.key_differs(old, new, bytes) {
            return self.writer.change_key(table, (old, bytes), (new, bytes), &origin);
        }
        let before = (kind != OldTuple::Absent).then_some((old, bytes));
        self.writer.change(table, Operation::Update, before, (new, bytes), &origin)
    }

    pub(super) fn delete(&mut self, open: &mut Transaction, oid: u32, mut cursor: Cursor<'_>) -> Result<(), Error> {
        let (true, Some(table)) = (self.counts(open), self.table(oid)?) else { return Ok(()) };
        if self.settings.skipped.deletes {
            return Ok(());
        }
        let origin = self.origin(open, "DELETE");
        read_delete(&mut cursor, self.old)?;
        self.writer.delete(table, (self.old, cursor.whole()), &origin)
    }

    pub(super) fn truncate(&mut self, open: &mut Transaction, oids: &[u32]) -> Result<(), Error> {
        for oid in oids {
            let (true, Some(table)) = (self.counts(open), self.table(*oid)?) else { continue };
            if !self.settings.skipped.truncates {
                let origin = self.origin(open, "TRUNCATE");
                self.writer.truncate(table, &origin)?;
            }
        }
        Ok(())
    }
}
