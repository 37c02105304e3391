//! Kafka's variable-length numbers: zigzag, seven bits a byte, least significant first.

use super::Damaged;

/// Bytes that `value` takes.
#[inline]
pub(super) fn size(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Appends `value`.
#[inline]
pub(super) fn write(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Takes a number off the front of `input`.
#[inline]
pub(super) fn read(input: &mut &[u8]) -> Result<i64, Damaged> {
    let mut value = 0u64;
    for (index, byte) in input.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *input = input.get(index + 1..).unwrap_or_default();
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err(Damaged("a number does not end"))
}

#[inline]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_their_size_is_known_beforehand() {
        for value in [0, -1, 1, 63, -64, 64, -65, 8191, 8192, i64::from(i32::MAX), i64::MIN, i64::MAX] {
            let mut bytes = Vec::new();
            write(&mut bytes, value);
            assert_eq!(bytes.len(), size(value), "{value}");
            let mut input = bytes.as_slice();
            assert_eq!(read(&mut input), Ok(value));
            assert!(input.is_empty());
        }
    }

    #[test]
    fn a_number_without_an_end_is_damaged() {
        assert!(read(&mut &[0x80; 11][..]).is_err());
        assert!(read(&mut &[0x80][..]).is_err());
        assert!(read(&mut &[][..]).is_err());
    }
}
