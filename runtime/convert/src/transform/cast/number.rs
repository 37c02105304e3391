//! From one type to another, as Java does it: numbers wrap when they become smaller integers, floating-point numbers stop at the
//! ends of the integers' range and lose their fraction, texts must be numbers as Java spells them.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Target;
use crate::fault::Fault;
use crate::json;
use crate::text::{java_double, java_float};
use crate::transform::date_format::DateFormat;
use crate::transform::scalar::{Scalar, Temporal};

const DAY_MS: i64 = 86_400_000;
/// Times, days, moments.
static FORMATS: LazyLock<[DateFormat; 3]> = LazyLock::new(|| {
    ["HH:mm:ss.SSS'Z'", "yyyy-MM-dd", "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"]
        .map(|pattern| DateFormat::new(pattern).expect("the pattern is one of Java's"))
});

/// Casts a value; `temporal` says that an integer is a point in time.
pub(super) fn cast(value: Scalar<'_>, temporal: Option<Temporal>, target: Target) -> Result<Scalar<'_>, Fault> {
    if target == Target::String {
        return Ok(Scalar::Text(to_text(value, temporal).into()));
    }
    let failed = |what: &str| Fault::transform(format!("{what} cannot be cast to {}", target.name()));
    if target == Target::Boolean {
        return Ok(Scalar::Boolean(match value {
            Scalar::Boolean(value) => value,
            Scalar::Text(text) => text.eq_ignore_ascii_case("true"),
            number => integer(&number).ok_or_else(|| failed("bytes"))? != 0,
        }));
    }
    if let Scalar::Text(text) = &value {
        return parsed(text, target).ok_or_else(|| failed("a text that is no such number"));
    }
    let whole = || integer(&value).ok_or_else(|| failed("bytes"));
    // From a floating-point number Java goes through 32 bits to the smaller types.
    let narrow = || {
        Ok::<_, Fault>(match value {
            Scalar::Float(value) => i64::from(value as i32),
            Scalar::Double(value) => i64::from(value as i32),
            _ => whole()?,
        })
    };
    Ok(match target {
        Target::Int8 => Scalar::Integer(i64::from(narrow()? as i8)),
        Target::Int16 => Scalar::Integer(i64::from(narrow()? as i16)),
        Target::Int32 => Scalar::Integer(i64::from(narrow()? as i32)),
        Target::Int64 => Scalar::Integer(whole()?),
        Target::Float32 => Scalar::Float(match &value {
            Scalar::Float(value) => *value,
            Scalar::Double(value) => *value as f32,
            Scalar::Decimal(unscaled, scale) => parse(&json::decimal_text(unscaled, *scale)),
            _ => whole()? as f32,
        }),
        _ => Scalar::Double(match &value {
            Scalar::Float(value) => f64::from(*value),
            Scalar::Double(value) => *value,
            Scalar::Decimal(unscaled, scale) => parse(&json::decimal_text(unscaled, *scale)),
            _ => whole()? as f64,
        }),
    })
}

fn parse<T: std::str::FromStr + Default>(decimal: &str) -> T {
    decimal.parse().unwrap_or_default()
}

/// The integer that Java's `longValue` gives.
fn integer(value: &Scalar<'_>) -> Option<i64> {
    Some(match value {
        Scalar::Boolean(value) => i64::from(*value),
        Scalar::Integer(value) => *value,
        Scalar::Float(value) => *value as i64,
        Scalar::Double(value) => *value as i64,
        Scalar::Decimal(unscaled, scale) => json::decimal_low_bits(unscaled, *scale),
        Scalar::Text(_) | Scalar::Bytes(_) => return None,
    })
}

fn parsed(text: &str, target: Target) -> Option<Scalar<'static>> {
    let integer =
        |min: i64, max: i64| text.parse().ok().filter(|value| (min..=max).contains(value)).map(Scalar::Integer);
    match target {
        Target::Int8 => integer(i8::MIN.into(), i8::MAX.into()),
        Target::Int16 => integer(i16::MIN.into(), i16::MAX.into()),
        Target::Int32 => integer(i32::MIN.into(), i32::MAX.into()),
        Target::Int64 => integer(i64::MIN, i64::MAX),
        Target::Float32 => java_number(text).map(Scalar::Float),
        _ => java_number(text).map(Scalar::Double),
    }
}

/// A floating-point number as Java reads it: spaces around and an `f` or `d` at the end are allowed.
fn java_number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let text = text.trim_matches(|character: char| character <= ' ');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, "NaN" | "Infinity") {
        return text.parse().ok();
    }
    let digits = unsigned.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(unsigned);
    let is_number =
        digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    let end = text.len() - (unsigned.len() - digits.len());
    text.get(..end).filter(|_| is_number)?.parse().ok()
}

fn to_text(value: Scalar<'_>, temporal: Option<Temporal>) -> String {
    match (value, temporal) {
        (Scalar::Integer(stored), Some(temporal)) => {
            let ms = temporal.millis(stored);
            // Connect tells times, days and moments apart by the number alone.
            let format = match ms {
                ms if ms < DAY_MS => 0,
                ms if ms % DAY_MS == 0 => 1,
                _ => 2,
            };
            FORMATS[format].text(ms)
        }
        (Scalar::Integer(value), None) => value.to_string(),
        (Scalar::Boolean(value), _) => value.to_string(),
        (Scalar::Float(value), _) => java_float(value),
        (Scalar::Double(value), _) => java_double(value),
        (Scalar::Text(text), _) => text.into_owned(),
        (Scalar::Bytes(bytes), _) => STANDARD.encode(bytes),
        (Scalar::Decimal(unscaled, scale), _) => json::decimal_text(&unscaled, scale),
    }
}
