//! Dead letters: the original bytes of a refused record, with Connect's headers that say what happened.
//!
//! Sinks put back what they consumed, byte for byte, with its own headers. Sources have consumed nothing; theirs is the record as
//! the connector gave it, with the source position in a header.

use towpath_model::{Batch, BatchBuilder, Form, Record, Run, TaskId};

use crate::answers::RecordId;
use crate::errors::Stage;
use crate::settings::ErrorSettings;

const PREFIX: &str = "__connect.errors.";

/// Where a record came from.
#[derive(Clone, Debug)]
pub(crate) enum Origin<'a> {
    /// A position in the log.
    Log,
    /// The positions of a source after the batch that held the record, as a JSON array of partition and offset.
    Source(&'a str),
}

/// Why a record is a dead letter.
#[derive(Clone, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) stage: Stage,
    /// The class that failed, as the configuration names it.
    pub(crate) class: &'a str,
    pub(crate) code: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) origin: Origin<'a>,
}

/// What the headers of a sink's dead letter say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) connector: String,
    /// The record that it was.
    pub(crate) id: RecordId,
    pub(crate) code: String,
    pub(crate) reason: String,
}

/// Reads the headers of a dead letter; none where they do not say what record it was.
pub(crate) fn read_told(letter: &Record<'_>) -> Option<Told> {
    let text = |wanted: &str| {
        let (_, payload) = letter.headers().find(|(name, _)| name.strip_prefix(PREFIX) == Some(wanted))?;
        String::from_utf8(payload.bytes?.to_vec()).ok()
    };
    Some(Told {
        connector: text("connector.name")?,
        id: RecordId {
            topic: text("topic")?.into(),
            partition: text("partition")?.parse().ok()?,
            offset: text("offset")?.parse().ok()?,
        },
        code: text("exception.class.name").unwrap_or_default(),
        reason: text("exception.message").unwrap_or_default(),
    })
}

/// The record as it was before it became a dead letter, as a batch of one.
pub(crate) fn revived(letter: &Record<'_>) -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic(letter.topic());
    builder.run(Run { records: 0, topic, origin: topic, partition: -1, key: Form::BYTES, value: Form::BYTES });
    builder.key(letter.key.bytes);
    builder.value(letter.value.bytes);
    for (name, payload) in letter.headers().filter(|(name, _)| !name.starts_with(PREFIX)) {
        builder.header(name, Form::BYTES, payload.bytes);
    }
    builder.end(letter.timestamp, None);
    builder.build()
}

/// Collects dead letters of one task until they are written.
pub(crate) struct DeadLetters {
    topic: String,
    headers: bool,
    task: TaskId,
    builder: BatchBuilder,
}

impl DeadLetters {
    /// A collector, if a dead letter queue is configured.
    pub(crate) fn new(settings: &ErrorSettings, task: &TaskId) -> Option<Self> {
        let topic = settings.dead_letter_topic.clone()?;
        Some(Self {
            topic,
            headers: settings.dead_letter_headers,
            task: task.clone(),
            builder: BatchBuilder::default(),
        })
    }

    /// Adds a record.
    pub(crate) fn add(&mut self, record: &Record<'_>, context: &Context<'_>, now_ms: i64) {
        let builder = &mut self.builder;
        let topic = builder.topic(&self.topic);
        builder.run(Run { records: 0, topic, origin: topic, partition: -1, key: Form::BYTES, value: Form::BYTES });
        builder.key(record.key.bytes);
        builder.value(record.value.bytes);
        for (name, payload) in record.headers() {
            builder.header(name, Form::BYTES, payload.bytes);
        }
        if self.headers {
            let mut header = |name: &str, value: &str| {
                builder.header(&format!("{PREFIX}{name}"), Form::BYTES, Some(value.as_bytes()));
            };
            match context.origin {
                Origin::Log => {
                    header("topic", record.origin());
                    header("partition", &record.run.partition.to_string());
                    header("offset", &record.offset.unwrap_or(-1).to_string());
                }
                Origin::Source(position) => {
                    header("topic", record.topic());
                    header("source.position", position);
                }
            }
            header("connector.name", self.task.connector.as_str());
            header("task.id", &self.task.task.to_string());
            header("stage", context.stage.name());
            header("class.name", context.class);
            header("exception.class.name", context.code);
            header("exception.message", context.reason);
            header("exception.stacktrace", &format!("{}: {}", context.code, context.reason));
        }
        builder.end(Some(record.timestamp.unwrap_or(now_ms)), None);
    }

    /// What has been collected since the last call.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        let builder = std::mem::take(&mut self.builder);
        (!builder.is_empty()).then(|| builder.build())
    }
}
