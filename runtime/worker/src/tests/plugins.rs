//! Connectors that follow a script and write down what they were asked.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use towpath_model::{
    Batch, BatchBuilder, Checkpoint, Config, ConfigKey, ConnectorError, ConnectorKind, Encoding, Fault, Flushed, Form,
    Importance, Interrupt, Plugin, Plugins, Polled, Position, Progress, RecordError, Redactor, Run, Sink, Source, Spec,
    TaskContext, TopicPartition, Transform, Transformed, UnknownPlugin, ValueType, Width,
};

/// What a source does at a poll.
pub(super) enum Poll {
    /// Records with these values for a topic; the position after them is the number.
    Records(&'static str, Vec<String>, u64),
    /// Only a position.
    Advance(u64),
    Fail(ConnectorError),
    /// Panics, as nothing behind the host should.
    Panic,
    /// Never answers and hears nothing.
    Hang,
    Finish,
}

/// What a sink does at a put.
pub(super) enum Put {
    Accept,
    /// Never answers.
    Hang,
    Fail(ConnectorError),
    /// These may pass another time.
    Down(Vec<bool>),
    /// Refuses the records with these values.
    Refuse(Vec<&'static str>, bool),
}

/// One connector's script and diary, shared by all its tasks.
#[derive(Default)]
pub(super) struct Script {
    pub(super) polls: Mutex<VecDeque<Poll>>,
    pub(super) puts: Mutex<VecDeque<Put>>,
    pub(super) opens: Mutex<VecDeque<ConnectorError>>,
    pub(super) assigns: Mutex<VecDeque<ConnectorError>>,
    pub(super) flushes: Mutex<VecDeque<Result<Flushed, ConnectorError>>>,
    /// A target that does not take records of these keys now, and those of others.
    pub(super) down: Mutex<HashSet<String>>,
    /// A sink that keeps what it was given until told otherwise.
    pub(super) buffers: Mutex<bool>,
    pub(super) diary: Mutex<Vec<String>>,
    pub(super) delivered: Mutex<Vec<String>>,
    pub(super) contexts: Mutex<Vec<TaskContext>>,
    pub(super) tasks: Mutex<Option<u32>>,
    news: Notify,
}

impl Script {
    pub(super) fn write(&self, line: impl Into<String>) {
        self.diary.lock().unwrap().push(line.into());
        self.news.notify_waiters();
    }

    pub(super) fn poll(&self, poll: Poll) {
        self.polls.lock().unwrap().push_back(poll);
        self.news.notify_waiters();
    }

    pub(super) fn diary(&self) -> Vec<String> {
        self.diary.lock().unwrap().clone()
    }

    pub(super) fn delivered(&self) -> Vec<String> {
        self.delivered.lock().unwrap().clone()
    }
}

pub(super) struct FakePlugin {
    pub(super) spec: Spec,
    pub(super) digest: String,
    pub(super) script: Arc<Script>,
}

/// The plugins `source` and `sink`.
pub(super) struct FakePlugins {
    pub(super) plugins: Mutex<Vec<Arc<FakePlugin>>>,
}

impl FakePlugins {
    pub(super) fn script(&self, class: &str) -> Arc<Script> {
        let plugins = self.plugins.lock().unwrap();
        plugins.iter().find(|plugin| plugin.spec.name == class).expect("a plugin").script.clone()
    }

    /// Another component under the same name.
    pub(super) fn replace(&self, class: &str, digest: &str, keys: Vec<ConfigKey>) {
        let mut plugins = self.plugins.lock().unwrap();
        for plugin in plugins.iter_mut().filter(|plugin| plugin.spec.name == class) {
            let mut spec = plugin.spec.clone();
            spec.keys.extend(keys.clone());
            *plugin = Arc::new(FakePlugin { spec, digest: digest.into(), script: plugin.script.clone() });
        }
    }

    pub(super) fn new() -> Arc<Self> {
        let plugin = |name: &str, kind| {
            let spec = Spec {
                name: name.into(),
                version: "1.0.0".into(),
                kind,
                doc: String::new(),
                keys: vec![key("fake.mode", false), key("fake.secret", true)],
                open_prefixes: vec!["fake.free.".into()],
                credentials: vec![],
                capabilities: vec![],
                accepts: vec![Encoding::Bytes],
                defines_transactions: true,
            };
            Arc::new(FakePlugin { spec, digest: format!("{name}-1"), script: Arc::default() })
        };
        let plugins = vec![
            plugin("sieve", ConnectorKind::Transform),
            plugin("sink", ConnectorKind::Sink),
            plugin("source", ConnectorKind::Source),
        ];
        Arc::new(Self { plugins: Mutex::new(plugins) })
    }
}

pub(super) fn key(name: &str, secret: bool) -> ConfigKey {
    ConfigKey {
        name: name.into(),
        value_type: ValueType::String,
        default: None,
        optional: true,
        importance: Importance::Low,
        doc: String::new(),
        group: None,
        order: -1,
        width: Width::None,
        display_name: name.into(),
        dependents: vec![],
        valid_values: vec![],
        aliases: vec![],
        secret,
        endpoint: None,
    }
}

impl Plugins for FakePlugins {
    fn all(&self) -> Vec<Arc<dyn Plugin>> {
        self.plugins.lock().unwrap().iter().map(|plugin| plugin.clone() as Arc<dyn Plugin>).collect()
    }

    fn find(&self, class: &str) -> Result<Arc<dyn Plugin>, UnknownPlugin> {
        let name = class.split('@').next().unwrap_or_default();
        let found = self.all().into_iter().find(|plugin| plugin.spec().name == name);
        let available = || vec!["sink@1.0.0".to_owned(), "source@1.0.0".to_owned()];
        found.ok_or_else(|| UnknownPlugin { class: class.into(), available: available(), suggestion: None })
    }
}

#[async_trait]
impl Plugin for FakePlugin {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn digest(&self) -> &str {
        &self.digest
    }

    async fn validate(&self, config: &Config, _: &Redactor, _: bool) -> Result<Vec<Fault>, ConnectorError> {
        let wrong = config.get("fake.mode") == Some("wrong");
        Ok(if wrong { vec![Fault::error("fake.mode", "this mode is wrong")] } else { vec![] })
    }

    async fn plan(&self, config: &Config, _: &Redactor, max_tasks: u32) -> Result<Vec<Config>, ConnectorError> {
        if config.get("fake.mode") == Some("slow") {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        let tasks = self.script.tasks.lock().unwrap().unwrap_or(max_tasks);
        self.script.write(format!("plan {tasks}"));
        Ok((0..tasks).map(|_| config.clone()).collect())
    }

    async fn alter_offsets(&self, _: &Config, _: &Redactor, offsets: &[Checkpoint]) -> Result<(), ConnectorError> {
        let refused =
            offsets.iter().any(|checkpoint| checkpoint.offset.as_ref().is_some_and(|it| it.contains("refuse")));
        if refused { Err(ConnectorError::config("offset", "no such place")) } else { Ok(()) }
    }

    async fn source(&self, context: TaskContext) -> Result<(Box<dyn Source>, Arc<dyn Interrupt>), ConnectorError> {
        let interrupt = Arc::new(Raised::default());
        self.script.contexts.lock().unwrap().push(context.clone());
        let source =
            FakeSource { script: self.script.clone(), interrupt: interrupt.clone(), name: context.task.to_string() };
        Ok((Box::new(source), interrupt))
    }

    async fn sink(&self, context: TaskContext) -> Result<(Box<dyn Sink>, Arc<dyn Interrupt>), ConnectorError> {
        self.script.contexts.lock().unwrap().push(context.clone());
        let sink = FakeSink { script: self.script.clone(), name: context.task.to_string(), unflushed: false };
        Ok((Box::new(sink), Arc::new(Raised::default())))
    }

    async fn transform(&self, _: TaskContext) -> Result<Box<dyn Transform>, ConnectorError> {
        Ok(Box::new(Sieve { script: self.script.clone() }))
    }
}

/// Drops the records whose value ends in `drop`.
struct Sieve {
    script: Arc<Script>,
}

#[async_trait]
impl Transform for Sieve {
    async fn apply(&mut self, records: &Batch) -> Result<Transformed, ConnectorError> {
        if let Some(error) = self.script.opens.lock().unwrap().pop_front() {
            return Err(error);
        }
        let keep =
            |record: &towpath_model::Record<'_>| !record.value.bytes.is_some_and(|value| value.ends_with(b"drop"));
        let origins: Vec<u32> =
            records.records().filter(keep).map(|record| u32::try_from(record.index).unwrap()).collect();
        Ok(Transformed { records: crate::batch::select(records, &origins), origins })
    }
}

#[derive(Default)]
struct Raised(Notify);

impl Interrupt for Raised {
    fn raise(&self) {
        self.0.notify_one();
    }
}

struct FakeSource {
    script: Arc<Script>,
    interrupt: Arc<Raised>,
    name: String,
}

pub(super) fn position(offset: u64) -> Checkpoint {
    Checkpoint { partition: r#"{"server":"fake"}"#.into(), offset: Some(format!(r#"{{"lsn":{offset}}}"#)) }
}

#[async_trait]
impl Source for FakeSource {
    async fn open(&mut self, offsets: Vec<Checkpoint>) -> Result<(), ConnectorError> {
        if let Some(error) = self.script.opens.lock().unwrap().pop_front() {
            return Err(error);
        }
        let offsets: Vec<_> = offsets.into_iter().filter_map(|checkpoint| checkpoint.offset).collect();
        self.script.write(format!("open {} at {}", self.name, offsets.join(",")));
        Ok(())
    }

    async fn poll(&mut self, max_wait: Duration, _: u32, _: u32) -> Result<Polled, ConnectorError> {
        let until = tokio::time::Instant::now() + max_wait;
        loop {
            let news = self.script.news.notified();
            let next = self.script.polls.lock().unwrap().pop_front();
            match next {
                Some(Poll::Records(topic, values, offset)) => {
                    return Ok(polled(records(topic, &values), Some(offset), Progress::More));
                }
                Some(Poll::Advance(offset)) => return Ok(polled(Batch::default(), Some(offset), Progress::Idle)),
                Some(Poll::Fail(error)) => return Err(error),
                Some(Poll::Hang) => std::future::pending().await,
                Some(Poll::Panic) => panic!("a scripted panic"),
                Some(Poll::Finish) => return Ok(polled(Batch::default(), None, Progress::Finished)),
                None => {}
            }
            tokio::select! {
                () = news => {}
                () = self.interrupt.0.notified() => {
                    self.script.write("interrupted");
                    return Ok(polled(Batch::default(), None, Progress::Idle));
                }
                () = tokio::time::sleep_until(until) => return Ok(polled(Batch::default(), None, Progress::Idle)),
            }
        }
    }

    async fn commit(&mut self, offsets: &[Checkpoint]) -> Result<(), ConnectorError> {
        let offsets: Vec<_> = offsets.iter().filter_map(|checkpoint| checkpoint.offset.as_deref()).collect();
        self.script.write(format!("commit {}", offsets.join(",")));
        Ok(())
    }

    async fn keep_alive(&mut self) -> Result<(), ConnectorError> {
        self.script.write("keep alive");
        Ok(())
    }

    async fn close(&mut self) {
        self.script.write(format!("close {}", self.name));
    }
}

fn polled(records: Batch, offset: Option<u64>, progress: Progress) -> Polled {
    let checkpoints = offset.map(position).into_iter().collect();
    Polled { records, checkpoints, progress, lag_ms: None, lag_bytes: None, transaction_ends: vec![] }
}

/// Records whose key is the text before the first `:` of the value.
pub(super) fn records(topic: &str, values: &[String]) -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic(topic);
    builder.run(Run { records: 0, topic, origin: topic, partition: -1, key: Form::BYTES, value: Form::BYTES });
    for value in values {
        builder.key(value.split(':').next().map(str::as_bytes));
        builder.value(Some(value.as_bytes()));
        builder.end(Some(1), None);
    }
    builder.build()
}

struct FakeSink {
    script: Arc<Script>,
    name: String,
    unflushed: bool,
}

#[async_trait]
impl Sink for FakeSink {
    async fn open(&mut self) -> Result<(), ConnectorError> {
        if let Some(error) = self.script.opens.lock().unwrap().pop_front() {
            return Err(error);
        }
        self.script.write(format!("open {}", self.name));
        Ok(())
    }

    async fn assigned(&mut self, positions: &[Position]) -> Result<(), ConnectorError> {
        if let Some(error) = self.script.assigns.lock().unwrap().pop_front() {
            return Err(error);
        }
        for at in positions {
            let metadata = if at.metadata.is_empty() { String::new() } else { format!(" {}", at.metadata) };
            self.script.write(format!("assigned {}-{} at {}{metadata}", at.topic, at.partition, at.offset));
        }
        Ok(())
    }

    async fn revoked(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectorError> {
        partitions.iter().for_each(|partition| self.script.write(format!("revoked {partition}")));
        Ok(())
    }

    async fn put(&mut self, records: &Batch) -> Result<(), ConnectorError> {
        let values: Vec<String> = records
            .records()
            .map(|record| String::from_utf8_lossy(record.value.bytes.unwrap_or(b"null")).into_owned())
            .collect();
        let keys: Vec<_> = records.records().map(|record| record.key.bytes.map(String::from_utf8_lossy)).collect();
        let is_down = |key: &Option<Cow<'_, str>>| {
            key.as_ref().is_some_and(|key| self.script.down.lock().unwrap().contains(key.as_ref()))
        };
        let down: Vec<bool> = keys.iter().map(is_down).collect();
        let put = match self.script.puts.lock().unwrap().pop_front() {
            Some(put) => put,
            None if down.iter().all(|down| *down) => Put::Fail(ConnectorError::retriable("503")),
            None if down.contains(&true) => Put::Down(down),
            None => Put::Accept,
        };
        let deliver = |values: &[String]| self.script.delivered.lock().unwrap().extend(values.iter().cloned());
        let answer = match put {
            Put::Accept => {
                deliver(&values);
                Ok(())
            }
            Put::Hang => std::future::pending().await,
            Put::Fail(error) => Err(error),
            Put::Down(down) => {
                let accepted = values.iter().zip(&down).filter(|(_, down)| !**down);
                deliver(&accepted.map(|(value, _)| value.clone()).collect::<Vec<_>>());
                let failed = (0u32..).zip(&down).filter(|(_, down)| **down);
                let failed = failed.map(|(index, _)| RecordError {
                    index,
                    code: "http.status".into(),
                    reason: "503".into(),
                    retriable: true,
                });
                Err(ConnectorError::Records(failed.collect()))
            }
            Put::Refuse(refused, retriable) => {
                let is_refused = |value: &String| refused.contains(&value.as_str());
                deliver(&values.iter().filter(|value| !is_refused(value)).cloned().collect::<Vec<_>>());
                let refused = (0u32..).zip(&values).filter(|(_, value)| is_refused(value)).map(|(index, value)| {
                    RecordError { index, code: "http.status".into(), reason: format!("503 for {value}"), retriable }
                });
                Err(ConnectorError::Records(refused.collect()))
            }
        };
        self.script.write(format!("put {}", values.join(" ")));
        self.unflushed = true;
        answer
    }

    async fn flush(&mut self, handed_over: &[Position]) -> Result<Flushed, ConnectorError> {
        self.unflushed = false;
        if let Some(flushed) = self.script.flushes.lock().unwrap().pop_front() {
            return flushed;
        }
        let offsets = if *self.script.buffers.lock().unwrap() { vec![] } else { handed_over.to_vec() };
        Ok(Flushed { offsets, ..Flushed::default() })
    }

    async fn next_flush(&mut self) -> Result<Option<Duration>, ConnectorError> {
        Ok((self.unflushed && !*self.script.buffers.lock().unwrap()).then_some(Duration::ZERO))
    }

    async fn close(&mut self) {
        self.script.write(format!("close {}", self.name));
    }
}
