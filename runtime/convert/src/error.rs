//! What is wrong with the part of a configuration that names converters and transforms.

use towpath_model::{Coded, Kind};

/// A setting that no converter or transform can be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct Error {
    /// The key at fault.
    pub key: String,
    /// A stable code, such as `convert.unknown_class`.
    pub code: &'static str,
    /// What is wrong with its value, in a sentence.
    pub reason: String,
}

impl Error {
    pub(crate) fn value(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), code: "convert.invalid_value", reason: reason.into() }
    }

    pub(crate) fn predicate(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), code: "config.unknown_predicate", reason: reason.into() }
    }

    pub(crate) fn language(key: impl Into<String>, language: &str) -> Self {
        let reason = format!(
            "expressions of {language} need a JVM or an engine that is not here. Write `language: cel`; a condition such as \
             value.op == 'u' stays as it is, and has(value.after) asks for what may be missing"
        );
        Self { key: key.into(), code: "convert.expression_language", reason }
    }

    pub(crate) fn class(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), code: "convert.unknown_class", reason: reason.into() }
    }
}

impl Coded for Error {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn code(&self) -> &str {
        self.code
    }
}
