//! `towpath tap NAME`: some of a connector's records as they pass, before and after each step, and where those end that do not.

mod block;

use std::io::{self, BufWriter, IsTerminal as _, Write as _};

use towpath_rest::v1::Tapped;

use crate::client::{Target, segment};
use crate::failure::{Failure, Result};
use crate::output::ended_early_is_fine;
use crate::reader::Records;

/// Show some of a connector's records on their way: what each transform and converter makes of them, and what is filtered or fails.
///
/// A source's records are shown from what the source gave to what the log gets, a sink's from what the log holds to what the sink is
/// given. Goes on across restarts of the connector's tasks until it is interrupted or the connector is deleted.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The connector.
    name: String,
    /// How many records a second are shown at most.
    #[arg(long, env = "TOWPATH_RATE", value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,
    /// End after so many records.
    #[arg(long, env = "TOWPATH_MAX", value_name = "N")]
    max: Option<u64>,
    /// Only records of this task.
    #[arg(long, env = "TOWPATH_TASK", value_name = "N")]
    task: Option<u32>,
    /// Print one JSON object a line, with the whole record after each step.
    #[arg(long, env = "TOWPATH_JSON")]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let mut path = format!("/v1/connectors/{}/tap?rate={}", segment(&arguments.name), arguments.rate);
    for (key, value) in [("max", arguments.max), ("task", arguments.task.map(u64::from))] {
        path.extend(value.map(|value| format!("&{key}={value}")));
    }
    let mut records = Records::streamed(arguments.target.client()?, &path).await?;
    if !arguments.json {
        eprintln!("watching {}; ^C ends it", arguments.name);
    }
    let colours = io::stdout().is_terminal();
    let mut out = BufWriter::new(io::stdout().lock());
    loop {
        let lines = tokio::select! {
            lines = records.next() => lines?,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.map_err(Failure::environment)?;
                None
            }
        };
        let Some(lines) = lines else { return Ok(()) };
        let written = if arguments.json { out.write_all(&lines) } else { write_blocks(&mut out, &lines, colours) };
        if !ended_early_is_fine(written.and_then(|()| out.flush()))? {
            return Ok(());
        }
    }
}

fn write_blocks(out: &mut impl io::Write, lines: &[u8], colours: bool) -> io::Result<()> {
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let tapped: Tapped = serde_json::from_slice(line)?;
        block::lines(&tapped, colours).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    Ok(())
}
