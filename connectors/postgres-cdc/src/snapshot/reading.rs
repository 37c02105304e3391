//! One COPY: a piece of a table, read row by row. The last row is held back, because whoever hands out the pieces alone knows
//! whether it is the last of its table.
//!
//! A row is written straight from the buffer that it arrived in; only the last of each buffer is copied, in case no other
//! follows it.

use std::sync::Arc;
use std::time::Duration;

use towpath_model::{Clock, Fault, Reason};

use super::queue::{Held, Marker, Pass, Piece, Report};
use super::ranges::END;
use super::share::{Selection, Standing};
use crate::catalog::Catalog;
use crate::config::Settings;
use crate::envelope::{Operation, Origin, Writer};
use crate::error::Error;
use crate::schema::Table;
use crate::stream::Limits;
use crate::wire::{Cells, Connection, Ctid, Filled, Frame, read_copy_row};

/// What makes room for values for which a table's schema has none.
pub(super) struct Room<'a> {
    /// Knows the labels of enums.
    pub catalog: &'a mut Catalog,
    /// How values are represented.
    pub settings: &'a Settings,
}

/// Writes the rows of one snapshot.
#[derive(Debug, Default)]
pub(super) struct Rows {
    cells: Cells,
    unescaped: Vec<u8>,
}

impl Rows {
    /// Writes the row of a line and answers with its address.
    ///
    /// # Errors
    /// When it is no row, or holds a value that cannot be represented.
    #[inline]
    pub(super) fn write(
        &mut self,
        line: &[u8],
        table: &mut Arc<Table>,
        (marker, standing): (Marker, &Standing),
        writer: &mut Writer,
        room: &mut Room<'_>,
    ) -> Result<u64, Error> {
        let (place, unescaped) = read_copy_row(line, &mut self.cells, &mut self.unescaped)?;
        let bytes = if unescaped { &self.unescaped } else { line };
        let origin = Origin {
            ts_us: standing.ts_us,
            snapshot: marker.word(),
            last_commit: None,
            lsn: standing.lsn,
            xid: Some(standing.xid),
            upstream: None,
        };
        let mut attempts = 0;
        while let Err(error) = writer.change(table, Operation::Read, None, (&self.cells, bytes), &origin) {
            // Room is made for one column at a time.
            match error {
                Error::Misfit(misfit) if attempts <= 3 * table.columns.len() => {
                    attempts += 1;
                    *table = room.catalog.make_room(table, &misfit, room.settings)?;
                }
                error => return Err(error),
            }
        }
        Ok(place.address())
    }
}

/// A COPY under way.
pub(super) struct Reading {
    piece: Piece,
    table: Arc<Table>,
    standing: Standing,
    clock: Arc<dyn Clock>,
    next: Marker,
    rows: Rows,
    held: Option<Vec<u8>>,
    /// Whether room had to be made in the table.
    widened: bool,
}

impl Reading {
    /// Begins to read a piece, in the transaction of the connection.
    ///
    /// # Errors
    /// When the server refuses.
    pub(super) fn begin(
        connection: &mut Connection,
        piece: Piece,
        table: Arc<Table>,
        selection: &Selection,
        (standing, clock): (Standing, Arc<dyn Clock>),
    ) -> Result<Self, Error> {
        connection.copy(&statement(&piece, selection)).map_err(|error| explain(error, &selection.path))?;
        Ok(Self { piece, table, standing, clock, next: piece.first, rows: Rows::default(), held: None, widened: false })
    }

    /// Reads rows into the batch until a limit is met or nothing more has arrived; none when there is nothing to report.
    ///
    /// # Errors
    /// When the connection broke, or a value cannot be represented. The batch is then worth nothing.
    pub(super) fn read(
        &mut self,
        connection: &mut Connection,
        writer: &mut Writer,
        room: &mut Room<'_>,
        limits: Limits,
    ) -> Result<Option<Report>, Error> {
        let clock = self.clock.clone();
        let deadline = clock.monotonic() + limits.wait;
        let piece = (self.piece.unit, self.piece.pass, self.piece.from);
        let mut report = Report { piece, through: None, rows: 0, done: false, held: None, facts: None };
        loop {
            report.done = self.take_in(connection, writer, room, limits, &mut report)?;
            let full = writer.len() >= limits.records || writer.bytes() >= limits.bytes;
            if report.done || full {
                break;
            }
            if connection.fill(Duration::ZERO)? == Filled::Some {
                continue;
            }
            let left = deadline.saturating_sub(clock.monotonic());
            if report.rows > 0 || left.is_zero() || connection.fill(left)? == Filled::Interrupted {
                break;
            }
        }
        if report.done {
            report.facts = self.widened.then(|| self.table.facts.clone());
            let line = self.held.take();
            report.held = line.map(|line| Ok::<_, Error>(Held { address: address(&line)?, line })).transpose()?;
        }
        Ok((report.rows > 0 || report.done).then_some(report))
    }

    /// Takes in what has arrived; answers whether that was all.
    fn take_in(
        &mut self,
        connection: &mut Connection,
        writer: &mut Writer,
        room: &mut Room<'_>,
        limits: Limits,
        report: &mut Report,
    ) -> Result<bool, Error> {
        let mut newest: Option<Frame> = None;
        let mut done = false;
        while writer.len() < limits.records && writer.bytes() < limits.bytes {
            let Some(frame) = connection.next_frame()? else { break };
            match frame.tag {
                b'd' => {
                    if let Some(line) = self.held.take() {
                        self.write(&line, writer, room, report)?;
                    }
                    if let Some(earlier) = newest.replace(frame) {
                        self.write(connection.body(&earlier), writer, room, report)?;
                    }
                }
                b'E' => return Err(connection.server_error(&frame)),
                b'Z' => {
                    done = true;
                    break;
                }
                _ => {}
            }
        }
        if let Some(frame) = newest {
            self.held = Some(connection.body(&frame).to_vec());
        }
        Ok(done)
    }

    #[inline]
    fn write(
        &mut self,
        line: &[u8],
        writer: &mut Writer,
        room: &mut Room<'_>,
        report: &mut Report,
    ) -> Result<(), Error> {
        let marker = std::mem::replace(&mut self.next, Marker::Other);
        let before = Arc::as_ptr(&self.table);
        let address = self.rows.write(line, &mut self.table, (marker, &self.standing), writer, room)?;
        self.widened |= before != Arc::as_ptr(&self.table);
        report.through = Some(address + 1);
        report.rows += 1;
        Ok(())
    }
}

fn address(line: &[u8]) -> Result<u64, Error> {
    let place = line.split(|byte| *byte == b'\t' || *byte == b'\n').next().and_then(Ctid::parse);
    place.map(Ctid::address).ok_or(Error::Protocol("a COPY row without its place"))
}

/// The statement that reads a piece.
fn statement(piece: &Piece, selection: &Selection) -> String {
    let mut conditions = Vec::new();
    if piece.from > 0 {
        conditions.push(format!("ctid >= '{}'", Ctid::from_address(piece.from)));
    }
    if piece.to < END {
        conditions.push(format!("ctid < '{}'", Ctid::from_address(piece.to)));
    }
    if piece.pass == Pass::Moved {
        conditions.push(format!("age(xmin) <= age('{}'::xid)", selection.xmin & 0xffff_ffff));
    }
    conditions.extend(selection.filter.as_ref().map(|filter| format!("({filter})")));
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    format!("COPY ({}{filter}) TO STDOUT", selection.select)
}

/// What reading a table may fail on, with what mends it. One that was changed while the snapshot was under way is as it is
/// now at the next attempt.
pub(super) fn explain(error: Error, table: &str) -> Error {
    match error.sqlstate() {
        Some("42P01" | "42703") => {
            Error::Busy(format!("{error}; {table} changed during the snapshot, which goes on anew"))
        }
        Some("42501") => {
            let reason = Reason::coded("postgres.read_right", error.to_string());
            let remedy = format!("Run GRANT SELECT ON {table} and GRANT USAGE ON its schema TO the role.");
            Fault::error("database.user", reason.remedy(remedy)).into()
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_asked_for_by_its_places() {
        let selection = |filter: Option<&str>| Selection {
            path: "public.t".into(),
            select: "SELECT ctid, \"a\" FROM ONLY \"public\".\"t\"".into(),
            filter: filter.map(str::to_owned),
            xmin: (1 << 32) + 7,
        };
        let piece = |pass, from, to| Piece { unit: 0, pass, from, to, first: Marker::Other };
        let check = |piece, filter, expected: &str| {
            let sql = statement(&piece, &selection(filter));
            assert_eq!(sql, format!("COPY (SELECT ctid, \"a\" FROM ONLY \"public\".\"t\"{expected}) TO STDOUT"));
        };
        check(piece(Pass::Rest, 0, END), None, "");
        check(piece(Pass::Rest, (8192 << 16) + 5, END), None, " WHERE ctid >= '(8192,5)'");
        check(piece(Pass::Rest, 0, 8192 << 16), Some("x > 1"), " WHERE ctid < '(8192,0)' AND (x > 1)");
        check(piece(Pass::Moved, 0, 9), None, " WHERE ctid < '(0,9)' AND age(xmin) <= age('7'::xid)");
    }
}
