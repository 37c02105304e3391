//! `towpath-bench`: how fast, in ratios to what Postgres's own tools do on the same machine in the same run, and beside
//! Debezium on Kafka Connect where `make peers` has fetched it.
//!
//! Absolute rates belong to a machine and a moment; ratios travel. Each part starts from an empty data directory, and what it
//! measures is described where it is measured. `towpath-bench snapshot stream` runs only the parts named.

mod broker;
mod large;
mod latency;
mod log;
mod machine;
mod meter;
mod peer;
mod recovery;
mod report;
mod sinks;
mod snapshot;
mod stage;
mod start;
mod stream;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use report::Report;

/// Measures Towpath.
#[derive(Debug, Parser)]
#[command(name = "towpath-bench")]
pub(crate) struct Arguments {
    /// Rows of the snapshot, and of the topic that sinks read.
    #[arg(long, env = "TOWPATH_BENCH_ROWS", default_value_t = 1_000_000)]
    pub(crate) rows: u64,
    /// Events of the backlog.
    #[arg(long, default_value_t = 500_000)]
    pub(crate) events: u64,
    /// Rows of the large transaction.
    #[arg(long, env = "TOWPATH_BENCH_LARGE_ROWS", default_value_t = 5_000_000)]
    pub(crate) large_rows: u64,
    /// Records that are produced to a broker and consumed again.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) records: u64,
    /// Seconds of each latency run.
    #[arg(long, default_value_t = 15)]
    pub(crate) seconds: u64,
    /// Gigabytes in the log that is killed and recovers.
    #[arg(long, default_value_t = 0.5)]
    pub(crate) recovery_gb: f64,
    /// What to run: start, log, snapshot, stream, large, latency, sinks, broker, recovery, peer; everything unless named.
    pub(crate) parts: Vec<String>,
}

impl Arguments {
    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut report = Report::default();
    let result = run(&arguments, &mut report).await;
    print!("{report}");
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("towpath-bench: {error:#}");
            ExitCode::from(3)
        }
    }
}

async fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    report.machine(machine::describe());
    if arguments.wants("start") {
        start::measure(report).await?;
    }
    if arguments.wants("log") {
        log::measure(report).await?;
    }
    if arguments.wants("snapshot") || arguments.wants("sinks") {
        let stage = snapshot::measure(arguments, report).await?;
        if arguments.wants("sinks") {
            sinks::measure(arguments, report, &stage).await?;
        }
    }
    if arguments.wants("stream") {
        stream::measure(arguments, report).await?;
    }
    if arguments.wants("large") {
        large::measure(arguments, report).await?;
    }
    if arguments.wants("latency") {
        for rate in [500, 2000] {
            latency::measure(arguments, report, rate).await?;
        }
    }
    if arguments.wants("broker") {
        broker::measure(arguments, report).await?;
    }
    if arguments.wants("recovery") {
        recovery::measure(arguments, report).await?;
    }
    if arguments.wants("peer") {
        peer::measure(arguments, report).await?;
    }
    Ok(())
}
