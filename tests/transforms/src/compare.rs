//! Ours beside theirs. What differs by nature is left out: the order of entries of an object, how a number is spelt, under which schema
//! a null stands, and what a fault says.

use std::collections::HashMap;

use futures::executor::block_on;
use serde_json::Value;
use towpath_convert::{Rehearsal, read_lines, write_line};
use towpath_model::Config;

use crate::case::{Case, Header, Outcome, Output, Recorded};

/// Where ours does what theirs fails at, by what theirs says, and why.
const MENDED: [(&str, &str); 4] = [
    (
        "Only Struct objects supported for [Updating schema]",
        "ByLogicalTableRouter takes keys without a schema here, too",
    ),
    ("Invalid default value", "Cast of a whole logical value keeps its name, which the default then does not fit"),
    (
        "Cannot list fields on non-struct type",
        "SetSchemaMetadata is documented for any schema and asks each for fields",
    ),
    (
        "is not a valid field name",
        "ReplaceField looks for the old name of a field that was called by the new one before",
    ),
];

/// The cases in which ours and theirs differ, as text.
pub(crate) fn differing(recorded: &[Recorded]) -> Vec<String> {
    let differing = recorded.iter().filter_map(|recorded| {
        let ours = ours(&recorded.case);
        let theirs = &recorded.original;
        let shown = |outcome: &Outcome| serde_json::to_string(outcome).unwrap_or_default();
        (!alike(&ours, theirs)).then(|| {
            let case = serde_json::to_string(&recorded.case).unwrap_or_default();
            format!("{case}\n  theirs {}\n  ours   {}", shown(theirs), shown(&ours))
        })
    });
    differing.collect()
}

/// What our transform makes of a case.
fn ours(case: &Case) -> Outcome {
    let converters = [("key.converter", "json"), ("value.converter", "json"), ("header.converter", "json")];
    let mut config: Config = converters.into_iter().chain([("transforms", "t")]).collect();
    let is_predicate = case.transform.contains(".predicates.");
    let prefix = if is_predicate { "predicates.p" } else { "transforms.t" };
    if is_predicate {
        // What it is true for is kept.
        let filter =
            [("transforms.t.type", "Filter"), ("transforms.t.predicate", "p"), ("transforms.t.negate", "true")];
        filter.into_iter().chain([("predicates", "p")]).for_each(|(key, value)| config.set(key, value));
    }
    config.set(format!("{prefix}.type"), &case.transform);
    for part in ["key", "value", "header"] {
        config.set(format!("{part}.converter.schemas.enable"), "true");
        config.set(format!("{part}.converter.replace.null.with.default"), "false");
    }
    case.settings.iter().for_each(|(key, value)| config.set(format!("{prefix}.{key}"), value));
    let mut path = match Rehearsal::new(&config, HashMap::new()) {
        Ok(path) => path,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    let line = serde_json::to_string(&case.record).expect("a record is JSON");
    let converted = match read_lines(&line).map(|batch| block_on(path.convert(&batch))) {
        Ok(Ok(converted)) => converted,
        Ok(Err(error)) => return Outcome::Failed(error.to_string()),
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    if let Some(failure) = converted.failures.first() {
        return Outcome::Failed(format!("{}: {}", failure.code, failure.reason));
    }
    match converted.records.records().next() {
        Some(record) => {
            Outcome::Record(serde_json::from_str(&write_line(&record)).expect("it was written as a record"))
        }
        None => Outcome::Dropped(true),
    }
}

fn alike(ours: &Outcome, theirs: &Outcome) -> bool {
    match (ours, theirs) {
        (Outcome::Record(ours), Outcome::Record(theirs)) => same_record(ours, theirs),
        (Outcome::Dropped(_), Outcome::Dropped(_)) | (Outcome::Failed(_), Outcome::Failed(_)) => true,
        // A value that Connect's own converter cannot write is no measure.
        (_, Outcome::Unconvertible(_)) => true,
        (Outcome::Record(_), Outcome::Failed(reason)) => MENDED.iter().any(|(known, _)| reason.contains(known)),
        _ => false,
    }
}

fn same_record(ours: &Output, theirs: &Output) -> bool {
    let partition = |output: &Output| output.partition.filter(|partition| *partition >= 0);
    let same_header =
        |(ours, theirs): (&Header, &Header)| ours.key == theirs.key && same_payload(&ours.value, &theirs.value);
    ours.topic == theirs.topic
        && partition(ours) == partition(theirs)
        && ours.timestamp == theirs.timestamp
        && same_payload(&ours.key, &theirs.key)
        && same_payload(&ours.value, &theirs.value)
        && ours.headers.len() == theirs.headers.len()
        && ours.headers.iter().zip(&theirs.headers).all(same_header)
}

fn same_payload(ours: &Option<String>, theirs: &Option<String>) -> bool {
    let read = |text: &Option<String>| {
        let envelope: Value = text.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let payload = envelope.get("payload").cloned().unwrap_or_default();
        (envelope.get("schema").cloned().unwrap_or_default(), payload)
    };
    let (ours, theirs) = (read(ours), read(theirs));
    (ours.1.is_null() && theirs.1.is_null()) || (same(&ours.0, &theirs.0) && same(&ours.1, &theirs.1))
}

/// Whether two documents say the same, in whatever order and spelling.
pub(crate) fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => {
            let float = |number: &serde_json::Number| number.as_f64().unwrap_or(f64::NAN);
            ours == theirs
                || float(ours) == float(theirs)
                || float(ours) as f32 == float(theirs) as f32 && (ours.is_f64() || theirs.is_f64())
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().all(|(key, value)| theirs.get(key).is_some_and(|theirs| same(value, theirs)))
        }
        _ => ours == theirs,
    }
}
