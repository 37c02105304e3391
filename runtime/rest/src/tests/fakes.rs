//! Two plugins that move nothing: a source that is always idle and a sink that takes everything. The source's task fails when told to.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use towpath_model::{
    Batch, Checkpoint, Config, ConfigKey, ConnectorError, ConnectorKind, Encoding, Fault, Flushed, Importance,
    Interrupt, Plugin, Plugins, Polled, Position, Progress, Redactor, Sink, Source, Spec, TaskContext, TopicPartition,
    Transform, UnknownPlugin, ValueType, Width,
};

/// The plugins `fake-source` and `fake-sink`, both at version 1.2.0.
pub(crate) struct FakePlugins(Vec<Arc<dyn Plugin>>);

impl Default for FakePlugins {
    fn default() -> Self {
        let plugin = |kind, name: &str| -> Arc<dyn Plugin> { Arc::new(FakePlugin { spec: spec(kind, name) }) };
        Self(vec![plugin(ConnectorKind::Sink, "fake-sink"), plugin(ConnectorKind::Source, "fake-source")])
    }
}

impl Plugins for FakePlugins {
    fn all(&self) -> Vec<Arc<dyn Plugin>> {
        self.0.clone()
    }

    fn find(&self, class: &str) -> Result<Arc<dyn Plugin>, UnknownPlugin> {
        let fits = |plugin: &&Arc<dyn Plugin>| {
            let spec = plugin.spec();
            class == spec.name || class == format!("{}@{}", spec.name, spec.version)
        };
        self.0.iter().find(fits).cloned().ok_or_else(|| UnknownPlugin {
            class: class.to_owned(),
            available: vec!["fake-sink@1.2.0".to_owned(), "fake-source@1.2.0".to_owned()],
            suggestion: None,
        })
    }
}

fn spec(kind: ConnectorKind, name: &str) -> Spec {
    let key = |name: &str, value_type, default: Option<&str>, optional, secret| ConfigKey {
        name: name.to_owned(),
        value_type,
        default: default.map(str::to_owned),
        optional,
        importance: Importance::High,
        doc: format!("What {name} does."),
        group: Some("Fake".to_owned()),
        order: 1,
        width: Width::Short,
        display_name: name.to_owned(),
        dependents: Vec::new(),
        valid_values: Vec::new(),
        aliases: Vec::new(),
        secret,
        endpoint: None,
    };
    Spec {
        name: name.to_owned(),
        version: "1.2.0".to_owned(),
        kind,
        doc: "Moves nothing.".to_owned(),
        keys: vec![
            key("path", ValueType::String, None, false, false),
            key("rows", ValueType::Int, Some("100"), false, false),
            key("fail", ValueType::String, None, true, false),
            key("password", ValueType::Password, None, true, true),
        ],
        open_prefixes: Vec::new(),
        credentials: Vec::new(),
        capabilities: Vec::new(),
        accepts: vec![Encoding::Bytes, Encoding::Json],
        defines_transactions: false,
    }
}

struct FakePlugin {
    spec: Spec,
}

#[async_trait]
impl Plugin for FakePlugin {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn digest(&self) -> &'static str {
        "00ff"
    }

    async fn validate(&self, config: &Config, _: &Redactor, _: bool) -> Result<Vec<Fault>, ConnectorError> {
        let refuses = config.get("path") == Some("/refused");
        Ok(refuses.then(|| Fault::error("path", "nothing is there")).into_iter().collect())
    }

    async fn plan(&self, config: &Config, _: &Redactor, max_tasks: u32) -> Result<Vec<Config>, ConnectorError> {
        Ok(vec![config.clone(); max_tasks as usize])
    }

    async fn source(&self, context: TaskContext) -> Result<(Box<dyn Source>, Arc<dyn Interrupt>), ConnectorError> {
        let bell = Arc::new(Bell(Notify::new()));
        let fail = context.config.get("fail").map(str::to_owned);
        Ok((Box::new(IdleSource { bell: Arc::clone(&bell), fail }), bell))
    }

    async fn sink(&self, _: TaskContext) -> Result<(Box<dyn Sink>, Arc<dyn Interrupt>), ConnectorError> {
        Ok((Box::new(OpenSink::default()), Arc::new(Bell(Notify::new()))))
    }

    async fn transform(&self, _: TaskContext) -> Result<Box<dyn Transform>, ConnectorError> {
        Err(ConnectorError::fatal("no transform"))
    }
}

struct Bell(Notify);

impl Interrupt for Bell {
    fn raise(&self) {
        self.0.notify_one();
    }
}

struct IdleSource {
    bell: Arc<Bell>,
    fail: Option<String>,
}

#[async_trait]
impl Source for IdleSource {
    async fn open(&mut self, _: Vec<Checkpoint>) -> Result<(), ConnectorError> {
        match &self.fail {
            Some(reason) => Err(ConnectorError::fatal(reason.as_str())),
            None => Ok(()),
        }
    }

    async fn poll(&mut self, max_wait: Duration, _: u32, _: u32) -> Result<Polled, ConnectorError> {
        _ = tokio::time::timeout(max_wait, self.bell.0.notified()).await;
        Ok(Polled {
            records: Batch::default(),
            checkpoints: Vec::new(),
            progress: Progress::Idle,
            lag_ms: Some(0),
            lag_bytes: None,
            transaction_ends: Vec::new(),
        })
    }

    async fn commit(&mut self, _: &[Checkpoint]) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn keep_alive(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn close(&mut self) {}
}

#[derive(Default)]
struct OpenSink {
    taken: Vec<Position>,
}

#[async_trait]
impl Sink for OpenSink {
    async fn open(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn assigned(&mut self, _: &[Position]) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn revoked(&mut self, _: &[TopicPartition]) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn put(&mut self, _: &Batch) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn flush(&mut self, handed_over: &[Position]) -> Result<Flushed, ConnectorError> {
        self.taken = handed_over.to_vec();
        Ok(Flushed { offsets: handed_over.to_vec(), ..Flushed::default() })
    }

    async fn next_flush(&mut self) -> Result<Option<Duration>, ConnectorError> {
        Ok(None)
    }

    async fn close(&mut self) {}
}
