//! `towpath resume NAME`.

use reqwest::Method;

use crate::client::{Target, segment};
use crate::failure::Result;

/// Let a paused or stopped connector go on. Persists across restarts.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The connector.
    name: String,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let path = format!("/connectors/{}/resume", segment(&arguments.name));
    arguments.target.client()?.send(Method::PUT, &path).await?;
    Ok(())
}
