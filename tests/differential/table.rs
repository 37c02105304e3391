//! Random tables: their columns, keys, identities and partitions, and the SQL that makes them.

use std::fmt::Write as _;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::kinds::{KINDS, Kind, kind};

/// Every table has a column of numbers by which the workload finds its rows, whatever its key is.
const ROW: &str = "n";

/// The bounds of the partition with the lower numbers.
const LOW: &str = "from (minvalue) to (40)";

/// What a part of a key is made of. Its value follows from the number of the row, so that keys never collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyPart {
    Row,
    Text,
    Uuid,
    Numeric,
    Instant,
    Date,
    Bytes,
}

impl KeyPart {
    const OTHERS: [Self; 6] = [Self::Text, Self::Uuid, Self::Numeric, Self::Instant, Self::Date, Self::Bytes];

    fn name(self) -> &'static str {
        match self {
            Self::Row => ROW,
            Self::Text => "key_text",
            Self::Uuid => "Key uuid",
            Self::Numeric => "key_numeric",
            Self::Instant => "key_instant",
            Self::Date => "key_date",
            Self::Bytes => "key_bytes",
        }
    }

    fn sql(self) -> &'static str {
        match self {
            Self::Row => "int",
            Self::Text => "varchar(40)",
            Self::Uuid => "uuid",
            Self::Numeric => "numeric(12,3)",
            Self::Instant => "timestamptz(3)",
            Self::Date => "date",
            Self::Bytes => "bytea",
        }
    }

    fn value(self, row: u32) -> String {
        match self {
            Self::Row => row.to_string(),
            Self::Text => format!("'k \"{row}\" é'"),
            Self::Uuid => format!("'00000000-0000-4000-8000-{row:012x}'"),
            Self::Numeric => format!("{row}.125"),
            Self::Instant => format!("to_timestamp({row}.5)"),
            Self::Date => format!("date '2000-01-01' + {row}"),
            Self::Bytes => format!("int4send({row})"),
        }
    }
}

/// A column that is no part of the key.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: &'static Kind,
    pub(crate) shape: Shape,
    pub(crate) not_null: bool,
    pub(crate) default: Option<String>,
}

/// How a column gets its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Plain,
    /// Often so large that Postgres keeps it apart from the row.
    Large,
    /// Computed by Postgres.
    Generated,
}

impl Column {
    pub(crate) fn random(rng: &mut StdRng, number: u32) -> Self {
        let kind = &KINDS[rng.random_range(0..KINDS.len())];
        let name = match rng.random_range(0..12) {
            0 => format!("{} {number} Q", kind.tag),
            1 => format!("{}_{number}_É-.", kind.tag),
            2 => format!("{}_{number} it's $1 \\ ✓😀", kind.tag),
            _ => format!("{}_{number}", kind.tag),
        };
        let default = rng.random_ratio(1, 5).then(|| kind.default(rng));
        let not_null = rng.random_ratio(1, 4) && kind.may_be_required();
        Self { name, kind, shape: Shape::Plain, not_null, default }
    }

    fn large(rng: &mut StdRng, number: u32) -> Option<Self> {
        const TAGS: [&str; 16] = [
            "text",
            "bytea",
            "jsonb",
            "text_array",
            "hstore",
            "json",
            "citext",
            "int4_array",
            "int8_array",
            "uuid_array",
            "date_array",
            "bytea_array",
            "jsonb_array",
            "xml",
            "tsvector",
            "ltree",
        ];
        let tag = TAGS[rng.random_range(0..TAGS.len())];
        Some(Self {
            name: format!("{tag}_{number}_large"),
            kind: kind(tag)?,
            shape: Shape::Large,
            // As text, arrays of dates have no placeholder, and Debezium stops where one cannot be null.
            not_null: rng.random_ratio(1, 3) && tag != "date_array",
            default: None,
        })
    }

    /// A value as SQL; `default` now and then where there is one.
    pub(crate) fn value(&self, rng: &mut StdRng) -> String {
        if self.default.is_some() && rng.random_ratio(1, 5) {
            return "default".to_owned();
        }
        if !self.not_null && rng.random_ratio(1, 7) {
            return "null".to_owned();
        }
        if self.shape == Shape::Large && rng.random_ratio(3, 4) {
            let seed: u16 = rng.random();
            let text = format!("(select string_agg(md5('{seed}' || i), '') from generate_series(1, 90) i)");
            return match self.kind.tag {
                "bytea" => format!("decode({text}, 'hex')"),
                "jsonb" | "json" => format!("to_{}b({text})::{}", "json", self.kind.sql),
                "text_array" => format!("array[{text}, 'x']"),
                "hstore" => format!("hstore('large', {text})"),
                "int4_array" => "array(select generate_series(1, 1000))".to_owned(),
                "int8_array" => "array(select generate_series(1, 1000)::bigint)".to_owned(),
                "uuid_array" => format!("array(select md5('{seed}' || i)::uuid from generate_series(1, 300) i)"),
                "date_array" => "array(select date '2000-01-01' + i from generate_series(1, 1000) i)".to_owned(),
                "bytea_array" => format!("array[decode({text}, 'hex')]"),
                "jsonb_array" => format!("array[to_jsonb({text})]"),
                "xml" => format!("('<a>' || {text} || '</a>')::xml"),
                "tsvector" => {
                    format!("(select string_agg(md5('{seed}' || i), ' ') from generate_series(1, 90) i)::tsvector")
                }
                "ltree" => format!("(select string_agg(md5('{seed}' || i), '.') from generate_series(1, 90) i)::ltree"),
                _ => text,
            };
        }
        self.kind.value(rng)
    }

    pub(crate) fn definition(&self) -> String {
        let mut sql = format!("{} {}", quoted(&self.name), self.kind.sql);
        if self.shape == Shape::Generated {
            let _ = write!(sql, " generated always as ({}) stored", "n * 2");
            return sql;
        }
        if let Some(default) = &self.default {
            let _ = write!(sql, " default {default}");
        }
        if self.not_null {
            sql.push_str(" not null");
        }
        sql
    }
}

/// What the server tells of a row before its change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Default,
    Full,
    Index,
    Nothing,
}

/// A table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) schema: &'static str,
    pub(crate) name: String,
    /// Columns of which a key can be made, besides the number of the row.
    parts: Vec<KeyPart>,
    pub(crate) key: Vec<KeyPart>,
    /// The name of the key's constraint.
    key_name: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) identity: Identity,
    pub(crate) partitioned: bool,
}

impl Table {
    /// A table whose name holds `number`. `full` gives it the identity FULL.
    pub(crate) fn random(rng: &mut StdRng, number: u32, full: bool) -> Self {
        let partitioned = rng.random_ratio(1, 6);
        let key = random_key(rng, partitioned);
        let mut columns: Vec<Column> = (0..rng.random_range(3..16)).map(|number| Column::random(rng, number)).collect();
        if rng.random_ratio(1, 2) {
            columns.extend(Column::large(rng, 90));
        }
        if rng.random_ratio(1, 6)
            && let Some(kind) = kind("int4")
        {
            let name = "generated_91".to_owned();
            columns.push(Column { name, kind, shape: Shape::Generated, not_null: false, default: None });
        }
        let identity = match rng.random_range(0..10) {
            _ if full => Identity::Full,
            0..3 => Identity::Full,
            3 if !partitioned => Identity::Index,
            4 => Identity::Nothing,
            _ => Identity::Default,
        };
        let name = match rng.random_range(0..8) {
            // The list of corrections knows these by their names.
            _ if partitioned => format!("part{number}"),
            _ if identity == Identity::Index => format!("byrow{number}"),
            // No quotes: Debezium 3.6.3 does not read a table whose name holds one (it leaves it unescaped in its query).
            0 => format!("Table {number} Q"),
            1 => format!("tablé.{number}"),
            _ => format!("t{number}"),
        };
        let schema = if rng.random_ratio(1, 6) { "Odd Schema" } else { "public" };
        let parts = key.iter().copied().filter(|part| *part != KeyPart::Row).collect();
        Self { schema, key_name: format!("key {number}"), name, parts, key, columns, identity, partitioned }
    }

    pub(crate) fn quoted(&self) -> String {
        format!("{}.{}", quoted(self.schema), quoted(&self.name))
    }

    /// Whether the server allows updates and deletes while it publishes them.
    pub(crate) fn may_change(&self) -> bool {
        match self.identity {
            Identity::Full | Identity::Index => true,
            Identity::Default => !self.key.is_empty(),
            Identity::Nothing => false,
        }
    }

    /// The SQL that makes it.
    pub(crate) fn create(&self) -> Vec<String> {
        let mut lines: Vec<String> = vec![format!("{ROW} int not null")];
        // The columns of the key stand neither first nor in the key's order.
        lines.extend(self.columns.iter().map(Column::definition));
        lines.extend(self.parts.iter().rev().map(|part| format!("{} {}", quoted(part.name()), part.sql())));
        if !self.key.is_empty() {
            lines.push(self.primary_key());
        }
        let table = self.quoted();
        let by = if self.partitioned { " partition by range (n)" } else { "" };
        let mut sql = vec![format!("create table {table} ({}){by}", lines.join(", "))];
        if self.partitioned {
            for (suffix, bounds) in [("low", LOW), ("high", "from (40) to (maxvalue)")] {
                let leaf = self.leaf(suffix);
                sql.push(format!("create table {leaf} partition of {table} for values {bounds}"));
            }
        }
        for column in self.columns.iter().filter(|column| column.shape == Shape::Large) {
            sql.push(format!("alter table {table} alter column {} set storage external", quoted(&column.name)));
        }
        sql.extend(self.identify());
        sql
    }

    fn primary_key(&self) -> String {
        let names: Vec<String> = self.key.iter().map(|part| quoted(part.name())).collect();
        format!("constraint {} primary key ({})", quoted(&self.key_name), names.join(", "))
    }

    /// Makes its key of other columns; the SQL that does so, or none where it has no key.
    pub(crate) fn change_key(&mut self, rng: &mut StdRng, number: u32) -> Option<String> {
        if self.key.is_empty() || self.partitioned {
            return None;
        }
        let mut candidates = vec![KeyPart::Row];
        candidates.extend(&self.parts);
        candidates.shuffle(rng);
        candidates.truncate(rng.random_range(1..=candidates.len()));
        self.key = candidates;
        let drop = format!("drop constraint {}", quoted(&self.key_name));
        self.key_name = format!("key {number}");
        Some(format!("alter table {} {drop}, add {}", self.quoted(), self.primary_key()))
    }

    /// Takes a partition out and puts it back.
    pub(crate) fn reattach(&self) -> Vec<String> {
        let (table, leaf) = (self.quoted(), self.leaf("low"));
        vec![
            format!("alter table {table} detach partition {leaf}"),
            format!("alter table {table} attach partition {leaf} for values {LOW}"),
        ]
    }

    /// The SQL that sets its identity. Partitions have one of their own.
    pub(crate) fn identify(&self) -> Vec<String> {
        let index = quoted(&format!("{} by row", self.name));
        let mut sql = Vec::new();
        let identity = match self.identity {
            Identity::Default => "default".to_owned(),
            Identity::Full => "full".to_owned(),
            Identity::Nothing => "nothing".to_owned(),
            Identity::Index => {
                sql.push(format!("create unique index if not exists {index} on {} ({ROW})", self.quoted()));
                format!("using index {index}")
            }
        };
        let mut tables = vec![self.quoted()];
        if self.partitioned {
            tables.extend([self.leaf("low"), self.leaf("high")]);
        }
        sql.extend(tables.iter().map(|table| format!("alter table {table} replica identity {identity}")));
        sql
    }

    fn leaf(&self, suffix: &str) -> String {
        format!("{}.{}", quoted(self.schema), quoted(&format!("{}_{suffix}", self.name)))
    }

    /// Inserts rows.
    pub(crate) fn insert(&self, rng: &mut StdRng, rows: &[u32]) -> String {
        let written: Vec<&Column> = self.columns.iter().filter(|column| column.shape != Shape::Generated).collect();
        let mut names = vec![ROW.to_owned()];
        names.extend(self.parts.iter().map(|part| quoted(part.name())));
        names.extend(written.iter().map(|column| quoted(&column.name)));
        let values = rows.iter().map(|row| {
            let mut values = vec![row.to_string()];
            values.extend(self.parts.iter().map(|part| part.value(*row)));
            values.extend(written.iter().map(|column| column.value(rng)));
            format!("({})", values.join(", "))
        });
        let values: Vec<String> = values.collect();
        format!("insert into {} ({}) values {}", self.quoted(), names.join(", "), values.join(", "))
    }

    /// Changes some columns of some rows.
    pub(crate) fn update(&self, rng: &mut StdRng, rows: &[u32]) -> String {
        let mut assignments = Vec::new();
        for column in self.columns.iter().filter(|column| column.shape != Shape::Generated) {
            // Large values are mostly left alone: that is when the server does not send them.
            let ratio = if column.shape == Shape::Large { 6 } else { 3 };
            if rng.random_ratio(1, ratio) {
                assignments.push(format!("{} = {}", quoted(&column.name), column.value(rng)));
            }
        }
        if assignments.is_empty() {
            assignments.push(format!("{ROW} = {ROW}"));
        }
        format!("update {} set {} where {}", self.quoted(), assignments.join(", "), of(rows))
    }

    /// Gives a row another number, and so another key, and another partition perhaps.
    pub(crate) fn rekey(&self, row: u32, to: u32) -> String {
        let mut assignments = vec![format!("{ROW} = {to}")];
        assignments.extend(self.parts.iter().map(|part| format!("{} = {}", quoted(part.name()), part.value(to))));
        format!("update {} set {} where {}", self.quoted(), assignments.join(", "), of(&[row]))
    }

    pub(crate) fn delete(&self, rows: &[u32]) -> String {
        format!("delete from {} where {}", self.quoted(), of(rows))
    }
}

fn of(rows: &[u32]) -> String {
    let rows: Vec<String> = rows.iter().map(u32::to_string).collect();
    format!("{ROW} in ({})", rows.join(", "))
}

fn random_key(rng: &mut StdRng, partitioned: bool) -> Vec<KeyPart> {
    let another = |rng: &mut StdRng| KeyPart::OTHERS[rng.random_range(0..KeyPart::OTHERS.len())];
    match rng.random_range(0..10) {
        0..2 => Vec::new(),
        2..5 => vec![KeyPart::Row],
        5..8 if !partitioned => vec![another(rng)],
        _ => {
            let mut key = vec![another(rng), KeyPart::Row, another(rng)];
            key.dedup();
            if key.first() == key.last() {
                key.pop();
            }
            key
        }
    }
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
