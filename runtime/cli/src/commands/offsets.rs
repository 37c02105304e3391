//! `towpath offsets get|set|reset NAME`: where a connector stands, and where it is to go on.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use reqwest::Method;
use serde_json::Value;

use crate::client::{Target, segment};
use crate::failure::{Failure, Result};
use crate::output::{print, print_json};

/// Show or change where a connector stands: positions in a source, or offsets of a sink's consumer group.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show the committed positions.
    Get {
        /// The connector.
        name: String,
        /// Print one JSON document, in the form that `set` takes.
        #[arg(long, env = "TOWPATH_JSON")]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Set positions of a stopped connector; those that are not named stay, and null takes one away.
    Set {
        /// The connector.
        name: String,
        /// A file as `get --json` prints it, or - for standard input.
        file: PathBuf,
        #[command(flatten)]
        target: Target,
    },
    /// Take all positions of a stopped connector away: it begins anew.
    Reset {
        /// The connector.
        name: String,
        #[command(flatten)]
        target: Target,
    },
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    match arguments.verb {
        Verb::Get { name, json, target } => {
            let offsets: Value = target.client()?.get(&path(&name)).await?;
            if json { print_json(&offsets) } else { print(lines(&offsets)) }
        }
        Verb::Set { name, file, target } => {
            let offsets = read(&file)?;
            let answer: Value = target.client()?.ask(Method::PATCH, &path(&name), Some(&offsets)).await?;
            print(answer["message"].as_str())
        }
        Verb::Reset { name, target } => {
            let answer: Value = target.client()?.ask(Method::DELETE, &path(&name), None).await?;
            print(answer["message"].as_str())
        }
    }
}

fn path(name: &str) -> String {
    format!("/connectors/{}/offsets", segment(name))
}

fn lines(offsets: &Value) -> Vec<String> {
    let entries = offsets["offsets"].as_array().into_iter().flatten();
    let lines: Vec<_> = entries.map(|entry| format!("{}  {}", entry["partition"], entry["offset"])).collect();
    if lines.is_empty() { vec!["nothing is committed yet".to_owned()] } else { lines }
}

fn read(file: &Path) -> Result<Value> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    };
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    read.map_err(|error| Failure::environment(anyhow!(at(&error))))?;
    serde_json::from_str(&text).map_err(|error| Failure::input(at(&error)))
}
