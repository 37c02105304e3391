//! Intervals in PostgreSQL's own style: `1 year 2 mons -3 days +04:05:06.78`.

use std::io::Write;

use towpath_model::datum;

use super::{Fault, write_short_string};

const FAULT: Fault = Fault::Text("not an interval");

/// An interval; its parts have signs of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Interval {
    months: i64,
    days: i64,
    micros: i64,
}

/// Microseconds, as far as 64 bits reach.
pub(super) fn micros(text: &[u8]) -> Result<i64, Fault> {
    match text {
        b"infinity" => Ok(i64::MAX),
        b"-infinity" => Ok(i64::MIN),
        text => Ok(parse(text)?.micros()),
    }
}

/// As ISO 8601 writes it; it has no infinity.
pub(super) fn write_text(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    match text {
        b"infinity" | b"-infinity" => datum::write_bytes(out, text),
        text => parse(text)?.write_text(out),
    }
    Ok(())
}

impl Interval {
    /// A month is the twelfth part of 365.25 days.
    fn micros(self) -> i64 {
        const MONTH_SECONDS: i64 = 2_629_800;
        let seconds = i128::from(self.months) * i128::from(MONTH_SECONDS) + i128::from(self.days) * 86_400;
        let micros = seconds * 1_000_000 + i128::from(self.micros);
        i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })
    }

    /// `P1Y2M3DT4H5M6.78S`: all parts, each with its sign.
    fn write_text(self, out: &mut Vec<u8>) {
        let (seconds, fraction) = (self.micros / 1_000_000, self.micros % 1_000_000);
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let sign = if fraction < 0 && seconds == 0 { "-" } else { "" };
        let text =
            format!("P{}Y{}M{}DT{hours}H{minutes}M{sign}{seconds}", self.months / 12, self.months % 12, self.days);
        write_short_string(out, |out| {
            out.extend_from_slice(text.as_bytes());
            if fraction != 0 {
                // Writing to a vector does not fail.
                let _ = write!(out, ".{:06}", fraction.abs());
                while out.last() == Some(&b'0') {
                    out.pop();
                }
            }
            out.push(b'S');
        });
    }
}

fn parse(text: &[u8]) -> Result<Interval, Fault> {
    let text = std::str::from_utf8(text).map_err(|_| FAULT)?;
    let mut interval = Interval::default();
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if word.contains(':') {
            interval.micros = clock(word)?;
            continue;
        }
        let value: i64 = word.parse().map_err(|_| FAULT)?;
        match words.next() {
            Some("year" | "years") => interval.months += value * 12,
            Some("mon" | "mons") => interval.months += value,
            Some("day" | "days") => interval.days += value,
            _ => return Err(FAULT),
        }
    }
    Ok(interval)
}

fn clock(word: &str) -> Result<i64, Fault> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.len() > 6 {
        return Err(FAULT);
    }
    let mut parts = whole.split(':').map(|part| part.parse::<i64>().map_err(|_| FAULT));
    let mut part = || parts.next().ok_or(FAULT)?;
    let (hours, minutes, seconds) = (part()?, part()?, part()?);
    let fraction: i64 = format!("{fraction:0<6}").parse().map_err(|_| FAULT)?;
    let seconds = hours.checked_mul(3600).and_then(|sum| sum.checked_add(minutes * 60 + seconds)).ok_or(FAULT)?;
    let micros = seconds.checked_mul(1_000_000).and_then(|sum| sum.checked_add(fraction)).ok_or(FAULT)?;
    Ok(if negative { -micros } else { micros })
}
