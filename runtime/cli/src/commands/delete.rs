//! `towpath delete NAME`.

use reqwest::Method;

use crate::client::{Target, segment};
use crate::failure::Result;

/// Delete a connector that was made over REST. Its offsets stay. One that stands in a file is deleted by deleting the file.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The connector.
    name: String,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let path = format!("/connectors/{}", segment(&arguments.name));
    arguments.target.client()?.send(Method::DELETE, &path).await?;
    Ok(())
}
