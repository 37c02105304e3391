//! What arrives: messages of whole transactions are written as records at once, those of open ones are kept.

use super::changes::Changes;
use super::replay::Replay;
use super::{Stream, Transaction};
use crate::catalog::Catalog;
use crate::config::Settings;
use crate::envelope::Writer;
use crate::error::Error;
use crate::offset::{Event, Position};
use crate::wire::{Frame, Message, POSTGRES_EPOCH_US, Replication, read_replication};

impl Stream {
    #[inline]
    pub(super) fn take_in(
        &mut self,
        frame: &Frame,
        writer: &mut Writer,
        catalog: &mut Catalog,
        settings: &Settings,
    ) -> Result<(), Error> {
        match frame.tag {
            b'd' => {}
            b'E' => return Err(self.connection.server_error(frame)),
            // The server ends the stream when it shuts down.
            b'c' | b'C' | b'Z' => return Err(Error::Closed),
            _ => return Ok(()),
        }
        let (lsn, message) = match read_replication(self.connection.body(frame))? {
            Replication::Data { lsn, message } => (lsn, message),
            Replication::Keepalive { wal_end, reply } => {
                self.keepalive(wal_end, reply);
                return Ok(());
            }
        };
        self.received = self.received.max(lsn);
        if self.open.is_in_block() {
            return self.open.take_in(lsn, message);
        }
        let message = Message::read(message)?;
        if let Message::Relation(relation) = &message {
            self.described.insert(relation.oid, self.open.describe());
            return self.tables.describe(relation, catalog, settings);
        }
        let is_alone = matches!(message, Message::Logical { transactional: false, .. });
        if is_alone && self.start.until.is_some_and(|until| lsn > until) {
            self.reached = true;
            return Ok(());
        }
        if is_alone || self.transaction.is_some() {
            let mut changes = Changes {
                settings,
                writer: &mut *writer,
                tables: &mut self.tables,
                catalog,
                start: &mut self.start,
                position: &mut self.position,
                event: &mut self.event,
                last_commit: self.last_commit,
                lsn,
                old: &mut self.old,
                new: &mut self.new,
            };
            match (message, &mut self.transaction) {
                (Message::Commit { end_lsn }, Some(open)) => {
                    changes.end(open, end_lsn);
                    self.end(end_lsn, writer);
                }
                (Message::Logical { transactional: false, prefix, content }, None) => {
                    // A message outside of transactions is complete in itself: what follows counts from it.
                    if changes.message(None, prefix, content, self.clock.now_ms() * 1000) {
                        self.last_commit = Some(lsn);
                    }
                }
                (message, Some(open)) => changes.take_in(message, open)?,
                (_, None) => {}
            }
            return Ok(());
        }
        match message {
            Message::Begin { commit_lsn, commit_us, xid } => {
                self.begin(Transaction::new(xid, lsn, commit_lsn, commit_us));
            }
            Message::StreamStart { xid, is_first } => self.open.start(xid, is_first)?,
            Message::StreamAbort { xid, subxid } => self.open.abort(xid, subxid)?,
            Message::StreamCommit { xid, commit_lsn, end_lsn, commit_us } => {
                let mut buffer = self.open.commit(xid)?;
                if buffer.is_ambiguous() {
                    return Err(Error::Unstreamable { end_lsn });
                }
                let mut transaction = Transaction::new(xid, lsn, commit_lsn, commit_us);
                // Where the commit stands there, the server tells only with transactions that it sends whole.
                transaction.upstream = buffer.upstream.take().map(|name| (name, None));
                if self.begin(transaction) {
                    self.replay = Some(Replay::new(buffer, end_lsn, &self.tables, &mut self.described));
                }
            }
            Message::Type => {}
            _ => return Err(Error::Protocol("a change outside of a transaction")),
        }
        Ok(())
    }

    /// A transaction that is committed begins; answers whether it is still to be read.
    fn begin(&mut self, transaction: Transaction) -> bool {
        self.reached = self.start.until.is_some_and(|until| transaction.commit_lsn >= until);
        if !self.reached {
            self.transaction = Some(transaction);
        }
        !self.reached
    }

    /// The transaction ends.
    pub(super) fn end(&mut self, end_lsn: u64, writer: &Writer) {
        let Some(ended) = self.transaction.take() else { return };
        self.position = Position { lsn: end_lsn, ordinal: 0 }.max(self.position);
        self.received = self.received.max(end_lsn);
        if ended.ordinal == 0 {
            // Whether the server sends word of a transaction that changed nothing depends on how it sends transactions.
            return;
        }
        let last = writer.len().checked_sub(1).and_then(|last| u32::try_from(last).ok());
        // A transaction without records in this batch ends where another did already.
        self.is_end_due = last.is_none();
        self.ends.extend(last.filter(|last| self.ends.last() != Some(last)));
        self.event = Event { lsn: end_lsn, xid: ended.xid.into(), ts_us: ended.ts_us, kind: "COMMIT" };
        self.last_commit = Some(end_lsn);
    }
}

impl Transaction {
    fn new(xid: u32, begin_lsn: u64, commit_lsn: u64, commit_us: i64) -> Self {
        Self { begin_lsn, commit_lsn, ts_us: commit_us + POSTGRES_EPOCH_US, xid, ordinal: 0, upstream: None }
    }
}
