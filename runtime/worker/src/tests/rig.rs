//! A worker that runs, with everything around it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use towpath_model::{Clock, Config, ConnectorName, TargetState};

use super::log::FakeLog;
use super::plugins::{FakePlugins, Script};
use crate::{ConnectorStatus, Handle, Result, Worker, WorkerConfig};

const BYTES: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";
/// On the paused clock this is over soon.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Tokio's clock, which stands still while it is paused and somebody works.
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now_ms(&self) -> i64 {
        1_000_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

pub(super) struct Rig {
    pub(super) log: Arc<FakeLog>,
    pub(super) plugins: Arc<FakePlugins>,
    pub(super) handle: Handle,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) config: WorkerConfig,
    shutdown: watch::Sender<bool>,
    worker: Option<JoinHandle<Result<()>>>,
}

pub(super) fn name(name: &str) -> ConnectorName {
    ConnectorName::new(name)
}

pub(super) fn config(class: &str, settings: &[(&str, &str)]) -> Config {
    let common = [("connector.class", class), ("key.converter", BYTES), ("value.converter", BYTES)];
    let topics =
        (class == "sink" && !settings.iter().any(|(key, _)| key.starts_with("topics"))).then_some(("topics", "t"));
    common.into_iter().chain(topics).chain(settings.iter().copied()).collect()
}

impl Rig {
    pub(super) async fn new() -> Self {
        Self::with(WorkerConfig::default()).await
    }

    pub(super) async fn with(config: WorkerConfig) -> Self {
        let clock = Arc::new(TokioClock(Instant::now()));
        Self::start(FakeLog::new(), FakePlugins::new(), clock, config).await
    }

    async fn start(log: Arc<FakeLog>, plugins: Arc<FakePlugins>, clock: Arc<dyn Clock>, config: WorkerConfig) -> Self {
        let worker = Worker::new(config.clone(), log.clone(), plugins.clone(), clock.clone(), 7);
        let handle = worker.handle();
        let (shutdown, stop) = watch::channel(false);
        let worker = Some(tokio::spawn(worker.run(stop)));
        handle.ready().wait_for(|ready| *ready).await.expect("the worker starts");
        Self { log, plugins, handle, clock, config, shutdown, worker }
    }

    /// Stops the worker in an orderly way.
    pub(super) async fn stop(&mut self) {
        self.shutdown.send_replace(true);
        if let Some(worker) = self.worker.take() {
            worker.await.expect("no panic").expect("an orderly end");
        }
    }

    /// Ends the worker as a kill -9 does, and starts another on the same log.
    pub(super) async fn crash(mut self) -> Self {
        if let Some(worker) = self.worker.take() {
            worker.abort();
            assert!(worker.await.is_err(), "the worker was under way");
        }
        Self::start(self.log, self.plugins, self.clock, self.config).await
    }

    /// Stops the worker and starts another on the same log.
    pub(super) async fn restart(mut self) -> Self {
        self.stop().await;
        Self::start(self.log, self.plugins, self.clock, self.config).await
    }

    pub(super) async fn create(&self, connector: &str, class: &str, settings: &[(&str, &str)]) {
        let created = self.handle.create(name(connector), config(class, settings), TargetState::Started).await;
        created.expect("a sound configuration");
    }

    pub(super) fn source(&self) -> Arc<Script> {
        self.plugins.script("source")
    }

    pub(super) fn sink(&self) -> Arc<Script> {
        self.plugins.script("sink")
    }

    pub(super) fn status(&self, connector: &str) -> ConnectorStatus {
        self.handle.status(&name(connector)).expect("a status")
    }

    /// Waits until something holds, looking whenever a little time has passed.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            assert!(
                began.elapsed() < PATIENCE,
                "never: {what}\ndiaries: {:#?}\n{:#?}\nstatus: {:#?}",
                self.source().diary(),
                self.sink().diary(),
                self.handle.statuses()
            );
            let step = if began.elapsed() < Duration::from_secs(5) { 5 } else { 250 };
            tokio::time::sleep(Duration::from_millis(step)).await;
        }
    }

    /// Waits for a line in a diary.
    pub(super) async fn until_written(&self, script: &Script, line: &str) {
        self.until(&format!("{line:?} in the diary"), |_| script.diary().iter().any(|written| written == line)).await;
    }
}
