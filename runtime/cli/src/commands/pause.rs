//! `towpath pause NAME`.

use reqwest::Method;

use crate::client::{Target, segment};
use crate::failure::Result;

/// Pause a connector: its tasks keep their connections and move nothing. Persists across restarts.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The connector.
    name: String,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let path = format!("/connectors/{}/pause", segment(&arguments.name));
    arguments.target.client()?.send(Method::PUT, &path).await?;
    Ok(())
}
