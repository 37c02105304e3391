//! Records in the form in which they are compared: parsed, and without what differs by nature.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use towpath_tests::LogRecord;

use crate::json::Node;

/// Stands for a value that differs by nature, so that it is only known to be there.
const SOMETHING: &str = "\"~\"";

/// A record to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) key: Node,
    pub(crate) value: Node,
    pub(crate) headers: Node,
}

/// What a side made of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Topic {
    /// The records of the snapshot, by row: in which order a snapshot reads rows is nobody's promise.
    pub(crate) snapshot: Vec<Record>,
    /// The records of the stream, in order.
    pub(crate) stream: Vec<Record>,
}

pub(crate) type Topics = BTreeMap<String, Topic>;

/// How much of a record must be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// Both sides read the same server at the same time: positions, transactions and times of commit are the same.
    SameServer,
    /// The workload was run again on another server.
    OtherServer,
}

impl Topic {
    /// Takes a topic's records apart; the first `in_snapshot` are the snapshot's.
    pub(crate) fn new(records: &[LogRecord], in_snapshot: usize, likeness: Likeness) -> Result<Self> {
        let mut parsed = Vec::with_capacity(records.len());
        for (index, record) in records.iter().enumerate() {
            let likeness = if index < in_snapshot { Likeness::OtherServer } else { likeness };
            parsed.push(
                Record::parse(record, likeness, index < in_snapshot).with_context(|| {
                    format!("record {index} of {}: {:?} {:?}", record.topic, record.key, record.value)
                })?,
            );
        }
        let stream = parsed.split_off(in_snapshot.min(parsed.len()));
        parsed.sort_by_cached_key(Record::row);
        Ok(Self { snapshot: parsed, stream })
    }
}

impl Record {
    fn parse(record: &LogRecord, likeness: Likeness, in_snapshot: bool) -> Result<Self> {
        let payload = |text: &Option<String>| text.as_deref().map_or_else(|| Ok(Node::null()), Node::parse);
        let mut parsed =
            Self { key: payload(&record.key)?, value: payload(&record.value)?, headers: headers(&record.headers)? };
        blank(&mut parsed.headers, &["__debezium.context.runId"]);
        let value = unwrapped(&mut parsed.value);
        // When a record was made.
        blank(value, &["ts_ms", "ts_us", "ts_ns", "__ts_ms"]);
        if in_snapshot {
            blank(value, &["__source_snapshot"]);
        }
        if likeness == Likeness::OtherServer {
            blank(value, &["__lsn", "__transaction"]);
            blank(&mut parsed.headers, &["__source_ts_ms"]);
        }
        let is_message = value.get("message").is_some();
        if let Some(source) = value.get_mut("source") {
            if is_message && source.get("txId").is_some_and(Node::is_null) {
                // A message outside of a transaction has no time: both take the moment at which they saw it.
                blank(source, &["ts_ms", "ts_us", "ts_ns"]);
            }
            if in_snapshot {
                // Each side has its own snapshot, taken at its own moment and read in its own order.
                blank(source, &["snapshot"]);
            }
            if likeness == Likeness::OtherServer {
                blank(source, &["ts_ms", "ts_us", "ts_ns", "txId", "lsn", "sequence"]);
            }
        }
        if likeness == Likeness::OtherServer {
            if let Some(transaction) = value.get_mut("transaction") {
                blank(transaction, &["id"]);
            }
            if value.get("status").is_some() {
                blank(value, &["id"]);
                blank(unwrapped(&mut parsed.key), &["id"]);
            }
        }
        Ok(parsed)
    }

    /// By what the records of a snapshot are put in order: every table of a workload has a column of numbers, and each its own.
    fn row(&self) -> (u64, String) {
        let value = self.payload();
        let row = value.get("after").unwrap_or(value);
        let number = row.get("n").or_else(|| row.get("id")).and_then(|number| number.to_string().parse().ok());
        (number.unwrap_or_default(), row.to_string())
    }

    /// What is the same on both sides if they tell of the same change.
    pub(crate) fn identity(&self) -> (bool, String, String) {
        let value = self.payload();
        let row = value.get("after").filter(|row| !row.is_null()).or_else(|| value.get("before")).unwrap_or(value);
        let text = |node: Option<&Node>| node.map(Node::to_string).unwrap_or_default();
        let change =
            format!("{} {}", text(value.get("op")), text(value.get("source").and_then(|source| source.get("lsn"))));
        (value.is_null(), change, text(row.get("n").or_else(|| row.get("id"))))
    }

    fn payload(&self) -> &Node {
        match self.value.get("payload") {
            Some(payload) if self.value.get("schema").is_some() => payload,
            _ => &self.value,
        }
    }
}

/// The payload of a value that carries its schema, or else the value.
fn unwrapped(value: &mut Node) -> &mut Node {
    let has_schema = value.get("schema").is_some() && value.get("payload").is_some();
    if has_schema { value.get_mut("payload").expect("it has a payload") } else { value }
}

fn blank(node: &mut Node, names: &[&str]) {
    for name in names {
        match node.get_mut(name) {
            Some(found) if !found.is_null() => *found = Node::Scalar(SOMETHING.to_owned()),
            _ => {}
        }
    }
}

/// The list of headers as an object, so that differences name the header. A header's text is JSON where it can be.
fn headers(list: &str) -> Result<Node> {
    let Node::Array(items) = Node::parse(list)? else { return Ok(Node::Object(Vec::new())) };
    let mut headers = Vec::new();
    for item in items {
        let name = item.get("key").and_then(Node::text).context("a header without a name")?;
        let value = match item.get("value").and_then(Node::text) {
            // What Kafka writes there is not always JSON: dates stand without quotes.
            Some(text)
                if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok_and(|_| text.starts_with(['{', '['])) =>
            {
                Node::parse(&text)?
            }
            Some(text) => Node::Scalar(serde_json::to_string(&text)?),
            None => item.get("value").cloned().unwrap_or_else(Node::null),
        };
        headers.push((name, value));
    }
    Ok(Node::Object(headers))
}
