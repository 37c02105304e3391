//! Following a topic: where to begin, when to end, and the line of JSON that shows a record.
//!
//! Used by `/v1/topics/{t}/records` and, on a stopped data directory, by the command line: both show the same.
//! Keys, values and headers are shown as the very text that is stored, as JSON strings; what is no UTF-8 stands as
//! `{"base64": "…"}`, so that nothing is changed on the way.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use towpath_model::Record;

use crate::beginning::Beginning;
use crate::log::{Log, LogFault, TopicPartitionEnds};

/// How many bytes are read at once.
const READ_BYTES: usize = 1 << 20;

/// Where to begin and when to end.
#[derive(Clone, Copy, Debug)]
pub struct TailOptions {
    /// Where to begin.
    pub from: Beginning,
    /// End after so many records.
    pub max: Option<u64>,
    /// End where the topic ended when this began.
    pub exit: bool,
}

/// What a step of a [`Tail`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Records; there may be more.
    Records,
    /// Nothing within the time given.
    Quiet,
    /// Nothing more will come.
    Ended,
}

/// Follows the partitions of a topic.
pub struct Tail {
    log: Arc<dyn Log>,
    topic: String,
    /// The next offset of each partition, none once its end is reached.
    positions: Vec<Option<i64>>,
    /// Where each partition ends, if this is to end.
    ends: Option<Vec<i64>>,
    left: u64,
}

impl Tail {
    /// Begins.
    ///
    /// # Errors
    /// [`LogFault::UnknownTopic`], or the log's.
    pub async fn start(log: Arc<dyn Log>, topic: String, options: TailOptions) -> Result<Self, LogFault> {
        let ends = log.ends(&topic)?;
        let begin = match options.from {
            Beginning::Time(timestamp_ms) => log.offsets_at(&topic, timestamp_ms).await?,
            from => ends.iter().map(|ends| begin(from, ends)).collect(),
        };
        let mut tail = Self {
            log,
            topic,
            positions: begin.into_iter().map(Some).collect(),
            ends: options.exit.then(|| ends.iter().map(|ends| ends.high_watermark).collect()),
            left: options.max.unwrap_or(u64::MAX),
        };
        tail.retire_finished();
        Ok(tail)
    }

    /// Reads on, waiting up to `max_wait` for the first record, and hands over record by record. Cancel safe.
    ///
    /// # Errors
    /// The log's.
    pub async fn next(&mut self, max_wait: Duration, mut each: impl FnMut(&Record<'_>)) -> Result<Progress, LogFault> {
        if self.left == 0 || self.positions.iter().all(Option::is_none) {
            return Ok(Progress::Ended);
        }
        let mut positions = self.positions.clone();
        let batches = self.log.read(&self.topic, &mut positions, READ_BYTES, max_wait).await?;
        self.positions = positions;
        let mut progress = Progress::Quiet;
        for record in batches.iter().flat_map(towpath_model::Batch::records) {
            if self.left == 0 {
                break;
            }
            if self.is_past_end(&record) {
                continue;
            }
            self.left -= 1;
            progress = Progress::Records;
            each(&record);
        }
        self.retire_finished();
        Ok(progress)
    }

    fn is_past_end(&self, record: &Record<'_>) -> bool {
        let partition = usize::try_from(record.run.partition).unwrap_or(usize::MAX);
        let end = self.ends.as_ref().and_then(|ends| ends.get(partition));
        end.zip(record.offset).is_some_and(|(end, offset)| offset >= *end)
    }

    fn retire_finished(&mut self) {
        let Some(ends) = &self.ends else { return };
        for (position, end) in self.positions.iter_mut().zip(ends) {
            if position.is_some_and(|position| position >= *end) {
                *position = None;
            }
        }
    }
}

fn begin(from: Beginning, ends: &TopicPartitionEnds) -> i64 {
    match from {
        Beginning::Earliest => ends.start,
        Beginning::Latest | Beginning::Time(_) => ends.high_watermark,
        Beginning::Offset(offset) => offset.clamp(ends.start, ends.high_watermark),
        Beginning::Last(records) => ends.high_watermark.saturating_sub(records).max(ends.start),
    }
}

/// Appends a record as one line of JSON: `topic, partition, offset, timestamp, key, value, headers`.
pub fn write_record(line: &mut Vec<u8>, record: &Record<'_>) {
    line.extend_from_slice(b"{\"topic\":");
    write_text(line, record.topic());
    line.extend_from_slice(format!(",\"partition\":{},\"offset\":", record.run.partition).as_bytes());
    write_number(line, record.offset);
    line.extend_from_slice(b",\"timestamp\":");
    write_number(line, record.timestamp);
    line.extend_from_slice(b",\"key\":");
    write_payload(line, record.key.bytes);
    line.extend_from_slice(b",\"value\":");
    write_payload(line, record.value.bytes);
    line.extend_from_slice(b",\"headers\":[");
    for (index, (name, payload)) in record.headers().enumerate() {
        line.extend_from_slice(if index == 0 { b"{\"key\":" } else { b",{\"key\":" });
        write_text(line, name);
        line.extend_from_slice(b",\"value\":");
        write_payload(line, payload.bytes);
        line.push(b'}');
    }
    line.extend_from_slice(b"]}\n");
}

fn write_payload(line: &mut Vec<u8>, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else { return line.extend_from_slice(b"null") };
    match std::str::from_utf8(bytes) {
        Ok(text) => write_text(line, text),
        Err(_) => {
            line.extend_from_slice(b"{\"base64\":\"");
            line.extend_from_slice(STANDARD.encode(bytes).as_bytes());
            line.extend_from_slice(b"\"}");
        }
    }
}

fn write_text(line: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(line, text).expect("a string always has a JSON form, and a Vec takes every byte");
}

fn write_number(line: &mut Vec<u8>, number: Option<i64>) {
    match number {
        Some(number) => line.extend_from_slice(number.to_string().as_bytes()),
        None => line.extend_from_slice(b"null"),
    }
}
