//! A captured database in which nothing happens, beside one that is busy: the slot keeps up all the same, and nothing is written for it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use towpath_tests::{Worker, eventually};

use crate::capture::{Capture, NAME};

const WITHIN_BYTES: i64 = 16 << 20;
/// What the server keeps is told by its own records, which it makes every 15 s.
const KEPT_BYTES: i64 = 64 << 20;
const KEEPS_UP_WITHIN: Duration = Duration::from_secs(60);
const LETS_GO_WITHIN: Duration = Duration::from_secs(180);
/// Rows of a block each, of which a write makes 4 MiB of log.
const WRITE: &str = "insert into noise select repeat('x', 7500) from generate_series(1, 512)";
const WRITTEN: &str = "select tup_inserted + tup_updated + tup_deleted from pg_stat_database where datname = 'shop'";

/// So many megabytes are written next door. Where nothing else runs, the slot is never further behind than it may be.
pub(super) async fn beside_a_busy_database(megabytes: i64, alone: bool) -> Result<()> {
    let mut capture = Capture::open(&["autovacuum=off"], "create table public.orders (id bigint primary key)").await?;
    let told = format!("everything is kept in {}", capture.path().display());
    capture.postgres.create_database("busy").await?;
    let busy = capture.postgres.connect("busy").await?;
    busy.batch_execute("create table noise (x text); alter table noise alter x set storage plain").await?;
    // Who ends has told the server's statistics all that it did, and the slot is made by then.
    captured_once(&mut capture, 1).await.with_context(|| told.clone())?;
    let written = capture.value::<i64>(WRITTEN).await?;
    let worker = Worker::start(&capture.options).await?;
    worker.running(NAME, KEEPS_UP_WITHIN).await?;
    let slot = format!(
        "select pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint, \
         pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint \
         from pg_replication_slots where slot_name = '{NAME}'"
    );
    let look = async || -> Result<(i64, i64, i64)> {
        let row = busy.query_one(&slot, &[]).await?;
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
    };
    let (.., begin) = look().await?;
    let mut worst = 0;
    loop {
        busy.batch_execute(WRITE).await?;
        let (behind, _, end) = look().await?;
        worst = worst.max(behind);
        eventually("the slot to keep up", KEEPS_UP_WITHIN, || async {
            let (behind, ..) = look().await?;
            ensure!(behind <= WITHIN_BYTES, "it is {behind} bytes behind");
            Ok(())
        })
        .await
        .with_context(|| told.clone())?;
        if end - begin >= megabytes << 20 {
            break;
        }
    }
    ensure!(!alone || worst <= WITHIN_BYTES, "the slot was {worst} bytes behind; {told}");
    eventually("the server to let go of its log", LETS_GO_WITHIN, || async {
        let (_, kept, _) = look().await?;
        ensure!(kept <= KEPT_BYTES, "{kept} bytes are kept for the slot");
        Ok(())
    })
    .await
    .with_context(|| told.clone())?;
    let status = worker.stop().await?;
    ensure!(status.success(), "the worker ended with {status}; {told}");
    let after = capture.value::<i64>(WRITTEN).await?;
    ensure!(after == written, "{} rows were written to the idle database; {told}", after - written);
    captured_once(&mut capture, 2).await.with_context(|| told.clone())?;
    println!("{megabytes} MB were written next door; the slot was {} kB behind at most", worst >> 10);
    drop(busy);
    capture.close().await
}

/// A worker captures an order and ends, and so does whoever made it.
async fn captured_once(capture: &mut Capture, order: i64) -> Result<()> {
    let worker = Worker::start(&capture.options).await?;
    capture.captures(order).await?;
    let status = worker.stop().await?;
    ensure!(status.success(), "the worker ended with {status}");
    capture.connect_anew().await?;
    eventually("all others to have gone", KEEPS_UP_WITHIN, || async {
        let others = "select count(*) from pg_stat_activity where datname = 'shop' and pid <> pg_backend_pid()";
        let others: i64 = capture.value(others).await?;
        ensure!(others == 0, "{others} are left");
        Ok(())
    })
    .await
}
