//! A host with the misbehaving component, and small servers on free ports.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use towpath_host::{Host, HostConfig, Limits};
use towpath_model::{
    Config, ConnectorError, ConnectorName, Interrupt, Metric, Plugin, Plugins, Source, SystemClock, TaskContext,
    TaskId, Telemetry,
};

/// The component that misbehaves.
pub fn component() -> PathBuf {
    built("towpath-test-guests")
}

/// The component of a package, wherever the build put it.
///
/// # Panics
/// With the command to run when it is not there.
pub fn built(package: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a test has a path");
    let target = own.ancestors().nth(3).expect("tests are built into <target>/<profile>/deps");
    let folder = target.join("wasm32-wasip2/release");
    let path = folder.join(format!("{}.wasm", package.replace('-', "_")));
    assert!(
        path.exists(),
        "{} is missing; run: cargo build --release --target wasm32-wasip2 -p {package}",
        path.display()
    );
    path
}

/// Limits that a test reaches soon.
pub fn limits() -> Limits {
    Limits {
        memory_bytes_max: 32 << 20,
        compute_max: Duration::from_millis(300),
        call_max: Duration::from_secs(10),
        scratch_bytes_max: 1 << 20,
        ..Limits::default()
    }
}

/// A host in a folder of its own, with the component in its plugins folder.
pub struct Bench {
    pub folder: TempDir,
    pub host: Arc<Host>,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("plugins")).expect("made");
        std::fs::copy(component(), folder.path().join("plugins/misbehaving.wasm")).expect("copied");
        let host = host(folder.path());
        Self { folder, host }
    }

    /// A task with these settings, open.
    pub async fn task(&self, settings: &[(&str, &str)]) -> Task {
        let plugin = self.host.find("misbehaving").expect("the plugin is there");
        Task::start(&*plugin, settings).await
    }
}

pub fn host(folder: &Path) -> Arc<Host> {
    let config = HostConfig {
        embedded: Vec::new(),
        plugins_dir: Some(folder.join("plugins")),
        pipelines_dir: folder.to_owned(),
        cache_dir: cache_dir(),
        scratch_dir: folder.join("scratch"),
        limits: limits(),
        allow_link_local: false,
        compiler: None,
    };
    Host::new(config, Arc::new(SystemClock::default())).expect("the host starts")
}

/// One cache for all tests of a build, so that the component is compiled once.
fn cache_dir() -> PathBuf {
    component().with_file_name("test-code-cache")
}

/// A running task.
pub struct Task {
    pub source: Box<dyn Source>,
    pub interrupt: Arc<dyn Interrupt>,
    pub telemetry: Arc<Recorder>,
}

impl Task {
    pub async fn start(plugin: &dyn Plugin, settings: &[(&str, &str)]) -> Self {
        let telemetry = Arc::new(Recorder::default());
        let context = TaskContext {
            task: TaskId { connector: ConnectorName::new("test"), task: 0 },
            config: settings.iter().copied().collect::<Config>(),
            redactor: towpath_model::Redactor::default(),
            run_id: "run".into(),
            epoch: 1,
            buffer_bytes_max: 1 << 20,
            telemetry: telemetry.clone(),
        };
        let (mut source, interrupt) = plugin.source(context).await.expect("a task");
        source.open(Vec::new()).await.expect("it opens");
        Self { source, interrupt, telemetry }
    }

    /// What the component says came of its mode.
    pub async fn say(&mut self) -> Result<String, ConnectorError> {
        let polled = self.source.poll(Duration::from_secs(60), 100, 1 << 20).await?;
        let record = polled.records.records().next().expect("one record");
        Ok(String::from_utf8_lossy(record.value.bytes.unwrap_or_default()).into_owned())
    }

    /// What it says when it is expected to say something.
    pub async fn said(&mut self) -> String {
        self.say().await.expect("an answer")
    }
}

/// Remembers what a task reported.
#[derive(Default)]
pub struct Recorder {
    pub metrics: Mutex<Vec<Metric>>,
    pub usage: Mutex<(u64, Duration)>,
}

impl Telemetry for Recorder {
    fn metrics(&self, metrics: Vec<Metric>) {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner).extend(metrics);
    }

    fn request_reconfiguration(&self, _reason: String) {}

    fn usage(&self, memory_bytes: u64, busy: Duration) {
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner) = (memory_bytes, busy);
    }
}

/// Answers every request with what `answer` makes of its path and head; gives the server's URL.
pub async fn http(answer: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move { serve(stream, &*answer).await });
        }
    });
    url
}

async fn serve(stream: TcpStream, answer: &(dyn Fn(&str, &str) -> String + Send + Sync)) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let path = head.split(' ').nth(1).unwrap_or_default();
        stream.write_all(answer(path, &head).as_bytes()).await?;
    }
}

/// An answer with this status line and body.
pub fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}
