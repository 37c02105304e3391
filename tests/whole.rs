//! `transaction.boundary: connector`: who reads the log sees every transaction of the database whole, also those that are larger than
//! any batch, and also across kills of the worker and beside records that the log refuses.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use towpath_tests::{Deadline, LogRecord, Worker, eventually};

use crate::capture::Capture;
use crate::runner::blocking;

const TABLE: &str = "create table public.orders
  (id bigserial primary key, transaction bigint not null default -1, size bigint not null default 1, note text)";
const TRANSACTIONS: i64 = 300;
const WITHIN: Duration = Duration::from_secs(240);

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("whole::transactions_are_seen_whole_through_kills", || blocking(seen_whole()))]
}

async fn seen_whole() -> Result<()> {
    let seed = std::env::var("TOWPATH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("TOWPATH_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut capture = Capture::open(&[], TABLE).await?;
    // Rows of a snapshot are of no transaction, so there is none.
    let no_snapshot = ("snapshot.mode", "no_data");
    let small = [("topic.creation.default.max.message.bytes", "20000"), ("errors.tolerance", "all")];
    capture.set(&[("transaction.boundary", "connector"), ("batch.max.records", "100"), no_snapshot])?;
    capture.set(&small)?;
    let mut worker = Worker::start(&capture.options).await?;
    eventually("the stream", WITHIN, || async {
        let made = "select count(*) from pg_replication_slots where active and confirmed_flush_lsn is not null";
        ensure!(capture.value::<i64>(made).await? == 1, "nobody streams");
        Ok(())
    })
    .await?;
    capture.captures(1_000_000_000).await?;

    let writer = capture.postgres.connect("shop").await?;
    let sizes: Vec<i64> = (0..TRANSACTIONS)
        .map(|_| if random.random_bool(0.1) { random.random_range(100..3000) } else { random.random_range(1..40) })
        .collect();
    let written = sizes.iter().sum::<i64>() + 1;
    let writing = tokio::spawn(async move {
        for (transaction, size) in sizes.iter().enumerate() {
            // One row in the middle is too large for the topic, and is left out.
            let insert = format!(
                "insert into public.orders (transaction, size, note)
                 select {transaction}, {size}, case row when {size} / 2 then repeat('x', 30000) end
                 from generate_series(0, {size}) row"
            );
            writer.batch_execute(&insert).await?;
        }
        anyhow::Ok(())
    });
    let deadline = Deadline::after(WITHIN);
    let (mut kills, mut looks, mut seen) = (3, 0, 0);
    while seen < written {
        ensure!(!deadline.is_over(), "{seen} of {written} rows are seen in time");
        let records = capture.records().await?;
        is_whole(&records).with_context(|| format!("at look {looks}"))?;
        ensure!(records.len() >= seen as usize, "{} records are there, {seen} have been seen", records.len());
        seen = records.len() as i64;
        looks += 1;
        if kills > 0 && seen > written * (4 - kills) / 5 {
            kills -= 1;
            worker.kill().await?;
            is_whole(&capture.records().await?).context("after a kill, in the log at rest")?;
            worker = Worker::start(&capture.options).await?;
        }
    }
    writing.await??;
    ensure!(seen == written, "{seen} records of {written} rows");
    println!("{looks} looks, {written} rows");
    worker.stop().await?;
    capture.close().await
}

/// Each transaction that has a record has all of them.
fn is_whole(records: &[LogRecord]) -> Result<()> {
    let mut transactions: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for record in records {
        let value: serde_json::Value = serde_json::from_str(record.value.as_deref().context("a value")?)?;
        let number = |field: &str| value["after"][field].as_i64().with_context(|| format!("{field} in {value}"));
        let (found, size) = transactions.entry(number("transaction")?).or_default();
        *found += 1;
        *size = number("size")?;
    }
    for (transaction, (found, size)) in transactions {
        ensure!(found == size, "{found} of {size} records of transaction {transaction} are seen");
    }
    Ok(())
}
