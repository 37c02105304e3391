//! What is refused, and how it is said.

use std::sync::Arc;

use towpath_model::ConnectorError;
use towpath_postgres_cdc::error::Error;

use crate::support::log::{Log, config, limits, open, poll_until};
use crate::support::native::Native;
use crate::support::server::Database;

fn refused(database: &Database, settings: &[(&str, &str)]) -> Error {
    let mut task = open(&config(database, settings), &Log::default(), &Arc::new(Native::default()));
    task.poll(limits(10)).expect_err("refused")
}

#[test]
fn what_never_passes_fails_at_once_with_what_mends_it() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY); DROP ROLE IF EXISTS weak; CREATE ROLE weak LOGIN");
    let error = refused(&database, &[("publication.autocreate.mode", "disabled")]);
    assert!(error.to_string().contains("CREATE PUBLICATION \"dbz_publication\" FOR ALL TABLES;"), "{error}");
    let error = refused(&database, &[("database.user", "weak")]);
    assert!(error.to_string().contains("ALTER ROLE \"weak\" REPLICATION;"), "{error}");
    let error = refused(&database, &[("database.dbname", "nowhere")]);
    assert!(
        matches!(error.told(&database.server.login("postgres")), ConnectorError::Config { key, .. } if key == "database.dbname")
    );
    let error = refused(&database, &[("database.user", "nobody")]);
    assert!(
        matches!(error.told(&database.server.login("postgres")), ConnectorError::Config { key, .. } if key == "database.user")
    );
    let error = refused(&database, &[("table.include.list", "public.x"), ("publication.autocreate.mode", "filtered")]);
    assert!(error.to_string().contains("matches the filters"), "{error}");
    let error = refused(&database, &[("database.sslmode", "require")]);
    assert!(error.to_string().contains("database.sslmode"), "{error}");
}

#[test]
fn a_busy_slot_names_its_owner_and_is_asked_for_again() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY)");
    let (config, host, mut log) = (config(&database, &[]), Arc::new(Native::default()), Log::default());
    let mut owner = open(&config, &log, &host);
    poll_until(&mut owner, &mut log, 100, |log| !log.offsets.is_empty());
    for _ in 0..10 {
        owner.poll(limits(10)).expect("streams");
    }
    let mut second = open(&config, &log, &host);
    let error = second.poll(limits(10)).expect_err("busy");
    assert!(error.is_passing() && error.to_string().contains("(Towpath from 127.0.0.1"), "{error}");
    owner.close();
    database.run("INSERT INTO t VALUES (1)");
    poll_until(&mut second, &mut log, 100, |log| log.records.len() == 1);
}

#[test]
fn a_slot_that_was_made_anew_is_refused_unless_it_is_trusted() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY)");
    let host = Arc::new(Native::default());
    let mut log = Log::default();
    let mut task = open(&config(&database, &[]), &log, &host);
    poll_until(&mut task, &mut log, 100, |log| !log.offsets.is_empty());
    task.close();
    let drop_slot = format!(
        "SELECT pg_drop_replication_slot('{0}') FROM pg_replication_slots WHERE slot_name = '{0}' AND NOT active",
        database.name
    );
    while database.run(&drop_slot).is_empty() {}
    let mut task = open(&config(&database, &[]), &log, &host);
    let error = task.poll(limits(10)).expect_err("gone");
    assert!(!error.is_passing() && error.to_string().contains("is gone"), "{error}");
    database.run("INSERT INTO t VALUES (1)");
    database.run(&format!("SELECT pg_create_logical_replication_slot('{}', 'pgoutput')", database.name));
    let mut task = open(&config(&database, &[]), &log, &host);
    let error = task.poll(limits(10)).expect_err("a gap");
    assert!(!error.is_passing() && error.to_string().contains("trust_slot"), "{error}");
    // With a new snapshot nothing is missing.
    let when_needed = [("snapshot.mode", "when_needed")];
    let mut task = open(&config(&database, &when_needed), &log, &host);
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 1);
    task.close();
    database.run("INSERT INTO t VALUES (2)");
    let mut task = open(&config(&database, &[("offset.mismatch.strategy", "trust_slot")]), &log, &host);
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 2);
}

#[test]
fn a_filtered_publication_follows_the_filters() {
    let database = Database::new();
    database.run(
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY)",
    );
    let host = Arc::new(Native::default());
    let mut log = Log::default();
    let published =
        || database.value("SELECT string_agg(tablename, ',' ORDER BY tablename) FROM pg_publication_tables");
    let filtered = |list| [("publication.autocreate.mode", "filtered"), ("table.include.list", list)];
    let mut task = open(&config(&database, &filtered("public.a")), &log, &host);
    poll_until(&mut task, &mut log, 100, |log| !log.offsets.is_empty());
    assert_eq!(published(), "a");
    task.close();
    let mut task = open(&config(&database, &filtered("public.(a|b)")), &log, &host);
    database.run("INSERT INTO a VALUES (1)");
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 1);
    assert_eq!(published(), "a,b");
}

#[test]
fn passwords_are_given_in_each_way_the_server_asks_and_wrong_ones_fail_at_once() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY)");
    for role in ["scram", "md5", "clear"] {
        let hashed = if role == "md5" { "md5" } else { "scram-sha-256" };
        database.run(&format!("SET password_encryption = '{hashed}'"));
        database.run(&format!("DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'pä ss'"));
        let as_role = |password: &'static str| [("database.user", role), ("database.password", password)];
        let error = refused(&database, &as_role("wrong"));
        assert!(
            matches!(error.told(&database.server.login("postgres")), ConnectorError::Config { key, .. } if key == "database.password"),
            "{role}"
        );
        let error = refused(&database, &[("database.user", role)]);
        assert!(error.to_string().contains("database.password"), "{role}: {error}");
        let host = Arc::new(Native::default());
        let mut log = Log::default();
        let mut task = open(&config(&database, &as_role("pä ss")), &log, &host);
        poll_until(&mut task, &mut log, 100, |log| !log.offsets.is_empty());
        task.close();
    }
}

#[test]
fn a_server_that_lives_and_never_answers_is_given_up() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY)");
    let settings = [("database.query.timeout.ms", "1000"), ("status.update.interval.ms", "100")];
    let (config, host, mut log) = (config(&database, &settings), Arc::new(Native::default()), Log::default());
    let mut task = open(&config, &log, &host);
    poll_until(&mut task, &mut log, 100, |log| !log.offsets.is_empty());
    for _ in 0..10 {
        task.poll(limits(10)).expect("streams");
    }
    let ours = database.run("SELECT pid FROM pg_stat_replication WHERE application_name = 'Towpath'");
    let pids: Vec<&str> = ours.iter().filter_map(|row| row[0].as_deref()).collect();
    let signal = |signal: &str| {
        let sent = std::process::Command::new("kill").arg(signal).args(&pids).status();
        assert!(sent.expect("kill runs").success());
    };
    signal("-STOP");
    let error = (0..1_000).find_map(|_| task.poll(limits(10)).err());
    signal("-CONT");
    let error = error.expect("the silence is noticed");
    assert!(error.is_passing() && error.to_string().contains("did not answer"), "{error}");
    database.run("INSERT INTO t VALUES (1)");
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 1);
}
