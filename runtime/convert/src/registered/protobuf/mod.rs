//! Connect's schemas and Protobuf's, as Confluent's ProtobufData takes one for the other, and data of one as data of the other.
//!
//! Behind the id stands which message of the file the data are: a list of places, or a single zero for the first message. Towards a topic a
//! schema is rendered as a file of proto3, and its data are written under the message that came of it, or under one that is registered, field
//! by field as they are named. From a topic the message tells the schema; fields may come in any order, several times, or not at all.
//!
//! ```text
//! Connect's schema ─▶ from_connect ─▶ text ─▶ message ─▶ encode         message ─▶ to_connect ─▶ Connect's schema, and decode
//! ```

mod decode;
mod encode;
mod from_connect;
mod scalar;
#[cfg(test)]
mod tests;
mod to_connect;
mod wire;

pub(super) use self::decode::Decoder;
pub(super) use self::encode::Encoder;
pub(super) use self::from_connect::from_connect;
pub(super) use self::to_connect::to_connect;
use crate::fault::Fault;

/// What a struct is named that stands for a oneof, before a dot and its name.
const UNION: &str = "io.confluent.connect.protobuf.Union";
/// The parameter that holds the name of an enum, and before a dot, its symbols.
const ENUM: &str = "io.confluent.connect.protobuf.Enum";
/// The parameter that holds the number of a field.
const TAG: &str = "io.confluent.connect.protobuf.Tag";
/// The parameter that holds Protobuf's type where Connect has none like it.
const TYPE: &str = "io.confluent.connect.protobuf.Type";
/// What messages of entries are named with.
const ENTRY: &str = "Entry";
const PRECISION: &str = "connect.decimal.precision";

const DECIMAL_MESSAGE: &str = "confluent.type.Decimal";
const DATE_MESSAGE: &str = "google.type.Date";
const TIME_MESSAGE: &str = "google.type.TimeOfDay";
const TIMESTAMP_MESSAGE: &str = "google.protobuf.Timestamp";
const DAY_MS: i64 = 86_400_000;

/// Messages that hold one scalar.
const WRAPPERS: [&str; 9] = [
    "google.protobuf.DoubleValue",
    "google.protobuf.FloatValue",
    "google.protobuf.Int64Value",
    "google.protobuf.UInt64Value",
    "google.protobuf.Int32Value",
    "google.protobuf.UInt32Value",
    "google.protobuf.BoolValue",
    "google.protobuf.StringValue",
    "google.protobuf.BytesValue",
];

/// More places than messages can be nested.
const PLACES_MAX: i64 = 64;

/// Appends which message of its file the data are.
pub(super) fn write_places(places: &[i32], out: &mut Vec<u8>) {
    use towpath_model::datum::write_long;
    match places {
        [0] => out.push(0),
        places => {
            write_long(out, places.len() as i64);
            places.iter().for_each(|place| write_long(out, i64::from(*place)));
        }
    }
}

/// Which message of its file the data are, and what follows.
pub(super) fn read_places(data: &[u8]) -> Result<(Vec<i32>, &[u8]), Fault> {
    use towpath_model::datum::Reader;
    let mut reader = Reader::new(data);
    let count = reader.long()?;
    let places = match count {
        0 => vec![0],
        1..=PLACES_MAX => {
            let place = |_| i32::try_from(reader.long()?).map_err(|_| no_message());
            (0..count).map(place).collect::<Result<_, Fault>>()?
        }
        _ => return Err(no_message()),
    };
    let rest = data.get(reader.position()..).unwrap_or_default();
    Ok((places, rest))
}

pub(super) fn no_message() -> Fault {
    Fault::datum("the data begin with a place that no message of the schema has")
}
