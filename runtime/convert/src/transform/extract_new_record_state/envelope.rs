//! Debezium's envelope: which schemas are one, where its fields lie, and which of them are added to rows and headers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use towpath_model::datum::Reader;
use towpath_model::{Field, Schema, Type};

use super::super::structs;
use crate::fault::Fault;
use crate::json;

/// A field of the envelope that is added, such as `op`, `source.ts_ms` or `op:operation`.
#[derive(Debug)]
pub(super) struct Reference {
    /// The struct that holds it; none for the envelope itself.
    parent: Option<String>,
    field: String,
    /// Its name in the row or among the headers.
    pub(super) new_name: Arc<str>,
}

impl Reference {
    /// Reads a reference. A bare name is one of the envelope's own, of the transaction block, or of `source`.
    pub(super) fn parse(prefix: &str, text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let (path, renamed) = (parts.next().unwrap_or_default(), parts.next());
        if parts.next().is_some() || path.is_empty() {
            return Err(format!("Unexpected field name: {text}"));
        }
        let (parent, field, own_name) = match path.split_once('.') {
            Some((parent, field)) => (Some(parent.to_owned()), field, format!("{parent}_{field}")),
            None => {
                let parent = match path {
                    "op" | "ts_ms" | "ts_us" | "ts_ns" => None,
                    "id" | "total_order" | "data_collection_order" => Some("transaction".to_owned()),
                    _ => Some("source".to_owned()),
                };
                (parent, path, path.to_owned())
            }
        };
        let new_name = format!("{prefix}{}", renamed.unwrap_or(&own_name)).into();
        Ok(Self { parent, field: field.to_owned(), new_name })
    }

    /// Whether it is the operation, which tombstones have, too.
    pub(super) fn is_operation(&self) -> bool {
        self.parent.is_none() && self.field == "op"
    }

    /// The value in an envelope of JSON: null where the struct that holds it is null, none where there is no such field.
    pub(super) fn find_json<'a>(&self, envelope: &HashMap<&str, &'a str>) -> Option<Cow<'a, str>> {
        let own = |name: &str| envelope.get(name).map(|value| Cow::Borrowed(*value));
        let Some(parent) = &self.parent else { return own(&self.field) };
        let inside = match envelope.get(parent.as_str()).copied() {
            Some("null") => return Some(Cow::Borrowed("null")),
            Some(text) => json::entries(text)?,
            None => return own(&self.field),
        };
        let found = inside.iter().find(|(name, _)| **name == *self.field).map(|(_, value)| Cow::Borrowed(value.get()));
        found.or_else(|| own(&self.field))
    }

    fn locate(&self, envelope: &Schema) -> Option<Located> {
        let position = |schema: &Schema, name: &str| schema.fields().iter().position(|field| *field.name == *name);
        let top = |name: &str| {
            let index = position(envelope, name)?;
            Some(Located { top: index, inner: None, schema: envelope.fields().get(index)?.schema.clone() })
        };
        let Some(parent) = &self.parent else { return top(&self.field) };
        let Some(index) = position(envelope, parent) else { return top(&self.field) };
        let holder = &envelope.fields().get(index)?.schema;
        match position(holder, &self.field) {
            Some(inner) => {
                let schema = holder.fields().get(inner)?.schema.clone();
                Some(Located { top: index, inner: Some((holder.clone(), inner)), schema })
            }
            None => top(&self.field),
        }
    }
}

/// Where a referenced field lies in a datum.
#[derive(Debug)]
struct Located {
    top: usize,
    inner: Option<(Arc<Schema>, usize)>,
    schema: Arc<Schema>,
}

impl Located {
    /// Appends the field's value as an optional one.
    fn append(&self, ranges: &[Range<usize>], datum: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let top = ranges.get(self.top).and_then(|range| datum.get(range.clone())).unwrap_or_default();
        let Some((holder, index)) = &self.inner else { return structs::append_optional(&self.schema, Some(top), out) };
        let mut inside = Vec::new();
        let present = structs::fields(holder, top, &mut inside)?;
        let value = inside.get(*index).and_then(|range| top.get(range.clone())).filter(|_| present);
        structs::append_optional(&self.schema, value, out)
    }
}

/// A header to add: its name, the text of its schema, its datum.
pub(super) struct Added {
    pub(super) name: Arc<str>,
    pub(super) schema: Arc<str>,
    pub(super) value: Vec<u8>,
}

/// An envelope's schema, and what is made of its data.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) envelope: Schema,
    pub(super) before: usize,
    pub(super) after: usize,
    pub(super) op: usize,
    /// The schema of `before` and `after`.
    pub(super) row: Arc<Schema>,
    /// The schema of what comes out.
    pub(super) row_schema: Arc<str>,
    /// The schema of a null that stands for a deleted row.
    pub(super) null_schema: Arc<str>,
    fields: Vec<Located>,
    /// For each header reference that the envelope has: its place and the schema of the header.
    headers: Vec<(usize, Located, Arc<str>)>,
}

impl Shape {
    /// Works out what is to be made of data of this schema; none when it is no envelope.
    pub(super) fn compile(
        envelope: Schema,
        rewrite: bool,
        fields: &[Reference],
        headers: &[Reference],
    ) -> Result<Option<Self>, Fault> {
        if !envelope.name.as_ref().is_some_and(|name| name.ends_with(".Envelope")) {
            return Ok(None);
        }
        let position = |name: &str| envelope.fields().iter().position(|field| *field.name == *name);
        let (Some(before), Some(after), Some(op)) = (position("before"), position("after"), position("op")) else {
            return Ok(None);
        };
        let row = envelope.fields().get(after).map(|field| field.schema.clone());
        let row = row.ok_or_else(|| Fault::schema("the envelope has no row"))?;
        let mut more = Vec::new();
        if rewrite {
            more.push(Field { name: "__deleted".into(), schema: Arc::new(Schema::new(Type::String).optional()) });
        }
        let mut located = Vec::new();
        for reference in fields {
            if let Some(found) = reference.locate(&envelope) {
                let schema = Arc::new(structs::made_optional(&found.schema));
                more.push(Field { name: reference.new_name.clone(), schema });
                located.push(found);
            }
        }
        let null_schema = row.to_json().to_string().into();
        let row_schema = structs::extended(&row, more)?;
        let found_headers = headers.iter().enumerate().filter_map(|(index, reference)| {
            let found = reference.locate(&envelope)?;
            let schema = structs::made_optional(&found.schema).to_json().to_string().into();
            Some((index, found, schema))
        });
        let headers = found_headers.collect();
        Ok(Some(Self { before, after, op, row, row_schema, null_schema, fields: located, headers, envelope }))
    }

    /// The operation's letter.
    pub(super) fn operation<'a>(&self, datum: &'a [u8]) -> Result<&'a str, Fault> {
        let schema = self.envelope.fields().get(self.op).map(|field| &field.schema);
        let inner = schema.map_or(Ok(None), |schema| structs::inner(schema, datum))?;
        Ok(inner.map_or(Ok(""), |inner| Reader::new(inner).string())?)
    }

    /// Appends the added fields.
    pub(super) fn append_fields(&self, ranges: &[Range<usize>], datum: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        self.fields.iter().try_for_each(|field| field.append(ranges, datum, out))
    }

    /// The added headers.
    pub(super) fn header_values(
        &self,
        references: &[Reference],
        ranges: &[Range<usize>],
        datum: &[u8],
    ) -> Result<Vec<Added>, Fault> {
        let values = self.headers.iter().map(|(index, located, schema)| {
            let mut value = Vec::new();
            located.append(ranges, datum, &mut value)?;
            let name = references.get(*index).map_or_else(|| "".into(), |reference| reference.new_name.clone());
            Ok(Added { name, schema: schema.clone(), value })
        });
        values.collect()
    }
}
