//! Points, PostGIS's shapes and pgvector's vectors.

use towpath_model::datum;

use super::{Fault, binary};

/// `(x,y)` as a struct of coordinates, well-known binary and no reference system.
pub(super) fn write_point(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    const FAULT: Fault = Fault::Text("not a point");
    let text = std::str::from_utf8(text).map_err(|_| FAULT)?;
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).ok_or(FAULT)?;
    let (x, y) = inner.split_once(',').ok_or(FAULT)?;
    let (x, y): (f64, f64) = (x.parse().map_err(|_| FAULT)?, y.parse().map_err(|_| FAULT)?);
    datum::write_double(out, x);
    datum::write_double(out, y);
    // Byte order, the kind "point", the coordinates.
    let mut binary = [0; 21];
    let parts = [(0, &[1u8, 1, 0, 0, 0][..]), (5, &x.to_le_bytes()), (13, &y.to_le_bytes())];
    for (at, part) in parts {
        binary[at..at + part.len()].copy_from_slice(part);
    }
    datum::write_long(out, 1);
    datum::write_bytes(out, &binary);
    datum::write_long(out, 0);
    Ok(())
}

/// A shape with its numbers as Java writes them, which is how Debezium comes by its text: `(2.0,1.0E10)`.
pub(super) fn as_java(text: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(text.len() * 2);
    for piece in text.split_inclusive(|byte| b"()[]{}<>,".contains(byte)) {
        let (number, mark) = match piece.split_last() {
            Some((mark, number)) if b"()[]{}<>,".contains(mark) => (number, Some(*mark)),
            _ => (piece, None),
        };
        match std::str::from_utf8(number).ok().and_then(|number| number.parse::<f64>().ok()) {
            Some(value) => written.extend_from_slice(java_double(value).as_bytes()),
            None => written.extend_from_slice(number),
        }
        written.extend(mark);
    }
    written
}

fn java_double(value: f64) -> String {
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return format!("{value:?}");
    }
    if !value.is_finite() {
        return value.to_string().replace("inf", "Infinity");
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{digits}{}E{exponent}", if digits.contains('.') { "" } else { ".0" })
}

/// PostGIS's extended well-known binary in hexadecimal digits, as it is; the reference system, which it may name, beside it.
pub(super) fn write_geometry(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    const FAULT: Fault = Fault::Text("not a shape in hexadecimal form");
    const HAS_REFERENCE: u32 = 0x2000_0000;
    let mut shape = Vec::with_capacity(text.len() / 2);
    binary::decode(text, &mut shape).ok_or(FAULT)?;
    let (order, rest) = shape.split_first().ok_or(FAULT)?;
    let number = |at: usize| {
        let bytes = rest.get(at..)?.first_chunk::<4>()?;
        Some(if *order == 0 { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) })
    };
    let kind = number(0).ok_or(FAULT)?;
    let reference = if kind & HAS_REFERENCE == 0 { None } else { Some(number(4).ok_or(FAULT)?) };
    datum::write_bytes(out, &shape);
    datum::write_long(out, i64::from(reference.is_some()));
    if let Some(reference) = reference {
        datum::write_long(out, i64::from(reference.cast_signed()));
    }
    Ok(())
}

const NO_VECTOR: Fault = Fault::Text("not a vector");

/// `[1,2.5]` as an array.
pub(super) fn write_vector<T: std::str::FromStr>(
    text: &[u8],
    out: &mut Vec<u8>,
    write: impl Fn(&mut Vec<u8>, T),
) -> Result<(), Fault> {
    let text = std::str::from_utf8(text).map_err(|_| NO_VECTOR)?;
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).ok_or(NO_VECTOR)?;
    datum::write_long(out, inner.split(',').count() as i64);
    for number in inner.split(',') {
        write(out, number.parse().map_err(|_| NO_VECTOR)?);
    }
    datum::write_long(out, 0);
    Ok(())
}

/// `{1:1.5,3:2}/5` as a struct of the number of dimensions and a map by place.
pub(super) fn write_sparse_vector(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let text = std::str::from_utf8(text).map_err(|_| NO_VECTOR)?;
    let (entries, dimensions) = text.split_once('/').ok_or(NO_VECTOR)?;
    let entries = entries.strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or(NO_VECTOR)?;
    // Debezium's schema has 16 bits for a place.
    let place =
        |text: &str| text.parse::<i16>().map_err(|_| Fault::Text("a sparse vector of more than 32767 dimensions"));
    datum::write_long(out, place(dimensions)?.into());
    if !entries.is_empty() {
        datum::write_long(out, entries.split(',').count() as i64);
        for entry in entries.split(',') {
            let (at, number) = entry.split_once(':').ok_or(NO_VECTOR)?;
            datum::write_long(out, place(at)?.into());
            datum::write_double(out, number.parse().map_err(|_| NO_VECTOR)?);
        }
    }
    datum::write_long(out, 0);
    Ok(())
}
