//! Large transactions that are kept while they are open: what is undone, what does not fit, and a log that is slow.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use towpath_model::Config;
use towpath_postgres_cdc::task::Task;

use crate::support::log::{Log, config, open, poll, poll_until};
use crate::support::native::Native;
use crate::support::server::Database;

/// A captured table, and a server that sends transactions of more than 64 kB in blocks.
fn database() -> (Database, Config) {
    let database = Database::new();
    database.run(&format!("ALTER DATABASE {} SET logical_decoding_work_mem = '64kB'", database.name));
    database.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
    let settings =
        [("snapshot.mode", "no_data"), ("streaming.buffer.bytes", "65536"), ("message.prefix.exclude.list", "p")];
    let config = config(&database, &settings);
    (database, config)
}

fn begin(database: &Database, config: &Config, host: &Arc<Native>) -> (Task, Log) {
    let mut log = Log::default();
    let mut task = open(config, &log, host);
    poll_until(&mut task, &mut log, 100, |log| {
        // Something is to move on, or there is no position to deliver.
        database.run("SELECT txid_current()");
        !log.offsets.is_empty()
    });
    (task, log)
}

fn rows(from: u32, count: u32) -> String {
    format!("INSERT INTO t SELECT i, repeat('v', 100) FROM generate_series({from}, {from} + {count} - 1) i")
}

/// The ids of created rows, in order, are these.
fn assert_created(log: &Log, expected: impl Iterator<Item = u32>) {
    let ids: Vec<u64> = log.records.iter().map(|record| record.after()["id"].as_u64().expect("an id")).collect();
    assert_eq!(ids, expected.map(u64::from).collect::<Vec<_>>());
    assert!(log.records.iter().all(|record| record.op() == "c"));
}

#[test]
fn what_is_undone_leaves_neither_rows_nor_columns_behind() {
    let (database, config) = database();
    let host = Arc::new(Native::default());
    let (mut task, mut log) = begin(&database, &config, &host);
    let mut other = database.session();
    other.query(&format!("BEGIN; ALTER TABLE t ADD COLUMN w int; {}", rows(10_000, 3000))).expect("runs");
    // The transaction is sent while it is open: nothing but its bytes is to be seen.
    let is_spilled = |_: &Log| host.count("streamed_bytes_spilled") > 100_000;
    poll_until(&mut task, &mut log, 100, is_spilled);
    assert!(log.records.is_empty());
    other.query("ROLLBACK").expect("rolls back");
    database.run(&format!(
        "BEGIN; {}; SAVEPOINT s; {}; ROLLBACK TO s; {}; COMMIT",
        rows(0, 2000),
        rows(2000, 2000),
        rows(4000, 1)
    ));
    database.run(&rows(5000, 1));
    poll_until(&mut task, &mut log, 700, |log| log.records.len() > 2001);
    assert_created(&log, (0..2000).chain([4000, 5000]));
    assert!(log.records.iter().all(|record| record.after().get("w").is_none()));
    assert_eq!(host.count("streamed_transactions_aborted"), 1);
    assert_eq!(host.count("streamed_transactions"), 1);
    assert_eq!(host.count("streamed_subtransactions_aborted"), 1);
    assert_eq!(host.scratch.left.load(Ordering::Relaxed), 1 << 30, "files are left");
}

#[test]
fn columns_that_an_open_transaction_adds_are_in_its_own_rows_and_all_later_ones() {
    let (database, config) = database();
    let host = Arc::new(Native::default());
    let (mut task, mut log) = begin(&database, &config, &host);
    let add = "ALTER TABLE t ADD COLUMN w int DEFAULT 7";
    database.run(&format!("BEGIN; {}; {add}; {}; COMMIT; {}", rows(0, 1500), rows(1500, 1500), rows(3000, 1)));
    poll_until(&mut task, &mut log, 1000, |log| log.records.len() > 3000);
    assert_created(&log, 0..3001);
    assert_eq!(host.count("streamed_transactions"), 1);
    for (place, record) in log.records.iter().enumerate() {
        assert_eq!(record.after().get("w").is_some(), place >= 1500, "row {place}");
    }
}

/// The server keeps large transactions from the fault on, which is told once; nothing is lost or doubled.
fn assert_handed_over(host: &Arc<Native>, what: &str) {
    let (database, config) = database();
    let (mut task, mut log) = begin(&database, &config, host);
    database.run(&rows(0, 10));
    database.run(&rows(10, 5000));
    database.run(&rows(5010, 5000));
    poll_until(&mut task, &mut log, 600, |log| log.records.len() >= 10_010);
    assert_created(&log, 0..10_010);
    log.assert_no_duplicates();
    let lines = host.lines.lock().expect("unpoisoned");
    let told: Vec<_> = lines.iter().filter(|line| line.contains("keeps large transactions on its own disk")).collect();
    assert!(told.len() == 1 && told[0].contains(what), "{lines:#?}");
    assert_eq!(host.count("streaming_handed_over"), 1);
}

#[test]
fn when_scratch_space_runs_out_the_server_keeps_large_transactions() {
    assert_handed_over(&Arc::new(Native::with_scratch(300_000)), "bytes are left");
}

#[test]
fn a_damaged_block_is_found_out_and_sent_again() {
    let host = Arc::new(Native::default());
    host.scratch.sound_reads.store(1, Ordering::Relaxed);
    assert_handed_over(&host, "damaged");
}

#[test]
fn a_message_that_may_be_undone_is_left_to_the_server_and_then_all_is_as_before() {
    let (database, config) = database();
    let host = Arc::new(Native::default());
    let (mut task, mut log) = begin(&database, &config, &host);
    let message = "SELECT pg_logical_emit_message(true, 'p', 'm')";
    database.run(&format!(
        "BEGIN; {}; {message}; SAVEPOINT s; {message}; {}; ROLLBACK TO s; {}; COMMIT",
        rows(0, 1500),
        rows(1500, 1500),
        rows(3000, 1500)
    ));
    poll_until(&mut task, &mut log, 600, |log| log.records.len() >= 3000);
    assert_eq!(host.count("streaming_handed_over"), 1);
    database.run("INSERT INTO t VALUES (5000, 'v')");
    poll_until(&mut task, &mut log, 600, |log| log.records.len() >= 3001);
    assert_created(&log, (0..1500).chain(3000..4500).chain([5000]));
    let streamed = host.count("streamed_transactions");
    database.run(&rows(6000, 3000));
    poll_until(&mut task, &mut log, 600, |log| log.records.len() >= 6001);
    assert_eq!(host.count("streamed_transactions"), streamed + 1);
    assert_created(&log, (0..1500).chain(3000..4500).chain([5000]).chain(6000..9000));
}

#[test]
fn a_slow_log_does_not_cost_the_connection_while_a_large_transaction_is_on_its_way() {
    let (database, config) = database();
    database.run(&format!("ALTER DATABASE {} SET wal_sender_timeout = '2s'", database.name));
    let host = Arc::new(Native::default());
    let (mut task, mut log) = begin(&database, &config, &host);
    let sender = "SELECT string_agg(pid::text, ',') FROM pg_stat_replication WHERE application_name = 'Towpath' \
        AND pid IN (SELECT active_pid FROM pg_replication_slots WHERE database = current_database())";
    let pid = database.value(sender);
    assert!(!pid.is_empty());
    // More comes behind it than any buffer of the connection holds, so that the server has to wait for us.
    database.run(&rows(0, 4000));
    for number in 0..40 {
        database.run(&rows(100_000 + number * 2000, 2000));
    }
    poll_until(&mut task, &mut log, 100, |log| log.records.len() >= 100);
    // The log takes nothing for three times the timeout: the worker has the task keep its connections alive.
    for _ in 0..25 {
        std::thread::park_timeout(Duration::from_millis(250));
        task.keep_alive().expect("alive");
    }
    // Then it takes little at a time, for as long again.
    for _ in 0..60 {
        std::thread::park_timeout(Duration::from_millis(50));
        poll(&mut task, &mut log, 10).expect("alive");
    }
    assert!(log.records.len() < 4000, "the transaction was through too soon");
    assert_eq!(database.value(sender), pid, "the connection was lost");
    poll_until(&mut task, &mut log, 1000, |log| log.records.len() >= 84_000);
    assert_created(&log, (0..4000).chain((0..40).flat_map(|number| 100_000 + number * 2000..102_000 + number * 2000)));
}

#[test]
fn a_transaction_of_which_nothing_is_left_is_the_same_however_it_is_sent() {
    let (database, _) = database();
    let read = |mode: &str, slot: &str| {
        let more = [("snapshot.mode", "no_data"), ("streaming.mode", mode), ("slot.name", slot)];
        let config = config(&database, &more);
        let host = Arc::new(Native::default());
        let (task, log) = begin(&database, &config, &host);
        (task, log, host)
    };
    let mut both = [read("off", "nothing_off"), read("on", "nothing_on")];
    database.run("INSERT INTO t VALUES (1, 'v')");
    database.run(&format!("BEGIN; SAVEPOINT s; {}; ROLLBACK TO s; COMMIT", rows(10, 3000)));
    database.run("INSERT INTO t VALUES (2, 'v')");
    let sequences = both.each_mut().map(|(task, log, _)| {
        poll_until(task, log, 100, |log| log.records.len() == 2);
        log.records.iter().map(|record| record.value["source"]["sequence"].clone()).collect::<Vec<_>>()
    });
    assert_eq!(both[1].2.count("streamed_transactions"), 1);
    assert_eq!(sequences[0], sequences[1]);
}
