//! A source that misbehaves on demand, for the tests of the host: the configuration key `mode` chooses how.
//!
//! What it is allowed is told by records: each poll answers with one record whose value says what came of it. The exports are
//! written out instead of made by the SDK's macro, because one mode breaks an answer that the SDK cannot express.

mod reach;

use std::time::Duration;

use towpath_sdk::model::{
    BatchBuilder, Capability, Checkpoint, ConnectorError, ConnectorKind, Form, Polled, Progress, Reading, Run, Spec,
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

    fn open(context: Context, _offsets: Vec<Checkpoint>) -> Result<Self, ConnectorError> {
        Ok(Self { context })
    }

    fn poll(&mut self, max_wait: Duration, _max_records: u32, _max_bytes: u32) -> Result<Polled, ConnectorError> {
        let secret = self.setting("password");
        let said = match self.setting("mode").as_str() {
            "ok" | "garbage-lengths" => "ok".into(),
            "panic" => panic!("no such table, said {secret}"),
            "loop" => spin(),
            "hoard" => hoard(),
            "stack-overflow" => dig(0).to_string(),
            "exit" => std::process::exit(3),
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
        Ok(say(&said))
    }

    fn commit(&mut self, _offsets: &[Checkpoint]) -> Result<(), ConnectorError> {
        Ok(())
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

fn spin() -> String {
    let mut turns = 0u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

fn hoard() -> String {
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        held.push(std::hint::black_box(vec![1; 1 << 20]));
    }
}

fn dig(depth: u64) -> u64 {
    let deeper = std::hint::black_box(depth).wrapping_add(1);
    if deeper == 0 { 0 } else { dig(deeper).wrapping_add(std::hint::black_box(1)) }
}

#[cfg(target_family = "wasm")]
mod component;
