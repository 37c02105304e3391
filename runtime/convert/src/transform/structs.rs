//! Structs taken apart and put together as bytes: a datum's field is a slice of it, under the field's own schema.
//!
//! Here is also what Connect says where something else than a struct or a map stands: its own words, which people search for.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use towpath_model::datum::Reader;
use towpath_model::{Field, Schema, Type};

use crate::fault::Fault;
use crate::json;

/// Skips one value and its branch.
pub(crate) fn skip(schema: &Schema, reader: &mut Reader<'_>) -> Result<(), Fault> {
    if schema.optional && reader.long()? == schema.null_branch() {
        return Ok(());
    }
    match &schema.kind {
        Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => reader.long().map(|_| ())?,
        Type::Float32 => reader.float().map(|_| ())?,
        Type::Float64 => reader.double().map(|_| ())?,
        Type::Boolean => reader.boolean().map(|_| ())?,
        Type::String | Type::Bytes => reader.bytes().map(|_| ())?,
        Type::Array(items) => skip_blocks(reader, |reader| skip(items, reader))?,
        Type::Map(keys, values) => skip_blocks(reader, |reader| {
            skip(keys, reader)?;
            skip(values, reader)
        })?,
        Type::Struct(fields) => fields.iter().try_for_each(|field| skip(&field.schema, reader))?,
    }
    Ok(())
}

fn skip_blocks(
    reader: &mut Reader<'_>,
    mut item: impl FnMut(&mut Reader<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    loop {
        let count = reader.block()?;
        if count == 0 {
            return Ok(());
        }
        (0..count).try_for_each(|_| item(reader))?;
    }
}

/// Where each field of a struct's datum lies, branches included; none for a null.
pub(crate) fn fields(schema: &Schema, datum: &[u8], found: &mut Vec<Range<usize>>) -> Result<bool, Fault> {
    found.clear();
    let mut reader = Reader::new(datum);
    if schema.optional && reader.long()? == schema.null_branch() {
        return Ok(false);
    }
    for field in schema.fields() {
        let start = reader.position();
        skip(&field.schema, &mut reader)?;
        found.push(start..reader.position());
    }
    Ok(true)
}

/// The bytes of a struct without its branch; none for a null.
pub(crate) fn inner<'a>(schema: &Schema, datum: &'a [u8]) -> Result<Option<&'a [u8]>, Fault> {
    let mut reader = Reader::new(datum);
    if schema.optional && reader.long()? == schema.null_branch() {
        return Ok(None);
    }
    Ok(datum.get(reader.position()..))
}

/// The schema of a struct with more fields.
pub(crate) fn extended(schema: &Schema, more: Vec<Field>) -> Result<Arc<str>, Fault> {
    let Type::Struct(fields) = &schema.kind else {
        return Err(Fault::transform(format!("only a struct can take a field, and this is {}", schema.kind.name())));
    };
    let mut fields = fields.clone();
    fields.extend(more);
    Ok(text(&with_fields(schema, fields)?))
}

/// The schema of a struct with other fields. Like Connect's own transforms it keeps name, version, doc and parameters, and
/// is not optional.
pub(crate) fn with_fields(schema: &Schema, fields: Vec<Field>) -> Result<Schema, Fault> {
    let mut names = BTreeSet::new();
    if let Some(twice) = fields.iter().find(|field| !names.insert(field.name.clone())) {
        return Err(Fault::transform(format!("the field {} is there already", twice.name)));
    }
    Ok(of_kind(schema, Type::Struct(fields)))
}

/// A required schema of another type with the same name, version, doc and parameters.
pub(crate) fn of_kind(schema: &Schema, kind: Type) -> Schema {
    Schema { kind, optional: false, default: None, ..schema.clone() }
}

/// The schema's text for a batch's dictionary.
pub(crate) fn text(schema: &Schema) -> Arc<str> {
    schema.to_json().to_string().into()
}

/// The schema must be a struct's.
pub(crate) fn require(schema: &Schema, purpose: &str) -> Result<(), Fault> {
    match schema.kind {
        Type::Struct(_) => Ok(()),
        _ => Err(no_struct(purpose, java_class(&schema.kind))),
    }
}

fn no_struct(purpose: &str, found: &str) -> Fault {
    Fault::transform(format!("Only Struct objects supported for [{purpose}], found: {found}"))
}

/// A null stands where a struct or a map must be.
pub(crate) fn null_found(purpose: &str, has_schema: bool) -> Fault {
    if has_schema { no_struct(purpose, "null") } else { no_map(purpose, "null") }
}

fn no_map(purpose: &str, found: &str) -> Fault {
    Fault::transform(format!("Only Map objects supported in absence of schema for [{purpose}], found: {found}"))
}

/// The entries of a JSON document that must be an object.
pub(crate) fn entries<'a>(text: &'a str, purpose: &str) -> Result<json::Entries<'a>, Fault> {
    json::entries(text).ok_or_else(|| no_map(purpose, json_class(text)))
}

/// The Java class in which Connect keeps a value of this type.
pub(crate) fn java_class(kind: &Type) -> &'static str {
    match kind {
        Type::Int8 => "java.lang.Byte",
        Type::Int16 => "java.lang.Short",
        Type::Int32 => "java.lang.Integer",
        Type::Int64 => "java.lang.Long",
        Type::Float32 => "java.lang.Float",
        Type::Float64 => "java.lang.Double",
        Type::Boolean => "java.lang.Boolean",
        Type::String => "java.lang.String",
        Type::Bytes => "byte[]",
        Type::Array(_) => "java.util.ArrayList",
        Type::Map(..) => "java.util.HashMap",
        Type::Struct(_) => "org.apache.kafka.connect.data.Struct",
    }
}

/// The Java class in which Connect keeps a JSON value without a schema.
pub(crate) fn json_class(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'{') => "java.util.HashMap",
        Some(b'[') => "java.util.ArrayList",
        Some(b'"') => "java.lang.String",
        Some(b't' | b'f') => "java.lang.Boolean",
        Some(b'n') | None => "null",
        Some(_) if text.contains(['.', 'e', 'E']) => "java.lang.Double",
        Some(_) => "java.lang.Long",
    }
}

/// A field on its way from one struct into another, a null as its default where that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Copied {
    index: usize,
    default: Option<Vec<u8>>,
}

impl Copied {
    pub(crate) fn new(fields: &[Field], index: usize, nulls_take_defaults: bool) -> Result<Self, Fault> {
        let schema = fields.get(index).map(|field| &*field.schema);
        let default = schema.filter(|_| nulls_take_defaults).map(default_datum).transpose()?.flatten();
        Ok(Self { index, default })
    }

    /// Every field of a struct.
    pub(crate) fn all(fields: &[Field], nulls_take_defaults: bool) -> Result<Vec<Self>, Fault> {
        (0..fields.len()).map(|index| Self::new(fields, index, nulls_take_defaults)).collect()
    }

    /// The field's bytes, branch and all.
    pub(crate) fn of<'a>(&'a self, datum: &'a [u8], ranges: &[Range<usize>]) -> &'a [u8] {
        let bytes = ranges.get(self.index).and_then(|range| datum.get(range.clone())).unwrap_or_default();
        match &self.default {
            // With a default the null is branch 1.
            Some(default) if bytes == [2] => default,
            _ => bytes,
        }
    }
}

/// The branch in front of an optional datum.
pub(crate) fn branch<'a>(schema: &Schema, datum: &'a [u8]) -> &'a [u8] {
    datum.get(..usize::from(schema.optional)).unwrap_or_default()
}

/// The datum of a schema's default, for an optional schema that has one.
pub(crate) fn default_datum(schema: &Schema) -> Result<Option<Vec<u8>>, Fault> {
    let Some(default) = schema.default.as_ref().filter(|_| schema.optional) else { return Ok(None) };
    let mut datum = Vec::new();
    json::write_datum(schema, default, &mut datum)?;
    Ok(Some(datum))
}

/// Where a field stands in a struct.
pub(crate) fn position(fields: &[Field], name: &str) -> Option<usize> {
    fields.iter().position(|field| *field.name == *name)
}

/// The schema with null allowed and no default.
pub(crate) fn made_optional(schema: &Schema) -> Schema {
    Schema { optional: true, default: None, ..schema.clone() }
}

/// Appends a value of `schema` as one of [`made_optional`]`(schema)`; none is a null.
pub(crate) fn append_optional(schema: &Schema, datum: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let value = match datum {
        Some(datum) => inner(schema, datum)?,
        None => None,
    };
    towpath_model::datum::write_long(out, i64::from(value.is_some()));
    out.extend_from_slice(value.unwrap_or_default());
    Ok(())
}
