//! What must hold after any number of crashes.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Result, anyhow, bail, ensure};
use bytes::Bytes;
use serde_json::Value;
use tokio_postgres::Client;
use towpath_tests::{Audit, LogRecord, Object, Table, canonical};

/// The log holds every change that Postgres noted, in order and once, and the tables rebuilt from it are those of the source.
pub(super) async fn log_is_the_source(client: &Client, table: &Table, records: &[LogRecord]) -> Result<usize> {
    let audit = Audit::load(client, table).await?;
    each_snapshot_reads_a_row_once(table, records)?;
    let rebuilt = audit.verify(records)?;
    let source = table.rows(client).await?;
    let differs = |key: &&String| {
        let rows = source.get(*key).zip(rebuilt.get(*key));
        !rows.is_some_and(|(source, rebuilt)| table.is_same_but_for_columns(source, rebuilt))
    };
    let differing: Vec<&String> = source.keys().chain(rebuilt.keys()).filter(differs).take(5).collect();
    ensure!(differing.is_empty(), "{} differs from its source at keys {differing:?}", table.name);
    Ok(audit.len())
}

/// However often a snapshot is interrupted, what it goes on with is another snapshot, and none reads a row twice.
fn each_snapshot_reads_a_row_once(table: &Table, records: &[LogRecord]) -> Result<()> {
    let mut read = HashSet::new();
    for record in records {
        let Some(value) = &record.value else { continue };
        let event: Value = serde_json::from_str(value)?;
        if event.get("op").and_then(Value::as_str) != Some("r") {
            continue;
        }
        let key = table.key_of(event.get("after").unwrap_or(&Value::Null))?;
        let snapshot = event.pointer("/source/lsn").and_then(Value::as_u64);
        ensure!(
            read.insert((key, snapshot)),
            "a row was read twice: {}-{} at offset {}",
            record.topic,
            record.partition,
            record.offset
        );
    }
    Ok(())
}

/// The objects of a topic, one after the other, are its values: each offset in exactly one object, in order, where its name says.
pub(super) fn objects_hold_each_offset_once(topic: &str, records: &[LogRecord], objects: &[Object]) -> Result<()> {
    let mut due: BTreeMap<i32, Vec<(i64, Value)>> = BTreeMap::new();
    for record in records {
        if let Some(value) = &record.value {
            due.entry(record.partition).or_default().push((record.offset, serde_json::from_str(value)?));
        }
    }
    for (partition, due) in &due {
        let mut rest = due.as_slice();
        for object in objects.iter().filter(|object| object.topic == topic && object.partition == *partition) {
            let (now, later) = rest.split_at_checked(object.lines.len()).ok_or_else(|| {
                anyhow!(
                    "{} holds {} lines where {} values are left: some are there twice",
                    object.key,
                    object.lines.len(),
                    rest.len()
                )
            })?;
            // An object's name carries the first offset it took, whose record may have had no value to write.
            let first = now.first().map_or(object.first_offset, |(offset, _)| *offset);
            ensure!(object.first_offset <= first, "{} begins with offset {first}", object.key);
            for ((offset, value), line) in now.iter().zip(&object.lines) {
                let line: Value = serde_json::from_str(line)?;
                ensure!(
                    canonical(value) == canonical(&line),
                    "{} has another value at offset {offset}: {line} instead of {value}",
                    object.key
                );
            }
            rest = later;
        }
        ensure!(
            rest.is_empty(),
            "{} values of {topic}-{partition} are in no object, the first at offset {}",
            rest.len(),
            rest[0].0
        );
    }
    Ok(())
}

/// The bodies of accepted requests as single values, with the order in which each first came. A body is one value, or a list.
pub(super) fn delivered_values(bodies: &[Bytes]) -> Result<HashMap<String, usize>> {
    let mut values = HashMap::new();
    for body in bodies {
        let elements = match serde_json::from_slice(body)? {
            Value::Array(elements) => elements,
            value => vec![value],
        };
        for value in elements {
            let order = values.len();
            values.entry(canonical(&value).to_string()).or_insert(order);
        }
    }
    Ok(values)
}

/// Every value of the log came to the endpoint, and those of one key came in order.
pub(super) fn endpoint_got_everything(records: &[LogRecord], delivered: &HashMap<String, usize>) -> Result<()> {
    let mut last: HashMap<&str, (usize, i64)> = HashMap::new();
    for record in records {
        let Some(value) = &record.value else { continue };
        let value = canonical(&serde_json::from_str(value)?).to_string();
        let place = || format!("{}-{} at offset {}", record.topic, record.partition, record.offset);
        let Some(order) = delivered.get(&value) else { bail!("the endpoint never got {}", place()) };
        // What has no key has no order of its own.
        let Some(key) = &record.key else { continue };
        if let Some((earlier, offset)) = last.insert(key, (*order, record.offset)) {
            ensure!(earlier < *order, "the endpoint got {} before offset {offset} of the same key {key}", place());
        }
    }
    Ok(())
}
