//! What can become of a slot, a publication, a table and a role: each is said by `towpath check`, by Connect's validation and by the
//! worker, as far as they can know, with the SQL that mends it; and when that is run, the capture goes on.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use towpath_tests::{PASSWORD, Process, Signal, USER, Worker, eventually};

use crate::capture::{Capture, NAME};

const TABLE: &str = "create table public.orders (id bigint primary key)";
const HAPPENS_WITHIN: Duration = Duration::from_secs(180);
/// A stream looks around every 30 s.
const LOOKS_WITHIN: Duration = Duration::from_secs(180);

/// Somebody else reads from the slot.
pub(super) async fn busy() -> Result<()> {
    let capture = Capture::open(&["wal_sender_timeout=0"], TABLE).await?;
    captured_once(&capture).await?;
    let mut command = Command::new(capture.postgres.program("pg_recvlogical"));
    command.args(["-h", "127.0.0.1", "-p", &capture.postgres.port().to_string(), "-U", USER, "-d", "shop"]);
    command.args(["--slot", NAME, "--start", "-f", "-", "-s", "0", "-o", "proto_version=1"]);
    command.args(["-o", &format!("publication_names={NAME}")]).env("PGPASSWORD", PASSWORD);
    let occupant = Process::start("pg_recvlogical", &mut command, &capture.path().join("occupant.log"))?;
    let pid = eventually("the slot to be occupied", HAPPENS_WITHIN, || async {
        capture.walsender().await?.context("nobody reads from it")
    })
    .await?;
    // It is to hold the slot and not to move it.
    occupant.signal(Signal::STOP)?;
    let remedy = format!("SELECT pg_terminate_backend({pid})");
    let words = ["postgres.slot_busy", "in use by", "pg_recvlogical", &remedy];
    capture.check(3, &words)?;
    let worker = Worker::start(&capture.options).await?;
    capture.is_said(&worker, &words).await?;
    capture.validate(&worker, 1, &words[1..]).await?;
    capture.postgres.connect_as_superuser("shop").await?.batch_execute(&remedy).await?;
    drop(occupant);
    capture.captures(2).await?;
    ended_well(worker, capture).await
}

/// The slot is gone, or another of its name is there, when the worker starts: nothing is passed over in silence.
pub(super) async fn gone_or_made_anew() -> Result<()> {
    let mut capture = Capture::open(&[], TABLE).await?;
    captured_once(&capture).await?;
    capture.client.batch_execute(&format!("select pg_drop_replication_slot('{NAME}')")).await?;
    capture.client.batch_execute("insert into public.orders values (2)").await?;
    let worker = Worker::start(&capture.options).await?;
    capture.is_said(&worker, &["postgres.slot_gone", "the slot `capture` is gone", "`when_needed`"]).await?;
    let anew = format!("select pg_create_logical_replication_slot('{NAME}', 'pgoutput')");
    capture.client.batch_execute(&anew).await?;
    restart(&worker).await?;
    let words = ["postgres.slot_moved", "beyond the stored offset", "changes committed after", "`trust_slot`"];
    capture.is_said(&worker, &words).await?;
    ensure!(capture.records().await?.len() == 1, "something came although something is missing");
    capture.set(&[("snapshot.mode", "when_needed")])?;
    capture.captures(3).await?;
    arrived(&capture, 2).await?;
    ended_well(worker, capture).await
}

/// The server keeps no more than it is told to: that is said in time, and when it is too late.
pub(super) async fn lost() -> Result<()> {
    let settings = ["max_slot_wal_keep_size=64MB", "max_wal_size=64MB", "min_wal_size=32MB", "wal_sender_timeout=0"];
    let mut capture = Capture::open(&settings, TABLE).await?;
    capture.client.batch_execute("create table noise (x text); alter table noise alter x set storage plain").await?;
    let worker = Worker::start(&capture.options).await?;
    capture.captures(1).await?;
    let reader = capture.walsender().await?.context("nobody reads from the slot")?;
    if signal(reader, Signal::STOP).is_err() {
        println!("skipped: processes of the server may not be signalled here");
        return ended_well(worker, capture).await;
    }
    write(&capture, 44).await?;
    let at_risk = ["postgres.slot_at_risk", "max_slot_wal_keep_size", "ALTER SYSTEM SET"];
    capture.check(0, &at_risk)?;
    capture.validate(&worker, 0, &[]).await?;
    eventually("the worker to warn", LOOKS_WITHIN, || async {
        let said = std::fs::read_to_string(&capture.options.output)?;
        at_risk.iter().try_for_each(|words| Ok(ensure!(said.contains(words), "{words} is not in {said}")))
    })
    .await?;
    // The server waits for the reader that it ends, which is held here.
    let superuser = capture.postgres.connect_as_superuser("shop").await?;
    write(&capture, 100).await?;
    let checkpoint = tokio::spawn(async move { superuser.batch_execute("checkpoint").await });
    eventually("the server to end the reader", HAPPENS_WITHIN, || async {
        ensure!(capture.postgres.log().contains("to release replication slot"), "its log says nothing of it");
        Ok(())
    })
    .await?;
    signal(reader, Signal::CONT)?;
    checkpoint.await??;
    let remedy = format!("SELECT pg_drop_replication_slot('{NAME}')");
    let words = ["postgres.slot_lost", "changes since it was last read are lost", "`when_needed`", &remedy];
    capture.is_said(&worker, &words).await?;
    capture.check(2, &words)?;
    capture.validate(&worker, 1, &words[1..]).await?;
    capture.client.batch_execute("insert into public.orders values (2)").await?;
    capture.set(&[("snapshot.mode", "when_needed")])?;
    capture.captures(3).await?;
    arrived(&capture, 2).await?;
    ended_well(worker, capture).await
}

/// The publication is missing and may not be made; it is dropped while changes are made.
pub(super) async fn without_publication() -> Result<()> {
    let mut capture = Capture::open(&[], TABLE).await?;
    capture.set(&[("publication.autocreate.mode", "disabled")])?;
    let words =
        ["postgres.publication_missing", "there is no publication \"capture\"", "CREATE PUBLICATION \"capture\""];
    capture.check(2, &words)?;
    let worker = Worker::start(&capture.options).await?;
    capture.is_said(&worker, &words).await?;
    capture.validate(&worker, 1, &words[1..]).await?;
    capture.client.batch_execute("create publication capture for table public.orders").await?;
    restart(&worker).await?;
    capture.captures(1).await?;

    capture.client.batch_execute("drop publication capture; insert into public.orders values (2)").await?;
    let words =
        ["postgres.publication_missing", "cannot be decoded", "CREATE PUBLICATION \"capture\"", "`when_needed`"];
    capture.is_said(&worker, &words).await?;
    capture.client.batch_execute("create publication capture for table public.orders").await?;
    capture.set(&[("snapshot.mode", "when_needed")])?;
    capture.captures(3).await?;
    arrived(&capture, 2).await?;
    ended_well(worker, capture).await
}

/// A table is dropped and made anew, and the publication goes, while the worker runs: it mends what it may mend.
pub(super) async fn made_anew_while_it_runs() -> Result<()> {
    let capture = Capture::open(&[], TABLE).await?;
    let worker = Worker::start(&capture.options).await?;
    capture.captures(1).await?;
    capture.client.batch_execute(&format!("drop table public.orders; {TABLE}")).await?;
    let published = format!("select count(*) from pg_publication_tables where pubname = '{NAME}'");
    for order in [2, 3] {
        eventually("the table to be published", LOOKS_WITHIN, || async {
            let tables: i64 = capture.value(&published).await?;
            ensure!(tables == 1, "{tables} tables are published");
            Ok(())
        })
        .await?;
        capture.captures(order).await?;
        capture.client.batch_execute("drop publication capture").await?;
    }
    capture.is_running(&worker).await?;
    let said = std::fs::read_to_string(&capture.options.output)?;
    for words in ["ALTER PUBLICATION \\\"capture\\\" SET TABLE", "was not what the filters want"] {
        ensure!(said.contains(words), "{words} is not in {said}");
    }
    ended_well(worker, capture).await
}

/// The role lacks rights, one after the other; what is said to be run is run.
pub(super) async fn without_rights() -> Result<()> {
    let mut capture = Capture::open(&[], TABLE).await?;
    let superuser = capture.postgres.connect_as_superuser("shop").await?;
    superuser
        .batch_execute(&format!(
            "create role reader login password '{PASSWORD}'; revoke all on schema public from public; \
             create publication capture for table public.orders"
        ))
        .await?;
    capture.set(&[("database.user", "reader"), ("publication.autocreate.mode", "disabled")])?;
    let worker = Worker::start(&capture.options).await?;
    let remedies = [
        ("postgres.replication_right", "ALTER ROLE \"reader\" REPLICATION"),
        ("postgres.read_right", "GRANT USAGE ON SCHEMA \"public\" TO \"reader\""),
        ("postgres.read_right", "GRANT SELECT ON \"public\".\"orders\" TO \"reader\""),
    ];
    for (number, (code, remedy)) in (0..).zip(remedies) {
        capture.check(2, &[code, remedy])?;
        capture.is_said(&worker, &[code, remedy]).await?;
        capture.validate(&worker, 3 - number, &[remedy]).await?;
        superuser.batch_execute(remedy).await?;
        restart(&worker).await?;
    }
    capture.check(0, &[])?;
    capture.captures(1).await?;
    drop(superuser);
    ended_well(worker, capture).await
}

/// A worker captures the table and ends.
async fn captured_once(capture: &Capture) -> Result<()> {
    let worker = Worker::start(&capture.options).await?;
    capture.captures(1).await?;
    let status = worker.stop().await?;
    ensure!(status.success(), "the worker ended with {status}");
    Ok(())
}

async fn restart(worker: &Worker) -> Result<()> {
    let path = format!("/connectors/{NAME}/restart?includeTasks=true");
    let (code, answer) = worker.rest().send(reqwest::Method::POST, &path, None).await?;
    ensure!(code < 300, "{path} answered {code}: {answer}");
    Ok(())
}

/// An order that was made while nothing could be captured is there.
async fn arrived(capture: &Capture, order: i64) -> Result<()> {
    let key = format!("{{\"id\":{order}}}");
    let records = capture.records().await?;
    ensure!(records.iter().any(|record| record.key.as_deref() == Some(&key)), "order {order} is not in the log");
    Ok(())
}

/// Has the server log so many megabytes that nobody captures.
async fn write(capture: &Capture, megabytes: u32) -> Result<()> {
    let write = "insert into noise select repeat('x', 7500) from generate_series(1, 128)";
    for _ in 0..megabytes {
        capture.client.batch_execute(write).await?;
    }
    Ok(())
}

fn signal(pid: i32, signal: Signal) -> Result<()> {
    let pid = rustix::process::Pid::from_raw(pid).context("no process id")?;
    Ok(rustix::process::kill_process(pid, signal)?)
}

async fn ended_well(worker: Worker, capture: Capture) -> Result<()> {
    let status = worker.stop().await?;
    ensure!(status.success(), "the worker ended with {status}; everything is kept in {}", capture.path().display());
    capture.close().await
}
