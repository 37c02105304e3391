//! ExtractField: a field takes the place of the key or value that holds it.

use std::sync::Arc;

use towpath_model::datum::write_long;
use towpath_model::{ConfigKey, Importance, Record, Schema, ValueType};

use super::field_path::{FieldPath, Step, version_key};
use super::part::{Of, Out, Reshape, Written};
use super::{Settings, nulls_key, structs};
use crate::error::Error;
use crate::fault::Fault;
use crate::keys::key;

const PURPOSE: &str = "field extraction";

pub(crate) fn keys() -> Vec<ConfigKey> {
    vec![key("field", ValueType::String, Importance::Medium, "The field to extract."), nulls_key(), version_key()]
}

/// Extracts a field.
pub(crate) struct ExtractField {
    path: FieldPath,
    nulls_take_defaults: bool,
}

/// The way to the field in a struct.
pub(crate) struct Shape {
    steps: Vec<Step>,
    field: Arc<Schema>,
    text: Arc<str>,
}

impl ExtractField {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        Ok(Self { path: FieldPath::new(settings, "field")?, nulls_take_defaults: settings.nulls_take_defaults()? })
    }
}

impl Shape {
    fn null(&self, out: &mut Out) -> Written {
        if !self.field.optional {
            return Written::Null;
        }
        write_long(&mut out.bytes, self.field.null_branch());
        Written::Datum(self.text.clone())
    }
}

impl Reshape for ExtractField {
    type Shape = Shape;

    fn compile(&self, schema: &Schema) -> Result<Shape, Fault> {
        structs::require(schema, PURPOSE)?;
        let (steps, field) = self.path.through(schema)?;
        let text = structs::text(&field);
        Ok(Shape { steps, field, text })
    }

    fn datum(&mut self, of: Of<'_, Shape>, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        let shape = of.shape;
        let mut current = of.datum;
        let last = shape.steps.len() - 1;
        for (depth, step) in shape.steps.iter().enumerate() {
            if !structs::fields(&step.schema, current, &mut out.ranges)? {
                return Ok(shape.null(out));
            }
            let range = out.ranges.get(step.index).cloned().unwrap_or_default();
            current = current.get(range).unwrap_or_default();
            match &step.default {
                Some(default) if current == [2] && (depth < last || self.nulls_take_defaults) => current = default,
                _ => {}
            }
        }
        out.bytes.extend_from_slice(current);
        Ok(Written::Datum(shape.text.clone()))
    }

    fn json(&mut self, text: &str, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        let mut current = text;
        for (depth, step) in self.path.steps.iter().enumerate() {
            let purpose = if depth == 0 { PURPOSE } else { "nested field access" };
            let entries = structs::entries(current, purpose)?;
            match entries.iter().rfind(|(name, _)| **name == **step).map(|(_, value)| value.get()) {
                None | Some("null") => return Ok(Written::Null),
                Some(value) => current = value,
            }
        }
        out.bytes.extend_from_slice(current.as_bytes());
        Ok(Written::Json)
    }

    fn unfit_null(&self, fault: &Fault) -> Result<Written, Fault> {
        Err(fault.clone())
    }

    fn null(&mut self, of: Option<Of<'_, Shape>>, out: &mut Out) -> Result<Written, Fault> {
        Ok(of.map_or(Written::Same, |of| of.shape.null(out)))
    }
}
