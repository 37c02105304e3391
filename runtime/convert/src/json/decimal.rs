//! Decimals between the two forms of `decimal.format`: an unscaled two's complement number, and Java's `BigDecimal` text.

/// The text of `unscaled` (big-endian two's complement) divided by 10^`scale`, as `BigDecimal.toString` gives it.
pub(crate) fn to_text(unscaled: &[u8], scale: i32) -> String {
    let (negative, digits) = to_digits(unscaled);
    let mut text = String::with_capacity(digits.len() + 8);
    if negative {
        text.push('-');
    }
    let adjusted = digits.len() as i64 - 1 - i64::from(scale);
    if scale == 0 {
        text.push_str(&digits);
    } else if scale > 0 && adjusted >= -6 {
        let scale = scale.unsigned_abs() as usize;
        if digits.len() > scale {
            text.push_str(&digits[..digits.len() - scale]);
            text.push('.');
            text.push_str(&digits[digits.len() - scale..]);
        } else {
            text.push_str("0.");
            text.extend(std::iter::repeat_n('0', scale - digits.len()));
            text.push_str(&digits);
        }
    } else {
        text.push_str(&digits[..1]);
        if digits.len() > 1 {
            text.push('.');
            text.push_str(&digits[1..]);
        }
        if adjusted != 0 {
            text.push_str(if adjusted > 0 { "E+" } else { "E" });
            text.push_str(&adjusted.to_string());
        }
    }
    text
}

/// The unscaled number of a JSON number at a fixed scale, or none when it is not a number or has digits beyond the scale.
pub(crate) fn from_text(text: &str, scale: i32) -> Option<Vec<u8>> {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], rest[at + 1..].parse::<i64>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut digits = format!("{whole}{fraction}");
    let shift = i64::from(scale) + exponent - fraction.len() as i64;
    if digits.bytes().all(|digit| digit == b'0') {
        return Some(vec![0]);
    }
    if shift >= 0 {
        // A number of more than a million digits is no decimal that anybody stores.
        digits.extend(std::iter::repeat_n('0', usize::try_from(shift).ok().filter(|shift| *shift < 1 << 20)?));
    } else {
        let cut = digits.len().checked_sub(usize::try_from(-shift).ok()?)?;
        if digits[cut..].bytes().any(|digit| digit != b'0') {
            return None;
        }
        digits.truncate(cut);
    }
    Some(from_digits(negative, &digits))
}

/// The low 64 bits of the whole part, which is what Java's `BigDecimal.longValue` gives.
pub(crate) fn low_bits(unscaled: &[u8], scale: i32) -> i64 {
    let (negative, mut digits) = to_digits(unscaled);
    match usize::try_from(scale) {
        Ok(fraction) => digits.truncate(digits.len().saturating_sub(fraction)),
        // Of 64 zeros in a row nothing is left in 64 bits.
        Err(_) => digits.extend(std::iter::repeat_n('0', scale.unsigned_abs().min(64) as usize)),
    }
    let value = digits.bytes().fold(0i64, |value, digit| value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0')));
    if negative { value.wrapping_neg() } else { value }
}

/// The low 64 bits of the whole part of a number that is written as text.
pub(crate) fn truncated(text: &str) -> Option<i64> {
    let places = places(text)?;
    let unscaled = from_text(text.strip_prefix('+').unwrap_or(text), places.max(0))?;
    Some(low_bits(&unscaled, places.max(0)))
}

/// How many places a number is written with behind its point: `1.50` has 2, `1e3` has -3.
pub(crate) fn places(text: &str) -> Option<i32> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let digits = mantissa.trim_start_matches(['+', '-']);
    let is_number = digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let places = i32::try_from(fraction).ok()?.checked_sub(exponent)?;
    Some(places).filter(|places| is_number && places.unsigned_abs() < 1 << 20)
}

fn to_digits(unscaled: &[u8]) -> (bool, String) {
    let negative = unscaled.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut magnitude = unscaled.to_vec();
    if negative {
        negate(&mut magnitude);
    }
    if magnitude.len() <= 16 {
        let value = magnitude.iter().fold(0u128, |value, byte| (value << 8) | u128::from(*byte));
        return (negative, value.to_string());
    }
    let mut groups = Vec::new();
    while magnitude.iter().any(|byte| *byte != 0) {
        let mut rest = 0u64;
        for byte in &mut magnitude {
            let value = (rest << 8) | u64::from(*byte);
            *byte = (value / 1_000_000_000) as u8;
            rest = value % 1_000_000_000;
        }
        groups.push(rest);
    }
    let mut text = groups.last().map_or_else(|| "0".to_owned(), u64::to_string);
    for group in groups.iter().rev().skip(1) {
        text.push_str(&format!("{group:09}"));
    }
    (negative, text)
}

fn from_digits(negative: bool, digits: &str) -> Vec<u8> {
    let mut little = vec![0u8];
    for digit in digits.bytes() {
        let mut carry = u32::from(digit - b'0');
        for byte in &mut little {
            carry += u32::from(*byte) * 10;
            *byte = carry as u8;
            carry >>= 8;
        }
        while carry > 0 {
            little.push(carry as u8);
            carry >>= 8;
        }
    }
    little.push(0);
    little.reverse();
    if negative {
        negate(&mut little);
    }
    // Java drops leading bytes that only repeat the sign.
    let spare = little
        .windows(2)
        .take_while(|pair| (pair[0] == 0 && pair[1] < 0x80) || (pair[0] == 0xff && pair[1] >= 0x80))
        .count();
    little.split_off(spare)
}

fn negate(big_endian: &mut [u8]) {
    let mut carry = true;
    for byte in big_endian.iter_mut().rev() {
        let (value, overflow) = (!*byte).overflowing_add(u8::from(carry));
        *byte = value;
        carry = overflow;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_numbers_match_javas() {
        let cases: [(&[u8], i32, &str); 9] = [
            (&[0x30, 0x39], 2, "123.45"),
            (&[0xcf, 0xc7], 2, "-123.45"),
            (&[0], 2, "0.00"),
            (&[5], 0, "5"),
            (&[1], 6, "0.000001"),
            (&[1], 7, "1E-7"),
            (&[123], -2, "1.23E+4"),
            (&[0x80], 1, "-12.8"),
            (&[0, 0xff], 1, "25.5"),
        ];
        for (unscaled, scale, text) in cases {
            assert_eq!(to_text(unscaled, scale), text);
            assert_eq!(from_text(text, scale).as_deref(), Some(unscaled), "{text}");
        }
    }

    #[test]
    fn numbers_beyond_128_bits_round_trip() {
        let text = format!("-{}.{}", "1234567890".repeat(7), "0987654321");
        let unscaled = from_text(&text, 10).expect("a number");
        assert_eq!(to_text(&unscaled, 10), text);
    }

    #[test]
    fn digits_that_the_scale_would_cut_are_refused() {
        assert_eq!(from_text("1.234", 2), None);
        assert_eq!(from_text("1.230", 2), from_text("1.23", 2));
        assert_eq!(from_text("abc", 2), None);
        assert_eq!(from_text("1e999999999999", 2), None);
    }
}
