//! A finding: one thing that the user should know about a configuration, the same at every door.

use std::path::PathBuf;

use serde::Serialize;

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
    /// What to do, in a sentence or as the word that was probably meant.
    pub suggestion: Option<String>,
}

impl Finding {
    /// The text for people: message, place, the line of `source` (the file's text) underlined, the suggestion.
    pub fn render(&self, source: Option<&str>) -> String {
        let _ = source;
        unimplemented!()
    }
}
