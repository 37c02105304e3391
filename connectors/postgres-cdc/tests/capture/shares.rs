//! A snapshot that several read: whoever dies when, each row is in the log once, and rewritten tables are read anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::phases::assert_same;
use crate::support::crowd::Crowd;
use crate::support::dice::Dice;
use crate::support::log::{Log, config, open};
use crate::support::native::Native;
use crate::support::server::Database;

/// Rows wide enough that the table has several pieces of the smallest size, 4 MiB.
const WIDE: &str = "CREATE TABLE big (id int PRIMARY KEY, pad text); ALTER TABLE big ALTER pad SET STORAGE PLAIN; \
    INSERT INTO big SELECT i, repeat('p', 7000) FROM generate_series(1, 2400) i";

fn running(log: &Log) -> bool {
    log.offsets.is_empty() || log.offsets.values().any(|offset| offset.contains(r#""snapshot_completed":false"#))
}

fn finish(database: &Database, crowd: &mut Crowd, task: &mut towpath_postgres_cdc::task::Task, log: &mut Log) {
    database.run(
        "CREATE TABLE IF NOT EXISTS mark (id int PRIMARY KEY); INSERT INTO mark VALUES (1) ON CONFLICT DO NOTHING",
    );
    crowd.poll_until(task, log, 500, |log| {
        !running(log) && log.records.iter().any(|record| record.topic == "shop.public.mark")
    });
}

/// Waits until the server has let go of the slot and of what a dead task held.
fn forgotten(database: &Database) {
    let held =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'Towpath' AND datname = current_database()";
    while database.value(held) != "0" {
        std::thread::yield_now();
    }
}

/// The `snapshot` fields of the snapshot's rows, by topic, in the order of the log.
fn markers(log: &Log) -> BTreeMap<&str, Vec<&str>> {
    let mut markers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for record in log.records.iter().filter(|record| record.op() == "r") {
        let marker = record.value["source"]["snapshot"].as_str().expect("a marker");
        markers.entry(&record.topic).or_default().push(marker);
    }
    markers
}

#[test]
fn many_readers_deliver_each_row_once_and_mark_the_first_and_the_last() {
    let database = Database::new();
    database.run(WIDE);
    database.run("CREATE TABLE few (id int PRIMARY KEY); INSERT INTO few VALUES (1), (2), (3)");
    database.run("CREATE TABLE one (id int PRIMARY KEY); INSERT INTO one VALUES (1)");
    database.run("CREATE TABLE none (id int PRIMARY KEY)");
    database.run("CREATE TABLE keyless (v int); INSERT INTO keyless SELECT i FROM generate_series(1, 50) i");
    let config = config(&database, &[("snapshot.max.threads", "3")]);
    let (host, mut log) = (Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    let mut crowd = Crowd::new(&config, &host, 3, 7);
    let mut at_once = 0;
    while running(&log) {
        crowd.poll(&mut task, &mut log, 100).expect("polls");
        at_once = at_once.max(crowd.busy());
    }
    assert_eq!(at_once, 3, "readers at work at the same time");
    assert_eq!(log.records.len(), 2400 + 3 + 1 + 50);
    for table in ["big", "few", "one"] {
        assert_same(&database, &log, table);
    }
    let all: Vec<&str> =
        log.records.iter().map(|record| record.value["source"]["snapshot"].as_str().unwrap()).collect();
    assert_eq!((all[0], all[all.len() - 1]), ("first", "last"));
    for (topic, markers) in markers(&log) {
        let others = markers.iter().filter(|marker| **marker == "true").count();
        assert_eq!(others, markers.len().saturating_sub(2), "{topic}: {markers:?}");
        if markers.len() > 1 {
            assert!(markers[0].starts_with("first") && markers[markers.len() - 1].starts_with("last"), "{topic}");
        }
    }
    let readings = host.readings.lock().expect("unpoisoned").clone();
    let told = |name: &str| match readings.iter().find(|(known, _)| *known == name).expect("told").1 {
        towpath_model::Reading::Gauge(value) => value as usize,
        towpath_model::Reading::Counter(_) => 0,
    };
    assert_eq!((told("snapshot_rows_done"), told("snapshot_rows_total")), (2454, 2454));
    database.run("INSERT INTO few VALUES (4)");
    crowd.poll_until(&mut task, &mut log, 100, |log| log.records.len() == 2455);
    assert_eq!(log.records[2454].op(), "c");
}

fn deaths(seed: u64) {
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let database = Database::new();
    database.run(WIDE);
    database.run("CREATE TABLE small (id int PRIMARY KEY, v text); INSERT INTO small SELECT i, 'v' FROM generate_series(1, 300) i");
    let config = config(&database, &[("snapshot.max.threads", "3")]);
    let (host, mut log) = (Arc::new(Native::default()), Log::default());
    for life in 0..8 {
        let mut task = open(&config, &log, &host);
        let mut crowd = Crowd::new(&config, &host, 3, dice.throw(1 << 30));
        let until = log.records.len() + 100 + dice.throw(500) as usize;
        for _ in 0..400 {
            let _ = crowd.poll(&mut task, &mut log, 1 + dice.throw(90) as usize);
            if dice.throw(40) == 0 {
                database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'Towpath' AND datname = current_database() AND random() < 0.4");
            }
            if log.records.len() >= until {
                break;
            }
        }
        drop((task, crowd));
        database.run(&format!("UPDATE big SET pad = repeat('{life}', 6000) WHERE id % 97 = {life}"));
        database.run(&format!(
            "DELETE FROM big WHERE id = {}; INSERT INTO big VALUES ({}, 'late')",
            life * 250 + 1,
            9000 + life
        ));
        database.run(&format!("UPDATE small SET v = 'w{life}' WHERE id % 5 = {}", life % 5));
        if dice.throw(3) == 0 {
            forgotten(&database);
            database
                .run(["VACUUM FULL small", "TRUNCATE small", "CLUSTER small USING small_pkey"][dice.throw(3) as usize]);
            database.run("INSERT INTO small SELECT i, 'again' FROM generate_series(1, 40) i ON CONFLICT DO NOTHING");
        }
    }
    let mut task = open(&config, &log, &host);
    let mut crowd = Crowd::new(&config, &host, 3, 1);
    finish(&database, &mut crowd, &mut task, &mut log);
    // Of a table that was not rewritten no row is read a second time, however often all of it died.
    let mut read: BTreeMap<String, usize> = BTreeMap::new();
    for record in log.records.iter().filter(|record| record.topic == "shop.public.big" && record.op() == "r") {
        *read.entry(format!("{}{}", record.key, record.value["source"]["lsn"])).or_default() += 1;
    }
    assert!(read.values().all(|times| *times == 1), "a row was read twice in one snapshot");
    assert_same(&database, &log, "big");
    assert_eq!(log.offsets.len(), 1, "the progress of tables is gone: {:?}", log.offsets);
}

#[test]
fn readers_that_die_at_random_neither_lose_nor_repeat() {
    for seed in 1..=2 {
        deaths(seed);
    }
}

#[test]
fn nothing_that_is_in_the_log_is_read_again_after_a_crash() {
    let database = Database::new();
    database.run(WIDE);
    let config = config(&database, &[("snapshot.max.threads", "2")]);
    let (host, mut log) = (Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    let mut crowd = Crowd::new(&config, &host, 2, 3);
    while log.records.len() < 1200 {
        crowd.poll(&mut task, &mut log, 50).expect("polls");
    }
    assert_eq!(crowd.busy(), 2, "both were in the middle of a piece");
    drop((task, crowd));
    let mut task = open(&config, &log, &host);
    let mut crowd = Crowd::new(&config, &host, 2, 3);
    finish(&database, &mut crowd, &mut task, &mut log);
    let read = log.records.iter().filter(|record| record.topic == "shop.public.big" && record.op() == "r");
    assert_eq!(read.count(), 2400);
    assert_same(&database, &log, "big");
}

#[test]
fn tables_that_are_rewritten_emptied_or_dropped_before_a_restart_are_as_they_are_then() {
    let database = Database::new();
    for table in ["full_", "emptied", "sorted", "dropped"] {
        database.run(&format!("CREATE TABLE {table} (id int PRIMARY KEY, pad text); INSERT INTO {table} SELECT i, repeat('p', 900) FROM generate_series(1, 400) i; DELETE FROM {table} WHERE id <= 100"));
    }
    let config = config(&database, &[("snapshot.max.threads", "3")]);
    let (host, mut log) = (Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    let mut crowd = Crowd::new(&config, &host, 3, 11);
    while log.records.len() < 600 {
        crowd.poll(&mut task, &mut log, 20).expect("polls");
    }
    drop((task, crowd));
    forgotten(&database);
    database.run("VACUUM FULL full_");
    database.run("TRUNCATE emptied; INSERT INTO emptied SELECT i, 'new' FROM generate_series(500, 520) i");
    database.run("CLUSTER sorted USING sorted_pkey");
    database.run("DROP TABLE dropped");
    let mut task = open(&config, &log, &host);
    let mut crowd = Crowd::new(&config, &host, 3, 11);
    finish(&database, &mut crowd, &mut task, &mut log);
    for table in ["full_", "sorted"] {
        assert_same(&database, &log, table);
    }
    let rows: Vec<_> = log
        .records
        .iter()
        .filter(|record| record.topic == "shop.public.emptied" && record.op() == "r" && record.after()["pad"] == "new")
        .collect();
    assert_eq!(rows.len(), 21);
    assert_eq!(log.offsets.len(), 1, "{:?}", log.offsets);
}

#[test]
fn a_table_that_is_dropped_before_its_turn_is_passed_over() {
    let database = Database::new();
    database.run(WIDE);
    database.run("CREATE TABLE short_lived (id int PRIMARY KEY); INSERT INTO short_lived VALUES (1)");
    let config = config(&database, &[("snapshot.max.threads", "2")]);
    let (host, mut log) = (Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    let mut crowd = Crowd::new(&config, &host, 2, 5);
    while log.records.len() < 100 {
        crowd.poll(&mut task, &mut log, 50).expect("polls");
    }
    database.run("DROP TABLE short_lived");
    while running(&log) {
        crowd.poll(&mut task, &mut log, 500).expect("it goes on");
    }
    assert_same(&database, &log, "big");
    assert!(host.lines.lock().expect("unpoisoned").iter().any(|line| line.contains("short_lived was dropped")));
}

#[test]
fn leaves_of_a_partitioned_table_are_shared_too() {
    let database = Database::new();
    database.run("CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)");
    for leaf in 0..4 {
        database.run(&format!(
            "CREATE TABLE p{leaf} PARTITION OF p FOR VALUES FROM ({}) TO ({})",
            leaf * 100,
            leaf * 100 + 100
        ));
    }
    database.run("INSERT INTO p SELECT i, 'v' || i FROM generate_series(0, 399) i");
    for (root, topics) in [("true", 1), ("false", 4)] {
        let slot = format!("{}_{root}", database.name);
        let settings = [
            ("snapshot.max.threads", "2"),
            ("publish.via.partition.root", root),
            ("slot.name", slot.as_str()),
            ("publication.name", slot.as_str()),
        ];
        let config = config(&database, &settings);
        let (host, mut log) = (Arc::new(Native::default()), Log::default());
        let mut task = open(&config, &log, &host);
        let mut crowd = Crowd::new(&config, &host, 2, 5);
        while running(&log) {
            crowd.poll(&mut task, &mut log, 30).expect("polls");
        }
        assert_eq!((log.records.len(), markers(&log).len()), (400, topics));
    }
}
