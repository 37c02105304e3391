//! Apache Kafka with a Connect worker and Debezium, started privately on loopback, to compare with and to measure beside.
//!
//! `tests/peers/install.sh` (`make peers`) fetches them. Everything a run writes lies in a folder of its own, and both processes end
//! with their owner. The worker keeps Connect's defaults apart from its heap and what one broker alone cannot do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use reqwest::Method;
use serde_json::Value;

use crate::kafka::Kafka;
use crate::process::{Process, Signal};
use crate::worker::Rest;
use crate::{Folder, eventually};

const READY_WITHIN: Duration = Duration::from_secs(120);
const STOPPED_WITHIN: Duration = Duration::from_secs(60);
const RUNNING_WITHIN: Duration = Duration::from_secs(120);
const START_ATTEMPTS: usize = 3;
const CLUSTER_ID: &str = "dG93cGF0aC1wZWVycy0wMQ";

/// What Apache's own start scripts give the JVM.
const JVM: [&str; 7] = [
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
    "-Djava.awt.headless=true",
];

const LOGGING: &str = r#"Configuration:
  Appenders:
    Console: {name: STDOUT, PatternLayout: {pattern: "[%d] %p %X{connector.context}%m (%c)%n"}}
  Loggers:
    Root: {level: "${sys:towpath.log:-INFO}", AppenderRef: [{ref: STDOUT}]}
"#;

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
    broker: Process,
    bootstrap: String,
    rest: Rest,
    folder: Folder,
    libraries: PathBuf,
}

impl Peers {
    /// What is missing, in one line; nothing when they can be started.
    pub fn missing() -> Option<String> {
        if !installed().is_ok_and(|folder| folder.join(".made").is_file()) {
            return Some("Kafka, Connect and Debezium are not installed: make peers".to_owned());
        }
        let java = Command::new("java").arg("-version").output();
        (!java.is_ok_and(|output| output.status.success()))
            .then(|| "there is no Java: apt-get install openjdk-17-jre-headless".to_owned())
    }

    /// Starts a broker and a worker and waits until both answer.
    pub async fn start(options: &PeersOptions) -> Result<Self> {
        if let Some(missing) = Self::missing() {
            bail!("{missing}");
        }
        let installed = installed()?;
        let folder = Folder::new("towpath-peers-")?;
        std::fs::write(folder.join("log4j2.yaml"), LOGGING)?;
        let (broker, bootstrap) = start_broker(&installed, &folder, options).await?;
        let (worker, rest) = start_worker(&installed, &folder, &bootstrap, options).await?;
        Ok(Self { worker, broker, bootstrap, rest, folder, libraries: installed.join("kafka/*") })
    }

    /// The broker's address.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
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
        self.folder.join("worker.log")
    }

    /// The class path of Kafka's own tools.
    pub fn libraries(&self) -> &Path {
        &self.libraries
    }

    /// A connection to the broker.
    pub async fn kafka(&self) -> Result<Kafka> {
        Kafka::connect(&self.bootstrap).await
    }

    /// Creates a connector, or changes it, and waits until it and its tasks are RUNNING.
    ///
    /// # Errors
    /// One that fails is not waited for: nothing here starts it again.
    pub async fn create(&self, name: &str, config: &BTreeMap<String, String>) -> Result<()> {
        let body = serde_json::to_value(config)?;
        self.ask(Method::PUT, &format!("/connectors/{name}/config"), Some(&body)).await?;
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

    /// Deletes a connector. Its slot and its topics stay.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.ask(Method::DELETE, &format!("/connectors/{name}"), None).await
    }

    /// Stops both in an orderly way and removes their files.
    pub async fn stop(mut self) -> Result<()> {
        self.worker.end(Signal::TERM, STOPPED_WITHIN).await?;
        self.broker.end(Signal::TERM, STOPPED_WITHIN).await?;
        self.folder.remove()
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

/// Where `make peers` leaves what it fetches.
fn installed() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("TOWPATH_PEERS") {
        return Ok(PathBuf::from(named));
    }
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .context("there is no home folder: set TOWPATH_PEERS")?;
    Ok(cache.join("towpath-peers"))
}

fn java(installed: &Path, folder: &Folder, heap_mb: u32, options: &PeersOptions) -> Command {
    let mut command = Command::new("java");
    command.args(JVM).arg(format!("-Xmx{heap_mb}m"));
    command.arg(format!("-Dlog4j2.configurationFile={}", folder.join("log4j2.yaml").display()));
    command.arg("-cp").arg(installed.join("kafka/*"));
    if options.own_group {
        command.process_group(0);
    }
    command
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn write_properties(path: &Path, properties: &BTreeMap<String, String>) -> Result<()> {
    let mut text = String::new();
    for (key, value) in properties {
        writeln!(text, "{key}={value}")?;
    }
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn owned<const N: usize>(properties: [(&str, String); N]) -> BTreeMap<String, String> {
    properties.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Starts the broker. A port is free when it is chosen and may be taken when it is used: then others are tried.
async fn start_broker(installed: &Path, folder: &Folder, options: &PeersOptions) -> Result<(Process, String)> {
    let output = folder.join("broker.log");
    let properties_file = folder.join("broker.properties");
    for _ in 0..START_ATTEMPTS {
        let bootstrap = format!("127.0.0.1:{}", free_port()?);
        let controller = format!("127.0.0.1:{}", free_port()?);
        let mut properties = owned([
            ("process.roles", "broker,controller".to_owned()),
            ("node.id", "1".to_owned()),
            ("controller.quorum.voters", format!("1@{controller}")),
            ("controller.listener.names", "CONTROLLER".to_owned()),
            ("listeners", format!("PLAINTEXT://{bootstrap},CONTROLLER://{controller}")),
            ("advertised.listeners", format!("PLAINTEXT://{bootstrap}")),
            ("log.dirs", folder.join("topics").display().to_string()),
            ("group.initial.rebalance.delay.ms", "0".to_owned()),
        ]);
        for internal in ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic"] {
            properties.insert(format!("{internal}.replication.factor"), "1".to_owned());
            properties.insert(format!("{internal}.num.partitions"), "5".to_owned());
        }
        properties.insert("transaction.state.log.min.isr".to_owned(), "1".to_owned());
        properties.insert("share.coordinator.state.topic.min.isr".to_owned(), "1".to_owned());
        write_properties(&properties_file, &properties)?;
        if !folder.join("topics/meta.properties").is_file() {
            let mut format = java(installed, folder, options.broker_heap_mb, options);
            format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(&properties_file);
            let mut format = Process::start("the broker's formatting", &mut format, &output)?;
            ensure!(format.wait(READY_WITHIN).await?.success(), "formatting failed\n{}", format.last_output());
        }
        let mut command = java(installed, folder, options.broker_heap_mb, options);
        command.arg("kafka.Kafka").arg(&properties_file);
        let mut broker = Process::start("the broker", &mut command, &output)?;
        let is_up = until_up(&mut broker, "the broker to answer", || async {
            Kafka::connect(&bootstrap).await?.topics().await.map(drop)
        })
        .await?;
        if is_up {
            return Ok((broker, bootstrap));
        }
    }
    bail!("the broker did not start: {}", output.display())
}

async fn start_worker(
    installed: &Path,
    folder: &Folder,
    bootstrap: &str,
    options: &PeersOptions,
) -> Result<(Process, Rest)> {
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
        let mut command = java(installed, folder, options.worker_heap_mb, options);
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

/// Waits until `ask` succeeds. False when the process ended because its port was taken.
async fn until_up<F, Fut>(process: &mut Process, what: &str, ask: F) -> Result<bool>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let is_up = eventually(what, READY_WITHIN, || {
        let ended = process.ended();
        let answer = ask();
        async move { if ended?.is_some() { Ok(false) } else { answer.await.map(|()| true) } }
    })
    .await
    .with_context(|| process.last_output())?;
    if !is_up {
        let why = process.last_output();
        ensure!(why.contains("Address already in use") || why.contains("Failed to bind"), "{why}");
    }
    Ok(is_up)
}
