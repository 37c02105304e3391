//! Decimals, exactly: as the unscaled value's big-endian two's complement, or as text.
//!
//! Up to 38 digits go through 128-bit arithmetic; longer ones, which may have 131072 digits, through limbs.

use towpath_model::datum;

use super::{Fault, Written};

const FAULT: Fault = Fault::Text("not a decimal");
const TOO_FINE: Fault = Fault::Text("a decimal with more digits than its column's scale");

/// The parts of a finite decimal.
struct Parts<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
}

/// Writes the text of a decimal with at least `digits` after the point, or the words that Debezium has for what is not finite.
pub(super) fn write_text(text: &[u8], digits: usize, out: &mut Vec<u8>) {
    let word: &[u8] = match text {
        b"NaN" => b"NAN",
        b"Infinity" => b"POSITIVE_INFINITY",
        b"-Infinity" => b"NEGATIVE_INFINITY",
        finite => {
            let point = finite.iter().position(|byte| *byte == b'.');
            let missing = digits.saturating_sub(point.map_or(0, |point| finite.len() - point - 1));
            // The server shows all digits of a column's scale; constants in defaults may have fewer.
            let mut padded = Vec::new();
            let text = if missing == 0 {
                finite
            } else {
                padded.extend_from_slice(finite);
                padded.extend(point.is_none().then_some(b'.'));
                padded.resize(padded.len() + missing, b'0');
                &padded
            };
            return datum::write_bytes(out, text);
        }
    };
    datum::write_bytes(out, word);
}

/// Writes the unscaled value at `scale`.
pub(super) fn write(text: &[u8], scale: i32, out: &mut Vec<u8>) -> Result<Written, Fault> {
    let Some(parts) = parse(text)? else { return Ok(Written::Nothing) };
    write_unscaled(&parts, scale, out)?;
    Ok(Written::Value)
}

/// Writes scale and unscaled value, without zeros at the end of the fraction.
pub(super) fn write_variable(text: &[u8], out: &mut Vec<u8>) -> Result<Written, Fault> {
    let Some(mut parts) = parse(text)? else { return Ok(Written::Nothing) };
    while let [rest @ .., b'0'] = parts.fraction {
        parts.fraction = rest;
    }
    let scale = i32::try_from(parts.fraction.len()).map_err(|_| FAULT)?;
    datum::write_long(out, i64::from(scale));
    write_unscaled(&parts, scale, out)?;
    Ok(Written::Value)
}

/// Writes money, of which the server keeps two digits, at `scale`; halves are rounded away from zero, as Debezium does.
pub(super) fn write_money(text: &[u8], scale: i32, out: &mut Vec<u8>) -> Result<(), Fault> {
    let parts = parse(text)?.ok_or(FAULT)?;
    let digits = parts.whole.iter().chain(parts.fraction).chain(b"00").take(parts.whole.len() + 2);
    let cents = digits.fold(0i128, |sum, digit| sum.saturating_mul(10).saturating_add(i128::from(digit - b'0')));
    let power = |exponent: i32| 10i128.pow(exponent.unsigned_abs());
    let unscaled = if scale >= 2 {
        cents.saturating_mul(power(scale - 2))
    } else {
        (cents + power(2 - scale) / 2) / power(2 - scale)
    };
    write_minimal(&(if parts.negative { -unscaled } else { unscaled }).to_be_bytes(), out);
    Ok(())
}

fn parse(text: &[u8]) -> Result<Option<Parts<'_>>, Fault> {
    if matches!(text, b"NaN" | b"Infinity" | b"-Infinity") {
        return Ok(None);
    }
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let mut halves = digits.splitn(2, |byte| *byte == b'.');
    let whole = halves.next().unwrap_or_default();
    let fraction = halves.next().unwrap_or_default();
    if digits.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return Err(FAULT);
    }
    Ok(Some(Parts { negative, whole, fraction }))
}

fn write_unscaled(parts: &Parts<'_>, scale: i32, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut whole = parts.whole;
    let mut fraction = parts.fraction;
    let mut zeros = 0;
    if let Ok(scale) = usize::try_from(scale) {
        while fraction.len() > scale {
            let [rest @ .., b'0'] = fraction else { return Err(TOO_FINE) };
            fraction = rest;
        }
        zeros = scale - fraction.len();
    } else {
        // A negative scale counts tens: the last digits are zeros and go.
        let dropped = scale.unsigned_abs() as usize;
        let kept = whole.len().saturating_sub(dropped);
        if !fraction.iter().chain(whole.get(kept..).unwrap_or_default()).all(|digit| *digit == b'0') {
            return Err(TOO_FINE);
        }
        whole = whole.get(..kept).unwrap_or_default();
        fraction = &[];
    }
    let count = whole.len() + fraction.len() + zeros;
    if count <= 18 {
        let sum = whole.iter().chain(fraction).fold(0i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        let value = sum * 10i64.pow(zeros as u32);
        write_minimal(&(if parts.negative { -value } else { value }).to_be_bytes(), out);
        return Ok(());
    }
    let digits = whole.iter().chain(fraction).map(|digit| digit - b'0').chain(std::iter::repeat_n(0, zeros));
    if count <= 38 {
        let value = digits.fold(0i128, |sum, digit| sum * 10 + i128::from(digit));
        write_minimal(&(if parts.negative { -value } else { value }).to_be_bytes(), out);
    } else {
        write_large(digits, parts.negative, out);
    }
    Ok(())
}

/// Leaves out the bytes at the front that only repeat the sign.
fn write_minimal(bytes: &[u8], out: &mut Vec<u8>) {
    let sign = if bytes.first().is_some_and(|first| first & 0x80 != 0) { 0xff } else { 0 };
    let redundant = bytes.windows(2).take_while(|pair| pair[0] == sign && (pair[1] ^ sign) & 0x80 == 0).count();
    datum::write_bytes(out, bytes.get(redundant..).unwrap_or_default());
}

fn write_large(digits: impl Iterator<Item = u8>, negative: bool, out: &mut Vec<u8>) {
    let mut limbs: Vec<u32> = Vec::new();
    let (mut chunk, mut base) = (0u64, 1u64);
    let mut add = |chunk: u64, base: u64| {
        let mut carry = chunk;
        for limb in &mut limbs {
            let sum = u64::from(*limb) * base + carry;
            *limb = sum as u32;
            carry = sum >> 32;
        }
        if carry > 0 {
            limbs.push(carry as u32);
        }
    };
    for digit in digits {
        chunk = chunk * 10 + u64::from(digit);
        base *= 10;
        if base == 1_000_000_000 {
            add(chunk, base);
            (chunk, base) = (0, 1);
        }
    }
    add(chunk, base);
    let mut bytes: Vec<u8> = limbs.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
    let leading = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..leading);
    bytes.insert(0, 0);
    if negative {
        // Two's complement: invert and add one.
        let mut carry = true;
        for byte in bytes.iter_mut().rev() {
            let (sum, over) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (sum, over);
        }
    }
    write_minimal(&bytes, out);
}
