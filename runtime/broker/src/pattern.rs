//! Patterns that clients send: as in Kafka, one matches a name when it matches all of it.

use kafka_protocol::error::ResponseError as Code;
use regex::Regex;

/// A pattern for whole names.
///
/// # Errors
/// It cannot be read.
pub(crate) fn whole_match(pattern: &str) -> Result<Regex, Code> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|_| Code::InvalidRegularExpression)
}
