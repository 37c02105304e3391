//! How long a broker takes from kill -9 to its next answer with much in its log, and how much it reads for that: ours and Apache
//! Kafka, filled by Kafka's own producer, one after the other. Both times hold the start of the process itself.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::Instant;
use towpath_tests::{Broker, Folder, Peers, Signal, towpath_log};

use crate::Arguments;
use crate::broker::{HEAP_MB, PEER, STOPPED_WITHIN, Tools};
use crate::report::{Report, Target};

const TOPIC: &str = "much";
const PARTITIONS: u32 = 16;
const RECORD_BYTES: u32 = 1024;

/// What one recovery took.
struct Recovery {
    took: Duration,
    /// What the process has read until then, programs and all.
    read_mb: f64,
}

pub(crate) async fn measure(arguments: &Arguments, report: &mut Report) -> Result<()> {
    if let Some(missing) = Peers::missing() {
        eprintln!("  not beside Apache Kafka: {missing}");
        return Ok(());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of records")]
    let records = (arguments.recovery_gb * 1e9 / f64::from(RECORD_BYTES)) as u64;
    let mut broker = Broker::start(HEAP_MB, false).await?;
    let tools = Tools { libraries: broker.libraries().to_owned(), bootstrap: broker.bootstrap().to_owned() };
    fill(&tools, records).await?;
    broker.kill().await?;
    let begun = Instant::now();
    broker.start_again(HEAP_MB).await?;
    let theirs = Recovery { took: begun.elapsed(), read_mb: read_mb(broker.pid())? };
    broker.stop().await?;

    let folder = Folder::new("towpath-bench-recovery-")?;
    let (data, output) = (folder.join("data"), folder.join("log.txt"));
    let (mut process, bootstrap) = towpath_log(&data, &output).await?;
    fill(&Tools { libraries: tools.libraries, bootstrap }, records).await?;
    process.end(Signal::KILL, STOPPED_WITHIN).await?;
    let begun = Instant::now();
    let (mut process, _) = towpath_log(&data, &output).await?;
    let ours = Recovery { took: begun.elapsed(), read_mb: read_mb(process.pid())? };
    process.end(Signal::TERM, STOPPED_WITHIN).await?;
    folder.remove()?;

    let what = |recovery: &Recovery| format!("{:.2} s, {:.0} MB read", recovery.took.as_secs_f64(), recovery.read_mb);
    report.alone(
        &format!("recovery: kill -9 to the next answer, {} GB in {PARTITIONS} partitions", arguments.recovery_gb),
        what(&ours),
        Target::at_most(hundredths(theirs.took), ours.took.as_secs_f64()),
    );
    report.alone(&format!("the same, {PEER}"), what(&theirs), Target::NONE);
    Ok(())
}

async fn fill(tools: &Tools, records: u64) -> Result<()> {
    tools.create(TOPIC, PARTITIONS).await?;
    tools.produce(TOPIC, records, RECORD_BYTES).await.map(drop)
}

/// Seconds, as they are told.
fn hundredths(took: Duration) -> f64 {
    (took.as_secs_f64() * 100.0).round() / 100.0
}

/// What a process has read from files, from the cache or not.
fn read_mb(pid: u32) -> Result<f64> {
    let told = std::fs::read_to_string(format!("/proc/{pid}/io"))?;
    let read = told.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse::<f64>().ok());
    Ok(read.context("/proc tells nothing of reads")? / 1e6)
}
