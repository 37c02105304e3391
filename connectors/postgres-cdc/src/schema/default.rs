//! Column defaults, of the types for which Debezium has them: a constant is evaluated; a call, whose value is another each time,
//! stands as the type's zero.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use towpath_model::{Schema, Type, datum};

use super::facts::ColumnFacts;
use super::types::numeric_scale;
use crate::value::{Codec, Written};

/// The datum of a column's default, or none where the schema has none. `type_name` is the column's own type, not what a domain
/// is made of.
pub(super) fn evaluate(column: &ColumnFacts, type_name: &str, codec: &Codec, schema: &Schema) -> Option<Vec<u8>> {
    // Connect's JSON has no place for a struct there.
    if matches!(schema.kind, Type::Struct(_)) {
        return None;
    }
    let of_enum = schema.name.as_deref() == Some("io.debezium.data.Enum") && matches!(schema.kind, Type::String);
    let called = if of_enum { None } else { Some(of_call(type_name)?) };
    let constant = match constant(column.default.as_deref()?)? {
        Constant::Call => called?.to_owned(),
        // The label of an enum always stands in quotes.
        Constant::Bare(_) if of_enum => return None,
        Constant::Bare(text) if type_name == "bool" => if text == "true" { "t" } else { "f" }.to_owned(),
        Constant::Bare(text) => text.to_owned(),
        Constant::Quoted(text) => text,
    };
    // Whatever a numeric is shown as, a default that its scale would round, or that is no number, is left out.
    if type_name == "numeric" {
        let exact =
            if column.modifier < 4 { Codec::VariableDecimal } else { Codec::Decimal(numeric_scale(column.modifier)) };
        write(&exact, &constant)?;
    }
    write(codec, &constant)
}

/// The datum of a text, if it is one of the codec's type.
pub(super) fn write(codec: &Codec, text: &str) -> Option<Vec<u8>> {
    let mut datum = Vec::new();
    matches!(codec.write(text.as_bytes(), &mut datum), Ok(Written::Value)).then_some(datum)
}

/// What stands for the value of a call; none for types whose defaults Debezium leaves out.
fn of_call(type_name: &str) -> Option<&'static str> {
    Some(match type_name {
        "bit" | "varbit" | "numeric" | "float4" | "float8" | "int2" | "int4" | "int8" => "0",
        "bool" => "f",
        "bpchar" | "varchar" | "text" | "xml" => "",
        "json" | "jsonb" => "{}",
        "uuid" => "00000000-0000-0000-0000-000000000000",
        "date" => "1970-01-01",
        "time" | "interval" => "00:00:00",
        "timestamp" => "1970-01-01 00:00:00",
        "timestamptz" => "1970-01-01 00:00:00+00",
        _ => return None,
    })
}

/// What an expression is.
#[derive(Debug, PartialEq, Eq)]
enum Constant<'a> {
    /// `now()`, `CURRENT_DATE`, `nextval('t_id_seq'::regclass)`.
    Call,
    /// `42`, `true`.
    Bare(&'a str),
    /// `'it''s'::text`, `B'101'::"bit"`.
    Quoted(String),
}

/// What an expression is, when it is no calculation.
fn constant(expression: &str) -> Option<Constant<'_>> {
    let expression = expression.trim();
    if let Some(text) = expression.strip_prefix(['B', 'X']).unwrap_or(expression).strip_prefix('\'') {
        return quoted(text).map(Constant::Quoted);
    }
    let inner = expression.strip_prefix('(').unwrap_or(expression);
    let name = inner.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(byte)).count();
    let calls = name > 0 && inner.as_bytes().get(name) == Some(&b'(') && inner.contains(')');
    let words = ["CURRENT_", "LOCALTIME", "SESSION_USER", "USER"];
    if calls || words.iter().any(|word| expression.starts_with(word)) {
        return Some(Constant::Call);
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    (!expression.is_empty() && expression.bytes().all(is_plain)).then_some(Constant::Bare(expression))
}

/// The constant whose quote was opened, if casts are all that follows it.
fn quoted(text: &str) -> Option<String> {
    let mut constant = String::new();
    let mut rest = text.chars();
    loop {
        match rest.next()? {
            '\'' => match rest.as_str().strip_prefix('\'') {
                Some(after) => {
                    constant.push('\'');
                    rest = after.chars();
                }
                None => break,
            },
            other => constant.push(other),
        }
    }
    let casts = rest.as_str();
    (casts.is_empty() || casts.starts_with("::") && !casts.contains('\'')).then_some(constant)
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
        return Ok(schema.default.clone().unwrap_or_default());
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
        let check = |expression: &str, expected: Option<Constant<'_>>| {
            assert_eq!(constant(expression), expected, "{expression}");
        };
        let quoted = |text: &str| Some(Constant::Quoted(text.to_owned()));
        check("42", Some(Constant::Bare("42")));
        check("'-1'::integer", quoted("-1"));
        check("'it''s'::text", quoted("it's"));
        check("'line\nbreak'::character varying(10)", quoted("line\nbreak"));
        check("B'101'::\"bit\"", quoted("101"));
        check("true", Some(Constant::Bare("true")));
        check("nextval('t_id_seq'::regclass)", Some(Constant::Call));
        check("now()", Some(Constant::Call));
        check("(now() + '1 day'::interval)", Some(Constant::Call));
        check("CURRENT_TIMESTAMP(3)", Some(Constant::Call));
        check("gen_random_uuid()", Some(Constant::Call));
        check("('a'::text || 'b'::text)", None);
        check("'a'::text || 'b'::text", None);
        check("(1 + 2)", None);
        check("123.45::numeric(10,2)", None);
        check("NULL::character varying", None);
    }
}
