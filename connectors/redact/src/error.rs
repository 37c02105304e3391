//! Why a value cannot be redacted.

/// A value that cannot be redacted, or a setting that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A setting has a value that it cannot have.
    #[error("{reason}")]
    Setting {
        /// Its key.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The datum is not one of its schema.
    #[error(transparent)]
    Datum(#[from] towpath_model::datum::Malformed),
    /// The schema cannot be read.
    #[error(transparent)]
    Schema(#[from] towpath_model::SchemaError),
    /// The text is not JSON.
    #[error("JSON is malformed at byte {at}: expected {what}")]
    Json {
        /// Where.
        at: usize,
        /// What was expected.
        what: &'static str,
    },
    /// The value is nested beyond any reason.
    #[error("value is nested deeper than {0} levels")]
    Depth(usize),
    /// The value has no fields.
    #[error("the value is bytes, which have no fields to redact")]
    Opaque,
}

impl Error {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Setting { .. } => "redact.config",
            _ => "redact.value",
        }
    }
}
