//! How values are represented.

use super::reader::{Reader, fault};
use crate::error::Error;
use crate::value::BinaryMode;

/// How values are represented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueSettings {
    /// Decimals.
    pub decimal: DecimalMode,
    /// Times and timestamps.
    pub time: TimePrecision,
    /// Intervals.
    pub interval: IntervalMode,
    /// Keys with values, of the type hstore.
    pub hstore: HstoreMode,
    /// Whether NaN and infinity in an exact decimal stand as null; otherwise they are an error.
    pub special_is_null: bool,
    /// Bytes.
    pub binary: BinaryMode,
    /// Digits after the point of money.
    pub money_digits: i32,
    /// Whether types that are not known are given as bytes.
    pub include_unknown: bool,
    /// What stands for a large value that did not change and was not sent.
    pub placeholder: Vec<u8>,
}

/// `decimal.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum DecimalMode {
    Precise,
    String,
    Double,
}

/// `time.precision.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TimePrecision {
    Adaptive,
    AdaptiveTimeMicroseconds,
    Connect,
    Microseconds,
    Nanoseconds,
    IsoString,
}

/// `interval.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum IntervalMode {
    Numeric,
    String,
}

/// `hstore.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum HstoreMode {
    Json,
    Map,
}

impl Reader<'_> {
    pub(super) fn values(&self) -> Result<ValueSettings, Error> {
        let placeholder = self.text("unavailable.value.placeholder")?;
        let placeholder = match placeholder.strip_prefix("hex:") {
            None => placeholder.as_bytes().to_vec(),
            Some(digits) => hex(digits).filter(|bytes| std::str::from_utf8(bytes).is_ok()).ok_or_else(|| {
                fault("unavailable.value.placeholder", "`hex:` is followed by the hexadecimal digits of UTF-8")
            })?,
        };
        Ok(ValueSettings {
            decimal: match self.choice("decimal.handling.mode")? {
                "string" => DecimalMode::String,
                "double" => DecimalMode::Double,
                _ => DecimalMode::Precise,
            },
            time: match self.choice("time.precision.mode")? {
                "adaptive_time_microseconds" => TimePrecision::AdaptiveTimeMicroseconds,
                "connect" => TimePrecision::Connect,
                "microseconds" => TimePrecision::Microseconds,
                "nanoseconds" => TimePrecision::Nanoseconds,
                "isostring" => TimePrecision::IsoString,
                _ => TimePrecision::Adaptive,
            },
            interval: match self.choice("interval.handling.mode")? {
                "string" => IntervalMode::String,
                _ => IntervalMode::Numeric,
            },
            hstore: match self.choice("hstore.handling.mode")? {
                "map" => HstoreMode::Map,
                _ => HstoreMode::Json,
            },
            special_is_null: self.choice("numeric.special")? == "null",
            binary: match self.choice("binary.handling.mode")? {
                "base64" => BinaryMode::Base64,
                "base64-url-safe" => BinaryMode::Base64UrlSafe,
                "hex" => BinaryMode::Hex,
                _ => BinaryMode::Bytes,
            },
            money_digits: self.number("money.fraction.digits", 0, 18)? as i32,
            include_unknown: self.flag("include.unknown.datatypes")?,
            placeholder,
        })
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| (byte as char).to_digit(16);
    let bytes = pairs.iter().map(|[high, low]| Some((digit(*high)? << 4 | digit(*low)?) as u8)).collect::<Option<_>>();
    bytes.filter(|_| rest.is_empty())
}
