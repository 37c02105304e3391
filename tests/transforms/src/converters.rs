//! Converters beside their originals: data with schemas to bytes, and bytes to data. `make originals` runs both; recordings are replayed
//! without Java.

mod compare;
mod generate;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use compare::differing;
pub(crate) use generate::case;

/// One payload before one converter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    /// The Java class.
    pub(crate) converter: String,
    pub(crate) settings: BTreeMap<String, String>,
    /// `key`, `value` or `header`.
    pub(crate) part: String,
    /// Whether data become bytes; else bytes become data.
    pub(crate) writes: bool,
    /// Data in JsonConverter's envelope, or bytes in Base64.
    pub(crate) given: Option<String>,
}

/// What became of it, in the other of the two forms.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Converted(Option<String>),
    /// The converter refused it.
    Failed(String),
    /// JsonConverter could not say what was given, or what came out.
    Unreadable(String),
}
