//! A finding: one thing that the user should know about a configuration, the same at every door.

use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

use crate::document::Place;

/// Whether a configuration with this finding is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable code, such as `config.unknown_key`.
    pub code: &'static str,
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
}

impl Finding {
    pub(crate) fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity,
            connector: None,
            file: None,
            line: 0,
            column: 0,
            path: String::new(),
            message: message.into(),
            suggestion: None,
        }
    }

    pub(crate) fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    pub(crate) fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    pub(crate) fn at(self, place: &Place) -> Self {
        let file = (!place.file.as_os_str().is_empty()).then(|| place.file.clone());
        Self { file, line: place.line, column: place.column, ..self }
    }

    pub(crate) fn on(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    pub(crate) fn suggest(self, suggestion: impl Into<String>) -> Self {
        Self { suggestion: Some(suggestion.into()), ..self }
    }

    pub(crate) fn of(self, connector: &str) -> Self {
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

/// The line with what stands after a key that sounds like a secret taken out.
fn masked(line: &str) -> String {
    let lower = line.to_lowercase();
    let secret = ["password", "secret", "token", "credential", "apikey", "api.key", "access.key", "private.key"];
    let found = secret.iter().filter_map(|word| lower.find(word)).min();
    let colon = found.and_then(|start| line.get(start..)?.find(':').map(|colon| start + colon));
    match colon.and_then(|colon| line.get(..=colon)) {
        Some(kept) if !line.contains("${") => format!("{kept} …"),
        _ => line.to_owned(),
    }
}
