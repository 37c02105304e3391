//! Where the task stands, as it is stored with the records: Debezium's keys unchanged, and ours beside them.
//!
//! The position is a commit's place in the log and how many row changes of that transaction are delivered. It grows with
//! every change, so equal positions never occur, and the server can be asked for exactly the rest. One source partition
//! holds the position; while a snapshot is under way, one more for each table begun is its ledger: which of its
//! places are read.

use serde_json::{Map, Value, json};
use towpath_model::Checkpoint;

use crate::envelope::TransactionCounts;
use crate::error::Error;
use crate::snapshot::Ranges;

/// A place in the stream: transactions whose commit stands before `lsn` are delivered, and of the one whose commit stands
/// at `lsn` the first `ordinal` row changes, counted before any filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Where to begin.
    pub lsn: u64,
    /// How many changes are delivered of the transaction there.
    pub ordinal: u64,
}

/// How far the snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotState {
    /// There was none, and none is due.
    None,
    /// It has begun.
    Running,
    /// It is complete.
    Completed,
}

/// What the last record was, in Debezium's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its own place in the log.
    pub lsn: u64,
    /// Its transaction.
    pub xid: u64,
    /// When that was committed, in microseconds since 1970.
    pub ts_us: i64,
    /// What it did: `INSERT`, `UPDATE`, `DELETE`, `TRUNCATE`, `COMMIT`, or empty for a row of a snapshot.
    pub kind: &'static str,
}

/// The value of the main source partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offset {
    /// The place in the stream.
    pub position: Position,
    /// The end of the last transaction that is delivered whole.
    pub last_commit: Option<u64>,
    /// How far the snapshot is.
    pub snapshot: SnapshotState,
    /// The server's own number, which tells one cluster from another.
    pub system: Option<String>,
    /// Changes to leave out after a takeover from Debezium: in this transaction, through this place.
    pub taken_over: Option<(u64, u64)>,
    /// What the transaction has brought in which the position is, where transactions are told of.
    pub transaction: Option<TransactionCounts>,
}

impl Offset {
    /// Reads a stored value.
    ///
    /// # Errors
    /// When it is neither ours nor Debezium's.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let value: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| Error::Offset("not a JSON object".into()))?;
        let number = |key: &str| value.get(key).and_then(Value::as_u64);
        let last_commit = number("lsn_commit");
        let snapshot = match (value.get("snapshot_completed").and_then(Value::as_bool), value.contains_key("snapshot"))
        {
            (Some(false), _) | (None, true) => SnapshotState::Running,
            _ => SnapshotState::Completed,
        };
        let mut taken_over = None;
        let position = match (number("position_lsn"), last_commit.or(number("lsn"))) {
            (Some(lsn), _) => Position { lsn, ordinal: number("position_ordinal").unwrap_or(0) },
            (None, Some(lsn)) => {
                let kind = value.get("messageType").and_then(Value::as_str).unwrap_or("COMMIT");
                if !matches!(kind, "COMMIT" | "BEGIN") {
                    taken_over = number("txId").zip(number("lsn_proc").or(number("lsn")));
                }
                Position { lsn, ordinal: 0 }
            }
            (None, None) => return Err(Error::Offset("it has neither `position_lsn` nor `lsn`".into())),
        };
        let system = value.get("system_id").and_then(Value::as_str).map(str::to_owned);
        let transaction = read_counts(&value);
        Ok(Self { position, last_commit, snapshot, system, taken_over, transaction })
    }

    /// The value to store after `event`.
    pub fn to_json(&self, event: &Event) -> String {
        let mut value = Map::new();
        let mut set = |key: &str, entry: Value| {
            value.insert(key.into(), entry);
        };
        if self.snapshot == SnapshotState::None || event.kind.is_empty() && self.snapshot == SnapshotState::Completed {
            set("last_snapshot_record", json!(true));
        } else if self.snapshot == SnapshotState::Running {
            set("last_snapshot_record", json!(false));
        }
        set("lsn", json!(event.lsn));
        set("txId", json!(event.xid));
        set("ts_usec", json!(event.ts_us));
        if !event.kind.is_empty() {
            set("lsn_proc", json!(event.lsn));
            set("messageType", json!(event.kind));
        }
        if let Some(commit) = self.last_commit {
            set("lsn_commit", json!(commit));
        }
        match self.snapshot {
            SnapshotState::Running => {
                set("snapshot", json!("INITIAL"));
                set("snapshot_completed", json!(false));
            }
            SnapshotState::Completed if event.kind.is_empty() => {
                set("snapshot", json!("INITIAL"));
                set("snapshot_completed", json!(true));
            }
            _ => {}
        }
        set("position_lsn", json!(self.position.lsn));
        set("position_ordinal", json!(self.position.ordinal));
        if let Some(system) = &self.system {
            set("system_id", json!(system));
        }
        if let Some(counts) = &self.transaction {
            set("transaction_id", json!(counts.xid.to_string()));
            for (table, count) in &counts.tables {
                set(&format!("{ORDER_OF}{table}"), json!(count));
            }
        }
        Value::Object(value).to_string()
    }
}

/// Debezium's key for the events of a table in the transaction under way.
const ORDER_OF: &str = "transaction_data_collection_order_";

/// The counts of the transaction under way; Debezium may have a place behind the transaction's number.
fn read_counts(value: &Map<String, Value>) -> Option<TransactionCounts> {
    let xid = value.get("transaction_id")?.as_str()?.split(':').next()?.parse().ok()?;
    let count = |(key, count): (&String, &Value)| Some((key.strip_prefix(ORDER_OF)?.to_owned(), count.as_u64()?));
    let tables: Vec<_> = value.iter().filter_map(count).collect();
    Some(TransactionCounts { xid, total: tables.iter().map(|(_, count)| count).sum(), tables })
}

/// How far a table is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableProgress {
    /// The places that are read.
    pub read: Ranges,
    /// The rows that are delivered.
    pub rows: u64,
    /// The file that the rows were read from; another one means that they stand elsewhere now.
    pub file: u64,
    /// The oldest transaction that was open when reading began.
    pub xmin: u64,
}

impl TableProgress {
    /// Reads a stored value.
    pub fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let number = |key: &str| value.get(key).and_then(Value::as_u64);
        let read = Ranges::parse(value.get("read")?)?;
        Some(Self { read, rows: number("rows")?, file: number("file")?, xmin: number("xmin")? })
    }

    /// The value to store.
    pub fn to_json(&self) -> String {
        json!({
            "read": self.read.to_json(),
            "finished": self.read.is_whole(),
            "rows": self.rows,
            "file": self.file,
            "xmin": self.xmin,
        })
        .to_string()
    }
}

/// The main source partition, as Debezium has it.
pub fn main_partition(prefix: &str) -> String {
    json!({ "server": prefix }).to_string()
}

/// The source partition of a table whose snapshot has begun.
pub fn table_partition(prefix: &str, table: &str) -> String {
    json!({ "server": prefix, "table": table }).to_string()
}

/// What the stored positions of one connector say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The main partition.
    pub offset: Option<Offset>,
    /// Tables whose snapshot has begun.
    pub tables: Vec<(String, TableProgress)>,
}

impl Stored {
    /// Sorts stored positions; those of another prefix are not ours.
    ///
    /// # Errors
    /// When a value of ours cannot be read.
    pub fn parse(prefix: &str, checkpoints: &[Checkpoint]) -> Result<Self, Error> {
        let mut stored = Self::default();
        for checkpoint in checkpoints {
            let partition: Value = serde_json::from_str(&checkpoint.partition)
                .map_err(|_| Error::Offset("a source partition is not a JSON object".into()))?;
            let Some(offset) = &checkpoint.offset else { continue };
            if partition.get("server").and_then(Value::as_str) != Some(prefix) {
                continue;
            }
            match partition.get("table").and_then(Value::as_str) {
                None => stored.offset = Some(Offset::parse(offset)?),
                Some(table) => {
                    let progress = TableProgress::parse(offset)
                        .ok_or_else(|| Error::Offset(format!("the progress of {table} cannot be read")))?;
                    stored.tables.push((table.to_owned(), progress));
                }
            }
        }
        Ok(stored)
    }
}

/// A place in the log as PostgreSQL writes it.
pub fn show_lsn(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff)
}

/// Reads a place in the log as PostgreSQL writes it.
pub fn parse_lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    Some(u64::from(u32::from_str_radix(high, 16).ok()?) << 32 | u64::from(u32::from_str_radix(low, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_survives_storing() {
        for snapshot in [SnapshotState::Running, SnapshotState::Completed] {
            let offset = Offset {
                position: Position { lsn: 764_200_600, ordinal: 7 },
                last_commit: Some(764_200_672),
                snapshot,
                system: Some("7311".into()),
                taken_over: None,
                transaction: Some(TransactionCounts { xid: 7, total: 3, tables: vec![("public.t".into(), 3)] }),
            };
            for kind in ["UPDATE", ""] {
                let event = Event { lsn: 764_212_624, xid: 1772, ts_us: 1_795_214_308_437_158, kind };
                assert_eq!(Offset::parse(&offset.to_json(&event)).expect("ours"), offset);
            }
        }
    }

    #[test]
    fn an_offset_of_debezium_is_taken_over_where_it_stopped() {
        let text = r#"{"lsn_proc":764212624,"messageType":"UPDATE","lsn_commit":764200672,"lsn":764212624,"txId":1772,"ts_usec":1}"#;
        let offset = Offset::parse(text).expect("Debezium's");
        assert_eq!(offset.position, Position { lsn: 764_200_672, ordinal: 0 });
        assert_eq!(offset.taken_over, Some((1772, 764_212_624)));
        assert_eq!(offset.snapshot, SnapshotState::Completed);
        assert!(Offset::parse("{}").is_err() && Offset::parse("[]").is_err());
    }

    #[test]
    fn places_in_the_log_are_shown_as_the_server_does() {
        assert_eq!(show_lsn(0x16_B374_D848), "16/B374D848");
        assert_eq!(parse_lsn("16/B374D848"), Some(0x16_B374_D848));
        assert_eq!(parse_lsn("x"), None);
    }
}
