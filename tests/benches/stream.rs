//! A backlog of changes into the log, against `pg_recvlogical` draining the same changes to nowhere.

use anyhow::Result;
use std::time::Duration;

use crate::Arguments;
use crate::meter::{Meter, memory_mb};
use crate::report::{Report, Target};
use crate::stage::{Stage, TOPIC, count, reach};

pub(crate) const EVENTS_A_TRANSACTION: u64 = 1000;
const RUNNING_WITHIN: Duration = Duration::from_secs(60);

pub(crate) async fn measure(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let stage = Stage::open(10).await?;
    stage.capture("")?;
    let worker = stage.worker().await?;
    worker.running("items-cdc", RUNNING_WITHIN).await?;
    reach("the first rows", 10, || count(worker.rest(), TOPIC)).await?;
    worker.rest().put("/connectors/items-cdc/stop").await?;

    let superuser = stage.postgres.connect_as_superuser("bench").await?;
    superuser.batch_execute("select pg_create_logical_replication_slot('yardstick', 'pgoutput')").await?;
    let events = stage.write_backlog(arguments.events, EVENTS_A_TRANSACTION).await?;
    let end: String = superuser.query_one("select pg_current_wal_lsn()::text", &[]).await?.try_get(0)?;
    let publication: String =
        superuser.query_one("select pubname::text from pg_publication limit 1", &[]).await?.try_get(0)?;
    let publications = format!("publication_names={publication}");
    let drain = [
        "-S",
        "yardstick",
        "--start",
        "--no-loop",
        "-f",
        "-",
        "--endpos",
        &end,
        "-o",
        "proto_version=1",
        "-o",
        &publications,
    ];
    let drained = events as f64 / stage.program("pg_recvlogical", &drain).await?;

    let mut worker = worker;
    let pid = worker.process().pid();
    let rest = worker.rest().clone();
    let meter = Meter::start(pid)?;
    rest.put("/connectors/items-cdc/resume").await?;
    let captured = reach("the backlog", events + 10, || count(&rest, TOPIC)).await?;
    let cpu = meter.cpu_seconds()? / events as f64 * 1e6;
    let (_, peak) = memory_mb(pid)?;
    let target = Target::at_least(0.9 * drained, captured);
    report.rate("backlog", "events/s", captured, target, "pg_recvlogical", drained);
    report.alone(
        "backlog: processor; memory at most",
        format!("{cpu:.1} s a million; {peak:.0} MB"),
        Target::at_most(4.0, cpu).and(Target::at_most(100.0, peak)),
    );
    worker.stop().await?;
    stage.close().await
}
