//! What must be in the log: Postgres itself notes each change of a row, in the transaction that makes it.
//!
//! A trigger writes every insert, update and delete to `audit.changes`, which no pipeline captures. What was rolled back leaves no
//! note. For each key, the events in the log must be the noted changes, all of them, in order and once; where the key begins
//! with a row of the snapshot, those after it. That is stricter than comparing tables: a change that is lost and overtaken by a
//! later one, or delivered twice, is found.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;
use tokio_postgres::Client;

use crate::{LogRecord, Table, canonical};

const INSTALL: &str = r#"
create schema if not exists audit;
create table if not exists audit.changes (
  seq bigserial primary key, name text not null, op text not null, row jsonb not null
);
create or replace function audit.note() returns trigger language plpgsql set timezone = 'UTC' as $$
declare
  name text := tg_table_schema || '.' || tg_table_name;
  moved boolean := false;
  key text;
begin
  if tg_op = 'TRUNCATE' then
    execute format('insert into audit.changes (name, op, row) select %L, ''t'', to_jsonb(gone) from %I.%I gone', name, tg_table_schema, tg_table_name);
    return null;
  end if;
  if tg_op = 'UPDATE' then
    foreach key in array tg_argv loop
      moved := moved or to_jsonb(old) -> key is distinct from to_jsonb(new) -> key;
    end loop;
  end if;
  if tg_op = 'DELETE' or moved then
    insert into audit.changes (name, op, row) values (name, 'd', to_jsonb(old));
  end if;
  if tg_op = 'INSERT' or moved then
    insert into audit.changes (name, op, row) values (name, 'c', to_jsonb(new));
  elsif tg_op = 'UPDATE' then
    insert into audit.changes (name, op, row) values (name, 'u', to_jsonb(new));
  end if;
  return null;
end $$;
"#;

/// A change of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// `c`, `u`, `d`, or `t` for a row that went with all others; in a log also `r`.
    pub op: char,
    /// The row afterwards; of a row that is gone, none.
    pub row: Option<Value>,
}

/// The changes that were noted of one table, by key and in order.
#[derive(Debug)]
pub struct Audit {
    table: Table,
    changes: BTreeMap<String, Vec<Change>>,
}

impl Audit {
    /// Notes all changes of the table from now on.
    pub async fn install(client: &Client, table: &Table) -> Result<()> {
        let (schema, name) = table.name.split_once('.').ok_or_else(|| anyhow!("{} has no schema", table.name))?;
        let key = table.key.join(", ");
        client
            .batch_execute(&format!(
                "{INSTALL} create trigger note after insert or update or delete on {schema}.{name} \
                 for each row execute function audit.note({key}); \
                 create trigger note_truncate before truncate on {schema}.{name} \
                 for each statement execute function audit.note({key})"
            ))
            .await
            .context("installing the audit")
    }

    /// Reads what was noted of the table.
    pub async fn load(client: &Client, table: &Table) -> Result<Self> {
        let rows = client
            .query("select op, row::text from audit.changes where name = $1 order by seq", &[&table.name])
            .await
            .context("reading the audit")?;
        let mut changes: BTreeMap<String, Vec<Change>> = BTreeMap::new();
        for row in rows {
            let op = row.try_get::<_, &str>(0)?.chars().next().unwrap_or('?');
            let row = canonical(&serde_json::from_str(row.try_get::<_, &str>(1)?)?);
            let key = table.key_of(&row)?;
            changes.entry(key).or_default().push(Change { op, row: (!is_gone(op)).then_some(row) });
        }
        Ok(Self { table: table.clone(), changes })
    }

    /// The rows that the changes leave.
    pub fn rows(&self) -> BTreeMap<String, Value> {
        last_rows(&self.changes)
    }

    /// How many changes were noted.
    pub fn len(&self) -> usize {
        self.changes.values().map(Vec::len).sum()
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Compares the records of the table's topic with what was noted, and gives the rows that they leave.
    ///
    /// # Errors
    /// Up to five keys whose events are not what they must be, with both histories.
    pub fn verify(&self, records: &[LogRecord]) -> Result<BTreeMap<String, Value>> {
        check_offsets(records)?;
        let histories = self.histories(records)?;
        let mut faults = Vec::new();
        for key in histories.keys().chain(self.changes.keys().filter(|key| !histories.contains_key(*key))) {
            let in_log = histories.get(key).map(Vec::as_slice).unwrap_or_default();
            let noted = self.changes.get(key).map(Vec::as_slice).unwrap_or_default();
            if let Err(why) = agree(in_log, noted, &self.table) {
                faults.push(format!("key {key}: {why}\n  noted: {}\n  log:   {}", history(noted), history(in_log)));
            }
        }
        if !faults.is_empty() {
            let shown = faults.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
            bail!("{} keys of {} have other events than they must have\n{shown}", faults.len(), self.table.name);
        }
        Ok(last_rows(&histories))
    }

    /// The events of each key, with values that an event leaves out taken from the event before.
    fn histories(&self, records: &[LogRecord]) -> Result<BTreeMap<String, Vec<Change>>> {
        let mut histories: BTreeMap<String, Vec<Change>> = BTreeMap::new();
        let mut moved: Option<Value> = None;
        for record in records {
            let at = || format!("{}-{} at offset {}", record.topic, record.partition, record.offset);
            let Some(value) = &record.value else {
                // A table without a key has no key to mark as gone.
                let Some(key) = &record.key else { continue };
                let key: Value = serde_json::from_str(key)?;
                let changes = histories.entry(self.table.key_of(payload(&key))?).or_default();
                ensure!(
                    changes.last().is_some_and(|change| change.op == 'd'),
                    "a tombstone without a delete in {}",
                    at()
                );
                continue;
            };
            let event: Value = serde_json::from_str(value).with_context(at)?;
            let event = payload(&event);
            let op = event
                .get("op")
                .and_then(Value::as_str)
                .and_then(|op| op.chars().next())
                .ok_or_else(|| anyhow!("no op in {}", at()))?;
            if op == 't' {
                for changes in
                    histories.values_mut().filter(|changes| changes.last().is_some_and(|last| !is_gone(last.op)))
                {
                    changes.push(Change { op, row: None });
                }
                continue;
            }
            let key = match &record.key {
                Some(key) => self.table.key_of(payload(&serde_json::from_str(key)?))?,
                None => {
                    let row = event.get(if op == 'd' { "before" } else { "after" });
                    self.table.key_of(row.ok_or_else(|| anyhow!("no row in {}", at()))?)?
                }
            };
            let changes = histories.entry(key).or_default();
            let before = changes.last().and_then(|change| change.row.clone());
            if op == 'd' {
                moved = before;
                changes.push(Change { op, row: None });
                continue;
            }
            // A changed key arrives as a delete and a create; the create leaves out what the change did not touch.
            let previous = if op == 'c' { moved.as_ref() } else { before.as_ref() };
            let after = event.get("after").ok_or_else(|| anyhow!("no after in {}", at()))?;
            let row = self.table.row(after, previous).with_context(at)?;
            changes.push(Change { op, row: Some(canonical(&row)) });
        }
        Ok(histories)
    }
}

/// Whether the row is gone after such a change.
fn is_gone(op: char) -> bool {
    matches!(op, 'd' | 't')
}

fn last_rows(histories: &BTreeMap<String, Vec<Change>>) -> BTreeMap<String, Value> {
    histories.iter().filter_map(|(key, changes)| Some((key.clone(), changes.last()?.row.clone()?))).collect()
}

/// What a converter with schemas wraps stands under `payload`.
fn payload(value: &Value) -> &Value {
    match value.as_object() {
        Some(fields) if fields.len() == 2 && fields.contains_key("schema") => fields.get("payload").unwrap_or(value),
        _ => value,
    }
}

/// Offsets begin at zero and leave none out.
fn check_offsets(records: &[LogRecord]) -> Result<()> {
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    for record in records {
        let expected = next.entry(record.partition).or_default();
        ensure!(
            record.offset == *expected,
            "{}-{} has offset {} where {expected} is due",
            record.topic,
            record.partition,
            record.offset
        );
        *expected += 1;
    }
    Ok(())
}

/// Events other than snapshot rows are the last of the noted changes, each of them, in order. A snapshot row is the state that the
/// changes before it have left: rows are read again when a snapshot goes on after a crash.
fn agree(in_log: &[Change], noted: &[Change], table: &Table) -> Result<()> {
    let events = in_log.iter().filter(|change| change.op != 'r').count();
    let from = noted.len().checked_sub(events).ok_or_else(|| anyhow!("more events than changes"))?;
    let mut index = from;
    for change in in_log {
        if change.op == 'r' {
            let state = index.checked_sub(1).and_then(|last| noted.get(last)).and_then(|change| change.row.as_ref());
            // A snapshot reads rows as the table is then: columns may have come and gone since the row was written.
            let same =
                change.row.as_ref().zip(state).is_some_and(|(row, state)| table.is_same_but_for_columns(row, state));
            ensure!(same, "a snapshot row is not the row after change {index}");
            continue;
        }
        let Some(due) = noted.get(index) else { bail!("more events than changes") };
        ensure!(change.op == due.op, "event {index} is {} and should be {}", change.op, due.op);
        if !is_same(change.row.as_ref(), due.row.as_ref()) {
            let (event, due) = (change.row.clone().unwrap_or_default(), due.row.clone().unwrap_or_default());
            bail!("event {index} has another row: {event} instead of {due}");
        }
        index += 1;
    }
    // What preceded the first event is in no event. That is right if the row was not there, if a snapshot read it, or if it went
    // before the snapshot came to it.
    let was_there = from.checked_sub(1).and_then(|last| noted.get(last)).is_some_and(|change| !is_gone(change.op));
    ensure!(
        !was_there || in_log.iter().any(|change| change.op == 'r' || is_gone(change.op)),
        "changes are missing at the beginning"
    );
    Ok(())
}

/// Whether an event's row is the noted one. A value that was never in the log, because the row had not been read yet, counts as right.
fn is_same(event: Option<&Value>, noted: Option<&Value>) -> bool {
    match (event, noted) {
        (Some(Value::Object(event)), Some(Value::Object(noted))) => {
            event.len() == noted.len()
                && event.iter().all(|(column, value)| noted.get(column) == Some(value) || Table::is_unavailable(value))
        }
        (event, noted) => event == noted,
    }
}

fn history(changes: &[Change]) -> String {
    changes.iter().map(|change| change.op).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Change, agree, is_gone};
    use crate::Table;

    fn changes(text: &str) -> Vec<Change> {
        let parse = |change: &str| {
            let op = change.chars().next().unwrap();
            Change { op, row: (!is_gone(op)).then(|| json!(change[1..].parse::<i64>().unwrap())) }
        };
        text.split_whitespace().map(parse).collect::<Vec<Change>>()
    }

    fn check(in_log: &str, noted: &str, agrees: bool) {
        let table = Table::without_columns("public.t");
        assert_eq!(agree(&changes(in_log), &changes(noted), &table).is_ok(), agrees, "log {in_log:?}, noted {noted:?}");
    }

    #[test]
    fn events_must_be_the_noted_changes_or_those_after_the_snapshot() {
        check("c1 u2 d", "c1 u2 d", true);
        check("r2 u3", "c1 u2 u3", true);
        check("c4", "c1 d c4", true);
        check("", "c1 d", true);
        check("r1", "c1", true);
        check("u2", "c1 u2", false);
        check("c1 u3", "c1 u2 u3", false);
        check("c1 u2 u2", "c1 u2", false);
        check("r1 u2 u2", "c1 u2", false);
        check("r1", "c1 u2", false);
        check("r1 u3", "c1 u2 u3", false);
        check("", "c1", false);
        check("c1", "c1 d", false);
        check("c1 t c2", "c1 t c2", true);
        check("r1 t", "c1 t", true);
        check("", "c1 t", true);
        check("c1", "c1 t", false);
        check("c1 d", "c1 t", false);
    }

    #[test]
    fn a_snapshot_that_goes_on_reads_rows_as_the_stream_has_left_them() {
        check("u2 r2 u3", "c1 u2 u3", true);
        check("r1 u2 r2", "c1 u2", true);
        check("u2 d", "c1 u2 d", true);
        check("u2 r1 u3", "c1 u2 u3", false);
        check("u2 u3", "c1 u2 u3", false);
    }
}
