//! JSON in a text, taken apart: a schema is made after the document, and the document becomes data under it.

use std::sync::Arc;

use serde_json::Value;
use towpath_model::{Field, Schema, Type};

use crate::json::write_datum;

/// What becomes of values that tell nothing of their type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expand {
    pub(super) nulls_stay: bool,
    pub(super) empty_arrays_stay: bool,
}

impl Expand {
    /// The schema and datum of a document; none for what is no object or array, or has no schema.
    pub(super) fn expand(&self, name: &str, text: &str) -> Option<(Schema, Vec<u8>)> {
        let document: Value =
            serde_json::from_str(text).ok().filter(|document: &Value| document.is_object() || document.is_array())?;
        let schema = self.schema(Some(name), &document)?;
        let mut datum = Vec::new();
        write_datum(&schema, &document, &mut datum).ok()?;
        Some((schema, datum))
    }

    /// The schema of a value; none where its type cannot be told.
    fn schema(&self, name: Option<&str>, value: &Value) -> Option<Schema> {
        let kind = match value {
            Value::Null => return self.nulls_stay.then(|| Schema::new(Type::Bytes).optional()),
            Value::Bool(_) => Type::Boolean,
            Value::String(_) => Type::String,
            Value::Number(number) => match number.as_i64() {
                Some(number) if i32::try_from(number).is_ok() => Type::Int32,
                Some(_) => Type::Int64,
                None => Type::Float64,
            },
            Value::Array(items) if items.is_empty() => {
                let text = Arc::new(Schema::new(Type::String).optional());
                return self.empty_arrays_stay.then(|| Schema::new(Type::Array(text)).optional());
            }
            Value::Array(items) => Type::Array(Arc::new(self.items(name, items)?)),
            Value::Object(entries) => {
                let fields = entries.iter().filter_map(|(key, value)| {
                    let path =
                        name.filter(|name| !name.trim().is_empty()).map_or(key.clone(), |name| format!("{name}.{key}"));
                    let schema = Arc::new(self.schema(Some(&path), value)?);
                    Some(Field { name: key.as_str().into(), schema })
                });
                let kind = Type::Struct(fields.collect());
                return Some(Schema { name: name.map(Into::into), ..Schema::new(kind).optional() });
            }
        };
        Some(Schema::new(kind).optional())
    }

    /// The one schema of all items.
    fn items(&self, name: Option<&str>, items: &[Value]) -> Option<Schema> {
        let first = items.iter().find(|item| !item.is_null())?;
        if !first.is_object() {
            let schema = self.schema(None, first)?;
            let alike =
                |item: &Value| item.is_null() || self.schema(None, item).is_some_and(|other| other.kind == schema.kind);
            return items.iter().all(alike).then_some(schema);
        }
        let mut merged: Option<Schema> = None;
        for item in items.iter().filter(|item| !item.is_null()) {
            let schema = self.schema(name, item).filter(|_| item.is_object())?;
            merged = Some(match merged {
                None => schema,
                Some(known) => merge(known, &schema),
            });
        }
        merged
    }
}

/// A schema with the fields of both; what is only known as bytes, being null, gives way.
fn merge(known: Schema, other: &Schema) -> Schema {
    let mut fields = known.fields().to_vec();
    for field in other.fields() {
        match fields.iter_mut().find(|known| known.name == field.name) {
            None => fields.push(field.clone()),
            Some(known) if known.schema.kind == Type::Bytes && field.schema.kind != Type::Bytes => {
                *known = field.clone()
            }
            Some(_) => {}
        }
    }
    Schema { kind: Type::Struct(fields), optional: false, ..known }
}
