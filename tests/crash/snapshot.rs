//! kill -9 in mid-snapshot, with several readers: what is in the log is not read again, but for a piece for each reader and what was on its way, and each
//! row is in the log once.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use towpath_tests::{Passage, Relay, Worker, eventually};

use crate::capture::{Capture, NAME};

const READERS: u32 = 3;
/// A row fills a block, so that a piece of the smallest size, 4 MiB, has so many.
const ROWS_A_PIECE: u64 = 512;
/// What readers have handed over and the log does not have yet: more the busier the machine is.
const ROWS_ON_THEIR_WAY: u64 = 512;
/// So slow that a snapshot takes seconds.
const BYTES_A_SECOND: u32 = 4_000_000;
/// What a kill may cost.
const AGAIN: u64 = READERS as u64 * ROWS_A_PIECE + ROWS_ON_THEIR_WAY;
const COMES_WITHIN: Duration = Duration::from_secs(180);

/// Kills a worker so often while it reads a table of so many rows.
pub(super) async fn killed_in_mid_snapshot(seed: u64, kills: u64, rows: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let table = format!(
        "create table public.orders (id bigint primary key, pad text); alter table public.orders alter pad set storage plain; \
         insert into public.orders select i, repeat(md5(i::text), 200) from generate_series(1, {rows}) i; analyze public.orders"
    );
    let mut capture = Capture::open(&["autovacuum=off"], &table).await?;
    let told = format!("TOWPATH_CRASH_SEED={seed}, everything is kept in {}", capture.path().display());
    let relay = Relay::to(([127, 0, 0, 1], capture.postgres.port()).into()).await?;
    relay.set(Passage::Slow(BYTES_A_SECOND));
    capture.set(&[("snapshot.max.threads", &READERS.to_string())])?;
    capture.go_through(relay.address())?;
    let before = rows_read(&capture).await?;
    for kill in 1..=kills {
        let worker = Worker::start(&capture.options).await?;
        // Each life comes a good deal further than the one before, so that reading anew would show.
        let until = rows * kill / (kills + 1) + rng.random_range(0..rows / (2 * (kills + 1)));
        let killed = kill_after(worker, until).await;
        killed.with_context(|| format!("kill {kill}, due after {until} rows; {told}"))?;
        nobody_is_connected(&capture).await?;
        let read = rows_read(&capture).await? - before;
        let in_log = capture.records().await?.len() as u64;
        let again = kill * AGAIN;
        ensure!(in_log < rows, "kill {kill} came too late; {told}");
        ensure!(read <= in_log + again, "{read} rows were read for {in_log} in the log, after {kill} kills; {told}");
    }
    relay.set(Passage::Free);
    let worker = Worker::start(&capture.options).await?;
    // What is made before the last snapshot stands may come with the stream and be read as well.
    eventually("the whole snapshot", COMES_WITHIN, || async {
        let in_log = capture.records().await?.len() as u64;
        ensure!(in_log >= rows, "{in_log} rows are there");
        Ok(())
    })
    .await
    .with_context(|| told.clone())?;
    capture.captures(-1).await.with_context(|| told.clone())?;
    let status = worker.stop().await?;
    ensure!(status.success(), "the worker ended with {status}; {told}");
    let read = rows_read(&capture).await? - before;
    ensure!(read <= rows + kills * AGAIN, "{read} rows were read in all; {told}");
    each_row_is_there_once(&capture, rows).await.with_context(|| told.clone())?;
    println!("seed {seed}: {kills} kills in mid-snapshot; {rows} rows, {read} read");
    capture.close().await
}

/// Waits until so many rows are read, and kills the worker.
async fn kill_after(mut worker: Worker, rows: u64) -> Result<()> {
    let read = eventually("a part of the snapshot", COMES_WITHIN, || async {
        let said = worker.rest().get(&format!("/v1/connectors/{NAME}")).await?;
        let done = said.pointer("/snapshot/rows_done").and_then(Value::as_u64).unwrap_or_default();
        ensure!(done >= rows, "{done} rows are read");
        Ok(())
    })
    .await;
    worker.process().must_run()?;
    read?;
    worker.kill().await
}

/// The rows that were read of the table by scans. Indexes play no part in a snapshot.
async fn rows_read(capture: &Capture) -> Result<u64> {
    let read: i64 = capture.value("select seq_tup_read from pg_stat_user_tables where relname = 'orders'").await?;
    Ok(read.unsigned_abs())
}

/// Only who has gone has told what it read.
async fn nobody_is_connected(capture: &Capture) -> Result<()> {
    eventually("the worker's sessions to end", COMES_WITHIN, || async {
        let ours = "select count(*) from pg_stat_activity where application_name ilike 'towpath%'";
        let left: i64 = capture.value(ours).await?;
        ensure!(left == 0, "{left} are left");
        Ok(())
    })
    .await
}

async fn each_row_is_there_once(capture: &Capture, rows: u64) -> Result<()> {
    let mut times: BTreeMap<i64, u32> = BTreeMap::new();
    let mut markers: BTreeMap<String, u64> = BTreeMap::new();
    for record in capture.records().await? {
        let event: Value = serde_json::from_str(record.value.as_deref().context("a tombstone")?)?;
        let op = event.get("op").and_then(Value::as_str).unwrap_or_default();
        let id = event.pointer("/after/id").and_then(Value::as_i64).ok_or_else(|| anyhow!("no id in {event}"))?;
        ensure!(op == if id < 0 { "c" } else { "r" }, "order {id} is in the log as {op}");
        *times.entry(id).or_default() += 1;
        let marker = event.pointer("/source/snapshot").and_then(Value::as_str).unwrap_or_default();
        *markers.entry(marker.to_owned()).or_default() += 1;
    }
    let wrong: Vec<_> = times.iter().filter(|(_, times)| **times != 1).take(5).collect();
    ensure!(wrong.is_empty(), "some rows are in the log more than once: {wrong:?}");
    ensure!(times.len() as u64 == rows + 1, "{} rows are in the log, {rows} and one more are due", times.len());
    let ends = [markers.get("first"), markers.get("last")];
    ensure!(ends == [Some(&1), Some(&1)], "the first and the last row are marked so: {markers:?}");
    Ok(())
}
