//! The configuration, parsed once into types that cannot be wrong. Names and defaults are Debezium's.
//!
//! `spec` holds the definition of the keys, from which defaults come; `reader` reads single keys; `filter` is the include and
//! exclude lists; `columns` and `values` say what becomes of columns and values.

mod columns;
mod filter;
mod reader;
mod spec;
mod values;

pub use columns::ColumnMask;
pub use filter::Filter;
pub use spec::spec;
pub use values::{DecimalMode, HstoreMode, IntervalMode, TimePrecision, ValueSettings};

use std::time::Duration;

use towpath_model::Config;

use crate::error::Error;
use crate::schema::Names;
use crate::wire::Login;
use reader::{Reader, fault};

/// `publication.autocreate.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AutoCreate {
    AllTables,
    Filtered,
    Disabled,
    NoTables,
}

/// `streaming.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum StreamingMode {
    Auto,
    On,
    Off,
}

/// `snapshot.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotMode {
    /// Once, at the first start.
    Initial,
    /// At every start.
    Always,
    /// Once, and no more after it.
    InitialOnly,
    /// Never.
    NoData,
    /// At the first start, and whenever the slot cannot serve the stored position.
    WhenNeeded,
}

/// Which operations make no records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Skipped {
    pub creates: bool,
    pub updates: bool,
    pub deletes: bool,
    pub truncates: bool,
}

/// The configuration of a task.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to log in.
    pub login: Login,
    /// Names of topics and columns.
    pub names: Names,
    /// Which schemas are wanted.
    pub schemas: Filter,
    /// Which tables are wanted, by `schema.table`.
    pub tables: Filter,
    /// `slot.name`.
    pub slot: String,
    /// Whether the slot goes when the task stops.
    pub drop_slot: bool,
    /// Whether the slot is kept in step on standbys.
    pub failover: bool,
    /// `publication.name`.
    pub publication: String,
    /// What is done when it is missing.
    pub autocreate: AutoCreate,
    /// Whether rows of partitions are published as rows of their root.
    pub via_root: bool,
    /// When a snapshot is taken.
    pub snapshot: SnapshotMode,
    /// Whether tables are asked for by name.
    pub has_include_list: bool,
    /// Which tables are read in it, by `schema.table`.
    pub snapshot_tables: Filter,
    /// How many readers the snapshot has.
    pub threads: u32,
    /// How values are represented.
    pub values: ValueSettings,
    /// Whether a delete is followed by a tombstone.
    pub tombstones: bool,
    /// Which operations make no records.
    pub skipped: Skipped,
    /// Whether updates that change nothing that is shown make no records, as far as the old row is known.
    pub skip_unchanged: bool,
    /// Which messages of applications make records, by their prefixes.
    pub messages: Filter,
    /// The topic of transactions' begins and ends; none when they are not told of.
    pub transaction_topic: Option<String>,
    /// Whether records carry Debezium's headers.
    pub headers: bool,
    /// How often the server hears of us.
    pub status_interval: Duration,
    /// Whether the server sends transactions that are still open.
    pub streaming: StreamingMode,
    /// Bytes of memory for such transactions.
    pub streaming_buffer_bytes: usize,
    /// Whether the worker shows each transaction of the server whole: batches end where transactions do, as far as they can.
    pub whole_transactions: bool,
    /// Whether a stored position that the slot cannot serve gives way to the slot's.
    pub trust_slot: bool,
}

impl Settings {
    /// Reads a configuration.
    ///
    /// # Errors
    /// When a key is missing or its value is not one of those allowed.
    pub fn parse(config: &Config) -> Result<Self, Error> {
        let read = Reader { config, spec: spec() };
        let plugin = read.text("plugin.name")?;
        if !matches!(plugin, "pgoutput" | "decoderbufs") {
            return Err(fault("plugin.name", "only `pgoutput`, which every server has, is supported"));
        }
        let slot = read.text("slot.name")?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if slot.is_empty() || slot.len() > 63 || !slot.bytes().all(plain) {
            return Err(fault("slot.name", "a slot's name has 1 to 63 lower-case letters, digits and underscores"));
        }
        let prefix = read.text("topic.prefix")?;
        if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
            return Err(fault(
                "topic.prefix",
                "use letters, digits, dots, underscores and hyphens, as in the name of a topic",
            ));
        }
        let names = read.names(prefix)?;
        let transactions = read.flag("provide.transaction.metadata")?;
        let topic = names.topic_of(read.text("topic.transaction")?);
        Ok(Self {
            login: read.login()?,
            names,
            messages: read.filter("message.prefix.include.list", "message.prefix.exclude.list")?,
            transaction_topic: transactions.then_some(topic),
            schemas: read.filter("schema.include.list", "schema.exclude.list")?,
            tables: read.filter("table.include.list", "table.exclude.list")?,
            slot: slot.into(),
            drop_slot: read.flag("slot.drop.on.stop")?,
            failover: read.flag("slot.failover")?,
            publication: read.text("publication.name")?.into(),
            autocreate: match read.choice("publication.autocreate.mode")? {
                "filtered" => AutoCreate::Filtered,
                "disabled" => AutoCreate::Disabled,
                "no_tables" => AutoCreate::NoTables,
                _ => AutoCreate::AllTables,
            },
            has_include_list: read.config.get("table.include.list").is_some_and(|list| !list.trim().is_empty()),
            via_root: read.flag("publish.via.partition.root")?,
            snapshot: match read.choice("snapshot.mode")? {
                "always" => SnapshotMode::Always,
                "initial_only" => SnapshotMode::InitialOnly,
                "no_data" | "never" => SnapshotMode::NoData,
                "when_needed" => SnapshotMode::WhenNeeded,
                _ => SnapshotMode::Initial,
            },
            snapshot_tables: read.filter("snapshot.include.collection.list", "")?,
            threads: u32::try_from(read.number("snapshot.max.threads", 1, 16)?).unwrap_or(1),
            values: read.values()?,
            tombstones: read.flag("tombstones.on.delete")?,
            skipped: read.skipped()?,
            skip_unchanged: read.flag("skip.messages.without.change")?,
            headers: read.flag("extended.headers.enabled")?,
            status_interval: Duration::from_millis(
                read.number("status.update.interval.ms", 1, 3_600_000)?.unsigned_abs(),
            ),
            streaming: match read.choice("streaming.mode")? {
                "on" => StreamingMode::On,
                "off" => StreamingMode::Off,
                _ => StreamingMode::Auto,
            },
            streaming_buffer_bytes: read.number("streaming.buffer.bytes", 64 << 10, 128 << 20)? as usize,
            whole_transactions: read
                .config
                .get("transaction.boundary")
                .is_some_and(|boundary| boundary.eq_ignore_ascii_case("connector")),
            trust_slot: matches!(read.choice("offset.mismatch.strategy")?, "trust_slot" | "trust_greater_lsn"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::SslMode;

    fn parse(settings: &[(&str, &str)]) -> Result<Settings, Error> {
        let required = [
            ("database.hostname", "db"),
            ("database.user", "u"),
            ("database.dbname", "shop"),
            ("topic.prefix", "shop"),
        ];
        Settings::parse(&required.into_iter().chain(settings.iter().copied()).collect())
    }

    #[test]
    fn defaults_are_those_of_the_definition() {
        let settings = parse(&[]).expect("valid");
        assert_eq!((settings.slot.as_str(), settings.publication.as_str()), ("debezium", "dbz_publication"));
        assert_eq!((settings.login.port, settings.login.ssl), (5432, SslMode::Prefer));
        assert_eq!(settings.values.placeholder, b"__debezium_unavailable_value");
        assert!(settings.tombstones && settings.skipped.truncates && !settings.skipped.updates);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key() {
        let check = |settings: &[(&str, &str)], expected: &str| match parse(settings) {
            Err(Error::Setting { key, .. }) => assert_eq!(key, expected),
            other => panic!("{expected}: {other:?}"),
        };
        check(&[("slot.name", "Bad-Name")], "slot.name");
        check(&[("table.include.list", "a(")], "table.include.list");
        check(&[("table.include.list", "a"), ("table.exclude.list", "b")], "table.exclude.list");
        check(&[("snapshot.mode", "sometimes")], "snapshot.mode");
        check(&[("plugin.name", "wal2json")], "plugin.name");
        check(&[("skipped.operations", "x")], "skipped.operations");
        check(&[("unavailable.value.placeholder", "hex:zz")], "unavailable.value.placeholder");
    }
}
