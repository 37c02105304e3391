//! Positions that an operator wants a connector to go on from: understood and checked here, written by the supervisor.
//!
//! A position comes in Connect's form, as pairs of JSON objects. Those of a source are checked by its plugin; those of a sink are
//! offsets of its consumer group and must lie in topics that exist. The texts of refusals are Connect's.

use serde_json::{Map, Value};
use towpath_config::{Policy, normalise};
use towpath_log::{GroupOffset, LogEngine};
use towpath_model::{Checkpoint, Config, ConnectorKind, ConnectorName, Plugin, TopicPartition};

use crate::answers::OffsetEntry;
use crate::config::Secrets;
use crate::error::{Error, Result};
use crate::handle::consumer_group;
use crate::store::SourceOffsets;

/// Positions in the form in which they are written, none where one is taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Positions {
    Source(Vec<Checkpoint>),
    Sink(Vec<GroupOffset>),
}

impl Positions {
    /// Understands what an operator has sent.
    ///
    /// # Errors
    /// [`Error::BadRequest`] in Connect's words.
    pub(crate) fn parse(
        name: &ConnectorName,
        kind: ConnectorKind,
        entries: &[OffsetEntry],
        known: &SourceOffsets,
        log: &dyn LogEngine,
    ) -> Result<Self> {
        if entries.is_empty() {
            return refuse("Partitions / offsets need to be provided for an alter offsets request");
        }
        if kind == ConnectorKind::Sink {
            let group = consumer_group(name);
            return entries
                .iter()
                .map(|entry| sink_position(name, &group, entry, log))
                .collect::<Result<_>>()
                .map(Self::Sink);
        }
        let known = known.of(name);
        entries.iter().map(|entry| source_position(entry, &known)).collect::<Result<_>>().map(Self::Source)
    }

    /// Everything that is known of a connector, taken away.
    pub(crate) fn reset(name: &ConnectorName, kind: ConnectorKind, known: &SourceOffsets, log: &dyn LogEngine) -> Self {
        match kind {
            ConnectorKind::Sink => {
                let committed = log.group_offsets(&consumer_group(name)).into_iter();
                Self::Sink(
                    committed.map(|known| GroupOffset { offset: None, metadata: String::new(), ..known }).collect(),
                )
            }
            _ => {
                let known = known.of(name).into_iter();
                Self::Source(known.map(|known| Checkpoint { offset: None, ..known }).collect())
            }
        }
    }

    /// Lets a source's plugin look at where it is to go on; there is nothing to look at where a position is taken away.
    ///
    /// # Errors
    /// [`Error::BadRequest`] with what the plugin says, or why it could not be asked.
    pub(crate) async fn check(
        &self,
        plugin: &dyn Plugin,
        config: &Config,
        policy: &Policy,
        secrets: &Secrets,
    ) -> Result<()> {
        let Self::Source(checkpoints) = self else { return Ok(()) };
        let set: Vec<Checkpoint> =
            checkpoints.iter().filter(|checkpoint| checkpoint.offset.is_some()).cloned().collect();
        if set.is_empty() {
            return Ok(());
        }
        let config = normalise(config, plugin.spec());
        let resolved = secrets.resolve(&config, plugin.spec(), policy).await;
        let resolved = resolved.map_err(|errors| {
            let reasons: Vec<_> = errors.iter().map(ToString::to_string).collect();
            Error::BadRequest(format!("The offsets cannot be checked: {}", reasons.join("; ")))
        })?;
        let checked = plugin.alter_offsets(&resolved.config, &resolved.redactor, &set).await;
        checked.map_err(|error| Error::BadRequest(resolved.redactor.redact(&error.to_string()).into_owned()))
    }
}

fn source_position(entry: &OffsetEntry, known: &[Checkpoint]) -> Result<Checkpoint> {
    if !entry.partition.is_object() {
        return refuse("The partition for a source connector offset must be a JSON object");
    }
    let offset = match &entry.offset {
        Value::Null => None,
        Value::Object(_) => Some(entry.offset.to_string()),
        _ => return refuse("The offset for a source connector must be a JSON object, or null to take it away"),
    };
    // The log compacts by the bytes of a key, so one that is known keeps its spelling, whatever the order of its fields.
    let same =
        |known: &&Checkpoint| serde_json::from_str::<Value>(&known.partition).is_ok_and(|it| it == entry.partition);
    let partition =
        known.iter().find(same).map_or_else(|| entry.partition.to_string(), |known| known.partition.clone());
    Ok(Checkpoint { partition, offset })
}

fn sink_position(name: &ConnectorName, group: &str, entry: &OffsetEntry, log: &dyn LogEngine) -> Result<GroupOffset> {
    let Value::Object(partition) = &entry.partition else {
        return refuse("The partition for a sink connector offset cannot be null or missing");
    };
    let (Some(topic), Some(number)) = (partition.get("kafka_topic"), partition.get("kafka_partition")) else {
        return refuse(
            "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'",
        );
    };
    let Value::String(topic) = topic else {
        return refuse("Kafka topic names must be valid strings and may not be null");
    };
    let number: i32 = integer(number).map_err(|shown| unreadable("partition", &shown))?;
    let offset = match &entry.offset {
        Value::Null => None,
        Value::Object(offset) => Some(sink_offset(offset)?),
        _ => {
            return refuse("The offset for a sink connector should either be null or contain the key 'kafka_offset'");
        }
    };
    let failed =
        |why: String| Error::BadRequest(format!("Failed to alter consumer group offsets for connector {name}: {why}"));
    let there = log.topic(topic).is_some_and(|topic| (0..topic.partitions).contains(&number));
    // What lies in a topic that is gone can still be taken away.
    if !there && offset.is_some() {
        return Err(failed(format!("topic {topic} has no partition {number}")));
    }
    if offset.is_some_and(|offset| offset < 0) {
        return Err(failed("an offset cannot be negative".to_owned()));
    }
    let partition = TopicPartition::new(topic.as_str(), number);
    Ok(GroupOffset { group: group.into(), partition, offset, leader_epoch: None, metadata: String::new() })
}

fn sink_offset(offset: &Map<String, Value>) -> Result<i64> {
    let Some(value) = offset.get("kafka_offset") else {
        return refuse("The offset for a sink connector should either be null or contain the key 'kafka_offset'");
    };
    integer(value).map_err(|shown| unreadable("offset", &shown))
}

/// A number, or a text that is one; or else how it is shown.
fn integer<T: std::str::FromStr>(value: &Value) -> Result<T, String> {
    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    shown.parse().map_err(|_| shown)
}

fn unreadable(what: &str, shown: &str) -> Error {
    let mut capital = what.to_owned();
    capital[..1].make_ascii_uppercase();
    Error::BadRequest(format!(
        "Failed to parse the following Kafka {what} value in the provided offsets: '{shown}'. {capital} values for sink connectors \
         need to be integers."
    ))
}

fn refuse<T>(text: &str) -> Result<T> {
    Err(Error::BadRequest(text.to_owned()))
}
