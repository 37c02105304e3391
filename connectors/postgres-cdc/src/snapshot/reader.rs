//! A reader: an instance of its own that reads pieces of a snapshot, each in the same snapshot as the task's.

use std::sync::Arc;

use towpath_model::{Batch, Clock};

use super::queue::Report;
use super::reading::{Reading, Room};
use super::share::{Share, Standing};
use crate::catalog::Catalog;
use crate::config::Settings;
use crate::envelope::Writer;
use crate::error::Error;
use crate::network::Host;
use crate::schema::Table;
use crate::stream::Limits;
use crate::task::{Run, Wall, writer};
use crate::wire::Connection;

/// What a reader has read.
pub struct Part {
    /// The records.
    pub records: Batch,
    /// How far the piece is read; none when nothing has arrived.
    pub report: Option<Report>,
}

/// Reads pieces, one after the other.
pub struct Reader {
    settings: Settings,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    wall: Wall,
    writer: Writer,
    /// In a transaction that sees the snapshot of this name.
    connection: Option<(String, Connection)>,
    reading: Option<Reading>,
}

impl Reader {
    /// A reader that is not yet connected.
    pub fn new(settings: Settings, run: &Run, host: Arc<dyn Host>, clock: Arc<dyn Clock>) -> Self {
        Self {
            catalog: Catalog::new(host, clock.clone(), settings.login.clone()),
            wall: Wall::new(clock.clone()),
            writer: writer(&settings, run),
            settings,
            clock,
            connection: None,
            reading: None,
        }
    }

    /// Begins to read a piece.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses, or has ended the snapshot.
    pub fn begin(&mut self, share: Share) -> Result<(), Error> {
        let Share { piece, standing, selection, facts, types } = share;
        for known in types {
            self.catalog.types.insert(known);
        }
        let table = Arc::new(Table::new(facts, &self.catalog.types, &self.settings.names, &self.settings.values));
        let clock = self.clock.clone();
        let connection = self.connected(&standing)?;
        self.reading = Some(Reading::begin(connection, piece, table, &selection, (standing, clock))?);
        Ok(())
    }

    /// The connection that sees the snapshot.
    fn connected(&mut self, standing: &Standing) -> Result<&mut Connection, Error> {
        let name = match self.connection.take() {
            Some((name, connection)) if name == standing.name => {
                return Ok(&mut self.connection.insert((name, connection)).1);
            }
            _ => standing.name.clone(),
        };
        let connection = take_up(&self.catalog, &name)?;
        Ok(&mut self.connection.insert((name, connection)).1)
    }

    /// Reads on.
    ///
    /// # Errors
    /// When the connection broke, or a value cannot be represented. The reader is then of no more use.
    pub fn read(&mut self, limits: Limits) -> Result<Part, Error> {
        self.writer.set_now(self.wall.now());
        let (Some((_, connection)), Some(reading)) = (&mut self.connection, &mut self.reading) else {
            return Err(Error::Protocol("a reader without a piece"));
        };
        let mut room = Room { catalog: &mut self.catalog, settings: &self.settings };
        let report = reading.read(connection, &mut self.writer, &mut room, limits)?;
        if report.as_ref().is_some_and(|report| report.done) {
            self.reading = None;
        }
        Ok(Part { records: self.writer.finish(), report })
    }

    /// Keeps the connection alive between pieces.
    ///
    /// # Errors
    /// When it is lost.
    pub fn keep_alive(&mut self) -> Result<(), Error> {
        if let (Some((_, connection)), None) = (&mut self.connection, &self.reading) {
            connection.query("SELECT 1")?;
        }
        Ok(())
    }

    /// Says goodbye.
    pub fn close(mut self) {
        if let Some((_, connection)) = self.connection.take() {
            connection.close();
        }
        self.catalog.close();
    }
}

/// A connection in a transaction that sees the snapshot of this name.
///
/// # Errors
/// When the server cannot be reached, or the snapshot is gone.
pub(super) fn take_up(catalog: &Catalog, snapshot: &str) -> Result<Connection, Error> {
    let mut connection = catalog.connect(false)?;
    connection.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    let name = postgres_protocol::escape::escape_literal(snapshot);
    match connection.query(&format!("SET TRANSACTION SNAPSHOT {name}")) {
        Ok(_) => Ok(connection),
        // It ends with the transaction that exported it; a new one is taken at the next attempt.
        Err(error) if matches!(error.sqlstate(), Some("22023" | "42704" | "55000")) => {
            Err(Error::Busy(format!("{error}; the snapshot is taken anew")))
        }
        Err(error) => Err(error),
    }
}
