//! The configuration, parsed once into types that cannot be wrong. Names and defaults are Debezium's.
//!
//! `spec` holds the definition of the keys, from which defaults come; `filter` the include and exclude lists.

mod filter;
mod spec;

pub use filter::Filter;
pub use spec::spec;

use std::time::Duration;

use towpath_model::{Config, Secret};

use crate::error::Error;
use crate::network::{Tls, Verify};
use crate::schema::Names;
use crate::value::BinaryMode;
use crate::wire::{Login, SslMode};

/// `decimal.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum DecimalMode {
    Precise,
    String,
    Double,
}

/// `time.precision.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TimePrecision {
    Adaptive,
    AdaptiveTimeMicroseconds,
    Connect,
    Microseconds,
    Nanoseconds,
}

/// `interval.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum IntervalMode {
    Numeric,
    String,
}

/// `publication.autocreate.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AutoCreate {
    AllTables,
    Filtered,
    Disabled,
    NoTables,
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

/// How values are represented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueSettings {
    /// Decimals.
    pub decimal: DecimalMode,
    /// Times and timestamps.
    pub time: TimePrecision,
    /// Intervals.
    pub interval: IntervalMode,
    /// Bytes.
    pub binary: BinaryMode,
    /// Digits after the point of money.
    pub money_digits: i32,
    /// Whether types that are not known are given as bytes.
    pub include_unknown: bool,
    /// What stands for a large value that did not change and was not sent.
    pub placeholder: Vec<u8>,
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
    /// Which tables are read in it, by `schema.table`.
    pub snapshot_tables: Filter,
    /// How values are represented.
    pub values: ValueSettings,
    /// Whether a delete is followed by a tombstone.
    pub tombstones: bool,
    /// Which operations make no records.
    pub skipped: Skipped,
    /// Whether records carry Debezium's headers.
    pub headers: bool,
    /// How often the server hears of us.
    pub status_interval: Duration,
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
        Ok(Self {
            login: read.login()?,
            names: Names {
                prefix: prefix.into(),
                delimiter: read.text("topic.delimiter")?.into(),
                columns: read.filter("column.include.list", "column.exclude.list")?,
            },
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
            via_root: read.flag("publish.via.partition.root")?,
            snapshot: match read.choice("snapshot.mode")? {
                "always" => SnapshotMode::Always,
                "initial_only" => SnapshotMode::InitialOnly,
                "no_data" | "never" => SnapshotMode::NoData,
                "when_needed" => SnapshotMode::WhenNeeded,
                _ => SnapshotMode::Initial,
            },
            snapshot_tables: read.filter("snapshot.include.collection.list", "")?,
            values: read.values()?,
            tombstones: read.flag("tombstones.on.delete")?,
            skipped: read.skipped()?,
            headers: read.flag("extended.headers.enabled")?,
            status_interval: Duration::from_millis(
                read.number("status.update.interval.ms", 1, 3_600_000)?.unsigned_abs(),
            ),
            trust_slot: read.choice("offset.mismatch.strategy")? == "trust_slot",
        })
    }
}

fn fault(key: &'static str, reason: impl Into<String>) -> Error {
    Error::Setting { key, reason: reason.into() }
}

/// Reads keys, with the defaults of the spec.
struct Reader<'a> {
    config: &'a Config,
    spec: towpath_model::Spec,
}

impl Reader<'_> {
    fn optional(&self, key: &'static str) -> Option<&str> {
        let default = || self.spec.keys.iter().find(|known| known.name == key)?.default.as_deref();
        self.config.get(key).or_else(default)
    }

    fn text(&self, key: &'static str) -> Result<&str, Error> {
        self.optional(key).ok_or_else(|| fault(key, "a value is required"))
    }

    fn choice(&self, key: &'static str) -> Result<&str, Error> {
        let value = self.text(key)?;
        let allowed = self.spec.keys.iter().find(|known| known.name == key).map(|known| known.valid_values.as_slice());
        let allowed = allowed.unwrap_or_default();
        if allowed.is_empty() || allowed.iter().any(|one| one == value) {
            return Ok(value);
        }
        Err(fault(key, format!("`{value}` is not one of {}", allowed.join(", "))))
    }

    fn flag(&self, key: &'static str) -> Result<bool, Error> {
        match self.text(key)?.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(fault(key, "must be `true` or `false`")),
        }
    }

    fn number(&self, key: &'static str, min: i64, max: i64) -> Result<i64, Error> {
        let number: Option<i64> = self.text(key)?.trim().parse().ok();
        number
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| fault(key, format!("must be a number from {min} to {max}")))
    }

    fn filter(&self, include: &'static str, exclude: &'static str) -> Result<Filter, Error> {
        let list = |key| self.optional(key).map(str::trim).filter(|list| !list.is_empty());
        let (included, excluded) = (list(include), list(exclude));
        if included.is_some() && excluded.is_some() {
            return Err(fault(exclude, format!("cannot be used together with `{include}`")));
        }
        Filter::new(included, excluded)
            .map_err(|reason| fault(if included.is_some() { include } else { exclude }, reason))
    }

    fn login(&self) -> Result<Login, Error> {
        let mode = self.choice("database.sslmode")?;
        let (ssl, verify) = match mode {
            "disable" => (SslMode::Disable, Verify::None),
            "allow" | "prefer" => (SslMode::Prefer, Verify::None),
            "require" => (SslMode::Require, Verify::None),
            "verify-ca" => (SslMode::Require, Verify::Authority),
            _ => (SslMode::Require, Verify::Full),
        };
        let file = |key: &'static str| self.config.get(key).is_some_and(|path| !path.is_empty()).then_some(key);
        let timeout = self.number("database.query.timeout.ms", 1_000, 86_400_000)?;
        Ok(Login {
            host: self.text("database.hostname")?.into(),
            port: self.number("database.port", 1, 65_535)? as u16,
            user: self.text("database.user")?.into(),
            password: self.optional("database.password").map(Secret::new),
            database: self.text("database.dbname")?.into(),
            ssl,
            tls: Tls {
                verify,
                roots_key: file("database.sslrootcert"),
                certificate_key: file("database.sslcert"),
                private_key_key: file("database.sslkey"),
            },
            application_name: "Towpath".into(),
            timeout: Duration::from_millis(timeout.unsigned_abs()),
        })
    }

    fn values(&self) -> Result<ValueSettings, Error> {
        let placeholder = self.text("unavailable.value.placeholder")?;
        let placeholder = match placeholder.strip_prefix("hex:") {
            None => placeholder.as_bytes().to_vec(),
            Some(digits) => hex(digits).filter(|bytes| std::str::from_utf8(bytes).is_ok()).ok_or_else(|| {
                fault("unavailable.value.placeholder", "`hex:` is followed by the hexadecimal digits of UTF-8")
            })?,
        };
        Ok(ValueSettings {
            decimal: match self.choice("decimal.handling.mode")? {
                "string" => DecimalMode::String,
                "double" => DecimalMode::Double,
                _ => DecimalMode::Precise,
            },
            time: match self.choice("time.precision.mode")? {
                "adaptive_time_microseconds" => TimePrecision::AdaptiveTimeMicroseconds,
                "connect" => TimePrecision::Connect,
                "microseconds" => TimePrecision::Microseconds,
                "nanoseconds" => TimePrecision::Nanoseconds,
                _ => TimePrecision::Adaptive,
            },
            interval: match self.choice("interval.handling.mode")? {
                "string" => IntervalMode::String,
                _ => IntervalMode::Numeric,
            },
            binary: match self.choice("binary.handling.mode")? {
                "base64" => BinaryMode::Base64,
                "base64-url-safe" => BinaryMode::Base64UrlSafe,
                "hex" => BinaryMode::Hex,
                _ => BinaryMode::Bytes,
            },
            money_digits: self.number("money.fraction.digits", 0, 18)? as i32,
            include_unknown: self.flag("include.unknown.datatypes")?,
            placeholder,
        })
    }

    fn skipped(&self) -> Result<Skipped, Error> {
        let mut skipped = Skipped::default();
        for operation in self.text("skipped.operations")?.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            match operation {
                "c" => skipped.creates = true,
                "u" => skipped.updates = true,
                "d" => skipped.deletes = true,
                "t" => skipped.truncates = true,
                "none" => {}
                other => return Err(fault("skipped.operations", format!("`{other}` is not one of c, u, d, t, none"))),
            }
        }
        Ok(skipped)
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| (byte as char).to_digit(16);
    let bytes = pairs.iter().map(|[high, low]| Some((digit(*high)? << 4 | digit(*low)?) as u8)).collect::<Option<_>>();
    bytes.filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

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
