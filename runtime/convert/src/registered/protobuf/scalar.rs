//! Numbers, texts and symbols of a message as data under Connect's schema.

use std::collections::HashMap;

use towpath_model::datum::{write_bytes, write_long};

use super::wire::{Raw, Wire};
use crate::fault::Fault;

/// How a scalar is read.
#[derive(Debug)]
pub(super) enum Scalar {
    Int8,
    Int16,
    Int32,
    Int64,
    Uint32,
    Sint32,
    Sint64,
    Fixed32,
    Sfixed32,
    Fixed64,
    Float,
    Double,
    Bool,
    Text,
    Bytes,
    /// An enum: its symbols, its name for numbers that it does not know, and what it is where nothing stands.
    Symbol {
        named: HashMap<i32, Box<str>>,
        name: Box<str>,
        first: i32,
    },
}

impl Scalar {
    pub(super) fn is_delimited(&self) -> bool {
        matches!(self, Self::Text | Self::Bytes)
    }

    pub(super) fn takes(&self, raw: Raw<'_>) -> bool {
        match self {
            Self::Text | Self::Bytes => matches!(raw, Raw::Bytes(_)),
            Self::Fixed32 | Self::Sfixed32 | Self::Float => matches!(raw, Raw::Fixed32(_)),
            Self::Fixed64 | Self::Double => matches!(raw, Raw::Fixed64(_)),
            _ => matches!(raw, Raw::Varint(_)),
        }
    }

    /// The next of packed numbers.
    pub(super) fn unpacked<'a>(&self, wire: &mut Wire<'a>) -> Result<Raw<'a>, Fault> {
        Ok(match self {
            Self::Fixed32 | Self::Sfixed32 | Self::Float => Raw::Fixed32(wire.fixed32()?),
            Self::Fixed64 | Self::Double => Raw::Fixed64(wire.fixed64()?),
            _ => Raw::Varint(wire.varint()?),
        })
    }

    /// What stands there where nothing does.
    pub(super) fn zero(&self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let raw = match self {
            Self::Symbol { first, .. } => Raw::Varint(i64::from(*first).cast_unsigned()),
            Self::Text | Self::Bytes => Raw::Bytes(&[]),
            Self::Fixed32 | Self::Sfixed32 | Self::Float => Raw::Fixed32(0),
            Self::Fixed64 | Self::Double => Raw::Fixed64(0),
            _ => Raw::Varint(0),
        };
        self.read(raw, out)
    }

    pub(super) fn read(&self, raw: Raw<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match (self, raw) {
            (Self::Text, Raw::Bytes(bytes)) => {
                std::str::from_utf8(bytes)?;
                write_bytes(out, bytes);
            }
            (Self::Bytes, Raw::Bytes(bytes)) => write_bytes(out, bytes),
            (Self::Bool, Raw::Varint(number)) => out.push(u8::from(number != 0)),
            (Self::Float, Raw::Fixed32(bits)) => out.extend_from_slice(&bits.to_le_bytes()),
            (Self::Double, Raw::Fixed64(bits)) => out.extend_from_slice(&bits.to_le_bytes()),
            (Self::Fixed32, Raw::Fixed32(number)) => write_long(out, number.into()),
            (Self::Sfixed32, Raw::Fixed32(number)) => write_long(out, number.cast_signed().into()),
            (Self::Fixed64, Raw::Fixed64(number)) => write_long(out, number.cast_signed()),
            (Self::Int8, Raw::Varint(number)) => write_long(out, small::<i8>(number)?),
            (Self::Int16, Raw::Varint(number)) => write_long(out, small::<i16>(number)?),
            (Self::Int32, Raw::Varint(number)) => write_long(out, (number as i32).into()),
            (Self::Uint32, Raw::Varint(number)) => write_long(out, (number as u32).into()),
            (Self::Int64, Raw::Varint(number)) => write_long(out, number.cast_signed()),
            (Self::Sint32, Raw::Varint(number)) => write_long(out, (un_zig_zag(number) as i32).into()),
            (Self::Sint64, Raw::Varint(number)) => write_long(out, un_zig_zag(number)),
            (Self::Symbol { named, name, .. }, Raw::Varint(number)) => {
                let number = number as i32;
                match named.get(&number) {
                    Some(symbol) => write_bytes(out, symbol.as_bytes()),
                    None => write_bytes(out, format!("UNKNOWN_ENUM_VALUE_{name}_{number}").as_bytes()),
                }
            }
            _ => return Err(unlike()),
        }
        Ok(())
    }
}

fn small<T: TryFrom<i32> + Into<i64>>(number: u64) -> Result<i64, Fault> {
    let small = T::try_from(number as i32).map_err(|_| Fault::datum("a number is larger than connect.type says"))?;
    Ok(small.into())
}

fn un_zig_zag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

pub(super) fn unlike() -> Fault {
    Fault::datum("a value has a form that its field does not have")
}
