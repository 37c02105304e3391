//! InsertField: adds topic, partition, offset, timestamp or a fixed text to keys or values.
//!
//! A struct's datum gets bytes appended and its schema fields, once a schema; a JSON object gets text.

use std::sync::Arc;

use towpath_model::datum::{write_bytes, write_long};
use towpath_model::{
    Batch, ConfigKey, Encoding, Field, Form, Importance, Payload, Record, Run, Schema, Type, ValueType,
};

use super::structs::{extended, inner};
use super::{Rewrite, Settings};
use crate::draft::{Draft, Rewritten};
use crate::error::Error;
use crate::fault::Fault;
use crate::json;
use crate::keys::optional_key;
use crate::shape::Shapes;

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
    ]
}

/// What the fields are added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
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

/// Adds fields.
pub(crate) struct InsertField {
    part: Part,
    inserted: Vec<Inserted>,
    text: String,
    shapes: Shapes<Arc<Shape>>,
    scratch: Vec<u8>,
}

/// A struct's schema, and the schema with the fields.
struct Shape {
    before: Schema,
    after: Arc<str>,
}

impl InsertField {
    pub(crate) fn new(settings: &Settings<'_>, part: Part) -> Result<Self, Error> {
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
                Some(Inserted { what, name: name.trim_end_matches(['!', '?']).into(), required })
            })
            .collect();
        if inserted.is_empty() {
            return Err(Error::value(settings.key("type"), "No field insertion configured"));
        }
        let fixed = inserted.iter().any(|inserted| inserted.what == What::Static);
        let text = if fixed { settings.required("static.value")?.to_owned() } else { String::new() };
        Ok(Self { part, inserted, text, shapes: Shapes::default(), scratch: Vec::new() })
    }

    /// Writes the payload with its fields to the scratch and returns its new form.
    fn insert(
        &mut self,
        batch: &Batch,
        draft: &mut Draft,
        record: &Record<'_>,
        payload: Payload<'_>,
    ) -> Result<Form, Fault> {
        self.scratch.clear();
        let bytes = payload.bytes.unwrap_or_default();
        match payload.form.encoding {
            Encoding::Connect => {
                let inserted = &self.inserted;
                let compile = |before: Schema| {
                    let after = extended(&before, inserted.iter().map(Inserted::field).collect())?;
                    Ok(Arc::new(Shape { before, after }))
                };
                let shape = self.shapes.get(batch, payload.form.schema, compile)?.clone();
                let Some(datum) = inner(&shape.before, bytes)? else {
                    return Err(Fault::transform("a null cannot take a field"));
                };
                self.scratch.extend_from_slice(datum);
                for inserted in &self.inserted {
                    inserted.append(&mut self.scratch, record, &self.text)?;
                }
                Ok(Form::connect(draft.schema(&shape.after)))
            }
            Encoding::Json => {
                let text = std::str::from_utf8(bytes)?;
                let entries = json::entries(text)
                    .ok_or_else(|| Fault::transform("only an object can take a field, and this JSON is none"))?;
                let kept = entries.iter().filter(|(name, _)| !self.inserted.iter().any(|new| *new.name == **name));
                let mut object = json::ObjectWriter::new(&mut self.scratch);
                kept.for_each(|(name, value)| object.raw(name, value.get()));
                for inserted in &self.inserted {
                    inserted.write(&mut object, record, &self.text)?;
                }
                object.end();
                Ok(Form::JSON)
            }
            Encoding::Bytes => {
                Err(Fault::transform("only a struct or an object can take a field, and these are bytes"))
            }
        }
    }
}

impl Rewrite for InsertField {
    fn apply(&mut self, batch: &Batch) -> Rewritten {
        self.shapes.begin(batch);
        let mut draft = Draft::of(batch);
        for record in batch.records() {
            let payload = if self.part == Part::Key { record.key } else { record.value };
            if payload.bytes.is_none() {
                draft.keep(&record);
                continue;
            }
            let form = match self.insert(batch, &mut draft, &record, payload) {
                Ok(form) => form,
                Err(fault) => {
                    draft.fail(&record, fault);
                    continue;
                }
            };
            let run = draft.run(&record);
            match self.part {
                Part::Key => draft.begin(Run { key: form, ..run }, Some(&self.scratch), record.value.bytes),
                Part::Value => draft.begin(Run { value: form, ..run }, record.key.bytes, Some(&self.scratch)),
            }
            draft.headers(&record);
            draft.end(&record);
        }
        draft.finish()
    }
}

impl Inserted {
    fn field(&self) -> Field {
        let schema = match self.what {
            What::Topic | What::Static => Schema::new(Type::String),
            What::Partition => Schema::new(Type::Int32),
            What::Offset => Schema::new(Type::Int64),
            What::Timestamp => Schema::new(Type::Int64).named("org.apache.kafka.connect.data.Timestamp", 1),
        };
        let schema = if self.required { schema } else { schema.optional() };
        Field { name: self.name.clone(), schema: Arc::new(schema) }
    }

    fn number(&self, record: &Record<'_>) -> Option<i64> {
        match self.what {
            What::Partition => Some(i64::from(record.run.partition)).filter(|partition| *partition >= 0),
            What::Offset => record.offset,
            What::Timestamp => record.timestamp,
            What::Topic | What::Static => None,
        }
    }

    fn text<'a>(&self, record: &Record<'a>, fixed: &'a str) -> Option<&'a str> {
        match self.what {
            What::Topic => Some(record.topic()),
            What::Static => Some(fixed),
            _ => None,
        }
    }

    fn append(&self, out: &mut Vec<u8>, record: &Record<'_>, fixed: &str) -> Result<(), Fault> {
        let (text, number) = (self.text(record, fixed), self.number(record));
        if !self.required {
            write_long(out, i64::from(text.is_some() || number.is_some()));
        }
        match (text, number) {
            (Some(text), _) => write_bytes(out, text.as_bytes()),
            (None, Some(number)) => write_long(out, number),
            (None, None) if self.required => return Err(self.missing()),
            (None, None) => {}
        }
        Ok(())
    }

    fn write(&self, object: &mut json::ObjectWriter<'_>, record: &Record<'_>, fixed: &str) -> Result<(), Fault> {
        match (self.text(record, fixed), self.number(record)) {
            (Some(text), _) => object.string(&self.name, text),
            (None, Some(number)) => object.raw(&self.name, itoa::Buffer::new().format(number)),
            (None, None) if self.required => return Err(self.missing()),
            (None, None) => object.raw(&self.name, "null"),
        }
        Ok(())
    }

    fn missing(&self) -> Fault {
        Fault::transform(format!("the record has no value for the required field {}", self.name))
    }
}
