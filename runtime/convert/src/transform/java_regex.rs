//! Regular expressions and replacements in Java's notation, as configurations have them.

use regex::{Captures, Regex};

use super::Settings;
use crate::error::Error;

/// A piece of a replacement.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Group(usize),
    Named(String),
}

/// What a match is replaced by.
#[derive(Clone, Debug)]
pub(crate) struct Replacement {
    pieces: Vec<Piece>,
}

impl Replacement {
    /// The replacement under `key`, for matches of `regex`.
    pub(crate) fn new(settings: &Settings<'_>, key: &str, text: &str, regex: &Regex) -> Result<Self, Error> {
        let pieces = pieces(text, regex).map_err(|reason| Error::value(settings.key(key), reason))?;
        Ok(Self { pieces })
    }

    /// The text that `regex` makes of `input`, where it matches the whole of it.
    pub(crate) fn replace(&self, regex: &Regex, input: &str) -> Option<String> {
        regex.captures(input).map(|captures| expand(&self.pieces, &captures))
    }
}

/// The regular expression under `key`, which is to match a whole text.
pub(crate) fn whole(settings: &Settings<'_>, key: &str, pattern: &str) -> Result<Regex, Error> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
        let hint = if ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| pattern.contains(look)) {
            ". Looking ahead and behind is not supported."
        } else {
            ""
        };
        let error = error.to_string();
        let last = error.lines().last().unwrap_or("malformed").trim_start_matches("error: ").to_owned();
        Error::value(settings.key(key), format!("not a regular expression: {last}{hint}"))
    })
}

/// Reads a replacement: `$1`, `${name}`, and a backslash before what stands for itself.
fn pieces(text: &str, regex: &Regex) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '\\' => plain.push(rest.next().ok_or("a backslash at the end stands before nothing")?),
            '$' => {
                let piece = if rest.next_if_eq(&'{').is_some() {
                    let name: String = rest.by_ref().take_while(|character| *character != '}').collect();
                    if !regex.capture_names().flatten().any(|known| known == name) {
                        return Err(format!("the expression has no group named {name}"));
                    }
                    Piece::Named(name)
                } else {
                    let digit = |character: Option<&char>| character.and_then(|digit| digit.to_digit(10));
                    let mut group =
                        digit(rest.peek()).ok_or("$ is not followed by a group; write \\$ for a dollar")? as usize;
                    rest.next();
                    if group >= regex.captures_len() {
                        return Err(format!("the expression has no group {group}"));
                    }
                    // As in Java, further digits belong to the number as long as there is such a group.
                    while let Some(digit) =
                        digit(rest.peek()).filter(|digit| group * 10 + (*digit as usize) < regex.captures_len())
                    {
                        group = group * 10 + digit as usize;
                        rest.next();
                    }
                    Piece::Group(group)
                };
                pieces.extend([Piece::Text(std::mem::take(&mut plain)), piece]);
            }
            other => plain.push(other),
        }
    }
    pieces.push(Piece::Text(plain));
    pieces.retain(|piece| *piece != Piece::Text(String::new()));
    Ok(pieces)
}

fn expand(pieces: &[Piece], captures: &Captures<'_>) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Group(group) => captures.get(*group).map_or_else(String::new, |found| found.as_str().to_owned()),
        Piece::Named(name) => captures.name(name).map_or_else(String::new, |found| found.as_str().to_owned()),
    };
    pieces.iter().map(piece).collect()
}
