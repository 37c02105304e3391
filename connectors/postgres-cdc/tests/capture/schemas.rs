//! Tables that change: each record under the schema of its own time, whether the task was there or came later.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::log::{Log, Record, config, open, poll_until};
use crate::support::native::Native;
use crate::support::server::Database;

/// The records of `sql`, read while it is run, statement by statement, and read at once by a task that was stopped.
fn both(prepare: &str, settings: &[(&str, &str)], sql: &[&str], count: usize, check: impl Fn(&[Record], bool)) {
    for stopped in [false, true] {
        let database = Database::new();
        database.run(prepare);
        let (config, host, mut log) = (config(&database, settings), Arc::new(Native::default()), Log::default());
        let mut task = open(&config, &log, &host);
        poll_until(&mut task, &mut log, 100, |log| {
            log.offsets.values().any(|offset| offset.contains("\"snapshot_completed\":true"))
        });
        let read = log.records.len();
        if stopped {
            task.close();
            sql.iter().for_each(|sql| drop(database.run(sql)));
            task = open(&config, &log, &host);
        } else {
            database.run("CREATE TABLE IF NOT EXISTS mark (id int)");
            for (marks, sql) in sql.iter().enumerate() {
                database.run(sql);
                database.run("INSERT INTO mark VALUES (1)");
                let marked = |log: &Log| log.records.iter().filter(|record| record.topic.ends_with(".mark")).count();
                poll_until(&mut task, &mut log, 100, |log| marked(log) == marks + 1);
            }
        }
        let of_tables = |log: &Log| -> Vec<Record> {
            log.records[read..].iter().filter(|record| !record.topic.ends_with(".mark")).cloned().collect()
        };
        poll_until(&mut task, &mut log, 100, |log| of_tables(log).len() >= count);
        let records = of_tables(&log);
        assert_eq!(records.len(), count, "{:?}", log.ops());
        check(&records, stopped);
    }
}

fn after(records: &[Record]) -> Vec<&Value> {
    records.iter().map(Record::after).collect()
}

#[test]
fn columns_come_go_and_change() {
    let sql = [
        "INSERT INTO t VALUES (1, 'a', 5)",
        "ALTER TABLE t ADD w int NOT NULL DEFAULT 5",
        "INSERT INTO t VALUES (2, 'b', 6)",
        "ALTER TABLE t RENAME v TO label",
        "INSERT INTO t VALUES (3, 'c', 7, 8)",
        "ALTER TABLE t ALTER n TYPE text USING 'n' || n",
        "INSERT INTO t VALUES (4, 'd', 'seven', 8)",
        "ALTER TABLE t DROP label",
        "INSERT INTO t VALUES (5, 'eight', 9)",
        "ALTER TABLE t ALTER n TYPE numeric(6,2) USING 1",
        "INSERT INTO t VALUES (6, 1.5, 9)",
    ];
    both("CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL, n int)", &[], &sql, 6, |records, stopped| {
        let expected = [
            json!({"id": 1, "v": "a", "n": 5}),
            json!({"id": 2, "v": "b", "n": 6, "w": 5}),
            json!({"id": 3, "label": "c", "n": 7, "w": 8}),
            json!({"id": 4, "label": "d", "n": "seven", "w": 8}),
            json!({"id": 5, "n": "eight", "w": 9}),
            json!({"id": 6, "n": "AJY=", "w": 9}),
        ];
        assert_eq!(after(records), expected.iter().collect::<Vec<_>>());
        assert!(records.iter().all(|record| record.key["id"].is_i64()));
        // While it happens, the schema says all that the table does.
        if !stopped {
            assert!(!records[0].column("v").optional && !records[2].column("label").optional);
            assert_eq!(records[1].column("w").default, Some(json!(5)));
        }
    });
}

#[test]
fn a_null_that_the_catalog_now_forbids_stays_null() {
    let sql = [
        "INSERT INTO t VALUES (1, NULL), (2, NULL)",
        "UPDATE t SET v = 7",
        "ALTER TABLE t ALTER v SET NOT NULL",
        "INSERT INTO t VALUES (3, 8)",
    ];
    both("CREATE TABLE t (id int PRIMARY KEY, v int)", &[], &sql, 5, |records, stopped| {
        assert_eq!(after(records)[..2], [&json!({"id": 1, "v": null}), &json!({"id": 2, "v": null})]);
        assert!(records[0].column("v").optional && records[1].column("v").optional, "{stopped}");
        // A table that has made room keeps it while nothing else about it changes.
        assert_eq!(records[4].column("v").optional, stopped);
    });
}

#[test]
fn keys_follow_their_definition() {
    let sql = [
        "INSERT INTO t VALUES (1, 'a', 5)",
        "ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (c, a)",
        "INSERT INTO t VALUES (2, 'b', 6)",
        "ALTER TABLE t DROP CONSTRAINT t_pkey",
        "INSERT INTO t VALUES (3, 'c', 7)",
        "ALTER TABLE t ADD PRIMARY KEY (b)",
        "UPDATE t SET b = 'z' WHERE a = 3",
    ];
    let table = "CREATE TABLE t (a int NOT NULL, b text NOT NULL, c int NOT NULL, PRIMARY KEY (a))";
    both(table, &[], &sql, 6, |records, stopped| {
        let keys: Vec<_> = records.iter().map(|record| record.key.clone()).collect();
        // The order of a composite key is the catalog's word; a task that comes later has the table's own.
        let composite = keys[1].clone();
        assert_eq!(composite, json!({"c": 6, "a": 2}));
        if !stopped {
            assert_eq!(composite.as_object().expect("a key").keys().collect::<Vec<_>>(), ["c", "a"]);
        }
        let moved = [json!({"b": "c"}), json!({"b": "c"}), json!({"b": "z"})];
        assert_eq!((&keys[0], &keys[2]), (&json!({"a": 1}), &Value::Null), "{stopped}");
        assert_eq!(keys[3..], moved);
    });
}

#[test]
fn an_enum_grows() {
    let sql = [
        "INSERT INTO t VALUES (1, 'b', '{b}')",
        "ALTER TYPE mood ADD VALUE 'ab' BEFORE 'b'",
        "INSERT INTO t VALUES (2, 'ab', '{b,ab}')",
        "ALTER TYPE mood RENAME VALUE 'ab' TO 'aa'",
        "INSERT INTO t VALUES (3, 'aa', '{aa}')",
    ];
    both(
        "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE t (id int PRIMARY KEY, m mood, l mood[])",
        &[],
        &sql,
        3,
        |records, stopped| {
            let values: Vec<_> = after(records).into_iter().map(|row| row["m"].clone()).collect();
            assert_eq!(values, ["b", "ab", "aa"]);
            let allowed = |index: usize| records[index].column("m").parameters["allowed"].clone();
            if stopped {
                assert_eq!(allowed(2), "a,aa,b");
            } else {
                assert_eq!([allowed(0), allowed(1), allowed(2)], ["a,b", "a,ab,b", "a,aa,b"]);
            }
            assert_eq!(after(records)[1]["l"], json!(["b", "ab"]));
        },
    );
}

#[test]
fn types_may_be_gone_when_their_values_are_read() {
    let sql = [
        "INSERT INTO t VALUES (1, 'b', 2.5)",
        "DROP TABLE t; DROP TYPE mood; DROP DOMAIN price",
        "CREATE TABLE t (number bigint PRIMARY KEY)",
        "INSERT INTO t VALUES (9)",
    ];
    let prepare = "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE DOMAIN price AS numeric(8,3); \
        CREATE TABLE t (id int PRIMARY KEY, m mood, p price)";
    both(prepare, &[], &sql, 2, |records, stopped| {
        assert_eq!(records[0].after()["m"], "b");
        // The text of a value says more than leaving it out does.
        assert_eq!(records[0].after()["p"], if stopped { "2.500" } else { "CcQ=" });
        assert_eq!((&records[0].key, &records[1].key), (&json!({"id": 1}), &json!({"number": 9})));
        assert_eq!(records[1].after(), &json!({"number": 9}));
    });
}

#[test]
fn a_type_that_is_made_later_is_understood() {
    let sql = [
        "CREATE TYPE colour AS ENUM ('red', 'green')",
        "CREATE DOMAIN shade AS colour",
        "ALTER TABLE t ADD c shade DEFAULT 'red', ADD l colour[]",
        "INSERT INTO t VALUES (1, 'green', '{red}')",
    ];
    both("CREATE TABLE t (id int PRIMARY KEY)", &[], &sql, 1, |records, _| {
        assert_eq!(records[0].after(), &json!({"id": 1, "c": "green", "l": ["red"]}));
        assert_eq!(records[0].column("c").parameters["allowed"], "red,green");
    });
}

#[test]
fn a_renamed_table_goes_on_under_its_new_name() {
    let sql = [
        "INSERT INTO t VALUES (1)",
        "ALTER TABLE t RENAME TO u",
        "INSERT INTO u VALUES (2)",
        "CREATE SCHEMA s; ALTER TABLE u SET SCHEMA s",
        "INSERT INTO s.u VALUES (3)",
    ];
    both("CREATE TABLE t (id int PRIMARY KEY)", &[], &sql, 3, |records, _| {
        let topics: Vec<_> = records.iter().map(|record| record.topic.as_str()).collect();
        assert_eq!(topics, ["shop.public.t", "shop.public.u", "shop.s.u"]);
    });
}

#[test]
fn a_partition_that_is_attached_is_followed() {
    let prepare = "CREATE TABLE p (id int PRIMARY KEY, v text NOT NULL) PARTITION BY RANGE (id); \
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)";
    let sql = [
        "INSERT INTO p VALUES (1, 'a')",
        "CREATE TABLE p2 (v text NOT NULL, gone int, id int PRIMARY KEY); ALTER TABLE p2 DROP gone; \
         ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20)",
        "INSERT INTO p VALUES (11, 'b')",
        "UPDATE p SET id = 12 WHERE id = 1",
    ];
    // A row that moves to another partition is deleted here and created there; by the root alone it is one row as well.
    for (via_root, topics) in [("true", ["p", "p", "p", "p", "p"]), ("false", ["p1", "p2", "p1", "p1", "p2"])] {
        let count = 5;
        both(prepare, &[("publish.via.partition.root", via_root)], &sql, count, |records, _| {
            let found: Vec<_> = records.iter().map(|record| record.topic.trim_start_matches("shop.public.")).collect();
            assert_eq!(found, topics);
            assert_eq!(records[1].after(), &json!({"id": 11, "v": "b"}));
            assert_eq!(records[4].after(), &json!({"id": 12, "v": "a"}));
        });
    }
}

#[test]
fn a_number_that_is_none_does_not_stop_the_task() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY, n numeric(6,2) NOT NULL, v numeric NOT NULL)");
    database.run("INSERT INTO t VALUES (1, 1.5, 1), (2, 'NaN', 'Infinity'), (3, 2.5, 2)");
    let (base, host) = (config(&database, &[]), Arc::new(Native::default()));
    let mut log = Log::default();
    let mut task = open(&base, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 3);
    database.run("INSERT INTO t VALUES (4, 'NaN', '-Infinity'); DELETE FROM t WHERE id = 4");
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 6);
    assert!(!log.records[0].column("n").optional && log.records[2].column("n").optional);
    for record in [&log.records[1], &log.records[3]] {
        assert_eq!((&record.after()["n"], &record.after()["v"]), (&Value::Null, &Value::Null));
        assert!(record.column("n").optional && record.column("v").optional);
    }
    assert!(host.lines.lock().expect("unpoisoned").iter().any(|line| line.contains("public.t.n holds null")));
    task.close();
    // Where such numbers must not go unseen, the task fails and says how to go on.
    let strict = config(&database, &[("numeric.special", "fail"), ("slot.name", &format!("{}_strict", database.name))]);
    let mut task = open(&strict, &Log::default(), &host);
    let error = (0..500).find_map(|_| crate::support::log::poll(&mut task, &mut Log::default(), 100).err());
    let error = error.expect("it fails").to_string();
    assert!(error.contains("public.t.n") && error.contains("numeric.special"), "{error}");
}
