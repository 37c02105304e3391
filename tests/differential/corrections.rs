//! The documented corrections: where Towpath gives another value than Debezium on purpose. `corrections.yaml` is the list.

use anyhow::{Context, Result};
use regex::Regex;
use serde::Deserialize;

use crate::compare::Phase;
use crate::json::Difference;

/// An entry of the list as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    /// Why Debezium's value is not taken over.
    #[allow(dead_code, reason = "for readers of the list")]
    why: String,
    /// Tags of the kinds of columns that are concerned.
    #[serde(default)]
    columns: Vec<String>,
    /// What the topic's name matches behind its schema; any when missing.
    #[serde(default)]
    topic: Option<String>,
    /// Only this phase; both when missing.
    #[serde(default)]
    phase: Option<String>,
    /// What the path matches, its words joined by dots; anything when missing.
    #[serde(default)]
    path: Option<String>,
    /// What Debezium's text matches; anything when missing.
    #[serde(default)]
    debezium: Option<String>,
    /// What Towpath's text matches; anything when missing.
    #[serde(default)]
    towpath: Option<String>,
    /// By how much of themselves two numbers may differ, and whole ones by one besides; any text will do when missing.
    #[serde(default)]
    within: Option<f64>,
}

struct Correction {
    id: String,
    column: Option<Regex>,
    topic: Option<Regex>,
    phase: Option<String>,
    path: Option<Regex>,
    debezium: Option<Regex>,
    towpath: Option<Regex>,
    within: Option<f64>,
}

/// The list.
pub(crate) struct Corrections(Vec<Correction>);

impl Corrections {
    pub(crate) fn read() -> Result<Self> {
        let entries: Vec<Entry> =
            serde_saphyr::from_str(include_str!("corrections.yaml")).context("reading corrections.yaml")?;
        entries.into_iter().map(Correction::new).collect::<Result<_>>().map(Self)
    }

    /// The correction that a difference is due to.
    pub(crate) fn explain(&self, topic: &str, phase: Phase, difference: &Difference) -> Option<&str> {
        self.0
            .iter()
            .find(|correction| correction.matches(topic, phase, difference))
            .map(|correction| correction.id.as_str())
    }
}

impl Correction {
    fn new(entry: Entry) -> Result<Self> {
        let regex = |text: Option<String>| text.map(|text| Regex::new(&format!("^(?s:{text})$"))).transpose();
        let column = (!entry.columns.is_empty()).then(|| {
            let tags: Vec<String> = entry.columns.iter().map(|tag| regex::escape(tag)).collect();
            format!("({})[ _]\\d+([ _].*)?", tags.join("|"))
        });
        Ok(Self {
            column: regex(column)?,
            topic: regex(entry.topic.map(|topic| format!(r"diff\d*(\.[^.]+)?\.{topic}")))?,
            path: regex(entry.path)?,
            debezium: regex(entry.debezium)?,
            towpath: regex(entry.towpath)?,
            phase: entry.phase,
            within: entry.within,
            id: entry.id,
        })
    }

    fn matches(&self, topic: &str, phase: Phase, difference: &Difference) -> bool {
        let fits = |regex: &Option<Regex>, text: &str| regex.as_ref().is_none_or(|regex| regex.is_match(text));
        self.phase.as_ref().is_none_or(|only| *only == phase.to_string())
            && self.column.as_ref().is_none_or(|column| difference.path.iter().any(|word| column.is_match(word)))
            && fits(&self.topic, topic)
            && fits(&self.path, &difference.path.join("."))
            && fits(&self.debezium, &difference.theirs)
            && fits(&self.towpath, &difference.ours)
            && self.within.is_none_or(|within| are_near(&difference.theirs, &difference.ours, within))
    }
}

/// Whether two numbers differ by no more than a part of themselves, or whole ones by no more than one.
fn are_near(theirs: &str, ours: &str, within: f64) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    let slack = if theirs.contains('.') { 0.0 } else { 1.0 };
    number(theirs).zip(number(ours)).is_some_and(|(theirs, ours)| (theirs - ours).abs() <= within * ours.abs() + slack)
}
