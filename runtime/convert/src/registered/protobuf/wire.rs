//! Protobuf's bytes: fields one after the other, each with its number and the form of its value.

use crate::fault::Fault;

/// How deep groups that nobody knows may be nested.
const GROUPS_MAX: usize = 64;

pub(super) const VARINT: u32 = 0;
pub(super) const FIXED64: u32 = 1;
pub(super) const DELIMITED: u32 = 2;
const GROUP: u32 = 3;
const GROUP_END: u32 = 4;
pub(super) const FIXED32: u32 = 5;

/// The value of a field as it stands there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Raw<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
    /// What stands between the ends of a group.
    Group(&'a [u8]),
}

/// Bytes of which fields, or packed numbers, are taken one after the other.
pub(super) struct Wire<'a>(pub(super) &'a [u8]);

impl<'a> Wire<'a> {
    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// The next field: its number and value.
    pub(super) fn field(&mut self) -> Result<(u32, Raw<'a>), Fault> {
        let (number, form) = self.key()?;
        let value = match form {
            VARINT => Raw::Varint(self.varint()?),
            FIXED64 => Raw::Fixed64(self.fixed64()?),
            DELIMITED => Raw::Bytes(self.delimited()?),
            GROUP => Raw::Group(self.group(number)?),
            FIXED32 => Raw::Fixed32(self.fixed32()?),
            _ => return Err(malformed()),
        };
        Ok((number, value))
    }

    fn key(&mut self) -> Result<(u32, u32), Fault> {
        let key = u32::try_from(self.varint()?).map_err(|_| malformed())?;
        if key >> 3 == 0 { Err(malformed()) } else { Ok((key >> 3, key & 7)) }
    }

    pub(super) fn varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0u64;
        for (place, byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.0 = self.0.get(place + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(malformed())
    }

    pub(super) fn fixed64(&mut self) -> Result<u64, Fault> {
        let bytes = self.exactly(8)?;
        bytes.try_into().map(u64::from_le_bytes).map_err(|_| malformed())
    }

    pub(super) fn fixed32(&mut self) -> Result<u32, Fault> {
        let bytes = self.exactly(4)?;
        bytes.try_into().map(u32::from_le_bytes).map_err(|_| malformed())
    }

    fn delimited(&mut self) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(self.varint()?).map_err(|_| malformed())?;
        self.exactly(length)
    }

    fn exactly(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// What stands before the end of a group, others inside of it included.
    fn group(&mut self, number: u32) -> Result<&'a [u8], Fault> {
        let whole = self.0;
        let mut open = vec![number];
        loop {
            let before = self.0;
            let (number, form) = self.key()?;
            match form {
                VARINT => drop(self.varint()?),
                FIXED64 => drop(self.exactly(8)?),
                DELIMITED => drop(self.delimited()?),
                FIXED32 => drop(self.exactly(4)?),
                GROUP if open.len() < GROUPS_MAX => open.push(number),
                GROUP_END if open.pop() == Some(number) => {
                    if open.is_empty() {
                        return Ok(whole.get(..whole.len() - before.len()).unwrap_or_default());
                    }
                }
                _ => return Err(malformed()),
            }
        }
    }
}

fn malformed() -> Fault {
    Fault::datum("the data are no Protobuf: a field is cut, too long, or has a form that there is not")
}

pub(super) fn write_varint(out: &mut Vec<u8>, value: u64) {
    let mut rest = value;
    while rest >= 0x80 {
        out.push((rest as u8) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

pub(super) fn write_key(out: &mut Vec<u8>, number: u32, form: u32) {
    write_varint(out, u64::from(number) << 3 | u64::from(form));
}

/// Appends a field whose bytes `write` appends, with their length before them.
pub(super) fn write_delimited(
    out: &mut Vec<u8>,
    number: u32,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    write_key(out, number, DELIMITED);
    let start = out.len();
    write(out)?;
    let length = out.len() - start;
    write_varint(out, length as u64);
    // The length is known last and stands first.
    let moved = out.len() - start - length;
    if let Some(field) = out.get_mut(start..) {
        field.rotate_right(moved);
    }
    Ok(())
}
