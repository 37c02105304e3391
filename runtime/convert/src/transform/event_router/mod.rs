//! EventRouter: Debezium's outbox. Each row that was inserted into an outbox table becomes an event of its own: the topic after its
//! aggregate type, the key after its aggregate, the payload as value, the rest as headers or beside the payload.

mod config;
mod expand;
mod row;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use regex::Regex;
use towpath_model::{Batch, ConfigKey, Encoding, Field, Form, Record, Run, Schema, Type};

use self::config::Placed;
use self::row::{Row, integer};
use super::java_regex::{Replacement, whole};
use super::part::Added;
use super::scalar::Scalar;
use super::{Rewrite, Settings, envelope, structs};
use crate::draft::{Draft, Rewritten};
use crate::error::Error;
use crate::fault::Fault;
use crate::shape::Shapes;

pub(crate) fn keys() -> Vec<ConfigKey> {
    config::keys()
}

/// Schemas of values that are remembered.
const VALUES_MAX: usize = 4096;

/// Routes events.
pub(crate) struct EventRouter {
    config: config::Outbox,
    regex: Regex,
    replacement: Replacement,
    /// The schema of a value, and where things are in it if it is an envelope's.
    shapes: Shapes<(Arc<Schema>, Option<Arc<Shape>>)>,
}

/// Where things are in an envelope and its row.
struct Shape {
    envelope: Schema,
    op: usize,
    ts_ms: Option<usize>,
    after: usize,
    row: Arc<Schema>,
    /// Deletes and the like are dropped whatever the row looks like.
    columns: Result<Columns, Fault>,
}

/// Texts of schemas by topic and version.
type Values = HashMap<(String, Option<i32>), Arc<str>>;

/// Where things are in a row, and what is written of its schema.
struct Columns {
    /// The texts of the schemas of the row's fields.
    texts: Vec<Arc<str>>,
    /// The texts of the schemas of values with fields beside the payload, by topic and version.
    values: Mutex<Values>,
    payload: usize,
    id: usize,
    key: usize,
    topic: usize,
    timestamp: Option<usize>,
    version: Option<usize>,
    /// The additional fields that the row has.
    placed: Vec<(usize, Placed, Arc<str>)>,
}

/// What becomes of a record.
enum Outcome {
    Keep,
    Drop,
    Event(Box<Event>),
}

/// An event.
struct Event {
    topic: String,
    partition: i32,
    timestamp: Option<i64>,
    key: (Arc<str>, Vec<u8>),
    /// None for a tombstone.
    value: Option<(Arc<str>, Vec<u8>)>,
    headers: Vec<Added>,
}

impl EventRouter {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        let config = config::Outbox::new(settings)?;
        let pattern = settings.get("route.topic.regex").unwrap_or("(?<routedByValue>.*)");
        let regex = whole(settings, "route.topic.regex", pattern)?;
        let replacement = settings.get("route.topic.replacement").unwrap_or("outbox.event.${routedByValue}");
        let replacement = Replacement::new(settings, "route.topic.replacement", replacement, &regex)?;
        Ok(Self { config, regex, replacement, shapes: Shapes::default() })
    }

    fn outcome(&mut self, batch: &Batch, record: &Record<'_>) -> Result<Outcome, Fault> {
        let Some(bytes) = record.value.bytes else { return Ok(Outcome::Drop) };
        if record.value.form.encoding != Encoding::Connect {
            // Without a schema nothing says that this is an envelope; a null goes as any other.
            let is_null = record.value.form.encoding == Encoding::Json && bytes.trim_ascii() == b"null";
            return Ok(if is_null { Outcome::Drop } else { Outcome::Keep });
        }
        let config = &self.config;
        let compile = |schema: Schema| Ok((Arc::new(schema.clone()), Shape::compile(schema, config)?));
        let (schema, shape) = self.shapes.get(batch, record.value.form.schema, compile)?.clone();
        if structs::inner(&schema, bytes)?.is_none() {
            return Ok(Outcome::Drop);
        }
        let Some(shape) = shape else { return Ok(Outcome::Keep) };
        let mut ranges = Vec::new();
        structs::fields(&shape.envelope, bytes, &mut ranges)?;
        let part = |index: usize| ranges.get(index).and_then(|range| bytes.get(range.clone())).unwrap_or_default();
        let op = Scalar::read(&shape.envelope.fields()[shape.op].schema, part(shape.op))?;
        match op {
            Some(Scalar::Text(op)) if op == "d" => return Ok(Outcome::Drop),
            Some(Scalar::Text(op)) if op == "u" && !self.config.updates_fail => return Ok(Outcome::Drop),
            Some(Scalar::Text(op)) if op == "u" => {
                return Err(Fault::transform("Unexpected update message received, fail."));
            }
            _ => {}
        }
        let after = part(shape.after);
        let mut row = Vec::new();
        if !structs::fields(&shape.row, after, &mut row)? {
            return Err(Fault::transform("Only Struct objects supported for [Read Outbox Event], found: null"));
        }
        let row = Row { schema: &shape.row, datum: after, ranges: &row };
        let processed = match shape.ts_ms {
            Some(index) => integer(&shape.envelope.fields()[index].schema, part(index))?,
            None => None,
        };
        let columns = shape.columns.as_ref().map_err(Clone::clone)?;
        self.event(columns, &row, processed).map(|event| Outcome::Event(Box::new(event)))
    }

    fn event(&self, shape: &Columns, row: &Row<'_>, processed: Option<i64>) -> Result<Event, Fault> {
        let timestamp = match shape.timestamp {
            None => processed,
            Some(index) => row.timestamp(index)?.or(processed),
        };
        let topic = row.text(shape.topic)?;
        let mut headers = vec![Added {
            name: "id".into(),
            schema: Some(shape.texts[shape.id].clone()),
            value: Some(row.value(shape.id)?),
        }];
        let (payload_schema, payload, is_expanded) = self.payload(row, shape.payload)?;
        let is_empty = match Scalar::read(&payload_schema, &payload) {
            Ok(None) => true,
            Ok(Some(Scalar::Text(text))) => text.trim().is_empty(),
            _ => false,
        };
        let mut partition = -1;
        let mut fields = vec![Field { name: "payload".into(), schema: payload_schema.clone() }];
        let mut value = payload.clone();
        for (index, placed, alias) in &shape.placed {
            let schema = row.field(*index).schema.clone();
            match placed {
                Placed::Header => {
                    let header = Added {
                        name: alias.clone(),
                        schema: Some(shape.texts[*index].clone()),
                        value: Some(row.value(*index)?),
                    };
                    headers.push(header);
                }
                Placed::Envelope => {
                    fields.push(Field { name: alias.clone(), schema });
                    value.extend_from_slice(&row.value(*index)?);
                }
                Placed::Partition => {
                    let number = integer(&schema, row.bytes(*index))?;
                    partition =
                        number.map_or(Ok(-1), i32::try_from).ok().filter(|partition| *partition >= -1).ok_or_else(
                            || Fault::transform(format!("{} is no number of a partition", row.field(*index).name)),
                        )?;
                }
            }
        }
        let value = match () {
            () if is_empty && self.config.tombstones => None,
            () if !self.config.has_envelope && is_expanded => Some((structs::text(&payload_schema), payload)),
            () if !self.config.has_envelope => Some((shape.texts[shape.payload].clone(), payload)),
            () => {
                let version = match shape.version {
                    Some(index) => integer(&row.field(index).schema, row.bytes(index))?
                        .and_then(|version| i32::try_from(version).ok()),
                    None => None,
                };
                let render = || {
                    let name = routed_name(row.schema.name.as_deref(), topic);
                    let schema = Schema { name: Some(name.into()), version, ..Schema::new(Type::Struct(Vec::new())) };
                    Ok::<_, Fault>(structs::text(&structs::with_fields(&schema, fields)?))
                };
                // What was taken apart has a schema of its own each time.
                let text = if is_expanded { render()? } else { shape.value_text(topic, version, render)? };
                Some((text, value))
            }
        };
        let key = (shape.texts[shape.key].clone(), row.value(shape.key)?);
        let topic = self.replacement.replace(&self.regex, topic).unwrap_or_else(|| topic.to_owned());
        Ok(Event { topic, partition, timestamp, key, value, headers })
    }

    /// The payload and its schema; JSON in a text is taken apart where that is wanted and works, and whether it was.
    fn payload(&self, row: &Row<'_>, index: usize) -> Result<(Arc<Schema>, Vec<u8>, bool), Fault> {
        let schema = row.field(index).schema.clone();
        let datum = row.value(index)?;
        if let Some(expand) = &self.config.expand
            && let Some(Scalar::Text(text)) = Scalar::read(&schema, &datum).ok().flatten()
            && let Some((schema, datum)) = expand.expand(&row.field(index).name, &text)
        {
            return Ok((Arc::new(schema), datum, true));
        }
        Ok((schema, datum, false))
    }
}

/// The name of a value's schema: the topic goes before the last part of the row's.
fn routed_name(row: Option<&str>, topic: &str) -> String {
    match row.map(|name| name.rsplit_once('.').ok_or(name)) {
        None => topic.to_owned(),
        Some(Ok((before, last))) => format!("{before}.{topic}.{last}"),
        Some(Err(name)) => format!("{topic}.{name}"),
    }
}

impl Shape {
    fn compile(schema: Schema, config: &config::Outbox) -> Result<Option<Arc<Self>>, Fault> {
        if !envelope::is_envelope(&schema) {
            return Ok(None);
        }
        let place = |name: &str| envelope::field(&schema, name).map(|(index, _)| index);
        let missing = |name: &str| Fault::transform(format!("the envelope has no field {name}"));
        let (op, after) = (place("op").ok_or_else(|| missing("op"))?, place("after").ok_or_else(|| missing("after"))?);
        let row = schema.fields()[after].schema.clone();
        let columns = Columns::compile(&row, config);
        let shape = Self { op, after, ts_ms: place("ts_ms"), columns, row, envelope: schema };
        Ok(Some(Arc::new(shape)))
    }
}

impl Columns {
    /// The text of a value's schema, rendered once for a topic and version.
    fn value_text(
        &self,
        topic: &str,
        version: Option<i32>,
        render: impl FnOnce() -> Result<Arc<str>, Fault>,
    ) -> Result<Arc<str>, Fault> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let known = (topic.to_owned(), version);
        if let Some(text) = values.get(&known) {
            return Ok(text.clone());
        }
        if values.len() >= VALUES_MAX {
            values.clear();
        }
        let text = render()?;
        values.insert(known, text.clone());
        Ok(text)
    }

    fn compile(row: &Schema, config: &config::Outbox) -> Result<Self, Fault> {
        structs::require(row, "Read Outbox Event")?;
        let position = |name: &str| structs::position(row.fields(), name);
        let needed = |what: &str, name: &str| {
            position(name).ok_or_else(|| Fault::transform(format!("Unable to find {what} field {name} in event")))
        };
        let mut placed = Vec::new();
        for (name, place, alias) in &config.placed {
            match position(name) {
                Some(index) => placed.push((index, *place, alias.clone())),
                None if config.missing_is_ignored => {}
                None => return Err(Fault::transform(format!("Unable to find field {name} in event"))),
            }
        }
        Ok(Self {
            texts: row.fields().iter().map(|field| structs::text(&field.schema)).collect(),
            values: Mutex::default(),
            payload: needed("payload", &config.payload)?,
            id: needed("event-id", &config.id)?,
            key: needed("event-key", &config.key)?,
            topic: needed("route", &config.route_by)?,
            timestamp: config.timestamp.as_deref().map(|name| needed("timestamp", name)).transpose()?,
            // Only a value with fields beside the payload has a schema of its own.
            version: config
                .version
                .as_deref()
                .filter(|_| config.has_envelope)
                .map(|name| needed("schema version", name))
                .transpose()?,
            placed,
        })
    }
}

impl Event {
    fn push(self, draft: &mut Draft, record: &Record<'_>, timestamp: Option<i64>) {
        let key = Form::connect(draft.schema(&self.key.0));
        let value = match &self.value {
            Some((schema, _)) => Form::connect(draft.schema(schema)),
            None => draft.form(record.value.form),
        };
        let topic = draft.builder().topic(&self.topic);
        let run = Run { topic, partition: self.partition, key, value, ..draft.run(record) };
        draft.begin(run, Some(&self.key.1), self.value.as_ref().map(|(_, datum)| datum.as_slice()));
        draft.headers(record);
        self.headers.iter().for_each(|header| draft.add_header(header));
        draft.end_at(record, timestamp);
    }
}

impl Rewrite for EventRouter {
    fn apply(&mut self, batch: &Batch) -> Rewritten {
        self.shapes.begin(batch);
        let outcomes: Vec<_> = batch.records().map(|record| self.outcome(batch, &record)).collect();
        let of_event = |outcome: &Result<Outcome, Fault>| match outcome {
            Ok(Outcome::Event(event)) => event.timestamp,
            _ => None,
        };
        // A batch has timestamps for all records or for none: what has none of its own takes that of the event before it.
        let mut last = outcomes.iter().find_map(of_event);
        let mut draft = Draft::of(batch);
        for (record, outcome) in batch.records().zip(outcomes) {
            let timestamp = of_event(&outcome).or(record.timestamp).or(last);
            match outcome {
                Ok(Outcome::Keep) => {
                    let run = draft.run(&record);
                    draft.begin(run, record.key.bytes, record.value.bytes);
                    draft.headers(&record);
                    draft.end_at(&record, timestamp);
                }
                Ok(Outcome::Drop) => draft.filter(),
                Ok(Outcome::Event(event)) => {
                    event.push(&mut draft, &record, timestamp);
                    last = timestamp;
                }
                Err(fault) => draft.fail(&record, fault),
            }
        }
        draft.finish()
    }
}
