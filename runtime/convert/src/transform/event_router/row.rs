//! A row of the outbox, read column by column.

use towpath_model::datum::Reader;
use towpath_model::{Field, Schema};

use crate::fault::Fault;
use crate::transform::scalar::Scalar;
use crate::transform::structs;

/// A row of the outbox.
pub(super) struct Row<'a> {
    pub(super) schema: &'a Schema,
    pub(super) datum: &'a [u8],
    pub(super) ranges: &'a [std::ops::Range<usize>],
}

impl<'a> Row<'a> {
    pub(super) fn field(&self, index: usize) -> &'a Field {
        &self.schema.fields()[index]
    }

    pub(super) fn bytes(&self, index: usize) -> &'a [u8] {
        self.ranges.get(index).and_then(|range| self.datum.get(range.clone())).unwrap_or_default()
    }

    /// The bytes of a field, its default for a null.
    pub(super) fn value(&self, index: usize) -> Result<Vec<u8>, Fault> {
        let schema = &self.field(index).schema;
        let bytes = self.bytes(index);
        let is_null = schema.optional && Reader::new(bytes).long()? == schema.null_branch();
        let default = if is_null { structs::default_datum(schema)? } else { None };
        Ok(default.unwrap_or_else(|| bytes.to_vec()))
    }

    pub(super) fn text(&self, index: usize) -> Result<&'a str, Fault> {
        let field = self.field(index);
        match Scalar::read(&field.schema, self.bytes(index))? {
            Some(Scalar::Text(std::borrow::Cow::Borrowed(text))) => Ok(text),
            _ => Err(Fault::transform(format!("field {} is no text that could name a topic", field.name))),
        }
    }

    /// The event's own time, in milliseconds.
    pub(super) fn timestamp(&self, index: usize) -> Result<Option<i64>, Fault> {
        let field = self.field(index);
        let Some(number) = integer(&field.schema, self.bytes(index))? else { return Ok(None) };
        let name = field.schema.name.as_deref().unwrap_or_default();
        match name {
            "io.debezium.time.Timestamp" => Ok(Some(number)),
            "io.debezium.time.MicroTimestamp" => Ok(Some(number / 1000)),
            "io.debezium.time.NanoTimestamp" => Ok(Some(number / 1_000_000)),
            "" => Err(Fault::transform(format!(
                "Unsupported field type {} (without logical schema name) for event timestamp",
                field.schema.kind.name().to_uppercase()
            ))),
            _ => Err(Fault::transform(format!("Unsupported field type {name} for event timestamp"))),
        }
    }
}

/// An integer, or a null.
pub(super) fn integer(schema: &Schema, datum: &[u8]) -> Result<Option<i64>, Fault> {
    match Scalar::read(schema, datum)? {
        None => Ok(None),
        Some(Scalar::Integer(number)) => Ok(Some(number)),
        Some(_) => Err(Fault::transform(format!("{} is no integer", schema.kind.name()))),
    }
}
