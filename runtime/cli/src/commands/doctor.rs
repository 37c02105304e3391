//! `towpath doctor [DIR]`: looks at everything that a worker depends on, and says what mends what is not in order.
//!
//! ```text
//! machine: files, disk, ports ─┐
//! folder:  what `check` says ──┼─▶ findings, each with its code and what to do
//! worker:  what it says ───────┘
//! ```
//! It changes nothing, and what it cannot look at is no finding: a machine without a worker is looked at as well as one with.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use towpath_config::{Finding, Reading, Severity};
use towpath_worker::Reach;

use super::check::look;
use crate::client::Target;
use crate::failure::{Failure, Fault, Result};
use crate::output::{print, print_json};
use crate::{plugins, secret_commands};

mod machine;
mod worker;

/// Look at the machine, a folder of pipelines with the systems it names, and a running worker, and say what to do about what is wrong.
///
/// Exits with 2 if a person has to change a file, and with 3 if the environment is at fault.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of pipelines, or one file of it.
    #[arg(value_name = "DIR|FILE", env = "TOWPATH_DIR")]
    path: Option<PathBuf>,
    /// How long the systems of one connector may take to answer.
    #[arg(long, env = "TOWPATH_CHECK_TIMEOUT", value_name = "SECONDS", default_value_t = 10)]
    timeout: u64,
    /// Print everything as one JSON list.
    #[arg(long, env = "TOWPATH_JSON")]
    json: bool,
    #[command(flatten)]
    plugins: plugins::Options,
    #[command(flatten)]
    secret_commands: secret_commands::Options,
    #[command(flatten)]
    target: Target,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Look {
    /// What it is.
    what: &'static str,
    /// How it was found, in a sentence without a full stop.
    found: String,
    /// What is wrong with it.
    findings: Vec<Finding>,
    /// The files that findings have their places in.
    #[serde(skip)]
    reading: Reading,
}

impl Look {
    fn new(what: &'static str, found: impl Into<String>, findings: impl IntoIterator<Item = Finding>) -> Self {
        let findings = findings.into_iter().collect();
        Self { what, found: found.into(), findings, reading: Reading::default() }
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let running = worker::ask(&arguments.target).await;
    let mut looks = machine::looks(&arguments.target.data_dir, running.is_some());
    if arguments.path.is_some() {
        looks.push(folder(&arguments).await?);
    }
    looks.push(worker::look(running.as_ref(), &arguments.target));
    if arguments.json {
        print_json(&looks)?;
    } else {
        print(looks.iter().flat_map(lines))?;
    }
    let errors = || {
        let findings = looks.iter().flat_map(|look| &look.findings);
        findings.filter(|finding| finding.severity == Severity::Error)
    };
    match errors().next() {
        None => Ok(()),
        Some(_) if errors().all(|finding| finding.passing) => Err(Failure::shown(Fault::Environment)),
        Some(_) => Err(Failure::shown(Fault::Input)),
    }
}

/// The pipelines, and the systems that they name.
async fn folder(arguments: &Arguments) -> Result<Look> {
    let path = arguments.path.clone().unwrap_or_default();
    let mut looked = look(&path, &arguments.plugins, arguments.secret_commands.commands())?;
    looked.inspect(Reach::Online(Duration::from_secs(arguments.timeout.max(1)))).await;
    let reading = looked.reading;
    let connectors = connectors_in_words(reading.documents.len());
    let findings = reading.findings.clone();
    Ok(Look { reading, ..Look::new("pipelines", format!("{} has {connectors}", path.display()), findings) })
}

fn connectors_in_words(connectors: usize) -> String {
    if connectors == 1 { "1 connector".to_owned() } else { format!("{connectors} connectors") }
}

/// A line for what was looked at, and below it what is wrong.
fn lines(look: &Look) -> Vec<String> {
    let worst = look.findings.iter().map(|finding| finding.severity).min();
    let mark = match worst {
        None | Some(Severity::Note) => "ok",
        Some(Severity::Warning) => "warning",
        Some(Severity::Error) => "error",
    };
    let mut lines = vec![format!("{mark:<9}{:<12}{}", look.what, look.found)];
    for finding in &look.findings {
        let source = finding.file.as_ref().and_then(|file| look.reading.sources.get(file)).map(String::as_str);
        lines.extend(finding.render(source).lines().map(|line| format!("         {line}")));
    }
    lines
}
