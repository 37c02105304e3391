//! What a look at the source finds: each fault by its code, whether it passes, and the SQL that mends it, which is then run.

use std::sync::Arc;

use towpath_model::{Fault, Gravity, SystemClock};
use towpath_postgres_cdc::catalog::Catalog;
use towpath_postgres_cdc::config::Settings;
use towpath_postgres_cdc::safety;

use crate::support::log::{Log, config, open, poll_until};
use crate::support::native::Native;
use crate::support::server::Database;

fn look(database: &Database, settings: &[(&str, &str)]) -> Vec<Fault> {
    let settings = Settings::parse(&config(database, settings)).expect("valid");
    let clock = Arc::new(SystemClock::default());
    let mut catalog = Catalog::new(Arc::new(Native::default()), clock, settings.login.clone());
    let faults = safety::look(&mut catalog, &settings);
    catalog.close();
    faults
}

/// Codes with a mark: `!` refuses, `?` passes, `~` warns.
fn codes(faults: &[Fault]) -> String {
    let mark = |gravity| match gravity {
        Gravity::Error => '!',
        Gravity::Passing => '?',
        Gravity::Warning => '~',
    };
    let code = |fault: &Fault| {
        let code = fault.reason.code.as_deref().unwrap_or("none").trim_start_matches("postgres.").to_owned();
        format!("{code}{}", mark(fault.gravity))
    };
    faults.iter().map(code).collect::<Vec<_>>().join(" ")
}

fn check(database: &Database, settings: &[(&str, &str)], expected: &str) -> Vec<Fault> {
    let faults = look(database, settings);
    assert_eq!(codes(&faults), expected, "{faults:?}");
    faults
}

/// The statements of a remedy.
fn sql(fault: &Fault) -> String {
    let remedy = fault.reason.remedy.clone().unwrap_or_default();
    let begin = ["ALTER ", "GRANT ", "CREATE ", "SELECT "].iter().filter_map(|word| remedy.find(word)).min();
    let from = remedy.get(begin.unwrap_or_else(|| panic!("no SQL in {remedy}"))..).expect("a place");
    from.get(..=from.rfind(';').expect("an end")).expect("a place").to_owned()
}

#[test]
fn rights_that_are_missing_are_named_with_the_grant_that_mends_them() {
    let database = Database::new();
    let role = format!("role_{}", database.name);
    database.run(&format!(
        "CREATE SCHEMA s; CREATE TABLE s.t (id int PRIMARY KEY); CREATE ROLE {role} NOLOGIN; REVOKE CONNECT ON DATABASE {} FROM public",
        database.name
    ));
    let as_role =
        [("database.user", role.as_str()), ("publication.autocreate.mode", "filtered"), ("table.include.list", "s.t")];
    for expected in ["login_right!", "connect_right!", "replication_right! publication_right! read_right! read_right!"]
    {
        let faults = check(&database, &as_role, expected);
        if faults.len() == 1 {
            database.run(&sql(&faults[0]));
        }
    }
    // Each remedy takes one fault away; the publication takes two.
    let faults = look(&database, &as_role);
    faults.iter().filter(|fault| fault.key == "database.user").for_each(|fault| drop(database.run(&sql(fault))));
    let faults = check(&database, &as_role, "publication_right!");
    assert!(sql(&faults[0]).starts_with("GRANT CREATE ON DATABASE"), "{faults:?}");
    database.run(&sql(&faults[0]));
    let faults = check(&database, &as_role, "publication_right!");
    database.run(&sql(&faults[0]));
    check(&database, &as_role, "");
    let faults = check(&database, &[("database.user", "nobody_here")], "role_missing!");
    assert!(sql(&faults[0]).starts_with("CREATE ROLE \"nobody_here\" LOGIN REPLICATION"), "{faults:?}");
    database.run(&format!("DROP PUBLICATION dbz_publication; DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn a_publication_is_looked_into() {
    let database = Database::new();
    database.run("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)");
    let given = [("publication.autocreate.mode", "disabled"), ("table.include.list", "public.a,public.b")];
    let faults = check(&database, &given, "publication_missing!");
    assert_eq!(sql(&faults[0]), "CREATE PUBLICATION \"dbz_publication\" FOR ALL TABLES;");
    database.run("CREATE PUBLICATION dbz_publication WITH (publish = 'insert')");
    let faults = check(&database, &given, "publication_operations~ publication_tables!");
    assert!(faults[0].reason.message.contains("update, delete"), "{faults:?}");
    database.run("ALTER PUBLICATION dbz_publication ADD TABLE a");
    let faults = check(&database, &given, "publication_operations~ publication_tables~");
    faults.iter().for_each(|fault| drop(database.run(&sql(fault))));
    check(&database, &given, "");
    let faults = check(&database, &[("table.include.list", "public.c")], "no_tables!");
    assert_eq!(faults[0].key, "table.include.list");
}

#[test]
fn tables_whose_updates_the_server_will_refuse_are_named() {
    let database = Database::new();
    database.run(
        "CREATE TABLE keyless (v int); CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING; \
         CREATE TABLE gone (id int NOT NULL); CREATE UNIQUE INDEX gone_id ON gone (id); \
         ALTER TABLE gone REPLICA IDENTITY USING INDEX gone_id; DROP INDEX gone_id; CREATE TABLE fine (id int PRIMARY KEY)",
    );
    let faults = check(&database, &[], "no_key~ identity_nothing~ identity_index~");
    database.run("CREATE PUBLICATION p FOR ALL TABLES; INSERT INTO keyless VALUES (1)");
    let refused = database.session().query("UPDATE keyless SET v = 2").expect_err("the server refuses it");
    assert_eq!(refused.sqlstate(), Some("55000"), "{refused}");
    for fault in &faults {
        let remedy = sql(fault);
        database.run(remedy.get(remedy.rfind("ALTER").expect("SQL")..).expect("a place"));
    }
    check(&database, &[], "");
    database.run("UPDATE keyless SET v = 2");
}

#[test]
fn a_slot_is_looked_at() {
    let database = Database::new();
    let other = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY)");
    let name = database.name.as_str();
    let drop_slot = format!("SELECT pg_drop_replication_slot('{name}')");
    database.run(&format!("SELECT pg_create_logical_replication_slot('{name}', 'test_decoding')"));
    check(&database, &[], "slot_plugin!");
    database.run(&drop_slot);
    database.run(&format!("SELECT pg_create_physical_replication_slot('{name}')"));
    check(&database, &[], "slot_plugin!");
    database.run(&drop_slot);
    other.run(&format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')"));
    let faults = check(&database, &[], "slot_database!");
    assert!(faults[0].reason.message.contains(&other.name), "{faults:?}");
    other.run(&drop_slot);
    let mut log = Log::default();
    let own = [("name", "orders")];
    let mut task = open(&config(&database, &own), &log, &Arc::new(Native::default()));
    poll_until(&mut task, &mut log, 100, |log| !log.offsets.is_empty());
    poll_until(&mut task, &mut log, 100, |_| {
        !database.run(&format!("SELECT 1 FROM pg_replication_slots WHERE slot_name = '{name}' AND active")).is_empty()
    });
    let faults = check(&database, &[], "slot_busy?");
    let message = &faults[0].reason.message;
    let pid = database.value(&format!("SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{name}'"));
    assert!(
        message.contains(&format!("process {pid} (Towpath orders from 127.0.0.1")) && message.contains(" since "),
        "{message}"
    );
    assert!(sql(&faults[0]).contains(&format!("pg_terminate_backend({pid})")), "{faults:?}");
    check(&database, &own, "");
    task.close();
}

#[test]
fn a_server_that_cannot_be_captured_says_what_to_set() {
    let database = Database::with("wal_level = replica\n");
    database.run("CREATE TABLE t (id int PRIMARY KEY)");
    let faults = check(&database, &[], "wal_level!");
    assert!(sql(&faults[0]).starts_with("ALTER SYSTEM SET wal_level = logical;"), "{faults:?}");
    database.run(&sql(&faults[0]).replace(" and restart the server.", ""));

    let database = Database::with("max_replication_slots = 1\nmax_wal_senders = 1\n");
    database.run("CREATE TABLE t (id int PRIMARY KEY); SELECT pg_create_physical_replication_slot('left_over')");
    let faults = check(&database, &[], "slots_exhausted!");
    assert!(faults[0].reason.remedy.as_deref().is_some_and(|remedy| remedy.contains("'left_over'")), "{faults:?}");
    database.run("SELECT pg_drop_replication_slot('left_over')");
    check(&database, &[], "");
    let mut login = database.server.login(&database.name);
    login.timeout = std::time::Duration::from_secs(5);
    let clock = Arc::new(SystemClock::default());
    let sender =
        towpath_postgres_cdc::wire::Connection::open(&Native::default(), &login, true, clock).expect("a sender");
    check(&database, &[], "senders_exhausted?");
    sender.close();
}

#[test]
fn a_slot_is_said_to_be_at_risk_before_it_is_lost() {
    let database = Database::with("max_slot_wal_keep_size = '32MB'\nmin_wal_size = '32MB'\nmax_wal_size = '32MB'\n");
    database.run("CREATE TABLE t (id int PRIMARY KEY)");
    let name = database.name.clone();
    database.run(&format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')"));
    check(&database, &[], "");
    let mut seen = Vec::new();
    for _ in 0..12 {
        database.run("SELECT pg_logical_emit_message(false, 'fill', repeat('x', 6000000))");
        database.run("CHECKPOINT");
        let found = codes(&look(&database, &[]));
        if seen.last() != Some(&found) {
            seen.push(found);
        }
    }
    assert_eq!(seen.last().map(String::as_str), Some("slot_lost!"), "{seen:?}");
    assert!(seen.iter().any(|found| found == "slot_at_risk~"), "{seen:?}");
    let when_needed = [("snapshot.mode", "when_needed")];
    check(&database, &when_needed, "slot_lost~");
    let mut log = Log::default();
    database.run("INSERT INTO t VALUES (1)");
    let mut task = open(&config(&database, &when_needed), &log, &Arc::new(Native::default()));
    poll_until(&mut task, &mut log, 100, |log| log.records.len() == 1);
    task.close();
}

#[test]
fn a_server_that_is_not_there_is_told_apart_from_one_that_refuses() {
    let database = Database::new();
    database.run("CREATE TABLE t (id int PRIMARY KEY)");
    check(&database, &[("database.port", "1")], "unreachable?");
    check(&database, &[("database.hostname", "no-such-host.invalid")], "host_unknown?");
    check(&database, &[("database.dbname", "nowhere")], "database_missing!");
    check(&database, &[("database.sslmode", "require")], "tls_refused!");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port().to_string();
    let began = std::time::Instant::now();
    let as_silent = [("database.port", port.as_str()), ("database.query.timeout.ms", "1000")];
    check(&database, &as_silent, "unanswered?");
    assert!(began.elapsed() < std::time::Duration::from_secs(8), "{:?}", began.elapsed());
    let garbage = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = silent.accept().expect("a client");
        let mut asked = [0; 8];
        stream.read_exact(&mut asked).expect("a request for TLS");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("answered");
    });
    let faults = look(&database, &as_silent);
    garbage.join().expect("it ran");
    assert!(matches!(codes(&faults).as_str(), "tls!" | "protocol?" | "closed?"), "{faults:?}");
}
