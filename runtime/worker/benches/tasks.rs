//! How many records a second pass through a source task and through a sink task, with connectors that cost nothing, over the
//! embedded log on a real disk. Prints two numbers; run it with `cargo bench -p towpath-worker`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use towpath_log::{Embedded, LogConfig, OsVfs};
use towpath_model::{
    Batch, BatchBuilder, Checkpoint, Clock, Config, ConnectorError, ConnectorKind, ConnectorName, Encoding, Fault,
    Flushed, Form, Interrupt, Plugin, Plugins, Polled, Position, Progress, Redactor, Run, Sink, Source, Spec,
    SystemClock, TargetState, TaskContext, TopicPartition, Transform, UnknownPlugin,
};
use towpath_worker::{Worker, WorkerConfig};

const RECORDS: u64 = 2_000_000;
const BATCH: u64 = 4_000;
const VALUE_BYTES: usize = 180;

struct Free {
    spec: Spec,
    batch: Batch,
    delivered: Arc<AtomicU64>,
}

struct FreePlugins(Vec<Arc<Free>>);

impl Plugins for FreePlugins {
    fn all(&self) -> Vec<Arc<dyn Plugin>> {
        self.0.iter().map(|plugin| plugin.clone() as Arc<dyn Plugin>).collect()
    }

    fn find(&self, class: &str) -> Result<Arc<dyn Plugin>, UnknownPlugin> {
        let found = self.all().into_iter().find(|plugin| plugin.spec().name == class);
        found.ok_or_else(|| UnknownPlugin { class: class.into(), available: vec![], suggestion: None })
    }
}

struct Never;

impl Interrupt for Never {
    fn raise(&self) {}
}

#[async_trait]
impl Plugin for Free {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn digest(&self) -> &str {
        "free"
    }

    async fn validate(&self, _: &Config, _: &Redactor, _: bool) -> Result<Vec<Fault>, ConnectorError> {
        Ok(vec![])
    }

    async fn plan(&self, config: &Config, _: &Redactor, _: u32) -> Result<Vec<Config>, ConnectorError> {
        Ok(vec![config.clone()])
    }

    async fn source(&self, _: TaskContext) -> Result<(Box<dyn Source>, Arc<dyn Interrupt>), ConnectorError> {
        Ok((Box::new(FreeSource { batch: self.batch.clone(), given: 0 }), Arc::new(Never)))
    }

    async fn sink(&self, _: TaskContext) -> Result<(Box<dyn Sink>, Arc<dyn Interrupt>), ConnectorError> {
        Ok((Box::new(FreeSink(self.delivered.clone())), Arc::new(Never)))
    }

    async fn transform(&self, _: TaskContext) -> Result<Box<dyn Transform>, ConnectorError> {
        Err(ConnectorError::fatal("there are no transforms here"))
    }
}

struct FreeSource {
    batch: Batch,
    given: u64,
}

#[async_trait]
impl Source for FreeSource {
    async fn open(&mut self, _: Vec<Checkpoint>) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn poll(&mut self, _: Duration, _: u32, _: u32) -> Result<Polled, ConnectorError> {
        self.given += BATCH;
        let progress = if self.given >= RECORDS { Progress::Finished } else { Progress::More };
        let offset = Some(format!(r#"{{"n":{}}}"#, self.given));
        let checkpoints = vec![Checkpoint { partition: r#"{"p":1}"#.into(), offset }];
        let records = self.batch.clone();
        Ok(Polled { records, checkpoints, progress, lag_ms: None, lag_bytes: None, transaction_ends: vec![] })
    }

    async fn commit(&mut self, _: &[Checkpoint]) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn keep_alive(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn close(&mut self) {}
}

struct FreeSink(Arc<AtomicU64>);

#[async_trait]
impl Sink for FreeSink {
    async fn open(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn assigned(&mut self, _: &[Position]) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn revoked(&mut self, _: &[TopicPartition]) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn put(&mut self, records: &Batch) -> Result<(), ConnectorError> {
        self.0.fetch_add(records.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    async fn flush(&mut self, handed_over: &[Position]) -> Result<Flushed, ConnectorError> {
        Ok(Flushed { offsets: handed_over.to_vec(), ..Flushed::default() })
    }

    async fn next_flush(&mut self) -> Result<Option<Duration>, ConnectorError> {
        Ok(None)
    }

    async fn close(&mut self) {}
}

fn plugins(delivered: &Arc<AtomicU64>) -> Arc<FreePlugins> {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("bench");
    builder.run(Run { records: 0, topic, origin: topic, partition: -1, key: Form::JSON, value: Form::JSON });
    for number in 0..BATCH {
        builder.key(Some(format!(r#"{{"id":{number}}}"#).as_bytes()));
        builder.value(Some(format!(r#"{{"id":{number},"text":"{}"}}"#, "x".repeat(VALUE_BYTES)).as_bytes()));
        builder.end(Some(1_700_000_000_000), None);
    }
    let batch = builder.build();
    let plugin = |name: &str, kind, accepts| {
        let spec = Spec {
            name: name.into(),
            version: "1.0.0".into(),
            kind,
            doc: String::new(),
            keys: vec![],
            open_prefixes: vec![],
            credentials: vec![],
            capabilities: vec![],
            accepts,
        };
        Arc::new(Free { spec, batch: batch.clone(), delivered: delivered.clone() })
    };
    Arc::new(FreePlugins(vec![
        plugin("sink", ConnectorKind::Sink, vec![Encoding::Bytes, Encoding::Json]),
        plugin("source", ConnectorKind::Source, vec![]),
    ]))
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(run());
}

async fn run() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(SystemClock::default());
    let log = Embedded::open(LogConfig::new(dir.path()), Arc::new(OsVfs), clock.clone(), 1).expect("a log");
    let log = Arc::new(log);
    let delivered = Arc::new(AtomicU64::new(0));
    let worker = Worker::new(WorkerConfig::default(), log, plugins(&delivered), clock.clone(), 1);
    let handle = worker.handle();
    let (shutdown, stop) = watch::channel(false);
    let worker = tokio::spawn(worker.run(stop));
    handle.ready().wait_for(|ready| *ready).await.expect("the worker starts");

    let create = |name: &'static str, settings: &'static [(&'static str, &'static str)]| {
        let config: Config = settings.iter().copied().collect();
        handle.create(ConnectorName::new(name), config, TargetState::Started)
    };
    let began = clock.monotonic();
    create("in", &[("connector.class", "source")]).await.expect("sound");
    let source = ConnectorName::new("in");
    let written = || handle.status(&source).expect("known").tasks.first().map_or(0, |task| task.metrics.records_total);
    while written() < RECORDS {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    report("source task", clock.monotonic().saturating_sub(began));

    let began = clock.monotonic();
    create("out", &[("connector.class", "sink"), ("topics", "bench")]).await.expect("sound");
    while delivered.load(Ordering::Relaxed) < RECORDS {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    report("sink task", clock.monotonic().saturating_sub(began));
    shutdown.send_replace(true);
    worker.await.expect("no panic").expect("an orderly end");
}

fn report(what: &str, took: Duration) {
    println!("{what}: {:.0} records/s", RECORDS as f64 / took.as_secs_f64());
}
