//! What sinks take out of the log: the topic that the snapshot has filled, into objects on S3, and to an HTTP endpoint.

use anyhow::{Context, Result};
use towpath_tests::{ACCESS_KEY, Receiver, Rest, S3Server, SECRET_KEY};

use crate::Arguments;
use crate::meter::{Meter, memory_mb};
use crate::report::{Report, Target, thousands};
use crate::stage::{Stage, TOPIC, reach};

/// One record a request is slow enough that a part of the topic tells all.
const SINGLE_REQUESTS: u64 = 100_000;

pub(crate) async fn measure(arguments: &Arguments, report: &mut Report, stage: &Stage) -> Result<()> {
    std::fs::remove_file(stage.options.pipelines.join("items-cdc.yaml")).context("taking the source away")?;
    let rows = arguments.rows;
    let s3 = S3Server::start(&stage.folder.join("s3"), "bench").await?;
    let keys = format!("aws.access.key.id: {ACCESS_KEY}\naws.secret.access.key: {SECRET_KEY}\n");
    let lake =
        format!("store.url: {}\ns3.bucket.name: bench\n{keys}flush.size: 10000\nrotate.interval.ms: 1000\n", s3.url());
    sink(report, stage, "S3 sink, 10,000 records an object", "s3-sink", &lake, (rows, 400_000.0)).await?;
    let folder = stage.folder.make("lake")?;
    let lake = format!(
        "store.url: file://{}\ns3.bucket.name: b\nflush.size: 10000\nrotate.interval.ms: 1000\n",
        folder.display()
    );
    sink(report, stage, "S3 sink to a local folder", "s3-sink", &lake, (rows, 400_000.0)).await?;

    for (what, batch, goal) in [
        ("HTTP sink, 1,000 records a request", 1000, (rows, 300_000.0)),
        ("HTTP sink, one record a request", 1, (SINGLE_REQUESTS.min(rows), 30_000.0)),
    ] {
        let receiver = Receiver::start().await?;
        receiver.only_count();
        let hooks = format!("http.url: {}/items\nbatch.max.size: {batch}\nmax.in.flight: 16\n", receiver.url());
        sink(report, stage, what, "http-sink", &hooks, goal).await?;
    }
    Ok(())
}

/// Runs one sink from the beginning of the topic until it has committed `goal` records, at `wanted` a second or more.
async fn sink(
    report: &mut Report,
    stage: &Stage,
    what: &str,
    class: &str,
    config: &str,
    (goal, wanted): (u64, f64),
) -> Result<()> {
    let name: String = what.chars().filter(char::is_ascii_alphanumeric).collect();
    let file = format!("{name}.yaml");
    let mut worker = stage.worker().await?;
    let meter = Meter::start(worker.process().pid())?;
    stage.pipeline(&file, &format!("name: {name}\nconnector.class: {class}\ntopics: {TOPIC}\n{config}"))?;
    let rest = worker.rest().clone();
    let rate = reach(what, goal, || delivered(&rest, &name)).await?;
    let cpu = meter.cpu_seconds()? / delivered(&rest, &name).await? as f64 * 1e6;
    let (_, peak) = memory_mb(worker.process().pid())?;
    let measured = format!("{} records/s, {cpu:.1} s of processor a million, {peak:.0} MB", thousands(rate));
    report.alone(what, measured, Target::at_least(wanted, rate));
    std::fs::remove_file(stage.options.pipelines.join(&file))?;
    worker.stop().await?;
    Ok(())
}

/// Records that are durable in the sink's target.
async fn delivered(rest: &Rest, name: &str) -> Result<u64> {
    let (code, answer) = rest.send(reqwest::Method::GET, &format!("/v1/connectors/{name}"), None).await?;
    if code == 404 {
        return Ok(0);
    }
    Ok(answer.get("records_total").and_then(serde_json::Value::as_u64).unwrap_or_default())
}
