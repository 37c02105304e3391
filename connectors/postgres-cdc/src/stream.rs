//! The stream of changes: from one position to the next, each change exactly once.
//!
//! ```text
//! Begin(commit at C) → change 1, change 2, … → Commit(end E)
//! position:            (C,1)     (C,2)          (E,0)
//! ```
//!
//! The server sends transactions in the order of their commits and, asked for position P, exactly those whose commit does
//! not stand before P. So after a restart at (C,2) it sends that transaction again and the first two changes are left out.
//! Between transactions a keepalive moves the position too: that is how an idle database's slot advances.

mod changes;
mod tables;

use std::sync::Arc;
use std::time::Duration;

use towpath_model::Clock;

use crate::catalog::Catalog;
use crate::config::Settings;
use crate::envelope::Writer;
use crate::error::Error;
use crate::offset::{Event, Position};
use crate::wire::{
    Cells, Connection, Filled, Frame, Message, POSTGRES_EPOCH_US, Replication, StandbyStatus, read_replication,
};
use changes::Changes;
use tables::Tables;

/// How much a poll may deliver.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Records.
    pub records: usize,
    /// Bytes.
    pub bytes: usize,
    /// How long to wait for the first record.
    pub wait: Duration,
}

/// The transaction being read.
#[derive(Debug)]
struct Transaction {
    begin_lsn: u64,
    commit_lsn: u64,
    ts_us: i64,
    xid: u32,
    ordinal: u64,
    upstream: Option<(String, u64)>,
}

/// Where the stream begins.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The position after which changes are wanted.
    pub position: Position,
    /// The end of the transaction before.
    pub last_commit: Option<u64>,
    /// Changes to leave out after a takeover: in this transaction, through this place.
    pub taken_over: Option<(u64, u64)>,
    /// Stop before the first transaction whose commit does not stand before this place.
    pub until: Option<u64>,
    /// What is durable already.
    pub durable: u64,
}

/// A stream under way.
pub struct Stream {
    connection: Connection,
    clock: Arc<dyn Clock>,
    start: Start,
    position: Position,
    last_commit: Option<u64>,
    event: Event,
    transaction: Option<Transaction>,
    tables: Tables,
    received: u64,
    durable: u64,
    told: Told,
    /// What was last delivered, and when.
    delivered: (Position, Duration),
    reply: bool,
    reached: bool,
    ends: Vec<u32>,
    old: Cells,
    new: Cells,
}

/// What the server was last told, and when.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: Duration,
    durable: u64,
}

/// A position this far ahead of the one delivered is worth a commit of its own at once.
const ADVANCE_BYTES: u64 = 4 << 20;
/// A position alone is delivered at most this often otherwise: each costs the log a write.
const ADVANCE_PAUSE: Duration = Duration::from_secs(1);
/// The server hears of durable positions at most this often while changes flow.
const FEEDBACK_PAUSE: Duration = Duration::from_millis(100);
/// How often the server is asked for its position while the stream heads for one.
const ASK_PAUSE: Duration = Duration::from_millis(50);

impl Stream {
    /// Begins on a replication connection.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn start(
        mut connection: Connection,
        settings: &Settings,
        version: u32,
        start: Start,
        event: Event,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        connection.copy(&command(settings, version, start.position.lsn))?;
        let told = Told { at: clock.monotonic(), durable: 0 };
        let mut stream = Self {
            connection,
            clock,
            position: start.position,
            last_commit: start.last_commit,
            event,
            transaction: None,
            tables: Tables::default(),
            received: start.position.lsn,
            durable: start.durable,
            delivered: (start.position, told.at),
            told,
            reply: false,
            reached: false,
            ends: Vec::new(),
            old: Cells::default(),
            new: Cells::default(),
            start,
        };
        stream.tell(start.until.is_some())?;
        Ok(stream)
    }

    /// The position after all that was read.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The end of the last whole transaction.
    pub fn last_commit(&self) -> Option<u64> {
        self.last_commit
    }

    /// The last change or commit.
    pub fn event(&self) -> Event {
        self.event
    }

    /// What is still to be left out after a takeover.
    pub fn taken_over(&self) -> Option<(u64, u64)> {
        self.start.taken_over
    }

    /// Whether the place to stop at is reached.
    pub fn reached(&self) -> bool {
        self.reached
    }

    /// How many bytes of log the server has sent word of that are not delivered.
    pub fn lag_bytes(&self) -> u64 {
        self.received.saturating_sub(self.position.lsn)
    }

    /// Indexes of records of the batch after which a transaction ends.
    pub fn take_ends(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.ends)
    }

    /// Everything before this position is durable.
    pub fn set_durable(&mut self, lsn: u64) {
        self.durable = self.durable.max(lsn);
    }

    /// Says goodbye.
    pub fn close(self) {
        self.connection.close();
    }

    /// Tells the server how far we are. Invariant 1: what counts as flushed is only what is durable downstream.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn tell(&mut self, reply: bool) -> Result<(), Error> {
        let now = self.clock.monotonic();
        let status =
            StandbyStatus { received: self.received, durable: self.durable, now_us: self.clock.now_ms() * 1000, reply };
        self.connection.send(&status.to_bytes())?;
        self.told = Told { at: now, durable: self.durable };
        self.reply = false;
        Ok(())
    }

    /// Reads changes into the batch until a limit is met, or all that has arrived is read and something is to be told.
    /// Answers whether more is waiting.
    ///
    /// # Errors
    /// When the connection broke, or a value cannot be represented. The batch and the position are then worth nothing.
    pub fn poll(
        &mut self,
        writer: &mut Writer,
        catalog: &mut Catalog,
        settings: &Settings,
        limits: Limits,
    ) -> Result<bool, Error> {
        let deadline = self.clock.monotonic() + limits.wait;
        loop {
            while writer.len() < limits.records && writer.bytes() < limits.bytes {
                let Some(frame) = self.connection.next_frame()? else { break };
                self.take_in(&frame, writer, catalog, settings)?;
                if self.reached {
                    return Ok(false);
                }
            }
            // Also while changes never cease, the server hears of us before it takes us for dead.
            if self.reply || self.clock.monotonic() >= self.next_told(settings) {
                self.tell(self.start.until.is_some())?;
            }
            if writer.len() >= limits.records || writer.bytes() >= limits.bytes {
                return Ok(true);
            }
            if self.connection.fill(Duration::ZERO)? == Filled::Some {
                continue;
            }
            let now = self.clock.monotonic();
            if !writer.is_empty() || self.is_advance_due(settings) || now >= deadline {
                return Ok(false);
            }
            let wake = deadline.min(self.next_told(settings)).saturating_sub(now);
            // A whole millisecond at least, or the wait could end at once again and again.
            if self.connection.fill(wake.max(Duration::from_millis(1)))? == Filled::Interrupted {
                return Ok(false);
            }
        }
    }

    /// When the server is next to be told.
    fn next_told(&self, settings: &Settings) -> Duration {
        let pause = if self.start.until.is_some() {
            ASK_PAUSE
        } else if self.durable > self.told.durable {
            FEEDBACK_PAUSE
        } else {
            settings.status_interval
        };
        self.told.at + pause.min(settings.status_interval)
    }

    /// Whether a position without records is worth delivering: after a while, or when much log could be let go of.
    pub fn is_advance_due(&self, settings: &Settings) -> bool {
        let (delivered, at) = self.delivered;
        if self.position <= delivered {
            return false;
        }
        let waited = self.clock.monotonic().saturating_sub(at) >= settings.status_interval.min(ADVANCE_PAUSE);
        waited || self.position.lsn.saturating_sub(delivered.lsn) >= ADVANCE_BYTES
    }

    /// The position was delivered.
    pub fn set_delivered(&mut self) {
        self.delivered = (self.position, self.clock.monotonic());
    }

    #[inline]
    fn take_in(
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
        let Self { connection, transaction, tables, position, start, old, new, ends, event, .. } = self;
        let (lsn, message) = match read_replication(connection.body(frame))? {
            Replication::Data { lsn, message } => (lsn, message),
            Replication::Keepalive { wal_end, reply } => {
                self.keepalive(wal_end, reply);
                return Ok(());
            }
        };
        self.received = self.received.max(lsn);
        let last_commit = self.last_commit;
        let (start_until, now_us) = (start.until, self.clock.now_ms() * 1000);
        let mut changes =
            Changes { settings, writer, tables, catalog, start, position, event, last_commit, lsn, old, new };
        match (Message::read(message)?, transaction) {
            (Message::Begin { commit_lsn, commit_us, xid }, open @ None) => {
                if start.until.is_some_and(|until| commit_lsn >= until) {
                    self.reached = true;
                    return Ok(());
                }
                let ts_us = commit_us + POSTGRES_EPOCH_US;
                *open = Some(Transaction { begin_lsn: lsn, commit_lsn, ts_us, xid, ordinal: 0, upstream: None });
            }
            (Message::Commit { end_lsn }, open @ Some(_)) => {
                let Some(ended) = open.take() else { return Ok(()) };
                changes.end(&ended, end_lsn);
                let last = changes.writer.len().checked_sub(1).and_then(|last| u32::try_from(last).ok());
                // A transaction without records in this batch ends where another did already.
                ends.extend(last.filter(|last| ends.last() != Some(last)));
                *changes.position = Position { lsn: end_lsn, ordinal: 0 }.max(*changes.position);
                *changes.event = Event { lsn: end_lsn, xid: ended.xid.into(), ts_us: ended.ts_us, kind: "COMMIT" };
                self.last_commit = Some(end_lsn);
                self.received = self.received.max(end_lsn);
            }
            (Message::Origin { lsn, name }, Some(open)) => open.upstream = Some((name.to_owned(), lsn)),
            (Message::Insert(oid, cursor), Some(open)) => changes.insert(open, oid, cursor)?,
            (Message::Update(oid, cursor), Some(open)) => changes.update(open, oid, cursor)?,
            (Message::Delete(oid, cursor), Some(open)) => changes.delete(open, oid, cursor)?,
            (Message::Truncate(oids), Some(open)) => changes.truncate(open, &oids)?,
            (Message::Logical { transactional: true, prefix, content }, Some(open)) => {
                changes.message(Some(open), prefix, content, 0);
            }
            (Message::Logical { transactional: false, prefix, content }, None) => {
                if start_until.is_some_and(|until| lsn > until) {
                    self.reached = true;
                    return Ok(());
                }
                changes.message(None, prefix, content, now_us);
            }
            (Message::Relation(relation), _) => changes.tables.describe(&relation, changes.catalog, settings)?,
            (Message::Type | Message::Logical { .. } | Message::Origin { .. }, _) => {}
            _ => return Err(Error::Protocol("changes outside of a transaction, or a transaction in another")),
        }
        Ok(())
    }

    fn keepalive(&mut self, wal_end: u64, reply: bool) {
        self.received = self.received.max(wal_end);
        self.reply |= reply;
        if self.transaction.is_none() {
            // Nothing is in flight: all that commits before `wal_end` was sent, and has been read.
            let end = self.start.until.map_or(wal_end, |until| wal_end.min(until));
            self.position = self.position.max(Position { lsn: end, ordinal: 0 });
            self.reached = self.start.until.is_some_and(|until| wal_end >= until);
        }
    }
}

/// Version 2 of the protocol without streaming has the messages of version 1, and lets messages of applications through.
fn command(settings: &Settings, version: u32, lsn: u64) -> String {
    let slot = postgres_protocol::escape::escape_identifier(&settings.slot);
    let names = postgres_protocol::escape::escape_identifier(&settings.publication).replace('\'', "''");
    let options =
        if version >= 140_000 { "\"proto_version\" '2', \"messages\" 'true'" } else { "\"proto_version\" '1'" };
    let from = crate::offset::show_lsn(lsn);
    format!("START_REPLICATION SLOT {slot} LOGICAL {from} ({options}, \"publication_names\" '{names}')")
}
