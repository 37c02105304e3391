//! `towpath log verify|repair|dump DIR`: whether a stopped log is sound, mending it, and which batches lie in it.

use std::io::{self, BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;

use serde_json::json;
use towpath_log::{BatchFacts, Examination, Finding, Remedy};
use towpath_model::TopicPartition;

use crate::failure::{Failure, Fault, Result};
use crate::lines::{grouped, size};
use crate::output::{ended_early_is_fine, print, print_json};
use crate::storage;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Read every batch and index of a stopped log and compare them with checksums and each other. Ends with 1 where something is
    /// damaged.
    Verify {
        #[command(flatten)]
        asked: Asked,
    },
    /// Mend a stopped log: build indexes anew, cut out what cannot be read, keep what is cut in files beside. Says what it would do and
    /// which offsets are lost; does it only with --apply.
    Repair {
        #[command(flatten)]
        asked: Asked,
        /// Do it.
        #[arg(long, env = "TOWPATH_APPLY")]
        apply: bool,
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
            let examination = storage::examine(&asked.dir, false).await?;
            show(&examination, asked.json, None)?;
            if examination.is_sound() { Ok(()) } else { Err(Failure::shown(Fault::Ours)) }
        }
        Command::Repair { asked, apply } => {
            let examination = storage::examine(&asked.dir, *apply).await?;
            show(&examination, asked.json, Some(*apply))?;
            if *apply || examination.is_sound() { Ok(()) } else { Err(Failure::shown(Fault::Ours)) }
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
                Some(damage) => Err(Failure::ours(damage.clone())),
            }
        }
    }
}

/// `applied` says whether a repair was carried out, where one was asked for.
fn show(examination: &Examination, json: bool, applied: Option<bool>) -> Result<()> {
    if json { print_json(&document(examination, applied)) } else { print(told(examination, applied)) }
}

fn told(examination: &Examination, applied: Option<bool>) -> Vec<String> {
    let Examination { partitions, segments, batches, records, bytes, findings } = examination;
    let mut lines: Vec<String> = findings.iter().flat_map(|finding| told_finding(finding, applied)).collect();
    let sound = if findings.is_empty() { "sound" } else { "what else there is" };
    lines.push(format!(
        "{sound}: {partitions} partitions, {segments} segments, {} batches, {} records, {}",
        grouped(*batches),
        grouped(*records),
        size(*bytes)
    ));
    if !findings.is_empty() {
        let lost = grouped(u64::try_from(examination.lost()).unwrap_or(0));
        lines.push(match applied {
            None => "`towpath log repair` says what can be mended".to_owned(),
            Some(false) => format!("nothing was changed; with --apply the above is done, and {lost} offsets are lost"),
            Some(true) => format!("mended; {lost} offsets are lost"),
        });
    }
    lines
}

fn told_finding(finding: &Finding, applied: Option<bool>) -> Vec<String> {
    let whose = finding.partition.as_ref().map_or_else(|| "journal".to_owned(), ToString::to_string);
    let mut lines = vec![format!("damaged  {whose}: {} ({})", finding.reason, finding.file.display())];
    if applied.is_some() {
        lines.push(match &finding.remedy {
            Remedy::Rebuild => "         built anew; nothing is lost".to_owned(),
            Remedy::Cut { lost, quarantine } => {
                let lost = if lost.is_empty() {
                    "cut out".to_owned()
                } else {
                    format!("cut out; offsets {} to {} are lost", lost.start, lost.end - 1)
                };
                let kept = quarantine.as_ref().map(|kept| format!("; kept in {}", kept.display()));
                format!("         {lost}{}", kept.unwrap_or_default())
            }
            Remedy::SetAside(kept) => format!("         renamed to {}", kept.display()),
        });
    }
    lines
}

fn document(examination: &Examination, applied: Option<bool>) -> serde_json::Value {
    let finding = |finding: &Finding| {
        let (remedy, lost, quarantine) = match &finding.remedy {
            Remedy::Rebuild => ("rebuild", None, None),
            Remedy::Cut { lost, quarantine } => ("cut", Some([lost.start, lost.end]), quarantine.as_ref()),
            Remedy::SetAside(kept) => ("set aside", None, Some(kept)),
        };
        json!({
            "topic": finding.partition.as_ref().map(|partition| &partition.topic),
            "partition": finding.partition.as_ref().map(|partition| partition.partition),
            "file": finding.file,
            "reason": finding.reason,
            "remedy": remedy,
            "lost_from_to": lost,
            "quarantine": quarantine,
        })
    };
    json!({
        "sound": examination.is_sound(),
        "applied": applied.unwrap_or(false),
        "partitions": examination.partitions,
        "segments": examination.segments,
        "batches": examination.batches,
        "records": examination.records,
        "bytes": examination.bytes,
        "lost": examination.lost(),
        "damaged": examination.findings.iter().map(finding).collect::<Vec<_>>(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repair_says_what_is_lost_before_anything_is() {
        let finding = |partition: Option<i32>, file: &str, remedy: Remedy| Finding {
            partition: partition.map(|partition| TopicPartition::new("orders", partition)),
            file: file.into(),
            reason: "it is damaged".to_owned(),
            remedy,
        };
        let examination = Examination {
            findings: vec![
                finding(Some(0), "0.log", Remedy::Cut { lost: 17..21, quarantine: Some("0.log.9.quarantine".into()) }),
                finding(Some(1), "0.index", Remedy::Rebuild),
                finding(None, "journal", Remedy::Cut { lost: 0..0, quarantine: None }),
                finding(Some(2), "x", Remedy::SetAside("x.quarantine".into())),
            ],
            ..Examination::default()
        };
        assert_eq!(
            told(&examination, Some(false)),
            [
                "damaged  orders-0: it is damaged (0.log)",
                "         cut out; offsets 17 to 20 are lost; kept in 0.log.9.quarantine",
                "damaged  orders-1: it is damaged (0.index)",
                "         built anew; nothing is lost",
                "damaged  journal: it is damaged (journal)",
                "         cut out",
                "damaged  orders-2: it is damaged (x)",
                "         renamed to x.quarantine",
                "what else there is: 0 partitions, 0 segments, 0 batches, 0 records, 0 B",
                "nothing was changed; with --apply the above is done, and 4 offsets are lost",
            ]
        );
        assert_eq!(told(&examination, None).len(), 4 + 2, "a look says what is wrong and where to go on");
        assert_eq!(document(&examination, Some(true))["damaged"][0]["lost_from_to"], json!([17, 21]));
    }
}
