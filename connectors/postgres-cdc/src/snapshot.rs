//! The snapshot: every table read by COPY in transactions that see exactly what was committed before one place in the log, so
//! that the stream goes on from that place without gap or overlap.
//!
//! ```text
//! queue (which piece) → share → reader, or this task itself → report → queue → ledger (what is in the log)
//! ```
//! `queue` decides and `ranges` remembers; `reading` is one COPY, `reader` an instance that does nothing else, `share` what
//! passes between the instances. The task's own transaction exports the snapshot again for the readers and holds each table
//! that is being read against being rewritten, so that places mean the same for all of them.
//!
//! Each batch's checkpoint is the ledger of its table. After a crash the gaps are read in a new snapshot, once the stream has
//! reached that one's place. A row that moved meanwhile from the unread to the read part came with the stream, but perhaps
//! without a large value stored apart: such rows are read once more.

mod queue;
mod ranges;
mod reader;
mod reading;
mod share;
mod table;

pub use queue::{Marker, Report};
pub use ranges::Ranges;
pub use reader::{Part, Reader};
pub use share::Share;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use towpath_model::{Clock, Reading as Gauge};

use crate::catalog::Catalog;
use crate::config::Settings;
use crate::envelope::Writer;
use crate::error::Error;
use crate::network::Host;
use crate::offset::TableProgress;
use crate::setup::Created;
use crate::stream::Limits;
use crate::wire::Connection;
use queue::{Next, Queue};
use reading::{Reading, Room, Rows};
use share::Standing;
use table::Unit;

/// Connections that have nothing to do are kept alive so often.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How a poll of the snapshot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to read.
    More,
    /// Nothing has arrived.
    Idle,
    /// Everything is read.
    Finished,
}

/// Who does what next.
#[derive(Clone, Debug)]
pub enum Turn {
    /// The task is to be polled.
    Task,
    /// A reader is to read this.
    Share(Box<Share>),
    /// Nothing before a report.
    Wait,
}

/// A snapshot under way.
pub struct Snapshot {
    connection: Connection,
    host: Arc<dyn Host>,
    clock: Arc<dyn Clock>,
    standing: Standing,
    /// The oldest transaction that was open when it was taken.
    xmin: u64,
    block_bytes: u64,
    units: Vec<Unit>,
    queue: Queue,
    /// Whether there are readers; without, the task reads by itself.
    shared: bool,
    /// The piece that this task reads itself.
    own: Option<Reading>,
    rows: Rows,
    /// Tables whose progress has changed since it was last taken.
    dirty: BTreeSet<usize>,
    alive_at: Duration,
}

impl Snapshot {
    /// Takes up the exported snapshot on a connection of its own. `ledger` tells what is delivered already.
    ///
    /// # Errors
    /// When the server refuses, or the catalog cannot be read.
    pub fn import(
        created: &Created,
        catalog: &mut Catalog,
        settings: &Settings,
        ledger: &BTreeMap<String, TableProgress>,
        host: Arc<dyn Host>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let mut connection = reader::take_up(catalog, &created.snapshot)?;
        let seen = connection.query(
            "SELECT pg_export_snapshot(), txid_snapshot_xmin(txid_current_snapshot()), \
             txid_snapshot_xmax(txid_current_snapshot()), (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint, \
             current_setting('block_size')",
        )?;
        let text = |column: usize| seen.first()?.get(column)?.clone();
        let number = |column: usize| text(column)?.parse::<i64>().ok();
        let (Some(name), Some(xmin), Some(xid), Some(ts_us), Some(block_bytes)) =
            (text(0), number(1), number(2), number(3), number(4))
        else {
            return Err(Error::Protocol("a snapshot of unexpected shape"));
        };
        let units = table::units(catalog, settings, ledger)?;
        let mut queue = Queue::default();
        for unit in &units {
            let known = unit.known.as_ref();
            queue.enter(known.map(|known| known.read.clone()).unwrap_or_default(), known.map_or(0, |known| known.rows));
        }
        Ok(Self {
            connection,
            host,
            alive_at: clock.monotonic(),
            clock,
            standing: Standing { name, lsn: created.lsn, ts_us, xid: xid.unsigned_abs() },
            xmin: xmin.unsigned_abs(),
            block_bytes: block_bytes.unsigned_abs().max(1),
            units,
            queue,
            shared: false,
            own: None,
            rows: Rows::default(),
            dirty: BTreeSet::new(),
        })
    }

    /// Where the snapshot stands in the log.
    pub fn lsn(&self) -> u64 {
        self.standing.lsn
    }

    /// When it was taken, in microseconds since 1970.
    pub fn ts_us(&self) -> i64 {
        self.standing.ts_us
    }

    /// The first transaction that it cannot see.
    pub fn xid(&self) -> u64 {
        self.standing.xid
    }

    /// The progress of the tables that moved on.
    pub fn take_progress(&mut self) -> BTreeMap<String, TableProgress> {
        let dirty = std::mem::take(&mut self.dirty);
        let progress = |index: usize| {
            let (unit, (read, rows)) = (self.units.get(index)?, self.queue.progress(index)?);
            let progress = TableProgress { read: read.clone(), rows, file: unit.file.file, xmin: unit.xmin(self.xmin) };
            Some((unit.file.path.clone(), progress))
        };
        dirty.into_iter().filter_map(progress).collect()
    }

    /// Says goodbye.
    pub fn close(self) {
        self.connection.close();
    }

    /// Keeps the transaction's connection alive.
    ///
    /// # Errors
    /// When it is lost.
    pub fn keep_alive(&mut self) -> Result<(), Error> {
        if self.own.is_none() {
            self.connection.query("SELECT 1")?;
        }
        self.alive_at = self.clock.monotonic();
        Ok(())
    }

    /// What comes next, when `free` more readers could work.
    ///
    /// # Errors
    /// When the connection broke, or a table cannot be read.
    pub fn turn(&mut self, catalog: &mut Catalog, settings: &Settings, free: u32) -> Result<Turn, Error> {
        if settings.threads < 2 || self.own.is_some() {
            return Ok(Turn::Task);
        }
        if self.clock.monotonic().saturating_sub(self.alive_at) >= KEEP_ALIVE {
            self.keep_alive()?;
        }
        loop {
            let out = self.queue.out();
            self.shared = free > 0 || out > 0;
            if !self.shared {
                return Ok(Turn::Task);
            }
            match self.queue.next(free > 0 && out < settings.threads as usize) {
                Next::Look(index) => self.look(index, catalog, settings)?,
                Next::Wait => return Ok(Turn::Wait),
                Next::Deliver | Next::Finished => return Ok(Turn::Task),
                Next::Read(piece) => {
                    let Some(unit) = self.units.get(piece.unit) else { return Ok(Turn::Task) };
                    let share = unit.share(piece, &self.standing, self.xmin, catalog)?;
                    return Ok(Turn::Share(Box::new(share)));
                }
            }
        }
    }

    /// A reader has come further.
    ///
    /// # Errors
    /// When it reports of a piece that it was not given.
    pub fn report(&mut self, report: Report, catalog: &Catalog, settings: &Settings) -> Result<(), Error> {
        let unit = report.piece.0;
        if let (Some(facts), Some(unit)) = (&report.facts, self.units.get_mut(unit)) {
            unit.widen(facts, catalog, settings);
        }
        self.queue.report(report)?;
        self.dirty.insert(unit);
        self.tell();
        Ok(())
    }

    /// All readers are gone.
    pub fn recall(&mut self) {
        self.queue.recall();
    }

    /// Delivers rows that were held back, and reads where no reader does, until a limit is met or nothing more has arrived.
    ///
    /// # Errors
    /// When the connection broke, or a value cannot be represented. The batch and the progress are then worth nothing.
    pub fn poll(
        &mut self,
        writer: &mut Writer,
        catalog: &mut Catalog,
        settings: &Settings,
        limits: Limits,
    ) -> Result<Step, Error> {
        let step = self.read(writer, &mut Room { catalog, settings }, limits);
        self.tell();
        step
    }

    fn read(&mut self, writer: &mut Writer, room: &mut Room<'_>, limits: Limits) -> Result<Step, Error> {
        loop {
            while let Some(due) = self.queue.take_due() {
                let table = self.units.get_mut(due.unit).and_then(Unit::table_mut);
                let table = table.ok_or(Error::Protocol("a row of a table that was not looked at"))?;
                self.rows.write(&due.row.line, table, (due.marker, &self.standing), writer, room)?;
                self.dirty.insert(due.unit);
            }
            if writer.len() >= limits.records || writer.bytes() >= limits.bytes {
                return Ok(Step::More);
            }
            if let Some(own) = &mut self.own {
                let Some(report) = own.read(&mut self.connection, writer, room, limits)? else {
                    return Ok(if writer.is_empty() { Step::Idle } else { Step::More });
                };
                if report.done {
                    self.own = None;
                }
                self.report(report, room.catalog, room.settings)?;
                continue;
            }
            match self.queue.next(!self.shared) {
                Next::Deliver => {}
                Next::Look(index) => self.look(index, room.catalog, room.settings)?,
                Next::Finished => return Ok(Step::Finished),
                Next::Wait => return Ok(if writer.is_empty() { Step::Idle } else { Step::More }),
                Next::Read(piece) => {
                    let unit = self.units.get(piece.unit);
                    let (Some(unit), Some(table)) = (unit, unit.and_then(Unit::table)) else { continue };
                    let (table, standing) = (table.clone(), self.standing.clone());
                    let selection = unit.selection(self.xmin)?;
                    let surroundings = (standing, self.clock.clone());
                    self.own = Some(Reading::begin(&mut self.connection, piece, table, &selection, surroundings)?);
                }
            }
        }
    }

    /// Looks at a table before the first piece of it is read: from here on it is not rewritten or changed.
    fn look(&mut self, index: usize, catalog: &mut Catalog, settings: &Settings) -> Result<(), Error> {
        let Some(unit) = self.units.get_mut(index) else { return Ok(()) };
        let Some(found) = unit.look(&mut self.connection, catalog, settings, self.block_bytes)? else {
            let path = &unit.file.path;
            self.host.log(crate::network::Level::Info, format_args!("{path} was dropped before it was read"));
            self.queue.skip(index);
            return Ok(());
        };
        let blocks = unit.file.blocks;
        self.queue.plan(index, blocks, found.step, found.rewritten, found.moved);
        Ok(())
    }

    /// Reports how many rows are read, and of how many.
    fn tell(&self) {
        let (mut done, mut total) = (0.0, 0.0);
        for (index, unit) in self.units.iter().enumerate() {
            let Some((read, rows)) = self.queue.progress(index) else { continue };
            let rows = rows as f64;
            done += rows;
            total += if self.queue.is_complete(index) { rows } else { unit.expected(rows, read).max(rows) };
        }
        let readings = [("snapshot_rows_done", Gauge::Gauge(done)), ("snapshot_rows_total", Gauge::Gauge(total))];
        self.host.record(&readings);
    }
}
