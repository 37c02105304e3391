//! `towpath produce TOPIC`: records from stdin, one a line.
//!
//! What is read while a batch is on its way makes the next one, so a pipe is quick and a person at a terminal waits for nothing. Records
//! of a partition stay in their order.

use std::collections::BTreeMap;
use std::io::BufRead as _;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use towpath_broker::admin::NewRecord;
use towpath_log::partition_of_key;
use towpath_model::{Clock as _, SystemClock};

use crate::client::Target;
use crate::failure::{Failure, Result};
use crate::operator::{self, Operator, failure};
use crate::output::{print, print_json};

/// Records of a batch at most, and the bytes after which no further one is added: REST takes bodies of a megabyte.
const BATCH_RECORDS: usize = 1_000;
const BATCH_BYTES: usize = 400_000;

/// Append records from stdin to a topic, one a line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The topic.
    topic: String,
    /// What stands between key and value; without it lines are values.
    #[arg(short = 'K', long, env = "TOWPATH_KEY_SEPARATOR", value_name = "TEXT", allow_hyphen_values = true)]
    key_separator: Option<String>,
    /// A header for every record; may be repeated.
    #[arg(short = 'H', long, env = "TOWPATH_HEADER", value_name = "KEY=VALUE")]
    header: Vec<String>,
    /// Keys and values that are exactly this text become null; a null value is a tombstone.
    #[arg(short = 'Z', long, env = "TOWPATH_NULL", value_name = "TEXT", allow_hyphen_values = true)]
    null: Option<String>,
    /// The partition, instead of that of the key.
    #[arg(short, long, env = "TOWPATH_PARTITION", value_name = "N")]
    partition: Option<i32>,
    /// Lines are JSON as `tail --json` prints it: key, value, headers, partition and timestamp are used where they are given.
    #[arg(long, env = "TOWPATH_JSON", conflicts_with_all = ["key_separator", "null"])]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// A record and the partition that it says it is for.
type Parsed = (Option<i32>, NewRecord);

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let headers = arguments.header.iter().map(|text| header(text)).collect::<Result<Vec<_>>>()?;
    let mut operator = operator::find(&arguments.target).await?;
    let partitions = operator.partitions_to_fill(&arguments.topic).await.map_err(failure)?;
    let (sender, mut lines) = mpsc::channel(BATCH_RECORDS);
    // It ends with stdin, or when nobody takes its lines any more.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().split(b'\n') {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    let mut sent = Sent { partitions, records: 0, in_turn: 0 };
    let mut number = 0u64;
    let mut ready: Vec<std::io::Result<Vec<u8>>> = Vec::new();
    while lines.recv_many(&mut ready, BATCH_RECORDS).await > 0 {
        let mut batch = Vec::with_capacity(ready.len());
        for line in ready.drain(..) {
            number += 1;
            let line = line.map_err(Failure::environment)?;
            let line = line.strip_suffix(b"\r").map(<[u8]>::to_vec).unwrap_or(line);
            let parsed = parse(&arguments, line, &headers);
            batch.push(parsed.map_err(|reason| Failure::input(format!("line {number}: {reason}")))?);
        }
        sent.send(&mut operator, &arguments, batch).await?;
    }
    let Sent { records, .. } = sent;
    match arguments.json {
        true => print_json(&json!({"topic": arguments.topic, "records": records})),
        false => print([format!("{records} records are durable in {}", arguments.topic)]),
    }
}

struct Sent {
    partitions: i32,
    records: usize,
    /// Whose turn it is among partitions, for records without a key.
    in_turn: i32,
}

impl Sent {
    async fn send(&mut self, operator: &mut Operator, arguments: &Arguments, batch: Vec<Parsed>) -> Result<()> {
        let mut by_partition: BTreeMap<i32, Vec<NewRecord>> = BTreeMap::new();
        for (partition, record) in batch {
            let of_key = |key: &Bytes| partition_of_key(key, self.partitions);
            let chosen = arguments.partition.or(partition).or_else(|| record.key.as_ref().map(of_key));
            by_partition.entry(chosen.unwrap_or(self.in_turn)).or_default().push(record);
        }
        self.in_turn = (self.in_turn + 1) % self.partitions.max(1);
        for (partition, records) in by_partition {
            let mut rest = records.as_slice();
            while !rest.is_empty() {
                let (batch, later) = rest.split_at(fitting(rest));
                operator.produce(&arguments.topic, partition, batch).await.map_err(failure)?;
                self.records += batch.len();
                rest = later;
            }
        }
        Ok(())
    }
}

/// How many of these go into one batch, at least one.
fn fitting(records: &[NewRecord]) -> usize {
    let mut bytes = 0;
    let length = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
    let over = records.iter().position(|record| {
        let full = bytes >= BATCH_BYTES;
        bytes += length(&record.key) + length(&record.value) + 64;
        full
    });
    over.unwrap_or(records.len())
}

fn header(text: &str) -> Result<(String, Option<Bytes>)> {
    let (key, value) =
        text.split_once('=').ok_or_else(|| Failure::input(format!("--header {text:?} is not written KEY=VALUE")))?;
    Ok((key.to_owned(), Some(Bytes::copy_from_slice(value.as_bytes()))))
}

fn parse(arguments: &Arguments, line: Vec<u8>, headers: &[(String, Option<Bytes>)]) -> Result<Parsed, String> {
    let now_ms = SystemClock::default().now_ms();
    if arguments.json {
        return from_json(&line, headers, now_ms);
    }
    let (key, value) = match &arguments.key_separator {
        None => (None, line),
        Some(separator) => {
            let at = line.windows(separator.len().max(1)).position(|part| part == separator.as_bytes());
            let at = at.ok_or_else(|| format!("it has no {separator:?} between key and value"))?;
            let (key, rest) = line.split_at(at);
            (Some(key.to_vec()), rest.get(separator.len()..).unwrap_or_default().to_vec())
        }
    };
    let not_null = |part: Vec<u8>| {
        let null = arguments.null.as_ref().is_some_and(|null| null.as_bytes() == part);
        (!null).then(|| Bytes::from(part))
    };
    let (key, value) = (key.and_then(not_null), not_null(value));
    Ok((None, NewRecord { key, value, headers: headers.to_vec(), timestamp_ms: now_ms }))
}

#[derive(Deserialize)]
#[serde(default)]
struct Line {
    partition: Option<i32>,
    timestamp: Option<i64>,
    key: Value,
    value: Value,
    headers: Vec<LineHeader>,
}

impl Default for Line {
    fn default() -> Self {
        Self { partition: None, timestamp: None, key: Value::Null, value: Value::Null, headers: Vec::new() }
    }
}

#[derive(Deserialize)]
struct LineHeader {
    key: String,
    value: Value,
}

fn from_json(line: &[u8], more: &[(String, Option<Bytes>)], now_ms: i64) -> Result<Parsed, String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| format!("it is no record in JSON: {error}"))?;
    let mut headers = Vec::with_capacity(line.headers.len() + more.len());
    for header in line.headers {
        headers.push((header.key, payload(header.value)?));
    }
    headers.extend_from_slice(more);
    let timestamp_ms = line.timestamp.unwrap_or(now_ms);
    let (key, value) = (payload(line.key)?, payload(line.value)?);
    Ok((line.partition, NewRecord { key, value, headers, timestamp_ms }))
}

/// Text as it is, bytes from base64; any other JSON as its own text.
fn payload(value: Value) -> Result<Option<Bytes>, String> {
    use base64::Engine as _;
    Ok(match value {
        Value::Null => None,
        Value::String(text) => Some(text.into_bytes().into()),
        Value::Object(map) if map.len() == 1 && map.contains_key("base64") => {
            let text = map.get("base64").and_then(Value::as_str).unwrap_or_default();
            let decoded = base64::engine::general_purpose::STANDARD.decode(text);
            Some(decoded.map_err(|error| format!("its base64 cannot be read: {error}"))?.into())
        }
        other => Some(other.to_string().into_bytes().into()),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Flags {
        #[command(flatten)]
        produce: Arguments,
    }

    fn parsed(flags: &[&str], line: &str) -> Result<Parsed, String> {
        let flags = Flags::try_parse_from([&["towpath", "t"], flags].concat()).expect("flags");
        parse(&flags.produce, line.as_bytes().to_vec(), &[])
    }

    fn bytes(text: &str) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_line_is_a_value_or_a_key_and_a_value_or_json() {
        let parts = |flags: &[&str], line: &str| {
            let (partition, record) = parsed(flags, line).expect(line);
            (partition, record.key, record.value)
        };
        assert_eq!(parts(&[], "a:b"), (None, None, bytes("a:b")));
        assert_eq!(parts(&["-K:"], "a:b:c"), (None, bytes("a"), bytes("b:c")));
        assert_eq!(parts(&["-K", "->", "-Z", "NULL"], "a->NULL"), (None, bytes("a"), None));
        assert_eq!(
            parts(&["--json"], r#"{"key":"k","value":{"a":1},"partition":2}"#),
            (Some(2), bytes("k"), bytes(r#"{"a":1}"#))
        );
        assert_eq!(
            parts(&["--json"], r#"{"value":{"base64":"/w=="}}"#),
            (None, None, Some(Bytes::from_static(&[0xff])))
        );
        assert!(parsed(&["-K:"], "ab").expect_err("no separator").contains("\":\""));
        assert!(parsed(&["--json"], "ab").is_err());
    }

    #[test]
    fn what_tail_prints_goes_back_in() {
        let line = r#"{"topic":"t","partition":1,"offset":42,"timestamp":7,"key":null,"value":"v","headers":[{"key":"h","value":"1"}]}"#;
        let (partition, record) = parsed(&["--json"], line).expect("a record");
        assert_eq!(partition, Some(1));
        let headers = vec![("h".to_owned(), bytes("1"))];
        assert_eq!(record, NewRecord { key: None, value: bytes("v"), headers, timestamp_ms: 7 });
    }

    #[test]
    fn batches_stay_within_bounds_and_hold_at_least_one() {
        let large = NewRecord { value: Some(Bytes::from(vec![0; BATCH_BYTES])), ..NewRecord::default() };
        assert_eq!(fitting(&[large.clone(), large.clone()]), 1);
        assert_eq!(fitting(&[NewRecord::default(), NewRecord::default()]), 2);
    }
}
