//! `towpath restart NAME`.

use reqwest::Method;

use crate::client::{Target, segment};
use crate::failure::Result;

/// Restart a connector with its tasks, or one task.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The connector.
    name: String,
    /// Restart only this task.
    #[arg(long, env = "TOWPATH_TASK", value_name = "N", conflicts_with = "only_failed")]
    task: Option<u32>,
    /// Restart only what has failed.
    #[arg(long, env = "TOWPATH_ONLY_FAILED")]
    only_failed: bool,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let name = segment(&arguments.name);
    let path = match arguments.task {
        Some(task) => format!("/connectors/{name}/tasks/{task}/restart"),
        None => format!("/connectors/{name}/restart?includeTasks=true&onlyFailed={}", arguments.only_failed),
    };
    arguments.target.client()?.send(Method::POST, &path).await?;
    Ok(())
}
