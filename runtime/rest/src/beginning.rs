//! Where to begin reading a topic, as users write it: `earliest`, `latest`, an offset, `-N`, or a time.

use std::fmt;
use std::str::FromStr;

/// Where to begin reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// At the first record kept.
    Earliest,
    /// After the last record.
    Latest,
    /// At this offset of every partition.
    Offset(i64),
    /// So many records before the end of every partition.
    Last(i64),
    /// At the first record at or after this time, in milliseconds since the epoch.
    Time(i64),
}

impl Beginning {
    /// Reads `earliest`, `latest`, an offset, `-N` for the last N records, `@` with milliseconds since the epoch, a span back from now
    /// such as `90s`, `15m`, `2h`, `7d`, or a time in UTC such as `2026-11-21T08:30:00Z`.
    ///
    /// # Errors
    /// A sentence that names the forms.
    pub fn parse(text: &str, now_ms: i64) -> Result<Self, String> {
        let text = text.trim();
        let beginning = match text {
            "earliest" | "beginning" => Some(Self::Earliest),
            "latest" | "end" => Some(Self::Latest),
            _ => match text.strip_prefix('-') {
                Some(records) => number(records).map(Self::Last),
                None => number(text).map(Self::Offset).or_else(|| time(text, now_ms).map(Self::Time)),
            },
        };
        beginning.ok_or_else(|| {
            format!(
                "{text:?} is no place to begin. Use earliest, latest, an offset, -N for the last N records, a span such as 15m, or a \
                 time such as 2026-11-21T08:30:00Z"
            )
        })
    }
}

impl fmt::Display for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::Offset(offset) => write!(f, "{offset}"),
            Self::Last(records) => write!(f, "-{records}"),
            Self::Time(timestamp_ms) => write!(f, "@{timestamp_ms}"),
        }
    }
}

fn time(text: &str, now_ms: i64) -> Option<i64> {
    if let Some(millis) = text.strip_prefix('@') {
        return number(millis);
    }
    let unit_ms = match text.chars().last()? {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return utc(text),
    };
    let count: i64 = number(text.get(..text.len() - 1)?)?;
    now_ms.checked_sub(count.checked_mul(unit_ms)?)
}

/// Milliseconds since the epoch of `YYYY-MM-DD[(T| )HH:MM[:SS[.fff]]][Z]`.
fn utc(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let mut date = date.splitn(3, '-');
    let (year, month, day) = (number::<i64>(date.next()?)?, number::<i64>(date.next()?)?, number::<i64>(date.next()?)?);
    let mut time = time.splitn(3, ':');
    let (hour, minute) = (number::<i64>(time.next()?)?, number::<i64>(time.next()?)?);
    let second = time.next().map_or(Some(0.0), number::<f64>)?;
    let valid = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..10_000).contains(&year)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0.0..60.0).contains(&second);
    // Milliseconds below a minute fit an i64 many times over.
    #[allow(clippy::cast_possible_truncation)]
    let second_ms = (second * 1_000.0).round() as i64;
    valid.then(|| (days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60) * 1_000 + second_ms)
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.starts_with(|first: char| first.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Days of the Gregorian calendar from 1970-01-01, counted in years that begin in March so that the leap day comes last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let months_since_march = (month + 9) % 12;
    let day_of_year = (153 * months_since_march + 2) / 5 + day - 1;
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000_000_000;

    #[test]
    fn every_form_is_read() {
        let check = |text: &str, expected: Beginning| assert_eq!(Beginning::parse(text, NOW), Ok(expected), "{text}");
        check("earliest", Beginning::Earliest);
        check("latest", Beginning::Latest);
        check("0", Beginning::Offset(0));
        check("1204", Beginning::Offset(1204));
        check("-10", Beginning::Last(10));
        check("@1700000000123", Beginning::Time(1_700_000_000_123));
        check("90s", Beginning::Time(NOW - 90_000));
        check("2h", Beginning::Time(NOW - 7_200_000));
        check("1970-01-01", Beginning::Time(0));
        check("2000-02-29T12:00:00Z", Beginning::Time(951_825_600_000));
        check("2026-11-21 08:30:00.250", Beginning::Time(1_795_249_800_250));
    }

    #[test]
    fn what_is_no_place_is_refused_with_the_forms_that_are() {
        for text in ["", "yesterday", "-", "2026-13-01", "2026-11-21T25:00", "12x", "+5m", "é"] {
            let refusal = Beginning::parse(text, NOW).expect_err(text);
            assert!(refusal.contains("earliest, latest, an offset"), "{refusal}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for beginning in
            [Beginning::Earliest, Beginning::Latest, Beginning::Offset(7), Beginning::Last(3), Beginning::Time(5)]
        {
            assert_eq!(Beginning::parse(&beginning.to_string(), NOW), Ok(beginning));
        }
    }
}
