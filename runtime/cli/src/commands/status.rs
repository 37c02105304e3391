//! `towpath status [NAME]`: every connector of a running worker, live on a terminal, once elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use towpath_rest::v1::{ConnectorOverview, Overview};

use crate::client::{Client, Target, segment};
use crate::failure::{Failure, Result};
use crate::lines;
use crate::output::{print, print_json};
use crate::screen::Screen;

/// How often the live lines are brought up to date.
const REFRESH: Duration = Duration::from_millis(500);

/// Show every connector with state, rate, lag and cause: live on a terminal, once otherwise.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this connector, with its tasks and last errors.
    name: Option<String>,
    /// Print one JSON object.
    #[arg(long, env = "TOWPATH_JSON")]
    json: bool,
    /// Print once, also on a terminal.
    #[arg(long, env = "TOWPATH_ONCE")]
    once: bool,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let client = arguments.target.client()?;
    if let Some(name) = &arguments.name {
        return one(&client, name, arguments.json).await;
    }
    if arguments.json {
        return print_json(&client.get::<serde_json::Value>("/v1/status").await?);
    }
    let screen = Screen::new(!arguments.once);
    if !screen.is_live() {
        let overview: Overview = client.get("/v1/status").await?;
        return print(lines::overview(&overview, std::io::stdout().is_terminal()));
    }
    loop {
        let overview: Overview = client.get("/v1/status").await?;
        screen.draw(lines::overview(&overview, true));
        tokio::select! {
            () = tokio::time::sleep(REFRESH) => {}
            interrupted = tokio::signal::ctrl_c() => return interrupted.map_err(Failure::environment),
        }
    }
}

async fn one(client: &Client, name: &str, json: bool) -> Result<()> {
    let path = format!("/v1/connectors/{}", segment(name));
    if json {
        return print_json(&client.get::<serde_json::Value>(&path).await?);
    }
    let connector: ConnectorOverview = client.get(&path).await?;
    let overview: Overview = client.get("/v1/status").await?;
    let colours = std::io::stdout().is_terminal();
    let alone = Overview { connectors: vec![connector], ..overview };
    let details = alone.connectors.iter().flat_map(|connector| lines::details(connector, alone.now_ms));
    print(lines::overview(&alone, colours).into_iter().chain(details))
}
