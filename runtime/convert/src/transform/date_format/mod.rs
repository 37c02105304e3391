//! Dates as text by a pattern of Java's SimpleDateFormat, in UTC and with English names: what TimestampConverter and TimestampRouter
//! are configured with. No library reads these patterns, whose letters, leniency and quotes are their own.
//!
//! A pattern is compiled once. Two-digit years lie between 1950 and 2049; Java lets them slide with today's date.

mod calendar;
mod read;
#[cfg(test)]
mod tests;

use std::fmt::Write;

pub(crate) use self::calendar::{Moment, days_before};

const LETTERS: &str = "GyYMLwWDdFEuaHkKhmsSzZX";
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A pattern, compiled.
#[derive(Clone, Debug)]
pub(crate) struct DateFormat {
    items: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq)]
enum Item {
    Text(String),
    Field { letter: char, count: usize },
}

impl DateFormat {
    /// Compiles a pattern, or says in Java's words what is wrong with it.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let mut items: Vec<Item> = Vec::new();
        let mut rest = pattern.chars().peekable();
        let text = |items: &mut Vec<Item>, character: char| match items.last_mut() {
            Some(Item::Text(text)) => text.push(character),
            _ => items.push(Item::Text(character.to_string())),
        };
        while let Some(next) = rest.next() {
            match next {
                '\'' if rest.next_if_eq(&'\'').is_some() => text(&mut items, '\''),
                '\'' => loop {
                    match rest.next() {
                        Some('\'') if rest.next_if_eq(&'\'').is_some() => text(&mut items, '\''),
                        Some('\'') => break,
                        Some(quoted) => text(&mut items, quoted),
                        None => return Err("Unterminated quote".into()),
                    }
                },
                letter if letter.is_ascii_alphabetic() => {
                    if !LETTERS.contains(letter) {
                        return Err(format!("Illegal pattern character '{letter}'"));
                    }
                    let mut count = 1;
                    while rest.next_if_eq(&letter).is_some() {
                        count += 1;
                    }
                    if letter == 'X' && count > 3 {
                        return Err(format!("invalid ISO 8601 format: length={count}"));
                    }
                    items.push(Item::Field { letter, count });
                }
                other => text(&mut items, other),
            }
        }
        Ok(Self { items })
    }

    /// Appends the text of a moment in milliseconds since the epoch.
    pub(crate) fn write(&self, ms: i64, out: &mut String) {
        let moment = Moment::at(ms);
        for item in &self.items {
            match item {
                Item::Text(text) => out.push_str(text),
                Item::Field { letter, count } => write_field(&moment, *letter, *count, out),
            }
        }
    }

    /// The text of a moment.
    pub(crate) fn text(&self, ms: i64) -> String {
        let mut text = String::new();
        self.write(ms, &mut text);
        text
    }
}

/// The year of its era.
fn of_era(year: i64) -> i64 {
    if year > 0 { year } else { 1 - year }
}

fn write_field(moment: &Moment, letter: char, count: usize, out: &mut String) {
    let (week, week_year) = moment.week();
    let hour = moment.hour();
    let minutes = moment.time / 60_000 % 60;
    let number = match letter {
        'G' => return out.push_str(if moment.year > 0 { "AD" } else { "BC" }),
        'y' | 'Y' => {
            let year = if letter == 'y' { of_era(moment.year) } else { week_year };
            if count == 2 { year.rem_euclid(100) } else { year }
        }
        'M' | 'L' if count >= 3 => return out.push_str(name(&MONTHS, moment.month - 1, count)),
        'E' => return out.push_str(name(&WEEKDAYS, moment.weekday, count)),
        'a' => return out.push_str(if hour < 12 { "AM" } else { "PM" }),
        'z' => return out.push_str(if count >= 4 { "Coordinated Universal Time" } else { "UTC" }),
        'Z' => return out.push_str("+0000"),
        'X' => return out.push('Z'),
        'M' | 'L' => moment.month,
        'w' => week,
        'W' => moment.week_of_month(),
        'D' => moment.day_of_year,
        'd' => moment.day,
        'F' => (moment.day - 1) / 7 + 1,
        'u' => (moment.weekday + 6) % 7 + 1,
        'H' => hour,
        'k' => (hour + 23) % 24 + 1,
        'K' => hour % 12,
        'h' => (hour + 11) % 12 + 1,
        'm' => minutes,
        's' => moment.time / 1000 % 60,
        _ => moment.time % 1000,
    };
    // Writing to a text cannot fail.
    let _ = write!(out, "{number:0count$}");
}

/// A name, or its first three letters.
fn name(names: &[&'static str], index: i64, count: usize) -> &'static str {
    let name = usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or_default();
    if count >= 4 { name } else { name.get(..3).unwrap_or(name) }
}
