//! `towpath tail TOPIC`: records as they come, from a running worker, a log that runs alone or a stopped data directory; those that pass a
//! filter, in the form that is wanted.

mod record;

use std::io::{self, BufWriter, Write as _};

use towpath_model::{Clock as _, SystemClock};
use towpath_rest::{Beginning, TailOptions};

use crate::client::Target;
use crate::failure::{Failure, Result};
use crate::output::ended_early_is_fine;
use crate::reader::Reader;

use self::record::Record;

/// Show the records of a topic as they come. Reads a running worker, a log that runs alone, or a stopped data directory.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The topic.
    topic: String,
    /// Where to begin: earliest, latest, an offset, -N for the last N of every partition, a span such as 15m, or a time such as 2026-11-21T08:30:00Z.
    #[arg(long, env = "TOWPATH_FROM", value_name = "WHERE", default_value = "earliest", allow_hyphen_values = true)]
    from: String,
    /// End after so many records.
    #[arg(long, env = "TOWPATH_MAX", value_name = "N")]
    max: Option<u64>,
    /// End where the topic ends now.
    #[arg(long, env = "TOWPATH_EXIT")]
    exit: bool,
    /// Print one JSON object a line: topic, partition, offset, timestamp, key, value, headers.
    #[arg(long, env = "TOWPATH_JSON", conflicts_with = "format")]
    json: bool,
    /// Print each record in this form: %t topic, %p partition, %o offset, %T timestamp, %k key, %s value, %h headers, %% a percent sign, \\n and \\t.
    #[arg(long, env = "TOWPATH_FORMAT", value_name = "FORMAT")]
    format: Option<String>,
    #[command(flatten)]
    filter: record::Filter,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let from = Beginning::parse(&arguments.from, SystemClock::default().now_ms()).map_err(Failure::input)?;
    let reader = Reader::find(&arguments.target).await?;
    // What is stopped gets no further records: its end is the end.
    let exit = arguments.exit || reader.is_stopped();
    let filter = &arguments.filter;
    // What is filtered here is counted here.
    let max = if filter.is_open() { arguments.max } else { None };
    let mut left = arguments.max.unwrap_or(u64::MAX);
    let mut records = reader.tail(&arguments.topic, TailOptions { from, max, exit }).await?;
    let mut out = BufWriter::new(io::stdout().lock());
    loop {
        let lines = tokio::select! {
            lines = records.next() => lines?,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.map_err(Failure::environment)?;
                None
            }
        };
        let Some(lines) = lines else { break };
        let written = write(&mut out, &lines, &arguments, &mut left);
        if !ended_early_is_fine(written.and_then(|()| out.flush()))? || left == 0 {
            break;
        }
    }
    Ok(())
}

/// Writes those of the lines that are wanted, as far as there is any left to write.
fn write(out: &mut impl io::Write, lines: &[u8], arguments: &Arguments, left: &mut u64) -> io::Result<()> {
    if arguments.json && arguments.filter.is_open() && arguments.max.is_none() {
        return out.write_all(lines);
    }
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let record: Record = serde_json::from_slice(line)?;
        if *left == 0 || !arguments.filter.lets_pass(&record) {
            continue;
        }
        *left -= 1;
        match &arguments.format {
            Some(format) => record.write_as(out, format)?,
            None if arguments.json => {
                out.write_all(line)?;
                out.write_all(b"\n")?;
            }
            None => record.write_for_people(out)?,
        }
    }
    Ok(())
}
