//! RegexRouter: renames topics. Works on the dictionary of a batch, so it costs nothing for each record.

use std::collections::HashMap;
use std::sync::Arc;

use regex::{Captures, Regex};
use towpath_model::{Batch, ConfigKey, Importance, ValueType};

use super::{Rewrite, Settings};
use crate::draft::Rewritten;
use crate::error::Error;
use crate::keys::key;

/// Topics whose new names are remembered.
const NAMES_MAX: usize = 10_000;

pub(crate) fn keys() -> Vec<ConfigKey> {
    vec![
        key("regex", ValueType::String, Importance::High, "Regular expression that the whole topic must match."),
        key(
            "replacement",
            ValueType::String,
            Importance::High,
            "The new topic; `$1` and `${name}` stand for what a group has matched.",
        ),
    ]
}

/// A piece of a replacement in Java's notation.
#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Group(usize),
    Named(String),
}

/// Renames topics.
pub(crate) struct RegexRouter {
    regex: Regex,
    replacement: Vec<Piece>,
    names: HashMap<Arc<str>, Arc<str>>,
}

impl RegexRouter {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        let pattern = settings.required("regex")?;
        let regex = Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
            let hint = if ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| pattern.contains(look)) {
                ". Looking ahead and behind is not supported."
            } else {
                ""
            };
            let error = error.to_string();
            let last = error.lines().last().unwrap_or("malformed").trim_start_matches("error: ").to_owned();
            Error::value(settings.key("regex"), format!("not a regular expression: {last}{hint}"))
        })?;
        let replacement = pieces(settings.required("replacement")?, &regex)
            .map_err(|reason| Error::value(settings.key("replacement"), reason))?;
        Ok(Self { regex, replacement, names: HashMap::new() })
    }

    fn rename(&mut self, topic: &Arc<str>) -> Arc<str> {
        if let Some(name) = self.names.get(topic) {
            return name.clone();
        }
        let renamed: Arc<str> = match self.regex.captures(topic) {
            Some(captures) => expand(&self.replacement, &captures).into(),
            None => topic.clone(),
        };
        if self.names.len() >= NAMES_MAX {
            self.names.clear();
        }
        self.names.insert(topic.clone(), renamed.clone());
        renamed
    }
}

impl Rewrite for RegexRouter {
    fn apply(&mut self, batch: &Batch) -> Rewritten {
        let mut columns = batch.clone().into_columns();
        let mut moved: HashMap<u32, u32> = HashMap::new();
        for index in 0..columns.topics.len() {
            let Some(topic) = columns.topics.get(index).cloned() else { continue };
            let renamed = self.rename(&topic);
            if renamed != topic {
                // The old name stays in the dictionary: a sink commits offsets under it.
                moved.insert(index as u32, columns.topics.len() as u32);
                columns.topics.push(renamed);
            }
        }
        for run in &mut columns.runs {
            run.topic = moved.get(&run.topic).copied().unwrap_or(run.topic);
        }
        Rewritten::unchanged(Batch::new(columns).expect("a renamed topic is in the dictionary"))
    }
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
