//! Random records through a transform or a converter in Java and through ours, and random schemas before the rules of both: `run` compares,
//! `record` keeps cases with what Java made of them, `replay` compares with what was kept. The seed is printed, and repeats a run.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

mod case;
mod compare;
mod converters;
mod debezium;
mod generate;
mod original;
mod schema;
mod schemas;
#[cfg(test)]
mod tests;

use crate::case::Recorded;
use crate::original::Originals;

#[derive(Parser)]
struct Cli {
    /// What is compared.
    #[arg(long, default_value = "transforms")]
    of: Of,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum Of {
    Transforms,
    Converters,
    Schemas,
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
    /// Only transforms, converters or languages whose name holds this.
    #[arg(long, default_value = "")]
    only: String,
}

/// One kind of what is compared.
struct Kind<C, O> {
    program: &'static str,
    make: fn(&mut StdRng, &str) -> C,
    differing: fn(&[Recorded<C, O>]) -> Vec<String>,
}

fn main() -> Result<()> {
    let Cli { of, command } = Cli::parse();
    match of {
        Of::Transforms => {
            let (make, differing) = (generate::case, compare::differing);
            Kind { program: "Originals.java", make, differing }.carry_out(command)
        }
        Of::Converters => {
            let (make, differing) = (converters::case, converters::differing);
            Kind { program: "Converters.java", make, differing }.carry_out(command)
        }
        Of::Schemas => {
            let (make, differing) = (schemas::case, schemas::differing);
            Kind { program: "Schemas.java", make, differing }.carry_out(command)
        }
    }
}

impl<C: Clone + Debug + Serialize + DeserializeOwned, O: Serialize + DeserializeOwned> Kind<C, O> {
    fn carry_out(&self, command: Command) -> Result<()> {
        match command {
            Command::Run(arguments) => {
                let (cases, seed) = self.cases(&arguments);
                let differing = (self.differing)(&self.answered(&cases)?);
                differing.iter().for_each(|difference| println!("{difference}\n"));
                println!("{} of {} cases differ; seed {seed}", differing.len(), cases.len());
                ensure!(differing.is_empty(), "ours is not theirs");
                Ok(())
            }
            Command::Record { arguments, out } => {
                let (cases, _) = self.cases(&arguments);
                let mut text = String::new();
                for recorded in self.answered(&cases)? {
                    text.push_str(&serde_json::to_string(&recorded)?);
                    text.push('\n');
                }
                std::fs::write(&out, text).with_context(|| format!("writing {}", out.display()))
            }
            Command::Replay { file } => {
                let differing = (self.differing)(&case::read(&file)?);
                differing.iter().for_each(|difference| println!("{difference}\n"));
                ensure!(differing.is_empty(), "{} cases differ", differing.len());
                Ok(())
            }
        }
    }

    fn cases(&self, arguments: &Arguments) -> (Vec<C>, u64) {
        let seed = arguments.seed.unwrap_or_else(|| rand::rng().random());
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let generated = (0..arguments.cases).map(|_| (self.make)(&mut random, &arguments.only));
        (generated.collect(), seed)
    }

    fn answered(&self, cases: &[C]) -> Result<Vec<Recorded<C, O>>> {
        let mut originals = Originals::start(self.program)?;
        cases.iter().map(|case| Ok(Recorded { case: case.clone(), original: originals.ask(case)? })).collect()
    }
}
