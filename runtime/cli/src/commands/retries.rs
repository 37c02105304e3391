//! `towpath retries list|show|retry|edit|drop NAME …`: records of a sink that wait to be put again.

use reqwest::Method;
use serde_json::{Value, json};
use towpath_rest::v1::{Deferred, Done};

use crate::client::{Target, segment};
use crate::failure::{Failure, Result};
use crate::lines::span;
use crate::output::{print, print_json};

/// Look after the records of a sink that wait to be put again (errors.retry.mode=defer).
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show what waits, until when, and why.
    List {
        /// The connector.
        name: String,
        /// Print one JSON document.
        #[arg(long, env = "TOWPATH_JSON")]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Show one of the records.
    Show {
        #[command(flatten)]
        record: Record,
        #[command(flatten)]
        target: Target,
    },
    /// Put one of the records again at once, or all.
    Retry {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        target: Target,
    },
    /// Give one of the records another value; key and headers stay.
    Edit {
        #[command(flatten)]
        record: Record,
        /// The new value.
        #[arg(long, env = "TOWPATH_VALUE", required_unless_present = "null")]
        value: Option<String>,
        /// The new value is null.
        #[arg(long, env = "TOWPATH_NULL", conflicts_with = "value")]
        null: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Drop one of the records, or all: they are not delivered.
    Drop {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        target: Target,
    },
}

/// A record by where it was consumed.
#[derive(Debug, clap::Args)]
struct Record {
    /// The connector.
    name: String,
    /// The topic that the record was consumed from.
    topic: String,
    /// Its partition.
    partition: i32,
    /// Its offset.
    offset: i64,
}

/// One record, or all.
#[derive(Debug, clap::Args)]
struct Which {
    /// The connector.
    name: String,
    /// All that wait.
    #[arg(long, env = "TOWPATH_ALL", conflicts_with = "topic")]
    all: bool,
    /// The topic that the record was consumed from.
    #[arg(required_unless_present = "all", requires = "offset")]
    topic: Option<String>,
    /// Its partition.
    partition: Option<i32>,
    /// Its offset.
    offset: Option<i64>,
}

impl Record {
    fn path(&self) -> String {
        format!("{}/{}/{}/{}", path(&self.name), segment(&self.topic), self.partition, self.offset)
    }
}

impl Which {
    fn path(self) -> Result<String> {
        let Self { name, all, topic, partition, offset } = self;
        match (topic, partition, offset) {
            (Some(topic), Some(partition), Some(offset)) => Ok(Record { name, topic, partition, offset }.path()),
            _ if all => Ok(path(&name)),
            _ => Err(Failure::input("name a record by topic, partition and offset, or say --all")),
        }
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    match arguments.verb {
        Verb::List { name, json, target } => {
            let deferred: Deferred = target.client()?.get(&path(&name)).await?;
            if json { print_json(&deferred) } else { print(lines(&deferred)) }
        }
        Verb::Show { record, target } => {
            let shown: Value = target.client()?.get(&record.path()).await?;
            print_json(&shown)
        }
        Verb::Retry { which, target } => {
            let path = format!("{}/retry", which.path()?);
            let done: Done = target.client()?.ask(Method::POST, &path, None).await?;
            print([format!("{} records are put again", done.records)])
        }
        Verb::Edit { record, value, target, .. } => {
            let edit = json!({ "value": value });
            let _: Done = target.client()?.ask(Method::PATCH, &record.path(), Some(&edit)).await?;
            print(["edited"])
        }
        Verb::Drop { which, target } => {
            let done: Done = target.client()?.ask(Method::DELETE, &which.path()?, None).await?;
            print([format!("{} records were dropped", done.records)])
        }
    }
}

fn path(name: &str) -> String {
    format!("/v1/connectors/{}/retries", segment(name))
}

fn lines(deferred: &Deferred) -> Vec<String> {
    if deferred.records.is_empty() {
        return vec!["nothing waits to be put again".to_owned()];
    }
    let mut lines = Vec::new();
    for record in &deferred.records {
        let place = format!("{} {} {}", record.id.topic, record.id.partition, record.id.offset);
        lines.push(match &record.retry {
            Some(retry) => {
                let wait = span(u64::try_from(retry.next_ms - deferred.now_ms).unwrap_or(0));
                format!("{place}  attempt {} in {wait}  {} [{}]", retry.attempt + 1, retry.cause, retry.code)
            }
            None => place,
        });
    }
    if deferred.total > deferred.records.len() {
        lines.push(format!("and {} more", deferred.total - deferred.records.len()));
    }
    lines
}
