//! Ours beside theirs. What is alike though it differs stands here with the reason, and for users in `runtime/CONVERTERS.md`.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::executor::block_on;
use serde_json::Value;
use towpath_convert::{SinkPath, SourcePath, Unconnected};
use towpath_model::{Batch, BatchBuilder, Config, Encoding, Form, Run};

use super::{Case, Outcome};
use crate::case::Recorded;
use crate::compare::same;

/// The cases in which ours and theirs differ, as text.
pub(crate) fn differing(recorded: &[Recorded<Case, Outcome>]) -> Vec<String> {
    let differing = recorded.iter().filter_map(|recorded| {
        let (ours, theirs) = (ours(&recorded.case), &recorded.original);
        let shown = |outcome: &Outcome| match (outcome, recorded.case.writes) {
            (Outcome::Converted(Some(bytes)), true) => {
                String::from_utf8_lossy(&BASE64.decode(bytes).unwrap_or_default()).into_owned()
            }
            _ => serde_json::to_string(outcome).unwrap_or_default(),
        };
        (!alike(&recorded.case, &ours, theirs)).then(|| {
            let case = serde_json::to_string(&recorded.case).unwrap_or_default();
            format!("{case}\n  theirs {}\n  ours   {}", shown(theirs), shown(&ours))
        })
    });
    differing.collect()
}

/// What our converter makes of a case.
fn ours(case: &Case) -> Outcome {
    match converted(case) {
        Ok(Some(bytes)) if case.writes => Outcome::Converted(Some(BASE64.encode(bytes))),
        Ok(bytes) => Outcome::Converted(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())),
        Err(reason) => Outcome::Failed(reason),
    }
}

fn converted(case: &Case) -> Result<Option<Vec<u8>>, String> {
    let own = converter(&case.part, &case.converter, &case.settings);
    let plain: [(String, String); 2] = [("schemas.enable", "true"), ("replace.null.with.default", "false")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let envelope = converter(&case.part, "json", &plain.into());
    let (from, to) = if case.writes { (envelope, own) } else { (own, envelope) };
    let given = case.given.as_ref().map(|given| match case.writes {
        true => given.clone().into_bytes(),
        false => BASE64.decode(given).unwrap_or_default(),
    });
    let accepts = [Encoding::Connect, Encoding::Json, Encoding::Bytes];
    let mut inward = SinkPath::new(&from, &accepts, HashMap::new(), &Unconnected).map_err(|error| error.to_string())?;
    let read = block_on(inward.convert(&batch(&case.part, given.as_deref()))).map_err(|error| error.to_string())?;
    if let Some(failure) = read.failures.first() {
        return Err(failure.reason.clone());
    }
    let mut outward = SourcePath::new(&to, HashMap::new(), &Unconnected).map_err(|error| error.to_string())?;
    let written = block_on(outward.convert(&read.records)).map_err(|error| error.to_string())?;
    if let Some(failure) = written.failures.first() {
        return Err(failure.reason.clone());
    }
    let record = written.records.records().next().ok_or("the record is gone")?;
    Ok(match case.part.as_str() {
        "key" => record.key.bytes,
        "header" => record.headers().next().and_then(|(_, payload)| payload.bytes),
        _ => record.value.bytes,
    }
    .map(<[u8]>::to_vec))
}

fn converter(part: &str, class: &str, settings: &std::collections::BTreeMap<String, String>) -> Config {
    let mut config: Config =
        [("key.converter", "bytes"), ("value.converter", "bytes"), ("header.converter", "bytes")].into_iter().collect();
    config.set(format!("{part}.converter"), class);
    settings.iter().for_each(|(key, value)| config.set(format!("{part}.converter.{key}"), value));
    config
}

fn batch(part: &str, given: Option<&[u8]>) -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("t");
    builder.run(Run { records: 0, topic, origin: topic, partition: 0, key: Form::BYTES, value: Form::BYTES });
    builder.key(given.filter(|_| part == "key"));
    builder.value(given.filter(|_| part == "value"));
    if part == "header" {
        builder.header("h", Form::BYTES, given);
    }
    builder.end(Some(0), Some(0));
    builder.build()
}

fn alike(case: &Case, ours: &Outcome, theirs: &Outcome) -> bool {
    match (ours, theirs) {
        (_, Outcome::Unreadable(_)) | (Outcome::Failed(_), Outcome::Failed(_)) => true,
        (Outcome::Converted(ours), Outcome::Converted(theirs)) => {
            ours == theirs
                || same_payload(case, ours.as_deref(), theirs.as_deref())
                || written_on_purpose(case, ours.as_deref(), theirs.as_deref())
                || read_on_purpose(case, theirs.as_deref())
        }
        (Outcome::Failed(reason), Outcome::Converted(_)) => refused_on_purpose(case, reason),
        (Outcome::Converted(ours), Outcome::Failed(_)) => {
            written_on_purpose(case, ours.as_deref(), None) || is_nothing(case)
        }
        _ => false,
    }
}

/// Whether bytes are others for a reason that `runtime/CONVERTERS.md` gives.
fn written_on_purpose(case: &Case, ours: Option<&str>, theirs: Option<&str>) -> bool {
    if !case.writes {
        return false;
    }
    let text = case.given.as_deref().unwrap_or_default();
    let given: Value = serde_json::from_str(text).unwrap_or_default();
    let is_null = given.get("payload").is_some_and(Value::is_null);
    let has_schema = given.get("schema").is_some_and(Value::is_object);
    let theirs = theirs.and_then(|theirs| BASE64.decode(theirs).ok()).unwrap_or_default();
    let theirs = String::from_utf8_lossy(&theirs);
    match case.converter.rsplit('.').next().unwrap_or_default() {
        _ if is_null => ours.is_none(),
        "StringConverter" => {
            theirs.contains("[B@")
                || theirs.contains("java.nio.HeapByteBuffer")
                || !has_schema && (given["payload"].is_object() || given["payload"].is_array())
                || !has_schema && given["payload"].is_f64()
        }
        "ByteArrayConverter" => !has_schema,
        "SimpleHeaderConverter" => text.contains("\"default\""),
        "JsonConverter" => text.contains("data.Decimal") && text.contains("\"default\""),
        _ => false,
    }
}

/// Whether data are others for a reason that is given there.
fn read_on_purpose(case: &Case, theirs: Option<&str>) -> bool {
    let theirs = theirs.unwrap_or_default();
    !case.writes
        && (case.converter.ends_with("SimpleHeaderConverter") && theirs.contains("\"items\":null")
            || case.converter.ends_with("JsonConverter") && is_beyond(case))
}

/// Whether an empty list was given for a map, or nothing for a decimal.
fn is_nothing(case: &Case) -> bool {
    let given = case.given.as_deref().and_then(|given| BASE64.decode(given).ok()).unwrap_or_default();
    let given: Value = serde_json::from_slice(&given).unwrap_or_default();
    !case.writes && given.get("payload").is_some_and(|payload| *payload == serde_json::json!([]) || payload == "")
}

/// Whether what was given is a number that no long and no double of Java holds.
fn is_beyond(case: &Case) -> bool {
    let given = case.given.as_deref().and_then(|given| BASE64.decode(given).ok()).unwrap_or_default();
    let given = String::from_utf8_lossy(&given).into_owned();
    let integer = given.parse::<i64>().is_err() && given.bytes().all(|byte| byte.is_ascii_digit());
    integer || given.parse::<f64>().is_ok_and(f64::is_infinite)
}

/// Whether bytes are refused for a reason that is given there: they are no JSON, or do not fit the schema that comes with them.
fn refused_on_purpose(case: &Case, reason: &str) -> bool {
    let given = case.given.as_deref().and_then(|given| BASE64.decode(given).ok()).unwrap_or_default();
    let malformed = serde_json::from_slice::<Value>(&given).is_err();
    !case.writes
        && case.converter.ends_with("JsonConverter")
        && (malformed || reason.contains("is not a value of its schema's type"))
}

fn same_payload(case: &Case, ours: Option<&str>, theirs: Option<&str>) -> bool {
    let json = |text: Option<&str>| -> Option<Value> {
        let text = text?;
        match case.writes {
            true => serde_json::from_slice(&BASE64.decode(text).ok()?).ok(),
            false => serde_json::from_str(text).ok(),
        }
    };
    let is_json =
        !case.writes || ["JsonConverter", "HeaderConverter"].iter().any(|name| case.converter.ends_with(name));
    let (ours, theirs) = (json(ours), json(theirs));
    // Nor is a null under a schema another than one without.
    let is_null = |value: &Option<Value>| {
        value.as_ref().is_none_or(|value| {
            value.is_null() || value.get("payload").is_some_and(Value::is_null) && value.get("schema").is_some()
        })
    };
    is_json
        && (is_null(&ours) && is_null(&theirs) || ours.zip(theirs).is_some_and(|(ours, theirs)| same(&ours, &theirs)))
}
