//! A finding: one thing that the user should know about a configuration, the same at every door.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use towpath_model::passwords;

use crate::document::Place;

/// Whether a configuration with this finding is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Refused.
    Error,
    /// Taken, though probably not meant.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word in texts and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that the user should know, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A stable code, such as `config.unknown_key`.
    pub code: Cow<'static, str>,
    /// How bad it is.
    pub severity: Severity,
    /// The connector, where known.
    pub connector: Option<String>,
    /// The file; none for what came over REST.
    pub file: Option<PathBuf>,
    /// The line, from 1; 0 where unknown.
    pub line: u64,
    /// The column, from 1; 0 where unknown.
    pub column: u64,
    /// The flat key, or empty for the document as a whole.
    pub path: String,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do, in a sentence.
    pub suggestion: Option<String>,
    /// Of an error: the world outside is at fault, and it may pass. A worker starts the connector all the same, and waits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passing: bool,
}

impl Finding {
    /// A finding without a place.
    pub fn new(severity: Severity, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            severity,
            connector: None,
            file: None,
            line: 0,
            column: 0,
            path: String::new(),
            message: message.into(),
            suggestion: None,
            passing: false,
        }
    }

    pub(crate) fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    pub(crate) fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    /// The same at a place.
    pub fn at(self, place: &Place) -> Self {
        let file = (!place.file.as_os_str().is_empty()).then(|| place.file.clone());
        Self { file, line: place.line, column: place.column, ..self }
    }

    /// The same of a key.
    pub fn on(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// The same with what to do.
    pub fn suggest(self, suggestion: impl Into<String>) -> Self {
        Self { suggestion: Some(suggestion.into()), ..self }
    }

    /// The same of a connector.
    pub fn of(self, connector: &str) -> Self {
        Self { connector: Some(connector.to_owned()), ..self }
    }

    /// The text for people: message, place, the line of `source` (the file's text) with the place marked, the suggestion.
    /// Values of keys that sound like secrets are not shown.
    pub fn render(&self, source: Option<&str>) -> String {
        let mut text = format!("{}[{}]: {}\n", self.severity.name(), self.code, self.message);
        let line = usize::try_from(self.line).unwrap_or(0);
        let margin = " ".repeat(line.to_string().len());
        match (&self.file, &self.connector) {
            (Some(file), _) if line > 0 => {
                let _ = writeln!(text, "{margin}--> {}:{}:{}", file.display(), self.line, self.column);
            }
            (Some(file), _) => {
                let _ = writeln!(text, "{margin}--> {}", file.display());
            }
            (None, Some(connector)) => {
                let _ = writeln!(text, "{margin}--> connector {connector}");
            }
            (None, None) => {}
        }
        let shown = source.filter(|_| line > 0).and_then(|source| source.lines().nth(line - 1));
        if let Some(shown) = shown {
            let shown = masked(shown);
            let before = usize::try_from(self.column.saturating_sub(1)).unwrap_or(0).min(shown.chars().count());
            let _ = writeln!(text, "{margin} |\n{line} | {shown}");
            let _ = writeln!(text, "{margin} | {}{}", " ".repeat(before), "^".repeat(token_length(&shown, before)));
        }
        if let Some(suggestion) = &self.suggestion {
            let _ = writeln!(text, "{margin} = help: {suggestion}");
        }
        if self.passing {
            let _ = writeln!(
                text,
                "{margin} = note: this may pass by itself; a worker starts the connector all the same and keeps trying"
            );
        }
        text
    }
}

/// How many characters the word at this place has.
fn token_length(line: &str, before: usize) -> usize {
    let rest = line.chars().skip(before);
    rest.take_while(|character| !character.is_whitespace() && !matches!(character, ':' | ',' | ']' | '}'))
        .count()
        .max(1)
}

/// What keys of secrets have in their names.
pub(crate) const SECRET_WORDS: [&str; 8] =
    ["password", "secret", "token", "credential", "apikey", "api.key", "access.key", "private.key"];

/// The line with what stands after a key that sounds like a secret taken out.
fn masked(line: &str) -> String {
    let lower = line.to_lowercase();
    let found = SECRET_WORDS.iter().filter_map(|word| lower.find(word)).min();
    let colon = found.and_then(|start| line.get(start..)?.find(':').map(|colon| start + colon));
    match colon.and_then(|colon| line.get(..=colon)) {
        Some(kept) if !line.contains("${") => format!("{kept} …"),
        _ => without_passwords(line),
    }
}

/// The text with the passwords inside its URLs taken out; references to them stay.
pub(crate) fn without_passwords(text: &str) -> String {
    let mut out = text.to_owned();
    let found: Vec<_> = passwords(text).collect();
    for range in found.into_iter().rev() {
        if !text.get(range.clone()).is_some_and(|password| password.starts_with("${")) {
            out.replace_range(range, "…");
        }
    }
    out
}
