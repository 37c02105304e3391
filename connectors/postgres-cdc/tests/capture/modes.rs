//! What the configuration changes in records: masks, keys, names, messages, transactions.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::log::{Log, Record, config, open, poll, poll_until};
use crate::support::native::Native;
use crate::support::server::Database;

/// The records of a snapshot.
fn snapshot(database: &Database, settings: &[(&str, &str)], count: usize) -> Log {
    let (config, host, mut log) = (config(database, settings), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == count);
    log
}

#[test]
fn dates_and_times_may_be_iso_text() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY, d date, b date NOT NULL, t time, s timestamp(3), z timestamptz, i interval)");
    database.run(
        "INSERT INTO t VALUES (1, 'infinity', '0044-03-15 BC', '24:00', '2018-06-20 15:13:16.94', '2018-06-20 15:13:16+02', '4 hours'), \
         (2, '12345-01-02', '2018-06-20', '13:12:00.5', '-infinity', NULL, '-1 mons -00:00:00.5')",
    );
    let log = snapshot(&database, &[("time.precision.mode", "isostring"), ("interval.handling.mode", "string")], 2);
    let expected = json!({"id": 1, "d": "infinity", "b": "-0043-03-15Z", "t": "24:00:00Z", "s": "2018-06-20T15:13:16.94Z",
        "z": "2018-06-20T13:13:16.000000Z", "i": "P0Y0M0DT4H0M0S"});
    assert_eq!(log.records[0].after(), &expected);
    let expected = json!({"id": 2, "d": "+12345-01-02Z", "b": "2018-06-20Z", "t": "13:12:00.5Z", "s": "-infinity", "z": null,
        "i": "P0Y-1M0DT0H0M-0.5S"});
    assert_eq!(log.records[1].after(), &expected);
    assert_eq!(log.records[0].column("d").name.as_deref(), Some("io.debezium.time.IsoDate"));
}

#[test]
fn hstore_may_be_a_map_and_money_of_other_digits() {
    let database = Database::new();
    database
        .run("CREATE EXTENSION hstore; CREATE TABLE t (id int PRIMARY KEY, h hstore, a hstore[], m money, n money)");
    database.run("INSERT INTO t VALUES (1, 'k=>v, n=>NULL', ARRAY['a=>b'::hstore], '-1.50', '2.49')");
    let log = snapshot(&database, &[("hstore.handling.mode", "map"), ("money.fraction.digits", "0")], 1);
    let expected = json!({"id": 1, "h": {"k": "v", "n": null}, "a": [{"a": "b"}], "m": "/g==", "n": "Ag=="});
    assert_eq!(log.records[0].after(), &expected);
}

#[test]
fn masked_columns_never_show_their_values() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL, b varchar(10), c text, d jsonb, n text)");
    database.run("INSERT INTO t VALUES (1, 'secret', 'Sally', 'äöüß', '{\"secret\": 1}', NULL)");
    let settings = [
        ("column.mask.with.5.chars", "public.t.a,public.t.d,public.t.n"),
        ("column.mask.hash.v2.MD5.with.salt.CzQMA0cB5K", "public.t.b"),
        ("column.truncate.to.2.chars", "public.t.c"),
    ];
    let (config, host, mut log) = (config(&database, &settings), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 1);
    database.run("DELETE FROM t");
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 3);
    let row = log.records[0].after();
    assert_eq!((&row["a"], &row["d"], &row["c"]), (&json!("*****"), &json!("*****"), &json!("äö")));
    // A hash is cut to the column's length; a null is masked too, so that nothing can be told from it.
    assert_eq!(row["b"], "44d42c2f2f");
    assert_eq!(row["n"], "*****");
    assert_eq!(log.records[1].value["before"]["a"], "*****");
    assert_eq!(log.records[0].column("a").parameters["masked"], "true");
}

#[test]
fn keys_names_and_types_are_as_configured() {
    let database = Database::new();
    database.run(r#"CREATE TABLE t (id int PRIMARY KEY, "my-col" varchar(20), b numeric(10,2), c int NOT NULL)"#);
    database.run("CREATE TABLE n (x int, y int)");
    database.run("INSERT INTO n VALUES (1, 2); INSERT INTO t VALUES (1, 'x', 1.5, 7)");
    let settings = [
        ("message.key.columns", "public.t:c,my-col;public.n:y"),
        ("schema.name.adjustment.mode", "avro"),
        ("field.name.adjustment.mode", "avro"),
        ("column.propagate.source.type", "public.t.my-col"),
        ("datatype.propagate.source.type", "public.t.numeric"),
        ("topic.prefix", "my-shop"),
    ];
    let log = snapshot(&database, &settings, 2);
    assert_eq!(log.records[0].key, json!({"y": 2}));
    assert_eq!(log.records[1].key.to_string(), r#"{"c":7,"my_col":"x"}"#);
    assert_eq!(log.records[1].topic, "my-shop.public.t");
    let schema = log.records[1].schema.as_ref().expect("a schema");
    assert_eq!(schema.name.as_deref(), Some("my_shop.public.t.Envelope"));
    let parameter = |column: &str, name: &str| {
        log.records[1]
            .column(column)
            .parameters
            .get(&format!("__debezium.source.column.{name}"))
            .cloned()
            .unwrap_or_default()
    };
    let told = ["type", "length", "scale", "name"].map(|name| parameter("my_col", name));
    assert_eq!(told, ["VARCHAR", "20", "0", "my-col"]);
    assert_eq!(["type", "length", "scale"].map(|name| parameter("b", name)), ["NUMERIC", "10", "2"]);
    assert_eq!(parameter("c", "type"), "");
}

/// The records that `sql` makes after an empty snapshot.
fn changes(database: &Database, settings: &[(&str, &str)], sql: &[&str], count: usize) -> Log {
    let (config, host, mut log) = (config(database, settings), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| !log.offsets.is_empty());
    sql.iter().for_each(|sql| drop(database.run(sql)));
    poll_until(&mut task, &mut log, 100, |log| log.records.len() >= count);
    assert_eq!(log.records.len(), count, "{:?}", log.ops());
    log
}

#[test]
fn an_update_that_changes_nothing_shown_may_be_skipped() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY, v int, hidden int); ALTER TABLE t REPLICA IDENTITY FULL");
    let settings = [("skip.messages.without.change", "true"), ("column.exclude.list", "public.t.hidden")];
    let sql = [
        "INSERT INTO t VALUES (1, 2, 3)",
        "UPDATE t SET hidden = 4",
        "UPDATE t SET v = NULL",
        "UPDATE t SET hidden = 5",
        "UPDATE t SET v = 2",
    ];
    let log = changes(&database, &settings, &sql, 3);
    assert_eq!(log.ops(), "cuu");
}

#[test]
fn the_key_of_an_index_identity_is_in_every_record() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY, u int NOT NULL UNIQUE, v int)");
    database.run("ALTER TABLE t REPLICA IDENTITY USING INDEX t_u_key");
    let sql = ["INSERT INTO t VALUES (1, 7, 0)", "UPDATE t SET v = 1", "UPDATE t SET u = 8", "DELETE FROM t"];
    let log = changes(&database, &[], &sql, 7);
    assert_eq!(log.ops(), "cudtcdt");
    let keys: Vec<_> = log.records.iter().map(|record| record.key["u"].clone()).collect();
    assert_eq!(keys, [7, 7, 7, 7, 8, 8, 8]);
}

#[test]
fn messages_of_applications_become_records() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY)");
    let settings = [("message.prefix.exclude.list", "noise.*")];
    let sql = [
        "SELECT pg_logical_emit_message(false, 'note', 'outside')",
        "BEGIN; SELECT pg_logical_emit_message(true, 'order', 'inside'); INSERT INTO t VALUES (1); COMMIT",
        "SELECT pg_logical_emit_message(false, 'noise', 'x'), pg_logical_emit_message(true, 'noises', 'x')",
        "BEGIN; SELECT pg_logical_emit_message(true, 'order', 'undone'); ROLLBACK",
        "INSERT INTO t VALUES (2)",
    ];
    let (config, host, mut log) = (config(&database, &settings), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| !log.offsets.is_empty());
    for sql in sql {
        database.run(sql);
        // Every message is delivered once, wherever the task stops.
        poll(&mut task, &mut log, 1).expect("polls");
        drop(task);
        task = open(&config, &log, &host);
    }
    poll_until(&mut task, &mut log, 1, |log| log.records.len() >= 4);
    assert_eq!(log.ops(), "mmcc");
    let shown =
        |record: &Record| (record.key.clone(), record.value["message"].clone(), record.value["source"]["txId"].clone());
    let (key, message, xid) = shown(&log.records[0]);
    assert_eq!(
        (key, message, xid),
        (json!({"prefix": "note"}), json!({"prefix": "note", "content": "b3V0c2lkZQ=="}), Value::Null)
    );
    let (_, message, xid) = shown(&log.records[1]);
    assert_eq!(
        (message, &xid),
        (json!({"prefix": "order", "content": "aW5zaWRl"}), &log.records[2].value["source"]["txId"])
    );
    assert!(log.records[..2].iter().all(|record| record.topic == "shop.message" && record.headers.is_empty()));
    assert!(log.records[2..].iter().all(|record| record.headers.len() == 4));
    let sequence = |record: &Record| record.value["source"]["sequence"].clone();
    let lsn = &log.records[0].value["source"]["lsn"];
    // A message outside of transactions is complete in itself: what follows counts from it.
    assert_eq!(sequence(&log.records[0]), format!("[\"{lsn}\",\"{lsn}\"]"));
    assert!(
        sequence(&log.records[1]).to_string().starts_with(&format!("\"[\\\"{lsn}\\\"")),
        "{}",
        sequence(&log.records[1])
    );
    let source = &log.records[0].value["source"];
    assert_eq!((&source["schema"], &source["table"], &source["snapshot"]), (&json!(""), &json!(""), &json!("false")));
}

#[test]
fn transactions_are_told_of_and_counted_across_restarts() {
    let database = Database::new();
    database
        .run("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE skipped (id int)");
    let settings = [("provide.transaction.metadata", "true"), ("table.exclude.list", "public.skipped")];
    let (config, host, mut log) = (config(&database, &settings), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| !log.offsets.is_empty());
    database.run("INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (1); UPDATE a SET id = 3 WHERE id = 1; INSERT INTO skipped VALUES (1)");
    database.run("INSERT INTO skipped VALUES (2)");
    // One record at a time, and a new task after each.
    for _ in 0..400 {
        let _ = poll(&mut task, &mut log, 1);
        drop(task);
        task = open(&config, &log, &host);
        if log.records.iter().filter(|record| record.value["status"] == "END").count() == 2 {
            break;
        }
    }
    let told: Vec<_> = log
        .records
        .iter()
        .filter(|record| record.op() != "tombstone" || record.topic == "shop.transaction")
        .map(|record| match record.value["status"].as_str() {
            Some(status) => format!("{status} {} {}", record.value["event_count"], record.value["data_collections"]),
            None => format!(
                "{} {} {}",
                record.op(),
                record.value["transaction"]["total_order"],
                record.value["transaction"]["data_collection_order"]
            ),
        })
        .collect();
    let counts = r#"[{"data_collection":"public.a","event_count":4},{"data_collection":"public.b","event_count":1}]"#;
    let expected = [
        "BEGIN null null",
        "c 1 1",
        "c 2 2",
        "c 3 1",
        "d 4 3",
        "c 5 4",
        &format!("END 5 {counts}"),
        "BEGIN null null",
        "END 0 []",
    ];
    assert_eq!(told, expected);
    let id =
        |record: &Record| record.value["id"].as_str().or(record.value["transaction"]["id"].as_str()).map(str::to_owned);
    let xids: std::collections::BTreeSet<_> =
        log.records[..6].iter().filter_map(id).map(|id| id.split(':').next().map(str::to_owned)).collect();
    assert_eq!(xids.len(), 1, "{xids:?}");
    assert_eq!(log.records[0].key["id"], log.records[0].value["id"]);
}
