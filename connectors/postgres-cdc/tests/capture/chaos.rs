//! A random workload, and a task that dies at random: whatever happens, the log leaves the tables as they are.

use std::sync::Arc;

use serde_json::Value;

use crate::support::dice::{Dice, seeds};
use crate::support::log::{Log, config, limits, open, poll_until};
use crate::support::native::Native;
use crate::support::server::Database;

/// A transaction of the workload: several changes, perhaps undone in part or whole.
fn transaction(dice: &mut Dice) -> String {
    let mut sql = String::from("BEGIN;");
    for _ in 0..=dice.throw(4) {
        let table = ["t", "u"][dice.throw(2) as usize];
        let (id, other) = (dice.throw(300), dice.throw(300));
        let change = match dice.throw(8) {
            0..3 => {
                format!("INSERT INTO {table} VALUES ({id}, {other}, 'i') ON CONFLICT (id) DO UPDATE SET v = {other};")
            }
            3..5 => format!("UPDATE {table} SET v = v + 1 WHERE id BETWEEN {id} AND {id} + 5;"),
            5 => format!(
                "UPDATE {table} SET id = {other} WHERE id = {id} AND NOT EXISTS (SELECT FROM {table} WHERE id = {other});"
            ),
            6 => format!("DELETE FROM {table} WHERE id = {id};"),
            _ => format!("SAVEPOINT s; UPDATE {table} SET v = -1; DELETE FROM {table} WHERE id < 50; ROLLBACK TO s;"),
        };
        sql += &change;
    }
    sql + if dice.throw(8) == 0 { "ROLLBACK" } else { "COMMIT" }
}

fn run(seed: u64) {
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let database = Database::new();
    for table in ["t", "u"] {
        database.run(&format!("CREATE TABLE {table} (id int PRIMARY KEY, v int, w text)"));
        database.run(&format!("INSERT INTO {table} SELECT i, i, repeat('w', 200) FROM generate_series(0, 299) i"));
    }
    let (config, host, mut log) = (config(&database, &[]), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    for _ in 0..250 {
        if dice.throw(2) == 0 {
            database.run(&transaction(&mut dice));
        }
        if let Ok(polled) = task.poll(limits(1 + dice.throw(60) as usize)) {
            // The worker may die before it writes, after it has written, or after the task heard of it.
            let fate = dice.throw(20);
            if fate != 0 {
                log.take(&polled);
            }
            if fate > 1 && !polled.checkpoints.is_empty() {
                task.commit(&polled.checkpoints).expect("ours");
            }
            if fate < 2 {
                task = open(&config, &log, &host);
            }
        }
        if dice.throw(25) == 0 {
            database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'Towpath' AND datname = current_database()");
        }
    }
    database.run("CREATE TABLE mark (id int PRIMARY KEY); INSERT INTO mark VALUES (1)");
    let running = |log: &Log| log.offsets.values().any(|offset| offset.contains(r#""snapshot_completed":false"#));
    poll_until(&mut task, &mut log, 100, |log| {
        !running(log) && log.records.iter().any(|record| record.topic.ends_with("mark"))
    });
    log.assert_no_duplicates();
    for table in ["t", "u"] {
        let rows = database.run(&format!("SELECT row_to_json(t) FROM {table} t ORDER BY id"));
        let source =
            rows.iter().map(|row| serde_json::from_str::<Value>(row[0].as_deref().expect("a row")).expect("json"));
        let mut rebuilt: Vec<Value> = log.table(&format!("shop.public.{table}")).into_values().collect();
        rebuilt.sort_by_key(|row| row["id"].as_i64());
        assert_eq!(rebuilt, source.collect::<Vec<_>>(), "{table} with seed {seed}");
    }
}

#[test]
fn random_deaths_leave_the_log_exact() {
    for seed in seeds(2) {
        run(seed);
    }
}
