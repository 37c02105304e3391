//! Cast: gives fields, or a whole key or value, another type.

mod number;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use towpath_model::{ConfigKey, Field, Importance, Record, Schema, Type, ValueType};

use self::number::cast;
use super::part::{Of, Out, Reshape, Written};
use super::scalar::{Scalar, Temporal};
use super::structs::Copied;
use super::{Settings, nulls_key, structs};
use crate::error::Error;
use crate::fault::Fault;
use crate::json::ObjectWriter;
use crate::keys::key;

const PURPOSE: &str = "cast types";

pub(crate) fn keys() -> Vec<ConfigKey> {
    let doc = "Fields and their types, as `field:type`; or one type, for the whole key or value. Types: int8, int16, int32, int64, \
        float32, float64, boolean, string. Bytes can only become a string, which is Base64.";
    vec![key("spec", ValueType::List, Importance::High, doc), nulls_key()]
}

/// A type to cast to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    String,
}

impl Target {
    const NAMES: [(&'static str, Self); 8] = [
        ("int8", Self::Int8),
        ("int16", Self::Int16),
        ("int32", Self::Int32),
        ("int64", Self::Int64),
        ("float32", Self::Float32),
        ("float64", Self::Float64),
        ("boolean", Self::Boolean),
        ("string", Self::String),
    ];

    fn parse(text: &str) -> Result<Self, String> {
        let name = text.trim().to_ascii_lowercase();
        if let Some((_, target)) = Self::NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(*target);
        }
        let known = Self::NAMES.map(|(name, _)| name.to_uppercase()).join(", ");
        Err(match name.as_str() {
            "bytes" | "array" | "map" | "struct" => {
                let name = name.to_uppercase();
                format!("Cast transformation does not support casting to {name}; supported types are [{known}]")
            }
            _ => format!("Invalid type found in casting spec: {}; types are [{known}]", text.trim()),
        })
    }

    fn kind(self) -> Type {
        match self {
            Self::Int8 => Type::Int8,
            Self::Int16 => Type::Int16,
            Self::Int32 => Type::Int32,
            Self::Int64 => Type::Int64,
            Self::Float32 => Type::Float32,
            Self::Float64 => Type::Float64,
            Self::Boolean => Type::Boolean,
            Self::String => Type::String,
        }
    }

    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, target)| *target == self).map_or("", |(name, _)| name)
    }
}

/// Casts.
pub(crate) struct Cast {
    spec: Spec,
    nulls_take_defaults: bool,
}

enum Spec {
    Whole(Target),
    Fields(Vec<(Arc<str>, Target)>),
}

/// The schema after, and what becomes of the data.
pub(crate) struct Shape {
    after: Arc<str>,
    schema: Schema,
    fields: Vec<(Copied, Option<Target>)>,
}

impl Cast {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        let invalid = |reason: String| Error::value(settings.key("spec"), reason);
        settings.required("spec")?;
        let mut whole = None;
        let mut fields: Vec<(Arc<str>, Target)> = Vec::new();
        for mapping in settings.list("spec") {
            match mapping.split(':').collect::<Vec<_>>().as_slice() {
                [target] => whole = Some(Target::parse(target).map_err(invalid)?),
                [field, target] => {
                    let target = Target::parse(target).map_err(invalid)?;
                    fields.retain(|(known, _)| **known != *field.trim());
                    fields.push((field.trim().into(), target));
                }
                _ => return Err(invalid(format!("Invalid rename mapping: {mapping}. Write field:type."))),
            }
        }
        let spec = match (whole, fields.is_empty(), settings.list("spec").count()) {
            (None, true, _) => return Err(invalid("Must specify at least one field to cast.".into())),
            (None, false, _) => Spec::Fields(fields),
            (Some(target), _, 1) => Spec::Whole(target),
            (Some(_), ..) => {
                let reason = "Cast transformations that specify a type to cast the entire value to may only specify a single cast in their spec";
                return Err(invalid(reason.into()));
            }
        };
        Ok(Self { spec, nulls_take_defaults: settings.nulls_take_defaults()? })
    }
}

/// The schema after a cast, without its name and the like.
fn retyped(schema: &Schema, target: Target, basics: Schema) -> Result<Schema, Fault> {
    let default = match Scalar::default_of(schema) {
        Ok(Some(default)) => Some(cast(default, Temporal::of(schema), target)?.to_value()),
        Ok(None) => None,
        Err(_) => return Err(unsupported(&schema.kind)),
    };
    Ok(Schema { kind: target.kind(), optional: schema.optional, default, ..basics })
}

fn unsupported(kind: &Type) -> Fault {
    let known = "INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES";
    let kind = kind.name().to_uppercase();
    Fault::transform(format!("Cast transformation does not support casting from {kind}; supported types are [{known}]"))
}

/// Casts a datum with its branch.
fn cast_datum(schema: &Schema, datum: &[u8], target: Target, after: &Schema, out: &mut Vec<u8>) -> Result<(), Fault> {
    if matches!(schema.kind, Type::Array(_) | Type::Map(..) | Type::Struct(_)) {
        return match structs::inner(schema, datum)? {
            None => Scalar::write(None, after, out),
            Some(_) => Err(unsupported(&schema.kind)),
        };
    }
    let value = Scalar::read(schema, datum)?;
    let value = value.map(|value| cast(value, Temporal::of(schema), target)).transpose()?;
    Scalar::write(value.as_ref(), after, out)
}

fn cast_json(json: &str, target: Target, out: &mut Vec<u8>) -> Result<(), Fault> {
    let kind = match json.as_bytes().first() {
        Some(b'{') => Some(Type::Struct(Vec::new())),
        Some(b'[') => Some(Type::Array(Arc::new(Schema::new(Type::String)))),
        _ => None,
    };
    match kind {
        Some(Type::Struct(_)) => {
            let text = Arc::new(Schema::new(Type::String));
            return Err(unsupported(&Type::Map(text.clone(), text)));
        }
        Some(kind) => return Err(unsupported(&kind)),
        None => {}
    }
    let value = Scalar::of_json(json)?.map(|value| cast(value, None, target)).transpose()?;
    Scalar::write_json(value.as_ref(), out);
    Ok(())
}

impl Reshape for Cast {
    type Shape = Shape;

    fn compile(&self, schema: &Schema) -> Result<Shape, Fault> {
        let casts = match &self.spec {
            Spec::Whole(target) => {
                let after = retyped(schema, *target, schema.clone())?;
                return Ok(Shape { after: structs::text(&after), schema: after, fields: Vec::new() });
            }
            Spec::Fields(casts) => casts,
        };
        structs::require(schema, PURPOSE)?;
        let mut fields = Vec::new();
        let mut steps = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            let target = casts.iter().find(|(name, _)| *name == field.name).map(|(_, target)| *target);
            let schema_after = match target {
                Some(target) => {
                    let after = retyped(&field.schema, target, Schema::new(target.kind()));
                    Arc::new(after.map_err(|fault| fault.in_field(&field.name))?)
                }
                None => field.schema.clone(),
            };
            fields.push(Field { name: field.name.clone(), schema: schema_after });
            steps.push((Copied::new(schema.fields(), index, self.nulls_take_defaults)?, target));
        }
        let kind = Type::Struct(fields);
        let after = Schema { kind, ..schema.clone() };
        Ok(Shape { after: structs::text(&after), schema: after, fields: steps })
    }

    fn datum(&mut self, of: Of<'_, Shape>, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        let shape = of.shape;
        if let Spec::Whole(target) = self.spec {
            cast_datum(of.schema, of.datum, target, &shape.schema, &mut out.bytes)?;
            return Ok(Written::Datum(shape.after.clone()));
        }
        structs::fields(of.schema, of.datum, &mut out.ranges)?;
        out.bytes.extend_from_slice(structs::branch(of.schema, of.datum));
        let fields = of.schema.fields().iter().zip(shape.schema.fields());
        for ((copied, target), (before, after)) in shape.fields.iter().zip(fields) {
            let bytes = copied.of(of.datum, &out.ranges);
            match target {
                None => out.bytes.extend_from_slice(bytes),
                Some(target) => cast_datum(&before.schema, bytes, *target, &after.schema, &mut out.bytes)
                    .map_err(|fault| fault.in_field(&before.name))?,
            }
        }
        Ok(Written::Datum(shape.after.clone()))
    }

    fn json(&mut self, text: &str, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        let casts = match &self.spec {
            Spec::Whole(target) => {
                cast_json(text, *target, &mut out.bytes)?;
                return Ok(Written::Json);
            }
            Spec::Fields(casts) => casts,
        };
        let entries = structs::entries(text, PURPOSE)?;
        let mut object = ObjectWriter::new(&mut out.bytes);
        for (name, value) in &entries {
            match casts.iter().find(|(cast, _)| **cast == **name) {
                None => object.raw(name, value.get()),
                Some((_, target)) => object
                    .with(name, |out| cast_json(value.get(), *target, out))
                    .map_err(|fault| fault.in_field(name))?,
            }
        }
        // Connect adds what is not there as a null.
        let missing = casts.iter().filter(|(cast, _)| !entries.iter().any(|(name, _)| **name == **cast));
        missing.for_each(|(name, _)| object.raw(name, "null"));
        object.end();
        Ok(Written::Json)
    }
}
