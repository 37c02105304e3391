//! A table as its records need it: codecs, schemas and all constant bytes, computed once for each version of the table.

use std::sync::Arc;

use towpath_model::{Field, Schema, datum};

use super::default::{datum_to_json, evaluate, zero};
use super::envelope::{envelope, named_struct};
use super::types::TypeRegistry;
use crate::config::{Filter, ValueSettings};
use crate::error::Error;
use crate::value::{Codec, Written};
use crate::wire::{Cell, Cells, ReplicaIdentity};

/// What the catalog or a relation message says of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnFacts {
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_oid: u32,
    /// What modifies the type, or -1.
    pub modifier: i32,
    /// Whether it may be null.
    pub optional: bool,
    /// How many dimensions an array is declared with.
    pub dimensions: u16,
    /// The expression of its default.
    pub default: Option<String>,
    /// Its place in tuples.
    pub place: usize,
}

/// What the catalog or a relation message says of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFacts {
    /// Its oid.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it puts into the log of old rows.
    pub identity: ReplicaIdentity,
    /// Its columns.
    pub columns: Vec<ColumnFacts>,
    /// The names of its key's columns, in the key's order.
    pub key: Vec<String>,
}

/// How topics are named, and which columns are wanted.
#[derive(Clone, Debug)]
pub struct Names {
    /// `topic.prefix`.
    pub prefix: String,
    /// `topic.delimiter`.
    pub delimiter: String,
    /// Which columns are wanted, by `schema.table.column`.
    pub columns: Filter,
}

impl Names {
    /// The topic of a table: whatever a topic's name cannot hold becomes an underscore.
    pub fn topic(&self, schema: &str, table: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        [&self.prefix, schema, table].join(&self.delimiter).chars().map(plain).collect()
    }
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    place: usize,
    codec: Codec,
    optional: bool,
    /// The byte ahead of a value, for columns that may be null.
    branch: Option<u8>,
    /// What stands for null.
    null: Vec<u8>,
    /// What stands for a large value that was not sent.
    unchanged: Vec<u8>,
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its oid.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The topic of its records.
    pub topic: String,
    /// What it puts into the log of old rows.
    pub identity: ReplicaIdentity,
    /// Its columns, in their order.
    pub columns: Vec<Column>,
    /// Which of them are the key.
    key: Vec<usize>,
    /// The JSON text of the key's schema; none for a table without key.
    pub key_schema: Option<Arc<str>>,
    /// The JSON text of the envelope's schema.
    pub value_schema: Arc<str>,
    /// Schema and table as they stand in the source block.
    pub source_names: Vec<u8>,
}

impl Table {
    /// Puts a table together.
    pub fn new(facts: &TableFacts, types: &TypeRegistry, names: &Names, settings: &ValueSettings) -> Self {
        let topic = names.topic(&facts.schema, &facts.name);
        let mut columns = Vec::new();
        let mut fields = Vec::new();
        for column in &facts.columns {
            let path = format!("{}.{}.{}", facts.schema, facts.name, column.name);
            let in_key = facts.key.contains(&column.name);
            if !in_key && !names.columns.wants(&path) {
                continue;
            }
            let mapped = types.map(column.type_oid, column.modifier, column.dimensions, settings);
            let Some((codec, schema)) = mapped else { continue };
            let type_name = types.base_name(column.type_oid).unwrap_or_default();
            let (column, schema) = Column::new(column, codec, schema, type_name, settings);
            fields.push(Field { name: column.name.as_str().into(), schema: Arc::new(schema) });
            columns.push(column);
        }
        let place = |name: &String| columns.iter().position(|column| column.name == *name);
        let key: Vec<usize> = facts.key.iter().filter_map(place).collect();
        let key_schema = (!key.is_empty()).then(|| {
            let fields = key.iter().filter_map(|index| fields.get(*index).cloned()).collect();
            named_struct(format!("{topic}.Key"), fields).to_json().to_string().into()
        });
        let row = named_struct(format!("{topic}.Value"), fields);
        let value_schema = envelope(&topic, &row).to_json().to_string().into();
        let mut source_names = Vec::new();
        datum::write_bytes(&mut source_names, facts.schema.as_bytes());
        datum::write_bytes(&mut source_names, facts.name.as_bytes());
        Self {
            oid: facts.oid,
            schema: facts.schema.clone(),
            name: facts.name.clone(),
            topic,
            identity: facts.identity,
            columns,
            key,
            key_schema,
            value_schema,
            source_names,
        }
    }

    /// `schema.table`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// Writes a row.
    ///
    /// # Errors
    /// When a value cannot be represented.
    #[inline]
    pub fn write_row(&self, cells: &Cells, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        for column in &self.columns {
            self.write_column(column, cells, bytes, out)?;
        }
        Ok(())
    }

    /// Writes the key of a row.
    ///
    /// # Errors
    /// When a value cannot be represented.
    #[inline]
    pub fn write_key(&self, cells: &Cells, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        for column in self.key.iter().filter_map(|index| self.columns.get(*index)) {
            self.write_column(column, cells, bytes, out)?;
        }
        Ok(())
    }

    /// Whether two rows differ in their keys.
    pub fn key_differs(&self, old: &Cells, new: &Cells, bytes: &[u8]) -> bool {
        let value = |cells: &Cells, place: usize| match cells.0.get(place) {
            Some(Cell::Text(range)) => bytes.get(range.clone()).map(<[u8]>::to_vec),
            _ => None,
        };
        self.key.iter().filter_map(|index| self.columns.get(*index)).any(|column| {
            let unchanged = matches!(new.0.get(column.place), Some(Cell::Unchanged));
            !unchanged && value(old, column.place) != value(new, column.place)
        })
    }

    #[inline]
    fn write_column(&self, column: &Column, cells: &Cells, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        match cells.0.get(column.place) {
            Some(Cell::Text(range)) => {
                let text = bytes.get(range.clone()).unwrap_or_default();
                column.write(text, out).map_err(|reason| self.fault(column, reason))
            }
            Some(Cell::Null) => {
                out.extend_from_slice(&column.null);
                Ok(())
            }
            Some(Cell::Unchanged) => {
                out.extend_from_slice(&column.unchanged);
                Ok(())
            }
            None => Err(self.fault(column, "the row has fewer columns than its table")),
        }
    }

    fn fault(&self, column: &Column, reason: &str) -> Error {
        Error::Value { table: self.path(), column: column.name.clone(), reason: reason.into() }
    }
}

impl Column {
    fn new(
        facts: &ColumnFacts,
        codec: Codec,
        mut schema: Schema,
        type_name: &str,
        set: &ValueSettings,
    ) -> (Self, Schema) {
        let mut null = zero(&schema);
        if let Some(expression) = &facts.default {
            let evaluated = evaluate(expression, type_name, &codec);
            // An expression that cannot be evaluated stands as zero, but only where null cannot.
            let datum = evaluated.or_else(|| (!facts.optional).then(|| null.clone()));
            if let Some(datum) = datum {
                schema.default = datum_to_json(&schema, &mut datum::Reader::new(&datum)).ok();
                null = datum;
            }
        }
        schema.optional = facts.optional;
        let mut unchanged = Vec::new();
        let mut branch = None;
        if facts.optional {
            null.clear();
            datum::write_long(&mut null, schema.null_branch());
            // Zig-zag: 0 is 0, 1 is 2.
            let value_branch = if schema.null_branch() == 0 { 2 } else { 0 };
            branch = Some(value_branch);
            unchanged.push(value_branch);
        }
        if codec.write_placeholder(&set.placeholder, &mut unchanged) == Written::Nothing {
            unchanged.clone_from(&null);
        }
        let column = Self {
            name: facts.name.clone(),
            place: facts.place,
            codec,
            optional: facts.optional,
            branch,
            null,
            unchanged,
        };
        (column, schema)
    }

    #[inline]
    fn write(&self, text: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        let at = out.len();
        out.extend(self.branch);
        match self.codec.write(text, out) {
            Ok(Written::Value) => Ok(()),
            Ok(Written::Nothing) if self.optional => {
                out.truncate(at);
                out.extend_from_slice(&self.null);
                Ok(())
            }
            Ok(Written::Nothing) => Err(
                "NaN or infinity in a decimal that cannot be null; set `decimal.handling.mode` to `string` or `double`",
            ),
            Err(fault) => Err(fault.0),
        }
    }
}
