//! Numbers as Java writes them: `Double.toString` and `Float.toString` of JDK 19 and later, with which Jackson agrees.

use std::io::Write;

/// Writes a double; NaN and the infinities in quotes.
pub(crate) fn write_double(out: &mut Vec<u8>, value: f64) {
    if write_special(out, value) {
        return;
    }
    let before = out.len();
    // Java weighs two digits where one would do, which matters for the very smallest numbers only.
    let written = if value != 0.0 && value.abs() < 1e-300 {
        write!(out, "{}", smallest(value))
    } else {
        write!(out, "{value:e}")
    };
    written.expect("writing to memory does not fail");
    respell(out, before);
}

/// Writes a float; NaN and the infinities in quotes.
pub(crate) fn write_float(out: &mut Vec<u8>, value: f32) {
    if write_special(out, f64::from(value)) {
        return;
    }
    let before = out.len();
    let two =
        (value != 0.0 && value.abs() < 1e-37).then(|| format!("{value:.1e}")).filter(|two| two.parse() == Ok(value));
    let written = if let Some(two) = two { write!(out, "{two}") } else { write!(out, "{value:e}") };
    written.expect("writing to memory does not fail");
    respell(out, before);
}

fn smallest(value: f64) -> String {
    let two = format!("{value:.1e}");
    if two.parse() == Ok(value) { two } else { format!("{value:e}") }
}

fn write_special(out: &mut Vec<u8>, value: f64) -> bool {
    let text: &[u8] = match () {
        () if value.is_nan() => b"\"NaN\"",
        () if value == f64::INFINITY => b"\"Infinity\"",
        () if value == f64::NEG_INFINITY => b"\"-Infinity\"",
        () => return false,
    };
    out.extend_from_slice(text);
    true
}

/// Turns Rust's `-1.25e7` from `start` on into Java's spelling: plain from 10^-3 to 10^7, else `-1.25E7`.
fn respell(out: &mut Vec<u8>, start: usize) {
    let mut copy = [0u8; 40];
    let length = (out.len() - start).min(copy.len());
    copy[..length].copy_from_slice(&out[start..start + length]);
    let text = &copy[..length];
    let Some(at) = text.iter().position(|byte| *byte == b'e') else { return };
    let exponent = std::str::from_utf8(&text[at + 1..]).ok().and_then(|text| text.parse::<i32>().ok()).unwrap_or(0);
    let (negative, mantissa) = match text[..at].split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, &text[..at]),
    };
    let (first, rest) = (mantissa.first().copied().unwrap_or(b'0'), mantissa.get(2..).unwrap_or_default());
    let rest = if rest == b"0" { &rest[..0] } else { rest };
    out.truncate(start);
    if negative {
        out.push(b'-');
    }
    match exponent {
        -3..=-1 => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + exponent.unsigned_abs() as usize - 1, b'0');
            out.push(first);
            out.extend_from_slice(rest);
        }
        0..=6 => {
            let whole = exponent as usize;
            out.push(first);
            out.extend_from_slice(&rest[..whole.min(rest.len())]);
            out.resize(out.len() + whole.saturating_sub(rest.len()), b'0');
            out.push(b'.');
            out.extend_from_slice(rest.get(whole..).filter(|rest| !rest.is_empty()).unwrap_or(b"0"));
        }
        _ => {
            out.extend_from_slice(&[first, b'.']);
            out.extend_from_slice(if rest.is_empty() { b"0" } else { rest });
            out.push(b'E');
            out.extend_from_slice(&text[at + 1..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_spelt_as_java_does() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (1.5, "1.5"),
            (100.0, "100.0"),
            (123_456.789, "123456.789"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (12_345_678.9, "1.23456789E7"),
            (0.001, "0.001"),
            (0.012, "0.012"),
            (0.000_99, "9.9E-4"),
            (1e-5, "1.0E-5"),
            (-2.5e-10, "-2.5E-10"),
            (1e21, "1.0E21"),
            (2e-323, "2.0E-323"),
            (5e-324, "4.9E-324"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ];
        for (value, expected) in cases {
            let mut out = Vec::new();
            write_double(&mut out, value);
            assert_eq!(String::from_utf8(out).expect("ASCII"), expected);
        }
    }

    #[test]
    fn floats_have_their_own_shortest_digits() {
        for (value, expected) in
            [(1.1f32, "1.1"), (3.4e38, "3.4E38"), (1e-45, "1.4E-45"), (16_777_216.0, "1.6777216E7")]
        {
            let mut out = Vec::new();
            write_float(&mut out, value);
            assert_eq!(String::from_utf8(out).expect("ASCII"), expected);
        }
    }
}
