//! Column defaults: constants are evaluated, anything else stands as the type's zero, as Debezium has it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use towpath_model::{Schema, Type, datum};

use crate::value::{Codec, Written};

/// The datum of a constant default, or none when the expression is no constant of a type that Debezium evaluates.
pub(super) fn evaluate(expression: &str, type_name: &str, codec: &Codec) -> Option<Vec<u8>> {
    let known = [
        "bit", "varbit", "bool", "bpchar", "varchar", "text", "numeric", "float4", "float8", "int2", "int4", "int8",
        "json", "jsonb", "xml",
    ];
    if !known.contains(&type_name) {
        return None;
    }
    let constant = constant(expression)?;
    // Debezium takes no constant in quotes for these, and what a null is shown as may depend on the default.
    if matches!(type_name, "int4" | "numeric") && expression.contains('\'') {
        return None;
    }
    let text = match (type_name, constant.as_str()) {
        ("bool", "true") => "t",
        ("bool", _) => "f",
        (_, text) => text,
    };
    let mut datum = Vec::new();
    matches!(codec.write(text.as_bytes(), &mut datum), Ok(Written::Value)).then_some(datum)
}

/// The constant in `42`, `true`, `'it''s'::text` or `B'101'::"bit"`.
fn constant(expression: &str) -> Option<String> {
    let Some(quote) = expression.find('\'') else {
        let bare = expression.trim_start_matches('(').split("::").next()?.trim_end_matches(')');
        let plain = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        return (plain && !bare.starts_with("CURRENT")).then(|| bare.to_owned());
    };
    if expression.get(..quote)?.contains('(') {
        return None;
    }
    let mut constant = String::new();
    let mut rest = expression.get(quote + 1..)?.chars().peekable();
    loop {
        match rest.next()? {
            '\'' if rest.peek() == Some(&'\'') => {
                rest.next();
                constant.push('\'');
            }
            '\'' => return Some(constant),
            other => constant.push(other),
        }
    }
}

/// The datum that stands for a null where the schema allows none.
pub(super) fn zero(schema: &Schema) -> Vec<u8> {
    let mut out = Vec::new();
    write_zero(schema, &mut out);
    out
}

fn write_zero(schema: &Schema, out: &mut Vec<u8>) {
    if schema.optional {
        datum::write_long(out, schema.null_branch());
        return;
    }
    match (&schema.kind, schema.name.as_deref()) {
        (Type::String, Some("io.debezium.time.ZonedTimestamp")) => datum::write_bytes(out, b"1970-01-01T00:00:00Z"),
        (Type::String, Some("io.debezium.time.ZonedTime")) => datum::write_bytes(out, b"00:00:00Z"),
        (Type::String, Some("io.debezium.time.IsoTimestamp")) => datum::write_bytes(out, b"1970-01-01T00:00:00Z"),
        (Type::String, Some("io.debezium.time.IsoDate")) => datum::write_bytes(out, b"1970-01-01Z"),
        (Type::String, Some("io.debezium.time.IsoTime")) => datum::write_bytes(out, b"00:00:00Z"),
        (Type::String, Some("io.debezium.time.Interval")) => datum::write_bytes(out, b"P0Y0M0DT0H0M0S"),
        (Type::Bytes, Some("org.apache.kafka.connect.data.Decimal")) => datum::write_bytes(out, &[0]),
        (Type::Struct(_), Some("io.debezium.data.VariableScaleDecimal")) => {
            datum::write_long(out, 0);
            datum::write_bytes(out, &[0]);
        }
        (Type::String | Type::Bytes, _) => datum::write_bytes(out, b""),
        (Type::Boolean, _) => datum::write_boolean(out, false),
        (Type::Float32, _) => datum::write_float(out, 0.0),
        (Type::Float64, _) => datum::write_double(out, 0.0),
        (Type::Struct(fields), _) => fields.iter().for_each(|field| write_zero(&field.schema, out)),
        (Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 | Type::Array(_) | Type::Map(..), _) => {
            datum::write_long(out, 0);
        }
    }
}

/// A datum as JsonConverter shows it.
///
/// # Errors
/// When the bytes are not a datum of the schema.
pub fn datum_to_json(schema: &Schema, reader: &mut datum::Reader<'_>) -> Result<Value, datum::Malformed> {
    if schema.optional && reader.long()? == schema.null_branch() {
        return Ok(Value::Null);
    }
    let float =
        |value: f64| if value.is_finite() { json!(value) } else { json!(value.to_string().replace("inf", "Infinity")) };
    Ok(match &schema.kind {
        Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => json!(reader.long()?),
        Type::Float32 => float(reader.float()?.to_string().parse().unwrap_or(f64::NAN)),
        Type::Float64 => float(reader.double()?),
        Type::Boolean => json!(reader.boolean()?),
        Type::String => json!(reader.string()?),
        Type::Bytes => json!(STANDARD.encode(reader.bytes()?)),
        Type::Array(items) => {
            let mut list = Vec::new();
            loop {
                let count = reader.block()?;
                if count == 0 {
                    break Value::Array(list);
                }
                for _ in 0..count {
                    list.push(datum_to_json(items, reader)?);
                }
            }
        }
        Type::Map(keys, values) => {
            let mut object = serde_json::Map::new();
            loop {
                let count = reader.block()?;
                if count == 0 {
                    break Value::Object(object);
                }
                for _ in 0..count {
                    let key = datum_to_json(keys, reader)?;
                    let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                    object.insert(key, datum_to_json(values, reader)?);
                }
            }
        }
        Type::Struct(fields) => {
            let fields = fields.iter().map(|field| Ok((field.name.to_string(), datum_to_json(&field.schema, reader)?)));
            Value::Object(fields.collect::<Result<_, _>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_found_in_expressions() {
        let check = |expression: &str, expected: Option<&str>| {
            assert_eq!(constant(expression).as_deref(), expected, "{expression}");
        };
        check("42", Some("42"));
        check("'-1'::integer", Some("-1"));
        check("'it''s'::text", Some("it's"));
        check("B'101'::\"bit\"", Some("101"));
        check("true", Some("true"));
        check("nextval('t_id_seq'::regclass)", None);
        check("now()", None);
        check("CURRENT_TIMESTAMP", None);
        check("gen_random_uuid()", None);
    }
}
