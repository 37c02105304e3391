//! One large transaction: how long after its commit the last of its rows is in the log, and what that takes in memory.
//!
//! The rows are narrow, so that memory is that of the worker and not of any one row. The yardstick is the same transaction with
//! the server keeping it until its commit, as it does for every consumer that does not ask for transactions while they are open.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tokio::time::Instant;

use crate::Arguments;
use crate::meter::{Meter, memory_mb};
use crate::report::{Report, Target};
use crate::stage::{Stage, count, reach};

const TOPIC: &str = "bench.public.narrow";
const RUNNING_WITHIN: Duration = Duration::from_secs(60);
/// Rows of one statement of the transaction.
const STATEMENT_ROWS: u64 = 100_000;

pub(crate) async fn measure(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let goal = |seconds: f64, peak: f64| Target::at_most(2.5, seconds).and(Target::at_most(96.0, peak));
    let streamed = one(arguments, report, "streamed", "", goal).await?;
    let whole = one(arguments, report, "kept by the server", "streaming.mode: 'off'\n", |_, _| Target::NONE).await?;
    let rate = |seconds: f64| arguments.large_rows as f64 / seconds;
    let (streamed, whole) = (rate(streamed), rate(whole));
    let what = "a large transaction, from its commit on";
    report.rate(what, "rows/s", streamed, Target::at_least(400_000.0, streamed), "kept by the server", whole);
    Ok(())
}

/// Seconds from the commit to the last row. What is wanted depends on those of a million rows and on the memory.
async fn one(
    arguments: &Arguments,
    report: &mut Report,
    how: &str,
    settings: &str,
    goal: impl Fn(f64, f64) -> Target,
) -> Result<f64> {
    let rows = arguments.large_rows;
    let stage = Stage::open(10).await?;
    stage.client.batch_execute("create table public.narrow (id bigint primary key, number int not null)").await?;
    stage.capture_tables("public.narrow", settings)?;
    let worker = stage.worker().await?;
    worker.running("items-cdc", RUNNING_WITHIN).await?;
    stage.client.batch_execute("insert into narrow values (-1, 0)").await?;
    reach("the first row", 1, || count(worker.rest(), TOPIC)).await?;

    let mut worker = worker;
    let pid = worker.process().pid();
    let (before, _) = memory_mb(pid)?;
    let meter = Meter::start(pid)?;
    stage.client.batch_execute("begin").await?;
    for first in (0..rows).step_by(STATEMENT_ROWS as usize) {
        let last = rows.min(first + STATEMENT_ROWS) - 1;
        let insert = format!("insert into narrow select i, i % 1000 from generate_series({first}, {last}) i");
        stage.client.batch_execute(&insert).await?;
    }
    stage.client.batch_execute("commit").await?;
    let committed = Instant::now();
    let after = Meter::start(pid)?;
    reach("the large transaction", rows + 1, || count(worker.rest(), TOPIC)).await?;
    let seconds = committed.elapsed().as_secs_f64();
    let (_, peak) = memory_mb(pid)?;
    let guest = worker.rest().get("/v1/connectors/items-cdc").await?;
    let guest = guest.pointer("/tasks/0/guest_memory_bytes").and_then(Value::as_f64).unwrap_or_default() / 1048576.0;
    let millions = rows as f64 / 1e6;
    report.alone(
        &format!("a transaction of {millions} M rows, {how}"),
        format!(
            "last row {seconds:.2} s after the commit, {:.2} s a million; memory {before:.0} MB before, {peak:.0} MB at most, of which {guest:.0} MB the connector's; processor {:.1} s a million, {:.1} of them after the commit",
            seconds / millions,
            meter.cpu_seconds()? / millions,
            after.cpu_seconds()? / millions,
        ),
        goal(seconds / millions, peak),
    );
    worker.stop().await?;
    stage.close().await?;
    Ok(seconds)
}
