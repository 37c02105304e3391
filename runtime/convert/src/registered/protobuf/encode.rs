//! Data under Connect's schema become a message: one walk, compiled once for each schema and message.
//!
//! Fields find each other by name, so the message may be one that others have registered, with numbers of its own.

use std::collections::HashMap;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use towpath_model::datum::Reader;
use towpath_model::{Schema, Type};

use super::wire::{DELIMITED, FIXED32, FIXED64, VARINT, write_delimited, write_key, write_varint};
use super::{DATE_MESSAGE, DAY_MS, DECIMAL_MESSAGE, TIME_MESSAGE, TIMESTAMP_MESSAGE, WRAPPERS, from_connect};
use crate::fault::Fault;
use crate::json::{DECIMAL, decimal_scale, decimal_text};
use crate::registered::{DATE, TIME, TIMESTAMP};
use crate::transform::Moment;

/// Writes data of one schema as one message.
#[derive(Debug)]
pub(in crate::registered) struct Encoder {
    null: Option<i64>,
    root: Step,
}

/// How one value is written.
#[derive(Debug)]
enum Step {
    Scalar(Scalar),
    Message(Vec<Member>),
    /// A message that holds one scalar.
    Wrapped(Scalar),
    Decimal(i32),
    Date,
    Time,
    Timestamp,
}

#[derive(Clone, Debug)]
enum Scalar {
    Int32,
    Int64,
    Uint32,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Bool,
    /// A float of Connect's, in so many bytes.
    Float(u8),
    Double,
    Text,
    Bytes,
    /// The symbols of an enum.
    Symbol(HashMap<String, i32>),
}

/// A field of a message, where it comes from a field of a struct.
#[derive(Debug)]
struct Member {
    name: String,
    number: u32,
    /// The branch that stands for null, where null is allowed.
    null: Option<i64>,
    /// Whether zero is told from nothing, and so written.
    presence: bool,
    form: Form,
}

#[derive(Debug)]
enum Form {
    One(Step),
    Many {
        step: Step,
        packed: bool,
        null: Option<i64>,
    },
    Map(Box<[Member; 2]>),
    /// The members of a oneof, of which one is set.
    Union(Vec<Member>),
}

impl Encoder {
    /// Compiles a schema for a message.
    pub(in crate::registered) fn new(
        schema: &Schema,
        message: &MessageDescriptor,
        scrubs: bool,
    ) -> Result<Self, Fault> {
        let root = match &schema.kind {
            Type::Struct(_) => Step::Message(members(schema, message, scrubs)?),
            _ => step(schema, &Kind::Message(message.clone()), scrubs)?,
        };
        Ok(Self { null: schema.optional.then(|| schema.null_branch()), root })
    }

    /// Appends the message of a datum; nothing, and false, for a null.
    pub(in crate::registered) fn write(&self, datum: &[u8], out: &mut Vec<u8>) -> Result<bool, Fault> {
        let mut reader = Reader::new(datum);
        let present = !is_null(self.null, &mut reader)?;
        if present {
            self.root.body(&mut reader, out)?;
        }
        if reader.is_at_end() { Ok(present) } else { Err(Fault::datum("a datum goes on after its end")) }
    }
}

fn is_null(null: Option<i64>, reader: &mut Reader<'_>) -> Result<bool, Fault> {
    let Some(null) = null else { return Ok(false) };
    match reader.long()? {
        branch if branch == null => Ok(true),
        0 | 1 => Ok(false),
        _ => Err(Fault::datum("a datum has no such branch")),
    }
}

fn members(schema: &Schema, message: &MessageDescriptor, scrubs: bool) -> Result<Vec<Member>, Fault> {
    let member = |field: &towpath_model::Field| {
        member(&field.name, &field.schema, message, scrubs).map_err(|fault| fault.in_field(&field.name))
    };
    schema.fields().iter().map(member).collect()
}

fn member(name: &str, schema: &Schema, message: &MessageDescriptor, scrubs: bool) -> Result<Member, Fault> {
    let null = schema.optional.then(|| schema.null_branch());
    if from_connect::is_union(schema) {
        let form = Form::Union(members(schema, message, scrubs)?);
        return Ok(Member { name: name.to_owned(), number: 0, null, presence: true, form });
    }
    let field = message
        .get_field_by_name(&from_connect::field_name(name, scrubs))
        .ok_or_else(|| Fault::schema(format!("the message {} has no field of this name", message.full_name())))?;
    let form = match &schema.kind {
        Type::Array(items) if field.is_list() => Form::Many {
            step: step(items, &field.kind(), scrubs)?,
            packed: field.is_packed(),
            null: items.optional.then(|| items.null_branch()),
        },
        Type::Map(keys, values) => {
            let entry = entry(&field)?;
            let [keys, values] = [("key", keys), ("value", values)]
                .map(|(name, schema)| member(name, schema, &entry, false).map_err(|fault| fault.in_field(name)));
            Form::Map(Box::new([keys?, values?]))
        }
        Type::Array(_) => return Err(unlike(schema, &field.kind())),
        _ if field.is_list() || field.is_map() => return Err(unlike(schema, &field.kind())),
        _ => Form::One(step(schema, &field.kind(), scrubs)?),
    };
    Ok(Member { name: name.to_owned(), number: field.number(), null, presence: field.supports_presence(), form })
}

/// The message of a map's entries.
fn entry(field: &FieldDescriptor) -> Result<MessageDescriptor, Fault> {
    match field.kind() {
        Kind::Message(entry) if field.is_map() || field.is_list() => Ok(entry),
        kind => Err(Fault::schema(format!("a map cannot be written as {kind:?}"))),
    }
}

fn step(schema: &Schema, kind: &Kind, scrubs: bool) -> Result<Step, Fault> {
    let Kind::Message(message) = kind else { return Ok(Step::Scalar(scalar(schema, kind)?)) };
    Ok(match (schema.name.as_deref(), message.full_name(), &schema.kind) {
        (Some(DECIMAL), DECIMAL_MESSAGE, Type::Bytes) => Step::Decimal(decimal_scale(schema)),
        (Some(DATE), DATE_MESSAGE, Type::Int32) => Step::Date,
        (Some(TIME), TIME_MESSAGE, Type::Int32) => Step::Time,
        (Some(TIMESTAMP), TIMESTAMP_MESSAGE, Type::Int64) => Step::Timestamp,
        (_, _, Type::Struct(_)) => Step::Message(members(schema, message, scrubs)?),
        (_, name, _) if WRAPPERS.contains(&name) => {
            let value = message.get_field(1).ok_or_else(|| unlike(schema, kind))?;
            Step::Wrapped(scalar(schema, &value.kind())?)
        }
        _ => return Err(unlike(schema, kind)),
    })
}

fn scalar(schema: &Schema, kind: &Kind) -> Result<Scalar, Fault> {
    use Type::{Float32, Float64, Int8, Int16, Int32, Int64};
    Ok(match (&schema.kind, kind) {
        (Int8 | Int16 | Int32, Kind::Int32 | Kind::Enum(_)) => Scalar::Int32,
        (Int8 | Int16 | Int32 | Int64, Kind::Int64 | Kind::Uint64) => Scalar::Int64,
        (Int8 | Int16 | Int32 | Int64, Kind::Uint32) => Scalar::Uint32,
        (Int8 | Int16 | Int32, Kind::Sint32) => Scalar::Sint32,
        (Int8 | Int16 | Int32 | Int64, Kind::Sint64) => Scalar::Sint64,
        (Int8 | Int16 | Int32 | Int64, Kind::Fixed32) => Scalar::Fixed32,
        (Int8 | Int16 | Int32 | Int64, Kind::Fixed64 | Kind::Sfixed64) => Scalar::Fixed64,
        (Int8 | Int16 | Int32, Kind::Sfixed32) => Scalar::Sfixed32,
        (Type::Boolean, Kind::Bool) => Scalar::Bool,
        (Float32, Kind::Float) => Scalar::Float(4),
        (Float32, Kind::Double) => Scalar::Float(8),
        (Float64, Kind::Double) => Scalar::Double,
        (Type::String, Kind::String) => Scalar::Text,
        (Type::Bytes, Kind::Bytes) => Scalar::Bytes,
        (Type::String, Kind::Enum(symbols)) => {
            Scalar::Symbol(symbols.values().map(|symbol| (symbol.name().to_owned(), symbol.number())).collect())
        }
        _ => return Err(unlike(schema, kind)),
    })
}

fn unlike(schema: &Schema, kind: &Kind) -> Fault {
    let name = schema.name.as_deref().unwrap_or(schema.kind.name());
    Fault::schema(format!("{name} cannot be written as {kind:?}"))
}

impl Member {
    fn write(&self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        if is_null(self.null, reader)? {
            return Ok(());
        }
        match &self.form {
            Form::One(step) => step.field(self.number, self.presence, reader, out),
            Form::Many { step, packed: true, null } => {
                let (start, mut is_empty) = (out.len(), true);
                write_delimited(out, self.number, |out| {
                    let Step::Scalar(scalar) = step else { return Ok(()) };
                    items(*null, reader, |reader| {
                        is_empty = false;
                        scalar.value(reader, out).map(drop)
                    })
                })?;
                // An array without items is none.
                if is_empty {
                    out.truncate(start);
                }
                Ok(())
            }
            Form::Many { step, null, .. } => items(*null, reader, |reader| step.field(self.number, true, reader, out)),
            Form::Map(entry) => items(None, reader, |reader| {
                let entry = entry.iter();
                write_delimited(out, self.number, |out| entry.into_iter().try_for_each(|part| part.write(reader, out)))
            }),
            Form::Union(members) => {
                let start = out.len();
                for member in members {
                    let before = out.len();
                    member.write(reader, out)?;
                    if before > start && out.len() > before {
                        return Err(Fault::datum(format!("field {}: of a oneof, several are set", member.name)));
                    }
                }
                Ok(())
            }
        }
    }
}

/// Takes the items of an array or the entries of a map.
fn items<'a>(
    null: Option<i64>,
    reader: &mut Reader<'a>,
    mut each: impl FnMut(&mut Reader<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    loop {
        match reader.block()? {
            0 => return Ok(()),
            count => {
                for _ in 0..count {
                    if is_null(null, reader)? {
                        return Err(Fault::datum("an item of an array is null, which Protobuf does not know"));
                    }
                    each(reader)?;
                }
            }
        }
    }
}

impl Step {
    /// Appends a field with this value.
    fn field(&self, number: u32, presence: bool, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match self {
            Self::Scalar(scalar) => scalar.field(number, presence, reader, out),
            message => write_delimited(out, number, |out| message.body(reader, out)),
        }
    }

    /// Appends what is in a message.
    fn body(&self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match self {
            Self::Scalar(scalar) => drop(scalar.value(reader, out)?),
            Self::Wrapped(scalar) => scalar.field(1, false, reader, out)?,
            Self::Message(members) => {
                for member in members {
                    member.write(reader, out).map_err(|fault| fault.in_field(&member.name))?;
                }
            }
            Self::Decimal(scale) => {
                let unscaled = reader.bytes()?;
                write_delimited(out, 1, |out| {
                    out.extend_from_slice(unscaled);
                    Ok(())
                })?;
                let digits = decimal_text(unscaled, 0).trim_start_matches('-').len();
                number(2, digits as i64, out);
                number(3, i64::from(*scale), out);
            }
            Self::Date => {
                let date = Moment::at(reader.long()?.saturating_mul(DAY_MS));
                if date.year < 1 {
                    return Err(Fault::datum("a date before Christ has no form in Protobuf"));
                }
                (1..).zip([date.year, date.month, date.day]).for_each(|(field, part)| number(field, part, out));
            }
            Self::Time => {
                let ms = reader.long()?;
                if !(0..DAY_MS).contains(&ms) {
                    return Err(Fault::datum("a time of day is none"));
                }
                let parts = [ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000 * 1_000_000];
                (1..).zip(parts).for_each(|(field, part)| number(field, part, out));
            }
            Self::Timestamp => {
                let ms = reader.long()?;
                number(1, ms.div_euclid(1000), out);
                number(2, ms.rem_euclid(1000) * 1_000_000, out);
            }
        }
        Ok(())
    }
}

/// Appends a number that is not zero.
fn number(field: u32, value: i64, out: &mut Vec<u8>) {
    if value != 0 {
        write_key(out, field, VARINT);
        write_varint(out, value.cast_unsigned());
    }
}

impl Scalar {
    fn form(&self) -> u32 {
        match self {
            Self::Fixed32 | Self::Sfixed32 | Self::Float(4) => FIXED32,
            Self::Fixed64 | Self::Float(_) | Self::Double => FIXED64,
            Self::Text | Self::Bytes => DELIMITED,
            _ => VARINT,
        }
    }

    /// Appends a field with this value; where zero is not told from nothing, zero is nothing.
    fn field(&self, number: u32, presence: bool, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let start = out.len();
        write_key(out, number, self.form());
        if self.value(reader, out)? && !presence {
            out.truncate(start);
        }
        Ok(())
    }

    /// Appends the value, and says whether it is zero.
    fn value(&self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<bool, Fault> {
        let number = match self {
            Self::Bool => i64::from(reader.boolean()?),
            Self::Float(4) => {
                let float = reader.float()?;
                out.extend_from_slice(&float.to_le_bytes());
                return Ok(float.to_bits() == 0);
            }
            Self::Float(_) | Self::Double => {
                let double = if matches!(self, Self::Double) { reader.double()? } else { reader.float()?.into() };
                out.extend_from_slice(&double.to_le_bytes());
                return Ok(double.to_bits() == 0);
            }
            Self::Text | Self::Bytes => {
                let bytes = if matches!(self, Self::Text) { reader.string()?.as_bytes() } else { reader.bytes()? };
                write_varint(out, bytes.len() as u64);
                out.extend_from_slice(bytes);
                return Ok(bytes.is_empty());
            }
            Self::Symbol(symbols) => {
                let number = symbols.get(reader.string()?);
                i64::from(*number.ok_or_else(|| Fault::datum("an enum has no such symbol"))?)
            }
            _ => reader.long()?,
        };
        match self {
            Self::Int32 | Self::Sint32 | Self::Sfixed32 => drop(within::<i32>(number)?),
            Self::Uint32 | Self::Fixed32 => drop(within::<u32>(number)?),
            _ => {}
        }
        match self {
            Self::Sint32 | Self::Sint64 => write_varint(out, ((number << 1) ^ (number >> 63)).cast_unsigned()),
            Self::Fixed32 | Self::Sfixed32 => out.extend_from_slice(&(number as u32).to_le_bytes()),
            Self::Fixed64 => out.extend_from_slice(&number.to_le_bytes()),
            _ => write_varint(out, number.cast_unsigned()),
        }
        Ok(number == 0)
    }
}

fn within<T: TryFrom<i64>>(number: i64) -> Result<T, Fault> {
    T::try_from(number).map_err(|_| Fault::datum("a number does not fit into the field's 32 bits"))
}
