//! What Connect's `Values.parseString` makes of a text: the value of a header that is given in a configuration.
//!
//! Numbers take the smallest type that holds them, dates and times in ISO form become logical types, lists and maps take a schema that
//! all their items fit. What is none of these is a string.

use std::sync::Arc;

use towpath_model::datum::write_long;
use towpath_model::{Schema, Type};

use super::date_format::DateFormat;
use super::scalar::{Scalar, Temporal};
use super::structs;
use crate::json;

/// How deep lists and maps may stand in each other.
const DEPTH_MAX: usize = 32;

/// A datum with its schema.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Literal {
    pub(crate) schema: Arc<str>,
    pub(crate) datum: Vec<u8>,
}

/// A value with its schema, before items of a list are brought to one type.
#[derive(Clone, Debug)]
enum Value {
    Scalar(Box<Schema>, Scalar<'static>),
    List(Vec<Option<Value>>),
    Map(Vec<(Value, Option<Value>)>),
}

/// Reads a literal; none is a null.
pub(crate) fn parse(text: &str) -> Option<Literal> {
    let trimmed = text.trim();
    let value = match trimmed {
        "null" => return None,
        _ if trimmed.starts_with(['[', '{']) => {
            let mut reader = Reader { rest: trimmed };
            reader.value(0).flatten().filter(|_| reader.rest.trim().is_empty())
        }
        _ => plain(trimmed),
    };
    let typed = value.and_then(|value| {
        let schema = value.schema()?;
        let mut datum = Vec::new();
        value.write(&schema, &mut datum)?;
        Some(Literal { schema: structs::text(&schema), datum })
    });
    Some(typed.unwrap_or_else(|| string(text)))
}

/// A text that is nothing but that.
pub(crate) fn string(text: &str) -> Literal {
    let mut datum = Vec::new();
    towpath_model::datum::write_bytes(&mut datum, text.as_bytes());
    Literal { schema: structs::text(&Schema::new(Type::String)), datum }
}

/// A boolean, a date or a number.
fn plain(text: &str) -> Option<Value> {
    match text {
        "true" | "false" => {
            return Some(Value::Scalar(Schema::new(Type::Boolean).into(), Scalar::Boolean(text == "true")));
        }
        _ => {}
    }
    if text.starts_with(|first: char| first.is_ascii_digit())
        && let Some(temporal) = temporal(text)
    {
        return Some(temporal);
    }
    number(text)
}

fn temporal(text: &str) -> Option<Value> {
    let (temporal, pattern) = match text.len() {
        10 => (Temporal::Date, "yyyy-MM-dd"),
        13 => (Temporal::Time, "HH:mm:ss.SSS'Z'"),
        24 => (Temporal::Timestamp, "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"),
        _ => return None,
    };
    let millis = DateFormat::new(pattern).ok()?.read(text)?;
    Some(Value::Scalar(temporal.schema().into(), Scalar::Integer(temporal.stored(millis))))
}

fn number(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let scalar = |kind, scalar| Some(Value::Scalar(Schema::new(kind).into(), scalar));
    let signed = text.strip_prefix('+').unwrap_or(text);
    let scale = json::decimal_places(signed)?;
    if let Some(whole) =
        json::decimal_unscaled(signed, 0).and_then(|unscaled| json::decimal_text(&unscaled, 0).parse().ok())
    {
        let kind = match whole {
            _ if i8::try_from(whole).is_ok() => Type::Int8,
            _ if i16::try_from(whole).is_ok() => Type::Int16,
            _ if i32::try_from(whole).is_ok() => Type::Int32,
            _ => Type::Int64,
        };
        return scalar(kind, Scalar::Integer(whole));
    }
    let (single, double): (f32, f64) = (signed.parse().ok()?, signed.parse().ok()?);
    if scale != 0 && single.is_finite() {
        return scalar(Type::Float32, Scalar::Float(single));
    }
    if scale != 0 && double.is_finite() {
        return scalar(Type::Float64, Scalar::Double(double));
    }
    let unscaled = json::decimal_unscaled(signed, scale)?;
    let schema = Schema::new(Type::Bytes).named(json::DECIMAL, 1).parameter("scale", scale.to_string());
    Some(Value::Scalar(schema.into(), Scalar::Decimal(unscaled.into(), scale)))
}

/// Reads lists and maps. Items without quotes are numbers, booleans, dates and nulls.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn takes(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Option<Option<Value>> {
        if depth > DEPTH_MAX {
            return None;
        }
        if self.takes('[') {
            return self.list(depth).map(|items| Some(Value::List(items)));
        }
        if self.takes('{') {
            return self.map(depth).map(|entries| Some(Value::Map(entries)));
        }
        if self.takes('"') {
            let (text, rest) = self.rest.split_once('"')?;
            self.rest = rest;
            let string = || Value::Scalar(Schema::new(Type::String).into(), Scalar::Text(text.to_owned().into()));
            return Some(Some(temporal(text).unwrap_or_else(string)));
        }
        let end = self.rest.find([',', ':', ']', '}', '[', '{', '"']).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        match token.trim() {
            "null" => Some(None),
            token => plain(token).map(Some),
        }
    }

    fn list(&mut self, depth: usize) -> Option<Vec<Option<Value>>> {
        let mut items = Vec::new();
        while !self.takes(']') {
            if !items.is_empty() && !self.takes(',') {
                return None;
            }
            items.push(self.value(depth + 1)?);
        }
        Some(items)
    }

    fn map(&mut self, depth: usize) -> Option<Vec<(Value, Option<Value>)>> {
        let mut entries = Vec::new();
        while !self.takes('}') {
            if !entries.is_empty() && !self.takes(',') {
                return None;
            }
            let key = self.value(depth + 1)??;
            if !self.takes(':') {
                return None;
            }
            entries.push((key, self.value(depth + 1)?));
        }
        Some(entries)
    }
}

impl Value {
    /// The schema, where one fits all that it holds.
    fn schema(&self) -> Option<Schema> {
        match self {
            Self::Scalar(schema, _) => Some((**schema).clone()),
            Self::List(items) => {
                let items = common(items.iter().map(Option::as_ref))?;
                Some(Schema::new(Type::Array(Arc::new(items))))
            }
            Self::Map(entries) => {
                let keys = common(entries.iter().map(|(key, _)| Some(key)))?;
                let values = common(entries.iter().map(|(_, value)| value.as_ref()))?;
                Some(Schema::new(Type::Map(Arc::new(keys), Arc::new(values))))
            }
        }
    }

    fn write(&self, schema: &Schema, out: &mut Vec<u8>) -> Option<()> {
        match (self, &schema.kind) {
            (Self::Scalar(_, scalar), kind) => {
                let widened = match (scalar, kind) {
                    (Scalar::Integer(value), Type::Float32) => Scalar::Float(*value as f32),
                    (Scalar::Integer(value), Type::Float64) => Scalar::Double(*value as f64),
                    (Scalar::Float(value), Type::Float64) => Scalar::Double(f64::from(*value)),
                    (scalar, _) => scalar.clone(),
                };
                Scalar::write(Some(&widened), schema, out).ok()
            }
            (Self::List(items), Type::Array(of)) => {
                write_block(items.len(), out, |index, out| write_item(items.get(index)?.as_ref(), of, out))
            }
            (Self::Map(entries), Type::Map(keys, values)) => write_block(entries.len(), out, |index, out| {
                let (key, value) = entries.get(index)?;
                key.write(keys, out)?;
                write_item(value.as_ref(), values, out)
            }),
            _ => None,
        }
    }
}

fn write_block(count: usize, out: &mut Vec<u8>, item: impl Fn(usize, &mut Vec<u8>) -> Option<()>) -> Option<()> {
    if count > 0 {
        write_long(out, count as i64);
        (0..count).try_for_each(|index| item(index, out))?;
    }
    write_long(out, 0);
    Some(())
}

fn write_item(value: Option<&Value>, schema: &Schema, out: &mut Vec<u8>) -> Option<()> {
    let Some(value) = value else { return Scalar::write(None, schema, out).ok() };
    if schema.optional && !matches!(value, Value::Scalar(..)) {
        write_long(out, 1 - schema.null_branch());
    }
    value.write(schema, out)
}

/// The schema that fits all items; numbers take the widest type among them.
fn common<'a>(items: impl Iterator<Item = Option<&'a Value>>) -> Option<Schema> {
    let rank = |kind: &Type| match kind {
        Type::Int8 => Some(0),
        Type::Int16 => Some(1),
        Type::Int32 => Some(2),
        Type::Int64 => Some(3),
        Type::Float32 => Some(4),
        Type::Float64 => Some(5),
        _ => None,
    };
    let mut common: Option<Schema> = None;
    let mut has_null = false;
    for item in items {
        let Some(item) = item else {
            has_null = true;
            continue;
        };
        let schema = item.schema()?;
        common = Some(match common {
            None => schema,
            Some(known) if known == schema => known,
            Some(known) => match (rank(&known.kind), rank(&schema.kind)) {
                (Some(a), Some(b)) if known.name.is_none() && schema.name.is_none() => {
                    if a >= b {
                        known
                    } else {
                        schema
                    }
                }
                _ => return None,
            },
        });
    }
    common.map(|schema| if has_null { schema.optional() } else { schema })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Options, Transcoder};

    /// The schema's type and name, and the value as JSON.
    fn shown(text: &str) -> String {
        let Some(literal) = parse(text) else { return "null".into() };
        let schema = Schema::parse(&literal.schema).expect("a schema");
        let mut out = Vec::new();
        Transcoder::new(&schema, Options { numeric_decimals: true, ..Options::default() })
            .write(&literal.datum, &mut out)
            .expect("a datum");
        let name =
            schema.name.as_deref().and_then(|name| name.rsplit('.').next()).unwrap_or(schema.kind.name()).to_owned();
        format!("{name} {}", String::from_utf8_lossy(&out))
    }

    #[test]
    fn literals_take_the_types_that_connect_gives_them() {
        let cases = [
            ("null", "null"),
            ("true", "boolean true"),
            ("5", "int8 5"),
            ("+0127", "int8 127"),
            ("128", "int16 128"),
            ("-40000", "int32 -40000"),
            ("9223372036854775807", "int64 9223372036854775807"),
            ("1.0", "int8 1"),
            ("1e3", "int16 1000"),
            ("3.25", "float 3.25"),
            ("1e60", "double 1.0E60"),
            ("9223372036854775808", "Decimal 9223372036854775808"),
            ("2026-11-27", "Date 20784"),
            ("10:00:00.000Z", "Time 36000000"),
            ("2026-11-27T00:00:00.001Z", "Timestamp 1795737600001"),
            ("[1, 300, null]", "array [1,300,null]"),
            ("[1, 2.5]", "array [1.0,2.5]"),
            (r#"{"a": 1, "b": 2}"#, r#"map {"a":1,"b":2}"#),
            (r#"["x", 1]"#, r#"string "[\"x\", 1]""#),
            ("[1", r#"string "[1""#),
            ("hello", r#"string "hello""#),
            ("1.2.3", r#"string "1.2.3""#),
            ("", r#"string """#),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
