//! `towpath tail TOPIC`: records as they come, from a running worker or a stopped data directory.

use std::io::{self, BufWriter, Write as _};

use serde::Deserialize;
use serde_json::Value;
use towpath_model::{Clock as _, SystemClock};
use towpath_rest::{Beginning, TailOptions};

use crate::client::Target;
use crate::failure::{Failure, Result};
use crate::output::ended_early_is_fine;
use crate::reader::Reader;

/// Show the records of a topic as they come. Reads a running worker or a stopped data directory.
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
    #[arg(long, env = "TOWPATH_JSON")]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let from = Beginning::parse(&arguments.from, SystemClock::default().now_ms()).map_err(Failure::input)?;
    let reader = Reader::find(&arguments.target).await?;
    // What is stopped gets no further records: its end is the end.
    let exit = arguments.exit || reader.is_stopped();
    let mut records = reader.tail(&arguments.topic, TailOptions { from, max: arguments.max, exit }).await?;
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
        let written = if arguments.json { out.write_all(&lines) } else { write_for_people(&mut out, &lines) };
        if !ended_early_is_fine(written.and_then(|()| out.flush()))? {
            break;
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Record {
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    key: Value,
    value: Value,
    headers: Vec<Header>,
}

#[derive(Deserialize)]
struct Header {
    key: String,
    value: Value,
}

fn write_for_people(out: &mut impl io::Write, lines: &[u8]) -> io::Result<()> {
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let record: Record = serde_json::from_slice(line)?;
        let time = record.timestamp.map_or_else(|| "-".to_owned(), clock_time);
        write!(out, "{}:{}  {time}  {}  {}", record.partition, record.offset, text(&record.key), text(&record.value))?;
        for header in &record.headers {
            write!(out, "  {}={}", header.key, text(&header.value))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// A payload as it is; null and bytes that are no text stand in brackets.
fn text(payload: &Value) -> String {
    match payload {
        Value::String(text) => text.clone(),
        Value::Object(map) => format!("[base64 {}]", map.get("base64").and_then(Value::as_str).unwrap_or_default()),
        _ => "[null]".to_owned(),
    }
}

/// The time of day in UTC.
fn clock_time(timestamp_ms: i64) -> String {
    let of_day = timestamp_ms.rem_euclid(86_400_000);
    let (seconds, millis) = (of_day / 1_000, of_day % 1_000);
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_one_line() {
        let lines = br#"{"topic":"t","partition":1,"offset":42,"timestamp":3723004,"key":"k","value":null,"headers":[{"key":"h","value":{"base64":"/w=="}}]}

"#;
        let mut out = Vec::new();
        write_for_people(&mut out, lines).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "1:42  01:02:03.004  k  [null]  h=[base64 /w==]\n");
    }
}
