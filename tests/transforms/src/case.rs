//! A case: a transform, its settings, a record. Payloads are texts in JsonConverter's envelope.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One record before one transform or predicate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    /// The Java class.
    pub(crate) transform: String,
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) record: Input,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Input {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) headers: Vec<Header>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) key: String,
    pub(crate) value: Option<String>,
}

/// What became of a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Record(Output),
    Dropped(bool),
    /// The transform refused it.
    Failed(String),
    /// The converter refused what the transform made.
    Unconvertible(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Output {
    pub(crate) topic: String,
    pub(crate) partition: Option<i32>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) headers: Vec<Header>,
}

/// A case with what Java made of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recorded<C = Case, O = Outcome> {
    #[serde(flatten)]
    pub(crate) case: C,
    pub(crate) original: O,
}

/// A payload in its envelope; the schema is null where there is none.
pub(crate) fn envelope(schema: &Value, payload: &Value) -> String {
    serde_json::json!({"schema": schema, "payload": payload}).to_string()
}

/// The cases of a file.
pub(crate) fn read<R: DeserializeOwned>(file: &Path) -> Result<Vec<R>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let recorded = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
    recorded.with_context(|| format!("a line of {} is no case", file.display()))
}
