//! Apache Kafka alone, started privately on loopback: one node that is broker and controller, with Apache's settings for one node.
//!
//! `tests/peers/install.sh` (`make peers`) fetches it. Everything a run writes lies in a folder of its own, and the process ends with its
//! owner.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::kafka::Kafka;
use crate::process::{Process, Signal};
use crate::{Folder, eventually};

/// A port is free when it is chosen and may be taken when it is used: then others are tried.
pub(crate) const START_ATTEMPTS: usize = 3;
const READY_WITHIN: Duration = Duration::from_secs(120);
const STOPPED_WITHIN: Duration = Duration::from_secs(60);
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

/// What is missing, in one line; nothing when the peers can be started.
pub(crate) fn missing() -> Option<String> {
    if !installed().is_ok_and(|folder| folder.join(".made").is_file()) {
        return Some("Kafka, Connect and Debezium are not installed: make peers".to_owned());
    }
    let java = Command::new("java").arg("-version").output();
    (!java.is_ok_and(|output| output.status.success()))
        .then(|| "there is no Java: apt-get install openjdk-17-jre-headless".to_owned())
}

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    process: Process,
    bootstrap: String,
    folder: Folder,
    installed: PathBuf,
    libraries: PathBuf,
}

impl Broker {
    /// Starts a broker and waits until it answers.
    ///
    /// With `own_group`, Ctrl-C at the terminal leaves it alone, because its owner stops it.
    pub async fn start(heap_mb: u32, own_group: bool) -> Result<Self> {
        if let Some(missing) = missing() {
            bail!("{missing}");
        }
        let installed = installed()?;
        let folder = Folder::new("towpath-peers-")?;
        std::fs::write(folder.join("log4j2.yaml"), LOGGING)?;
        let (process, bootstrap) = start_broker(&installed, &folder, heap_mb, own_group).await?;
        let libraries = installed.join("kafka/*");
        Ok(Self { process, bootstrap, folder, installed, libraries })
    }

    /// Kills it where it is.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.end(Signal::KILL, STOPPED_WITHIN).await.map(drop)
    }

    /// Starts it again on what it has left, after [`kill`](Self::kill), and waits until it answers.
    pub async fn start_again(&mut self, heap_mb: u32) -> Result<()> {
        (self.process, self.bootstrap) = start_broker(&self.installed, &self.folder, heap_mb, false).await?;
        Ok(())
    }

    /// Its address.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The class path of Kafka's own tools.
    pub fn libraries(&self) -> &Path {
        &self.libraries
    }

    /// Where its files lie.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Stops it in an orderly way and removes its files.
    pub async fn stop(mut self) -> Result<()> {
        self.process.end(Signal::TERM, STOPPED_WITHIN).await?;
        self.folder.remove()
    }
}

/// Where `make peers` leaves what it fetches.
pub(crate) fn installed() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("TOWPATH_PEERS") {
        return Ok(PathBuf::from(named));
    }
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .context("there is no home folder: set TOWPATH_PEERS")?;
    Ok(cache.join("towpath-peers"))
}

pub(crate) fn java(installed: &Path, folder: &Folder, heap_mb: u32, own_group: bool) -> Command {
    let mut command = Command::new("java");
    command.args(JVM).arg(format!("-Xmx{heap_mb}m"));
    command.arg(format!("-Dlog4j2.configurationFile={}", folder.join("log4j2.yaml").display()));
    command.arg("-cp").arg(installed.join("kafka/*"));
    if own_group {
        command.process_group(0);
    }
    command
}

pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

pub(crate) fn write_properties(path: &Path, properties: &BTreeMap<String, String>) -> Result<()> {
    let mut text = String::new();
    for (key, value) in properties {
        writeln!(text, "{key}={value}")?;
    }
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

pub(crate) fn owned<const N: usize>(properties: [(&str, String); N]) -> BTreeMap<String, String> {
    properties.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

async fn start_broker(installed: &Path, folder: &Folder, heap_mb: u32, own_group: bool) -> Result<(Process, String)> {
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
            let mut format = java(installed, folder, heap_mb, own_group);
            format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(&properties_file);
            let mut format = Process::start("the broker's formatting", &mut format, &output)?;
            ensure!(format.wait(READY_WITHIN).await?.success(), "formatting failed\n{}", format.last_output());
        }
        let mut command = java(installed, folder, heap_mb, own_group);
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

/// Waits until `ask` succeeds. False when the process ended because its port was taken.
pub(crate) async fn until_up<F, Fut>(process: &mut Process, what: &str, ask: F) -> Result<bool>
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
