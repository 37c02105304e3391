//! Random records through a transform in Java and through ours: `run` compares until it is told to stop, `record` keeps cases with
//! what Java made of them, `replay` compares with what was kept. The seed is printed, and repeats a run.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

mod case;
mod compare;
mod debezium;
mod generate;
mod original;
mod schema;
#[cfg(test)]
mod tests;

use crate::case::{Case, Recorded};
use crate::original::Originals;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare new cases.
    Run(Arguments),
    /// Keep new cases and what Java made of them.
    Record {
        #[command(flatten)]
        arguments: Arguments,
        /// The file to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Compare with what was kept.
    Replay { file: PathBuf },
}

#[derive(clap::Args)]
struct Arguments {
    /// Repeats a run.
    #[arg(long)]
    seed: Option<u64>,
    /// How many cases.
    #[arg(long, default_value_t = 2000)]
    cases: u32,
    /// Only transforms whose name holds this.
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Run(arguments) => {
            let (cases, seed) = cases(&arguments);
            let differing = compare::differing(&answered(&cases)?);
            differing.iter().for_each(|difference| println!("{difference}\n"));
            println!("{} of {} cases differ; seed {seed}", differing.len(), cases.len());
            ensure!(differing.is_empty(), "ours is not theirs");
            Ok(())
        }
        Command::Record { arguments, out } => {
            let (cases, _) = cases(&arguments);
            let mut text = String::new();
            for recorded in answered(&cases)? {
                text.push_str(&serde_json::to_string(&recorded)?);
                text.push('\n');
            }
            std::fs::write(&out, text).with_context(|| format!("writing {}", out.display()))
        }
        Command::Replay { file } => {
            let differing = compare::differing(&case::read(&file)?);
            differing.iter().for_each(|difference| println!("{difference}\n"));
            ensure!(differing.is_empty(), "{} cases differ", differing.len());
            Ok(())
        }
    }
}

fn cases(arguments: &Arguments) -> (Vec<Case>, u64) {
    let seed = arguments.seed.unwrap_or_else(|| rand::rng().random());
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let generated = (0..arguments.cases).map(|_| generate::case(&mut random, &arguments.only));
    (generated.collect(), seed)
}

fn answered(cases: &[Case]) -> Result<Vec<Recorded>> {
    let mut originals = Originals::start()?;
    cases.iter().map(|case| Ok(Recorded { case: case.clone(), original: originals.ask(case)? })).collect()
}
