//! ExtractNewRecordState: Debezium's envelope becomes the row after the change.
//!
//! The row is a slice of the envelope's datum (or of its JSON text) and is copied as it is; only added fields are new.

mod envelope;

use std::collections::HashMap;
use std::sync::Arc;

use towpath_model::datum::write_bytes;
use towpath_model::datum::write_long;
use towpath_model::{Batch, ConfigKey, Encoding, Form, Importance, Record, Run, ValueType};

use self::envelope::{Reference, Shape};
use super::{Rewrite, Settings, structs};
use crate::converter::{TEXT_SCHEMA, some};
use crate::draft::{Draft, Rewritten};
use crate::error::Error;
use crate::fault::Fault;
use crate::json::{self, ObjectWriter};
use crate::keys::{default_key, optional_key};
use crate::shape::Shapes;

pub(crate) fn keys() -> Vec<ConfigKey> {
    let string = ValueType::String;
    let mut mode = default_key(
        "delete.tombstone.handling.mode",
        string,
        "tombstone",
        Importance::Medium,
        "What becomes of deletes and of the tombstones after them: drop both; a null under the row's schema for each delete, or \
         a tombstone without schema; rewrite the delete as the old row with __deleted, without or with the tombstone.",
    );
    mode.valid_values = Mode::NAMES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut legacy = optional_key(
        "delete.handling.mode",
        string,
        Importance::Medium,
        "Older form of delete.tombstone.handling.mode, together with drop.tombstones.",
    );
    legacy.valid_values = ["drop", "none", "rewrite"].map(str::to_owned).to_vec();
    let list = |name: &str, what: &str| {
        let doc = format!("Fields of the envelope to add as {what}: `op`, `table`, `source.ts_ms`, `op:operation`.");
        optional_key(name, ValueType::List, Importance::Medium, &doc)
    };
    vec![
        mode,
        legacy,
        optional_key(
            "drop.tombstones",
            ValueType::Boolean,
            Importance::Medium,
            "Older form, with delete.handling.mode.",
        ),
        list("add.fields", "fields of the row"),
        default_key(
            "add.fields.prefix",
            string,
            "__",
            Importance::Low,
            "Stands in front of the names of added fields.",
        ),
        list("add.headers", "headers"),
        default_key(
            "add.headers.prefix",
            string,
            "__",
            Importance::Low,
            "Stands in front of the names of added headers.",
        ),
    ]
}

/// What becomes of deletes and tombstones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mode {
    delete: Delete,
    keep_tombstones: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delete {
    Drop,
    /// A null of the row's schema.
    Tombstone,
    /// A null without schema.
    ToTombstone,
    Rewrite,
}

impl Mode {
    const NAMES: [(&'static str, Self); 5] = [
        ("drop", Self { delete: Delete::Drop, keep_tombstones: false }),
        ("tombstone", Self { delete: Delete::Tombstone, keep_tombstones: false }),
        ("delete-to-tombstone", Self { delete: Delete::ToTombstone, keep_tombstones: false }),
        ("rewrite", Self { delete: Delete::Rewrite, keep_tombstones: false }),
        ("rewrite-with-tombstone", Self { delete: Delete::Rewrite, keep_tombstones: true }),
    ];

    fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        let unknown = |name: &str| Error::value(settings.key(name), "no such mode");
        if let Some(mode) = settings.get("delete.tombstone.handling.mode") {
            let found = Self::NAMES.iter().find(|(name, _)| *name == mode);
            return found.map(|(_, mode)| *mode).ok_or_else(|| unknown("delete.tombstone.handling.mode"));
        }
        let legacy = (settings.get("delete.handling.mode"), settings.get("drop.tombstones"));
        if legacy == (None, None) {
            return Ok(Self { delete: Delete::Tombstone, keep_tombstones: false });
        }
        let delete = match legacy.0.unwrap_or("drop") {
            "drop" => Delete::Drop,
            "none" => Delete::Tombstone,
            "rewrite" => Delete::Rewrite,
            _ => return Err(unknown("delete.handling.mode")),
        };
        Ok(Self { delete, keep_tombstones: legacy.1.is_some_and(|drop| drop.eq_ignore_ascii_case("false")) })
    }
}

/// Unwraps envelopes.
pub(crate) struct ExtractNewRecordState {
    mode: Mode,
    fields: Vec<Reference>,
    headers: Vec<Reference>,
    shapes: Shapes<Option<Arc<Shape>>>,
    scratch: Vec<u8>,
    ranges: Vec<std::ops::Range<usize>>,
    text_schema: Arc<str>,
}

/// What becomes of one record.
enum Outcome {
    /// It is no envelope.
    Keep,
    Drop,
    /// The value is replaced by the scratch, or by a null.
    Replace {
        form: Form,
        present: bool,
        headers: Vec<Header>,
    },
}

/// A header to add.
struct Header {
    name: Arc<str>,
    form: Form,
    value: Option<Vec<u8>>,
}

impl ExtractNewRecordState {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        let references = |key: &str| {
            let prefix_key = format!("{key}.prefix");
            let prefix = settings.get(&prefix_key).unwrap_or("__");
            let listed = settings
                .config
                .list(key)
                .map(|text| Reference::parse(prefix, text).map_err(|reason| Error::value(settings.key(key), reason)));
            listed.collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            mode: Mode::new(settings)?,
            fields: references("add.fields")?,
            headers: references("add.headers")?,
            shapes: Shapes::default(),
            scratch: Vec::new(),
            ranges: Vec::new(),
            text_schema: TEXT_SCHEMA.into(),
        })
    }

    fn outcome(&mut self, batch: &Batch, draft: &mut Draft, record: &Record<'_>) -> Result<Outcome, Fault> {
        let Some(bytes) = record.value.bytes else { return Ok(self.tombstone(draft)) };
        self.scratch.clear();
        match record.value.form.encoding {
            Encoding::Connect => self.datum(batch, draft, record, bytes),
            Encoding::Json => self.json(bytes),
            Encoding::Bytes => Ok(Outcome::Keep),
        }
    }

    fn tombstone(&self, draft: &mut Draft) -> Outcome {
        if !self.mode.keep_tombstones {
            return Outcome::Drop;
        }
        let operations = self.headers.iter().filter(|reference| reference.is_operation());
        let headers: Vec<_> = operations
            .map(|reference| {
                let form = Form::connect(draft.schema(&self.text_schema));
                Header { name: reference.new_name.clone(), form, value: Some(some(b"d")) }
            })
            .collect();
        if headers.is_empty() { Outcome::Keep } else { Outcome::Replace { form: Form::JSON, present: false, headers } }
    }

    fn datum(&mut self, batch: &Batch, draft: &mut Draft, record: &Record<'_>, bytes: &[u8]) -> Result<Outcome, Fault> {
        let rewrite = self.mode.delete == Delete::Rewrite;
        let (fields, headers) = (&self.fields, &self.headers);
        let compile = |schema| Ok(Shape::compile(schema, rewrite, fields, headers)?.map(Arc::new));
        let shape = self.shapes.get(batch, record.value.form.schema, compile)?.clone();
        let Some(shape) = shape.as_ref() else { return Ok(Outcome::Keep) };
        if !structs::fields(&shape.envelope, bytes, &mut self.ranges)? {
            return Ok(Outcome::Keep);
        }
        let field =
            |index: usize| self.ranges.get(index).and_then(|range| bytes.get(range.clone())).unwrap_or_default();
        if shape.operation(field(shape.op))? == "t" {
            return Ok(Outcome::Drop);
        }
        let added = shape.header_values(&self.headers, &self.ranges, bytes)?.into_iter();
        let headers = added.map(|header| Header {
            form: Form::connect(draft.schema(&header.schema)),
            name: header.name,
            value: Some(header.value),
        });
        let headers: Vec<_> = headers.collect();
        let after = structs::inner(&shape.row, field(shape.after))?;
        let (row, deleted) = match (after, self.mode.delete) {
            (Some(row), _) => (row, false),
            (None, Delete::Drop) => return Ok(Outcome::Drop),
            (None, Delete::Tombstone) => {
                // A null with the row's schema, as in Debezium: JsonConverter writes it as a null, others as a tombstone.
                write_long(&mut self.scratch, shape.row.null_branch());
                let form = Form::connect(draft.schema(&shape.null_schema));
                return Ok(Outcome::Replace { form, present: true, headers });
            }
            (None, Delete::ToTombstone) => {
                let form = draft.form(record.value.form);
                return Ok(Outcome::Replace { form, present: false, headers });
            }
            (None, Delete::Rewrite) => match structs::inner(&shape.row, field(shape.before))? {
                Some(row) => (row, true),
                None => return Err(Fault::transform("a delete without the row before it cannot be rewritten")),
            },
        };
        self.scratch.extend_from_slice(row);
        if rewrite {
            write_long(&mut self.scratch, 1);
            write_bytes(&mut self.scratch, if deleted { b"true" } else { b"false" });
        }
        shape.append_fields(&self.ranges, bytes, &mut self.scratch)?;
        Ok(Outcome::Replace { form: Form::connect(draft.schema(&shape.row_schema)), present: true, headers })
    }

    fn json(&mut self, bytes: &[u8]) -> Result<Outcome, Fault> {
        let text = std::str::from_utf8(bytes)?;
        let Some(entries) = json::entries(text) else { return Ok(Outcome::Keep) };
        let envelope: HashMap<&str, &str> = entries.iter().map(|(name, value)| (name.as_ref(), value.get())).collect();
        let (Some(op), Some(source)) = (envelope.get("op"), envelope.get("source")) else { return Ok(Outcome::Keep) };
        if !(envelope.contains_key("after") || envelope.contains_key("before")) || !source.starts_with('{') {
            return Ok(Outcome::Keep);
        }
        if *op == "\"t\"" {
            return Ok(Outcome::Drop);
        }
        let present = |name: &str| envelope.get(name).copied().filter(|text| *text != "null");
        let headers: Vec<_> = self
            .headers
            .iter()
            .filter_map(|reference| {
                let value = reference.find_json(&envelope)?;
                let value = (value != "null").then(|| value.as_bytes().to_vec());
                Some(Header { name: reference.new_name.clone(), form: Form::JSON, value })
            })
            .collect();
        let rewrite = self.mode.delete == Delete::Rewrite;
        let (row, deleted) = match (present("after"), self.mode.delete) {
            (Some(row), _) => (row, false),
            (None, Delete::Drop) => return Ok(Outcome::Drop),
            (None, Delete::Tombstone | Delete::ToTombstone) => {
                return Ok(Outcome::Replace { form: Form::JSON, present: false, headers });
            }
            (None, Delete::Rewrite) => match present("before") {
                Some(row) => (row, true),
                None => return Err(Fault::transform("a delete without the row before it cannot be rewritten")),
            },
        };
        if self.fields.is_empty() && !rewrite {
            self.scratch.extend_from_slice(row.as_bytes());
        } else {
            let columns = json::entries(row).ok_or_else(|| Fault::transform("the row in the envelope is no object"))?;
            let mut object = ObjectWriter::new(&mut self.scratch);
            columns.iter().for_each(|(name, value)| object.raw(name, value.get()));
            if rewrite {
                object.string("__deleted", if deleted { "true" } else { "false" });
            }
            for reference in &self.fields {
                if let Some(value) = reference.find_json(&envelope) {
                    object.raw(&reference.new_name, &value);
                }
            }
            object.end();
        }
        Ok(Outcome::Replace { form: Form::JSON, present: true, headers })
    }
}

impl Rewrite for ExtractNewRecordState {
    fn apply(&mut self, batch: &Batch) -> Rewritten {
        self.shapes.begin(batch);
        let mut draft = Draft::of(batch);
        for record in batch.records() {
            match self.outcome(batch, &mut draft, &record) {
                Err(fault) => draft.fail(&record, fault),
                Ok(Outcome::Drop) => draft.filter(),
                Ok(Outcome::Keep) => draft.keep(&record),
                Ok(Outcome::Replace { form, present, headers }) => {
                    let run = Run { value: form, ..draft.run(&record) };
                    draft.begin(run, record.key.bytes, present.then_some(&self.scratch));
                    draft.headers(&record);
                    for header in &headers {
                        draft.builder().header(&header.name, header.form, header.value.as_deref());
                    }
                    draft.end(&record);
                }
            }
        }
        draft.finish()
    }
}
