//! Data as plain text: `toString` of Java for StringConverter, and Connect's `Values` for SimpleHeaderConverter.
//!
//! Both matter for headers and odd keys only; records go through [`crate::json`].

use towpath_model::datum::Reader;
use towpath_model::{Schema, Type};

use crate::fault::Fault;
use crate::json::{write_base64, write_double, write_float, write_string};

/// The two ways of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `Struct{id=1,name=x}`, `[a, b]`, `{k=v}`.
    Java,
    /// `{"id":1,"name":"x"}`, `["a","b"]`, `{"k":"v"}`.
    Values,
}

/// Appends the text of a datum; says whether there is any, which there is not for a null.
pub(crate) fn write(schema: &Schema, datum: &[u8], style: Style, out: &mut Vec<u8>) -> Result<bool, Fault> {
    let mut reader = Reader::new(datum);
    if schema.optional && reader.clone().long()? == schema.null_branch() {
        return Ok(false);
    }
    write_value(schema, &mut reader, style, false, out)?;
    Ok(true)
}

/// Appends the text of a JSON document: strings without quotes, anything else as it is written.
pub(crate) fn write_json(json: &[u8], out: &mut Vec<u8>) {
    match serde_json::from_slice::<String>(json) {
        Ok(text) => out.extend_from_slice(text.as_bytes()),
        Err(_) => out.extend_from_slice(json),
    }
}

/// A float as Java writes it.
pub(crate) fn java_float(value: f32) -> String {
    java(|out| write_float(out, value))
}

/// A double as Java writes it.
pub(crate) fn java_double(value: f64) -> String {
    java(|out| write_double(out, value))
}

fn java(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    unquoted(&mut out, write);
    String::from_utf8_lossy(&out).into_owned()
}

fn write_value(
    schema: &Schema,
    reader: &mut Reader<'_>,
    style: Style,
    embedded: bool,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    if schema.optional && reader.long()? == schema.null_branch() {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    let quoted = embedded && style == Style::Values;
    match &schema.kind {
        Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => {
            out.extend_from_slice(itoa::Buffer::new().format(reader.long()?).as_bytes());
        }
        Type::Float32 => {
            let value = reader.float()?;
            unquoted(out, |out| write_float(out, value));
        }
        Type::Float64 => {
            let value = reader.double()?;
            unquoted(out, |out| write_double(out, value));
        }
        Type::Boolean => out.extend_from_slice(if reader.boolean()? { b"true" } else { b"false" }),
        Type::String if quoted => write_string(out, reader.string()?.as_bytes())?,
        Type::String => out.extend_from_slice(reader.string()?.as_bytes()),
        Type::Bytes if quoted => write_base64(out, reader.bytes()?),
        Type::Bytes => {
            let bytes = reader.bytes()?;
            unquoted(out, |out| write_base64(out, bytes));
        }
        Type::Array(items) => {
            write_list(reader, style, b"[]", out, |reader, out| write_value(items, reader, style, true, out))?;
        }
        Type::Map(keys, values) => write_list(reader, style, b"{}", out, |reader, out| {
            write_value(keys, reader, style, true, out)?;
            out.push(if style == Style::Java { b'=' } else { b':' });
            write_value(values, reader, style, true, out)
        })?,
        Type::Struct(fields) => {
            out.extend_from_slice(if style == Style::Java { b"Struct{" } else { b"{" });
            let mut first = true;
            for field in fields {
                // Java's Struct leaves nulls out.
                let is_null = field.schema.optional && reader.clone().long()? == field.schema.null_branch();
                if is_null && style == Style::Java {
                    reader.long()?;
                    continue;
                }
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                if style == Style::Java {
                    out.extend_from_slice(field.name.as_bytes());
                    out.push(b'=');
                } else {
                    write_string(out, field.name.as_bytes())?;
                    out.push(b':');
                }
                write_value(&field.schema, reader, style, true, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_list(
    reader: &mut Reader<'_>,
    style: Style,
    brackets: &[u8; 2],
    out: &mut Vec<u8>,
    mut item: impl FnMut(&mut Reader<'_>, &mut Vec<u8>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    out.push(brackets[0]);
    let mut first = true;
    loop {
        let count = reader.block()?;
        if count == 0 {
            break;
        }
        for _ in 0..count {
            if !std::mem::take(&mut first) {
                out.extend_from_slice(if style == Style::Java { b", " } else { b"," });
            }
            item(reader, out)?;
        }
    }
    out.push(brackets[1]);
    Ok(())
}

/// Takes the quotes off what `write` appends, if it has any.
fn unquoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    if out.get(start) == Some(&b'"') {
        out.pop();
        out.remove(start);
    }
}
