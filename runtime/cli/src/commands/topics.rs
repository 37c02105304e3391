//! `towpath topics …`: the log's topics. Listing and describing also read a stopped data directory; changes need a running broker.

use std::collections::BTreeMap;

use clap::Subcommand;
use serde_json::json;
use towpath_broker::admin::{ConfigEntry, ConfigSource};
use towpath_rest::TopicDescription;

use crate::client::Target;
use crate::failure::{Failure, Result};
use crate::lines::grouped;
use crate::operator::{self, failure};
use crate::output::{print, print_json};
use crate::reader::Reader;

/// List, describe, create, alter and delete topics.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the topics, of a running worker, a log that runs alone, or a stopped data directory.
    List {
        /// Also show the worker's own topics.
        #[arg(long, env = "TOWPATH_INTERNAL")]
        internal: bool,
        #[command(flatten)]
        asked: Asked,
    },
    /// Describe a topic: partitions, ends, configs that were set.
    Describe {
        /// The topic.
        topic: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Create a topic.
    Create {
        /// The topic.
        topic: String,
        /// How many partitions [default: the broker's].
        #[arg(long, env = "TOWPATH_PARTITIONS", value_name = "N")]
        partitions: Option<i32>,
        /// A config, such as cleanup.policy=compact; may be repeated.
        #[arg(long, env = "TOWPATH_CONFIG", value_name = "KEY=VALUE", value_parser = pair)]
        config: Vec<(String, String)>,
        /// Only say whether it could be created.
        #[arg(long, env = "TOWPATH_DRY_RUN")]
        dry_run: bool,
        #[command(flatten)]
        asked: Asked,
    },
    /// Delete topics with their records.
    Delete {
        /// The topics.
        #[arg(required = true)]
        topics: Vec<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Give a topic more partitions, set configs, or take them back to their defaults.
    Alter {
        /// The topic.
        topic: String,
        /// How many partitions it is to have, more than it has.
        #[arg(long, env = "TOWPATH_PARTITIONS", value_name = "N")]
        partitions: Option<i32>,
        /// A config to set; may be repeated.
        #[arg(long, env = "TOWPATH_CONFIG", value_name = "KEY=VALUE", value_parser = pair)]
        config: Vec<(String, String)>,
        /// A config to take back to its default; may be repeated.
        #[arg(long, env = "TOWPATH_DELETE_CONFIG", value_name = "KEY")]
        delete_config: Vec<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Show every config of a topic, with its default where nobody set it.
    Configs {
        /// The topic.
        topic: String,
        #[command(flatten)]
        asked: Asked,
    },
}

#[derive(Debug, clap::Args)]
struct Asked {
    /// Print one JSON document.
    #[arg(long, env = "TOWPATH_JSON")]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl Asked {
    /// Says what was done.
    fn tell(&self, done: String, document: serde_json::Value) -> Result<()> {
        if self.json { print_json(&document) } else { print([done]) }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it is written KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::List { internal, asked } => list(internal, &asked).await,
        Command::Describe { topic, asked } => {
            let topics = Reader::find(&asked.target).await?.topics().await?;
            let found = topics.iter().find(|one| one.name == topic);
            let found = found.ok_or_else(|| Failure::input(format!("topic {topic} does not exist")))?;
            if asked.json { print_json(found) } else { print(describe(found)) }
        }
        Command::Create { topic, partitions, config, dry_run, asked } => {
            let configs: BTreeMap<String, String> = config.into_iter().collect();
            let mut operator = operator::find(&asked.target).await?;
            let made = operator.create_topic(&topic, partitions, &configs, dry_run).await.map_err(failure)?;
            let verb = if dry_run { "can be created" } else { "is created" };
            let document = json!({"topic": topic, "partitions": made, "created": !dry_run});
            asked.tell(format!("topic {topic} {verb}, with {made} partitions"), document)
        }
        Command::Delete { topics, asked } => {
            let mut operator = operator::find(&asked.target).await?;
            for topic in &topics {
                operator.delete_topic(topic).await.map_err(failure)?;
            }
            asked.tell(format!("{} deleted", topics.join(", ")), json!({ "deleted": topics }))
        }
        Command::Alter { topic, partitions, config, delete_config, asked } => {
            let mut changes: BTreeMap<String, Option<String>> =
                config.into_iter().map(|(key, value)| (key, Some(value))).collect();
            changes.extend(delete_config.into_iter().map(|key| (key, None)));
            if changes.is_empty() && partitions.is_none() {
                return Err(Failure::input("nothing to alter: give --partitions, --config or --delete-config"));
            }
            let mut operator = operator::find(&asked.target).await?;
            if !changes.is_empty() {
                operator.alter_configs(&topic, &changes).await.map_err(failure)?;
            }
            if let Some(partitions) = partitions {
                operator.grow_topic(&topic, partitions).await.map_err(failure)?;
            }
            asked.tell(format!("topic {topic} is altered"), json!({"topic": topic, "altered": true}))
        }
        Command::Configs { topic, asked } => {
            let configs = operator::find(&asked.target).await?.configs(&topic).await.map_err(failure)?;
            if !asked.json {
                return print(configs.iter().map(config_line));
            }
            let entry = |config: &ConfigEntry| json!({"name": config.name, "value": config.value, "default": config.source == ConfigSource::Default});
            print_json(&configs.iter().map(entry).collect::<Vec<_>>())
        }
    }
}

async fn list(internal: bool, asked: &Asked) -> Result<()> {
    let topics = Reader::find(&asked.target).await?.topics().await?;
    let shown: Vec<&TopicDescription> = topics.iter().filter(|topic| internal || !topic.internal).collect();
    if asked.json {
        return print_json(&shown);
    }
    let width = shown.iter().map(|topic| topic.name.chars().count()).max().unwrap_or(0).max(5);
    let row = |topic: &TopicDescription| {
        let records = grouped(non_negative(topic.records));
        format!("{:width$}  {:>10}  {records:>10}", topic.name, topic.partitions.len())
    };
    print([format!("{:width$}  PARTITIONS     RECORDS", "TOPIC")].into_iter().chain(shown.into_iter().map(row)))
}

fn config_line(config: &ConfigEntry) -> String {
    let default = if config.source == ConfigSource::Default { "  (default)" } else { "" };
    format!("{} = {}{default}", config.name, config.value)
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
