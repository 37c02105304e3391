//! Connect's converters of single numbers and booleans, whose bytes are those of Kafka's serializers: big-endian, as long as the type.

use towpath_model::datum::{Reader, write_boolean, write_double, write_float, write_long};
use towpath_model::{Schema, Type};

use crate::fault::Fault;
use crate::json::DECIMAL;
use crate::transform::Temporal;

/// What such a converter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    Short,
    Integer,
    Long,
    Float,
    Double,
    Boolean,
}

impl Number {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Short, Self::Integer, Self::Long, Self::Float, Self::Double, Self::Boolean];

    /// Short name, then Java class.
    pub(crate) fn names(self) -> [&'static str; 2] {
        match self {
            Self::Short => ["short", "org.apache.kafka.connect.converters.ShortConverter"],
            Self::Integer => ["integer", "org.apache.kafka.connect.converters.IntegerConverter"],
            Self::Long => ["long", "org.apache.kafka.connect.converters.LongConverter"],
            Self::Float => ["float", "org.apache.kafka.connect.converters.FloatConverter"],
            Self::Double => ["double", "org.apache.kafka.connect.converters.DoubleConverter"],
            Self::Boolean => ["boolean", "org.apache.kafka.connect.converters.BooleanConverter"],
        }
    }

    /// The schema of what it reads.
    pub(crate) fn schema(self) -> &'static str {
        match self {
            Self::Short => r#"{"type":"int16","optional":true}"#,
            Self::Integer => r#"{"type":"int32","optional":true}"#,
            Self::Long => r#"{"type":"int64","optional":true}"#,
            Self::Float => r#"{"type":"float","optional":true}"#,
            Self::Double => r#"{"type":"double","optional":true}"#,
            Self::Boolean => r#"{"type":"boolean","optional":true}"#,
        }
    }

    /// Appends the bytes of a datum; says whether there are any.
    pub(crate) fn write(self, schema: &Schema, datum: &[u8], out: &mut Vec<u8>) -> Result<bool, Fault> {
        let mut reader = Reader::new(datum);
        if schema.optional && reader.long()? == schema.null_branch() {
            return Ok(false);
        }
        // Values of logical types are other objects in Java, whatever lies beneath.
        match (self, &schema.kind) {
            _ if is_logical(schema) => return Err(self.refused(schema.name.as_deref().unwrap_or_default())),
            (Self::Short, Type::Int16) => out.extend_from_slice(&(reader.long()? as i16).to_be_bytes()),
            (Self::Integer, Type::Int32) => out.extend_from_slice(&(reader.long()? as i32).to_be_bytes()),
            (Self::Long, Type::Int64) => out.extend_from_slice(&reader.long()?.to_be_bytes()),
            (Self::Float, Type::Float32) => out.extend_from_slice(&reader.float()?.to_be_bytes()),
            (Self::Double, Type::Float64) => out.extend_from_slice(&reader.double()?.to_be_bytes()),
            (Self::Boolean, Type::Boolean) => out.push(reader.boolean()?.into()),
            _ => return Err(self.refused(schema.kind.name())),
        }
        Ok(true)
    }

    /// The same for JSON without a schema, whose numbers are longs and doubles in Connect.
    pub(crate) fn write_json(self, text: &[u8], out: &mut Vec<u8>) -> Result<bool, Fault> {
        let value: serde_json::Value = serde_json::from_slice(text).map_err(|error| Fault::json(error.to_string()))?;
        match (self, &value) {
            (_, serde_json::Value::Null) => return Ok(false),
            (Self::Boolean, serde_json::Value::Bool(value)) => out.push((*value).into()),
            (Self::Long, serde_json::Value::Number(number)) if number.is_i64() => {
                out.extend_from_slice(&number.as_i64().unwrap_or_default().to_be_bytes());
            }
            (Self::Double, serde_json::Value::Number(number)) if number.is_f64() => {
                out.extend_from_slice(&number.as_f64().unwrap_or_default().to_be_bytes());
            }
            _ => return Err(self.refused("JSON of another type")),
        }
        Ok(true)
    }

    /// The datum of bytes of a topic, under [`schema`](Self::schema).
    pub(crate) fn read(self, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut datum = Vec::with_capacity(16);
        write_long(&mut datum, 1);
        match self {
            Self::Short => write_long(&mut datum, i16::from_be_bytes(self.exactly(bytes)?).into()),
            Self::Integer => write_long(&mut datum, i32::from_be_bytes(self.exactly(bytes)?).into()),
            Self::Long => write_long(&mut datum, i64::from_be_bytes(self.exactly(bytes)?)),
            Self::Float => write_float(&mut datum, f32::from_be_bytes(self.exactly(bytes)?)),
            Self::Double => write_double(&mut datum, f64::from_be_bytes(self.exactly(bytes)?)),
            Self::Boolean => match bytes {
                [0] => write_boolean(&mut datum, false),
                [1] => write_boolean(&mut datum, true),
                _ => return Err(Fault::form("not a boolean, which is one byte of 0 or 1")),
            },
        }
        Ok(datum)
    }

    fn exactly<const N: usize>(self, bytes: &[u8]) -> Result<[u8; N], Fault> {
        let [name, _] = self.names();
        bytes
            .try_into()
            .map_err(|_| Fault::form(format!("not a {name}, which has {N} bytes: there are {}", bytes.len())))
    }

    pub(crate) fn refused(self, given: &str) -> Fault {
        let [name, _] = self.names();
        Fault::schema(format!("the converter `{name}` takes values of that type alone, and this is {given}"))
    }
}

/// Whether Java has an object of its own for values of this schema.
fn is_logical(schema: &Schema) -> bool {
    Temporal::of(schema).is_some() || schema.name.as_deref() == Some(DECIMAL)
}
