//! Texts to dates, as lenient as Java: numbers may run over (the 31st of February is the 3rd of March), what stands behind the
//! pattern's end is not looked at.

use super::calendar::days_before;
use super::{DateFormat, Item, MONTHS, WEEKDAYS, of_era};

/// What a text has told so far.
#[derive(Default)]
struct Told {
    year: Option<i64>,
    is_before_christ: bool,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    hour: i64,
    half_hour: Option<i64>,
    is_afternoon: bool,
    minute: i64,
    second: i64,
    millis: i64,
    offset_minutes: i64,
}

impl DateFormat {
    /// The letters of the pattern that can only be written.
    pub(crate) fn unreadable(&self) -> Option<char> {
        self.items.iter().find_map(|item| match item {
            Item::Field { letter, .. } if "YwWFu".contains(*letter) => Some(*letter),
            _ => None,
        })
    }

    /// The moment that a text names, in milliseconds since the epoch, or none when it does not have the form.
    pub(crate) fn read(&self, text: &str) -> Option<i64> {
        let mut told = Told::default();
        let mut rest = text;
        for (index, item) in self.items.iter().enumerate() {
            rest = match item {
                Item::Text(literal) => rest.strip_prefix(literal.as_str())?,
                Item::Field { letter, count } => {
                    // Numbers without anything between them take as many digits as there are letters.
                    let is_adjacent = matches!(self.items.get(index + 1), Some(Item::Field { letter, count })
                        if "ydHkKhmsSDYwWFu".contains(*letter) || (matches!(letter, 'M' | 'L') && *count <= 2));
                    let digits_max = if is_adjacent { *count } else { usize::MAX };
                    told.read(*letter, *count, digits_max, rest.trim_start_matches([' ', '\t']))?
                }
            };
        }
        told.moment()
    }
}

impl Told {
    fn read<'a>(&mut self, letter: char, count: usize, digits_max: usize, text: &'a str) -> Option<&'a str> {
        let mut rest = text;
        match letter {
            'G' => {
                let (era, after) = one_of(&["AD", "BC"], text)?;
                self.is_before_christ = era == 1;
                return Some(after);
            }
            'M' | 'L' if count >= 3 => {
                let (month, after) = named(&MONTHS, text)?;
                self.month = Some(month + 1);
                return Some(after);
            }
            'E' => return named(&WEEKDAYS, text).map(|(_, after)| after),
            'a' => {
                let (half, after) = one_of(&["AM", "PM"], text)?;
                self.is_afternoon = half == 1;
                return Some(after);
            }
            'z' | 'Z' | 'X' => {
                let (minutes, after) = if letter == 'X' { iso_zone(text, count)? } else { zone(text)? };
                self.offset_minutes = minutes;
                return Some(after);
            }
            _ => {}
        }
        let digits = rest.bytes().take(digits_max).take_while(u8::is_ascii_digit).count();
        let number: i64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        match letter {
            'y' if count <= 2 && digits == 2 => self.year = Some(if number < 50 { 2000 } else { 1900 } + number),
            'y' => self.year = Some(number),
            'M' | 'L' => self.month = Some(number),
            'd' => (self.day, self.day_of_year) = (Some(number), None),
            'D' => (self.day, self.day_of_year) = (None, Some(number)),
            'H' => self.hour = number,
            'k' => self.hour = if number == 24 { 0 } else { number },
            'h' => self.half_hour = Some(if number == 12 { 0 } else { number }),
            'K' => self.half_hour = Some(number),
            'm' => self.minute = number,
            's' => self.second = number,
            'S' => self.millis = number,
            // Weeks name no day by themselves.
            _ => return None,
        }
        Some(rest)
    }

    fn moment(&self) -> Option<i64> {
        let year = self.year.unwrap_or(1970);
        let year = if self.is_before_christ { 1 - of_era(year) } else { year };
        // Beyond this Java's calendar overflows, too.
        let bounded = |number: i64| Some(number).filter(|number| number.abs() < 1 << 40);
        let (month, day) = match self.day_of_year {
            Some(day) => (1, day),
            None => (self.month.unwrap_or(1), self.day.unwrap_or(1)),
        };
        let days = days_before(bounded(year)?, bounded(month)?, bounded(day)?);
        let hour = match self.half_hour {
            Some(hour) => hour.checked_add(if self.is_afternoon { 12 } else { 0 })?,
            None => self.hour,
        };
        let parts =
            [(days, 86_400_000), (hour, 3_600_000), (self.minute, 60_000), (self.second, 1000), (self.millis, 1)];
        let parts = parts.into_iter().chain([(-self.offset_minutes, 60_000)]);
        parts
            .map(|(number, unit): (i64, i64)| number.checked_mul(unit))
            .try_fold(0i64, |sum, part| sum.checked_add(part?))
    }
}

/// The one of `names` that comes next, in whatever case.
fn one_of<'a>(names: &[&str], text: &'a str) -> Option<(usize, &'a str)> {
    let is_next = |name: &&str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let index = names.iter().position(is_next)?;
    Some((index, text.get(names[index].len()..)?))
}

/// A name or its first three letters, the longer one first.
fn named<'a>(names: &[&str], text: &'a str) -> Option<(i64, &'a str)> {
    let short: Vec<&str> = names.iter().map(|name| name.get(..3).unwrap_or(name)).collect();
    let (index, rest) = one_of(names, text).or_else(|| one_of(&short, text))?;
    Some((index as i64, rest))
}

/// `+0130`, `GMT+1:30`, `UTC`: minutes ahead of UTC.
fn zone(text: &str) -> Option<(i64, &str)> {
    if text.starts_with(['+', '-']) {
        return offset(text, 2, false, true);
    }
    let (_, rest) = one_of(&["GMT", "UTC", "UT", "Z"], text)?;
    if rest.starts_with(['+', '-']) {
        return offset(rest, 1, true, true);
    }
    Some((0, rest))
}

/// `Z`, `+01`, `+0130`, `+01:30`.
fn iso_zone(text: &str, count: usize) -> Option<(i64, &str)> {
    match text.strip_prefix('Z') {
        Some(rest) => Some((0, rest)),
        None => offset(text, 2, count == 3, count > 1),
    }
}

fn offset(text: &str, hour_digits_min: usize, has_colon: bool, has_minutes: bool) -> Option<(i64, &str)> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let text = text.strip_prefix(['+', '-'])?;
    let digits = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    if digits < hour_digits_min {
        return None;
    }
    let hours: i64 = text.get(..digits)?.parse().ok().filter(|hours| *hours < 24)?;
    let rest = text.get(digits..)?;
    if !has_minutes {
        return Some((sign * hours * 60, rest));
    }
    let rest = if has_colon { rest.strip_prefix(':')? } else { rest };
    let minutes = rest.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
    let minutes: i64 = minutes.parse().ok().filter(|minutes| *minutes < 60)?;
    Some((sign * (hours * 60 + minutes), rest.get(2..)?))
}
