//! TimestampConverter: points in time between texts, Unix time and Connect's Date, Time and Timestamp.

use std::sync::Arc;

use towpath_model::{ConfigKey, Field, Importance, Record, Schema, Type, ValueType};

use super::date_format::DateFormat;
use super::part::{Of, Out, Reshape, Written};
use super::scalar::{Scalar, Temporal};
use super::structs::Copied;
use super::{Settings, nulls_key, structs};
use crate::error::Error;
use crate::fault::Fault;
use crate::json::{self, ObjectWriter};
use crate::keys::{default_key, key};

const PURPOSE: &str = "converting timestamp formats";
const TARGETS: [&str; 5] = ["string", "unix", "Date", "Time", "Timestamp"];
const PRECISIONS: [(&str, Precision); 4] = [
    ("nanoseconds", Precision::Nanos),
    ("microseconds", Precision::Micros),
    ("milliseconds", Precision::Millis),
    ("seconds", Precision::Seconds),
];

pub(crate) fn keys() -> Vec<ConfigKey> {
    let text = |name: &str, default: &str, importance, doc: &str| {
        default_key(name, ValueType::String, default, importance, doc)
    };
    let mut target = key(
        "target.type",
        ValueType::String,
        Importance::High,
        "What the point in time becomes: string, unix (a number), Date, Time or Timestamp.",
    );
    target.valid_values = TARGETS.map(str::to_owned).to_vec();
    let doc = "Unit of Unix time, read or written. What is finer than a millisecond is lost.";
    let mut precision = text("unix.precision", "milliseconds", Importance::Low, doc);
    precision.valid_values = PRECISIONS.map(|(name, _)| name.to_owned()).to_vec();
    vec![
        text("field", "", Importance::High, "The field; empty for the whole key or value."),
        target,
        text(
            "format",
            "",
            Importance::Medium,
            "Pattern of Java's SimpleDateFormat, for texts that are read or written; in UTC.",
        ),
        precision,
        nulls_key(),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Precision {
    Nanos,
    Micros,
    Millis,
    Seconds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Unix,
    Logical(Temporal),
}

/// Converts.
pub(crate) struct TimestampConverter {
    field: String,
    target: Kind,
    pattern: String,
    format: Option<DateFormat>,
    precision: Precision,
    nulls_take_defaults: bool,
}

/// A whole value, or a struct's fields.
pub(crate) struct Shape {
    after: Arc<str>,
    target: Schema,
    source: Kind,
    fields: Vec<Copied>,
    /// Which of the fields is converted; none where the struct has no such field.
    index: Option<usize>,
}

impl TimestampConverter {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        let target = match settings.required("target.type")? {
            "string" => Kind::Text,
            "unix" => Kind::Unix,
            "Date" => Kind::Logical(Temporal::Date),
            "Time" => Kind::Logical(Temporal::Time),
            "Timestamp" => Kind::Logical(Temporal::Timestamp),
            _ => {
                let reason = format!("String must be one of: {}", TARGETS.join(", "));
                return Err(Error::value(settings.key("target.type"), reason));
            }
        };
        let pattern = settings.get("format").unwrap_or_default().to_owned();
        let invalid = |reason: String| Error::value(settings.key("format"), reason);
        if target == Kind::Text && pattern.trim().is_empty() {
            let reason = "TimestampConverter requires format option to be specified when using string timestamps";
            return Err(invalid(reason.into()));
        }
        let format = (!pattern.trim().is_empty()).then(|| DateFormat::new(&pattern)).transpose().map_err(|reason| {
            invalid(format!(
                "TimestampConverter requires a SimpleDateFormat-compatible pattern for string timestamps: {reason}"
            ))
        })?;
        if let Some(letter) = format.as_ref().and_then(DateFormat::unreadable).filter(|_| target != Kind::Text) {
            return Err(invalid(format!("{letter} can be written and not read: it names no day by itself")));
        }
        let precision = settings.get("unix.precision").unwrap_or("milliseconds");
        let precision = PRECISIONS.iter().find(|(name, _)| *name == precision).map(|(_, precision)| *precision);
        let precision = precision.ok_or_else(|| {
            let known = PRECISIONS.map(|(name, _)| name).join(", ");
            Error::value(settings.key("unix.precision"), format!("String must be one of: {known}"))
        })?;
        Ok(Self {
            field: settings.get("field").unwrap_or_default().to_owned(),
            target,
            pattern,
            format,
            precision,
            nulls_take_defaults: settings.nulls_take_defaults()?,
        })
    }

    fn target_schema(&self, optional: bool) -> Schema {
        let schema = match self.target {
            Kind::Text => Schema::new(Type::String),
            Kind::Unix => Schema::new(Type::Int64),
            Kind::Logical(temporal) => temporal.schema(),
        };
        if optional { schema.optional() } else { schema }
    }

    fn millis(&self, value: &Scalar<'_>, source: Kind) -> Result<i64, Fault> {
        match (value, source) {
            (Scalar::Text(text), Kind::Text) => {
                let format =
                    self.format.as_ref().ok_or_else(|| Fault::transform("a text can only be read with a `format`"))?;
                format.read(text).ok_or_else(|| {
                    Fault::transform(format!(
                        "Could not parse timestamp: value does not match pattern ({})",
                        self.pattern
                    ))
                })
            }
            (Scalar::Integer(number), Kind::Unix) => Ok(match self.precision {
                Precision::Seconds => number.saturating_mul(1000),
                Precision::Millis => *number,
                Precision::Micros => number / 1000,
                Precision::Nanos => number / 1_000_000,
            }),
            (Scalar::Integer(number), Kind::Logical(temporal)) => Ok(temporal.millis(*number)),
            _ => Err(Fault::transform("the value is no point in time")),
        }
    }

    fn converted(&self, value: &Scalar<'_>, source: Kind) -> Result<Scalar<'static>, Fault> {
        let millis = self.millis(value, source)?;
        Ok(match self.target {
            Kind::Text => {
                Scalar::Text(self.format.as_ref().map(|format| format.text(millis)).unwrap_or_default().into())
            }
            Kind::Unix => Scalar::Integer(match self.precision {
                Precision::Seconds => millis / 1000,
                Precision::Millis => millis,
                Precision::Micros => millis.saturating_mul(1000),
                Precision::Nanos => millis.saturating_mul(1_000_000),
            }),
            Kind::Logical(temporal) => Scalar::Integer(temporal.stored(millis)),
        })
    }

    fn convert_datum(&self, schema: &Schema, shape: &Shape, datum: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let value = Scalar::read(schema, datum)?;
        let converted = value.map(|value| self.converted(&value, shape.source)).transpose()?;
        Scalar::write(converted.as_ref(), &shape.target, out)
    }

    fn convert_json(&self, text: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
        let source = match structs::json_class(text) {
            "java.lang.Long" => Kind::Unix,
            "java.lang.String" => Kind::Text,
            "null" => {
                out.extend_from_slice(b"null");
                return Ok(());
            }
            class => {
                let reason = format!("TimestampConverter does not support class {class} objects as timestamps");
                return Err(Fault::transform(reason));
            }
        };
        let converted = Scalar::of_json(text)?.map(|value| self.converted(&value, source)).transpose()?;
        Scalar::write_json(converted.as_ref(), out);
        Ok(())
    }

    /// The struct's default, in JsonConverter's form, with the field converted.
    fn default(&self, schema: &Schema, field: &Field, shape: &Shape) -> Result<Option<serde_json::Value>, Fault> {
        let Some(mut default) = schema.default.clone() else { return Ok(None) };
        if let Some(value) = default.get_mut(&*field.name).filter(|value| !value.is_null()) {
            let mut datum = Vec::new();
            json::write_datum(&field.schema, value, &mut datum)?;
            let scalar = Scalar::read(&field.schema, &datum)?;
            let converted = scalar.map(|scalar| self.converted(&scalar, shape.source)).transpose()?;
            *value = converted.map(|scalar| scalar.to_value()).unwrap_or_default();
        }
        Ok(Some(default))
    }
}

fn source(schema: &Schema) -> Result<Kind, Fault> {
    match (&schema.kind, Temporal::of(schema)) {
        (_, Some(temporal)) => Ok(Kind::Logical(temporal)),
        (Type::String, None) => Ok(Kind::Text),
        (Type::Int64, None) => Ok(Kind::Unix),
        (kind, None) => {
            let kind = kind.name().to_uppercase();
            let reason = format!("Schema Schema{{{kind}}} does not correspond to a known timestamp type format");
            Err(Fault::transform(reason))
        }
    }
}

impl Reshape for TimestampConverter {
    type Shape = Shape;

    fn compile(&self, schema: &Schema) -> Result<Shape, Fault> {
        if self.field.is_empty() {
            let target = self.target_schema(schema.optional);
            let (after, source) = (structs::text(&target), source(schema)?);
            return Ok(Shape { after, target, source, fields: Vec::new(), index: None });
        }
        structs::require(schema, PURPOSE)?;
        let fields = Copied::all(schema.fields(), self.nulls_take_defaults)?;
        let Some(index) = structs::position(schema.fields(), &self.field) else {
            let (after, target) = (structs::text(schema), schema.clone());
            return Ok(Shape { after, target, source: Kind::Unix, fields, index: None });
        };
        let field = &schema.fields()[index];
        let target = self.target_schema(field.schema.optional);
        let source = source(&field.schema).map_err(|fault| fault.in_field(&field.name))?;
        let mut after = schema.fields().to_vec();
        after[index].schema = Arc::new(target.clone());
        let mut shape = Shape { after: "".into(), target, source, fields, index: Some(index) };
        let default = self.default(schema, field, &shape).map_err(|fault| fault.in_field(&field.name))?;
        shape.after = structs::text(&Schema { kind: Type::Struct(after), default, ..schema.clone() });
        Ok(shape)
    }

    fn datum(&mut self, of: Of<'_, Shape>, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        let shape = of.shape;
        if self.field.is_empty() {
            self.convert_datum(of.schema, shape, of.datum, &mut out.bytes)?;
            return Ok(Written::Datum(shape.after.clone()));
        }
        structs::fields(of.schema, of.datum, &mut out.ranges)?;
        out.bytes.extend_from_slice(structs::branch(of.schema, of.datum));
        for (index, copied) in shape.fields.iter().enumerate() {
            let bytes = copied.of(of.datum, &out.ranges);
            if shape.index == Some(index) {
                let field = &of.schema.fields()[index];
                self.convert_datum(&field.schema, shape, bytes, &mut out.bytes)
                    .map_err(|fault| fault.in_field(&field.name))?;
            } else {
                out.bytes.extend_from_slice(bytes);
            }
        }
        Ok(Written::Datum(shape.after.clone()))
    }

    fn json(&mut self, text: &str, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        if self.field.is_empty() {
            self.convert_json(text, &mut out.bytes)?;
            return Ok(Written::Json);
        }
        let entries = structs::entries(text, PURPOSE)?;
        let mut object = ObjectWriter::new(&mut out.bytes);
        for (name, value) in &entries {
            if **name == *self.field {
                object.with(name, |out| self.convert_json(value.get(), out)).map_err(|fault| fault.in_field(name))?;
            } else {
                object.raw(name, value.get());
            }
        }
        // Connect adds what is not there as a null.
        if !entries.iter().any(|(name, _)| **name == *self.field) {
            object.raw(&self.field, "null");
        }
        object.end();
        Ok(Written::Json)
    }

    fn unfit_null(&self, fault: &Fault) -> Result<Written, Fault> {
        if self.field.is_empty() { Err(fault.clone()) } else { Ok(Written::Same) }
    }

    fn null(&mut self, of: Option<Of<'_, Shape>>, out: &mut Out) -> Result<Written, Fault> {
        let Some(of) = of else { return Ok(Written::Same) };
        let is_whole = self.field.is_empty();
        if is_whole {
            Scalar::write(None, &of.shape.target, &mut out.bytes)?;
        } else {
            out.bytes.extend_from_slice(of.datum);
        }
        Ok(Written::Datum(of.shape.after.clone()))
    }
}
