//! `towpath diff DIR`: what would change if a worker ran what a folder says.

use std::path::PathBuf;

use super::check::{Looked, look};
use crate::client::Target;
use crate::difference::{differences, running};
use crate::failure::Result;
use crate::output::{print, print_json};
use crate::plugins;

/// Compare the files of a folder, or one file, with what a worker runs.
///
/// Secrets are never shown; a literal one is taken to be the one that the worker keeps.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder, or one file of it.
    #[arg(value_name = "DIR|FILE", env = "TOWPATH_DIR")]
    path: PathBuf,
    /// Print the differences as one JSON list.
    #[arg(long, env = "TOWPATH_JSON")]
    json: bool,
    #[command(flatten)]
    plugins: plugins::Options,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let Looked { reading, plugins, whole, .. } = look(&arguments.path, &arguments.plugins, None)?;
    let mut runs = running(&arguments.target.client()?).await?;
    if !whole {
        runs.retain(|name, _| reading.documents.iter().any(|document| document.name == *name));
    }
    let differences = differences(&reading, &runs, plugins.as_ref());
    if arguments.json {
        return print_json(&differences);
    }
    if differences.is_empty() {
        return print([format!("the worker runs what {} says", arguments.path.display())]);
    }
    print(differences.iter().flat_map(|difference| difference.lines(&runs)))
}
