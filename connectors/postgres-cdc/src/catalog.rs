//! What the server's catalog says: of itself, of publications, slots, tables and types.
//!
//! One control connection, opened when it is needed and opened again when it broke. Names go into queries escaped. Here are the
//! server, its publications and slots; `tables` and `types` say what rows are made of.

mod tables;
mod types;

use std::sync::Arc;
use std::time::Duration;

use postgres_protocol::escape::{escape_identifier, escape_literal};
use towpath_model::Clock;

use crate::error::Error;
use crate::network::Host;
use crate::offset::parse_lsn;
use crate::schema::TypeRegistry;
use crate::wire::{Connection, Login, ReplicaIdentity, Row};

/// The server and the role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its version, as 150018.
    pub version: u32,
    /// `wal_level`.
    pub wal_level: String,
    /// Whether the role may replicate.
    pub may_replicate: bool,
    /// Whether the role may do everything.
    pub is_superuser: bool,
    /// Whether the role may create something in the database, such as a publication.
    pub may_create: bool,
    /// Whether it is a standby.
    pub in_recovery: bool,
    /// The role by which a provider of managed servers grants replication.
    pub replication_role: Option<String>,
}

/// How much of what captures need is taken on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Slots that there are.
    pub slots: u32,
    /// `max_replication_slots`.
    pub slots_max: u32,
    /// Senders that run.
    pub senders: u32,
    /// `max_wal_senders`.
    pub senders_max: u32,
    /// A slot that nobody uses at the moment.
    pub idle_slot: Option<String>,
}

/// A client of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its process on the server.
    pub pid: u32,
    /// What it calls itself.
    pub application: String,
    /// Where it is, its role, and since when.
    details: String,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} ({}{})", self.pid, self.application, self.details)
    }
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
    /// So much more log may be written before the slot is lost, where there is a limit.
    pub safe_bytes: Option<i64>,
    /// `max_slot_wal_keep_size`, where it is one.
    pub keep_bytes: Option<i64>,
}

/// A publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Whether it is for all tables, also those to come.
    pub all_tables: bool,
    /// Whether inserts are published.
    pub inserts: bool,
    /// Whether updates are published.
    pub updates: bool,
    /// Whether deletes are published.
    pub deletes: bool,
    /// Whether truncates are published.
    pub truncates: bool,
    /// Whether the role may change it.
    pub is_owned: bool,
}

/// How a table that is wanted stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Both, quoted for SQL.
    pub quoted: String,
    /// How rows are identified in updates and deletes.
    pub identity: ReplicaIdentity,
    /// Whether it has a primary key.
    pub has_key: bool,
    /// Whether the index that identifies its rows is there.
    pub has_identity_index: bool,
    /// Whether the role may read it.
    pub is_readable: bool,
    /// Whether the role may use its schema.
    pub is_reachable: bool,
    /// Whether the role owns it.
    pub is_owned: bool,
    /// Whether rows are hidden from the role.
    pub has_row_security: bool,
    /// Whether the publication holds it.
    pub is_published: bool,
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
    /// Its oid.
    pub oid: u32,
    /// `schema.table`.
    pub path: String,
    /// The same, quoted for SQL.
    pub quoted: String,
    /// The file's number, which changes when the table is rewritten.
    pub file: u64,
    /// How many blocks the file has.
    pub blocks: u64,
    /// About how many rows it holds; zero when the catalog does not know.
    pub rows: f64,
    /// Whether it has values that are stored apart, and so may be left out of changes.
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
            AND pg_has_role(r.oid, o.oid, 'member')), rolsuper OR EXISTS (SELECT FROM pg_roles o WHERE o.rolname IN \
            ('rds_superuser', 'cloudsqlsuperuser') AND pg_has_role(r.oid, o.oid, 'member')), \
            has_database_privilege(current_database(), 'CREATE'), pg_is_in_recovery(), \
            (SELECT min(rolname) FROM pg_roles WHERE rolname = 'rds_replication') FROM pg_roles r WHERE rolname = current_user";
        let was_connected = self.connection.is_some();
        let rows = self.query(sql).or_else(|error| match error.sqlstate() {
            None if was_connected => self.query(sql),
            _ => Err(error),
        })?;
        let row = rows.into_iter().next().ok_or(UNEXPECTED)?;
        let mut fields = Fields(row.into_iter());
        let server = Server {
            version: fields.number()?,
            wal_level: fields.text()?,
            may_replicate: fields.flag()?,
            is_superuser: fields.flag()?,
            may_create: fields.flag()?,
            in_recovery: fields.flag()?,
            replication_role: fields.optional(),
        };
        self.version = server.version;
        Ok(server)
    }

    /// A publication.
    pub fn publication(&mut self, name: &str) -> Result<Option<Publication>, Error> {
        let truncates = if self.version >= 110_000 { "pubtruncate" } else { "false" };
        let sql = format!(
            "SELECT puballtables, pubinsert, pubupdate, pubdelete, {truncates}, pg_has_role(pubowner, 'USAGE') FROM pg_publication \
             WHERE pubname = {}",
            escape_literal(name)
        );
        let Some(row) = self.query(&sql)?.into_iter().next() else { return Ok(None) };
        let mut fields = Fields(row.into_iter());
        Ok(Some(Publication {
            all_tables: fields.flag()?,
            inserts: fields.flag()?,
            updates: fields.flag()?,
            deletes: fields.flag()?,
            truncates: fields.flag()?,
            is_owned: fields.flag()?,
        }))
    }

    /// A slot.
    pub fn slot(&mut self, name: &str) -> Result<Option<Slot>, Error> {
        // The setting is in MiB; -1 is no limit.
        let status = if self.version >= 130_000 {
            "wal_status, safe_wal_size, (SELECT setting::bigint * 1048576 FROM pg_settings WHERE name = 'max_slot_wal_keep_size' AND \
             setting::bigint > 0)"
        } else {
            "NULL, NULL, NULL"
        };
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
            safe_bytes: fields.optional().and_then(|bytes| bytes.parse().ok()),
            keep_bytes: fields.optional().and_then(|bytes| bytes.parse().ok()),
        }))
    }

    /// How long each answer may take from now on, where that is shorter than the configuration says.
    pub fn answer_within(&mut self, longest: Duration) {
        self.login.timeout = self.login.timeout.min(longest);
    }

    /// How much of what captures need is taken.
    pub fn capacity(&mut self) -> Result<Capacity, Error> {
        let sql = "SELECT (SELECT count(*) FROM pg_replication_slots), current_setting('max_replication_slots'), \
            (SELECT count(*) FROM pg_stat_get_wal_senders()), current_setting('max_wal_senders'), \
            (SELECT min(slot_name) FROM pg_replication_slots WHERE NOT active)";
        let row = self.query(sql)?.into_iter().next().ok_or(UNEXPECTED)?;
        let mut fields = Fields(row.into_iter());
        Ok(Capacity {
            slots: fields.number()?,
            slots_max: fields.number()?,
            senders: fields.number()?,
            senders_max: fields.number()?,
            idle_slot: fields.optional(),
        })
    }

    /// Who a process of the server serves.
    pub fn owner(&mut self, pid: u32) -> Result<Owner, Error> {
        let sql = format!(
            "SELECT coalesce(nullif(application_name, ''), 'an unnamed client'), ' from ' || coalesce(client_addr::text, 'a local \
             socket') || ' as ' || coalesce(usename, '?') || coalesce(' since ' || date_trunc('second', backend_start)::text, '') \
             FROM pg_stat_activity WHERE pid = {pid}"
        );
        let Some(row) = self.query(&sql)?.into_iter().next() else {
            return Ok(Owner { pid, application: "a client that is just going".into(), details: String::new() });
        };
        let mut fields = Fields(row.into_iter());
        Ok(Owner { pid, application: fields.text()?, details: fields.optional().unwrap_or_default() })
    }

    /// How these tables stand with regard to the role and a publication.
    pub fn standing(&mut self, tables: &[(String, String)], publication: &str) -> Result<Vec<Standing>, Error> {
        if tables.is_empty() {
            return Ok(Vec::new());
        }
        let list = tables.iter().map(|(schema, name)| format!("({},{})", escape_literal(schema), escape_literal(name)));
        let sql = format!(
            "SELECT n.nspname, c.relname, c.relreplident, \
             EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary), \
             EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident), \
             has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT'), \
             has_schema_privilege(n.oid, 'USAGE'), pg_has_role(c.relowner, 'USAGE'), row_security_active(c.oid), \
             p.tablename IS NOT NULL FROM (VALUES {}) v(s, t) JOIN pg_namespace n ON n.nspname = v.s \
             JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = v.t LEFT JOIN pg_publication_tables p \
             ON p.pubname = {} AND p.schemaname = n.nspname AND p.tablename = c.relname ORDER BY 1, 2",
            list.collect::<Vec<_>>().join(","),
            escape_literal(publication)
        );
        self.query(&sql)?
            .into_iter()
            .map(|row| {
                let mut fields = Fields(row.into_iter());
                let (schema, name) = (fields.text()?, fields.text()?);
                Ok(Standing {
                    quoted: format!("{}.{}", escape_identifier(&schema), escape_identifier(&name)),
                    schema,
                    name,
                    identity: identity(&fields.text()?),
                    has_key: fields.flag()?,
                    has_identity_index: fields.flag()?,
                    is_readable: fields.flag()?,
                    is_reachable: fields.flag()?,
                    is_owned: fields.flag()?,
                    has_row_security: fields.flag()?,
                    is_published: fields.flag()?,
                })
            })
            .collect()
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
}

fn identity(letter: &str) -> ReplicaIdentity {
    match letter {
        "n" => ReplicaIdentity::Nothing,
        "f" => ReplicaIdentity::Full,
        "i" => ReplicaIdentity::Index,
        _ => ReplicaIdentity::Default,
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
