//! A source that misbehaves on demand, for the tests of the host: the configuration key `mode` chooses how.
//!
//! What it is allowed is told by records: each poll answers with one record whose value says what came of it. The exports are
//! written out instead of made by the SDK's macro, because some modes spoil answers in ways that the SDK cannot express. With the
//! key `insist`, what it is refused ends the task instead. `examples/` holds its like: a sink, a transform, one without an end.

mod deeds;
#[cfg(target_family = "wasm")]
mod lies;
mod reach;

use std::time::Duration;

use deeds::strike;
use towpath_sdk::model::{
    BatchBuilder, Capability, Checkpoint, Config, ConnectorError, ConnectorKind, Fault, Form, Polled, Progress,
    Reading, Run, Spec,
};
use towpath_sdk::streams::Waited;
use towpath_sdk::{Context, Source, key, log, metrics, spec, streams};

/// The source.
#[derive(Debug)]
pub struct Misbehaving {
    context: Context,
}

impl Source for Misbehaving {
    fn spec() -> Spec {
        spec("misbehaving", env!("CARGO_PKG_VERSION"), ConnectorKind::Source)
            .doc("Misbehaves on demand.")
            .key(key("mode").doc("What to do at a poll."))
            .key(key("http.url").optional().url_endpoint().doc("Where requests may go."))
            .key(key("hostname").optional().host_endpoint("port", 1).doc("Where streams may go."))
            .key(key("port").int().optional().doc("The port of `hostname`."))
            .key(key("store.url").optional().store_endpoint().doc("The store to use."))
            .key(key("target").optional().doc("A URL that is not among the endpoints."))
            .key(key("insist").optional().doc("Whether what is refused ends the task."))
            .key(key("tls.roots").optional().doc("The path of the authorities for TLS."))
            .key(key("password").password().optional().doc("A secret that the component may know."))
            .key(key("token").password().optional().doc("A secret that only the host uses."))
            .credential("token", towpath_sdk::model::Scheme::Bearer { token_key: "token".into() })
            .uses(Capability::Http)
            .uses(Capability::Streams)
            .uses(Capability::ObjectStore)
            .uses(Capability::Scratch)
            .build()
    }

    fn validate(config: &Config, _connect: bool) -> Result<Vec<Fault>, ConnectorError> {
        strike(config, "validate")?;
        Ok(Vec::new())
    }

    fn plan(config: &Config, max_tasks: u32) -> Result<Vec<Config>, ConnectorError> {
        strike(config, "plan")?;
        match config.get("mode") {
            Some("plan-many") => Ok(vec![config.clone(); max_tasks as usize + 1]),
            Some("plan-none") => Ok(Vec::new()),
            _ => Ok(vec![config.clone()]),
        }
    }

    fn open(context: Context, _offsets: Vec<Checkpoint>) -> Result<Self, ConnectorError> {
        strike(&context.config, "open")?;
        Ok(Self { context })
    }

    fn poll(&mut self, max_wait: Duration, _max_records: u32, _max_bytes: u32) -> Result<Polled, ConnectorError> {
        strike(&self.context.config, "poll")?;
        let secret = self.setting("password");
        let said = match self.setting("mode").as_str() {
            "ok" => "ok".into(),
            "tick" => tick(max_wait),
            "hasty" => return Ok(nothing(Progress::More)),
            "hasty-idle" => return Ok(nothing(Progress::Idle)),
            mode if mode.contains('@') || mode.starts_with("lie-") => "done".into(),
            "error" => return Err(ConnectorError::fatal(format!("refused by {secret}"))),
            "batch" => return Ok(batch()),
            "config" => self.context.config.iter().map(|(key, _)| key).collect::<Vec<_>>().join(","),
            "log" => {
                log::warn(format!("logging in with {secret}"));
                metrics::record_all([("polls", Reading::Counter(1))]);
                "logged".into()
            }
            "wait" => match streams::wait(&[], max_wait) {
                Waited::Interrupted => "interrupted".into(),
                Waited::Timeout => "timeout".into(),
                Waited::Ready(_) => "ready".into(),
            },
            mode => reach::reach(mode, &self.context.config),
        };
        if self.context.config.get("insist").is_some() {
            return Err(ConnectorError::fatal(said));
        }
        let mut polled = say(&said);
        // With a position, so that there is something to commit.
        polled.checkpoints.push(Checkpoint { partition: r#"{"p":0}"#.into(), offset: Some(r#"{"o":0}"#.into()) });
        polled.progress = if self.setting("mode").contains('@') { Progress::Finished } else { Progress::More };
        Ok(polled)
    }

    fn commit(&mut self, _offsets: &[Checkpoint]) -> Result<(), ConnectorError> {
        strike(&self.context.config, "commit")
    }

    fn keep_alive(&mut self) -> Result<(), ConnectorError> {
        strike(&self.context.config, "keep-alive")
    }

    fn close(self) {
        strike(&self.context.config, "close").expect("a deed that is no error");
    }
}

impl Misbehaving {
    fn setting(&self, key: &str) -> String {
        self.context.config.get(key).unwrap_or_default().to_owned()
    }
}

/// One record with this text.
fn say(text: &str) -> Polled {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("said");
    builder.run(Run { records: 0, topic, origin: topic, partition: -1, key: Form::BYTES, value: Form::BYTES });
    builder.key(None);
    builder.value(Some(text.as_bytes()));
    builder.end(None, None);
    let records = builder.build();
    let (checkpoints, transaction_ends) = (Vec::new(), Vec::new());
    Polled { records, checkpoints, progress: Progress::More, lag_ms: None, lag_bytes: None, transaction_ends }
}

/// A thousand records of the size that the benchmark of the boundary speaks of.
fn batch() -> Polled {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("batch");
    builder.run(Run { records: 0, topic, origin: topic, partition: -1, key: Form::BYTES, value: Form::BYTES });
    for _ in 0..1_000 {
        builder.key(Some(&[b'k'; 16]));
        builder.value(Some(&[b'v'; 200]));
        builder.end(Some(1), None);
    }
    let records = builder.build();
    let (checkpoints, transaction_ends) = (Vec::new(), Vec::new());
    Polled { records, checkpoints, progress: Progress::More, lag_ms: None, lag_bytes: None, transaction_ends }
}

/// Nothing at all, at once.
fn nothing(progress: Progress) -> Polled {
    let (records, checkpoints, transaction_ends) = (BatchBuilder::default().build(), Vec::new(), Vec::new());
    Polled { records, checkpoints, progress, lag_ms: None, lag_bytes: None, transaction_ends }
}

/// A well-behaved little source: a tick now and then.
fn tick(max_wait: Duration) -> String {
    streams::wait(&[], max_wait.min(Duration::from_millis(20)));
    "tick".into()
}

#[cfg(target_family = "wasm")]
mod component;
