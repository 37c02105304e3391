//! InsertField: adds topic, partition, offset, timestamp or a fixed text to keys or values.

use std::sync::Arc;

use towpath_model::datum::{write_bytes, write_long};
use towpath_model::{ConfigKey, Field, Importance, Record, Schema, Type, ValueType};

use super::part::{Of, Out, Reshape, Written};
use super::scalar::Temporal;
use super::structs::{Copied, extended};
use super::{Settings, nulls_key, structs};
use crate::error::Error;
use crate::fault::Fault;
use crate::json::ObjectWriter;
use crate::keys::optional_key;

const PURPOSE: &str = "field insertion";

pub(crate) fn keys() -> Vec<ConfigKey> {
    let field = |name: &str, what: &str| {
        let doc = format!("Field that takes {what}. A `!` at the end makes it required, a `?` optional (the default).");
        optional_key(name, ValueType::String, Importance::Medium, &doc)
    };
    vec![
        field("topic.field", "the topic"),
        field("partition.field", "the partition"),
        field("offset.field", "the offset; for sinks"),
        field("timestamp.field", "the record's timestamp"),
        field("static.field", "a fixed text"),
        optional_key("static.value", ValueType::String, Importance::Medium, "The fixed text."),
        nulls_key(),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Static,
}

#[derive(Debug)]
struct Inserted {
    what: What,
    name: Arc<str>,
    required: bool,
}

/// What a field takes.
enum Value<'a> {
    Text(&'a str),
    Number(i64),
}

/// Adds fields.
pub(crate) struct InsertField {
    inserted: Vec<Inserted>,
    text: String,
    nulls_take_defaults: bool,
}

/// The schema with the fields, and the fields that were there.
pub(crate) struct Shape {
    after: Arc<str>,
    copied: Vec<Copied>,
}

impl InsertField {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        let all = [
            ("topic.field", What::Topic),
            ("partition.field", What::Partition),
            ("offset.field", What::Offset),
            ("timestamp.field", What::Timestamp),
            ("static.field", What::Static),
        ];
        let inserted: Vec<_> = all
            .into_iter()
            .filter_map(|(key, what)| {
                let name = settings.get(key)?;
                let required = name.ends_with('!');
                let name = name.strip_suffix(['!', '?']).unwrap_or(name);
                Some(Inserted { what, name: name.into(), required })
            })
            .collect();
        if inserted.is_empty() {
            return Err(Error::value(settings.key("type"), "No field insertion configured"));
        }
        let fixed = inserted.iter().any(|inserted| inserted.what == What::Static);
        let text = if fixed { settings.required("static.value")?.to_owned() } else { String::new() };
        Ok(Self { inserted, text, nulls_take_defaults: settings.nulls_take_defaults()? })
    }
}

impl Reshape for InsertField {
    type Shape = Shape;

    fn compile(&self, schema: &Schema) -> Result<Shape, Fault> {
        structs::require(schema, PURPOSE)?;
        let after = extended(schema, self.inserted.iter().map(Inserted::field).collect())?;
        Ok(Shape { after, copied: Copied::all(schema.fields(), self.nulls_take_defaults)? })
    }

    fn datum(&mut self, of: Of<'_, Shape>, record: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        structs::fields(of.schema, of.datum, &mut out.ranges)?;
        for copied in &of.shape.copied {
            out.bytes.extend_from_slice(copied.of(of.datum, &out.ranges));
        }
        for inserted in &self.inserted {
            inserted.append(&mut out.bytes, record, &self.text)?;
        }
        Ok(Written::Datum(of.shape.after.clone()))
    }

    fn json(&mut self, text: &str, record: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        let entries = structs::entries(text, PURPOSE)?;
        let mut object = ObjectWriter::new(&mut out.bytes);
        let replaced = |name: &str| {
            self.inserted.iter().any(|new| *new.name == *name && !matches!(new.value(record, &self.text), Ok(None)))
        };
        entries.iter().filter(|(name, _)| !replaced(name)).for_each(|(name, value)| object.raw(name, value.get()));
        for inserted in &self.inserted {
            // What a record does not have is left out, as by Connect.
            match inserted.value(record, &self.text)? {
                Some(Value::Text(text)) => object.string(&inserted.name, text),
                Some(Value::Number(number)) => object.raw(&inserted.name, itoa::Buffer::new().format(number)),
                None => {}
            }
        }
        object.end();
        Ok(Written::Json)
    }
}

impl Inserted {
    fn field(&self) -> Field {
        let schema = match self.what {
            What::Topic | What::Static => Schema::new(Type::String),
            What::Partition => Schema::new(Type::Int32),
            What::Offset => Schema::new(Type::Int64),
            What::Timestamp => Temporal::Timestamp.schema(),
        };
        let schema = if self.required { schema } else { schema.optional() };
        Field { name: self.name.clone(), schema: Arc::new(schema) }
    }

    fn value<'a>(&self, record: &Record<'a>, fixed: &'a str) -> Result<Option<Value<'a>>, Fault> {
        Ok(match self.what {
            What::Topic => Some(Value::Text(record.topic())),
            What::Static => Some(Value::Text(fixed)),
            What::Partition => {
                Some(i64::from(record.run.partition)).filter(|partition| *partition >= 0).map(Value::Number)
            }
            What::Timestamp => record.timestamp.map(Value::Number),
            What::Offset => {
                let missing = || {
                    let field = &self.name;
                    Fault::transform(format!(
                        "a source's records have no offset for the field {field}; Only SinkRecord supported for [{PURPOSE}]"
                    ))
                };
                Some(Value::Number(record.offset.ok_or_else(missing)?))
            }
        })
    }

    fn append(&self, out: &mut Vec<u8>, record: &Record<'_>, fixed: &str) -> Result<(), Fault> {
        let value = self.value(record, fixed)?;
        if !self.required {
            write_long(out, i64::from(value.is_some()));
        }
        match value {
            Some(Value::Text(text)) => write_bytes(out, text.as_bytes()),
            Some(Value::Number(number)) => write_long(out, number),
            None if self.required => {
                return Err(Fault::transform(format!("the record has no value for the required field {}", self.name)));
            }
            None => {}
        }
        Ok(())
    }
}
