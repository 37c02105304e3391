//! Records as lines of JSON, for trying transforms out: the lines of `towpath tail --json`, one record each.
//!
//! ```text
//! {"topic":"orders","partition":0,"offset":7,"timestamp":1,"key":"k","value":"{\"id\":1}","headers":[{"key":"h","value":"v"}]}
//! ```
//! Keys, values and headers are texts, `{"base64":"…"}` where they are none, or null. To write them by hand, any other JSON may stand in
//! their place and is its own text. All but the topic may be left out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use towpath_model::{Batch, BatchBuilder, Form, Record, Run};

/// A line that is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct LineError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<'a> {
    topic: String,
    #[serde(default)]
    partition: i32,
    offset: Option<i64>,
    timestamp: Option<i64>,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow, default)]
    headers: Vec<ReadHeader<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadHeader<'a> {
    key: String,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

/// Reads records as they would come from a topic; offsets that are left out count up from 0, timestamps are 0.
///
/// # Errors
/// The first line that is no record.
pub fn read_lines(text: &str) -> Result<Batch, LineError> {
    let mut builder = BatchBuilder::default();
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    for (index, (line, text)) in lines.enumerate() {
        let fault = |reason: String| LineError { line: line + 1, reason };
        let read: Read<'_> = serde_json::from_str(text).map_err(|error| fault(error.to_string()))?;
        let bytes = |raw: Option<&RawValue>| payload(raw).map_err(fault);
        let topic = builder.topic(&read.topic);
        let (partition, form) = (read.partition, Form::BYTES);
        builder.run(Run { records: 0, topic, origin: topic, partition, key: form, value: form });
        builder.key(bytes(read.key)?.as_deref());
        builder.value(bytes(read.value)?.as_deref());
        for header in &read.headers {
            builder.header(&header.key, form, bytes(header.value)?.as_deref());
        }
        builder.end(Some(read.timestamp.unwrap_or(0)), Some(read.offset.unwrap_or(index as i64)));
    }
    Ok(builder.build())
}

fn payload(raw: Option<&RawValue>) -> Result<Option<Vec<u8>>, String> {
    let Some(raw) = raw.map(RawValue::get) else { return Ok(None) };
    match serde_json::from_str::<Value>(raw).map_err(|error| error.to_string())? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.into_bytes())),
        Value::Object(object) if object.len() == 1 && object.contains_key("base64") => {
            let text = object.get("base64").and_then(Value::as_str).ok_or("base64 is no text")?;
            STANDARD.decode(text).map(Some).map_err(|error| format!("not Base64: {error}"))
        }
        _ => Ok(Some(raw.as_bytes().to_vec())),
    }
}

#[derive(Serialize)]
struct Written<'a> {
    topic: &'a str,
    partition: i32,
    offset: Option<i64>,
    timestamp: Option<i64>,
    key: Value,
    value: Value,
    headers: Vec<WrittenHeader<'a>>,
}

#[derive(Serialize)]
struct WrittenHeader<'a> {
    key: &'a str,
    value: Value,
}

/// A record whose payloads are bytes, as a line without its end.
pub fn write_line(record: &Record<'_>) -> String {
    let headers = record.headers().map(|(key, payload)| WrittenHeader { key, value: shown(payload.bytes) });
    let written = Written {
        topic: record.topic(),
        partition: record.run.partition,
        offset: record.offset,
        timestamp: record.timestamp,
        key: shown(record.key.bytes),
        value: shown(record.value.bytes),
        headers: headers.collect(),
    };
    serde_json::to_string(&written).expect("texts and numbers are JSON")
}

/// A payload as lines show it.
pub(crate) fn shown(bytes: Option<&[u8]>) -> Value {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => Value::Null,
        Some((_, Ok(text))) => text.into(),
        Some((bytes, Err(_))) => serde_json::json!({"base64": STANDARD.encode(bytes)}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_as_they_went() {
        let line = r#"{"topic":"t","partition":3,"offset":7,"timestamp":-1,"key":{"base64":"/w=="},"value":"{\"a\": 1}","headers":[{"key":"h","value":null}]}"#;
        let batch = read_lines(line).expect("a record");
        assert_eq!(batch.records().map(|record| write_line(&record)).collect::<Vec<_>>(), [line]);
    }

    #[test]
    fn what_is_written_by_hand_needs_little() {
        let batch = read_lines("{\"topic\":\"t\",\"value\":{\"a\": 1.50}}\n\n{\"topic\":\"t\"}").expect("two records");
        let seen: Vec<_> = batch.records().map(|record| (record.offset, record.value.bytes)).collect();
        assert_eq!(seen, [(Some(0), Some(&b"{\"a\": 1.50}"[..])), (Some(1), None)]);
    }

    #[test]
    fn a_line_that_is_no_record_is_named() {
        for text in [
            "{\"topic\":\"t\"}\nx",
            "{\"topic\":\"t\"}\n{}",
            "\n{\"topic\":\"t\",\"valu\":1}",
            "\n{\"topic\":\"t\",\"key\":{\"base64\":\"?\"}}",
        ] {
            assert_eq!(read_lines(text).expect_err(text).line, 2);
        }
    }
}
