//! Datum to JSON in one pass: each schema is compiled once into nodes that read and write as they go.
//!
//! All literal text (braces, field names, the schema of an envelope) is rendered at compile time, so a record costs one
//! walk over its bytes and no allocation. Stretches that repeat from record to record cost a comparison and a copy: see
//! [`Fields`].

use serde_json::Value;
use towpath_model::datum::Reader;
use towpath_model::{Schema, Type};

use super::fields::Fields;
use super::text::{write_base64, write_string};
use super::{DECIMAL, Options, UNION, decimal, write_double, write_float};
use crate::fault::Fault;

/// No payload may grow beyond this; it bounds what a malicious datum of many empty items can cost.
const BYTES_MAX: usize = 1 << 30;

/// Writes data of one schema as JSON.
#[derive(Debug)]
pub(crate) struct Transcoder {
    head: Vec<u8>,
    tail: &'static [u8],
    node: Node,
}

/// How a value of one schema becomes JSON.
#[derive(Debug)]
pub(super) enum Node {
    Integer,
    Float,
    Double,
    Boolean,
    String,
    Bytes,
    Number {
        scale: i32,
    },
    Array(Box<Node>),
    Object(Box<Node>),
    /// A map whose keys are no strings: what stands before, between and behind the two of an entry.
    Entries([&'static [u8]; 3], Box<(Node, Node)>),
    Struct(Fields),
    /// The fields of a union, all of which are optional.
    Union(Vec<Node>),
    Optional {
        null_branch: i64,
        null: Vec<u8>,
        value: Box<Node>,
    },
}

impl Transcoder {
    /// Compiles a schema.
    pub(crate) fn new(schema: &Schema, options: Options) -> Self {
        let node = Node::compile(schema, options);
        if !options.schemas {
            return Self { head: Vec::new(), tail: b"", node };
        }
        let mut head = b"{\"schema\":".to_vec();
        write_value(&mut head, &schema.to_json());
        head.extend_from_slice(b",\"payload\":");
        Self { head, tail: b"}", node }
    }

    /// Appends the JSON of a datum.
    #[inline]
    pub(crate) fn write(&mut self, datum: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        out.extend_from_slice(&self.head);
        let mut reader = Reader::new(datum);
        self.node.write(&mut reader, out)?;
        if !reader.is_at_end() {
            return Err(Fault::datum(format!(
                "datum is malformed at byte {}: it goes on after its end",
                reader.position()
            )));
        }
        out.extend_from_slice(self.tail);
        Ok(())
    }
}

impl Node {
    fn compile(schema: &Schema, options: Options) -> Self {
        let value = Self::compile_value(schema, options);
        if !schema.optional {
            return value;
        }
        let mut null = Vec::new();
        match &schema.default {
            Some(default) if options.nulls_take_defaults => write_default(&mut null, schema, default, options),
            _ => null.extend_from_slice(b"null"),
        }
        Self::Optional { null_branch: schema.null_branch(), null, value: Box::new(value) }
    }

    fn compile_value(schema: &Schema, options: Options) -> Self {
        match &schema.kind {
            Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => Self::Integer,
            Type::Float32 => Self::Float,
            Type::Float64 => Self::Double,
            Type::Boolean => Self::Boolean,
            Type::String => Self::String,
            Type::Bytes if options.numeric_decimals && schema.name.as_deref() == Some(DECIMAL) => {
                Self::Number { scale: decimal_scale(schema) }
            }
            Type::Bytes => Self::Bytes,
            Type::Array(items) => Self::Array(Box::new(Self::compile(items, options))),
            Type::Map(keys, values) if matches!(keys.kind, Type::String) && !keys.optional => {
                Self::Object(Box::new(Self::compile(values, options)))
            }
            Type::Map(keys, values) => {
                let entry = Box::new((Self::compile(keys, options), Self::compile(values, options)));
                let marks: [&[u8]; 3] =
                    if options.by_json_schema { [b"{\"key\":", b",\"value\":", b"}"] } else { [b"[", b",", b"]"] };
                Self::Entries(marks, entry)
            }
            Type::Struct(fields) if options.by_json_schema && schema.name.as_deref() == Some(UNION) => {
                Self::Union(fields.iter().map(|field| Self::compile(&field.schema, options)).collect())
            }
            Type::Struct(fields) => {
                let fields = fields.iter().enumerate().map(|(index, field)| {
                    let mut prefix = vec![if index == 0 { b'{' } else { b',' }];
                    write_string(&mut prefix, field.name.as_bytes()).expect("a field's name is UTF-8");
                    prefix.push(b':');
                    (prefix, Self::compile(&field.schema, options))
                });
                Self::Struct(Fields::new(fields))
            }
        }
    }

    #[inline]
    pub(super) fn write(&mut self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match self {
            Self::Integer => out.extend_from_slice(itoa::Buffer::new().format(reader.long()?).as_bytes()),
            Self::String => write_string(out, reader.bytes()?)?,
            Self::Optional { null_branch, null, value } => {
                let branch = reader.long()?;
                if branch == *null_branch {
                    out.extend_from_slice(null);
                } else if branch == 1 - *null_branch {
                    value.write(reader, out)?;
                } else {
                    return Err(Fault::datum(format!(
                        "datum is malformed at byte {}: no such branch",
                        reader.position()
                    )));
                }
            }
            Self::Struct(fields) => {
                fields.write(reader, out)?;
                out.extend_from_slice(if fields.is_empty() { b"{}" } else { b"}" });
            }
            Self::Boolean => out.extend_from_slice(if reader.boolean()? { b"true" } else { b"false" }),
            Self::Bytes => write_base64(out, reader.bytes()?),
            Self::Float => write_float(out, reader.float()?),
            Self::Double => write_double(out, reader.double()?),
            Self::Number { scale } => out.extend_from_slice(decimal::to_text(reader.bytes()?, *scale).as_bytes()),
            Self::Array(_) | Self::Object(_) | Self::Entries(..) => self.write_blocks(reader, out)?,
            Self::Union(fields) => write_union(fields, reader, out)?,
        }
        Ok(())
    }

    fn write_blocks(&mut self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let (open, close) = if matches!(self, Self::Object(_)) { (b'{', b'}') } else { (b'[', b']') };
        out.push(open);
        let mut first = true;
        loop {
            let count = reader.block()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                match self {
                    Self::Object(values) => {
                        write_string(out, reader.bytes()?)?;
                        out.push(b':');
                        values.write(reader, out)?;
                    }
                    Self::Entries([before, between, behind], entry) => {
                        out.extend_from_slice(before);
                        entry.0.write(reader, out)?;
                        out.extend_from_slice(between);
                        entry.1.write(reader, out)?;
                        out.extend_from_slice(behind);
                    }
                    Self::Array(items) => items.write(reader, out)?,
                    _ => {}
                }
                if out.len() > BYTES_MAX {
                    return Err(Fault::datum("the JSON would be larger than 1 GiB"));
                }
            }
        }
        out.push(close);
        Ok(())
    }
}

/// Writes the field of a union that is set.
fn write_union(fields: &mut [Node], reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = out.len();
    for field in fields {
        match field {
            Node::Optional { null_branch, value, .. } => {
                if reader.long()? == *null_branch {
                    continue;
                }
                if out.len() > start {
                    return Err(Fault::datum("more than one field of a union is set"));
                }
                value.write(reader, out)?;
            }
            _ => return Err(Fault::schema("a field of a union must be optional")),
        }
    }
    if out.len() == start {
        out.extend_from_slice(b"null");
    }
    Ok(())
}

/// The scale of a decimal; Connect refuses such a schema without one, we take it as 0.
pub(crate) fn decimal_scale(schema: &Schema) -> i32 {
    schema.parameters.get("scale").and_then(|scale| scale.parse().ok()).unwrap_or(0)
}

/// Writes a default, which stands in JsonConverter's form, as a value of its schema.
fn write_default(out: &mut Vec<u8>, schema: &Schema, default: &Value, options: Options) {
    match (&schema.kind, default) {
        (Type::Float32, Value::Number(number)) => write_float(out, number.as_f64().unwrap_or(f64::NAN) as f32),
        (Type::Float64, Value::Number(number)) => write_double(out, number.as_f64().unwrap_or(f64::NAN)),
        (Type::Bytes, Value::String(text)) if options.numeric_decimals && schema.name.as_deref() == Some(DECIMAL) => {
            use base64::Engine;
            let unscaled = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
            out.extend_from_slice(decimal::to_text(&unscaled, decimal_scale(schema)).as_bytes());
        }
        _ => write_value(out, default),
    }
}

/// Writes a JSON value as Jackson would: compact, floating-point numbers in Java's spelling.
pub(crate) fn write_value(out: &mut Vec<u8>, value: &Value) {
    let separator = |out: &mut Vec<u8>, index: usize| {
        if index > 0 {
            out.push(b',');
        }
    };
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Number(number) if number.is_f64() => write_double(out, number.as_f64().unwrap_or(f64::NAN)),
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => write_string(out, text.as_bytes()).expect("a Rust string is UTF-8"),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                separator(out, index);
                write_value(out, item);
            }
            out.push(b']');
        }
        Value::Object(entries) => {
            out.push(b'{');
            for (index, (key, value)) in entries.iter().enumerate() {
                separator(out, index);
                write_string(out, key.as_bytes()).expect("a Rust string is UTF-8");
                out.push(b':');
                write_value(out, value);
            }
            out.push(b'}');
        }
    }
}
