//! TimestampRouter: puts a record's time into the name of its topic. Payloads are not touched.

use std::collections::HashMap;

use towpath_model::{Batch, ConfigKey, Importance, Run, ValueType};

use super::date_format::DateFormat;
use super::{Rewrite, Settings};
use crate::draft::{Draft, Rewritten};
use crate::error::Error;
use crate::fault::Fault;
use crate::keys::default_key;

pub(crate) fn keys() -> Vec<ConfigKey> {
    let text =
        |name: &str, default: &str, doc: &str| default_key(name, ValueType::String, default, Importance::High, doc);
    vec![
        text(
            "topic.format",
            "${topic}-${timestamp}",
            "The new topic; `${topic}` is the old one, `${timestamp}` the record's time.",
        ),
        text("timestamp.format", "yyyyMMdd", "Pattern of Java's SimpleDateFormat for the time, in UTC."),
    ]
}

/// Renames topics by time.
pub(crate) struct TimestampRouter {
    topic_format: String,
    timestamp_format: DateFormat,
}

impl TimestampRouter {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        let pattern = settings.get("timestamp.format").unwrap_or("yyyyMMdd");
        let timestamp_format =
            DateFormat::new(pattern).map_err(|reason| Error::value(settings.key("timestamp.format"), reason))?;
        let topic_format = settings.get("topic.format").unwrap_or("${topic}-${timestamp}").to_owned();
        Ok(Self { topic_format, timestamp_format })
    }
}

impl Rewrite for TimestampRouter {
    fn apply(&mut self, batch: &Batch) -> Rewritten {
        if batch.columns().timestamps.is_empty() {
            let mut draft = Draft::of(batch);
            batch.records().for_each(|record| draft.fail(&record, Fault::transform("Timestamp missing on record")));
            return draft.finish();
        }
        let mut columns = batch.columns().clone();
        let mut known: HashMap<(u32, String), u32> = HashMap::new();
        let mut runs: Vec<Run> = Vec::with_capacity(columns.runs.len());
        let mut last: Option<(u32, i64, u32)> = None;
        let mut time = String::new();
        for record in batch.records() {
            let old = record.run.topic;
            let timestamp = record.timestamp.unwrap_or_default();
            let topic = match last {
                Some((topic, at, new)) if (topic, at) == (old, timestamp) => new,
                _ => {
                    time.clear();
                    self.timestamp_format.write(timestamp, &mut time);
                    let topics = &mut columns.topics;
                    *known.entry((old, time.clone())).or_insert_with(|| {
                        let name = self.topic_format.replace("${topic}", record.topic()).replace("${timestamp}", &time);
                        topics.push(name.into());
                        topics.len() as u32 - 1
                    })
                }
            };
            last = Some((old, timestamp, topic));
            let run = Run { records: 0, topic, ..*record.run };
            match runs.last_mut() {
                Some(last) if (Run { records: 0, ..*last }) == run => last.records += 1,
                _ => runs.push(Run { records: 1, ..run }),
            }
        }
        columns.runs = runs;
        Rewritten::unchanged(Batch::new(columns).expect("each run's topic is in the dictionary"))
    }
}
