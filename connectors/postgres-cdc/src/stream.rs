//! The stream of changes: from one position to the next, each change exactly once.
//!
//! ```text
//! Begin(commit at C) → change 1, change 2, … → Commit(end E)
//! position:            (C,1)     (C,2)          (E,0)
//! ```
//!
//! The server sends transactions in the order of their commits and, asked for position P, exactly those whose commit does
//! not stand before P. So after a restart at (C,2) it sends that transaction again and the first two changes are left out.
//! Large ones it may send in blocks while they are still open: `open` keeps those, and from their commit on `replay` makes of
//! them what a transaction that is sent whole would have been, with the same positions. Until it is through, nothing more is
//! read. `messages` takes in what arrives, `feedback` is what is told beside changes.

mod changes;
mod command;
mod feedback;
mod messages;
mod open;
mod replay;
mod tables;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use towpath_model::{Clock, Reading};

use crate::catalog::Catalog;
use crate::config::Settings;
use crate::envelope::Writer;
use crate::error::Error;
use crate::network::Host;
use crate::offset::{Event, Position};
use crate::wire::{Cells, Connection, Filled};
use feedback::Told;
use open::Open;
use replay::Replay;
use tables::Tables;

pub use command::STREAMING_SINCE;

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

impl Limits {
    /// Whether the batch may take no more.
    #[inline]
    fn are_met_by(&self, writer: &Writer) -> bool {
        writer.len() >= self.records || writer.bytes() >= self.bytes
    }

    /// The limits of a batch that may just as well end here.
    fn half(self) -> Self {
        Self { records: self.records / 2, bytes: self.bytes / 2, ..self }
    }
}

/// The transaction being read.
#[derive(Debug)]
struct Transaction {
    begin_lsn: u64,
    commit_lsn: u64,
    ts_us: i64,
    xid: u32,
    ordinal: u64,
    upstream: Option<(String, Option<u64>)>,
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
    /// Whether the server may send transactions that are still open, where it can.
    pub is_streaming: bool,
}

/// A stream under way.
pub struct Stream {
    connection: Connection,
    clock: Arc<dyn Clock>,
    start: Start,
    position: Position,
    last_commit: Option<u64>,
    event: Event,
    /// The transaction being read: one that the server sends whole, or the one in `replay`.
    transaction: Option<Transaction>,
    open: Open,
    replay: Option<Replay>,
    tables: Tables,
    /// When each table was described, counted in descriptions.
    described: HashMap<u32, u64>,
    received: u64,
    durable: u64,
    told: Told,
    /// What was last delivered, and when.
    delivered: (Position, Duration),
    reply: bool,
    reached: bool,
    ends: Vec<u32>,
    /// A transaction has ended all of whose records were delivered before it was known that they are all.
    is_end_due: bool,
    old: Cells,
    new: Cells,
}

/// A poll that makes no records ends after so much work, however much there still is to read: the task may be wanted elsewhere.
const WORK_MAX: Duration = Duration::from_millis(250);

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
        (host, clock): (Arc<dyn Host>, Arc<dyn Clock>),
    ) -> Result<Self, Error> {
        connection.copy(&command::command(settings, version, start.position.lsn, start.is_streaming))?;
        let told = Told { at: clock.monotonic(), durable: 0 };
        let mut stream = Self {
            connection,
            clock,
            position: start.position,
            last_commit: start.last_commit,
            event,
            transaction: None,
            open: Open::new(host, settings.streaming_buffer_bytes),
            replay: None,
            tables: Tables::default(),
            described: HashMap::new(),
            received: start.position.lsn,
            durable: start.durable,
            delivered: (start.position, told.at),
            told,
            reply: false,
            reached: false,
            ends: Vec::new(),
            is_end_due: false,
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

    /// Whether no transaction is delivered in part.
    pub fn is_between_transactions(&self) -> bool {
        self.transaction.is_none()
    }

    /// How far the server's log has been read.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// How many bytes of log the server has sent word of that are not delivered.
    pub fn lag_bytes(&self) -> u64 {
        self.received.saturating_sub(self.position.lsn)
    }

    /// Indexes of records of the batch after which a transaction ends.
    pub fn take_ends(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.ends)
    }

    /// What was kept of open transactions, in numbers.
    pub fn take_readings(&mut self) -> [(&'static str, Reading); 5] {
        let counts = std::mem::take(&mut self.open.counts);
        [
            ("streamed_bytes_buffered", Reading::Gauge(self.open.bytes() as f64)),
            ("streamed_bytes_spilled", Reading::Counter(counts.spilled_bytes)),
            ("streamed_transactions", Reading::Counter(counts.transactions)),
            ("streamed_transactions_aborted", Reading::Counter(counts.aborted)),
            ("streamed_subtransactions_aborted", Reading::Counter(counts.subtransactions_aborted)),
        ]
    }

    /// Everything before this position is durable.
    pub fn set_durable(&mut self, lsn: u64) {
        self.durable = self.durable.max(lsn);
    }

    /// Says goodbye.
    pub fn close(self) {
        self.connection.close();
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
        let begun = self.clock.monotonic();
        let deadline = begun + limits.wait;
        loop {
            self.replay(writer, catalog, settings, limits)?;
            while self.replay.is_none() && !self.is_full(writer, settings, limits) {
                let Some(frame) = self.connection.next_frame()? else { break };
                self.take_in(&frame, writer, catalog, settings)?;
                if self.reached {
                    return Ok(false);
                }
            }
            // Also while changes never cease, the server hears of us before it takes us for dead.
            self.tell_when_due(settings)?;
            if self.is_full(writer, settings, limits) {
                return Ok(true);
            }
            if self.replay.is_some() || self.connection.fill(Duration::ZERO)? == Filled::Some {
                if self.clock.monotonic() >= begun + WORK_MAX {
                    return Ok(true);
                }
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

    /// Whether the batch is to end here. Where transactions are to be seen whole, one that is half full ends with the next of them.
    fn is_full(&self, writer: &Writer, settings: &Settings, limits: Limits) -> bool {
        let ends_well = settings.whole_transactions && self.transaction.is_none() && !writer.is_empty();
        limits.are_met_by(writer) || ends_well && limits.half().are_met_by(writer)
    }
}
