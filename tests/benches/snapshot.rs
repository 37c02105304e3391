//! The snapshot of a table into the log, against `psql` copying the same table to nowhere.

use anyhow::Result;

use crate::Arguments;
use crate::meter::{Meter, memory_mb};
use crate::report::{Report, Target};
use crate::stage::{Stage, TOPIC, count, reach};

/// Gives the stage with the topic filled, for the sinks.
pub(crate) async fn measure(arguments: &Arguments, report: &mut Report) -> Result<Stage> {
    let rows = arguments.rows;
    let stage = Stage::open(rows).await?;
    let copy = ["-qc", "copy items to stdout"];
    // The first run warms Postgres's memory; the faster of the next two is the yardstick.
    stage.program("psql", &copy).await?;
    let seconds = stage.program("psql", &copy).await?.min(stage.program("psql", &copy).await?);
    let copied = rows as f64 / seconds;

    stage.capture("")?;
    let mut worker = stage.worker().await?;
    let meter = Meter::start(worker.process().pid())?;
    let rest = worker.rest().clone();
    let captured = reach("the snapshot", rows, || count(&rest, TOPIC)).await?;
    let cpu = meter.cpu_seconds()? / rows as f64 * 1e6;
    let (_, peak) = memory_mb(worker.process().pid())?;
    report.rate("snapshot", "rows/s", captured, Target::at_least(300_000.0, captured), "psql COPY", copied);
    report.alone(
        "snapshot: processor; memory at most",
        format!("{cpu:.1} s a million; {peak:.0} MB"),
        Target::at_most(2.5, cpu).and(Target::at_most(100.0, peak)),
    );
    worker.stop().await?;
    Ok(stage)
}
