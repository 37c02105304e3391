//! Column defaults in schemas: constants of the types that Debezium evaluates; calls as zero; nothing for calculations.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::log::{Log, config, open, poll_until};
use crate::support::native::Native;
use crate::support::server::Database;

/// Type, default, and what the schema says of it; null for nothing.
fn cases() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("int", "-5", json!(-5)),
        ("int", "1 + 2", Value::Null),
        ("bigint", "'-7'::bigint", json!(-7)),
        ("smallint", "5", json!(5)),
        ("bool", "true", json!(true)),
        ("real", "'NaN'", json!("NaN")),
        ("float8", "1e21", json!(1e21)),
        ("numeric(10,2)", "1.5", json!("AJY=")),
        ("numeric(10,2)", "'-1.5'::numeric", json!("/2o=")),
        ("numeric(38,0)", "'-133.5'::numeric(38,0)", Value::Null),
        ("numeric(5,2)", "1.5::numeric(5,2)", Value::Null),
        ("numeric(5,2)", "'NaN'", Value::Null),
        ("numeric(5,2)", "random()", json!("AA==")),
        // Connect has no default that is a struct.
        ("numeric", "1.5", Value::Null),
        ("money", "1.5", Value::Null),
        ("text", "'it''s'", json!("it's")),
        ("text", "E'line\\nbreak'", json!("line\nbreak")),
        ("text", "'a' || 'b'", Value::Null),
        ("text", "lower('X')", json!("")),
        ("text", "NULL::text", Value::Null),
        ("varchar(10)", "CURRENT_USER", json!("")),
        ("char(5)", "'ab'", json!("ab")),
        ("name", "'n'", Value::Null),
        ("json", "'{\"a\": 1}'", json!("{\"a\": 1}")),
        ("jsonb", "jsonb_build_object()", json!("{}")),
        ("xml", "'<a/>'", json!("<a/>")),
        ("bit(3)", "B'101'", json!("BQ==")),
        ("bit(1)", "B'1'", json!(true)),
        ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        ("uuid", "gen_random_uuid()", json!("00000000-0000-0000-0000-000000000000")),
        ("date", "'2020-01-01'", json!(18_262)),
        ("date", "CURRENT_DATE", json!(0)),
        ("time", "'10:00:00.5'", json!(36_000_500_000i64)),
        ("time(3)", "'24:00'", json!(86_400_000)),
        ("timestamp", "'2020-01-01 10:00:00.5'", json!(1_577_872_800_500_000i64)),
        ("timestamp(3)", "'0044-03-15 10:00 BC'", json!(-63_517_788_000_000i64)),
        ("timestamp", "now()", json!(0)),
        ("timestamptz", "'2020-01-01 10:00:00.5+02'", json!("2020-01-01T08:00:00.500000Z")),
        ("interval", "'1 day'", json!(86_400_000_000i64)),
        ("mood", "'it''s'", json!("it's")),
        ("weight", "1.5", Value::Null),
        ("bytea", "'\\x01'", Value::Null),
        ("inet", "'10.0.0.1'", Value::Null),
        ("int[]", "'{}'", Value::Null),
        ("oid", "1", Value::Null),
    ]
}

#[test]
fn defaults_are_those_that_debezium_gives() {
    let database = Database::new();
    database.run("CREATE TYPE mood AS ENUM ('sad', 'it''s'); CREATE DOMAIN weight AS numeric(8,3)");
    let cases = cases();
    let columns: Vec<String> = cases
        .iter()
        .enumerate()
        .map(|(index, (kind, default, _))| format!("c{index} {kind} DEFAULT {default}"))
        .collect();
    database.run(&format!("CREATE TABLE t (id int PRIMARY KEY, {})", columns.join(", ")));
    database.run("INSERT INTO t (id) VALUES (1)");
    let (config, host, mut log) = (config(&database, &[]), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 1);
    database.run("INSERT INTO t (id) VALUES (2)");
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 2);
    let mut wrong = Vec::new();
    for record in &log.records {
        for (index, (kind, default, expected)) in cases.iter().enumerate() {
            let found = record.column(&format!("c{index}")).default.clone().unwrap_or_default();
            if found != *expected {
                wrong.push(format!("{kind} {default}: {found}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
