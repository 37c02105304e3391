//! Data as plain text: `toString` of Java for StringConverter, and Connect's `Values` for SimpleHeaderConverter.
//!
//! Both matter for headers and odd keys only; records go through [`crate::json`].

use towpath_model::datum::Reader;
use towpath_model::{Schema, Type};

use crate::fault::Fault;
use crate::json::{DECIMAL, decimal_scale, decimal_text, write_base64, write_double, write_float, write_string};
use crate::transform::{DateFormat, Temporal};

const DAY_MS: i64 = 86_400_000;

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
    if write_logical(schema, reader, style, out)? {
        return Ok(());
    }
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

/// Writes a value of Connect's logical types as the Java object that stands for it there; answers whether it is one.
fn write_logical(schema: &Schema, reader: &mut Reader<'_>, style: Style, out: &mut Vec<u8>) -> Result<bool, Fault> {
    if schema.name.as_deref() == Some(DECIMAL) && matches!(schema.kind, Type::Bytes) {
        out.extend_from_slice(decimal_text(reader.bytes()?, decimal_scale(schema)).as_bytes());
        return Ok(true);
    }
    let Some(temporal) = Temporal::of(schema).filter(|_| matches!(schema.kind, Type::Int32 | Type::Int64)) else {
        return Ok(false);
    };
    let millis = temporal.millis(reader.long()?);
    // `Values` writes a time for whatever lies before the second day of 1970, and a date for midnight.
    let pattern = match style {
        Style::Java => "EEE MMM dd HH:mm:ss 'UTC' y",
        Style::Values if millis < DAY_MS => "HH:mm:ss.SSS'Z'",
        Style::Values if millis % DAY_MS == 0 => "yyyy-MM-dd",
        Style::Values => "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'",
    };
    let format = DateFormat::new(pattern).map_err(Fault::transform)?;
    out.extend_from_slice(format.text(millis).as_bytes());
    Ok(true)
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

#[cfg(test)]
mod tests {
    use towpath_model::datum::{write_bytes, write_long};

    use super::{Style, write};

    /// What Java's `Values.convertToString` and `Struct.toString` give for a struct of this one value.
    fn check(kind: &str, name: &str, datum: impl Fn(&mut Vec<u8>), [values, java]: [&str; 2]) {
        let schema = format!(
            r#"{{"type":"struct","optional":false,"fields":[{{"type":"{kind}","optional":false,"field":"k","name":"org.apache.kafka.connect.data.{name}","version":1,"parameters":{{"scale":"3"}}}}]}}"#
        );
        let schema = towpath_model::Schema::parse(&schema).expect("a schema");
        let mut bytes = Vec::new();
        datum(&mut bytes);
        for (style, expected) in [(Style::Values, values), (Style::Java, java)] {
            let mut out = Vec::new();
            assert!(write(&schema, &bytes, style, &mut out).expect("a datum"));
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn logical_values_stand_as_the_java_objects_that_they_are() {
        let long = |value: i64| move |out: &mut Vec<u8>| write_long(out, value);
        check(
            "bytes",
            "Decimal",
            |out| write_bytes(out, &[0x05, 0xa1, 0xe5]),
            [r#"{"k":369.125}"#, "Struct{k=369.125}"],
        );
        check("int32", "Date", long(10_958), [r#"{"k":2000-01-02}"#, "Struct{k=Sun Jan 02 00:00:00 UTC 2000}"]);
        check("int32", "Date", long(0), [r#"{"k":00:00:00.000Z}"#, "Struct{k=Thu Jan 01 00:00:00 UTC 1970}"]);
        check("int32", "Time", long(3_723_004), [r#"{"k":01:02:03.004Z}"#, "Struct{k=Thu Jan 01 01:02:03 UTC 1970}"]);
        check(
            "int64",
            "Timestamp",
            long(951_782_400_500),
            [r#"{"k":2000-02-29T00:00:00.500Z}"#, "Struct{k=Tue Feb 29 00:00:00 UTC 2000}"],
        );
        check("int64", "Timestamp", long(-1), [r#"{"k":23:59:59.999Z}"#, "Struct{k=Wed Dec 31 23:59:59 UTC 1969}"]);
    }
}
