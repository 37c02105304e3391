//! What is read next, and by whom: the tables of a snapshot, cut into pieces. Pure: no IO, no clock.
//!
//! ```text
//! table: unplanned ── plan ──▶ pieces to do ── next ──▶ out ── report ──▶ read
//! ```
//! The largest table comes first, and its pieces in the order of their places, so that the ledger has few gaps. Whoever reads
//! a piece holds back its last row; it comes back with the report, because it may turn out to be the last of its table or of
//! all. The first row of a table is in the log before a second piece of it is given out, and the first row of all before any
//! second piece: so `first` and `last` are what they say in the order of the log, however many read.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::ranges::{END, Ranges};
use crate::error::Error;
use crate::schema::TableFacts;

/// What is read of a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pass {
    /// Rows of the read part that are newer than the first reading.
    Moved,
    /// Everything.
    Rest,
}

/// Which row of a snapshot a row is, in Debezium's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Marker {
    First,
    FirstOfTable,
    Other,
    LastOfTable,
    Last,
}

impl Marker {
    /// As the record says it.
    pub fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::FirstOfTable => "first_in_data_collection",
            Self::Other => "true",
            Self::LastOfTable => "last_in_data_collection",
            Self::Last => "last",
        }
    }
}

/// A stretch of a table for one reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Which table.
    pub unit: usize,
    /// What is read of it.
    pub pass: Pass,
    /// The first address.
    pub from: u64,
    /// The address after the last.
    pub to: u64,
    /// What its first row is.
    pub first: Marker,
}

/// A row that is held back: its address and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its address.
    pub address: u64,
    /// Its line of COPY.
    pub line: Vec<u8>,
}

/// How far a piece is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The piece, by its table, pass and first address.
    pub piece: (usize, Pass, u64),
    /// The address after the last row that is delivered.
    pub through: Option<u64>,
    /// Rows delivered since the last report.
    pub rows: u64,
    /// Whether the piece is read to its end.
    pub done: bool,
    /// At the end, its last row, which is not delivered.
    pub held: Option<Held>,
    /// At the end, what the table is, when room had to be made for its values.
    pub facts: Option<TableFacts>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Look at this table, then [`Queue::plan`] or [`Queue::skip`] it.
    Look(usize),
    /// Read this.
    Read(Piece),
    /// Deliver what [`Queue::take_due`] gives.
    Deliver,
    /// Nothing before a report.
    Wait,
    /// Everything is delivered.
    Finished,
}

/// A row that is held back no longer.
#[derive(Debug)]
pub(super) struct Due {
    /// Its table.
    pub unit: usize,
    /// The row.
    pub row: Held,
    /// Which row it is.
    pub marker: Marker,
}

/// A row held back, with what becomes of it.
#[derive(Clone, Debug)]
struct Keeping {
    unit: usize,
    pass: Pass,
    row: Held,
    last_of_table: bool,
}

#[derive(Clone, Debug)]
struct Out {
    piece: Piece,
    /// Up to where it is delivered.
    at: u64,
}

#[derive(Clone, Debug, Default)]
struct Unit {
    read: Ranges,
    rows: u64,
    planned: bool,
    done: bool,
    /// Blocks of a piece.
    step: u64,
    /// The address after the last row that there can be; the piece that reaches it has no end.
    end: u64,
    /// Stretches to read, the next one last.
    todo: Vec<(Pass, u64, u64)>,
    out: Vec<Out>,
    held: Option<Keeping>,
}

/// The tables of a snapshot and how far they are read.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    units: Vec<Unit>,
    /// The last row of the table that was complete last.
    closing: Option<Keeping>,
    due: VecDeque<Keeping>,
}

impl Queue {
    /// Enters a table, with what is in the log of it already. Tables are read in the order in which they are entered.
    pub(super) fn enter(&mut self, read: Ranges, rows: u64) {
        let done = read.is_whole();
        self.units.push(Unit { read, rows, planned: done, done, ..Unit::default() });
    }

    /// What is read of a table, and how many rows that are.
    pub(super) fn progress(&self, unit: usize) -> Option<(&Ranges, u64)> {
        self.units.get(unit).map(|unit| (&unit.read, unit.rows))
    }

    /// Whether a table is complete but perhaps for its last row.
    pub(super) fn is_complete(&self, unit: usize) -> bool {
        self.units.get(unit).is_none_or(|unit| unit.done)
    }

    /// How many pieces are out.
    pub(super) fn out(&self) -> usize {
        self.units.iter().map(|unit| unit.out.len()).sum()
    }

    /// Cuts a table of so many blocks into pieces of `step` blocks. With `afresh` nothing counts of what is read; with `moved` the rows of
    /// the read part that are newer are read too.
    pub(super) fn plan(&mut self, index: usize, blocks: u64, step: u64, afresh: bool, moved: bool) {
        let Some(unit) = self.units.get_mut(index) else { return };
        if afresh {
            (unit.read, unit.rows) = (Ranges::default(), 0);
        }
        let rest = unit.read.gaps().into_iter().rev().map(|(from, to)| (Pass::Rest, from, to));
        unit.todo = rest.collect();
        if moved {
            unit.todo.extend(unit.read.iter().rev().map(|(from, to)| (Pass::Moved, from, to)));
        }
        (unit.step, unit.end) = (step.max(1), blocks << 16);
        unit.planned = true;
        self.settle(index);
    }

    /// A table is gone: there is nothing to read.
    pub(super) fn skip(&mut self, index: usize) {
        let Some(unit) = self.units.get_mut(index) else { return };
        (unit.planned, unit.done, unit.todo) = (true, true, Vec::new());
        self.settle(index);
    }

    /// What is to be done next; `room` says whether somebody could read a piece.
    pub(super) fn next(&mut self, room: bool) -> Next {
        if !self.due.is_empty() {
            return Next::Deliver;
        }
        let (out, begun) = (self.out(), self.is_begun());
        if room && (begun || out == 0) {
            for (index, unit) in self.units.iter_mut().enumerate().filter(|(_, unit)| !unit.done) {
                if !unit.planned {
                    return Next::Look(index);
                }
                if unit.rows == 0 && !unit.out.is_empty() {
                    continue;
                }
                let first = match (begun, unit.rows) {
                    (false, _) => Marker::First,
                    (true, 0) => Marker::FirstOfTable,
                    _ => Marker::Other,
                };
                if let Some(piece) = unit.cut(index, first) {
                    return Next::Read(piece);
                }
            }
        }
        if self.units.iter().all(|unit| unit.done) { Next::Finished } else { Next::Wait }
    }

    /// A piece is read further.
    ///
    /// # Errors
    /// When no such piece is out.
    pub(super) fn report(&mut self, report: Report) -> Result<(), Error> {
        let (index, pass, from) = report.piece;
        let unit = self.units.get_mut(index).ok_or(UNKNOWN)?;
        let which = |out: &Out| out.piece.pass == pass && out.piece.from == from;
        let place = unit.out.iter().position(which).ok_or(UNKNOWN)?;
        let out = unit.out.get_mut(place).ok_or(UNKNOWN)?;
        let to = out.piece.to;
        unit.rows += report.rows;
        if let Some(through) = report.through.filter(|through| (out.at..=to).contains(through)) {
            out.at = through;
            if pass == Pass::Rest {
                unit.read.add(from, through);
            }
        }
        if report.done {
            unit.out.remove(place);
            let held = report.held.filter(|row| (from..to).contains(&row.address));
            if pass == Pass::Rest {
                let gap = held.as_ref().map_or((to, to), |row| (row.address, row.address + 1));
                unit.read.add(from, gap.0);
                unit.read.add(gap.1, to);
            }
            if let Some(row) = held {
                let earlier = unit.held.replace(Keeping { unit: index, pass, row, last_of_table: false });
                self.due.extend(earlier);
            }
            self.settle(index);
        }
        Ok(())
    }

    /// Whoever reads is gone: pieces that are out are to be read again from where they were left.
    pub(super) fn recall(&mut self) {
        for unit in &mut self.units {
            for Out { piece, at } in unit.out.drain(..) {
                if at < piece.to {
                    unit.todo.push((piece.pass, at, piece.to));
                }
            }
            // In the order of their places, newer rows of the read part first; the next one stands last.
            unit.todo.sort_by_key(|(pass, from, _)| std::cmp::Reverse((*pass == Pass::Rest, *from)));
        }
        for index in 0..self.units.len() {
            self.settle(index);
        }
    }

    /// The next row that is held back no longer. It counts as delivered from here on.
    pub(super) fn take_due(&mut self) -> Option<Due> {
        let Keeping { unit: index, pass, row, last_of_table } = self.due.pop_front()?;
        let over = self.due.is_empty() && self.closing.is_none() && self.units.iter().all(|unit| unit.done);
        let begun = self.is_begun();
        let unit = self.units.get_mut(index)?;
        let marker = match (over, begun, unit.rows, last_of_table) {
            (true, ..) => Marker::Last,
            (_, false, ..) => Marker::First,
            (_, _, 0, _) => Marker::FirstOfTable,
            (_, _, _, true) => Marker::LastOfTable,
            _ => Marker::Other,
        };
        unit.rows += 1;
        if pass == Pass::Rest {
            unit.read.add(row.address, row.address + 1);
        }
        Some(Due { unit: index, row, marker })
    }

    /// Whether a row is in the log.
    fn is_begun(&self) -> bool {
        self.units.iter().any(|unit| unit.rows > 0)
    }

    /// Sees whether a table is complete now, and with it perhaps all.
    fn settle(&mut self, index: usize) {
        let Some(unit) = self.units.get_mut(index) else { return };
        if unit.planned && unit.todo.is_empty() && unit.out.is_empty() {
            unit.done = true;
            if let Some(held) = unit.held.take() {
                let earlier = self.closing.replace(Keeping { last_of_table: true, ..held });
                self.due.extend(earlier);
            }
        }
        if self.units.iter().all(|unit| unit.done) {
            self.due.extend(self.closing.take());
        }
    }
}

const UNKNOWN: Error = Error::Protocol("a report of a piece that is not out");

impl Unit {
    fn cut(&mut self, index: usize, first: Marker) -> Option<Piece> {
        let (pass, from, end) = self.todo.pop()?;
        let cut = (from >> 16).saturating_add(self.step).checked_mul(1 << 16).unwrap_or(END);
        let to = if cut >= self.end { end } else { cut.min(end) };
        if to < end {
            self.todo.push((pass, to, end));
        }
        let piece = Piece { unit: index, pass, from, to, first };
        self.out.push(Out { piece, at: from });
        Some(piece)
    }
}

#[cfg(test)]
mod tests;
