//! What the log holds, read with `towpath tail` as an operator would.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::process::Command;

use crate::towpath_binary;

/// A record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// When it was written, in milliseconds since the epoch.
    pub timestamp: i64,
    /// The key's text; none for a null key.
    pub key: Option<String>,
    /// The value's text; none for a tombstone.
    pub value: Option<String>,
    /// The headers as printed.
    pub headers: String,
}

#[derive(Deserialize)]
struct Line<'a> {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp: i64,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    headers: Option<&'a RawValue>,
}

/// All records of `topic` in the data directory, from the earliest on. A topic that does not exist has none.
pub async fn tail(data_dir: &Path, topic: &str) -> Result<Vec<LogRecord>> {
    let output = Command::new(towpath_binary()?)
        .args(["tail", topic, "--json", "--exit", "--from", "earliest", "--data-dir"])
        .arg(data_dir)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("running towpath tail")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        if errors.contains("does not exist") || errors.contains("unknown_topic") {
            return Ok(Vec::new());
        }
        bail!("towpath tail {topic} failed ({}): {errors}", output.status);
    }
    let text = String::from_utf8(output.stdout)?;
    let mut records = text.lines().map(parse).collect::<Result<Vec<_>>>()?;
    records.sort_by_key(|record| (record.partition, record.offset));
    Ok(records)
}

fn parse(line: &str) -> Result<LogRecord> {
    let parsed: Line<'_> = serde_json::from_str(line).with_context(|| format!("a line of towpath tail: {line}"))?;
    Ok(LogRecord {
        topic: parsed.topic,
        partition: parsed.partition,
        offset: parsed.offset,
        timestamp: parsed.timestamp,
        key: text(parsed.key)?,
        value: text(parsed.value)?,
        headers: parsed.headers.map_or_else(String::new, |headers| headers.get().to_owned()),
    })
}

/// Text stands as it is; a JSON string is its contents.
fn text(raw: Option<&RawValue>) -> Result<Option<String>> {
    match raw.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(quoted) if quoted.starts_with('"') => Ok(Some(serde_json::from_str(quoted)?)),
        Some(plain) => Ok(Some(plain.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_line_is_read_whether_payloads_are_quoted_or_not() {
        let quoted =
            r#"{"topic":"t","partition":0,"offset":7,"timestamp":1,"key":"{\"id\":1}","value":null,"headers":{}}"#;
        let plain = r#"{"topic":"t","partition":0,"offset":7,"timestamp":1,"key":{"id":1},"value":null,"headers":{}}"#;
        let (quoted, plain) = (parse(quoted).unwrap(), parse(plain).unwrap());
        assert_eq!(quoted, plain);
        assert_eq!(plain.key.as_deref(), Some(r#"{"id":1}"#));
        assert_eq!(plain.value, None);
    }
}
