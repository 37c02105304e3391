//! The snapshot: every table read by COPY in one transaction that sees exactly what was committed before one place in the
//! log, so that the stream goes on from that place without gap or overlap.
//!
//! Rows come in the order of their places in the file, and the last place delivered is part of each checkpoint. After a
//! crash the rest is read in a new snapshot, once the stream has reached that one's place. A row that moved meanwhile from
//! the unread to the read part came with the stream, but perhaps without a large value stored apart: such rows are read once
//! more. One row is held back, because it must say whether it is the last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use postgres_protocol::escape::escape_identifier;
use towpath_model::{Clock, Reading};

use crate::catalog::Catalog;
use crate::config::Settings;
use crate::envelope::{Operation, Origin, Writer};
use crate::error::Error;
use crate::network::Host;
use crate::offset::TableProgress;
use crate::schema::Table;
use crate::setup::{Created, captured};
use crate::stream::Limits;
use crate::wire::{Cells, Connection, Filled, Frame, ReplicaIdentity, read_copy_row};

/// A table, or a part of one, that holds rows itself.
struct Unit {
    table: Arc<Table>,
    path: String,
    /// Select list and table.
    select: String,
    /// The condition of the publication, if it has one.
    filter: Option<String>,
    /// Rows may have moved out of the unread part, with values left out of their changes.
    reread: bool,
    progress: TableProgress,
    begun: bool,
}

/// One COPY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// Rows of the read part that are newer than the first reading.
    Moved,
    /// The unread part.
    Rest,
}

/// What makes room for values for which a table's schema has none.
struct Room<'a> {
    catalog: &'a mut Catalog,
    settings: &'a Settings,
}

/// The row that is held back.
#[derive(Debug, Default)]
struct Held {
    unit: Option<usize>,
    line: Vec<u8>,
    first: bool,
    moved: bool,
}

/// A snapshot under way.
pub struct Snapshot {
    connection: Connection,
    host: Arc<dyn Host>,
    clock: Arc<dyn Clock>,
    units: Vec<Unit>,
    current: usize,
    pass: Option<Pass>,
    held: Held,
    /// Whether a row was delivered, in this or an earlier life of the snapshot.
    begun: bool,
    /// Where the snapshot stands in the log.
    lsn: u64,
    ts_us: i64,
    xid: u64,
    dirty: BTreeMap<String, TableProgress>,
    done: u64,
    total: f64,
    cells: Cells,
    unescaped: Vec<u8>,
}

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
        let mut connection = catalog.connect(false)?;
        connection.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        let name = postgres_protocol::escape::escape_literal(&created.snapshot);
        connection.query(&format!("SET TRANSACTION SNAPSHOT {name}"))?;
        let seen = connection.query(
            "SELECT txid_snapshot_xmin(txid_current_snapshot()), txid_snapshot_xmax(txid_current_snapshot()), \
             (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint",
        )?;
        let number = |column: usize| -> Option<i64> { seen.first()?.get(column)?.as_ref()?.parse().ok() };
        let unexpected = Error::Protocol("a snapshot of unexpected shape");
        let (Some(xmin), Some(xid), Some(ts_us)) = (number(0), number(1), number(2)) else { return Err(unexpected) };
        let mut total = 0.0;
        let units = units(catalog, settings, ledger, xmin.unsigned_abs(), &mut total)?;
        Ok(Self {
            connection,
            host,
            clock,
            units,
            current: 0,
            pass: None,
            held: Held::default(),
            begun: !ledger.is_empty(),
            lsn: created.lsn,
            ts_us,
            xid: xid.unsigned_abs(),
            dirty: BTreeMap::new(),
            done: 0,
            total,
            cells: Cells::default(),
            unescaped: Vec::new(),
        })
    }

    /// Where the snapshot stands in the log.
    pub fn lsn(&self) -> u64 {
        self.lsn
    }

    /// When it was taken, in microseconds since 1970.
    pub fn ts_us(&self) -> i64 {
        self.ts_us
    }

    /// The first transaction that it cannot see.
    pub fn xid(&self) -> u64 {
        self.xid
    }

    /// The progress of the tables that the batch moved on.
    pub fn take_progress(&mut self) -> BTreeMap<String, TableProgress> {
        std::mem::take(&mut self.dirty)
    }

    /// Says goodbye.
    pub fn close(self) {
        self.connection.close();
    }

    /// Reads rows into the batch until a limit is met or nothing more has arrived.
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
        let readings = [
            ("snapshot_rows_done", Reading::Gauge(self.done as f64)),
            ("snapshot_rows_total", Reading::Gauge(self.total)),
        ];
        self.host.record(&readings);
        step
    }

    fn read(&mut self, writer: &mut Writer, room: &mut Room<'_>, limits: Limits) -> Result<Step, Error> {
        let deadline = self.clock.monotonic() + limits.wait;
        loop {
            if self.pass.is_none() && !self.begin_next()? {
                self.emit_held(writer, room, None)?;
                return Ok(Step::Finished);
            }
            while writer.len() < limits.records && writer.bytes() < limits.bytes {
                let Some(frame) = self.connection.next_frame()? else { break };
                match frame.tag {
                    b'd' => {
                        self.emit_held(writer, room, Some(self.current))?;
                        self.hold(&frame)?;
                    }
                    b'E' => return Err(self.connection.server_error(&frame)),
                    b'Z' => {
                        self.end_pass();
                        break;
                    }
                    _ => {}
                }
            }
            if writer.len() >= limits.records || writer.bytes() >= limits.bytes {
                return Ok(Step::More);
            }
            if self.pass.is_none() || self.connection.fill(Duration::ZERO)? == Filled::Some {
                continue;
            }
            let left = deadline.saturating_sub(self.clock.monotonic());
            if !writer.is_empty() {
                return Ok(Step::More);
            }
            if left.is_zero() || self.connection.fill(left)? == Filled::Interrupted {
                return Ok(Step::Idle);
            }
        }
    }

    /// Begins the next COPY; answers whether there was one.
    fn begin_next(&mut self) -> Result<bool, Error> {
        let Some(unit) = self.units.get(self.current) else { return Ok(false) };
        let (pass, condition) = match unit.progress.through {
            Some(through) if unit.reread => {
                let first = unit.progress.xmin & 0xffff_ffff;
                (Pass::Moved, Some(format!("ctid <= '{through}' AND age(xmin) <= age('{first}'::xid)")))
            }
            Some(through) => (Pass::Rest, Some(format!("ctid > '{through}'"))),
            None => (Pass::Rest, None),
        };
        let conditions: Vec<_> =
            condition.into_iter().chain(unit.filter.as_ref().map(|filter| format!("({filter})"))).collect();
        let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        self.connection
            .copy(&format!("COPY ({}{filter}) TO STDOUT", unit.select))
            .map_err(|error| explain(error, &unit.path))?;
        self.pass = Some(pass);
        Ok(true)
    }

    fn end_pass(&mut self) {
        let Some(unit) = self.units.get_mut(self.current) else { return };
        if self.pass.take() == Some(Pass::Moved) {
            unit.reread = false;
            return;
        }
        // The row that is held back counts as unread until it is delivered; then the table is read whole.
        if self.held.unit != Some(self.current) {
            finish(unit, &mut self.dirty);
        }
        self.current += 1;
    }

    fn hold(&mut self, frame: &Frame) -> Result<(), Error> {
        let line = self.connection.body(frame);
        self.held.line.clear();
        self.held.line.extend_from_slice(line);
        self.held.unit = Some(self.current);
        self.held.moved = self.pass == Some(Pass::Moved);
        if let Some(unit) = self.units.get_mut(self.current) {
            self.held.first = !unit.begun;
            unit.begun = true;
        }
        Ok(())
    }

    /// Delivers the row that is held back; `next` is the table of the row after it.
    #[inline]
    fn emit_held(&mut self, writer: &mut Writer, room: &mut Room<'_>, next: Option<usize>) -> Result<(), Error> {
        let Some(index) = self.held.unit.take() else { return Ok(()) };
        let Some(unit) = self.units.get_mut(index) else { return Ok(()) };
        let last = next != Some(index);
        let marker = match (next, self.begun, self.held.first, last) {
            (None, ..) => "last",
            (_, false, ..) => "first",
            (_, _, true, _) => "first_in_data_collection",
            (_, _, _, true) => "last_in_data_collection",
            _ => "true",
        };
        let line = &self.held.line;
        let (place, unescaped) = read_copy_row(line, &mut self.cells, &mut self.unescaped)?;
        let bytes = if unescaped { &self.unescaped } else { line };
        let origin = Origin {
            ts_us: self.ts_us,
            snapshot: marker,
            last_commit: None,
            lsn: self.lsn,
            xid: Some(self.xid),
            upstream: None,
        };
        let mut attempts = 0;
        while let Err(error) = writer.change(&unit.table, Operation::Read, None, (&self.cells, bytes), &origin) {
            // Room is made for one column at a time.
            match error {
                Error::Misfit(misfit) if attempts <= 3 * unit.table.columns.len() => {
                    attempts += 1;
                    unit.table = room.catalog.make_room(&unit.table, &misfit, room.settings)?;
                }
                error => return Err(error),
            }
        }
        self.begun = true;
        self.done += 1;
        if last && self.current > index {
            finish(unit, &mut self.dirty);
        } else if !self.held.moved {
            unit.progress.through = Some(place);
            match self.dirty.get_mut(&unit.path) {
                Some(progress) => progress.through = Some(place),
                None => {
                    self.dirty.insert(unit.path.clone(), unit.progress.clone());
                }
            }
        }
        Ok(())
    }
}

fn finish(unit: &mut Unit, dirty: &mut BTreeMap<String, TableProgress>) {
    unit.progress.through = None;
    dirty.insert(unit.path.clone(), unit.progress.clone());
}

/// What reading a table may fail on, with what mends it. One that was dropped or changed while the snapshot was under way is
/// as it is now at the next attempt.
fn explain(error: Error, table: &str) -> Error {
    match error.sqlstate() {
        Some("42P01" | "42703") => {
            Error::Busy(format!("{error}; {table} changed during the snapshot, which begins again"))
        }
        Some("42501") => {
            Error::Fatal(format!("{error}; the role needs GRANT SELECT ON {table}, and USAGE on its schema"))
        }
        _ => error,
    }
}

fn units(
    catalog: &mut Catalog,
    settings: &Settings,
    ledger: &BTreeMap<String, TableProgress>,
    xmin: u64,
    total: &mut f64,
) -> Result<Vec<Unit>, Error> {
    let mut units = Vec::new();
    for published in captured(catalog, settings)? {
        let Some(mut facts) = catalog.table(published.oid)? else { continue };
        let path = format!("{}.{}", facts.schema, facts.name);
        if !settings.snapshot_tables.wants(&path) {
            continue;
        }
        if let Some(columns) = &published.columns {
            facts.columns.retain(|column| columns.contains(&column.name));
        }
        let table = Table::new(facts.clone(), &catalog.types, &settings.names, &settings.values);
        // The columns are selected in the order of the facts, left-out ones too, so that places agree.
        for (place, column) in facts.columns.iter_mut().enumerate() {
            column.place = place;
        }
        let wanted = |name: &str| table.columns.iter().any(|column| column.name == name);
        let list = facts
            .columns
            .iter()
            .map(|column| if wanted(&column.name) { escape_identifier(&column.name) } else { "NULL".into() });
        let list = std::iter::once("ctid".to_owned()).chain(list).collect::<Vec<_>>().join(", ");
        let identity = facts.identity;
        let table = Arc::new(Table::new(facts, &catalog.types, &settings.names, &settings.values));
        for file in published.files {
            *total += file.rows;
            let fresh = TableProgress { through: None, file: file.file, xmin };
            let known = ledger.get(&file.path).filter(|known| known.file == file.file);
            if known.is_some_and(|known| known.through.is_none()) {
                continue;
            }
            units.push(Unit {
                table: table.clone(),
                select: format!("SELECT {list} FROM ONLY {}", file.quoted),
                path: file.path,
                filter: published.row_filter.clone(),
                reread: known.is_some() && file.toasted && identity != ReplicaIdentity::Full,
                begun: known.is_some(),
                progress: known.cloned().unwrap_or(fresh),
            });
        }
    }
    Ok(units)
}
