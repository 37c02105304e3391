//! `towpath log verify|dump DIR`: whether a stopped log is sound, and which batches lie in it.

use std::io::{self, BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;

use serde_json::json;
use towpath_log::{BatchFacts, Inspection};
use towpath_model::TopicPartition;

use crate::failure::{Failure, Fault, Result};
use crate::lines::{grouped, size};
use crate::output::{ended_early_is_fine, print, print_json};
use crate::storage;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Read every batch of a stopped log and compare it with its checksum. Ends with 1 where something is damaged.
    Verify {
        #[command(flatten)]
        asked: Asked,
    },
    /// Print what a stopped log holds, one batch a line.
    Dump {
        #[command(flatten)]
        asked: Asked,
        /// Only this topic.
        #[arg(long, env = "TOWPATH_TOPIC", value_name = "TOPIC")]
        topic: Option<String>,
        /// Only this partition.
        #[arg(long, env = "TOWPATH_PARTITION", value_name = "N")]
        partition: Option<i32>,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// The data directory.
    #[arg(value_name = "DIR", env = "TOWPATH_DATA_DIR")]
    dir: PathBuf,
    /// Print JSON: one document, or of a dump one object a line.
    #[arg(long, env = "TOWPATH_JSON")]
    json: bool,
}

pub(super) async fn run(command: &Command) -> Result<()> {
    match command {
        Command::Verify { asked } => {
            let log = storage::open_stopped(&asked.dir).await?;
            let inspection = log.inspect(|_| true, &mut |_, _| ControlFlow::Continue(()));
            if asked.json {
                print_json(&document(&inspection))?
            } else {
                print(told(&inspection))?
            }
            if inspection.damaged.is_empty() { Ok(()) } else { Err(Failure::shown(Fault::Ours)) }
        }
        Command::Dump { asked, topic, partition } => {
            let log = storage::open_stopped(&asked.dir).await?;
            let wanted = |one: &TopicPartition| {
                topic.as_ref().is_none_or(|topic| **topic == *one.topic)
                    && partition.is_none_or(|partition| partition == one.partition)
            };
            let mut out = BufWriter::new(io::stdout().lock());
            let mut ended = Ok(true);
            let inspection = log.inspect(wanted, &mut |partition, batch| {
                let line = if asked.json { json_line(partition, &batch) } else { line(partition, &batch) };
                ended = ended_early_is_fine(writeln!(out, "{line}"));
                if matches!(ended, Ok(true)) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            if ended? && ended_early_is_fine(out.flush())? && inspection.partitions == 0 {
                return Err(Failure::input("there is no such topic or partition in the log"));
            }
            match inspection.damaged.first() {
                None => Ok(()),
                Some(damage) => Err(Failure::ours(anyhow::anyhow!("{}: {}", damage.file, damage.reason))),
            }
        }
    }
}

fn told(inspection: &Inspection) -> Vec<String> {
    let Inspection { partitions, segments, batches, records, bytes, damaged } = inspection;
    let mut lines: Vec<String> = damaged
        .iter()
        .map(|damage| {
            format!("damaged  {} from offset {}: {} ({})", damage.partition, damage.offset, damage.reason, damage.file)
        })
        .collect();
    let sound = if damaged.is_empty() { "sound" } else { "what else there is" };
    lines.push(format!(
        "{sound}: {partitions} partitions, {segments} segments, {} batches, {} records, {}",
        grouped(*batches),
        grouped(*records),
        size(*bytes)
    ));
    lines
}

fn document(inspection: &Inspection) -> serde_json::Value {
    let damage = |damage: &towpath_log::Damage| {
        json!({
            "topic": damage.partition.topic,
            "partition": damage.partition.partition,
            "offset": damage.offset,
            "file": damage.file,
            "reason": damage.reason,
        })
    };
    json!({
        "sound": inspection.damaged.is_empty(),
        "partitions": inspection.partitions,
        "segments": inspection.segments,
        "batches": inspection.batches,
        "records": inspection.records,
        "bytes": inspection.bytes,
        "damaged": inspection.damaged.iter().map(damage).collect::<Vec<_>>(),
    })
}

fn line(partition: &TopicPartition, batch: &BatchFacts) -> String {
    let BatchFacts { base_offset, last_offset, records, bytes, max_timestamp, producer_id, .. } = batch;
    let mut line =
        format!("{partition}  {base_offset}..{last_offset}  {records} records  {bytes} bytes  time {max_timestamp}");
    if *producer_id >= 0 {
        let (epoch, sequence) = (batch.producer_epoch, batch.base_sequence);
        line.push_str(&format!("  producer {producer_id} epoch {epoch} sequence {sequence}"));
    }
    if batch.transactional {
        line.push_str("  transactional");
    }
    if batch.control {
        line.push_str("  control");
    }
    line
}

fn json_line(partition: &TopicPartition, batch: &BatchFacts) -> String {
    json!({
        "topic": partition.topic,
        "partition": partition.partition,
        "base_offset": batch.base_offset,
        "last_offset": batch.last_offset,
        "records": batch.records,
        "bytes": batch.bytes,
        "max_timestamp": batch.max_timestamp,
        "producer_id": batch.producer_id,
        "producer_epoch": batch.producer_epoch,
        "base_sequence": batch.base_sequence,
        "transactional": batch.transactional,
        "control": batch.control,
    })
    .to_string()
}
