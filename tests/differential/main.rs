//! `towpath-differential`: the same random workload before Debezium and before Towpath, and every difference between the two.
//!
//! `run` needs Java (`make peers`): one Postgres, Debezium on Kafka Connect and Towpath side by side, each with its own slot, a snapshot
//! and then a stream; keys, values, headers, tombstones and their order must be equal, byte for byte, apart from what differs by
//! nature (`record.rs`) and what is corrected on purpose (`corrections.yaml`). `record` keeps a workload and what Debezium made of it;
//! `replay` runs it again without Debezium and holds Towpath to the recording.

mod compare;
mod corrections;
mod json;
mod kinds;
mod profile;
mod record;
mod recording;
mod round;
mod script;
mod table;
mod workload;

mod side;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail, ensure};
use clap::{Parser, Subcommand};
use rand::RngExt;
use tokio::signal::unix::{SignalKind, signal};
use towpath_tests::{Deadline, Peers, PeersOptions, Postgres, PostgresOptions};

use crate::compare::Report;
use crate::corrections::Corrections;
use crate::profile::Profile;
use crate::record::Likeness;
use crate::recording::Recording;
use crate::round::Outcome;
use crate::workload::Size;

/// Compares Towpath with Debezium.
#[derive(Debug, Parser)]
#[command(name = "towpath-differential")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run random workloads with both sides.
    Run(Run),
    /// Keep a workload and what Debezium makes of it.
    Record(Record),
    /// Run a kept workload and hold Towpath to the recording.
    Replay {
        /// The recording's folder.
        folder: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Run {
    /// The first seed; random when missing. Each further round takes the next.
    #[arg(long)]
    seed: Option<u64>,
    /// Run so many rounds.
    #[arg(long, default_value_t = 17)]
    rounds: u64,
    /// Begin no round after so many minutes.
    #[arg(long, default_value_t = 600)]
    minutes: u64,
    /// Only these configurations; all in turn when missing.
    #[arg(long, value_delimiter = ',')]
    profiles: Vec<String>,
    #[command(flatten)]
    size: Sized,
}

#[derive(Debug, clap::Args)]
struct Record {
    /// Where to keep it.
    folder: PathBuf,
    #[arg(long)]
    seed: u64,
    #[arg(long, default_value = "default")]
    profile: String,
    #[command(flatten)]
    size: Sized,
}

#[derive(Clone, Copy, Debug, clap::Args)]
struct Sized {
    /// Tables at the beginning.
    #[arg(long, default_value_t = 10)]
    tables: u32,
    /// Steps of the workload.
    #[arg(long, default_value_t = 400)]
    steps: u32,
    /// Rows of the large transaction.
    #[arg(long, default_value_t = 3000)]
    large: u32,
}

impl Sized {
    fn with(self, profile: &Profile) -> Size {
        Size { tables: self.tables, steps: self.steps, large: self.large, full: profile.full }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut terminations = match signal(SignalKind::terminate()) {
        Ok(terminations) => terminations,
        Err(error) => {
            eprintln!("towpath-differential: {error:#}");
            return ExitCode::from(3);
        }
    };
    let work = async {
        match Arguments::parse().command {
            Command::Run(arguments) => run(arguments).await,
            Command::Record(arguments) => record(arguments).await,
            Command::Replay { folder } => replay(&folder).await,
        }
    };
    // Servers end with the work that started them, also when it is cut short.
    let result = tokio::select! {
        result = work => result,
        _ = terminations.recv() => Err(anyhow!("told to end")),
        _ = tokio::signal::ctrl_c() => Err(anyhow!("told to end")),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("towpath-differential: {error:#}");
            ExitCode::from(3)
        }
    }
}

async fn run(arguments: Run) -> Result<bool> {
    let corrections = Corrections::read()?;
    let mut names = arguments.profiles.clone();
    if names.is_empty() {
        names.extend(Profile::all()?.into_keys());
    }
    let first = arguments.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>()));
    let over = Deadline::after(std::time::Duration::from_secs(arguments.minutes * 60));
    let peers = Peers::start(&PeersOptions::default()).await?;
    let postgres = Postgres::start(server()).await?;
    let mut all_clean = true;
    for round in 0..arguments.rounds {
        if over.is_over() {
            break;
        }
        let seed = first.wrapping_add(round);
        let name = &names[usize::try_from(round)? % names.len()];
        let profile = Profile::named(name)?;
        let script = workload::generate(seed, arguments.size.with(&profile));
        let outcomes = round::run(&postgres, Some(&peers), &profile, &script, &format!("diff{round}")).await;
        let compared = outcomes.and_then(|outcomes| compare_sides(&outcomes, &corrections));
        let repeat = format!("repeat: towpath-differential run --rounds 1 --seed {seed} --profiles {name}");
        let report = match compared {
            Ok(report) => report,
            Err(error) => {
                println!("seed {seed} profile {name}: BROKEN OFF: {error:#}\n{repeat}");
                all_clean = false;
                continue;
            }
        };
        all_clean &= report.is_clean();
        let verdict = if report.is_clean() { "equal" } else { "DIFFERENT" };
        println!(
            "seed {seed} profile {name}: {} records {verdict}; corrections met: {:?}",
            report.records, report.corrected
        );
        if !report.is_clean() {
            println!("{report}{repeat}");
        }
    }
    peers.stop().await?;
    postgres.stop().await?;
    Ok(all_clean)
}

/// A server that also takes transactions in two phases.
fn server() -> PostgresOptions {
    PostgresOptions { settings: vec!["max_prepared_transactions = 10".to_owned()], ..PostgresOptions::default() }
}

fn compare_sides(outcomes: &[Outcome], corrections: &Corrections) -> Result<Report> {
    let [theirs, ours] = outcomes else { bail!("a side is missing") };
    let (theirs, ours) = (theirs.topics(Likeness::SameServer)?, ours.topics(Likeness::SameServer)?);
    Ok(compare::compare(&theirs, &ours, corrections))
}

async fn record(arguments: Record) -> Result<bool> {
    let profile = Profile::named(&arguments.profile)?;
    let script = workload::generate(arguments.seed, arguments.size.with(&profile));
    let peers = Peers::start(&PeersOptions::default()).await?;
    let postgres = Postgres::start(server()).await?;
    let outcomes = round::run(&postgres, Some(&peers), &profile, &script, recording::PREFIX).await?;
    peers.stop().await?;
    postgres.stop().await?;
    let [theirs, _] = outcomes.as_slice() else { return Ok(false) };
    let size = arguments.size;
    let command = format!(
        "towpath-differential record {} --seed {} --profile {} --tables {} --steps {} --large {}",
        arguments.folder.display(),
        arguments.seed,
        arguments.profile,
        size.tables,
        size.steps,
        size.large
    );
    let topics = theirs.topics(Likeness::OtherServer)?;
    Recording { profile: arguments.profile, command, script, topics }.write(&arguments.folder)?;
    Ok(true)
}

async fn replay(folder: &std::path::Path) -> Result<bool> {
    let recording = Recording::read(folder)?;
    let profile = Profile::named(&recording.profile)?;
    let postgres = Postgres::start(server()).await?;
    let outcomes = round::run(&postgres, None, &profile, &recording.script, recording::PREFIX).await?;
    postgres.stop().await?;
    let ours = outcomes.first().map(|ours| ours.topics(Likeness::OtherServer)).transpose()?.unwrap_or_default();
    let report = compare::compare(&recording.topics, &ours, &Corrections::read()?);
    ensure!(report.records > 0, "the recording is empty");
    if !report.is_clean() {
        println!("{report}the recording was made by: {}", recording.command);
    }
    Ok(report.is_clean())
}
