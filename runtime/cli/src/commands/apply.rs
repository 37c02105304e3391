//! `towpath apply DIR`: gives a worker what a folder says, over REST; for workers that do not follow the folder themselves.
//!
//! Everything is checked before anything is sent: the files here, then each configuration by the worker, with its plugins and its secrets.
//! What is sent is sent connector by connector, and sending it again does no harm, so a run that broke off is run once more.

use std::path::PathBuf;

use reqwest::Method;
use serde_json::Value;
use towpath_config::{Finding, Severity};

use super::check::{Looked, look};
use crate::client::{Client, Target, segment};
use crate::difference::{Action, Difference, Runs, differences, running};
use crate::failure::{Failure, Fault, Result};
use crate::output::print;
use crate::plugins;

/// Give a worker the connectors of a folder, or of one file, over REST.
///
/// Nothing is sent if anything would be refused. Connectors that stand in the worker's own folder are left to it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder, or one file of it.
    #[arg(value_name = "DIR|FILE", env = "TOWPATH_DIR")]
    path: PathBuf,
    /// Also delete connectors that were made over REST and are not in the folder.
    #[arg(long, env = "TOWPATH_PRUNE")]
    prune: bool,
    /// Check everything and show what would be done.
    #[arg(long, env = "TOWPATH_DRY_RUN")]
    dry_run: bool,
    #[command(flatten)]
    plugins: plugins::Options,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let Looked { reading, plugins, whole, .. } = look(&arguments.path, &arguments.plugins, None)?;
    if arguments.prune && !whole {
        return Err(Failure::input("--prune wants a folder: one file does not say what else is to run"));
    }
    if reading.findings.iter().any(|finding| finding.severity == Severity::Error) {
        eprint!("{}", reading.render());
        return Err(Failure::shown(Fault::Input));
    }
    let client = arguments.target.client()?;
    let runs = running(&client).await?;
    let steps: Vec<Difference> = differences(&reading, &runs, plugins.as_ref())
        .into_iter()
        .filter(|step| step.action != Action::Remove || arguments.prune && is_ours(&runs, step))
        .collect();
    refuse_foreign(&runs, &steps)?;
    check_there(&client, &steps).await?;
    for step in &steps {
        if !arguments.dry_run {
            settle(&client, step).await?;
        }
        print(step.lines(&runs))?;
    }
    let done = if arguments.dry_run { "to do" } else { "done" };
    print([match steps.len() {
        0 => "nothing to do".to_owned(),
        1 => format!("1 change {done}"),
        steps => format!("{steps} changes {done}"),
    }])
}

/// Whether a connector was made over REST.
fn is_ours(runs: &Runs, step: &Difference) -> bool {
    runs.get(&step.connector).is_none_or(|running| running.file.is_none())
}

/// What stands in the worker's own folder is changed there.
fn refuse_foreign(runs: &Runs, steps: &[Difference]) -> Result<()> {
    let foreign = steps.iter().find(|step| !is_ours(runs, step));
    let Some((step, file)) = foreign.and_then(|step| Some((step, runs.get(&step.connector)?.file.as_ref()?))) else {
        return Ok(());
    };
    Err(Failure::input(format!(
        "{} stands in {file} of the worker's own folder: change it there, or remove it there to have it over REST",
        step.connector
    )))
}

/// Has the worker check every configuration that it would be given.
async fn check_there(client: &Client, steps: &[Difference]) -> Result<()> {
    let mut refused = false;
    for document in steps.iter().filter_map(|step| step.document.as_ref()) {
        let config = serde_json::json!(document.config.0);
        let findings: Vec<Finding> = client.ask(Method::PUT, "/v1/validate", Some(&config)).await?;
        for finding in findings {
            refused |= finding.severity == Severity::Error && !finding.passing;
            let place = document.place(&finding.path);
            eprint!("{}", finding.at(place).of(&document.name).render(None));
        }
    }
    if refused { Err(Failure::shown(Fault::Input)) } else { Ok(()) }
}

async fn settle(client: &Client, step: &Difference) -> Result<()> {
    let path = format!("/connectors/{}", segment(&step.connector));
    match (step.action, &step.document) {
        (Action::Create | Action::Change, Some(document)) => {
            let config = serde_json::json!(document.config.0);
            client.ask::<Value>(Method::PUT, &format!("{path}/config"), Some(&config)).await?;
        }
        (Action::Remove, _) => _ = client.send(Method::DELETE, &path).await?,
        // What is rejected has ended this before.
        (Action::Create | Action::Change | Action::Reject, _) => {}
    }
    Ok(())
}
