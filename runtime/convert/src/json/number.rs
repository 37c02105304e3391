//! Numbers as Java writes them: `Double.toString` and `Float.toString` of JDK 19 and later, with which Jackson agrees.

/// Writes a double; NaN and the infinities in quotes.
pub(crate) fn write_double(out: &mut Vec<u8>, value: f64) {
    if is_plain(value) {
        return out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    }
    if write_special(out, value) {
        return;
    }
    // Java weighs two digits where one would do, which matters for the very smallest numbers only.
    let two = (value != 0.0 && value.abs() < 1e-300).then(|| format!("{value:.1e}"));
    match two.filter(|two| two.parse() == Ok(value)) {
        Some(two) => respell(out, &two),
        None => respell(out, zmij::Buffer::new().format_finite(value)),
    }
}

/// Writes a float; NaN and the infinities in quotes.
pub(crate) fn write_float(out: &mut Vec<u8>, value: f32) {
    if is_plain(value.into()) {
        return out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    }
    if write_special(out, value.into()) {
        return;
    }
    let two = (value != 0.0 && value.abs() < 1e-37).then(|| format!("{value:.1e}"));
    match two.filter(|two| two.parse() == Ok(value)) {
        Some(two) => respell(out, &two),
        None => respell(out, zmij::Buffer::new().format_finite(value)),
    }
}

/// Whether Java spells the shortest digits of a number of this size as everybody does.
fn is_plain(value: f64) -> bool {
    (1e-3..1e7).contains(&value.abs())
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

/// Writes the digits of a number that is nought, at least 10^7 or below 10^-3, in Java's spelling: `0.0`, `-1.25E7`.
fn respell(out: &mut Vec<u8>, text: &str) {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.drain(..zeros);
    let kept = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    digits.truncate(kept);
    if negative {
        out.push(b'-');
    }
    let Some((first, rest)) = digits.split_first() else { return out.extend_from_slice(b"0.0") };
    let exponent = exponent.parse::<i64>().unwrap_or(0) + whole.len() as i64 - 1 - zeros as i64;
    out.extend_from_slice(&[*first, b'.']);
    out.extend_from_slice(if rest.is_empty() { b"0" } else { rest });
    out.push(b'E');
    out.extend_from_slice(itoa::Buffer::new().format(exponent).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_number_is_read_back_as_it_was(double: f64, float: f32) {
            let mut out = Vec::new();
            write_double(&mut out, double);
            let text = String::from_utf8(out).expect("ASCII");
            prop_assert!(double.is_nan() || text.trim_matches('"').parse() == Ok(double), "{text}");
            let mut out = Vec::new();
            write_float(&mut out, float);
            let text = String::from_utf8(out).expect("ASCII");
            prop_assert!(float.is_nan() || text.trim_matches('"').parse() == Ok(float), "{text}");
        }
    }

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
        for (value, expected) in [
            (1.1f32, "1.1"),
            (3.4e38, "3.4E38"),
            (1e-45, "1.4E-45"),
            (16_777_216.0, "1.6777216E7"),
            (3_237_896.2, "3237896.2"),
        ] {
            let mut out = Vec::new();
            write_float(&mut out, value);
            assert_eq!(String::from_utf8(out).expect("ASCII"), expected);
        }
    }
}
