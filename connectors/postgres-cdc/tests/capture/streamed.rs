//! However the server sends large transactions, the records are the same: whole, or in blocks while they are open, kept in
//! memory or in files, with restarts in between that change from one to the other.

use std::sync::Arc;

use serde_json::Value;
use towpath_postgres_cdc::task::Task;
use towpath_postgres_cdc::wire::Connection;

use crate::support::dice::{Dice, seeds};
use crate::support::log::{Log, Record, config, limits, open};
use crate::support::native::Native;
use crate::support::server::Database;

/// Tables of a session of its own, which it may lock, and one that all share.
const SESSIONS: usize = 3;
/// Transactions above this are sent in blocks.
const WORK_MEM: &str = "64kB";

/// A session and whether it is in a transaction, with how many savepoints, under which name it may be prepared.
struct Session {
    number: usize,
    connection: Connection,
    is_open: bool,
    savepoints: usize,
    columns: usize,
}

impl Session {
    fn run(&mut self, sql: &str) {
        self.connection.query(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    /// One step of a random workload.
    fn step(&mut self, dice: &mut Dice, id: &mut u64) {
        let number = self.number;
        if !self.is_open {
            self.is_open = true;
            return self.run("BEGIN");
        }
        *id += 1000;
        let id = *id;
        let rows = [3, 40, 500][dice.throw(3) as usize];
        match dice.throw(24) {
            0..6 => self.run(&format!(
                "INSERT INTO own{number} SELECT i, md5(i::text) || repeat('x', 60) FROM generate_series({id}, {id} + {rows}) i"
            )),
            6..8 => self.run(&format!("INSERT INTO shared SELECT i, {number} FROM generate_series({id}, {id} + {rows}) i")),
            // Rows of one COPY share their place in the log.
            8 => self.run(&format!("COPY lines{number} FROM PROGRAM 'seq {id} {}'", id + rows)),
            9 => self.run(&format!("UPDATE own{number} SET text = text || 'u' WHERE id % 7 = {}", dice.throw(7))),
            10 => self.run(&format!("UPDATE own{number} SET id = -id WHERE id % 50 = {}", dice.throw(50))),
            11 => self.run(&format!("DELETE FROM own{number} WHERE id % 5 = {}", dice.throw(5))),
            12 => self.run(&format!("INSERT INTO hidden{number} SELECT generate_series(1, {rows})")),
            13 => self.run(&format!("TRUNCATE own{number}, lines{number}")),
            14 if dice.throw(3) == 0 => self.run("SELECT pg_logical_emit_message(true, 'p', repeat('m', 300))"),
            15 => self.run("SELECT pg_logical_emit_message(false, 'p', 'now')"),
            16 if self.columns < 20 => {
                self.columns += 1;
                self.run(&format!("ALTER TABLE own{number} ADD COLUMN more{id} int DEFAULT {rows}"));
            }
            16..19 => {
                self.savepoints += 1;
                let savepoint = self.savepoints;
                self.run(&format!("SAVEPOINT s{savepoint}"));
            }
            19 | 20 if self.savepoints > 0 => {
                let to = 1 + dice.throw(self.savepoints as u64);
                let how = if dice.throw(3) == 0 { "RELEASE" } else { "ROLLBACK TO" };
                self.run(&format!("{how} s{to}"));
                self.savepoints = to as usize - usize::from(how == "RELEASE");
            }
            21 if dice.throw(2) == 0 => {
                self.run(&format!("PREPARE TRANSACTION 'p{id}'"));
                let how = ["COMMIT", "COMMIT", "ROLLBACK"][dice.throw(3) as usize];
                self.run(&format!("{how} PREPARED 'p{id}'"));
                (self.is_open, self.savepoints) = (false, 0);
            }
            22 | 23 => self.end(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"][dice.throw(4) as usize]),
            _ => {}
        }
    }

    fn end(&mut self, how: &str) {
        self.run(how);
        (self.is_open, self.savepoints) = (false, 0);
    }
}

/// The records without what belongs to the moment at which they are made.
fn essence(records: &[Record]) -> Vec<(String, String, String)> {
    let value = |record: &Record| {
        let mut value = record.value.clone();
        if let Value::Object(fields) = &mut value {
            fields.retain(|name, _| !name.starts_with("ts_"));
            // A message outside of any transaction has no time of its own.
            if let Some(Value::Object(source)) = fields.get_mut("source").filter(|source| source["txId"].is_null()) {
                source.retain(|name, _| !name.starts_with("ts_"));
            }
        }
        value.to_string()
    };
    records.iter().map(|record| (record.topic.clone(), record.key.to_string(), value(record))).collect()
}

fn is_over(log: &Log) -> bool {
    log.records.last().is_some_and(|record| record.topic.ends_with(".mark"))
}

/// Takes what a poll brings, without telling the server: any state can be gone back to.
fn poll(task: &mut Task, log: &mut Log, records: usize) {
    match task.poll(limits(records)) {
        Ok(polled) => log.take(&polled),
        Err(error) => assert!(error.is_passing(), "{error}"),
    }
}

fn run(seed: u64) {
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let database = Database::new();
    database.run(&format!("ALTER DATABASE {} SET logical_decoding_work_mem = '{WORK_MEM}'", database.name));
    database.run("CREATE TABLE shared (id int PRIMARY KEY, session int); CREATE TABLE mark (id int PRIMARY KEY)");
    for number in 0..SESSIONS {
        database.run(&format!(
            "CREATE TABLE own{number} (id int PRIMARY KEY, text text); CREATE TABLE lines{number} (line text);
             CREATE TABLE hidden{number} (id int); ALTER TABLE lines{number} REPLICA IDENTITY FULL"
        ));
    }
    let config = |more: &[(&str, &str)]| {
        let base = [
            ("snapshot.mode", "no_data"),
            ("table.exclude.list", r"public\.hidden.*"),
            ("publication.autocreate.mode", "all_tables"),
            ("skipped.operations", "none"),
        ];
        config(&database, &[&base, more].concat())
    };
    let begun = {
        let (host, mut log) = (Arc::new(Native::default()), Log::default());
        let mut task = open(&config(&[]), &log, &host);
        while log.offsets.is_empty() {
            poll(&mut task, &mut log, 100);
        }
        task.close();
        log
    };
    let mut id = 0;
    let mut sessions: Vec<Session> = (0..SESSIONS)
        .map(|number| Session { number, connection: database.session(), is_open: false, savepoints: 0, columns: 2 })
        .collect();
    for _ in 0..200 {
        let one = dice.throw(SESSIONS as u64) as usize;
        sessions[one].step(&mut dice, &mut id);
    }
    for session in &mut sessions {
        session.end("COMMIT");
    }
    database.run("INSERT INTO mark VALUES (1)");

    let read = |name: &str, more: &[(&str, &str)]| {
        let (host, mut log) = (Arc::new(Native::default()), begun.clone());
        let mut task = open(&config(more), &log, &host);
        for _ in 0..3000 {
            poll(&mut task, &mut log, 1000);
            if is_over(&log) {
                break;
            }
        }
        assert!(is_over(&log), "{name} came to {} records", log.records.len());
        task.close();
        (log, host)
    };
    let (whole, host) = read("whole", &[("streaming.mode", "off")]);
    assert_eq!(host.count("streamed_transactions"), 0);
    let expected = essence(&whole.records);
    let same = |name: &str, log: &Log| {
        let found = essence(&log.records);
        let differs = found.iter().zip(&expected).position(|(found, expected)| found != expected);
        assert_eq!(
            differs,
            None,
            "{name}: {:?} instead of {:?}",
            found[differs.unwrap_or(0)],
            expected[differs.unwrap_or(0)]
        );
        assert_eq!(found.len(), expected.len(), "{name}");
    };
    let (in_memory, host) = read("in memory", &[("streaming.buffer.bytes", "100000000")]);
    assert!(host.count("streamed_transactions") > 0 && host.count("streamed_bytes_spilled") == 0);
    same("in memory", &in_memory);
    let (in_files, host) = read("in files", &[("streaming.buffer.bytes", "65536")]);
    assert!(host.count("streamed_bytes_spilled") > 0);
    same("in files", &in_files);

    // Restarts anywhere, from one way to another.
    let (host, mut log, mut restarts) = (Arc::new(Native::default()), begun.clone(), 0);
    while !is_over(&log) {
        let more = [("streaming.mode", ["off", "on"][dice.throw(2) as usize]), ("streaming.buffer.bytes", "65536")];
        let mut task = open(&config(&more), &log, &host);
        for _ in 0..=dice.throw(10) {
            poll(&mut task, &mut log, 1 + dice.throw(expected.len() as u64 / 50) as usize);
        }
        task.close();
        restarts += 1;
        assert!(restarts < 300, "it came to {} records of {}", log.records.len(), expected.len());
    }
    println!("{} records, {restarts} restarts", log.records.len());
    same("with restarts", &log);
}

#[test]
fn records_are_the_same_however_large_transactions_are_sent() {
    for seed in seeds(1) {
        run(seed);
    }
}
