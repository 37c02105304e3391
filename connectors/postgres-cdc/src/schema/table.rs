//! A table as its records need it: columns, schemas and all constant bytes, computed once for each version of the table.

use std::sync::Arc;

use towpath_model::{Field, datum};

use super::column::{Column, Refusal};
use super::envelope::{envelope, named_struct};
use super::facts::{Misfit, MisfitKind, TableFacts};
use super::names::Names;
use super::types::TypeRegistry;
use crate::config::{DecimalMode, ValueSettings};
use crate::error::Error;
use crate::wire::{Cell, Cells, ReplicaIdentity};

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// What it was put together from.
    pub facts: TableFacts,
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
    /// Its key.
    pub key: Key,
    /// The key of rows of which NaN or infinity is a part, where that can be: exact decimals are texts in it.
    worded_key: Option<Box<Key>>,
    /// The JSON text of the envelope's schema.
    pub value_schema: Arc<str>,
    /// Schema and table as they stand in the source block.
    pub source_names: Vec<u8>,
}

/// The key of a table's records.
#[derive(Clone, Debug)]
pub struct Key {
    columns: Vec<Column>,
    /// The JSON text of its schema; none for a table without key.
    pub schema: Option<Arc<str>>,
}

impl Key {
    fn new(name: String, places: &[usize], columns: &[Column], fields: &[Field]) -> Self {
        let of_key = places.iter().filter_map(|place| fields.get(*place).cloned()).collect();
        let schema = (!places.is_empty()).then(|| named_struct(name, of_key).to_json().to_string().into());
        Self { columns: places.iter().filter_map(|place| columns.get(*place).cloned()).collect(), schema }
    }

    /// Whether a part of it is NaN or infinity where only numbers can be.
    fn has_no_number(&self, cells: &Cells, bytes: &[u8]) -> bool {
        self.columns.iter().filter(|column| column.may_be_no_number()).any(|column| match cells.0.get(column.place) {
            Some(Cell::Text(range)) => matches!(bytes.get(range.clone()), Some(b"NaN" | b"Infinity" | b"-Infinity")),
            _ => false,
        })
    }
}

impl Table {
    /// Puts a table together.
    pub fn new(facts: TableFacts, types: &TypeRegistry, names: &Names, settings: &ValueSettings) -> Self {
        let topic = names.topic(&facts.schema, &facts.name);
        let path = format!("{}.{}", facts.schema, facts.name);
        let key_names = names.key(&path, &facts);
        let mut columns: Vec<Column> = Vec::new();
        let mut fields: Vec<Field> = Vec::new();
        for column in &facts.columns {
            let wanted = key_names.contains(&column.name) || names.columns.wants(&format!("{path}.{}", column.name));
            let Some((column, schema)) = wanted.then(|| Column::new(column, &path, types, names, settings)).flatten()
            else {
                continue;
            };
            let adjusted = names.field_names.field(&column.name);
            // Two columns whose adjusted names are the same keep their own.
            let taken = fields.iter().any(|field| *field.name == *adjusted);
            let name = if taken { &column.name } else { &adjusted };
            fields.push(Field { name: name.as_str().into(), schema: Arc::new(schema) });
            columns.push(column);
        }
        let place = |name: &String| columns.iter().position(|column| column.name == *name);
        let places: Vec<usize> = key_names.iter().filter_map(place).collect();
        let named = |part: &str| names.schema_names.schema(&format!("{topic}.{part}"));
        let key = Key::new(named("Key"), &places, &columns, &fields);
        let worded_key =
            places.iter().any(|place| columns.get(*place).is_some_and(Column::may_be_no_number)).then(|| {
                let in_words = ValueSettings { decimal: DecimalMode::String, ..settings.clone() };
                let (mut columns, mut fields) = (columns.clone(), fields.clone());
                for (column, field) in columns.iter_mut().zip(&mut fields) {
                    let described = facts.columns.iter().find(|described| described.name == column.name);
                    let worded = described.and_then(|described| Column::new(described, &path, types, names, &in_words));
                    if let Some((worded, schema)) = worded {
                        (*column, field.schema) = (worded, Arc::new(schema));
                    }
                }
                Box::new(Key::new(named("Key"), &places, &columns, &fields))
            });
        let row = named_struct(named("Value"), fields);
        let value_schema = envelope(named("Envelope"), &row).to_json().to_string().into();
        let mut source_names = Vec::new();
        datum::write_bytes(&mut source_names, facts.schema.as_bytes());
        datum::write_bytes(&mut source_names, facts.name.as_bytes());
        Self {
            schema: facts.schema.clone(),
            name: facts.name.clone(),
            topic,
            identity: facts.identity,
            columns,
            key,
            worded_key,
            value_schema,
            source_names,
            facts,
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

    /// The key that a row is to have, so that no two rows share one.
    #[inline]
    pub fn key_of(&self, cells: &Cells, bytes: &[u8]) -> &Key {
        match &self.worded_key {
            Some(worded) if self.key.has_no_number(cells, bytes) => worded,
            _ => &self.key,
        }
    }

    /// Writes the key of a row.
    ///
    /// # Errors
    /// When a value cannot be represented.
    #[inline]
    pub fn write_key(&self, key: &Key, cells: &Cells, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        key.columns.iter().try_for_each(|column| self.write_column(column, cells, bytes, out))
    }

    /// Whether two rows differ in their keys, as far as the old one tells.
    pub fn key_differs(&self, old: &Cells, new: &Cells, bytes: &[u8]) -> bool {
        let text = |cells: &Cells, place: usize| match cells.0.get(place) {
            Some(Cell::Text(range)) => bytes.get(range.clone()).map(Some),
            Some(Cell::Null) => Some(None),
            Some(Cell::Unchanged | Cell::Absent) | None => None,
        };
        self.key.columns.iter().any(|column| {
            let values = text(old, column.place).zip(text(new, column.place));
            values.is_some_and(|(old, new)| old != new)
        })
    }

    /// Whether two rows show the same.
    pub fn shows_same(&self, old: &Cells, new: &Cells, bytes: &[u8]) -> bool {
        let text = |cells: &Cells, place: usize| match cells.0.get(place) {
            Some(Cell::Text(range)) => bytes.get(range.clone()),
            _ => None,
        };
        self.columns.iter().all(|column| text(old, column.place) == text(new, column.place))
    }

    #[inline]
    fn write_column(&self, column: &Column, cells: &Cells, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let constant = match cells.0.get(column.place) {
            Some(Cell::Text(range)) => {
                let text = bytes.get(range.clone()).unwrap_or_default();
                return column.write(text, out).map_err(|refusal| self.refuse(column, refusal));
            }
            Some(Cell::Null) => column.null.as_ref(),
            Some(Cell::Unchanged) => column.unchanged.as_ref(),
            Some(Cell::Absent) => Some(&column.absent),
            None => return Err(self.refuse(column, Refusal::Value("the row has fewer columns than its table"))),
        };
        let constant = constant.ok_or_else(|| self.refuse(column, Refusal::Misfit(MisfitKind::Null)))?;
        out.extend_from_slice(constant);
        Ok(())
    }

    #[cold]
    fn refuse(&self, column: &Column, refusal: Refusal) -> Error {
        let (table, column) = (self.path(), column.name.clone());
        match refusal {
            Refusal::Misfit(kind) => Error::Misfit(Misfit { table, column, kind }),
            Refusal::Value(reason) => Error::Value { table, column, reason: reason.into() },
        }
    }
}
