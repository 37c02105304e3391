//! Cold start, with a warm code cache, and what a worker costs that has nothing to do.

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;
use towpath_tests::{Receiver, Worker};

use crate::meter::{Meter, memory_mb};
use crate::report::{Report, Target};
use crate::stage::Stage;

const RUNNING_WITHIN: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_secs(5);
const STARTS: usize = 5;
const CROWD: u32 = 500;

/// From the start of the process to RUNNING of a source and two sinks, the median of five; then memory and processor at rest.
pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    let stage = Stage::open(10).await?;
    let receiver = Receiver::start().await?;
    stage.capture("")?;
    stage.pipeline(
        "hooks.yaml",
        &format!("connector.class: http-sink\ntopics: bench.public.items\nhttp.url: {}/items\n", receiver.url()),
    )?;
    let lake = stage.folder.make("lake")?;
    let store = lake.display();
    stage.pipeline(
        "lake.yaml",
        &format!(
            "connector.class: s3-sink\ntopics: bench.public.items\nstore.url: file://{store}\ns3.bucket.name: b\n"
        ),
    )?;
    let mut times = Vec::new();
    for round in 0..=STARTS {
        let begun = Instant::now();
        let mut worker = stage.worker().await?;
        for connector in ["items-cdc", "hooks", "lake"] {
            worker.running(connector, RUNNING_WITHIN).await?;
        }
        // The first start fills the cache and makes the slot.
        if round > 0 {
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        if round == STARTS {
            let (resident, share) = at_rest(&mut worker).await?;
            report.alone(
                "idle, three connectors: memory; processor",
                format!("{resident:.0} MB; {share:.1} % of a core"),
                Target::at_most(40.0, resident).and(Target::at_most(1.0, share)),
            );
        }
        worker.stop().await?;
    }
    times.sort_by(f64::total_cmp);
    let median = times.get(STARTS / 2).copied().unwrap_or(f64::NAN);
    let target = Target::at_most(300.0, median);
    report.alone("cold start to three connectors RUNNING", format!("{median:.0} ms"), target);
    stage.close().await?;
    crowd(report).await
}

/// What each of many connectors costs that have nothing to do, beside a worker without any.
async fn crowd(report: &mut Report) -> Result<()> {
    let stage = Stage::open(10).await?;
    let mut worker = stage.worker().await?;
    let (alone_mb, alone_share) = at_rest(&mut worker).await?;
    worker.stop().await?;
    let folder = stage.folder.make("sinks")?;
    let name = |number: u32| format!("quiet-{number}");
    for number in 0..CROWD {
        let (name, file) = (name(number), folder.join(number.to_string()));
        let text = format!("connector.class: file-sink\ntopics: quiet\nfile: {}\n", file.display());
        stage.pipeline(&format!("{name}.yaml"), &text)?;
    }
    let mut worker = stage.worker().await?;
    for number in 0..CROWD {
        worker.running(&name(number), RUNNING_WITHIN).await?;
    }
    let (crowd_mb, crowd_share) = at_rest(&mut worker).await?;
    let mb = (crowd_mb - alone_mb) / f64::from(CROWD);
    let share = (crowd_share - alone_share) / f64::from(CROWD);
    report.alone(
        &format!("idle, each of {CROWD} connectors: memory; processor"),
        format!("{mb:.2} MB; {share:.3} % of a core"),
        Target::at_most(1.0, mb).and(Target::at_most(0.02, share)),
    );
    worker.stop().await?;
    stage.close().await
}

/// Resident megabytes, and per cent of a core.
async fn at_rest(worker: &mut Worker) -> Result<(f64, f64)> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let meter = Meter::start(worker.process().pid())?;
    tokio::time::sleep(IDLE).await;
    let share = meter.cpu_seconds()? / meter.elapsed().as_secs_f64() * 100.0;
    let (resident, _) = memory_mb(worker.process().pid())?;
    Ok((resident, share))
}
