//! `towpath replay NAME`: a sink delivers again what it has, from some place on or from its dead letter queue.

use std::time::Duration;

use clap::ArgGroup;
use reqwest::Method;
use serde_json::Value;
use towpath_broker::admin::ResetTo;
use towpath_model::{Clock as _, SystemClock};
use towpath_rest::Beginning;
use towpath_worker::Replayed;

use crate::client::{Client, Target, segment};
use crate::failure::{Failure, Result};
use crate::operator::{self, failure};
use crate::output::print;

/// How long a connector may take to stop.
const STOPS_WITHIN: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(100);

/// Have a sink deliver again: from an offset or a time on, or its dead letters.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("what").required(true)))]
pub(crate) struct Arguments {
    /// The connector.
    name: String,
    /// From here on: earliest, an offset, 2026-11-21T08:30:00Z, or a span such as 15m for so long ago. Everything from there on
    /// is delivered once more; the connector is stopped and resumed for it.
    #[arg(long, env = "TOWPATH_FROM", value_name = "PLACE", group = "what")]
    from: Option<String>,
    /// The dead letters that came since the last replay. Each goes through the connector again, in its place among those of its key.
    #[arg(long, env = "TOWPATH_DEAD_LETTERS", group = "what")]
    dead_letters: bool,
    /// With --from, only this topic; may be repeated.
    #[arg(long, env = "TOWPATH_TOPIC", value_name = "TOPIC", conflicts_with = "dead_letters")]
    topic: Vec<String>,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let client = arguments.target.client()?;
    let Some(from) = &arguments.from else {
        let path = format!("/v1/connectors/{}/dead-letters/replay", segment(&arguments.name));
        let Replayed { records, skipped } = client.ask(Method::POST, &path, None).await?;
        let others = (skipped > 0).then(|| {
            format!(
                "{skipped} others are not of this connector, or have no headers that say what record they were \
                 (errors.deadletterqueue.context.headers.enable)"
            )
        });
        return print([format!("{records} dead letters are delivered again")].into_iter().chain(others));
    };
    let to = match Beginning::parse(from, SystemClock::default().now_ms()).map_err(Failure::input)? {
        Beginning::Earliest => ResetTo::Earliest,
        Beginning::Latest => ResetTo::Latest,
        Beginning::Offset(offset) => ResetTo::Offset(offset),
        Beginning::Time(time_ms) => ResetTo::Time(time_ms),
        Beginning::Last(_) => {
            let reason = format!("--from {from}: say earliest, latest, an offset, a time, or a span such as 15m");
            return Err(Failure::input(reason));
        }
    };
    let connector = format!("/connectors/{}", segment(&arguments.name));
    let before = state(&client, &connector).await?;
    client.send(Method::PUT, &format!("{connector}/stop")).await?;
    let outcome = reset(&client, &connector, &arguments, to).await;
    // Whatever came of it, the connector goes on as it did.
    match before.as_str() {
        "STOPPED" => {}
        "PAUSED" => drop(client.send(Method::PUT, &format!("{connector}/pause")).await?),
        _ => drop(client.send(Method::PUT, &format!("{connector}/resume")).await?),
    }
    print(outcome?)
}

async fn reset(client: &Client, connector: &str, arguments: &Arguments, to: ResetTo) -> Result<Vec<String>> {
    let mut left = STOPS_WITHIN;
    while state(client, connector).await? != "STOPPED" {
        if left.is_zero() {
            return Err(Failure::environment(anyhow::anyhow!("{} has not stopped", arguments.name)));
        }
        tokio::time::sleep(STEP).await;
        left = left.saturating_sub(STEP);
    }
    let group = format!("connect-{}", arguments.name);
    let mut operator = operator::find(&arguments.target).await?;
    let plan = operator.plan_reset(&group, &arguments.topic, to).await.map_err(failure)?;
    operator.reset(&group, &plan).await.map_err(failure)?;
    Ok(plan.iter().map(|reset| format!("{} goes on from {}", reset.partition, reset.to)).collect())
}

async fn state(client: &Client, connector: &str) -> Result<String> {
    let status: Value = client.get(&format!("{connector}/status")).await?;
    Ok(status["connector"]["state"].as_str().unwrap_or_default().to_owned())
}
