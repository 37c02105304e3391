//! `towpath topics [TOPIC]`: the log's topics, of a running worker or a stopped data directory.

use towpath_rest::TopicDescription;

use crate::client::Target;
use crate::failure::{Failure, Result};
use crate::lines::grouped;
use crate::output::{print, print_json};
use crate::reader::Reader;

/// List the topics of the log, or describe one. Reads a running worker or a stopped data directory.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Describe this topic: partitions, ends, configs.
    topic: Option<String>,
    /// Also show the worker's own topics.
    #[arg(long, env = "TOWPATH_INTERNAL")]
    internal: bool,
    /// Print one JSON document.
    #[arg(long, env = "TOWPATH_JSON")]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let topics = Reader::find(&arguments.target).await?.topics().await?;
    if let Some(name) = &arguments.topic {
        let topic = topics.iter().find(|topic| topic.name == *name);
        let topic = topic.ok_or_else(|| Failure::input(format!("topic {name} does not exist")))?;
        return if arguments.json { print_json(topic) } else { print(describe(topic)) };
    }
    let shown: Vec<&TopicDescription> = topics.iter().filter(|topic| arguments.internal || !topic.internal).collect();
    if arguments.json {
        return print_json(&shown);
    }
    let width = shown.iter().map(|topic| topic.name.chars().count()).max().unwrap_or(0).max(5);
    let row = |topic: &TopicDescription| {
        let records = grouped(non_negative(topic.records));
        format!("{:width$}  {:>10}  {records:>10}", topic.name, topic.partitions.len())
    };
    print([format!("{:width$}  PARTITIONS     RECORDS", "TOPIC")].into_iter().chain(shown.into_iter().map(row)))
}

fn describe(topic: &TopicDescription) -> Vec<String> {
    let mut lines = vec![format!("{}  id {}{}", topic.name, topic.id, if topic.internal { "  internal" } else { "" })];
    lines.extend(topic.configs.iter().map(|(key, value)| format!("  {key} = {value}")));
    lines.push("  PARTITION       START         END     RECORDS".to_owned());
    lines.extend(topic.partitions.iter().map(|ends| {
        let records = grouped(non_negative(ends.high_watermark - ends.start));
        format!("  {:>9}  {:>10}  {:>10}  {records:>10}", ends.partition, ends.start, ends.high_watermark)
    }));
    lines
}

fn non_negative(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
