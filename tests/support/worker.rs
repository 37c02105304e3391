//! The process under test: `towpath run`, with its REST interface.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::Method;
use serde_json::Value;

use crate::process::{Process, Signal};
use crate::{Deadline, Usage, eventually};

const UP_WITHIN: Duration = Duration::from_secs(120);
const DRAINED_WITHIN: Duration = Duration::from_secs(120);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How a worker is started.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// The folder of pipelines.
    pub pipelines: PathBuf,
    /// The data directory.
    pub data_dir: PathBuf,
    /// The file that keeps what it prints.
    pub output: PathBuf,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// Further environment variables.
    pub environment: BTreeMap<String, String>,
}

impl WorkerOptions {
    /// A worker that keeps all that is its own in `folder`.
    pub fn within(folder: &Path) -> Self {
        Self {
            pipelines: folder.join("pipelines"),
            data_dir: folder.join("data"),
            output: folder.join("worker.log"),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
        }
    }
}

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    process: Process,
    rest: Rest,
}

impl Worker {
    /// Starts a worker and waits until its REST interface answers.
    pub async fn start(options: &WorkerOptions) -> Result<Self> {
        let mut process = Self::spawn(options)?;
        let rest = Self::await_addresses(&mut process, &options.data_dir).await?;
        Ok(Self { process, rest })
    }

    /// Starts a worker and waits for nothing.
    pub fn spawn(options: &WorkerOptions) -> Result<Process> {
        std::fs::create_dir_all(&options.data_dir)?;
        // What a worker that was killed has left behind must not be taken for the new one's.
        match std::fs::remove_file(options.data_dir.join("addresses.json")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut command = Command::new(towpath_binary()?);
        command.arg("run").arg(&options.pipelines).arg("--data-dir").arg(&options.data_dir);
        command
            .args(["--rest", "127.0.0.1:0", "--kafka", "127.0.0.1:0", "--registry", "127.0.0.1:0"])
            .args(&options.arguments)
            .envs(&options.environment);
        Process::start("towpath run", &mut command, &options.output)
    }

    async fn await_addresses(process: &mut Process, data_dir: &Path) -> Result<Rest> {
        let file = data_dir.join("addresses.json");
        let deadline = Deadline::after(UP_WITHIN);
        loop {
            if let Some(rest) = std::fs::read_to_string(&file).ok().and_then(|text| Rest::from_addresses(&text)) {
                let answer = eventually("an answer to GET /", UP_WITHIN, || rest.get("/")).await;
                process.must_run()?;
                answer?;
                return Ok(rest);
            }
            process.must_run()?;
            if deadline.is_over() {
                bail!("the worker wrote no addresses.json\n{}", process.last_output());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Its REST interface.
    pub fn rest(&self) -> &Rest {
        &self.rest
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it uses of the machine.
    pub fn usage(&self) -> Result<Usage> {
        self.process.usage()
    }

    /// Ends it as kill -9 does.
    pub async fn kill(mut self) -> Result<()> {
        self.process.end(Signal::KILL, DRAINED_WITHIN).await.map(drop)
    }

    /// Asks it to drain and waits for its end.
    pub async fn stop(mut self) -> Result<ExitStatus> {
        self.process.end(Signal::TERM, DRAINED_WITHIN).await
    }

    /// Waits until the connector and all its tasks are RUNNING.
    pub async fn running(&self, connector: &str, limit: Duration) -> Result<()> {
        self.rest.running(connector, limit).await
    }
}

/// Starts `towpath log` on a data directory, and gives the address at which it listens for Kafka clients.
pub async fn towpath_log(data_dir: &Path, output: &Path) -> Result<(Process, String)> {
    let mut command = Command::new(towpath_binary()?);
    command.arg("log").arg(data_dir).args(["--kafka", "127.0.0.1:0"]);
    let mut process = Process::start("towpath log", &mut command, output)?;
    let file = data_dir.join("addresses.json");
    let deadline = Deadline::after(UP_WITHIN);
    loop {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let addresses: Value = serde_json::from_str(&text).unwrap_or_default();
        // What a process that was killed has left behind names another process.
        if addresses["pid"].as_u64() == Some(process.pid().into())
            && let Some(address) = addresses["kafka"].as_str()
        {
            return Ok((process, address.to_owned()));
        }
        process.must_run()?;
        if deadline.is_over() {
            bail!("towpath log wrote no addresses.json\n{}", process.last_output());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A client of a worker's REST interface.
#[derive(Clone, Debug)]
pub struct Rest {
    base: String,
    client: reqwest::Client,
}

impl Rest {
    /// A client of the interface at `base`, such as `http://127.0.0.1:8083`.
    pub fn new(base: impl Into<String>) -> Result<Self> {
        Ok(Self { base: base.into(), client: http_client()? })
    }

    fn from_addresses(text: &str) -> Option<Self> {
        let addresses: Value = serde_json::from_str(text).ok()?;
        let address = addresses.get("rest")?.as_str()?;
        Self::new(if address.starts_with("http") { address.to_owned() } else { format!("http://{address}") }).ok()
    }

    /// Where it is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// GET, which must succeed.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let (code, body) = self.send(Method::GET, path, None).await?;
        if code >= 300 { Err(anyhow!("GET {path} answered {code}: {body}")) } else { Ok(body) }
    }

    /// Waits until the connector and all its tasks are RUNNING.
    pub async fn running(&self, connector: &str, limit: Duration) -> Result<()> {
        eventually(&format!("{connector} RUNNING"), limit, || async {
            match self.states(connector).await? {
                (states, _) if states.len() > 1 && states.iter().all(|state| state == "RUNNING") => Ok(()),
                (_, status) => Err(anyhow!("its status is {status}")),
            }
        })
        .await
    }

    /// The states of a connector and of its tasks, and the whole status.
    pub async fn states(&self, connector: &str) -> Result<(Vec<String>, Value)> {
        let status = self.get(&format!("/connectors/{connector}/status")).await?;
        let tasks = status.get("tasks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let parts = status.get("connector").into_iter().chain(tasks);
        let states = parts.filter_map(|part| Some(part.get("state")?.as_str()?.to_owned())).collect();
        Ok((states, status))
    }

    /// PUT without a body, which must succeed.
    pub async fn put(&self, path: &str) -> Result<Value> {
        let (code, body) = self.send(Method::PUT, path, None).await?;
        if code >= 300 { Err(anyhow!("PUT {path} answered {code}: {body}")) } else { Ok(body) }
    }

    /// Any request; gives status and body, which is a string when it is no JSON.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base)).timeout(REQUEST_TIMEOUT);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.with_context(|| format!("{method} {path}"))?;
        let code = response.status().as_u16();
        let text = response.text().await?;
        Ok((code, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }
}

/// A client for loopback: requests without end are its caller's to stop.
pub fn http_client() -> Result<reqwest::Client> {
    http_client_that_trusts(Vec::new())
}

/// The same, which trusts these authorities as well.
pub fn http_client_that_trusts(authorities: Vec<reqwest::Certificate>) -> Result<reqwest::Client> {
    // A client asks for a provider of cryptography even when it never uses it; another may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().no_proxy().tls_certs_merge(authorities).build()?)
}

/// The program under test: `TOWPATH_BIN`, or `towpath` beside the folder of the running program.
pub fn towpath_binary() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("TOWPATH_BIN") {
        return Ok(PathBuf::from(named));
    }
    let own = std::env::current_exe()?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("towpath"))
        .find(|program| program.is_file())
        .ok_or_else(|| anyhow!("there is no towpath beside {}; run make build first", own.display()))
}
