//! A message as Connect's schema, with the steps that lead from data of one to data of the other.

use std::collections::HashMap;
use std::sync::Arc;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor};
use prost_types::field_descriptor_proto::Label;
use towpath_model::{Field, Schema, Type};

use super::decode::{Decoder, Member, Message, Shape, Step};
use super::scalar::Scalar;
use super::{
    DATE_MESSAGE, DECIMAL_MESSAGE, ENTRY, ENUM, PRECISION, TAG, TIME_MESSAGE, TIMESTAMP_MESSAGE, TYPE, UNION, WRAPPERS,
};
use crate::definition::protobuf::ProtobufSchema;
use crate::fault::Fault;
use crate::json::DECIMAL;
use crate::registered::settings::Protobuf;
use crate::registered::{DATE, TIME, TIMESTAMP};

/// Deeper and larger than any schema of data.
const DEPTH_MAX: usize = 64;
const NODES_MAX: usize = 100_000;

/// Connect's schema, and how to come to its data.
pub(in crate::registered) fn to_connect(
    schema: &ProtobufSchema,
    message: &MessageDescriptor,
    settings: Protobuf,
) -> Result<(Schema, Decoder), Fault> {
    let mut rendering = Rendering { schema, settings, open: Vec::new(), rendered: 0 };
    if settings.wrapped_roots
        && let Some(value) = wrapped(message)
    {
        let (schema, scalar) = rendering.scalar(&value, Params::default())?;
        return Ok((schema, Decoder::new(Step::Wrapped(scalar))));
    }
    let (schema, message) = rendering.message(message)?;
    Ok((schema, Decoder::new(Step::Message(message))))
}

/// The field of a message that holds one scalar.
fn wrapped(message: &MessageDescriptor) -> Option<FieldDescriptor> {
    message.get_field(1).filter(|_| WRAPPERS.contains(&message.full_name()))
}

struct Rendering<'a> {
    schema: &'a ProtobufSchema,
    settings: Protobuf,
    /// Messages that are being rendered: Connect's schemas have an end.
    open: Vec<String>,
    rendered: usize,
}

/// What is noted of a field.
#[derive(Default)]
struct Params {
    connect_type: Option<String>,
    precision: Option<String>,
    scale: Option<i32>,
}

impl Rendering<'_> {
    fn message(&mut self, message: &MessageDescriptor) -> Result<(Schema, Message), Fault> {
        let name = message.full_name();
        if self.open.iter().any(|open| open == name) {
            return Err(Fault::schema(format!("the message {name} contains itself, for which Connect has no schema")));
        }
        if self.open.len() == DEPTH_MAX {
            return Err(Fault::schema(format!("messages are nested deeper than {DEPTH_MAX} levels")));
        }
        self.open.push(name.to_owned());
        let mut fields = Vec::new();
        let mut members = Vec::new();
        let mut unions: HashMap<String, Vec<FieldDescriptor>> = HashMap::new();
        let mut plain = Vec::new();
        for field in declared(message) {
            match real_oneof(&field) {
                Some(oneof) => unions.entry(oneof.name().to_owned()).or_default().push(field),
                None => plain.push(field),
            }
        }
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            let (field, member) = self.oneof(&oneof, unions.remove(oneof.name()).unwrap_or_default())?;
            fields.push(field);
            members.push(member);
        }
        for field in plain {
            let (schema, member) = self.field(&field).map_err(|fault| fault.in_field(field.name()))?;
            fields.push(Field { name: field.name().into(), schema: Arc::new(schema) });
            members.push(member);
        }
        self.open.pop();
        let mut schema = Schema::new(Type::Struct(fields));
        schema.name = Some(self.name(name, message.name()));
        Ok((schema, Message::new(members)))
    }

    fn oneof(&mut self, oneof: &OneofDescriptor, of: Vec<FieldDescriptor>) -> Result<(Field, Member), Fault> {
        let (mut fields, mut members) = (Vec::new(), Vec::new());
        for field in of {
            let (mut schema, mut member) = self.field(&field).map_err(|fault| fault.in_field(field.name()))?;
            // Only one of them is set.
            schema.optional = true;
            member.optional = true;
            fields.push(Field { name: field.name().into(), schema: Arc::new(schema) });
            members.push(member);
        }
        let mut schema = Schema::new(Type::Struct(fields)).optional();
        schema.name = Some(format!("{UNION}.{}", self.name(oneof.full_name(), oneof.name())).into());
        let place = oneof.path().last().copied().unwrap_or_default();
        let name = match self.settings.numbered_unions {
            true => format!("{}_{place}", oneof.name()),
            false => oneof.name().to_owned(),
        };
        let member = Member { number: 0, optional: true, presence: true, shape: Shape::Union(members) };
        Ok((Field { name: name.into(), schema: Arc::new(schema) }, member))
    }

    fn field(&mut self, field: &FieldDescriptor) -> Result<(Schema, Member), Fault> {
        self.rendered += 1;
        if self.rendered > NODES_MAX {
            return Err(Fault::schema(format!("a message comes to more than {NODES_MAX} fields")));
        }
        let (mut schema, shape) = match entry(field) {
            Some(entry) => {
                let (schema, entry) = self.map(&entry)?;
                (schema, Shape::Map(entry))
            }
            None => {
                let (schema, step) = self.value(field)?;
                match field.is_list() {
                    true => (Schema::new(Type::Array(Arc::new(schema.optional()))), Shape::Many(step)),
                    false => (schema, Shape::One(step)),
                }
            }
        };
        let repeated = field.is_list() || field.is_map();
        let required = field.field_descriptor_proto().label() == Label::Required;
        let presence = field.supports_presence() && !repeated;
        let always = repeated || matches!(field.kind(), Kind::Message(_) | Kind::Enum(_));
        let loose = !self.settings.optional_nullables && !self.settings.wrapped_nullables;
        schema.optional = (always || loose || presence) && !required;
        schema.parameters.insert(TAG.to_owned(), field.number().to_string());
        let member = Member { number: field.number(), optional: schema.optional, presence, shape };
        Ok((schema, member))
    }

    fn map(&mut self, entry: &MessageDescriptor) -> Result<(Schema, Message), Fault> {
        let part = |number| entry.get_field(number).ok_or_else(|| Fault::schema("a map has entries without a value"));
        let (mut keys, mut key) = self.field(&part(1)?)?;
        let (values, mut value) = self.field(&part(2)?)?;
        // A key is never null, and a value that is not there is an empty one.
        (keys.optional, key.optional) = (false, false);
        (key.presence, value.presence) = (false, false);
        let mut schema = Schema::new(Type::Map(Arc::new(keys), Arc::new(values)));
        schema.name = Some(map_name(&self.name(entry.full_name(), entry.name())).into());
        Ok((schema, Message::new(vec![key, value])))
    }

    fn value(&mut self, field: &FieldDescriptor) -> Result<(Schema, Step), Fault> {
        let noted = self.schema.params(field);
        let noted = |name: &str| noted.and_then(|params| params.get(name)).cloned();
        let params = Params {
            connect_type: noted("connect.type"),
            precision: noted("precision").filter(|precision| precision.parse::<i32>().is_ok()),
            scale: noted("scale").and_then(|scale| scale.parse().ok()),
        };
        let Kind::Message(message) = field.kind() else {
            let (schema, scalar) = self.scalar(field, params)?;
            return Ok((schema, Step::Scalar(scalar)));
        };
        Ok(match message.full_name() {
            DECIMAL_MESSAGE => {
                let scale = params.scale.unwrap_or_default();
                let mut schema = Schema::new(Type::Bytes).named(DECIMAL, 1).parameter("scale", scale.to_string());
                schema.parameters.extend(params.precision.map(|precision| (PRECISION.to_owned(), precision)));
                (schema, Step::Decimal(scale))
            }
            DATE_MESSAGE => (Schema::new(Type::Int32).named(DATE, 1), Step::Date),
            TIME_MESSAGE => (Schema::new(Type::Int32).named(TIME, 1), Step::Time),
            TIMESTAMP_MESSAGE => (Schema::new(Type::Int64).named(TIMESTAMP, 1), Step::Timestamp),
            _ => match wrapped(&message).filter(|_| self.settings.wrapped_nullables) {
                Some(value) => {
                    let (schema, scalar) = self.scalar(&value, Params::default())?;
                    (schema, Step::Wrapped(scalar))
                }
                None => {
                    let (schema, message) = self.message(&message)?;
                    (schema, Step::Message(message))
                }
            },
        })
    }

    fn scalar(&self, field: &FieldDescriptor, params: Params) -> Result<(Schema, Scalar), Fault> {
        let typed = |kind: Type, name: &str| Schema::new(kind).parameter(TYPE, name);
        Ok(match (field.kind(), params.connect_type.as_deref()) {
            (Kind::Int32, Some("int8")) => (Schema::new(Type::Int8), Scalar::Int8),
            (Kind::Int32, Some("int16")) => (Schema::new(Type::Int16), Scalar::Int16),
            (Kind::Int32, _) => (Schema::new(Type::Int32), Scalar::Int32),
            (Kind::Sint32, _) => (typed(Type::Int32, "sint32"), Scalar::Sint32),
            (Kind::Sfixed32, _) => (typed(Type::Int32, "sfixed32"), Scalar::Sfixed32),
            (Kind::Int64, _) => (Schema::new(Type::Int64), Scalar::Int64),
            (Kind::Uint32, _) => (typed(Type::Int64, "uint32"), Scalar::Uint32),
            (Kind::Fixed32, _) => (typed(Type::Int64, "fixed32"), Scalar::Fixed32),
            (Kind::Uint64, _) => (typed(Type::Int64, "uint64"), Scalar::Int64),
            (Kind::Sint64, _) => (typed(Type::Int64, "sint64"), Scalar::Sint64),
            (Kind::Fixed64, _) => (typed(Type::Int64, "fixed64"), Scalar::Fixed64),
            (Kind::Sfixed64, _) => (typed(Type::Int64, "sfixed64"), Scalar::Fixed64),
            (Kind::Float, _) => (Schema::new(Type::Float32), Scalar::Float),
            (Kind::Double, _) => (Schema::new(Type::Float64), Scalar::Double),
            (Kind::Bool, _) => (Schema::new(Type::Boolean), Scalar::Bool),
            (Kind::String, _) => (Schema::new(Type::String), Scalar::Text),
            (Kind::Bytes, _) => (Schema::new(Type::Bytes), Scalar::Bytes),
            (Kind::Enum(symbols), _) => self.enumeration(&symbols),
            (Kind::Message(message), _) => {
                return Err(Fault::schema(format!("{} is no scalar", message.full_name())));
            }
        })
    }

    fn enumeration(&self, symbols: &EnumDescriptor) -> (Schema, Scalar) {
        let numbers = self.settings.enums_as_numbers;
        let mut schema = Schema::new(if numbers { Type::Int32 } else { Type::String }).parameter(ENUM, symbols.name());
        schema.name = Some(self.name(symbols.full_name(), symbols.name()));
        for symbol in &symbols.enum_descriptor_proto().value {
            schema.parameters.insert(format!("{ENUM}.{}", symbol.name()), symbol.number().to_string());
        }
        let scalar = if numbers {
            Scalar::Int32
        } else {
            let mut named = HashMap::new();
            for symbol in &symbols.enum_descriptor_proto().value {
                named.entry(symbol.number()).or_insert_with(|| symbol.name().into());
            }
            Scalar::Symbol { named, name: symbols.name().into(), first: symbols.default_value().number() }
        };
        (schema, scalar)
    }

    fn name(&self, full: &str, short: &str) -> Arc<str> {
        if self.settings.full_names { full.into() } else { short.into() }
    }
}

/// Fields in the order in which they stand in the file.
fn declared(message: &MessageDescriptor) -> impl Iterator<Item = FieldDescriptor> {
    let numbers: Vec<_> = message.descriptor_proto().field.iter().map(|field| field.number().unsigned_abs()).collect();
    let message = message.clone();
    numbers.into_iter().filter_map(move |number| message.get_field(number))
}

fn real_oneof(field: &FieldDescriptor) -> Option<OneofDescriptor> {
    field.containing_oneof().filter(|oneof| !oneof.is_synthetic())
}

/// The message of a map's entries: Confluent's converter writes some of them without marking them as such.
fn entry(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    let Kind::Message(entry) = field.kind() else { return None };
    if field.is_map() {
        return Some(entry);
    }
    let plain = |number: u32, name: &str| {
        entry.get_field(number).is_some_and(|field| field.name() == name && !field.is_list() && !field.is_map())
    };
    let looks = entry.name().ends_with(ENTRY) && entry.fields().len() == 2 && plain(1, "key") && plain(2, "value");
    Some(entry).filter(|_| field.is_list() && looks)
}

/// `OrderLinesEntry` is of a map named `order_lines`.
fn map_name(entry: &str) -> String {
    let (package, name) = entry.rsplit_once('.').map_or(("", entry), |(_, name)| (entry.trim_end_matches(name), name));
    let mut map = package.to_owned();
    for (place, character) in name.trim_end_matches(ENTRY).chars().enumerate() {
        if place > 0 && character.is_ascii_uppercase() {
            map.push('_');
        }
        map.push(character.to_ascii_lowercase());
    }
    map
}
