//! Bytes and bit strings.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use towpath_model::{Type, datum};

use super::Fault;

/// How bytes are represented: `binary.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BinaryMode {
    Bytes,
    Base64,
    Base64UrlSafe,
    Hex,
}

impl BinaryMode {
    /// The Connect type.
    pub fn kind(self) -> Type {
        if self == Self::Bytes { Type::Bytes } else { Type::String }
    }

    /// Writes bytes that are bytes already.
    pub fn write(self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Bytes => datum::write_bytes(out, bytes),
            Self::Base64 => datum::write_bytes(out, STANDARD.encode(bytes).as_bytes()),
            Self::Base64UrlSafe => datum::write_bytes(out, URL_SAFE.encode(bytes).as_bytes()),
            Self::Hex => {
                datum::write_long(out, (bytes.len() * 2) as i64);
                for byte in bytes {
                    out.extend(
                        [byte >> 4, byte & 15].map(|digit| if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }),
                    );
                }
            }
        }
    }
}

/// `\x` and hexadecimal digits.
pub(super) fn write(text: &[u8], mode: BinaryMode, out: &mut Vec<u8>) -> Result<(), Fault> {
    const FAULT: Fault = Fault::Text("not bytes in hexadecimal form");
    let digits = text.strip_prefix(b"\\x").ok_or(FAULT)?;
    match mode {
        BinaryMode::Hex => datum::write_bytes(out, digits),
        BinaryMode::Bytes => {
            datum::write_long(out, (digits.len() / 2) as i64);
            decode(digits, out).ok_or(FAULT)?;
        }
        BinaryMode::Base64 | BinaryMode::Base64UrlSafe => {
            let mut bytes = Vec::with_capacity(digits.len() / 2);
            decode(digits, &mut bytes).ok_or(FAULT)?;
            mode.write(&bytes, out);
        }
    }
    Ok(())
}

/// Hexadecimal digits as bytes.
pub(super) fn decode(digits: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let value = |digit: u8| (digit as char).to_digit(16);
    let (pairs, rest) = digits.as_chunks::<2>();
    out.reserve(pairs.len());
    for [high, low] in pairs {
        out.push((value(*high)? << 4 | value(*low)?) as u8);
    }
    rest.is_empty().then_some(())
}

/// Little-endian, with as many bytes as the highest bit that is set needs.
pub(super) fn write_bits(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    if !text.iter().all(|bit| matches!(bit, b'0' | b'1')) {
        return Err(Fault::Text("not a string of bits"));
    }
    let leading = text.iter().take_while(|bit| **bit == b'0').count();
    let bits = text.get(leading..).unwrap_or_default();
    datum::write_long(out, bits.len().div_ceil(8) as i64);
    for byte in bits.rchunks(8) {
        out.push(byte.iter().fold(0, |sum, bit| sum << 1 | (bit - b'0')));
    }
    Ok(())
}
