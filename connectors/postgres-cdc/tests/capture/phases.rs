//! Snapshot, stream, and what comes between: crashes, lost connections, idleness.

use std::sync::Arc;

use towpath_postgres_cdc::task::Task;

use crate::support::log::{Log, config, open, poll, poll_until};
use crate::support::native::Native;
use crate::support::server::Database;

#[test]
fn a_snapshot_is_followed_by_every_change() {
    let database = Database::new();
    database.run("CREATE TABLE t (id serial PRIMARY KEY, name text NOT NULL, note varchar(20))");
    database.run("INSERT INTO t (name) SELECT 'n' || i FROM generate_series(1, 1000) i");
    let (config, host, mut log) = (config(&database, &[]), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 1000);
    assert_eq!(log.records[0].value["source"]["snapshot"], "first");
    assert_eq!(log.records[500].value["source"]["snapshot"], "true");
    assert_eq!(log.records[999].value["source"]["snapshot"], "last");
    database.run("INSERT INTO t (name) VALUES ('new')");
    database.run("UPDATE t SET note = 'x' WHERE id = 1");
    database.run("UPDATE t SET id = 5000 WHERE id = 2");
    database.run("DELETE FROM t WHERE id = 3");
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 1007);
    assert_eq!(log.ops()[1000..], *"cudtcdt");
    task.close();
}

#[test]
fn rolled_back_changes_never_appear() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
    let (config, host, mut log) = (config(&database, &[]), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| !log.offsets.is_empty());
    database.run("BEGIN; INSERT INTO t VALUES (1, 'gone'); ROLLBACK");
    database.run(
        "BEGIN; INSERT INTO t VALUES (2, 'a'); SAVEPOINT s; INSERT INTO t VALUES (3, 'gone'); ROLLBACK TO s; \
         UPDATE t SET v = 'b' WHERE id = 2; COMMIT",
    );
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 2);
    assert_eq!(log.ops(), "cu");
    assert_eq!(log.table("shop.public.t")[r#"{"id":2}"#]["v"], "b");
}

#[test]
fn a_crash_in_the_snapshot_neither_loses_nor_repeats() {
    let database = Database::new();
    database.run("CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text)");
    database.run("INSERT INTO a SELECT i, 'a' || i FROM generate_series(1, 300) i");
    database.run("INSERT INTO b SELECT i, 'b' || i FROM generate_series(1, 300) i");
    let (config, host, mut log) = (config(&database, &[]), Arc::new(Native::default()), Log::default());
    // Each life delivers a little, then dies; meanwhile rows change, move, come and go.
    for life in 0..12 {
        let mut task = open(&config, &log, &host);
        let before = log.records.len();
        for _ in 0..2000 {
            let _ = poll(&mut task, &mut log, 37);
            if log.records.len() >= before + 40 {
                break;
            }
        }
        drop(task);
        database.run(&format!("UPDATE b SET v = v || '.{life}' WHERE id % 7 = {}", life % 7));
        database.run(&format!(
            "DELETE FROM a WHERE id = {}; DELETE FROM b WHERE id = {}",
            20 * life + 1,
            20 * life + 2
        ));
        database.run(&format!(
            "INSERT INTO a VALUES ({}, 'late'); INSERT INTO b VALUES ({}, 'late')",
            1000 + life,
            1000 + life
        ));
    }
    let mut task = open(&config, &log, &host);
    catch_up(&database, &mut task, &mut log);
    log.assert_no_duplicates();
    for table in ["a", "b"] {
        assert_same(&database, &log, table);
    }
    assert_eq!(log.offsets.len(), 1, "the progress of tables is gone: {:?}", log.offsets);
}

#[test]
fn a_row_that_moved_to_the_read_part_keeps_its_large_value() {
    let database = Database::new();
    database.run("CREATE TABLE a (id int PRIMARY KEY, pad text, v text); ALTER TABLE a ALTER v SET STORAGE EXTERNAL");
    database.run("INSERT INTO a SELECT i, repeat('p', 400), repeat('x', 3000) || i FROM generate_series(1, 300) i");
    let (config, host, mut log) = (config(&database, &[]), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    while log.records.len() < 150 {
        poll(&mut task, &mut log, 50).expect("polls");
    }
    drop(task);
    while database.value(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'Towpath' AND datname = current_database()",
    ) != "0"
    {}
    // Room in the read part takes in rows of the unread part, whose changes leave the large value out.
    database.run("DELETE FROM a WHERE id <= 60");
    database.run("VACUUM a");
    database.run("UPDATE a SET pad = repeat('q', 400) WHERE id BETWEEN 280 AND 290");
    assert_ne!(database.value("SELECT count(*) FROM a WHERE id BETWEEN 280 AND 290 AND ctid < '(3,0)'"), "0");
    let mut task = open(&config, &log, &host);
    catch_up(&database, &mut task, &mut log);
    assert!(
        log.records.iter().any(|record| record.op() == "u" && record.after()["v"] == "__debezium_unavailable_value")
    );
    assert_same(&database, &log, "a");
}

#[test]
fn a_rewritten_table_is_read_again_after_a_crash() {
    let database = Database::new();
    database.run("CREATE TABLE a (id int PRIMARY KEY, v text)");
    database.run("INSERT INTO a SELECT i, 'a' || i FROM generate_series(1, 500) i");
    database.run("DELETE FROM a WHERE id <= 250");
    let (config, host, mut log) = (config(&database, &[]), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    while log.records.len() < 100 {
        poll(&mut task, &mut log, 50).expect("polls");
    }
    drop(task);
    // The rows now stand elsewhere, so the place that was reached means nothing.
    database.run("VACUUM FULL a");
    let mut task = open(&config, &log, &host);
    catch_up(&database, &mut task, &mut log);
    assert_same(&database, &log, "a");
}

#[test]
fn an_idle_database_lets_its_slot_advance() {
    let (database, other) = (Database::new(), Database::new());
    database.run("CREATE TABLE t (id int PRIMARY KEY)");
    other.run("CREATE TABLE busy (v text)");
    let (config, host, mut log) = (config(&database, &[]), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| !log.offsets.is_empty());
    other.run("INSERT INTO busy SELECT repeat('x', 1000) FROM generate_series(1, 2000)");
    let target = other.value("SELECT pg_current_wal_lsn()");
    let reached = format!(
        "SELECT confirmed_flush_lsn >= '{target}' FROM pg_replication_slots WHERE slot_name = '{}'",
        database.name
    );
    poll_until(&mut task, &mut log, 100, |_| database.value(&reached) == "t");
    assert!(log.records.is_empty());
}

#[test]
fn the_slot_keeps_what_is_not_durable() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY)");
    let (config, host, mut log) = (config(&database, &[]), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| !log.offsets.is_empty());
    let before = log.clone();
    database.run("INSERT INTO t VALUES (1)");
    // Polled, but never durable: the worker dies before it writes.
    let mut lost = log.clone();
    for _ in 0..200 {
        lost.take(&task.poll(crate::support::log::limits(10)).expect("polls"));
    }
    assert_eq!(lost.records.len(), 1);
    drop(task);
    let mut log = before;
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 1);
    assert_eq!(log.records[0].value["source"]["lsn"], lost.records[0].value["source"]["lsn"]);
}

#[test]
fn a_terminated_backend_costs_nothing() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY, v int)");
    let (config, host, mut log) = (config(&database, &[]), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| !log.offsets.is_empty());
    for round in 0..5 {
        database.run(&format!(
            "INSERT INTO t SELECT i, {round} FROM generate_series({}, {}) i",
            round * 100,
            round * 100 + 99
        ));
        let _ = poll(&mut task, &mut log, 30);
        database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'Towpath' AND datname = current_database()");
        poll_until(&mut task, &mut log, 30, |log| log.records.len() >= (round as usize + 1) * 100);
    }
    assert_eq!(log.records.len(), 500);
    log.assert_no_duplicates();
    assert_same(&database, &log, "t");
}

/// Polls until the snapshot is complete and a row that is written now has arrived.
fn catch_up(database: &Database, task: &mut Task, log: &mut Log) {
    let running = |log: &Log| log.offsets.values().any(|offset| offset.contains(r#""snapshot_completed":false"#));
    database.run("CREATE TABLE IF NOT EXISTS mark (id int PRIMARY KEY); INSERT INTO mark VALUES (1)");
    poll_until(task, log, 50, |log| {
        !running(log) && log.records.iter().any(|record| record.topic == "shop.public.mark")
    });
}

/// The rows that the log leaves are those of the table.
pub(crate) fn assert_same(database: &Database, log: &Log, table: &str) {
    let rows = database.run(&format!("SELECT row_to_json(t) FROM {table} t ORDER BY id"));
    let source: Vec<serde_json::Value> =
        rows.iter().map(|row| serde_json::from_str(row[0].as_deref().expect("a row")).expect("json")).collect();
    let mut rebuilt: Vec<_> = log.table(&format!("shop.public.{table}")).into_values().collect();
    rebuilt.sort_by_key(|row| row["id"].as_i64());
    assert_eq!(rebuilt.len(), source.len(), "{table} has other rows");
    for (rebuilt, source) in rebuilt.iter().zip(&source) {
        assert_eq!(rebuilt, source);
    }
}
