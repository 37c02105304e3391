//! What the server's catalog says: of itself, of publications, slots, tables and types.
//!
//! One control connection, opened when it is needed and opened again when it broke. Names go into queries escaped. Here are the
//! server, its publications and slots; `tables` and `types` say what rows are made of.

mod tables;
mod types;

use std::sync::Arc;

use postgres_protocol::escape::{escape_identifier, escape_literal};
use towpath_model::Clock;

use crate::error::Error;
use crate::network::Host;
use crate::offset::parse_lsn;
use crate::schema::TypeRegistry;
use crate::wire::{Connection, Login, Row};

/// The server and the role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its version, as 150018.
    pub version: u32,
    /// `wal_level`.
    pub wal_level: String,
    /// Whether the role may replicate.
    pub may_replicate: bool,
}

/// A replication slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its output plugin.
    pub plugin: String,
    /// Its database.
    pub database: String,
    /// The process that uses it.
    pub active_pid: Option<u32>,
    /// Changes committed before this place are gone from it.
    pub confirmed: u64,
    /// `reserved`, `extended`, `unreserved` or `lost`, where the server tells.
    pub wal_status: String,
}

/// A publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Whether it is for all tables, also those to come.
    pub all_tables: bool,
}

/// A table that is published.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// Its oid.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The columns that are published; none for all.
    pub columns: Option<Vec<String>>,
    /// The condition that rows must meet to be published.
    pub row_filter: Option<String>,
    /// Where its rows stand: itself, or its leaf partitions.
    pub files: Vec<TableFile>,
}

/// A table that holds rows itself.
#[derive(Clone, Debug, PartialEq)]
pub struct TableFile {
    /// `schema.table`.
    pub path: String,
    /// The same, quoted for SQL.
    pub quoted: String,
    /// The file's number, which changes when the table is rewritten.
    pub file: u64,
    /// About how many rows it holds.
    pub rows: f64,
    /// Whether it has values that may be stored apart, and so may be left out of changes.
    pub toasted: bool,
}

/// Reads the catalog.
pub struct Catalog {
    host: Arc<dyn Host>,
    clock: Arc<dyn Clock>,
    login: Login,
    connection: Option<Connection>,
    version: u32,
    /// The types seen so far.
    pub types: TypeRegistry,
}

impl Catalog {
    /// A catalog that is not yet connected.
    pub fn new(host: Arc<dyn Host>, clock: Arc<dyn Clock>, login: Login) -> Self {
        Self { host, clock, login, connection: None, version: 0, types: TypeRegistry::default() }
    }

    /// The server's version, once it is probed.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Opens a connection of its own for another purpose.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses; so for all that follow.
    pub fn connect(&self, replication: bool) -> Result<Connection, Error> {
        Connection::open(self.host.as_ref(), &self.login, replication, self.clock.clone())
    }

    /// Runs a query on the control connection.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Row>, Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect(false)?,
        };
        let answer = connection.query(sql);
        // After an error of the server the connection is as good as before; after any other it is not.
        if !matches!(&answer, Err(error) if error.sqlstate().is_none()) {
            self.connection = Some(connection);
        }
        answer
    }

    /// Closes the control connection.
    pub fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
    }

    /// Asks the server who it is. The answer may have been lost with an old connection, so a new one is tried once.
    pub fn probe(&mut self) -> Result<Server, Error> {
        let sql = "SELECT current_setting('server_version_num'), current_setting('wal_level'), \
            rolreplication OR rolsuper OR EXISTS (SELECT FROM pg_roles o WHERE o.rolname IN ('rds_replication', 'cloudsqlreplica') \
            AND pg_has_role(r.oid, o.oid, 'member')) FROM pg_roles r WHERE rolname = current_user";
        let rows =
            self.query(sql).or_else(|error| if error.sqlstate().is_none() { self.query(sql) } else { Err(error) })?;
        let row = rows.into_iter().next().ok_or(UNEXPECTED)?;
        let mut fields = Fields(row.into_iter());
        let server = Server { version: fields.number()?, wal_level: fields.text()?, may_replicate: fields.flag()? };
        self.version = server.version;
        Ok(server)
    }

    /// A publication.
    pub fn publication(&mut self, name: &str) -> Result<Option<Publication>, Error> {
        let sql = format!("SELECT puballtables FROM pg_publication WHERE pubname = {}", escape_literal(name));
        let row = self.query(&sql)?.into_iter().next();
        row.map(|row| Ok(Publication { all_tables: Fields(row.into_iter()).flag()? })).transpose()
    }

    /// A slot.
    pub fn slot(&mut self, name: &str) -> Result<Option<Slot>, Error> {
        let status = if self.version >= 130_000 { "wal_status" } else { "NULL" };
        let sql = format!(
            "SELECT plugin, database, active_pid, confirmed_flush_lsn, {status} FROM pg_replication_slots WHERE slot_name = {}",
            escape_literal(name)
        );
        let Some(row) = self.query(&sql)?.into_iter().next() else { return Ok(None) };
        let mut fields = Fields(row.into_iter());
        Ok(Some(Slot {
            plugin: fields.optional().unwrap_or_default(),
            database: fields.optional().unwrap_or_default(),
            active_pid: fields.optional().and_then(|pid| pid.parse().ok()),
            confirmed: fields.optional().and_then(|lsn| parse_lsn(&lsn)).unwrap_or(0),
            wal_status: fields.optional().unwrap_or_default(),
        }))
    }

    /// Who a process of the server serves, for people.
    pub fn owner(&mut self, pid: u32) -> Result<String, Error> {
        let sql = format!(
            "SELECT coalesce(nullif(application_name, ''), 'an unnamed client'), coalesce(client_addr::text, 'a local socket'), \
             usename FROM pg_stat_activity WHERE pid = {pid}"
        );
        let Some(row) = self.query(&sql)?.into_iter().next() else { return Ok(format!("process {pid}")) };
        let mut fields = Fields(row.into_iter());
        Ok(format!(
            "process {pid} ({} from {} as {})",
            fields.text()?,
            fields.text()?,
            fields.optional().unwrap_or_default()
        ))
    }

    /// The tables that a publication could hold: ordinary ones, and with `via_root` partitioned ones for their leaves.
    pub fn tables(&mut self, via_root: bool) -> Result<Vec<(String, String)>, Error> {
        let kinds = if via_root { "c.relkind IN ('r', 'p') AND NOT c.relispartition" } else { "c.relkind = 'r'" };
        let sql = format!(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {kinds} \
             AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
             AND n.nspname NOT LIKE 'pg\\_toast%' ORDER BY 1, 2"
        );
        self.query(&sql)?
            .into_iter()
            .map(|row| {
                let mut fields = Fields(row.into_iter());
                Ok((fields.text()?, fields.text()?))
            })
            .collect()
    }

    /// Which of these tables the role may not read, quoted for SQL; the first few.
    pub fn unreadable(&mut self, tables: &[(String, String)]) -> Result<Vec<String>, Error> {
        let quoted =
            tables.iter().map(|(schema, table)| format!("{}.{}", escape_identifier(schema), escape_identifier(table)));
        let list = quoted.map(|name| format!("({})", escape_literal(&name))).collect::<Vec<_>>();
        if list.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT t FROM (VALUES {}) v(t) WHERE NOT has_table_privilege(t, 'SELECT') ORDER BY t LIMIT 10",
            list.join(",")
        );
        Ok(self.query(&sql)?.into_iter().filter_map(|mut row| row.pop().flatten()).collect())
    }
}

/// Reads the fields of a row in order.
struct Fields(std::vec::IntoIter<Option<String>>);

const UNEXPECTED: Error = Error::Protocol("a catalog row of unexpected shape");

impl Fields {
    fn optional(&mut self) -> Option<String> {
        self.0.next().flatten()
    }

    fn text(&mut self) -> Result<String, Error> {
        self.optional().ok_or(UNEXPECTED)
    }

    fn flag(&mut self) -> Result<bool, Error> {
        Ok(self.text()? == "t")
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, Error> {
        self.text()?.parse().map_err(|_| UNEXPECTED)
    }
}
