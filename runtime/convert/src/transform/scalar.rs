//! Single values on their way from one type to another: read from a datum or from JSON, written as either.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use towpath_model::datum::{Reader, write_boolean, write_bytes, write_double, write_float, write_long};
use towpath_model::{Schema, Type};

use crate::fault::Fault;
use crate::json;

const DAY_MS: i64 = 86_400_000;

/// A value that holds no others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    Boolean(bool),
    Integer(i64),
    Float(f32),
    Double(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// An unscaled number, big-endian, and its scale.
    Decimal(Cow<'a, [u8]>, i32),
}

/// Connect's types for points in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temporal {
    /// Days, in 32 bits.
    Date,
    /// Milliseconds of a day, in 32 bits.
    Time,
    /// Milliseconds, in 64 bits.
    Timestamp,
}

impl Temporal {
    /// The logical type of a schema.
    pub(crate) fn of(schema: &Schema) -> Option<Self> {
        [Self::Date, Self::Time, Self::Timestamp]
            .into_iter()
            .find(|temporal| schema.name.as_deref() == Some(temporal.name()))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Date => "org.apache.kafka.connect.data.Date",
            Self::Time => "org.apache.kafka.connect.data.Time",
            Self::Timestamp => "org.apache.kafka.connect.data.Timestamp",
        }
    }

    pub(crate) fn schema(self) -> Schema {
        let kind = if self == Self::Timestamp { Type::Int64 } else { Type::Int32 };
        Schema::new(kind).named(self.name(), 1)
    }

    /// Milliseconds since the epoch, of a number as it is stored.
    pub(crate) fn millis(self, stored: i64) -> i64 {
        if self == Self::Date { stored.saturating_mul(DAY_MS) } else { stored }
    }

    /// The number to store, for milliseconds since the epoch; what the type has no room for is left out, as by Connect.
    pub(crate) fn stored(self, millis: i64) -> i64 {
        match self {
            Self::Date => millis.div_euclid(DAY_MS),
            Self::Time => millis.rem_euclid(DAY_MS),
            Self::Timestamp => millis,
        }
    }
}

impl<'a> Scalar<'a> {
    /// Reads a datum with its branch; none is a null.
    ///
    /// # Errors
    /// When it is an array, a map or a struct, or no datum of its schema.
    pub(crate) fn read(schema: &Schema, datum: &'a [u8]) -> Result<Option<Self>, Fault> {
        let mut reader = Reader::new(datum);
        if schema.optional && reader.long()? == schema.null_branch() {
            return Ok(None);
        }
        Ok(Some(match &schema.kind {
            Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => Self::Integer(reader.long()?),
            Type::Float32 => Self::Float(reader.float()?),
            Type::Float64 => Self::Double(reader.double()?),
            Type::Boolean => Self::Boolean(reader.boolean()?),
            Type::String => Self::Text(reader.string()?.into()),
            Type::Bytes if schema.name.as_deref() == Some(json::DECIMAL) => {
                Self::Decimal(reader.bytes()?.into(), json::decimal_scale(schema))
            }
            Type::Bytes => Self::Bytes(reader.bytes()?.into()),
            Type::Array(_) | Type::Map(..) | Type::Struct(_) => {
                return Err(Fault::transform(format!("{} holds other values", schema.kind.name())));
            }
        }))
    }

    /// Reads a JSON value; none is a null.
    ///
    /// # Errors
    /// When it is an array or an object, or a number beyond 64 bits.
    pub(crate) fn of_json(json: &'a str) -> Result<Option<Self>, Fault> {
        Ok(Some(match json.as_bytes().first() {
            Some(b'n') | None => return Ok(None),
            Some(b't') => Self::Boolean(true),
            Some(b'f') => Self::Boolean(false),
            Some(b'"') => Self::Text(json::string(json).ok_or_else(|| Fault::json("a string is malformed"))?),
            Some(b'{') => return Err(Fault::transform("an object holds other values")),
            Some(b'[') => return Err(Fault::transform("an array holds other values")),
            Some(_) if json.contains(['.', 'e', 'E']) => {
                Self::Double(json.parse().map_err(|_| Fault::json("a number is malformed"))?)
            }
            Some(_) => Self::Integer(json.parse().map_err(|_| Fault::transform("a number is beyond 64 bits"))?),
        }))
    }

    /// Appends the datum under a schema of this value's type, with its branch.
    pub(crate) fn write(value: Option<&Self>, schema: &Schema, out: &mut Vec<u8>) -> Result<(), Fault> {
        let Some(value) = value else {
            if !schema.optional {
                return Err(Fault::transform("null stands where the schema requires a value"));
            }
            write_long(out, schema.null_branch());
            return Ok(());
        };
        if schema.optional {
            write_long(out, 1 - schema.null_branch());
        }
        match value {
            Self::Boolean(value) => write_boolean(out, *value),
            Self::Integer(value) => write_long(out, *value),
            Self::Float(value) => write_float(out, *value),
            Self::Double(value) => write_double(out, *value),
            Self::Text(text) => write_bytes(out, text.as_bytes()),
            Self::Bytes(bytes) | Self::Decimal(bytes, _) => write_bytes(out, bytes),
        }
        Ok(())
    }

    /// Appends the value as JSON, as JsonConverter writes it.
    pub(crate) fn write_json(value: Option<&Self>, out: &mut Vec<u8>) {
        match value {
            None => out.extend_from_slice(b"null"),
            Some(Self::Boolean(value)) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Some(Self::Integer(value)) => out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes()),
            Some(Self::Float(value)) => json::write_float(out, *value),
            Some(Self::Double(value)) => json::write_double(out, *value),
            Some(Self::Text(text)) => json::write_string(out, text.as_bytes()).expect("a Rust string is UTF-8"),
            Some(Self::Bytes(bytes) | Self::Decimal(bytes, _)) => json::write_base64(out, bytes),
        }
    }

    /// The value in JsonConverter's form, for a default.
    pub(crate) fn to_value(&self) -> serde_json::Value {
        match self {
            Self::Boolean(value) => (*value).into(),
            Self::Integer(value) => (*value).into(),
            Self::Float(value) => f64::from(*value).into(),
            Self::Double(value) => (*value).into(),
            Self::Text(text) => text.as_ref().into(),
            Self::Bytes(bytes) | Self::Decimal(bytes, _) => STANDARD.encode(bytes).into(),
        }
    }

    /// The default of a schema.
    pub(crate) fn default_of(schema: &Schema) -> Result<Option<Scalar<'static>>, Fault> {
        let Some(default) = &schema.default else { return Ok(None) };
        let mut datum = Vec::new();
        json::write_datum(schema, default, &mut datum)?;
        Ok(Scalar::read(schema, &datum)?.map(Scalar::into_owned))
    }

    fn into_owned(self) -> Scalar<'static> {
        match self {
            Self::Boolean(value) => Scalar::Boolean(value),
            Self::Integer(value) => Scalar::Integer(value),
            Self::Float(value) => Scalar::Float(value),
            Self::Double(value) => Scalar::Double(value),
            Self::Text(text) => Scalar::Text(text.into_owned().into()),
            Self::Bytes(bytes) => Scalar::Bytes(bytes.into_owned().into()),
            Self::Decimal(bytes, scale) => Scalar::Decimal(bytes.into_owned().into(), scale),
        }
    }
}
