//! The connector against a real server: what a user would see in the log.

mod support;

use std::sync::Arc;

use support::log::{Log, config, open, poll_until};
use support::native::Native;
use support::server::Database;

#[test]
fn a_snapshot_is_followed_by_every_change() {
    let database = Database::new();
    database.run("CREATE TABLE t (id serial PRIMARY KEY, name text NOT NULL, note varchar(20))");
    database.run("INSERT INTO t (name) SELECT 'n' || i FROM generate_series(1, 1000) i");
    let (config, host, mut log) = (config(&database, &[]), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 1000);
    assert_eq!(log.records[0].value["source"]["snapshot"], "first");
    assert_eq!(log.records[999].value["source"]["snapshot"], "last");
    database.run("INSERT INTO t (name) VALUES ('new')");
    database.run("UPDATE t SET note = 'x' WHERE id = 1");
    database.run("UPDATE t SET id = 5000 WHERE id = 2");
    database.run("DELETE FROM t WHERE id = 3");
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 1007);
    assert_eq!(log.ops()[1000..], *"cudtcdt");
    println!("{}", serde_json::to_string_pretty(&log.records[1001].value).expect("json"));
    task.close();
}
