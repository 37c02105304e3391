//! rdkafka, the client that Rust programs use, against a broker that runs: `towpath-compat-rdkafka BROKER`. Each check does what its name
//! says and what programs do; a member of a group that is killed is this program again, in a process of its own.

mod admin;
mod groups;
mod records;
mod transactions;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [broker] => all(&Broker::new(broker)).await,
        ["member", broker, group, topic, strategy] => {
            told("a member ends", groups::be_a_member(&Broker::new(broker), group, topic, strategy).await)
        }
        _ => {
            eprintln!("usage: towpath-compat-rdkafka BROKER");
            ExitCode::from(2)
        }
    }
}

async fn all(broker: &Broker) -> ExitCode {
    let outcomes = [
        told("records come back as they were, whichever the codec", records::come_back(broker).await),
        told("an idempotent producer writes each once and in order", records::are_written_once(broker).await),
        told("reading goes on at an offset and at a time", records::are_sought(broker).await),
        told("topics are made, told of, changed and deleted", admin::topics(broker).await),
        told("a group goes on where it has committed, and is deleted", groups::go_on(broker).await),
        told("what a killed member had is read by the others", groups::take_over(broker).await),
        told("a static member that is back has what it had", groups::keep_places(broker).await),
        told("transactions carry offsets, commit, abort and fence", transactions::hold(broker).await),
    ];
    if outcomes.iter().all(|outcome| *outcome == ExitCode::SUCCESS) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn told(what: &str, outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => {
            println!("  ok      rdkafka: {what}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("  FAILED  rdkafka: {what}: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// The broker, and names that nobody else uses at it.
struct Broker {
    address: String,
    names: AtomicU32,
}

impl Broker {
    fn new(address: &str) -> Self {
        Self { address: address.to_owned(), names: AtomicU32::new(0) }
    }

    fn name(&self, of: &str) -> String {
        format!("rdkafka-{of}-{}-{}", std::process::id(), self.names.fetch_add(1, Ordering::Relaxed))
    }

    fn config(&self, more: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        config
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.config(&[]).create()?)
    }

    fn producer(&self, more: &[(&str, &str)]) -> Result<FutureProducer> {
        Ok(self.config(more).create()?)
    }

    /// A member of a group that reads from the beginning and commits when it is told to.
    fn consumer(&self, group: &str, more: &[(&str, &str)]) -> Result<StreamConsumer> {
        let mut config = self.config(&[
            ("group.id", group),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
            ("session.timeout.ms", "6000"),
        ]);
        config.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        Ok(config.create()?)
    }

    /// A reader of partitions that it is given.
    fn reader(&self, partitions: &[(&str, i32, Offset)], more: &[(&str, &str)]) -> Result<StreamConsumer> {
        let consumer = self.consumer(&self.name("reader"), more)?;
        consumer.assign(&list(partitions)?)?;
        Ok(consumer)
    }

    async fn topic(&self, of: &str, partitions: i32) -> Result<String> {
        let name = self.name(of);
        let new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        let made = self.admin()?.create_topics(&[new], &AdminOptions::new()).await?;
        made.into_iter().collect::<Result<Vec<_>, _>>().map_err(|(topic, code)| anyhow::anyhow!("{topic}: {code}"))?;
        Ok(name)
    }
}

fn list(partitions: &[(&str, i32, Offset)]) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (topic, partition, offset) in partitions {
        list.add_partition_offset(topic, *partition, *offset)?;
    }
    Ok(list)
}

/// Writes values to a partition; their offsets.
async fn write(producer: &FutureProducer, topic: &str, partition: i32, values: &[&str]) -> Result<Vec<i64>> {
    let mut deliveries = Vec::with_capacity(values.len());
    for value in values {
        let record = FutureRecord::<(), str>::to(topic).partition(partition).payload(*value);
        deliveries.push(producer.send_result(record).map_err(|(error, _)| error)?);
    }
    let mut offsets = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        offsets.push(delivery.await?.map_err(|(error, _)| error)?.offset);
    }
    Ok(offsets)
}

/// The next record of a reader.
async fn next(consumer: &StreamConsumer) -> Result<BorrowedMessage<'_>> {
    Ok(tokio::time::timeout(PATIENCE, consumer.recv()).await.context("no record comes")??)
}

/// The values of the next records of a reader.
async fn values(consumer: &StreamConsumer, count: usize) -> Result<Vec<String>> {
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(String::from_utf8(next(consumer).await?.payload().context("no value")?.to_vec())?);
    }
    Ok(values)
}

/// What is found is what is expected.
fn same<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Result<()> {
    ensure!(found == expected, "{found:?} is not {expected:?}");
    Ok(())
}
