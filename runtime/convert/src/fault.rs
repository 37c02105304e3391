//! Why one record cannot pass: a stable code and a sentence without the record's contents.

use std::borrow::Cow;

use towpath_model::datum;

/// Why one record cannot pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: Cow<'static, str>,
    pub(crate) reason: String,
}

impl Fault {
    /// The bytes are not JSON, or not the JSON that is wanted.
    pub(crate) fn json(reason: impl Into<String>) -> Self {
        Self { code: "convert.json".into(), reason: reason.into() }
    }

    /// The bytes are no datum of their schema.
    pub(crate) fn datum(reason: impl Into<String>) -> Self {
        Self { code: "convert.datum".into(), reason: reason.into() }
    }

    /// The schema is none, or one that cannot be used here.
    pub(crate) fn schema(reason: impl Into<String>) -> Self {
        Self { code: "convert.schema".into(), reason: reason.into() }
    }

    /// The form is one that the converter or sink does not take.
    pub(crate) fn form(reason: impl Into<String>) -> Self {
        Self { code: "convert.form".into(), reason: reason.into() }
    }

    /// The schema registry refuses.
    pub(crate) fn registry(reason: impl Into<String>) -> Self {
        Self { code: "convert.registry".into(), reason: format!("the schema registry refused: {}", reason.into()) }
    }

    /// The same, of a field.
    pub(crate) fn in_field(self, name: &str) -> Self {
        Self { reason: format!("field {name}: {}", self.reason), ..self }
    }

    /// A transform cannot do its work on this record.
    pub(crate) fn transform(reason: impl Into<String>) -> Self {
        Self { code: "convert.transform".into(), reason: reason.into() }
    }
}

impl From<datum::Malformed> for Fault {
    fn from(malformed: datum::Malformed) -> Self {
        Self::datum(malformed.to_string())
    }
}

impl From<std::str::Utf8Error> for Fault {
    fn from(_: std::str::Utf8Error) -> Self {
        Self::datum("a string is not UTF-8")
    }
}
