//! Records of a sink that wait to be put again while others pass them: the topic `connect-retries-<connector>`.
//!
//! A record stands under `["<topic>",<partition>,<offset>]` as it was consumed; only its key is in a header, as the topic is compacted
//! by ours. How it fares stands beside it, under the same with `"attempt"` behind, so that whoever repeats a record and whoever
//! edits it do not write over each other. Both are removed once it is delivered, dropped or a dead letter.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use towpath_log::{Error as LogError, Fetch, Fetched, LogEngine, Topic, records};
use towpath_model::{Batch, BatchBuilder, ConnectorName, Form, Headers, Record, Run, TopicPartition};

use crate::answers::{RecordId, RetryState};
use crate::batch;

const KEY_HEADER: &str = "__towpath.retry.key";
const NULL_HEADER: &str = "__towpath.retry.null";
const ATTEMPT: &str = "attempt";
/// Whatever was consumed must fit, and what a row has beside it.
const RECORDS_OF_ANY_SIZE: (&str, &str) = ("max.message.bytes", "2147483647");
/// How much is read at a time.
const READ_BYTES: usize = 1 << 20;

/// The topic of a connector.
pub(crate) fn retries_topic(connector: &ConnectorName) -> String {
    format!("{}{connector}", towpath_log::RETRIES_PREFIX)
}

/// The topic, made where it is not there yet.
pub(crate) async fn ensure_retries(log: &dyn LogEngine, connector: &ConnectorName) -> Result<Topic, LogError> {
    records::compacted(log, &retries_topic(connector), 1, &[RECORDS_OF_ANY_SIZE]).await
}

/// What a record of the topic says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Row<'a> {
    /// A record waits; its key as consumed.
    Waits(Option<&'a [u8]>),
    /// It does not wait any more.
    Gone,
    /// How it fares.
    Fares(RetryState),
    /// Nothing is known any more of how it fares.
    Forgotten,
}

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Key {
    Record(String, i32, i64),
    Attempt(String, i32, i64, String),
}

/// What a record of the topic says, and of which record; none where it is not one of ours.
pub(crate) fn read_row<'a>(record: &Record<'a>) -> Option<(RecordId, Row<'a>)> {
    let id = |topic: String, partition, offset| RecordId { topic: topic.into(), partition, offset };
    match serde_json::from_slice(record.key.bytes?).ok()? {
        Key::Record(topic, partition, offset) => {
            let key = || record.headers().find(|(name, _)| &***name == KEY_HEADER).and_then(|(_, key)| key.bytes);
            Some((id(topic, partition, offset), record.value.bytes.map_or(Row::Gone, |_| Row::Waits(key()))))
        }
        Key::Attempt(topic, partition, offset, what) if what == ATTEMPT => {
            let fares = match record.value.bytes {
                Some(value) => Row::Fares(serde_json::from_slice(value).ok()?),
                None => Row::Forgotten,
            };
            Some((id(topic, partition, offset), fares))
        }
        Key::Attempt(..) => None,
    }
}

/// Rows for the topic of one connector.
pub(crate) struct Rows {
    topic: String,
    builder: BatchBuilder,
}

impl Rows {
    pub(crate) fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), builder: BatchBuilder::default() }
    }

    /// A record waits from now on.
    pub(crate) fn waits(&mut self, record: &Record<'_>, id: &RecordId, now_ms: i64) {
        self.content(id, record.key.bytes, record.value.bytes, record.headers(), record.timestamp.unwrap_or(now_ms));
    }

    /// A record that waits has this value from now on.
    pub(crate) fn edited(&mut self, record: &Record<'_>, id: &RecordId, value: Option<&[u8]>, now_ms: i64) {
        self.content(id, record.key.bytes, value, record.headers(), record.timestamp.unwrap_or(now_ms));
    }

    fn content(
        &mut self,
        id: &RecordId,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Headers<'_>,
        timestamp: i64,
    ) {
        self.row(&Key::Record(id.topic.to_string(), id.partition, id.offset), Some(value.unwrap_or_default()));
        for (name, payload) in headers {
            self.builder.header(name, Form::BYTES, payload.bytes);
        }
        if key.is_some() {
            self.builder.header(KEY_HEADER, Form::BYTES, key);
        }
        if value.is_none() {
            self.builder.header(NULL_HEADER, Form::BYTES, None);
        }
        self.builder.end(Some(timestamp), None);
    }

    /// This is how it fares.
    pub(crate) fn fares(&mut self, id: &RecordId, attempt: &RetryState, now_ms: i64) {
        let value = serde_json::to_vec(attempt).expect("plain fields have a form in JSON");
        self.row(&attempt_key(id), Some(&value));
        self.builder.end(Some(now_ms), None);
    }

    /// It does not wait any more.
    pub(crate) fn gone(&mut self, id: &RecordId, now_ms: i64) {
        for key in [Key::Record(id.topic.to_string(), id.partition, id.offset), attempt_key(id)] {
            self.row(&key, None);
            self.builder.end(Some(now_ms), None);
        }
    }

    fn row(&mut self, key: &Key, value: Option<&[u8]>) {
        let topic = self.builder.topic(&self.topic);
        self.builder.run(Run { records: 0, topic, origin: topic, partition: 0, key: Form::BYTES, value: Form::BYTES });
        self.builder.key(Some(&serde_json::to_vec(key).expect("plain fields have a form in JSON")));
        self.builder.value(value);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.builder.is_empty()
    }

    /// The rows since the last call.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        let builder = std::mem::take(&mut self.builder);
        (!builder.is_empty()).then(|| builder.build())
    }
}

fn attempt_key(id: &RecordId) -> Key {
    Key::Attempt(id.topic.to_string(), id.partition, id.offset, ATTEMPT.to_owned())
}

fn is_ours(header: &str) -> bool {
    header == KEY_HEADER || header == NULL_HEADER
}

/// Adds a record that waits as it was consumed.
fn restore(builder: &mut BatchBuilder, row: &Record<'_>, id: &RecordId) {
    let topic = builder.topic(&id.topic);
    builder.run(Run {
        records: 0,
        topic,
        origin: topic,
        partition: id.partition,
        key: Form::BYTES,
        value: Form::BYTES,
    });
    let (mut key, mut value) = (None, row.value.bytes);
    for (name, payload) in row.headers() {
        match &**name {
            KEY_HEADER => key = payload.bytes,
            NULL_HEADER => value = None,
            _ => {}
        }
    }
    builder.key(key);
    builder.value(value);
    for (name, payload) in row.headers().filter(|(name, _)| !is_ours(name)) {
        builder.header(name, Form::BYTES, payload.bytes);
    }
    builder.end(row.timestamp, Some(id.offset));
}

/// Reads rows from an offset of the topic on, waiting for the first.
pub(crate) async fn read_rows(
    log: &dyn LogEngine,
    topic: &str,
    offset: i64,
    wait: Duration,
) -> Result<Option<Fetched>, LogError> {
    let partition = TopicPartition::new(topic, 0);
    // What compaction removed at the front is not missed.
    let offset = offset.max(log.offsets(&partition)?.start);
    Ok(log.fetch(&[Fetch { partition, offset }], READ_BYTES, wait).await?.into_iter().next())
}

/// Reads the topic from an offset to its present end, and answers where to go on.
pub(crate) async fn read_all_rows(
    log: &dyn LogEngine,
    topic: &str,
    mut offset: i64,
    mut each: impl FnMut(&Batch),
) -> Result<i64, LogError> {
    let end = log.offsets(&TopicPartition::new(topic, 0))?.high_watermark;
    while offset < end {
        let rows = read_rows(log, topic, offset, Duration::ZERO).await?;
        let Some(rows) = rows.filter(|rows| rows.next_offset > offset) else { break };
        each(&rows.records);
        offset = rows.next_offset;
    }
    Ok(offset)
}

/// Reads records that stand at these places, as they were consumed and in this order, until there are so many bytes of them. It ends before
/// one that compaction has removed, as there is something newer of it: what stands behind may have to wait for that.
pub(crate) async fn read_given(
    log: &dyn LogEngine,
    topic: &str,
    given: &[(RecordId, i64)],
    bytes_max: usize,
) -> Result<Batch, LogError> {
    let wanted: HashMap<i64, &RecordId> = given.iter().map(|(id, at)| (*at, id)).collect();
    let (mut read, mut records, mut bytes) = (HashMap::new(), Vec::new(), 0);
    for (_, at) in given {
        if bytes >= bytes_max {
            break;
        }
        if !read.contains_key(at) {
            let Some(fetched) = read_rows(log, topic, *at, Duration::ZERO).await? else { break };
            for row in fetched.records.records() {
                if let Some((at, id)) = row.offset.and_then(|offset| wanted.get_key_value(&offset)) {
                    let mut builder = BatchBuilder::default();
                    restore(&mut builder, &row, id);
                    read.insert(*at, builder.build());
                }
            }
        }
        let Some(record) = read.remove(at) else { break };
        bytes += record.payload_bytes();
        records.push(record);
    }
    Ok(batch::join(records))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> RecordId {
        RecordId { topic: "orders \"x\"".into(), partition: 3, offset: 17 }
    }

    fn consumed(key: Option<&[u8]>, value: Option<&[u8]>) -> Batch {
        let mut builder = BatchBuilder::default();
        let topic = builder.topic("orders \"x\"");
        builder.run(Run { records: 0, topic, origin: topic, partition: 3, key: Form::BYTES, value: Form::BYTES });
        builder.key(key);
        builder.value(value);
        builder.header("h", Form::BYTES, Some(b"1"));
        builder.end(Some(5), Some(17));
        builder.build()
    }

    fn shape(batch: &Batch) -> Vec<String> {
        let shape = |record: Record<'_>| {
            let headers: Vec<_> = record.headers().map(|(name, payload)| (name, payload.bytes)).collect();
            let place = (record.topic(), record.origin(), record.run.partition, record.offset, record.timestamp);
            format!("{place:?} {:?} {:?} {headers:?}", record.key.bytes, record.value.bytes)
        };
        batch.records().map(shape).collect()
    }

    #[test]
    fn a_record_comes_back_as_it_was_consumed() {
        for (key, value) in [(Some(&b"k"[..]), Some(&b"v"[..])), (None, Some(b"")), (Some(b""), None), (None, None)] {
            let original = consumed(key, value);
            let mut rows = Rows::new("connect-retries-s");
            rows.waits(&original.records().next().expect("one"), &id(), 9);
            let stored = rows.take().expect("a row");
            let row = stored.records().next().expect("one");
            assert_eq!(read_row(&row), Some((id(), Row::Waits(key))));
            let mut builder = BatchBuilder::default();
            restore(&mut builder, &row, &id());
            let restored = builder.build();
            assert_eq!(shape(&restored), shape(&original));
        }
    }

    #[test]
    fn how_it_fares_and_that_it_is_gone_are_read_back() {
        let attempt = RetryState {
            stage: "TASK_PUT".into(),
            attempt: 2,
            cause: "r".into(),
            code: "c".into(),
            since_ms: 1,
            next_ms: 7,
        };
        let mut rows = Rows::new("connect-retries-s");
        rows.fares(&id(), &attempt, 9);
        rows.gone(&id(), 9);
        let stored = rows.take().expect("rows");
        let read: Vec<_> = stored.records().map(|record| read_row(&record)).collect();
        assert_eq!(read, [Row::Fares(attempt), Row::Gone, Row::Forgotten].map(|row| Some((id(), row))));
        assert!(rows.take().is_none());
    }
}
