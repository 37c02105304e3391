//! A table of the snapshot: what it is asked for and in pieces of what size, known once it is looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use postgres_protocol::escape::escape_identifier;

use super::queue::Piece;
use super::ranges::Ranges;
use super::reading::explain;
use super::share::{Selection, Share, Standing};
use crate::catalog::{Catalog, TableFile};
use crate::config::Settings;
use crate::error::Error;
use crate::offset::TableProgress;
use crate::schema::{Table, TableFacts};
use crate::setup::captured;
use crate::wire::{Connection, ReplicaIdentity};

/// A piece has at most so many bytes of the table's file,
const PIECE_BYTES_MAX: u64 = 64 << 20;
/// at least so many,
const PIECE_BYTES_MIN: u64 = 4 << 20;
/// and each reader gets about so many of a table, so that all come to its end together.
const PIECES_A_READER: u64 = 8;
/// The first version that finds a stretch of places without reading what lies before it.
const RANGE_SCAN_VERSION: u32 = 140_000;

/// A table, or a part of one, that holds rows itself.
pub(super) struct Unit {
    /// Where the rows stand.
    pub file: TableFile,
    /// What is in the log of it already.
    pub known: Option<TableProgress>,
    /// The table that is published.
    oid: u32,
    /// The columns that are published; none for all.
    columns: Option<Vec<String>>,
    filter: Option<String>,
    looked: Option<Looked>,
}

struct Looked {
    table: Arc<Table>,
    select: String,
}

/// What a look at a table found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Blocks of a piece.
    pub step: u64,
    /// The rows stand elsewhere than when they were read.
    pub rewritten: bool,
    /// Rows may have moved out of the unread part, with values left out of their changes.
    pub moved: bool,
}

/// The captured tables, the largest first.
///
/// # Errors
/// When the catalog cannot be read.
pub(super) fn units(
    catalog: &mut Catalog,
    settings: &Settings,
    ledger: &BTreeMap<String, TableProgress>,
) -> Result<Vec<Unit>, Error> {
    let mut units = Vec::new();
    for published in captured(catalog, settings)? {
        if !settings.snapshot_tables.wants(&format!("{}.{}", published.schema, published.name)) {
            continue;
        }
        for file in published.files {
            let known = ledger.get(&file.path).filter(|known| known.file == file.file).cloned();
            units.push(Unit {
                known,
                file,
                oid: published.oid,
                columns: published.columns.clone(),
                filter: published.row_filter.clone(),
                looked: None,
            });
        }
    }
    units.sort_by_key(|unit| std::cmp::Reverse(unit.file.blocks));
    Ok(units)
}

impl Unit {
    /// The oldest transaction that was open when reading began; `now` where it has not begun.
    pub(super) fn xmin(&self, now: u64) -> u64 {
        self.known.as_ref().map_or(now, |known| known.xmin)
    }

    /// The table, once it is looked at.
    pub(super) fn table(&self) -> Option<&Arc<Table>> {
        self.looked.as_ref().map(|looked| &looked.table)
    }

    /// Takes over the room that was made elsewhere for the table's values.
    pub(super) fn widen(&mut self, facts: &TableFacts, catalog: &Catalog, settings: &Settings) {
        let Some(table) = self.table_mut() else { return };
        let widened = table.facts.widened(facts);
        if widened != table.facts {
            *table = Arc::new(Table::new(widened, &catalog.types, &settings.names, &settings.values));
        }
    }

    /// The same, to have room made in it.
    pub(super) fn table_mut(&mut self) -> Option<&mut Arc<Table>> {
        self.looked.as_mut().map(|looked| &mut looked.table)
    }

    /// Takes hold of the table for as long as the transaction lasts, and sees what it is now; none when it was dropped.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn look(
        &mut self,
        connection: &mut Connection,
        catalog: &mut Catalog,
        settings: &Settings,
        block_bytes: u64,
    ) -> Result<Option<Found>, Error> {
        let oid = self.file.oid;
        // Reading nothing of it locks it as reading does, and needs the same rights.
        let look = format!(
            "SAVEPOINT look; SELECT FROM ONLY {} LIMIT 0; \
             SELECT coalesce(pg_relation_filenode({oid}), 0), pg_relation_size({oid}); RELEASE look",
            self.file.quoted
        );
        let seen = match connection.query(&look) {
            Ok(seen) => seen,
            Err(error) if error.sqlstate() == Some("42P01") && !catalog.exists(oid)? => {
                connection.query("ROLLBACK TO look")?;
                return Ok(None);
            }
            Err(error) => return Err(explain(error, &self.file.path)),
        };
        let number = |column: usize| seen.last()?.get(column)?.as_ref()?.parse::<u64>().ok();
        let (Some(file), Some(bytes)) = (number(0), number(1)) else {
            return Err(Error::Protocol("a table of unexpected shape"));
        };
        let Some(facts) = catalog.table(self.oid)? else {
            return Err(Error::Busy(format!("{} changed during the snapshot, which goes on anew", self.file.path)));
        };
        let rewritten = file != self.file.file;
        if rewritten {
            self.known = None;
        }
        let moved = self.known.is_some() && self.file.toasted && facts.identity != ReplicaIdentity::Full;
        (self.file.file, self.file.blocks) = (file, bytes / block_bytes);
        self.looked = Some(self.select(facts, catalog, settings));
        let step =
            if catalog.version() < RANGE_SCAN_VERSION { u64::MAX } else { step(bytes, settings.threads, block_bytes) };
        Ok(Some(Found { step, rewritten, moved }))
    }

    /// How the table's rows are asked for, and what they are.
    fn select(&self, mut facts: TableFacts, catalog: &Catalog, settings: &Settings) -> Looked {
        if let Some(columns) = &self.columns {
            facts.columns.retain(|column| columns.contains(&column.name));
        }
        // The columns are selected in the order of the facts, left-out ones too, so that places agree.
        for (place, column) in facts.columns.iter_mut().enumerate() {
            column.place = place;
        }
        let table = Table::new(facts, &catalog.types, &settings.names, &settings.values);
        let wanted = |name: &str| table.columns.iter().any(|column| column.name == name);
        let list = table
            .facts
            .columns
            .iter()
            .map(|column| if wanted(&column.name) { escape_identifier(&column.name) } else { "NULL".into() });
        let list = std::iter::once("ctid".to_owned()).chain(list).collect::<Vec<_>>().join(", ");
        Looked { select: format!("SELECT {list} FROM ONLY {}", self.file.quoted), table: Arc::new(table) }
    }

    /// How its rows are asked for.
    ///
    /// # Errors
    /// When it was not looked at.
    pub(super) fn selection(&self, xmin: u64) -> Result<Selection, Error> {
        let looked = self.looked()?;
        Ok(Selection {
            path: self.file.path.clone(),
            select: looked.select.clone(),
            filter: self.filter.clone(),
            xmin: self.xmin(xmin),
        })
    }

    /// A piece of it for a reader.
    ///
    /// # Errors
    /// When it was not looked at.
    pub(super) fn share(
        &self,
        piece: Piece,
        standing: &Standing,
        xmin: u64,
        catalog: &Catalog,
    ) -> Result<Share, Error> {
        let facts = self.looked()?.table.facts.clone();
        let types = catalog.types.within(facts.columns.iter().map(|column| column.type_oid));
        Ok(Share { piece, standing: standing.clone(), selection: self.selection(xmin)?, facts, types })
    }

    fn looked(&self) -> Result<&Looked, Error> {
        self.looked.as_ref().ok_or(Error::Protocol("a piece of a table that was not looked at"))
    }

    /// How many rows it has, about: by the catalog, or else by what was found so far.
    pub(super) fn expected(&self, rows: f64, read: &Ranges) -> f64 {
        if self.file.rows > 0.0 {
            return self.file.rows;
        }
        let seen = read.blocks(self.file.blocks << 16);
        if seen > 0.0 { rows / seen * self.file.blocks as f64 } else { 0.0 }
    }
}

/// How many blocks a piece of a table of so many bytes has.
fn step(bytes: u64, threads: u32, block_bytes: u64) -> u64 {
    if threads < 2 {
        return u64::MAX;
    }
    let even = bytes / (u64::from(threads) * PIECES_A_READER);
    even.clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX) / block_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_even_and_neither_tiny_nor_huge() {
        assert_eq!(step(1 << 40, 4, 8192), 8192);
        assert_eq!(step(1 << 20, 4, 8192), 512);
        assert_eq!(step(320 << 20, 2, 8192), 20 << 20 >> 13);
        assert_eq!(step(1 << 40, 1, 8192), u64::MAX, "one reader needs no pieces");
    }
}
