//! What single records look like: keys, headers, old rows, large values.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::log::{Log, config, open, poll_until};
use crate::support::native::Native;
use crate::support::server::Database;

/// The records of changes made after an empty snapshot.
fn changes(database: &Database, settings: &[(&str, &str)], sql: &[&str], count: usize) -> Log {
    let (config, host, mut log) = (config(database, settings), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| !log.offsets.is_empty());
    for sql in sql {
        database.run(sql);
    }
    poll_until(&mut task, &mut log, 100, |log| log.records.len() >= count);
    assert_eq!(log.records.len(), count);
    log
}

#[test]
fn a_changed_key_is_a_delete_a_tombstone_and_a_create() {
    let database = Database::new();
    database.run("CREATE TABLE t (a int, b text, v int, PRIMARY KEY (b, a))");
    let log = changes(&database, &[], &["INSERT INTO t VALUES (1, 'x', 2)", "UPDATE t SET a = 9"], 4);
    let [_, deleted, tombstone, created] = log.records.as_slice() else { panic!("four records") };
    assert_eq!(deleted.key, json!({"b": "x", "a": 1}));
    assert_eq!(deleted.value["before"], json!({"a": 1, "b": "x", "v": null}));
    assert_eq!((deleted.op(), tombstone.op(), created.op()), ("d", "tombstone", "c"));
    assert_eq!((&tombstone.key, &tombstone.value), (&deleted.key, &Value::Null));
    let new = ("__debezium.newkey".to_owned(), json!({"b": "x", "a": 9}));
    assert!(deleted.headers.contains(&new) && tombstone.headers.contains(&new));
    assert!(created.headers.contains(&("__debezium.oldkey".to_owned(), json!({"b": "x", "a": 1}))));
    assert_eq!(created.after(), &json!({"a": 9, "b": "x", "v": 2}));
    let common: Vec<_> =
        created.headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap_or(""))).collect();
    assert_eq!(
        common[..4],
        [
            ("__debezium.context.connectorLogicalName", "shop"),
            ("__debezium.context.taskId", "0"),
            ("__debezium.context.connectorName", "postgresql"),
            ("__debezium.context.runId", "run"),
        ]
    );
}

#[test]
fn old_rows_follow_the_replica_identity() {
    let database = Database::new();
    database.run("CREATE TABLE d (id int PRIMARY KEY, v text NOT NULL)");
    database.run("CREATE TABLE f (id int PRIMARY KEY, v text NOT NULL); ALTER TABLE f REPLICA IDENTITY FULL");
    database.run("CREATE TABLE i (id int NOT NULL, u int NOT NULL, v text); CREATE UNIQUE INDEX iu ON i (u)");
    database.run("ALTER TABLE i REPLICA IDENTITY USING INDEX iu");
    database.run("CREATE TABLE n (v text)");
    let sql = [
        "INSERT INTO d VALUES (1, 'a'); UPDATE d SET v = 'b'; DELETE FROM d",
        "INSERT INTO f VALUES (1, 'a'); UPDATE f SET v = 'b'; DELETE FROM f",
        "INSERT INTO i VALUES (1, 7, 'a'); DELETE FROM i",
        "INSERT INTO n VALUES ('a')",
    ];
    let log = changes(&database, &[("tombstones.on.delete", "false")], &sql, 9);
    let before = |index: usize| &log.records[index].value["before"];
    assert_eq!(before(1), &Value::Null);
    // What cannot be null and was not sent stands as zero.
    assert_eq!(before(2), &json!({"id": 1, "v": ""}));
    assert_eq!(before(4), &json!({"id": 1, "v": "a"}));
    assert_eq!(before(5), &json!({"id": 1, "v": "b"}));
    assert_eq!(log.records[6].key, json!({"u": 7}));
    assert_eq!(log.records[7].value["before"]["u"], 7);
    assert_eq!(log.records[8].key, Value::Null);
}

#[test]
fn a_delete_without_a_key_has_a_tombstone_too() {
    let database = Database::new();
    database.run("CREATE TABLE t (v text); ALTER TABLE t REPLICA IDENTITY FULL");
    let log = changes(&database, &[], &["INSERT INTO t VALUES ('a'); DELETE FROM t"], 3);
    assert_eq!(log.ops(), "cdt");
    assert_eq!((&log.records[2].key, &log.records[2].value), (&Value::Null, &Value::Null));
}

#[test]
fn what_cannot_be_null_and_was_not_sent_is_the_zero_of_its_type() {
    let database = Database::new();
    database.run("CREATE EXTENSION hstore");
    database.run(
        "CREATE TABLE t (id int PRIMARY KEY, p point NOT NULL, h hstore NOT NULL, n numeric(6,2) NOT NULL, m money NOT NULL, \
         d int NOT NULL DEFAULT 7)",
    );
    let sql = ["INSERT INTO t VALUES (1, '(1,2)', 'k=>v', 1.5, 2)", "DELETE FROM t"];
    let log = changes(&database, &[("decimal.handling.mode", "string")], &sql, 3);
    let expected = json!({
        "id": 1, "p": {"x": 0.0, "y": 0.0, "wkb": "AQEAAAAAAAAAAAAAAAAAAAAAAAAA", "srid": null}, "h": "{}", "n": "0.00",
        "m": "0.00", "d": 7,
    });
    assert_eq!(log.records[1].value["before"], expected);
}

#[test]
fn keys_that_are_no_numbers_tell_rows_apart() {
    let database = Database::new();
    database.run("CREATE TABLE t (n numeric, f numeric(6,2), v int, PRIMARY KEY (n, f))");
    database.run("INSERT INTO t VALUES ('NaN', 1.5, 0), (2, 'NaN', 0), (2, 2.5, 0)");
    let (config, host, mut log) = (config(&database, &[]), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 3);
    database.run("INSERT INTO t VALUES ('Infinity', 1, 0)");
    database.run("UPDATE t SET v = 1 WHERE n = 'NaN'");
    database.run("UPDATE t SET n = 5, v = 2 WHERE n = 'NaN'");
    database.run("DELETE FROM t WHERE n = 'Infinity'");
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 10);
    let keys: Vec<&Value> = log.records.iter().map(|record| &record.key).collect();
    let (nan, infinite) = (json!({"n": "NAN", "f": "1.50"}), json!({"n": "POSITIVE_INFINITY", "f": "1.00"}));
    let plain = |n: &str, f: &str| json!({"n": {"scale": 0, "value": n}, "f": f});
    let (five, other) = (plain("BQ==", "AJY="), json!({"n": "2", "f": "NAN"}));
    assert_eq!(keys, [&nan, &other, &plain("Ag==", "APo="), &infinite, &nan, &nan, &nan, &five, &infinite, &infinite]);
    assert_eq!(log.ops(), "rrrcudtcdt");
    assert!(log.records[5].headers.contains(&("__debezium.newkey".to_owned(), five)));
    assert!(log.records[7].headers.contains(&("__debezium.oldkey".to_owned(), nan)));
}

#[test]
fn a_large_value_that_was_not_touched_is_a_placeholder() {
    let database = Database::new();
    let table = "(id int PRIMARY KEY, t text, b bytea, j jsonb, a text[], i int[], n int)";
    database.run(&format!("CREATE TABLE d {table}; CREATE TABLE f {table}; ALTER TABLE f REPLICA IDENTITY FULL"));
    for table in ["d", "f"] {
        for column in ["t", "b", "j", "a", "i"] {
            database.run(&format!("ALTER TABLE {table} ALTER {column} SET STORAGE EXTERNAL"));
        }
    }
    let insert = |table: &str| {
        format!(
            "INSERT INTO {table} SELECT 1, repeat('x', 5000), decode(repeat('ab', 5000), 'hex'), to_jsonb(repeat('y', 5000)), \
             ARRAY[repeat('z', 5000)], (SELECT array_agg(g) FROM generate_series(1, 3000) g), 0"
        )
    };
    let sql = [&insert("d"), "UPDATE d SET n = 1", &insert("f"), "UPDATE f SET n = 1"];
    let log = changes(&database, &[], &sql, 4);
    let placeholder = "__debezium_unavailable_value";
    let after = log.records[1].after();
    assert_eq!((&after["t"], &after["j"], &after["n"]), (&json!(placeholder), &json!(placeholder), &json!(1)));
    assert_eq!(after["a"], json!([placeholder]));
    assert_eq!(after["i"], json!(placeholder.bytes().collect::<Vec<_>>()));
    assert_eq!(after["b"], json!("X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="));
    assert_eq!(log.records[3].after()["t"], json!("x".repeat(5000)));
    assert_eq!(log.records[3].value["before"]["n"], 0);
}

#[test]
fn placeholders_are_of_their_types_and_what_has_none_is_null() {
    let database = Database::new();
    database.run("CREATE EXTENSION hstore");
    database.run(
        "CREATE TABLE t (id int PRIMARY KEY, u uuid[], h hstore, d date[], r numeric NOT NULL, b bool[], m text NOT NULL, n int)",
    );
    for column in ["u", "h", "d", "r", "b", "m"] {
        database.run(&format!("ALTER TABLE t ALTER {column} SET STORAGE EXTERNAL"));
    }
    let many = |value: &str| format!("(SELECT array_agg({value}) FROM generate_series(1, 5000) g)");
    let insert = format!(
        "INSERT INTO t VALUES (1, {}, hstore('k', repeat('v', 5000)), {}, repeat('1234567', 3000)::numeric, {}, repeat('m', 5000), 0)",
        many("gen_random_uuid()"),
        many("date '2018-06-20' + g"),
        many("g % 2 = 0")
    );
    let settings = [("hstore.handling.mode", "map"), ("unavailable.value.placeholder", "gone")];
    let log = changes(&database, &settings, &[&insert, "UPDATE t SET n = 1"], 2);
    let after = log.records[1].after();
    // The UUID is Java's UUID.nameUUIDFromBytes of the placeholder.
    assert_eq!(after["u"], json!(["50c1f58b-e7f5-347e-8f53-d64c094783c2"]));
    assert_eq!((&after["h"], &after["m"]), (&json!({"gone": "gone"}), &json!("gone")));
    assert_eq!(after["d"], json!([103, 111, 110, 101]));
    assert_eq!((&after["r"], &after["b"], &after["n"]), (&Value::Null, &Value::Null, &json!(1)));
    assert!(log.records[1].column("r").optional && !log.records[0].column("r").optional);
}

#[test]
fn a_truncate_is_a_record_only_when_it_is_wanted() {
    let database = Database::new();
    database.run("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)");
    let sql = ["TRUNCATE a, b", "INSERT INTO a VALUES (1)"];
    let log = changes(&database, &[("skipped.operations", "none")], &sql, 3);
    assert_eq!(log.ops(), "ttc");
    assert_eq!((&log.records[0].key, log.records[0].after()), (&Value::Null, &Value::Null));
}

#[test]
fn odd_names_reach_their_topics() {
    let database = Database::new();
    database.run(
        r#"CREATE SCHEMA "Odd-1"; CREATE TABLE "Odd-1"."Weird Name" (id int PRIMARY KEY, "va-l" text, "t'x\" int)"#,
    );
    database.run(r#"INSERT INTO "Odd-1"."Weird Name" VALUES (1, E'a\tb\\c\n', 2)"#);
    let (config, host, mut log) = (config(&database, &[]), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 1);
    database.run(r#"UPDATE "Odd-1"."Weird Name" SET id = id"#);
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 2);
    for record in &log.records {
        assert_eq!(record.topic, "shop.Odd-1.Weird_Name");
        assert_eq!(record.value["source"]["table"], "Weird Name");
        assert_eq!(record.after(), &json!({"id": 1, "va-l": "a\tb\\c\n", "t'x\\": 2}));
    }
}

#[test]
fn an_altered_table_goes_on_under_its_new_schema() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
    let sql = [
        "INSERT INTO t VALUES (1, 'a')",
        "ALTER TABLE t ADD w int DEFAULT 5",
        "INSERT INTO t VALUES (2, 'b')",
        "ALTER TABLE t DROP v",
        "INSERT INTO t VALUES (3, 7)",
    ];
    let log = changes(&database, &[], &sql, 3);
    assert_eq!(log.records[0].after()["v"], "a");
    assert_eq!(log.records[1].after(), &json!({"id": 2, "v": "b", "w": 5}));
    assert_eq!(log.records[2].after(), &json!({"id": 3, "w": 7}));
}

#[test]
fn partitions_appear_by_leaf_or_by_root() {
    for (via_root, topic) in [("false", "shop.public.p1"), ("true", "shop.public.p")] {
        let database = Database::new();
        database.run("CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)");
        database.run("CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)");
        database.run("INSERT INTO p VALUES (1, 'old')");
        let config = config(&database, &[("publish.via.partition.root", via_root)]);
        let (host, mut log) = (Arc::new(Native::default()), Log::default());
        let mut task = open(&config, &log, &host);
        poll_until(&mut task, &mut log, 100, |log| log.records.len() == 1);
        database.run("INSERT INTO p VALUES (2, 'new')");
        poll_until(&mut task, &mut log, 100, |log| log.records.len() == 2);
        assert!(log.records.iter().all(|record| record.topic == topic), "{via_root}");
    }
}
