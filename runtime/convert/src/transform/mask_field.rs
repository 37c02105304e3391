//! MaskField: puts nothing, or a given text or number, where a field's value stood. A null stays a null.

use std::collections::HashSet;
use std::sync::Arc;

use towpath_model::datum::{write_boolean, write_bytes, write_double, write_float, write_long};
use towpath_model::{ConfigKey, Importance, Record, Schema, Type, ValueType};

use super::part::{Of, Out, Reshape, Written};
use super::scalar::Temporal;
use super::structs::Copied;
use super::{Settings, nulls_key, structs};
use crate::error::Error;
use crate::fault::Fault;
use crate::json::{self, ObjectWriter};
use crate::keys::{key, optional_key};

const PURPOSE: &str = "mask fields";

pub(crate) fn keys() -> Vec<ConfigKey> {
    let doc =
        "What takes the place of numbers and texts, as each field's type has it; 0 and the empty text when not set.";
    vec![
        key("fields", ValueType::List, Importance::High, "Fields to mask."),
        optional_key("replacement", ValueType::String, Importance::Low, doc),
        nulls_key(),
    ]
}

/// Masks.
pub(crate) struct MaskField {
    fields: HashSet<String>,
    replacement: Option<String>,
    nulls_take_defaults: bool,
}

/// What a struct's fields become.
pub(crate) struct Shape {
    after: Arc<str>,
    fields: Vec<(Copied, Option<Mask>)>,
}

/// What stands in place of a value that is there, and what a null looks like.
struct Mask {
    datum: Result<Vec<u8>, Fault>,
    null: Option<u8>,
}

impl MaskField {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        let replacement = settings.get("replacement").map(str::to_owned);
        if replacement.as_deref() == Some("") {
            return Err(Error::value(settings.key("replacement"), "String must be non-empty"));
        }
        Ok(Self {
            fields: settings.some("fields")?.into_iter().collect(),
            replacement,
            nulls_take_defaults: settings.nulls_take_defaults()?,
        })
    }

    /// The datum that masks values of a schema.
    fn mask(&self, schema: &Schema) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        if schema.optional {
            write_long(&mut out, 1 - schema.null_branch());
        }
        let is_decimal = schema.name.as_deref() == Some(json::DECIMAL);
        let refused = |how: &str| {
            let class = structs::java_class(&schema.kind);
            Err(Fault::transform(format!("Cannot mask value of type class {class}{how}")))
        };
        let Some(replacement) = self.replacement.as_deref() else {
            match &schema.kind {
                Type::Boolean => write_boolean(&mut out, false),
                Type::Float32 => write_float(&mut out, 0.0),
                Type::Float64 => write_double(&mut out, 0.0),
                Type::Bytes if is_decimal => write_bytes(&mut out, &[0]),
                Type::Bytes | Type::Struct(_) => return refused(""),
                Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => write_long(&mut out, 0),
                // The empty text, or no items.
                Type::String | Type::Array(_) | Type::Map(..) => write_long(&mut out, 0),
            }
            return Ok(out);
        };
        let no_number = || {
            let reason = format!("Unable to convert {replacement} (class java.lang.String) to number");
            Fault::transform(reason)
        };
        let whole = || json::decimal_truncated(replacement).ok_or_else(no_number);
        if Temporal::of(schema).is_some() {
            return refused(" with custom replacement.");
        }
        match &schema.kind {
            Type::Int8 => write_long(&mut out, i64::from(whole()? as i8)),
            Type::Int16 => write_long(&mut out, i64::from(whole()? as i16)),
            Type::Int32 => write_long(&mut out, i64::from(whole()? as i32)),
            Type::Int64 => write_long(&mut out, whole()?),
            Type::Float32 => {
                whole()?;
                write_float(&mut out, replacement.parse::<f64>().map_err(|_| no_number())? as f32);
            }
            Type::Float64 => {
                whole()?;
                write_double(&mut out, replacement.parse().map_err(|_| no_number())?);
            }
            Type::String => write_bytes(&mut out, replacement.as_bytes()),
            Type::Bytes if is_decimal => {
                let unscaled = json::decimal_unscaled(replacement, json::decimal_scale(schema));
                write_bytes(&mut out, &unscaled.ok_or_else(no_number)?);
            }
            _ => return refused(" with custom replacement."),
        }
        Ok(out)
    }

    /// The JSON that masks a value without a schema.
    fn mask_json(&self, value: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
        let class = structs::json_class(value);
        let Some(replacement) = self.replacement.as_deref() else {
            out.extend_from_slice(match class {
                "java.util.HashMap" => b"{}",
                "java.util.ArrayList" => b"[]",
                "java.lang.String" => b"\"\"",
                "java.lang.Boolean" => b"false",
                "java.lang.Double" => b"0.0",
                "java.lang.Long" => b"0",
                _ => b"null",
            });
            return Ok(());
        };
        let no_number =
            || Fault::transform(format!("Unable to convert {replacement} (class java.lang.String) to number"));
        match class {
            "null" => out.extend_from_slice(b"null"),
            "java.lang.String" => json::write_string(out, replacement.as_bytes())?,
            "java.lang.Long" => {
                let number = json::decimal_truncated(replacement).ok_or_else(no_number)?;
                out.extend_from_slice(number.to_string().as_bytes());
            }
            "java.lang.Double" => {
                json::decimal_truncated(replacement).ok_or_else(no_number)?;
                json::write_double(out, replacement.parse().map_err(|_| no_number())?);
            }
            class => {
                let reason = format!("Cannot mask value of type class {class} with custom replacement.");
                return Err(Fault::transform(reason));
            }
        }
        Ok(())
    }
}

impl Reshape for MaskField {
    type Shape = Shape;

    fn compile(&self, schema: &Schema) -> Result<Shape, Fault> {
        structs::require(schema, PURPOSE)?;
        let field = |index: usize| {
            let field = &schema.fields()[index];
            let mask = self.fields.contains(&*field.name).then(|| Mask {
                datum: self.mask(&field.schema).map_err(|fault| fault.in_field(&field.name)),
                null: field.schema.optional.then(|| (field.schema.null_branch() << 1) as u8),
            });
            Ok((Copied::new(schema.fields(), index, self.nulls_take_defaults)?, mask))
        };
        let fields = (0..schema.fields().len()).map(field).collect::<Result<_, Fault>>()?;
        Ok(Shape { after: structs::text(schema), fields })
    }

    fn datum(&mut self, of: Of<'_, Shape>, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        structs::fields(of.schema, of.datum, &mut out.ranges)?;
        out.bytes.extend_from_slice(structs::branch(of.schema, of.datum));
        for (copied, mask) in &of.shape.fields {
            let bytes = copied.of(of.datum, &out.ranges);
            match mask {
                Some(mask) if mask.null.is_none_or(|null| bytes != [null]) => {
                    out.bytes.extend_from_slice(mask.datum.as_ref().map_err(Clone::clone)?);
                }
                _ => out.bytes.extend_from_slice(bytes),
            }
        }
        Ok(Written::Datum(of.shape.after.clone()))
    }

    fn json(&mut self, text: &str, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        let entries = structs::entries(text, PURPOSE)?;
        let mut object = ObjectWriter::new(&mut out.bytes);
        for (name, value) in &entries {
            if self.fields.contains(&**name) {
                object.with(name, |out| self.mask_json(value.get(), out)).map_err(|fault| fault.in_field(name))?;
            } else {
                object.raw(name, value.get());
            }
        }
        // Connect adds what is not there as a null.
        let mut missing: Vec<_> =
            self.fields.iter().filter(|field| !entries.iter().any(|(name, _)| **name == ***field)).collect();
        missing.sort();
        missing.into_iter().for_each(|field| object.raw(field, "null"));
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
