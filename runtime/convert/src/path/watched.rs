//! Records that somebody watches on their way: what each step of a path has made of them, and where they ended.
//!
//! [`Trace`](super::Trace) tells of every step and every failure while there is something to watch; otherwise none of this is touched.
//! What is kept are copies of bytes. They become something to read ([`Content::shown`]) only where they are shown, off the data path.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;
use towpath_model::{Batch, Encoding, Payload, Record, Schema};

use crate::Failure;
use crate::json::{Options, Transcoder};
use crate::lines::shown;

/// More records than these, made of one by one step, are only counted.
const RECORDS_MAX: usize = 16;

/// Where a record is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Station {
    /// What a source gave.
    Source,
    /// What the log holds.
    Log,
    /// A transform.
    Transform {
        /// Its name in `transforms`.
        name: Arc<str>,
        /// Its type.
        class: Arc<str>,
    },
    /// The converters.
    Converter,
    /// What a sink is given, where that is another form than transforms leave.
    Sink,
}

/// The bytes of a key, value or header, and how to read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    encoding: Encoding,
    schema: Option<Arc<str>>,
    bytes: Option<Vec<u8>>,
}

/// A record as it was after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its partition, where it has one already.
    pub partition: Option<i32>,
    /// Its offset in the log, where it has one.
    pub offset: Option<i64>,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// Its key.
    pub key: Content,
    /// Its value.
    pub value: Content,
    /// Its headers.
    pub headers: Vec<(Arc<str>, Content)>,
}

/// What one step has made of a watched record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The step.
    pub station: Station,
    /// Whether the step's predicate let it work on the record.
    pub applied: bool,
    /// What the record is now; several where it was multiplied, none where this was its end.
    pub records: Vec<Seen>,
    /// How many more it was multiplied into.
    pub more: usize,
    /// Why it, or something made of it, failed here.
    pub failure: Option<Failure>,
}

/// How a record's way ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    Passed,
    /// A step dropped it by a stated rule.
    Filtered,
    /// A step could not do its work on it.
    Failed,
}

/// One record's way through a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Its index in the batch that was given.
    index: u32,
    /// What was seen of it, step by step.
    pub stops: Vec<Stop>,
    /// What is known of the step that it is in.
    applied: bool,
    failure: Option<Failure>,
}

/// Records of one batch that are watched.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    passages: Vec<Passage>,
}

impl Watched {
    /// Watches the records at these indexes, which ascend.
    pub fn new(indexes: impl IntoIterator<Item = u32>) -> Self {
        let passage = |index| Passage { index, stops: Vec::new(), applied: true, failure: None };
        Self { passages: indexes.into_iter().map(passage).collect() }
    }

    /// What was seen.
    pub fn into_passages(self) -> Vec<Passage> {
        self.passages
    }

    /// A step is over: `batch` is what came out, `origins` lead back to the batch that was given.
    pub(super) fn see(&mut self, station: &Station, batch: &Batch, origins: &[u32]) {
        for passage in self.passages.iter_mut().filter(|passage| passage.goes_on()) {
            let (applied, failure) = (std::mem::replace(&mut passage.applied, true), passage.failure.take());
            passage.stops.push(Stop { station: station.clone(), applied, records: Vec::new(), more: 0, failure });
        }
        for (record, origin) in batch.records().zip(origins) {
            let Some(stop) = self.of(*origin).and_then(|passage| passage.stops.last_mut()) else { continue };
            if stop.records.len() < RECORDS_MAX {
                stop.records.push(Seen::of(batch, &record));
            } else {
                stop.more += 1;
            }
        }
    }

    /// The step under way works on those records of the current batch alone that are chosen.
    pub(super) fn choose(&mut self, chosen: &[bool], origins: &[u32]) {
        for passage in &mut self.passages {
            passage.applied = origins.iter().zip(chosen).any(|(origin, chosen)| *chosen && *origin == passage.index);
        }
    }

    /// A record failed in the step under way.
    pub(super) fn fail(&mut self, failure: &Failure) {
        if let Some(passage) = self.of(failure.index) {
            passage.failure = Some(failure.clone());
        }
    }

    fn of(&mut self, index: u32) -> Option<&mut Passage> {
        let found = self.passages.binary_search_by_key(&index, |passage| passage.index).ok()?;
        self.passages.get_mut(found)
    }
}

impl Passage {
    /// How it ended, or how it stands.
    pub fn outcome(&self) -> Outcome {
        if self.goes_on() {
            return Outcome::Passed;
        }
        let failed = self.stops.iter().any(|stop| stop.failure.is_some());
        if failed { Outcome::Failed } else { Outcome::Filtered }
    }

    /// How many bytes of records it holds.
    pub fn bytes(&self) -> usize {
        let of_record = |record: &Seen| {
            let headers = record.headers.iter().map(|(name, content)| name.len() + content.len());
            record.key.len() + record.value.len() + headers.sum::<usize>()
        };
        self.stops.iter().flat_map(|stop| &stop.records).map(of_record).sum()
    }

    fn goes_on(&self) -> bool {
        self.stops.last().is_none_or(|stop| !stop.records.is_empty())
    }
}

impl Seen {
    fn of(batch: &Batch, record: &Record<'_>) -> Self {
        let content = |payload: Payload<'_>| Content {
            encoding: payload.form.encoding,
            schema: payload.form.schema.map(|index| batch.schema(index).clone()),
            bytes: payload.bytes.map(<[u8]>::to_vec),
        };
        Self {
            topic: record.topic().clone(),
            partition: Some(record.run.partition).filter(|partition| *partition >= 0),
            offset: record.offset,
            timestamp: record.timestamp,
            key: content(record.key),
            value: content(record.value),
            headers: record.headers().map(|(name, payload)| (name.clone(), content(payload))).collect(),
        }
    }
}

impl Content {
    /// As `towpath tail --json` shows payloads: a text, null, or `{"base64": "…"}`. Data under a schema are shown as JSON.
    pub fn shown(&self) -> Value {
        let json = self.bytes.as_deref().zip(self.parsed()).and_then(|(datum, schema)| as_json(&schema, datum));
        match json.as_deref() {
            Some("null") => Value::Null,
            Some(json) => json.into(),
            None => shown(self.bytes.as_deref()),
        }
    }

    /// The name of its schema, or its type where it has no name.
    pub fn schema_name(&self) -> Option<String> {
        let schema = self.parsed()?;
        Some(schema.name.as_deref().unwrap_or(schema.kind.name()).to_owned())
    }

    fn parsed(&self) -> Option<Schema> {
        let text = self.schema.as_ref().filter(|_| self.encoding == Encoding::Connect)?;
        Schema::parse(text).ok()
    }

    fn len(&self) -> usize {
        self.bytes.as_ref().map_or(0, Vec::len)
    }
}

/// Numbers as numbers, nulls as nulls, whatever a converter may be told to make of them.
fn as_json(schema: &Schema, datum: &[u8]) -> Option<String> {
    let options = Options { numeric_decimals: true, nulls_take_defaults: false, ..Options::default() };
    let mut out = Vec::new();
    Transcoder::new(schema, options).write(datum, &mut out).ok()?;
    String::from_utf8(out).ok()
}
