//! A log in memory, and a worker that fills it: records and positions are taken together, then the task hears of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use towpath_model::datum::Reader;
use towpath_model::{Batch, Checkpoint, Config, Encoding, Payload, Polled, Progress, Schema, SystemClock};
use towpath_postgres_cdc::config::Settings;
use towpath_postgres_cdc::error::Error;
use towpath_postgres_cdc::schema::datum_to_json;
use towpath_postgres_cdc::stream::Limits;
use towpath_postgres_cdc::task::{Run, Task};

use super::native::Native;
use super::server::Database;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) topic: String,
    pub(crate) key: Value,
    pub(crate) value: Value,
    pub(crate) headers: Vec<(String, Value)>,
    /// The bytes of the row as it is now.
    pub(crate) row: Vec<u8>,
    pub(crate) schema: Option<Schema>,
}

impl Record {
    pub(crate) fn op(&self) -> &str {
        self.value["op"].as_str().unwrap_or("tombstone")
    }

    pub(crate) fn after(&self) -> &Value {
        &self.value["after"]
    }

    /// The schema of a column.
    pub(crate) fn column(&self, name: &str) -> &Schema {
        let row =
            self.schema.as_ref().map(Schema::fields).expect("a schema").iter().find(|field| *field.name == *"after");
        let field = row.expect("a row").schema.fields().iter().find(|field| *field.name == *name);
        &field.unwrap_or_else(|| panic!("there is no column {name}")).schema
    }
}

#[derive(Clone, Default)]
pub(crate) struct Log {
    pub(crate) records: Vec<Record>,
    pub(crate) offsets: BTreeMap<String, String>,
}

impl Log {
    pub(crate) fn take(&mut self, polled: &Polled) {
        self.records.extend(records(&polled.records));
        for checkpoint in &polled.checkpoints {
            match &checkpoint.offset {
                Some(offset) => self.offsets.insert(checkpoint.partition.clone(), offset.clone()),
                None => self.offsets.remove(&checkpoint.partition),
            };
        }
    }

    pub(crate) fn checkpoints(&self) -> Vec<Checkpoint> {
        let entry = |(partition, offset): (&String, &String)| Checkpoint {
            partition: partition.clone(),
            offset: Some(offset.clone()),
        };
        self.offsets.iter().map(entry).collect()
    }

    pub(crate) fn ops(&self) -> String {
        self.records.iter().map(|record| record.op().chars().next().unwrap_or('?')).collect()
    }

    /// The rows of a topic as the records leave them, by key.
    pub(crate) fn table(&self, topic: &str) -> BTreeMap<String, Value> {
        let mut rows = BTreeMap::new();
        for record in self.records.iter().filter(|record| record.topic == topic) {
            let key = record.key.to_string();
            match record.op() {
                "d" | "tombstone" => {
                    rows.remove(&key);
                }
                _ => {
                    rows.insert(key, record.after().clone());
                }
            }
        }
        rows
    }

    /// No two records have the same table, key, position and operation.
    pub(crate) fn assert_no_duplicates(&self) {
        let mut seen = std::collections::BTreeSet::new();
        for record in self.records.iter().filter(|record| record.op() != "tombstone") {
            let source = &record.value["source"];
            let identity =
                format!("{} {} {} {} {}", record.topic, record.key, source["lsn"], source["txId"], record.op());
            assert!(seen.insert(identity.clone()), "twice: {identity}");
        }
    }
}

pub(crate) fn records(batch: &Batch) -> Vec<Record> {
    let schemas = std::cell::RefCell::new(BTreeMap::new());
    let read = |payload: Payload<'_>| match (payload.bytes, payload.form.encoding, payload.form.schema) {
        (Some(bytes), Encoding::Connect, Some(schema)) => {
            let mut schemas = schemas.borrow_mut();
            let schema =
                schemas.entry(schema).or_insert_with(|| Schema::parse(batch.schema(schema)).expect("a schema"));
            let mut reader = Reader::new(bytes);
            let value = datum_to_json(schema, &mut reader).expect("a datum");
            assert!(reader.is_at_end(), "bytes are left");
            value
        }
        _ => Value::Null,
    };
    batch
        .records()
        .map(|record| {
            let schema = record.value.form.schema.filter(|_| record.value.bytes.is_some());
            let schema = schema.map(|schema| Schema::parse(batch.schema(schema)).expect("a schema"));
            Record {
                topic: record.topic().to_string(),
                key: read(record.key),
                value: read(record.value),
                headers: record.headers().map(|(name, value)| (name.to_string(), read(value))).collect(),
                row: schema
                    .as_ref()
                    .zip(record.value.bytes)
                    .map_or_else(Vec::new, |(schema, bytes)| row(schema, bytes)),
                schema,
            }
        })
        .collect()
}

/// The bytes of the field `after`.
fn row(schema: &Schema, bytes: &[u8]) -> Vec<u8> {
    let mut reader = Reader::new(bytes);
    for field in schema.fields() {
        let start = reader.position();
        datum_to_json(&field.schema, &mut reader).expect("a datum");
        if *field.name == *"after" {
            return bytes[start..reader.position()].to_vec();
        }
    }
    Vec::new()
}

pub(crate) fn config(database: &Database, settings: &[(&str, &str)]) -> Config {
    let port = database.server.port.to_string();
    let base = [
        ("database.hostname", "127.0.0.1"),
        ("database.port", port.as_str()),
        ("database.user", "postgres"),
        ("database.dbname", database.name.as_str()),
        ("database.sslmode", "prefer"),
        ("topic.prefix", "shop"),
        ("slot.name", database.name.as_str()),
        ("status.update.interval.ms", "50"),
    ];
    base.into_iter().chain(settings.iter().copied()).collect()
}

pub(crate) fn open(config: &Config, log: &Log, host: &Arc<Native>) -> Task {
    let settings = Settings::parse(config).expect("valid");
    let run = Run { task: 0, id: "run".into() };
    Task::open(settings, &run, &log.checkpoints(), host.clone(), Arc::new(SystemClock::default())).expect("opens")
}

pub(crate) fn limits(records: usize) -> Limits {
    Limits { records, bytes: 1 << 20, wait: Duration::from_millis(20) }
}

/// Polls once; the log takes what comes and the task hears of it.
pub(crate) fn poll(task: &mut Task, log: &mut Log, records: usize) -> Result<Progress, Error> {
    let polled = task.poll(limits(records))?;
    log.take(&polled);
    if !polled.checkpoints.is_empty() {
        task.commit(&polled.checkpoints)?;
    }
    Ok(polled.progress)
}

/// Polls until `done` holds of the log. Passing errors are followed by another poll.
pub(crate) fn poll_until(task: &mut Task, log: &mut Log, records: usize, done: impl Fn(&Log) -> bool) {
    for _ in 0..3000 {
        match poll(task, log, records) {
            Ok(_) => {}
            Err(error) if error.is_passing() => std::thread::park_timeout(Duration::from_millis(5)),
            Err(error) => panic!("{error}"),
        }
        if done(log) {
            return;
        }
    }
    panic!("it never came about; the log holds {} records: {:?}", log.records.len(), log.ops());
}
