//! Structs taken apart and put together as bytes: a datum's field is a slice of it, under the field's own schema.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use towpath_model::datum::Reader;
use towpath_model::{Field, Schema, Type};

use crate::fault::Fault;

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

/// The schema of a struct with more fields. Like Connect's own transforms it keeps name, version, doc and parameters, and
/// is not optional.
pub(crate) fn extended(schema: &Schema, more: Vec<Field>) -> Result<Arc<str>, Fault> {
    let Type::Struct(fields) = &schema.kind else {
        return Err(Fault::transform(format!("only a struct can take a field, and this is {}", schema.kind.name())));
    };
    let mut fields = fields.clone();
    fields.extend(more);
    let mut names = BTreeSet::new();
    if let Some(twice) = fields.iter().find(|field| !names.insert(field.name.clone())) {
        return Err(Fault::transform(format!("the field {} is there already", twice.name)));
    }
    let extended = Schema { kind: Type::Struct(fields), optional: false, default: None, ..schema.clone() };
    Ok(extended.to_json().to_string().into())
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
