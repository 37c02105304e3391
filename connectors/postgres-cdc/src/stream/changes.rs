//! One change of a transaction: counted, filtered, and written as the records it makes.

use std::sync::Arc;

use super::tables::Tables;
use super::{Start, Transaction};
use crate::catalog::Catalog;
use crate::config::Settings;
use crate::envelope::{LogicalMessage, Operation, Origin, Writer};
use crate::error::Error;
use crate::offset::{Event, Position};
use crate::schema::Table;
use crate::wire::{Cells, Cursor, Message, OldTuple, read_delete, read_update};

/// What a change needs to become records.
pub(super) struct Changes<'a> {
    pub(super) settings: &'a Settings,
    pub(super) writer: &'a mut Writer,
    pub(super) tables: &'a mut Tables,
    pub(super) catalog: &'a mut Catalog,
    pub(super) start: &'a mut Start,
    pub(super) position: &'a mut Position,
    pub(super) event: &'a mut Event,
    pub(super) last_commit: Option<u64>,
    pub(super) lsn: u64,
    pub(super) old: &'a mut Cells,
    pub(super) new: &'a mut Cells,
}

impl<'a> Changes<'a> {
    /// Takes in a message of the transaction, whether it arrives or was kept.
    #[inline]
    pub(super) fn take_in(&mut self, message: Message<'_>, open: &mut Transaction) -> Result<(), Error> {
        match message {
            Message::Insert(oid, cursor) => self.insert(open, oid, cursor)?,
            Message::Update(oid, cursor) => self.update(open, oid, cursor)?,
            Message::Delete(oid, cursor) => self.delete(open, oid, cursor)?,
            Message::Truncate(oids) => self.truncate(open, &oids)?,
            Message::Logical { transactional: true, prefix, content } => {
                self.message(Some(open), prefix, content, 0);
            }
            Message::Origin { lsn, name } => open.upstream = Some((name.to_owned(), Some(lsn))),
            Message::Type | Message::Logical { .. } => {}
            _ => return Err(Error::Protocol("a transaction inside of another")),
        }
        Ok(())
    }

    /// Counts a change; answers whether it is to be delivered.
    #[inline]
    fn counts(&mut self, open: &mut Transaction) -> bool {
        open.ordinal += 1;
        let place = Position { lsn: open.commit_lsn, ordinal: open.ordinal };
        if place <= *self.position {
            return false;
        }
        self.begin(open);
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

    /// Tells of the transaction's begin, unless a change of it is delivered already.
    #[inline]
    fn begin(&mut self, open: &Transaction) {
        if self.settings.transaction_topic.is_some()
            && (self.position.lsn != open.commit_lsn || self.position.ordinal == 0)
        {
            self.writer.begin_transaction(open.xid.into(), open.begin_lsn, open.ts_us);
        }
    }

    /// Tells of the transaction's end, and of its begin where it had no change.
    pub(super) fn end(&mut self, open: &Transaction, end_lsn: u64) {
        if *self.position < (Position { lsn: end_lsn, ordinal: 0 }) {
            self.begin(open);
            self.writer.end_transaction(self.lsn, open.ts_us);
        }
    }

    /// A message of an application, in its transaction or outside of any; answers whether it is a new one.
    pub(super) fn message(
        &mut self,
        open: Option<&mut Transaction>,
        prefix: &str,
        content: &[u8],
        now_us: i64,
    ) -> bool {
        let transactional = open.is_some();
        let place = Position { lsn: self.lsn, ordinal: 0 };
        let origin = match open {
            Some(open) => {
                if !self.counts(open) {
                    return false;
                }
                self.origin(open, "MESSAGE")
            }
            // It stands in the log by itself, and the server sends it again only to who stands before it.
            None if place > *self.position => {
                *self.position = place;
                *self.event = Event { lsn: self.lsn, xid: 0, ts_us: now_us, kind: "MESSAGE" };
                let (last_commit, lsn) = (Some(self.lsn), self.lsn);
                Origin { ts_us: now_us, snapshot: "false", last_commit, lsn, xid: None, upstream: None }
            }
            None => return false,
        };
        if self.settings.messages.wants(prefix) {
            let message = LogicalMessage { prefix, content, transactional };
            self.writer.message(message, &origin, self.settings.values.binary);
        }
        true
    }

    /// Whether the table is wanted.
    #[inline]
    fn is_wanted(&self, oid: u32) -> Result<bool, Error> {
        self.tables.get(oid).map(|table| table.is_some())
    }

    /// Writes a change under the table's schema, or under one that has room for its values.
    #[inline]
    fn write(
        &mut self,
        oid: u32,
        write: impl Fn(&mut Writer, &Arc<Table>, &Cells, &Cells) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut attempts = 0;
        loop {
            let Some(table) = self.tables.get(oid)? else { return Ok(()) };
            match write(self.writer, table, self.old, self.new) {
                // Room is made for one column at a time; old and new row might want other room in the same one.
                Err(Error::Misfit(misfit)) if attempts <= 3 * table.columns.len() => {
                    attempts += 1;
                    self.tables.make_room(oid, &misfit, self.catalog, self.settings)?;
                }
                written => return written,
            }
        }
    }

    #[inline]
    fn origin<'b>(&mut self, open: &'b Transaction, kind: &'static str) -> Origin<'b> {
        *self.event = Event { lsn: self.lsn, xid: open.xid.into(), ts_us: open.ts_us, kind };
        Origin {
            ts_us: open.ts_us,
            snapshot: "false",
            last_commit: self.last_commit,
            lsn: self.lsn,
            xid: Some(open.xid.into()),
            upstream: open.upstream.as_ref().map(|(name, lsn)| (name.as_str(), *lsn)),
        }
    }

    fn insert(&mut self, open: &mut Transaction, oid: u32, mut cursor: Cursor<'_>) -> Result<(), Error> {
        if !self.counts(open) || !self.is_wanted(oid)? || self.settings.skipped.creates {
            return Ok(());
        }
        let origin = self.origin(open, "INSERT");
        self.new.read_tuple(&mut cursor)?;
        let bytes = cursor.whole();
        self.write(oid, |writer, table, _, new| writer.change(table, Operation::Create, None, (new, bytes), &origin))
    }

    fn update(&mut self, open: &mut Transaction, oid: u32, mut cursor: Cursor<'_>) -> Result<(), Error> {
        if !self.counts(open) || !self.is_wanted(oid)? || self.settings.skipped.updates {
            return Ok(());
        }
        let origin = self.origin(open, "UPDATE");
        let kind = read_update(&mut cursor, self.old, self.new)?;
        let bytes = cursor.whole();
        let skip_unchanged = self.settings.skip_unchanged && kind == OldTuple::Full;
        self.write(oid, |writer, table, old, new| {
            if kind != OldTuple::Absent && table.key_differs(old, new, bytes) {
                return writer.change_key(table, (old, bytes), (new, bytes), &origin);
            }
            if skip_unchanged && table.shows_same(old, new, bytes) {
                return Ok(());
            }
            let before = (kind != OldTuple::Absent).then_some((old, bytes));
            writer.change(table, Operation::Update, before, (new, bytes), &origin)
        })
    }

    fn delete(&mut self, open: &mut Transaction, oid: u32, mut cursor: Cursor<'_>) -> Result<(), Error> {
        if !self.counts(open) || !self.is_wanted(oid)? || self.settings.skipped.deletes {
            return Ok(());
        }
        let origin = self.origin(open, "DELETE");
        read_delete(&mut cursor, self.old)?;
        let bytes = cursor.whole();
        self.write(oid, |writer, table, old, _| writer.delete(table, (old, bytes), &origin))
    }

    fn truncate(&mut self, open: &mut Transaction, oids: &[u32]) -> Result<(), Error> {
        for oid in oids {
            if self.counts(open) && self.is_wanted(*oid)? && !self.settings.skipped.truncates {
                let origin = self.origin(open, "TRUNCATE");
                self.write(*oid, |writer, table, _, _| writer.truncate(table, &origin))?;
            }
        }
        Ok(())
    }
}
