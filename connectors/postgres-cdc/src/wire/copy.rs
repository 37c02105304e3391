//! COPY's text format: columns between tabs, `\N` for null, backslash escapes. The first column is the row's place.

use crate::error::Error;
use crate::wire::{Cell, Cells};

/// The place of a row in its table: block and item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ctid {
    /// The block.
    pub block: u32,
    /// The item in the block.
    pub item: u16,
}

impl Ctid {
    /// Reads `(block,item)`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (block, item) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
        Some(Self { block: block.parse().ok()?, item: item.parse().ok()? })
    }
}

impl Ctid {
    /// The place as one number, in the same order.
    pub fn address(self) -> u64 {
        u64::from(self.block) << 16 | u64::from(self.item)
    }

    /// The place of an address; one that is none stands for the last there can be.
    pub fn from_address(address: u64) -> Self {
        let block = u32::try_from(address >> 16).unwrap_or(u32::MAX);
        let item = u16::try_from(address & 0xffff).unwrap_or(u16::MAX);
        Self { block, item }
    }
}

impl std::fmt::Display for Ctid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({},{})", self.block, self.item)
    }
}

/// Reads one line with its line feed. Cells point into `line`, or into `unescaped` when the answer says so.
///
/// # Errors
/// When the line is malformed.
#[inline]
pub fn read_copy_row(line: &[u8], cells: &mut Cells, unescaped: &mut Vec<u8>) -> Result<(Ctid, bool), Error> {
    let line = line.strip_suffix(b"\n").ok_or(Error::Protocol("a COPY row without an end"))?;
    let tab = memchr::memchr(b'\t', line).unwrap_or(line.len());
    let ctid = line.get(..tab).and_then(Ctid::parse).ok_or(Error::Protocol("a COPY row without its place"))?;
    cells.0.clear();
    let Some(fields) = line.get(tab + 1..) else { return Ok((ctid, false)) };
    let mut start = tab + 1;
    for at in memchr::memchr2_iter(b'\t', b'\\', fields) {
        if fields.get(at) == Some(&b'\\') {
            unescape(fields, cells, unescaped);
            return Ok((ctid, true));
        }
        let end = tab + 1 + at;
        cells.0.push(Cell::Text(start..end));
        start = end + 1;
    }
    cells.0.push(Cell::Text(start..line.len()));
    Ok((ctid, false))
}

fn unescape(fields: &[u8], cells: &mut Cells, out: &mut Vec<u8>) {
    out.clear();
    cells.0.clear();
    for field in fields.split(|byte| *byte == b'\t') {
        if field == b"\\N" {
            cells.0.push(Cell::Null);
            continue;
        }
        let start = out.len();
        let mut bytes = field.iter();
        while let Some(byte) = bytes.next() {
            if *byte != b'\\' {
                out.push(*byte);
                continue;
            }
            out.push(match bytes.next() {
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 11,
                Some(other) => *other,
                None => b'\\',
            });
        }
        cells.0.push(Cell::Text(start..out.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &[u8], expected: &[Option<&[u8]>]) {
        let (mut cells, mut scratch) = (Cells::default(), Vec::new());
        let (_, escaped) = read_copy_row(line, &mut cells, &mut scratch).expect("a row");
        let base = if escaped { &scratch[..] } else { line };
        let read: Vec<_> = cells
            .0
            .iter()
            .map(|cell| match cell {
                Cell::Text(range) => Some(&base[range.clone()]),
                _ => None,
            })
            .collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn rows_are_split_and_unescaped() {
        check(b"(0,1)\t1\tabc\t\n", &[Some(b"1"), Some(b"abc"), Some(b"")]);
        check(b"(7,12)\t\\N\ta\\tb\\\\N\\n\n", &[None, Some(b"a\tb\\N\n")]);
        check(b"(7,12)\n", &[]);
    }

    #[test]
    fn what_is_no_row_is_refused() {
        for line in [&b""[..], b"(0,1)", b"x\t1\n", b"(0\t1\n", b"(0,99999)\t1\n"] {
            assert!(read_copy_row(line, &mut Cells::default(), &mut Vec::new()).is_err());
        }
    }
}
