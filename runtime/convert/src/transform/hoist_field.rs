//! HoistField: wraps a key or value into a struct, or an object, of one field.

use std::sync::Arc;

use towpath_model::datum::write_long;
use towpath_model::{ConfigKey, Field, Importance, Record, Schema, Type, ValueType};

use super::part::{Of, Out, Reshape, Written};
use super::{Settings, structs};
use crate::error::Error;
use crate::fault::Fault;
use crate::json::ObjectWriter;
use crate::keys::key;

pub(crate) fn keys() -> Vec<ConfigKey> {
    vec![key(
        "field",
        ValueType::String,
        Importance::Medium,
        "Name of the one field of the struct or object that is made.",
    )]
}

/// Wraps payloads.
pub(crate) struct HoistField {
    field: Arc<str>,
}

impl HoistField {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        Ok(Self { field: settings.required("field")?.into() })
    }

    fn wrap(&self, value: &str, out: &mut Out) -> Written {
        let mut object = ObjectWriter::new(&mut out.bytes);
        object.raw(&self.field, value);
        object.end();
        Written::Json
    }
}

impl Reshape for HoistField {
    type Shape = Arc<str>;

    fn compile(&self, schema: &Schema) -> Result<Arc<str>, Fault> {
        let field = Field { name: self.field.clone(), schema: Arc::new(schema.clone()) };
        Ok(structs::text(&Schema::new(Type::Struct(vec![field]))))
    }

    fn datum(&mut self, of: Of<'_, Arc<str>>, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        out.bytes.extend_from_slice(of.datum);
        Ok(Written::Datum(of.shape.clone()))
    }

    fn json(&mut self, text: &str, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        Ok(self.wrap(text, out))
    }

    fn null(&mut self, of: Option<Of<'_, Arc<str>>>, out: &mut Out) -> Result<Written, Fault> {
        let Some(of) = of else { return Ok(self.wrap("null", out)) };
        write_long(&mut out.bytes, of.schema.null_branch());
        Ok(Written::Datum(of.shape.clone()))
    }
}
