//! Connect's schemas and Avro's, as Confluent's AvroData takes one for the other.
//!
//! Connectors speak Avro's binary encoding already (`model::datum`), with the branch order of AvroData, so that towards a topic only the
//! schema is rendered. From a topic, enums, fixed values and unions that Connect does not know are turned into what it does.

mod decode;
mod from_connect;
mod to_connect;

use towpath_model::datum::Reader;
use towpath_model::{Schema, Type};

pub(super) use self::decode::Decoder;
pub(super) use self::from_connect::from_connect;
pub(super) use self::to_connect::to_connect;
pub(super) use crate::definition::avro::AvroSchema as AvroShape;
use crate::definition::avro::{Kind, Node, Shape};
use crate::fault::Fault;

/// What Confluent's converter calls records without a name.
const DEFAULT_NAME: &str = "io.confluent.connect.avro.ConnectDefault";
/// The struct of a union that is more than null and one type.
const UNION: &str = "io.confluent.connect.avro.Union";
/// The parameter that holds the name of an enum, and before a dot, its symbols.
const ENUM: &str = "io.confluent.connect.avro.Enum";
/// The record of an entry of a map whose keys are no strings.
const MAP_ENTRY: &str = "io.confluent.connect.avro.MapEntry";

/// Makes sure that bytes from a connector are a datum of their schema, before others have to read them.
pub(super) fn check(schema: &Schema, datum: &[u8]) -> Result<(), Fault> {
    let mut reader = Reader::new(datum);
    walk(schema, &mut reader)?;
    if reader.is_at_end() { Ok(()) } else { Err(Fault::datum("a datum goes on after its end")) }
}

fn walk(schema: &Schema, reader: &mut Reader<'_>) -> Result<(), Fault> {
    if schema.optional {
        match reader.long()? {
            branch if branch == schema.null_branch() => return Ok(()),
            0 | 1 => {}
            _ => return Err(Fault::datum("a datum has no such branch")),
        }
    }
    match &schema.kind {
        Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => drop(reader.long()?),
        Type::Float32 => drop(reader.float()?),
        Type::Float64 => drop(reader.double()?),
        Type::Boolean => drop(reader.boolean()?),
        Type::String => drop(reader.string()?),
        Type::Bytes => drop(reader.bytes()?),
        Type::Array(items) => blocks(reader, |reader| walk(items, reader))?,
        Type::Map(keys, values) => blocks(reader, |reader| {
            walk(keys, reader)?;
            walk(values, reader)
        })?,
        Type::Struct(fields) => fields.iter().try_for_each(|field| walk(&field.schema, reader))?,
    }
    Ok(())
}

fn blocks<'a>(
    reader: &mut Reader<'a>,
    mut each: impl FnMut(&mut Reader<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    loop {
        match reader.block()? {
            0 => return Ok(()),
            count => (0..count).try_for_each(|_| each(reader))?,
        }
    }
}

/// Whether data of one schema are data of the other, byte for byte.
pub(super) fn same_encoding(one: &AvroShape, other: &AvroShape) -> bool {
    fn same(one: (&AvroShape, &Node), other: (&AvroShape, &Node), depth: usize) -> bool {
        let inner = |first: &Node, second: &Node| depth > 0 && same((one.0, first), (other.0, second), depth - 1);
        match (&one.1.kind, &other.1.kind) {
            (Kind::Array(first), Kind::Array(second)) | (Kind::Map(first), Kind::Map(second)) => inner(first, second),
            (Kind::Union(first), Kind::Union(second)) => {
                first.len() == second.len() && first.iter().zip(second).all(|(first, second)| inner(first, second))
            }
            (Kind::Named(first), Kind::Named(second)) => {
                match (
                    one.0.type_of(first).map(|named| &named.shape),
                    other.0.type_of(second).map(|named| &named.shape),
                ) {
                    (Some(Shape::Record { fields: first, .. }), Some(Shape::Record { fields: second, .. })) => {
                        let mut pairs = first.iter().zip(second);
                        let same =
                            pairs.all(|(first, second)| first.name == second.name && inner(&first.node, &second.node));
                        first.len() == second.len() && same
                    }
                    (first, second) => first.is_some() && first == second,
                }
            }
            (first, second) => first == second,
        }
    }
    // Deeper than any schema that Connect can express, which has no end only where a type contains itself.
    same((one, &one.root), (other, &other.root), 128)
}
