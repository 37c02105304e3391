//! The two sides: Debezium on Kafka Connect, and Towpath. Both are asked the same questions.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;
use towpath_tests::{Folder, Kafka, LogRecord, Peers, Postgres, Worker, WorkerOptions, eventually, tail};

use crate::profile::Profile;
use crate::script::PROGRESS;

const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(120);
/// Debezium's producer fills several topics at once: they are complete when none has grown for so long.
const STILL: Duration = Duration::from_millis(200);
/// Debezium rests so long between two batches unless told otherwise; here it would be most of the time.
const POLL_MS: &str = "5";

/// One of them.
pub(crate) enum Side<'a> {
    Debezium {
        peers: &'a Peers,
        kafka: Kafka,
        prefix: String,
    },
    /// Its worker is none while it is stopped.
    Towpath {
        folder: Folder,
        worker: Option<Worker>,
        options: WorkerOptions,
        prefix: String,
    },
}

/// Where the workload takes place.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) postgres: &'a Postgres,
    pub(crate) database: &'a str,
    pub(crate) profile: &'a Profile,
    pub(crate) prefix: &'a str,
}

impl<'a> Side<'a> {
    pub(crate) async fn debezium(peers: &'a Peers, place: Place<'_>) -> Result<Self> {
        let Place { postgres, database, profile, prefix } = place;
        let mut config = profile.connector(postgres, database, prefix, "debezium");
        config.insert("poll.interval.ms".to_owned(), POLL_MS.to_owned());
        peers.create(prefix, &config).await?;
        Ok(Self::Debezium { peers, kafka: peers.kafka().await?, prefix: prefix.to_owned() })
    }

    pub(crate) async fn towpath(place: Place<'_>) -> Result<Self> {
        let Place { postgres, database, profile, prefix } = place;
        let folder = Folder::new("towpath-differential-")?;
        let options = WorkerOptions::within(folder.path());
        std::fs::create_dir_all(&options.pipelines)?;
        let config = profile.connector(postgres, database, prefix, "towpath");
        let pipeline = json!({"name": prefix, "config": config});
        std::fs::write(options.pipelines.join("differential.json"), pipeline.to_string())?;
        let worker = Some(start(&options, prefix).await?);
        Ok(Self::Towpath { folder, worker, options, prefix: prefix.to_owned() })
    }

    /// Its name, which is also its slot's.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Debezium { .. } => "debezium",
            Self::Towpath { .. } => "towpath",
        }
    }

    /// Waits until so many rows of the progress table have arrived, and all that was before them.
    pub(crate) async fn reach(&mut self, progress: u64) -> Result<()> {
        let (name, prefix) = (self.name(), self.prefix().to_owned());
        let topic = format!("{prefix}.public.{PROGRESS}");
        let deadline = towpath_tests::Deadline::after(CAUGHT_UP_WITHIN);
        loop {
            let count = self.counts().await?.get(&topic).copied().unwrap_or_default();
            if count >= progress {
                break;
            }
            self.must_run().await?;
            if deadline.is_over() {
                return Err(anyhow!("{name} has {count} of {progress} rows of progress"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut before = self.counts().await?;
        while matches!(self, Self::Debezium { .. }) {
            tokio::time::sleep(STILL).await;
            let now = self.counts().await?;
            if now == before {
                break;
            }
            before = now;
        }
        Ok(())
    }

    /// How many records each of its topics has.
    pub(crate) async fn counts(&mut self) -> Result<BTreeMap<String, u64>> {
        match self {
            Self::Debezium { kafka, prefix, .. } => {
                let mut counts = BTreeMap::new();
                let topics = kafka.topics().await?;
                for topic in topics.into_keys().filter(|topic| is_of(topic, prefix)) {
                    let count = kafka.count(&topic).await?;
                    counts.insert(topic, count);
                }
                Ok(counts)
            }
            Self::Towpath { worker, prefix, .. } => {
                let topics = worker.as_ref().context("it is stopped")?.rest().get("/v1/topics").await?;
                let topics = topics.as_array().context("no list of topics")?.iter();
                let counted = topics.filter_map(|topic| {
                    Some((topic.get("name")?.as_str()?.to_owned(), topic.get("records")?.as_u64()?))
                });
                Ok(counted.filter(|(topic, _)| is_of(topic, prefix)).collect())
            }
        }
    }

    /// All records of its topics.
    pub(crate) async fn records(&mut self) -> Result<BTreeMap<String, Vec<LogRecord>>> {
        let topics = self.counts().await?;
        let mut records = BTreeMap::new();
        for topic in topics.into_keys() {
            let read = match self {
                Self::Debezium { kafka, .. } => kafka.drain(&topic).await?,
                Self::Towpath { options, .. } => tail(&options.data_dir, &topic).await?,
            };
            records.insert(topic, read);
        }
        Ok(records)
    }

    /// Ends the connector, and the worker that is its own.
    pub(crate) async fn close(self, postgres: &Postgres, database: &str) -> Result<()> {
        let slot = self.name();
        match self {
            Self::Debezium { peers, prefix, .. } => peers.delete(&prefix).await?,
            Self::Towpath { worker, folder, .. } => {
                if let Some(worker) = worker {
                    worker.stop().await?;
                }
                folder.remove()?;
            }
        }
        let client = postgres.connect_as_superuser(database).await?;
        eventually("the slot's release", CAUGHT_UP_WITHIN, || async {
            let drop = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1";
            client.execute(drop, &[&slot]).await.map(std::mem::drop).context("dropping the slot")
        })
        .await
    }

    /// Stops it in an orderly way.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        match self {
            Self::Debezium { peers, prefix, .. } => peers.stop_connector(prefix).await,
            Self::Towpath { worker, .. } => worker.take().context("it is stopped already")?.stop().await.map(drop),
        }
    }

    /// Lets it go on after a stop.
    pub(crate) async fn resume(&mut self) -> Result<()> {
        match self {
            Self::Debezium { peers, prefix, .. } => peers.resume_connector(prefix).await,
            Self::Towpath { worker, options, prefix, .. } => {
                *worker = Some(start(options, prefix).await?);
                Ok(())
            }
        }
    }

    /// Fails when its connector has failed.
    pub(crate) async fn must_run(&self) -> Result<()> {
        let rest = match self {
            Self::Debezium { peers, .. } => peers.rest(),
            Self::Towpath { worker, .. } => worker.as_ref().context("it is stopped")?.rest(),
        };
        let (states, status) = rest.states(self.prefix()).await?;
        let status = status.to_string();
        // Java's traces begin with the least and end with the cause.
        let cause = status.rfind("Caused by").and_then(|at| status.get(at..)).unwrap_or(&status);
        ensure!(!states.iter().any(|state| state == "FAILED"), "{} has failed: {cause}", self.name());
        Ok(())
    }

    fn prefix(&self) -> &str {
        match self {
            Self::Debezium { prefix, .. } | Self::Towpath { prefix, .. } => prefix,
        }
    }
}

/// Starts a worker and waits until it knows its connector.
async fn start(options: &WorkerOptions, name: &str) -> Result<Worker> {
    let worker = Worker::start(options).await?;
    eventually("the connector's status", CAUGHT_UP_WITHIN, || async { worker.rest().states(name).await.map(drop) })
        .await?;
    Ok(worker)
}

/// Whether a topic belongs to the connector with this prefix.
fn is_of(topic: &str, prefix: &str) -> bool {
    topic.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
}
