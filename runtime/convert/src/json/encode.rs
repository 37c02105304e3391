//! JSON to datum, under the schema of JsonConverter's envelope.
//!
//! The payload is walked as raw text, so that numbers keep every digit they are written with.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use towpath_model::datum::{write_boolean, write_bytes, write_double, write_float, write_long};
use towpath_model::{Field, Schema, Type};

use super::transcode::decimal_scale;
use super::{DECIMAL, Options, UNION, decimal};
use crate::fault::Fault;

/// Reads JSON under one schema.
#[derive(Debug)]
pub(crate) struct Encoder {
    schema: Schema,
    nulls_take_defaults: bool,
    /// The schema's text for the batch's dictionary.
    pub(crate) text: Arc<str>,
}

impl Encoder {
    /// An encoder for a schema in its JSON form; none for the schema `null`.
    pub(crate) fn new(text: &str, options: Options) -> Result<Option<Self>, Fault> {
        if text == "null" {
            return Ok(None);
        }
        let schema = Schema::parse(text).map_err(|error| Fault::schema(error.to_string()))?;
        Ok(Some(Self { nulls_take_defaults: options.nulls_take_defaults, ..Self::of(schema) }))
    }

    /// An encoder for a schema, under which nulls become defaults.
    pub(crate) fn of(schema: Schema) -> Self {
        let text = schema.to_json().to_string().into();
        Self { schema, nulls_take_defaults: true, text }
    }

    /// Appends the datum of a JSON text.
    pub(crate) fn write(&self, json: &RawValue, out: &mut Vec<u8>) -> Result<(), Fault> {
        Walk { nulls_take_defaults: self.nulls_take_defaults }.write(&self.schema, json.get(), out, "$")
    }
}

/// Appends the datum of a value in JsonConverter's form, such as a default. Nulls stay nulls.
pub(crate) fn write_datum(schema: &Schema, value: &serde_json::Value, out: &mut Vec<u8>) -> Result<(), Fault> {
    Walk { nulls_take_defaults: false }.write(schema, &value.to_string(), out, "$")
}

/// The walk over one payload.
struct Walk {
    nulls_take_defaults: bool,
}

impl Walk {
    fn write(&self, schema: &Schema, json: &str, out: &mut Vec<u8>, path: &str) -> Result<(), Fault> {
        let default = schema.default.as_ref().filter(|_| self.nulls_take_defaults).map(ToString::to_string);
        let json = match &default {
            Some(default) if json == "null" => default,
            _ => json,
        };
        if json == "null" {
            if !schema.optional {
                return Err(Fault::json(format!("{path} is null, though its schema requires a value")));
            }
            write_long(out, schema.null_branch());
            return Ok(());
        }
        if schema.optional {
            write_long(out, 1 - schema.null_branch());
        }
        self.write_value(schema, json, out, path)
    }

    fn write_value(&self, schema: &Schema, json: &str, out: &mut Vec<u8>, path: &str) -> Result<(), Fault> {
        let mismatch = || Fault::json(format!("{path} is not a value of its schema's type {}", schema.kind.name()));
        match &schema.kind {
            Type::Int8 => write_long(out, integer(json, i8::MIN.into(), i8::MAX.into()).ok_or_else(mismatch)?),
            Type::Int16 => write_long(out, integer(json, i16::MIN.into(), i16::MAX.into()).ok_or_else(mismatch)?),
            Type::Int32 => write_long(out, integer(json, i32::MIN.into(), i32::MAX.into()).ok_or_else(mismatch)?),
            Type::Int64 => write_long(out, integer(json, i64::MIN, i64::MAX).ok_or_else(mismatch)?),
            Type::Float32 => write_float(out, float(json).ok_or_else(mismatch)?),
            Type::Float64 => write_double(out, float(json).ok_or_else(mismatch)?),
            Type::Boolean => write_boolean(out, serde_json::from_str(json).map_err(|_| mismatch())?),
            Type::String => write_bytes(out, string(json).ok_or_else(mismatch)?.as_bytes()),
            Type::Bytes if !json.starts_with('"') && schema.name.as_deref() == Some(DECIMAL) => {
                write_bytes(out, &decimal::from_text(json, decimal_scale(schema)).ok_or_else(mismatch)?);
            }
            Type::Bytes => {
                let text = string(json).ok_or_else(mismatch)?;
                write_bytes(out, &STANDARD.decode(text.as_bytes()).map_err(|_| mismatch())?);
            }
            Type::Array(items) => {
                let raw: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| mismatch())?;
                write_block(out, raw.len(), |out| {
                    raw.iter().try_for_each(|item| self.write(items, item.get(), out, &format!("{path}[]")))
                })?;
            }
            Type::Map(keys, values) if json.starts_with('[') => {
                let raw: Vec<Entry<'_>> = serde_json::from_str(json).map_err(|_| mismatch())?;
                write_block(out, raw.len(), |out| {
                    raw.iter().try_for_each(|Entry { key, value }| {
                        self.write(keys, key.get(), out, &format!("{path} key"))?;
                        self.write(values, value.get(), out, &format!("{path} value"))
                    })
                })?;
            }
            Type::Map(keys, values) => {
                let Object(raw) = serde_json::from_str(json).map_err(|_| mismatch())?;
                if !matches!(keys.kind, Type::String) {
                    return Err(mismatch());
                }
                write_block(out, raw.len(), |out| {
                    raw.iter().try_for_each(|(key, value)| {
                        if keys.optional {
                            write_long(out, 1 - keys.null_branch());
                        }
                        write_bytes(out, key.as_bytes());
                        self.write(values, value.get(), out, &format!("{path}.{key}"))
                    })
                })?;
            }
            Type::Struct(fields) if schema.name.as_deref() == Some(UNION) => {
                let chosen = branch(fields, json).ok_or_else(mismatch)?;
                for (index, field) in fields.iter().enumerate() {
                    let value = if index == chosen { json } else { "null" };
                    self.write(&field.schema, value, out, path)?;
                }
            }
            Type::Struct(fields) => {
                let Object(raw) = serde_json::from_str(json).map_err(|_| mismatch())?;
                let found: HashMap<&str, &RawValue> = raw.iter().map(|(key, value)| (key.as_ref(), *value)).collect();
                for field in fields {
                    let value = found.get(field.name.as_ref()).map_or("null", |value| value.get());
                    self.write(&field.schema, value, out, &format!("{path}.{}", field.name))?;
                }
            }
        }
        Ok(())
    }
}

/// An entry of a map whose keys are no texts: a pair, or an object.
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    key: &'a RawValue,
    #[serde(borrow)]
    value: &'a RawValue,
}

/// The field of a union to which a value belongs, as Confluent's converter finds it: the first one of its type, or else the struct that has
/// most of its fields.
fn branch(fields: &[Field], json: &str) -> Option<usize> {
    let simple = fields.iter().position(|field| match &field.schema.kind {
        Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => json.parse::<i64>().is_ok(),
        Type::Float32 | Type::Float64 => json.starts_with(|first: char| first == '-' || first.is_ascii_digit()),
        Type::Boolean => json.starts_with(['t', 'f']),
        Type::String | Type::Bytes => json.starts_with('"'),
        Type::Array(_) => json.starts_with('['),
        Type::Map(..) => json.starts_with(['{', '[']),
        Type::Struct(_) => false,
    });
    let matching = || {
        let structs = fields.iter().enumerate().map(|(index, field)| (index, shared(&field.schema, json)));
        let best = structs.rev().max_by_key(|(_, shared)| *shared).filter(|(_, shared)| *shared > 0);
        best.map(|(index, _)| index)
    };
    simple.or_else(matching)
}

/// How many fields a struct and an object have in common, those inside of them counted.
fn shared(schema: &Schema, json: &str) -> usize {
    let Type::Struct(fields) = &schema.kind else { return 0 };
    let entries = entries(json).unwrap_or_default();
    let found = |field: &Field| entries.iter().find(|(key, _)| *key == field.name.as_ref());
    fields.iter().filter_map(|field| Some(1 + shared(&field.schema, found(field)?.1.get()))).sum()
}

fn write_block(
    out: &mut Vec<u8>,
    count: usize,
    items: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if count > 0 {
        write_long(out, count as i64);
        items(out)?;
    }
    write_long(out, 0);
    Ok(())
}

fn integer(json: &str, min: i64, max: i64) -> Option<i64> {
    json.parse().ok().filter(|value| (min..=max).contains(value))
}

fn float<T: std::str::FromStr>(json: &str) -> Option<T> {
    match json {
        "\"NaN\"" => "NaN".parse().ok(),
        "\"Infinity\"" => "inf".parse().ok(),
        "\"-Infinity\"" => "-inf".parse().ok(),
        _ if json.starts_with(['"', '{', '[', 't', 'f', 'n']) => None,
        _ => json.parse().ok(),
    }
}

/// The contents of a JSON string.
pub(crate) fn string(json: &str) -> Option<Cow<'_, str>> {
    match serde_json::from_str::<&str>(json) {
        Ok(text) => Some(Cow::Borrowed(text)),
        Err(_) => serde_json::from_str::<String>(json).ok().map(Cow::Owned),
    }
}

/// The entries of a JSON object in their order, values as raw text.
pub(crate) type Entries<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

struct Object<'a>(Entries<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key::<BorrowedOrOwned<'de>>()? {
                    entries.push((key.0, map.next_value()?));
                }
                Ok(Object(entries))
            }
        }

        #[derive(Deserialize)]
        #[serde(transparent)]
        struct BorrowedOrOwned<'a>(#[serde(borrow)] Cow<'a, str>);

        deserializer.deserialize_map(Collect)
    }
}

pub(crate) fn entries(json: &str) -> Option<Entries<'_>> {
    serde_json::from_str::<Object<'_>>(json).ok().map(|entries| entries.0)
}
