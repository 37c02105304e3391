//! The log behind its Kafka listener and Apache Kafka, given the same load by Kafka's own tools, one broker after the other. Ours
//! syncs before it acknowledges; Kafka runs with its defaults, which leave that to the system.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regex::Regex;
use towpath_tests::{Broker, Folder, Peers, Process, Signal, towpath_log};

use crate::Arguments;
use crate::meter::Meter;
use crate::report::{Report, Target, thousands};

/// As Apache's own start script gives it.
pub(crate) const HEAP_MB: u32 = 1024;
pub(crate) const PEER: &str = "Apache Kafka";
pub(crate) const STOPPED_WITHIN: Duration = Duration::from_secs(60);
/// Compiles what a JVM runs hot, and makes the first files.
const WARM_UP: Load = Load { partitions: 1, record_bytes: 200, share: 0.2 };
const LATENCY_RECORDS: u64 = 10_000;

/// What is produced and consumed: `share` of the records that were asked for.
#[derive(Clone, Copy)]
struct Load {
    partitions: u32,
    record_bytes: u32,
    share: f64,
}

const LOADS: [Load; 5] = [
    Load { partitions: 1, record_bytes: 200, share: 1.0 },
    Load { partitions: 64, record_bytes: 200, share: 1.0 },
    Load { partitions: 512, record_bytes: 200, share: 1.0 },
    Load { partitions: 1, record_bytes: 1024, share: 0.5 },
    Load { partitions: 1, record_bytes: 102_400, share: 0.01 },
];

/// What one broker did under one load.
struct Figures {
    produced: f64,
    produce_cpu: f64,
    consumed: f64,
    consume_cpu: f64,
}

/// How long a record took from producer to consumer, in milliseconds.
struct Latency {
    average: f64,
    p50: f64,
    p99: f64,
}

pub(crate) async fn measure(arguments: &Arguments, report: &mut Report) -> Result<()> {
    if let Some(missing) = Peers::missing() {
        eprintln!("  not beside Apache Kafka: {missing}");
        return Ok(());
    }
    let theirs = Broker::start(HEAP_MB, false).await?;
    let their_tools = Tools { libraries: theirs.libraries().to_owned(), bootstrap: theirs.bootstrap().to_owned() };
    let (their_figures, their_latency) = all(&their_tools, theirs.pid(), arguments.records).await?;
    theirs.stop().await?;

    let folder = Folder::new("towpath-bench-broker-")?;
    let (mut ours, bootstrap) = towpath_log(&folder.join("data"), &folder.join("log.txt")).await?;
    let our_tools = Tools { libraries: their_tools.libraries, bootstrap };
    let (our_figures, our_latency) = all(&our_tools, ours.pid(), arguments.records).await?;
    end(&mut ours).await?;
    folder.remove()?;

    for (load, (ours, theirs)) in LOADS.iter().zip(our_figures.iter().zip(&their_figures)) {
        tell(report, load, ours, theirs);
    }
    report.alone(
        "broker: end to end, one record at a time",
        format!("average {:.2} ms, p50 {} ms, p99 {} ms", our_latency.average, our_latency.p50, our_latency.p99),
        Target::at_most(their_latency.p50, our_latency.p50).and(Target::at_most(their_latency.p99, our_latency.p99)),
    );
    report.alone(
        "the same, Apache Kafka",
        format!("average {:.2} ms, p50 {} ms, p99 {} ms", their_latency.average, their_latency.p50, their_latency.p99),
        Target::NONE,
    );
    Ok(())
}

fn tell(report: &mut Report, load: &Load, ours: &Figures, theirs: &Figures) {
    let Load { partitions, record_bytes, .. } = load;
    let place = if *partitions == 1 { "1 partition".to_owned() } else { format!("{partitions} partitions") };
    let what = |verb: &str, cpu: f64, their_cpu: f64| {
        format!(
            "broker: {verb} {} B, {place} ({cpu:.2} s of processor a million; {their_cpu:.2})",
            thousands(f64::from(*record_bytes))
        )
    };
    let produce = what("produce, acks=all,", ours.produce_cpu, theirs.produce_cpu);
    let goal = |theirs: f64, ours: f64| Target::at_least(theirs, ours);
    report.rate(&produce, "records/s", ours.produced, goal(theirs.produced, ours.produced), PEER, theirs.produced);
    let consume = what("consume", ours.consume_cpu, theirs.consume_cpu);
    report.rate(&consume, "records/s", ours.consumed, goal(theirs.consumed, ours.consumed), PEER, theirs.consumed);
}

/// All loads, after a warm-up, and the latency.
async fn all(tools: &Tools, pid: u32, records: u64) -> Result<(Vec<Figures>, Latency)> {
    tools.load("warm-up", WARM_UP, pid, records).await?;
    let mut figures = Vec::new();
    for (number, load) in LOADS.into_iter().enumerate() {
        figures.push(tools.load(&format!("load-{number}"), load, pid, records).await?);
    }
    Ok((figures, tools.latency().await?))
}

/// Kafka's own tools against one broker.
pub(crate) struct Tools {
    pub(crate) libraries: PathBuf,
    pub(crate) bootstrap: String,
}

impl Tools {
    async fn load(&self, topic: &str, load: Load, pid: u32, records: u64) -> Result<Figures> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of records")]
        let records = ((records as f64 * load.share) as u64).max(1);
        self.create(topic, load.partitions).await?;
        let meter = Meter::start(pid)?;
        let produced = self.produce(topic, records, load.record_bytes).await?;
        let produce_cpu = meter.cpu_seconds()? / records as f64 * 1e6;
        let meter = Meter::start(pid)?;
        let consumed = self.consume(topic, records).await?;
        let consume_cpu = meter.cpu_seconds()? / records as f64 * 1e6;
        Ok(Figures { produced, produce_cpu, consumed, consume_cpu })
    }

    pub(crate) async fn create(&self, topic: &str, partitions: u32) -> Result<()> {
        let partitions = partitions.to_string();
        let arguments = ["--create", "--topic", topic, "--partitions", &partitions, "--replication-factor", "1"];
        self.run("TopicCommand", &arguments, true).await.map(drop)
    }

    /// Records a second.
    pub(crate) async fn produce(&self, topic: &str, records: u64, record_bytes: u32) -> Result<f64> {
        let (records, record_bytes) = (records.to_string(), record_bytes.to_string());
        let bootstrap = format!("bootstrap.servers={}", self.bootstrap);
        let arguments = [
            "--topic",
            topic,
            "--num-records",
            &records,
            "--record-size",
            &record_bytes,
            "--throughput",
            "-1",
            "--command-property",
            &bootstrap,
            "acks=all",
        ];
        let told = self.run("ProducerPerformance", &arguments, false).await?;
        number(&told, r"(?m)^\d+ records sent, ([0-9.]+) records/sec .*99th")
    }

    /// Records a second, without the time in which the group came together.
    async fn consume(&self, topic: &str, records: u64) -> Result<f64> {
        let records = records.to_string();
        let arguments = ["--topic", topic, "--num-records", &records, "--timeout", "60000"];
        let told = self.run("ConsumerPerformance", &arguments, true).await?;
        let row = told.lines().rfind(|line| line.contains(", ")).unwrap_or_default();
        let rate = row.rsplit(", ").next().and_then(|rate| rate.trim().parse().ok());
        rate.with_context(|| format!("the consumer told no rate:\n{told}"))
    }

    async fn latency(&self) -> Result<Latency> {
        self.create("latency", 1).await?;
        let records = LATENCY_RECORDS.to_string();
        let arguments =
            ["--topic", "latency", "--num-records", &records, "--producer-acks", "all", "--record-size", "200"];
        let told = self.run("EndToEndLatency", &arguments, true).await?;
        Ok(Latency {
            average: number(&told, r"Avg latency: ([0-9.]+)")?,
            p50: number(&told, r"50th = ([0-9.]+)")?,
            p99: number(&told, r"99th = ([0-9.]+)")?,
        })
    }

    async fn run(&self, tool: &str, arguments: &[&str], addressed: bool) -> Result<String> {
        let mut command = tokio::process::Command::new("java");
        command.args(["-Xmx512m", "-cp"]).arg(&self.libraries).arg(format!("org.apache.kafka.tools.{tool}"));
        if addressed {
            command.args(["--bootstrap-server", &self.bootstrap]);
        }
        let output =
            command.args(arguments).kill_on_drop(true).output().await.with_context(|| format!("running {tool}"))?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{tool} failed: {told}\n{}", String::from_utf8_lossy(&output.stderr));
        Ok(told)
    }
}

fn number(told: &str, pattern: &str) -> Result<f64> {
    let found = Regex::new(pattern)?.captures(told).and_then(|found| found.get(1)?.as_str().parse().ok());
    found.with_context(|| format!("{pattern} is not in:\n{told}"))
}

async fn end(process: &mut Process) -> Result<()> {
    process.end(Signal::TERM, STOPPED_WITHIN).await.map(drop)
}
