//! Every position is one to go on from: exactly the rest comes.

use std::sync::Arc;

use crate::support::log::{Log, config, limits, open, poll_until};
use crate::support::native::Native;
use crate::support::server::Database;

#[test]
fn a_restart_at_any_position_gives_exactly_the_rest() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE hidden (id int PRIMARY KEY)");
    let config = config(&database, &[("table.include.list", "public.t")]);
    let (host, mut log) = (Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| !log.offsets.is_empty());
    drop(task);
    let start = log.clone();
    // Interleaved transactions, savepoints, filtered tables, rows that share a place in the log, keys that change.
    let mut other = database.session();
    other.query("BEGIN").expect("begins");
    other.query("INSERT INTO t VALUES (100, 1), (101, 1), (102, 1)").expect("inserts");
    database
        .run("BEGIN; INSERT INTO t VALUES (1, 0), (2, 0); INSERT INTO hidden VALUES (1); UPDATE t SET v = 1; COMMIT");
    other.query("UPDATE t SET id = 200 WHERE id = 100").expect("updates");
    other.query("COMMIT").expect("commits");
    database.run("BEGIN; INSERT INTO hidden VALUES (2); SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; DELETE FROM t WHERE id = 1; COMMIT");
    database.run("TRUNCATE hidden, t");
    database.run("INSERT INTO t SELECT i, i FROM generate_series(300, 305) i");

    // One change a poll; nothing is made durable, so that the slot keeps all of it.
    let mut states = vec![start.clone()];
    let mut task = open(&config, &start, &host);
    for _ in 0..400 {
        let polled = task.poll(limits(1)).expect("polls");
        if polled.checkpoints.is_empty() {
            continue;
        }
        log.take(&polled);
        states.push(log.clone());
        if log.records.last().is_some_and(|record| record.after()["id"] == 305) {
            break;
        }
    }
    drop(task);
    assert_eq!(log.ops(), "ccuucccdtcdtcccccc");
    log.assert_no_duplicates();
    assert!(states.len() > 12);
    for state in &states {
        let mut rest = state.clone();
        let mut task = open(&config, state, &host);
        poll_until_length(&mut task, &mut rest, log.records.len());
        let strip = |log: &Log| -> Vec<_> {
            let fields = |record: &crate::support::log::Record| {
                (record.key.clone(), record.value["op"].clone(), record.after().clone(), record.value["source"].clone())
            };
            log.records.iter().map(fields).collect()
        };
        assert_eq!(strip(&rest), strip(&log), "from {:?}", state.offsets);
    }
}

fn poll_until_length(task: &mut towpath_postgres_cdc::task::Task, log: &mut Log, length: usize) {
    // Without feedback, so that later states can still be gone back to.
    for _ in 0..500 {
        match task.poll(limits(100)) {
            Ok(polled) => log.take(&polled),
            Err(error) => assert!(error.is_passing(), "{error}"),
        }
        if log.records.len() >= length {
            return;
        }
    }
    panic!("only {} of {length} records", log.records.len());
}
