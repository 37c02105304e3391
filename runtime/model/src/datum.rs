//! Data in Avro's binary encoding under a Connect [`Schema`](crate::Schema), as connectors and converters exchange them.
//!
//! Format after the Avro specification, "Binary Encoding". How Connect's types map:
//!
//! | Connect | bytes |
//! |---|---|
//! | int8, int16, int32, int64 | zig-zag varint |
//! | float32, float64 | little-endian IEEE 754 |
//! | boolean | one byte, 0 or 1 |
//! | string, bytes | length as a zig-zag varint, then the bytes |
//! | array | blocks: count, items; a count of 0 ends it. Readers also take a negative count followed by a size in bytes |
//! | map | blocks as an array, of key and value one after the other |
//! | struct | its fields in order |
//! | optional | a zig-zag varint that says which branch: [`Schema::null_branch`](crate::Schema::null_branch) or the other |
//!
//! The branch order is that of Confluent's AvroData (null first, unless the schema has a default), so that a datum becomes an
//! Avro record of a schema registry by putting five bytes in front.

/// The bytes are not a datum of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("datum is malformed at byte {at}: {what}")]
pub struct Malformed {
    /// Where.
    pub at: usize,
    /// What was expected.
    pub what: &'static str,
}

/// Appends a zig-zag varint.
#[inline]
pub fn write_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest as u8) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends length and bytes.
#[inline]
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_long(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}

/// Appends a 32-bit float.
pub fn write_float(out: &mut Vec<u8>, value: f32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a 64-bit float.
pub fn write_double(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a boolean.
pub fn write_boolean(out: &mut Vec<u8>, value: bool) {
    out.push(u8::from(value));
}

/// Reads a datum from front to back.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their start.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes are read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Whether all bytes are read.
    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Reads a zig-zag varint.
    ///
    /// # Errors
    /// When the bytes end or the number is longer than 64 bits.
    #[inline]
    pub fn long(&mut self) -> Result<i64, Malformed> {
        match self.bytes.get(self.at) {
            // Branches, and the lengths of most texts.
            Some(byte) if byte & 0x80 == 0 => {
                self.at += 1;
                Ok(un_zig_zag(u64::from(*byte)))
            }
            _ => self.longer_long(),
        }
    }

    fn longer_long(&mut self) -> Result<i64, Malformed> {
        let mut value = 0u64;
        let mut shift = 0;
        loop {
            let byte = *self.bytes.get(self.at).ok_or_else(|| self.fault("a varint"))?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(un_zig_zag(value));
            }
            shift += 7;
            if shift > 63 {
                return Err(self.fault("a varint of at most 64 bits"));
            }
        }
    }

    /// Passes over `bytes` where they come next, and says whether they do.
    #[inline]
    pub fn pass(&mut self, bytes: &[u8]) -> bool {
        let next = self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(bytes));
        if next {
            self.at += bytes.len();
        }
        next
    }

    /// What was read since the reader stood at `position`.
    #[inline]
    pub fn since(&self, position: usize) -> &'a [u8] {
        self.bytes.get(position..self.at).unwrap_or_default()
    }

    /// Reads length and bytes.
    ///
    /// # Errors
    /// When the bytes end before the length is met, or it is negative.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.long()?).map_err(|_| self.fault("a length"))?;
        self.exactly(length)
    }

    /// Reads a string.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and when it is not UTF-8.
    #[inline]
    pub fn string(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.fault("UTF-8"))
    }

    /// Reads a boolean.
    ///
    /// # Errors
    /// When the byte is neither 0 nor 1.
    #[inline]
    pub fn boolean(&mut self) -> Result<bool, Malformed> {
        match self.exactly(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(self.fault("a boolean")),
        }
    }

    /// Reads a 32-bit float.
    ///
    /// # Errors
    /// When the bytes end.
    #[inline]
    pub fn float(&mut self) -> Result<f32, Malformed> {
        let bytes = self.exactly(4)?;
        Ok(f32::from_le_bytes(bytes.try_into().map_err(|_| self.fault("a float"))?))
    }

    /// Reads a 64-bit float.
    ///
    /// # Errors
    /// When the bytes end.
    #[inline]
    pub fn double(&mut self) -> Result<f64, Malformed> {
        let bytes = self.exactly(8)?;
        Ok(f64::from_le_bytes(bytes.try_into().map_err(|_| self.fault("a double"))?))
    }

    /// Reads the count at the head of a block of an array or map; 0 ends it.
    ///
    /// # Errors
    /// When the bytes end or the count is larger than what is left could hold.
    #[inline]
    pub fn block(&mut self) -> Result<usize, Malformed> {
        let count = self.long()?;
        if count < 0 {
            self.long()?;
        }
        usize::try_from(count.unsigned_abs())
            .ok()
            .filter(|count| *count <= (self.bytes.len() - self.at).saturating_mul(8).saturating_add(1 << 16))
            .ok_or_else(|| self.fault("a block count"))
    }

    /// Reads so many bytes.
    ///
    /// # Errors
    /// When there are fewer.
    #[inline]
    pub fn exactly(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let bytes = self.at.checked_add(length).and_then(|end| self.bytes.get(self.at..end));
        let bytes = bytes.ok_or_else(|| self.fault("more bytes"))?;
        self.at += length;
        Ok(bytes)
    }

    #[cold]
    fn fault(&self, what: &'static str) -> Malformed {
        Malformed { at: self.at, what }
    }
}

#[inline]
fn un_zig_zag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_and_match_the_specification() {
        for (value, bytes) in [(0, vec![0]), (-1, vec![1]), (1, vec![2]), (-64, vec![0x7f]), (64, vec![0x80, 1])] {
            let mut out = Vec::new();
            write_long(&mut out, value);
            assert_eq!(out, bytes);
        }
        for value in [i64::MIN, i64::MAX, i64::from(i32::MIN), -12_345_678_901, 300] {
            let mut out = Vec::new();
            write_long(&mut out, value);
            assert_eq!(Reader::new(&out).long(), Ok(value));
        }
    }

    #[test]
    fn bytes_that_come_next_can_be_passed_over() {
        let mut reader = Reader::new(b"abcd");
        assert!(reader.pass(b"ab") && !reader.pass(b"ab") && !reader.pass(b"cde"));
        assert_eq!((reader.since(0), reader.since(1)), (&b"ab"[..], &b"b"[..]));
        assert!(reader.pass(b"cd") && reader.is_at_end() && reader.pass(b""));
    }

    #[test]
    fn bytes_that_end_early_are_refused() {
        let mut out = Vec::new();
        write_bytes(&mut out, b"hello");
        for cut in 0..out.len() {
            assert!(Reader::new(&out[..cut]).bytes().is_err());
        }
        assert!(Reader::new(&[0xff; 12]).long().is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).bytes().is_err());
    }
}
