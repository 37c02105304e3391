//! One decoder per type: PostgreSQL's text in, a datum of the column's Connect schema out.
//!
//! Snapshot and stream show a value in the same text, so they share these decoders and give the same bytes. Each writes
//! straight into the batch; none builds a value in between. What Debezium gets wrong is given right: dates before our era
//! and infinite ones, negative scales, arrays in arrays.

mod array;
mod binary;
mod decimal;
mod interval;
mod mask;
mod spatial;
mod text;
mod time;

#[cfg(test)]
mod tests;

pub use array::Array;
pub use binary::BinaryMode;
pub use mask::{Hash, Mask};
pub use time::Unit;

use std::sync::Arc;

use towpath_model::datum;

/// Why a text became no datum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not of the type, or the type's representation has no room for it; says why.
    Text(&'static str),
    /// A label that the enum did not have when its schema was made.
    Label,
    /// A null among elements that cannot be null.
    NullElement,
    /// An array of this many dimensions, where the schema has another number.
    Dimensions(u16),
}

/// What became of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The datum was appended.
    Value,
    /// The type's representation has no room for this value, such as NaN in a decimal or a moment beyond 64 bits of nanoseconds:
    /// it stands as null.
    Nothing,
}

/// How the text of a column becomes a datum.
#[derive(Clone, Debug, PartialEq)]
pub enum Codec {
    /// `t` or `f`.
    Boolean,
    /// Any integer.
    Integer,
    /// A 32-bit float.
    Float,
    /// A 64-bit float.
    Double,
    /// A decimal of fixed scale, as the big-endian bytes of its unscaled value.
    Decimal(i32),
    /// A decimal with its scale beside it.
    VariableDecimal,
    /// A decimal as text, with at least this many digits after the point.
    DecimalText(usize),
    /// Money, which comes with signs and separators, as a decimal of this scale.
    MoneyDecimal(i32),
    /// Money as the text or number within.
    Money(Box<Codec>),
    /// Text as it stands.
    Text,
    /// The text of a type without representation, as bytes.
    Opaque(BinaryMode),
    /// The same for a shape, whose numbers stand as Java writes them.
    OpaqueShape(BinaryMode),
    /// A UUID, as text.
    Uuid,
    /// The type "char": one byte, which need not be UTF-8.
    Char,
    /// One of these labels, which are sorted.
    Enum(Arc<[Box<[u8]>]>),
    /// Bytes.
    Bytes(BinaryMode),
    /// One bit.
    Bit,
    /// Several bits, little-endian.
    Bits,
    /// Days since 1970.
    Date,
    /// Time since midnight.
    Time(Unit),
    /// Time since 1970.
    Timestamp(Unit),
    /// A date as ISO 8601 writes it, in UTC.
    DateText,
    /// Time since midnight as ISO 8601 writes it, in UTC.
    TimeText,
    /// A timestamp as ISO 8601 writes it, in UTC.
    TimestampText,
    /// Time of day in UTC, as text.
    TimeWithZone,
    /// A moment in UTC, as text with this many digits after the second; 0 for as many as it needs.
    TimestampWithZone(usize),
    /// Microseconds, a month counted as the twelfth part of 365.25 days.
    Interval,
    /// An interval as ISO 8601 writes it.
    IntervalText,
    /// Keys and values as a JSON object.
    Hstore,
    /// Keys and values as a map.
    HstoreMap,
    /// A point with its well-known binary.
    Point,
    /// PostGIS's well-known binary, with its reference system beside it.
    Geometry,
    /// pgvector's numbers, in 64 bits each.
    Vector,
    /// pgvector's numbers, in 32 bits each.
    HalfVector,
    /// pgvector's numbers other than zero, by place.
    SparseVector,
    /// Text of which only a part, a hash or a mask is shown.
    Masked(Box<Mask>),
    /// Several of another.
    Array(Box<Array>),
}

impl Codec {
    /// Appends the datum for `text`.
    ///
    /// # Errors
    /// When the text is not of the type.
    #[inline]
    pub fn write(&self, text: &[u8], out: &mut Vec<u8>) -> Result<Written, Fault> {
        match self {
            Self::Integer => datum::write_long(out, parse_integer(text)?),
            Self::Text | Self::Uuid => write_text(text, out)?,
            Self::Opaque(mode) => mode.write(text, out),
            Self::OpaqueShape(mode) => mode.write(&spatial::as_java(text), out),
            Self::Boolean => datum::write_boolean(out, text == b"t"),
            Self::Float => datum::write_float(out, parse_float(text)?),
            Self::Double => datum::write_double(out, parse_float(text)?),
            Self::Decimal(scale) => return decimal::write(text, *scale, out),
            Self::VariableDecimal => return decimal::write_variable(text, out),
            Self::DecimalText(digits) => decimal::write_text(text, *digits, out),
            Self::MoneyDecimal(scale) => decimal::write_money(&text::money(text), *scale, out)?,
            Self::Money(inner) => return inner.write(&text::money(text), out),
            Self::Char => text::write_char(text, out),
            Self::Enum(labels) => {
                labels.binary_search_by(|label| label.as_ref().cmp(text)).map_err(|_| Fault::Label)?;
                datum::write_bytes(out, text);
            }
            Self::Bytes(mode) => binary::write(text, *mode, out)?,
            Self::Bit => datum::write_boolean(out, text == b"1"),
            Self::Bits => binary::write_bits(text, out)?,
            Self::Date => datum::write_long(out, i64::from(time::date(text)?)),
            Self::Time(unit) => return Ok(write_moment(unit.of_micros(time::time(text)?.into()), out)),
            Self::Timestamp(unit) => return Ok(write_moment(time::timestamp(text, *unit)?, out)),
            Self::DateText => time::write_date_text(text, out)?,
            Self::TimeText => time::write_time_text(text, out)?,
            Self::TimestampText => time::write_timestamp_text(text, out)?,
            Self::TimeWithZone => time::write_time_with_zone(text, out)?,
            Self::TimestampWithZone(width) => time::write_timestamp_with_zone(text, *width, out)?,
            Self::Interval => datum::write_long(out, interval::micros(text)?),
            Self::IntervalText => interval::write_text(text, out)?,
            Self::Hstore => text::write_hstore(text, out)?,
            Self::HstoreMap => text::write_hstore_map(text, out)?,
            Self::Point => spatial::write_point(text, out)?,
            Self::Geometry => spatial::write_geometry(text, out)?,
            Self::Vector => spatial::write_vector(text, out, datum::write_double)?,
            Self::HalfVector => spatial::write_vector(text, out, datum::write_float)?,
            Self::SparseVector => spatial::write_sparse_vector(text, out)?,
            Self::Masked(mask) => mask.write(text, out)?,
            Self::Array(array) => array.write(text, out)?,
        }
        Ok(Written::Value)
    }

    /// The text that stands for every value, if it is always the same.
    pub fn fixed(&self) -> Option<&str> {
        match self {
            Self::Masked(mask) => mask.fixed(),
            _ => None,
        }
    }

    /// The text of the value that stands for a null where none may be, if it does not follow from the schema.
    pub fn zero(&self) -> Option<&'static str> {
        match self {
            Self::Hstore => Some(""),
            Self::DecimalText(_) => Some("0"),
            Self::Money(inner) => inner.zero(),
            Self::Point => Some("(0,0)"),
            // A collection without a shape.
            Self::Geometry => Some("010700000000000000"),
            _ => None,
        }
    }

    /// What stands for a large value that the server did not send, in a column of this kind.
    pub fn write_placeholder(&self, placeholder: &[u8], out: &mut Vec<u8>) -> Written {
        match self {
            Self::Text | Self::Char | Self::Enum(_) | Self::DecimalText(_) => datum::write_bytes(out, placeholder),
            Self::Hstore => text::write_object([(placeholder, Some(placeholder))], out),
            Self::Uuid => datum::write_bytes(out, text::named_uuid(placeholder).as_bytes()),
            Self::HstoreMap => text::write_map([(placeholder, Some(placeholder))], out),
            // Debezium's hexadecimal mode shows the placeholder as it is, so that it can be told from data.
            Self::Bytes(BinaryMode::Hex) | Self::Opaque(BinaryMode::Hex) | Self::OpaqueShape(BinaryMode::Hex) => {
                datum::write_bytes(out, placeholder);
            }
            Self::Bytes(mode) | Self::Opaque(mode) | Self::OpaqueShape(mode) => mode.write(placeholder, out),
            Self::Masked(mask) => mask.write_placeholder(placeholder, out),
            Self::Array(array) => return array.write_placeholder(placeholder, out),
            _ => return Written::Nothing,
        }
        Written::Value
    }
}

#[inline]
fn write_moment(moment: Option<i64>, out: &mut Vec<u8>) -> Written {
    let Some(moment) = moment else { return Written::Nothing };
    datum::write_long(out, moment);
    Written::Value
}

#[inline]
fn parse_integer(text: &[u8]) -> Result<i64, Fault> {
    const FAULT: Fault = Fault::Text("not an integer of at most 64 bits");
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(FAULT);
    }
    // So many digits always fit; checking each step would cost a product of 128 bits, which is dear in WASM.
    if digits.len() <= 18 {
        let mut sum = 0i64;
        for digit in digits {
            let digit = digit.wrapping_sub(b'0');
            if digit > 9 {
                return Err(FAULT);
            }
            sum = sum * 10 + i64::from(digit);
        }
        return Ok(if negative { -sum } else { sum });
    }
    // Negative numbers reach one further, so the sum is kept negative.
    let mut sum = 0i64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return Err(FAULT);
        }
        sum = sum.checked_mul(10).and_then(|sum| sum.checked_sub(i64::from(digit))).ok_or(FAULT)?;
    }
    if negative { Ok(sum) } else { sum.checked_neg().ok_or(FAULT) }
}

fn parse_float<T: std::str::FromStr>(text: &[u8]) -> Result<T, Fault> {
    let text = std::str::from_utf8(text).map_err(|_| Fault::Text("not a number"))?;
    text.parse().map_err(|_| Fault::Text("not a number"))
}

#[inline]
fn write_text(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    std::str::from_utf8(text)
        .map_err(|_| Fault::Text("text that is not UTF-8, as a database in SQL_ASCII may hold"))?;
    datum::write_bytes(out, text);
    Ok(())
}

/// Writes a string of fewer than 64 bytes in place, its length ahead of it.
fn write_short_string(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.push(0);
    write(out);
    let length = out.len() - at - 1;
    debug_assert!(length < 64, "a longer string needs a longer length");
    if let Some(byte) = out.get_mut(at) {
        // A length below 64 is one byte in zig-zag form.
        *byte = (length as u8) << 1;
    }
}
