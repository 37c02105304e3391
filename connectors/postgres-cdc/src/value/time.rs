//! Dates and times, from the ISO form that the connection asks for. Years before our era end in ` BC`.

use towpath_model::datum;

use super::{Fault, write_short_string};

const FAULT: Fault = Fault::Text("not a date or time of the ISO form");

/// What Debezium has for `infinity` in a timestamp, in milliseconds.
const INFINITY_MS: i64 = 9_223_372_036_825_200;
const MINUS_INFINITY_MS: i64 = -9_223_372_036_832_400;

const DAY_US: i64 = 86_400_000_000;

/// The unit of a time or timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    /// So many microseconds; none when 64 bits do not reach them, as happens with nanoseconds before 1677 and after 2262.
    pub(super) fn of_micros(self, micros: i128) -> Option<i64> {
        let value = match self {
            Self::Millis => micros.div_euclid(1000),
            // Microseconds reach to the year 294247, some thirty years less than the server does.
            Self::Micros => micros.min(i64::MAX.into()),
            Self::Nanos => micros * 1000,
        };
        i64::try_from(value).ok()
    }

    /// Debezium's moment for infinity; in nanoseconds, of which 64 bits do not reach it, the last one there is.
    fn of_infinity(self, is_negative: bool) -> i64 {
        match (self, is_negative) {
            (Self::Millis, false) => INFINITY_MS,
            (Self::Millis, true) => MINUS_INFINITY_MS,
            (Self::Micros, false) => INFINITY_MS * 1000,
            (Self::Micros, true) => MINUS_INFINITY_MS * 1000,
            (Self::Nanos, false) => i64::MAX,
            (Self::Nanos, true) => i64::MIN,
        }
    }
}

/// A civil date; the year before 1 is 0.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
}

impl Civil {
    /// Days since 1970-01-01 in the calendar that PostgreSQL uses throughout, Gregorian also before 1582.
    fn days(&self) -> i64 {
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }
}

/// Days since 1970. Infinite dates saturate.
pub(super) fn date(text: &[u8]) -> Result<i32, Fault> {
    match text {
        b"infinity" => return Ok(i32::MAX),
        b"-infinity" => return Ok(i32::MIN),
        _ => {}
    }
    let (text, before_era) = split_era(text);
    let (civil, rest) = civil(text, before_era)?;
    if !rest.is_empty() {
        return Err(FAULT);
    }
    i32::try_from(civil.days()).map_err(|_| FAULT)
}

/// Microseconds since midnight; 24:00 is the end of the day.
pub(super) fn time(text: &[u8]) -> Result<i64, Fault> {
    let (micros, rest) = clock(text)?;
    if rest.is_empty() { Ok(micros) } else { Err(FAULT) }
}

/// The parts of `YYYY-MM-DD HH:MM:SS`, as nearly every timestamp begins, and what follows them.
#[inline]
fn plain(text: &[u8]) -> Option<(Civil, i64, &[u8])> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b' ', h0, h1, b':', n0, n1, b':', s0, s1] = *head else {
        return None;
    };
    let mut odd = 0;
    let mut pair = |tens: u8, ones: u8| {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        odd |= u8::from(tens > 9) | u8::from(ones > 9);
        i64::from(tens) * 10 + i64::from(ones)
    };
    let year = pair(y0, y1) * 100 + pair(y2, y3);
    let civil = Civil { year, month: pair(m0, m1), day: pair(d0, d1) };
    let seconds = (pair(h0, h1) * 60 + pair(n0, n1)) * 60 + pair(s0, s1);
    let sound = odd == 0 && (1..=12).contains(&civil.month) && (1..=31).contains(&civil.day) && seconds < 86_400;
    sound.then_some((civil, seconds, rest))
}

/// `.ffffff`, perhaps, as microseconds, and what follows.
#[inline]
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.', digits @ ..] = text else { return Some((0, text)) };
    let (mut micros, mut places) = (0, 0);
    for digit in digits.iter().take(6).map(|digit| digit.wrapping_sub(b'0')).take_while(|digit| *digit < 10) {
        micros = micros * 10 + i64::from(digit);
        places += 1;
    }
    (places > 0).then_some((micros * 10i64.pow(6 - places), digits.get(places as usize..).unwrap_or_default()))
}

/// Since 1970, in the unit; none when it is beyond 64 bits.
pub(super) fn timestamp(text: &[u8], unit: Unit) -> Result<Option<i64>, Fault> {
    if let Some((civil, seconds, rest)) = plain(text)
        && let Some((micros, [])) = fraction(rest)
    {
        return Ok(unit.of_micros(i128::from((civil.days() * 86_400 + seconds) * 1_000_000 + micros)));
    }
    match text {
        b"infinity" => return Ok(Some(unit.of_infinity(false))),
        b"-infinity" => return Ok(Some(unit.of_infinity(true))),
        _ => {}
    }
    let (text, before_era) = split_era(text);
    let (civil, rest) = civil(text, before_era)?;
    let [b' ', rest @ ..] = rest else { return Err(FAULT) };
    Ok(unit.of_micros(i128::from(civil.days()) * i128::from(DAY_US) + i128::from(time(rest)?)))
}

/// `2018-06-20Z`.
pub(super) fn write_date_text(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    if matches!(text, b"infinity" | b"-infinity") {
        datum::write_bytes(out, text);
        return Ok(());
    }
    let (text, before_era) = split_era(text);
    let (civil, rest) = civil(text, before_era)?;
    if !rest.is_empty() {
        return Err(FAULT);
    }
    write_short_string(out, |out| {
        write_civil(&civil, out);
        out.push(b'Z');
    });
    Ok(())
}

/// `13:12:11.789456Z`, with as many digits as it needs.
pub(super) fn write_time_text(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let micros = time(text)?;
    write_short_string(out, |out| {
        write_clock(micros, 0, out);
        out.push(b'Z');
    });
    Ok(())
}

/// `2018-06-20T15:13:16.945104Z`, with as many digits as it needs.
pub(super) fn write_timestamp_text(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    if matches!(text, b"infinity" | b"-infinity") {
        datum::write_bytes(out, text);
        return Ok(());
    }
    let (text, before_era) = split_era(text);
    let (civil, rest) = civil(text, before_era)?;
    let [b' ', rest @ ..] = rest else { return Err(FAULT) };
    write_moment(&civil, time(rest)?, 0, out);
    Ok(())
}

/// `11:12:11.789456Z`: the time in UTC, with as many digits as it needs.
pub(super) fn write_time_with_zone(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let (micros, rest) = clock(text)?;
    let offset = zone(rest)?;
    if micros == DAY_US && offset == 0 {
        datum::write_bytes(out, b"24:00:00Z");
        return Ok(());
    }
    let utc = (micros - offset * 1_000_000).rem_euclid(DAY_US);
    write_short_string(out, |out| {
        write_clock(utc, 0, out);
        out.push(b'Z');
    });
    Ok(())
}

/// `2018-06-20T13:13:16.945104Z`, with `width` digits after the second, or as many as it needs when that is 0.
pub(super) fn write_timestamp_with_zone(text: &[u8], width: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    if let Some((.., rest)) = plain(text)
        && let Some((micros, b"+00")) = fraction(rest)
    {
        write_short_string(out, |out| {
            out.extend_from_slice(text.get(..10).unwrap_or_default());
            out.push(b'T');
            out.extend_from_slice(text.get(11..19).unwrap_or_default());
            write_fraction(micros, width, out);
            out.push(b'Z');
        });
        return Ok(());
    }
    if matches!(text, b"infinity" | b"-infinity") {
        datum::write_bytes(out, text);
        return Ok(());
    }
    let (text, before_era) = split_era(text);
    let (civil, rest) = civil(text, before_era)?;
    let [b' ', rest @ ..] = rest else { return Err(FAULT) };
    let (micros, rest) = clock(rest)?;
    // The session's time zone is UTC, so the server shows every moment at offset 0.
    if zone(rest)? != 0 || micros >= DAY_US {
        return Err(FAULT);
    }
    write_moment(&civil, micros, width, out);
    Ok(())
}

fn write_moment(civil: &Civil, micros: i64, width: usize, out: &mut Vec<u8>) {
    write_short_string(out, |out| {
        write_civil(civil, out);
        out.push(b'T');
        write_clock(micros, width, out);
        out.push(b'Z');
    });
}

fn write_civil(civil: &Civil, out: &mut Vec<u8>) {
    write_year(civil.year, out);
    for part in [civil.month, civil.day] {
        out.push(b'-');
        write_digits(part, 2, out);
    }
}

/// As ISO 8601 has it: at least four digits, and a sign when there are more or the year is before 0.
fn write_year(year: i64, out: &mut Vec<u8>) {
    if year < 0 {
        out.push(b'-');
    } else if year > 9999 {
        out.push(b'+');
    }
    let magnitude = year.unsigned_abs();
    let digits = [(9_999_999, 8), (999_999, 7), (99_999, 6), (9_999, 5)];
    let width = digits.iter().find(|(above, _)| magnitude > *above).map_or(4, |(_, width)| *width);
    write_digits(magnitude.cast_signed(), width, out);
}

fn write_clock(micros: i64, width: usize, out: &mut Vec<u8>) {
    let seconds = micros / 1_000_000;
    for (index, part) in [seconds / 3600, seconds / 60 % 60, seconds % 60].into_iter().enumerate() {
        if index > 0 {
            out.push(b':');
        }
        write_digits(part, 2, out);
    }
    write_fraction(micros % 1_000_000, width, out);
}

#[inline]
fn write_fraction(mut fraction: i64, width: usize, out: &mut Vec<u8>) {
    let mut digits = 6;
    if width == 0 {
        while digits > 0 && fraction % 10 == 0 {
            fraction /= 10;
            digits -= 1;
        }
    } else {
        while digits > width {
            fraction /= 10;
            digits -= 1;
        }
    }
    if digits > 0 {
        out.push(b'.');
        write_digits(fraction, digits, out);
    }
}

fn write_digits(value: i64, width: usize, out: &mut Vec<u8>) {
    let mut divisor = 10i64.pow(width.saturating_sub(1) as u32);
    while divisor > 0 {
        out.push(b'0' + (value / divisor % 10) as u8);
        divisor /= 10;
    }
}

fn split_era(text: &[u8]) -> (&[u8], bool) {
    match text.strip_suffix(b" BC") {
        Some(text) => (text, true),
        None => (text, false),
    }
}

fn civil(text: &[u8], before_era: bool) -> Result<(Civil, &[u8]), Fault> {
    let (year, rest) = number(text, 9)?;
    let (month, rest) = number(after(rest, b'-')?, 2)?;
    let (day, rest) = number(after(rest, b'-')?, 2)?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(FAULT);
    }
    Ok((Civil { year: if before_era { 1 - year } else { year }, month, day }, rest))
}

/// `HH:MM:SS[.ffffff]` as microseconds, and what follows.
fn clock(text: &[u8]) -> Result<(i64, &[u8]), Fault> {
    let (hours, rest) = number(text, 2)?;
    let (minutes, rest) = number(after(rest, b':')?, 2)?;
    let (seconds, mut rest) = number(after(rest, b':')?, 2)?;
    let mut micros = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000;
    if let [b'.', fraction @ ..] = rest {
        let (value, after) = number(fraction, 6)?;
        let digits = fraction.len() - after.len();
        micros += value * 10i64.pow(6 - digits as u32);
        rest = after;
    }
    if micros > DAY_US { Err(FAULT) } else { Ok((micros, rest)) }
}

/// `+HH[:MM[:SS]]` in seconds.
fn zone(text: &[u8]) -> Result<i64, Fault> {
    let (sign, rest) = match text {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return Err(FAULT),
    };
    let (mut seconds, mut rest) = number(rest, 2).map(|(hours, rest)| (hours * 3600, rest))?;
    for unit in [60, 1] {
        if let [b':', digits @ ..] = rest {
            let (value, after) = number(digits, 2)?;
            seconds += value * unit;
            rest = after;
        }
    }
    if rest.is_empty() { Ok(sign * seconds) } else { Err(FAULT) }
}

fn after(text: &[u8], separator: u8) -> Result<&[u8], Fault> {
    match text {
        [first, rest @ ..] if *first == separator => Ok(rest),
        _ => Err(FAULT),
    }
}

fn number(text: &[u8], digits_max: usize) -> Result<(i64, &[u8]), Fault> {
    let digits = text.iter().take(digits_max).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return Err(FAULT);
    }
    let (digits, rest) = text.split_at(digits);
    Ok((digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')), rest))
}
