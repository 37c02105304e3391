//! ValueToKey: makes the key of fields of the value.

use std::sync::Arc;

use towpath_model::{ConfigKey, Field, Importance, Record, Schema, Type, ValueType};

use super::part::{Of, Out, Reshape, Written};
use super::structs::Copied;
use super::{Settings, nulls_key, structs};
use crate::error::Error;
use crate::fault::Fault;
use crate::json::ObjectWriter;
use crate::keys::key;

const PURPOSE: &str = "copying fields from value to key";

pub(crate) fn keys() -> Vec<ConfigKey> {
    vec![
        key("fields", ValueType::List, Importance::High, "Fields of the value that make up the key, in this order."),
        nulls_key(),
    ]
}

/// Makes keys.
pub(crate) struct ValueToKey {
    fields: Vec<String>,
    nulls_take_defaults: bool,
}

/// The key's schema, and what goes into it.
pub(crate) struct Shape {
    key: Arc<str>,
    copied: Vec<Copied>,
}

impl ValueToKey {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        Ok(Self { fields: settings.some("fields")?, nulls_take_defaults: settings.nulls_take_defaults()? })
    }
}

impl Reshape for ValueToKey {
    type Shape = Shape;

    fn compile(&self, schema: &Schema) -> Result<Shape, Fault> {
        structs::require(schema, PURPOSE)?;
        let mut fields = Vec::new();
        let mut copied = Vec::new();
        for name in &self.fields {
            let index = structs::position(schema.fields(), name);
            let index = index.ok_or_else(|| Fault::transform(format!("Field does not exist: {name}")))?;
            let schema_of_field = schema.fields()[index].schema.clone();
            fields.push(Field { name: name.as_str().into(), schema: schema_of_field });
            copied.push(Copied::new(schema.fields(), index, self.nulls_take_defaults)?);
        }
        Ok(Shape { key: structs::text(&Schema::new(Type::Struct(fields))), copied })
    }

    fn datum(&mut self, of: Of<'_, Shape>, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        structs::fields(of.schema, of.datum, &mut out.ranges)?;
        for copied in &of.shape.copied {
            out.bytes.extend_from_slice(copied.of(of.datum, &out.ranges));
        }
        Ok(Written::Datum(of.shape.key.clone()))
    }

    fn json(&mut self, text: &str, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        let entries = structs::entries(text, PURPOSE)?;
        let mut object = ObjectWriter::new(&mut out.bytes);
        for field in &self.fields {
            let value = entries.iter().rfind(|(name, _)| **name == **field);
            object.raw(field, value.map_or("null", |(_, value)| value.get()));
        }
        object.end();
        Ok(Written::Json)
    }

    fn unfit_null(&self, fault: &Fault) -> Result<Written, Fault> {
        Err(fault.clone())
    }

    fn null(&mut self, of: Option<Of<'_, Shape>>, _: &mut Out) -> Result<Written, Fault> {
        Err(structs::null_found(PURPOSE, of.is_some()))
    }
}
