//! Apache Kafka with a Connect worker and Debezium, started privately on loopback, to compare with and to measure beside.
//!
//! `tests/peers/install.sh` (`make peers`) fetches them. Everything a run writes lies in a folder of its own, and both processes end
//! with their owner. The worker keeps Connect's defaults apart from its heap and what one broker alone cannot do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use reqwest::Method;
use serde_json::Value;

use crate::broker::{self, Broker, START_ATTEMPTS, free_port, installed, java, owned, until_up, write_properties};
use crate::eventually;
use crate::kafka::Kafka;
use crate::process::{Process, Signal};
use crate::worker::Rest;

const STOPPED_WITHIN: Duration = Duration::from_secs(60);
const RUNNING_WITHIN: Duration = Duration::from_secs(120);

/// How the peers are to be.
#[derive(Clone, Debug)]
pub struct PeersOptions {
    /// The broker's largest heap.
    pub broker_heap_mb: u32,
    /// The worker's largest heap.
    pub worker_heap_mb: u32,
    /// Further properties of the worker.
    pub worker: BTreeMap<String, String>,
    /// Whether Ctrl-C at the terminal leaves them alone, because their owner stops them.
    pub own_group: bool,
}

impl Default for PeersOptions {
    fn default() -> Self {
        Self { broker_heap_mb: 512, worker_heap_mb: 768, worker: BTreeMap::new(), own_group: false }
    }
}

/// A running broker with a running Connect worker.
#[derive(Debug)]
pub struct Peers {
    // The worker goes first: it would wait for its broker.
    worker: Process,
    broker: Broker,
    rest: Rest,
}

impl Peers {
    /// What is missing, in one line; nothing when they can be started.
    pub fn missing() -> Option<String> {
        broker::missing()
    }

    /// Starts a broker and a worker and waits until both answer.
    pub async fn start(options: &PeersOptions) -> Result<Self> {
        let broker = Broker::start(options.broker_heap_mb, options.own_group).await?;
        let (worker, rest) = start_worker(&broker, options).await?;
        Ok(Self { worker, broker, rest })
    }

    /// The broker's address.
    pub fn bootstrap(&self) -> &str {
        self.broker.bootstrap()
    }

    /// The worker's REST interface.
    pub fn rest(&self) -> &Rest {
        &self.rest
    }

    /// The process id of the broker.
    pub fn broker_pid(&self) -> u32 {
        self.broker.pid()
    }

    /// The process id of the worker.
    pub fn worker_pid(&self) -> u32 {
        self.worker.pid()
    }

    /// The file that keeps what the worker prints.
    pub fn worker_output(&self) -> PathBuf {
        self.broker.folder().join("worker.log")
    }

    /// The class path of Kafka's own tools.
    pub fn libraries(&self) -> &Path {
        self.broker.libraries()
    }

    /// A connection to the broker.
    pub async fn kafka(&self) -> Result<Kafka> {
        Kafka::connect(self.bootstrap()).await
    }

    /// Creates a connector, or changes it, and waits until it and its tasks are RUNNING.
    ///
    /// # Errors
    /// One that fails is not waited for: nothing here starts it again.
    pub async fn create(&self, name: &str, config: &BTreeMap<String, String>) -> Result<()> {
        let body = serde_json::to_value(config)?;
        self.ask(Method::PUT, &format!("/connectors/{name}/config"), Some(&body)).await?;
        self.settled(name).await
    }

    /// Waits until a connector and its tasks are RUNNING.
    async fn settled(&self, name: &str) -> Result<()> {
        let what = format!("{name} RUNNING");
        let settled = eventually(&what, RUNNING_WITHIN, || async {
            let (states, status) = self.rest.states(name).await?;
            let is_settled = states.iter().any(|state| state == "FAILED")
                || (states.len() > 1 && states.iter().all(|state| state == "RUNNING"));
            if is_settled { Ok((states, status)) } else { Err(anyhow!("its status is {status}")) }
        });
        let (states, status) = settled.await?;
        ensure!(!states.iter().any(|state| state == "FAILED"), "{name} has failed: {status}");
        Ok(())
    }

    /// Stops a connector and waits until its tasks are gone.
    pub async fn stop_connector(&self, name: &str) -> Result<()> {
        self.ask(Method::PUT, &format!("/connectors/{name}/stop"), None).await?;
        eventually(&format!("{name} STOPPED"), RUNNING_WITHIN, || async {
            let (states, status) = self.rest.states(name).await?;
            let is_stopped = states.iter().all(|state| state == "STOPPED");
            if is_stopped { Ok(()) } else { Err(anyhow!("its status is {status}")) }
        })
        .await
    }

    /// Lets a stopped connector go on.
    pub async fn resume_connector(&self, name: &str) -> Result<()> {
        self.ask(Method::PUT, &format!("/connectors/{name}/resume"), None).await?;
        self.settled(name).await
    }

    /// Deletes a connector. Its slot and its topics stay.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.ask(Method::DELETE, &format!("/connectors/{name}"), None).await
    }

    /// Stops both in an orderly way and removes their files.
    pub async fn stop(mut self) -> Result<()> {
        self.worker.end(Signal::TERM, STOPPED_WITHIN).await?;
        self.broker.stop().await
    }

    /// Asks again while the worker is busy with itself, as it is after every change of its connectors.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<()> {
        let (code, answer) = eventually(path, RUNNING_WITHIN, || async {
            let (code, answer) = self.rest.send(method.clone(), path, body).await?;
            if matches!(code, 409 | 500 | 503) {
                Err(anyhow!("it answers {code}: {answer}"))
            } else {
                Ok((code, answer))
            }
        })
        .await?;
        ensure!(code < 300, "{method} {path} answered {code}: {answer}");
        Ok(())
    }
}

async fn start_worker(broker: &Broker, options: &PeersOptions) -> Result<(Process, Rest)> {
    let (installed, folder, bootstrap) = (installed()?, broker.folder(), broker.bootstrap());
    let output = folder.join("worker.log");
    let properties_file = folder.join("worker.properties");
    for _ in 0..START_ATTEMPTS {
        let base = format!("http://127.0.0.1:{}", free_port()?);
        let mut properties = owned([
            ("bootstrap.servers", bootstrap.to_owned()),
            ("group.id", "peers".to_owned()),
            ("listeners", base.clone()),
            ("rest.advertised.host.name", "127.0.0.1".to_owned()),
            ("plugin.path", installed.join("plugins").display().to_string()),
            ("plugin.discovery", "service_load".to_owned()),
            ("key.converter", "org.apache.kafka.connect.json.JsonConverter".to_owned()),
            ("value.converter", "org.apache.kafka.connect.json.JsonConverter".to_owned()),
            ("connector.client.config.override.policy", "All".to_owned()),
            ("offset.storage.partitions", "5".to_owned()),
        ]);
        for internal in ["config", "offset", "status"] {
            properties.insert(format!("{internal}.storage.topic"), format!("peers-{internal}"));
            properties.insert(format!("{internal}.storage.replication.factor"), "1".to_owned());
        }
        properties.extend(options.worker.clone());
        write_properties(&properties_file, &properties)?;
        let mut command = java(&installed, folder, options.worker_heap_mb, options.own_group);
        command.arg("org.apache.kafka.connect.cli.ConnectDistributed").arg(&properties_file);
        let mut worker = Process::start("the Connect worker", &mut command, &output)?;
        let rest = Rest::new(&base)?;
        // Its root answers before it has joined its group; the list of connectors does not.
        if until_up(&mut worker, "the Connect worker to answer", || async { rest.get("/connectors").await.map(drop) })
            .await?
        {
            return Ok((worker, rest));
        }
    }
    bail!("the Connect worker did not start: {}", output.display())
}
