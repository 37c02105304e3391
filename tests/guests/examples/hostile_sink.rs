//! A sink that misbehaves on demand: in the call that `mode` names, or by what it answers.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "natively nothing is exported"))]

#[path = "../src/deeds.rs"]
mod deeds;

use std::cell::Cell;
use std::time::Duration;

use towpath_sdk::model::{
    Batch, Capability, Config, ConnectorError, ConnectorKind, Fault, Flushed, LateError, Position, RecordError, Spec,
    TopicPartition,
};
use towpath_sdk::{Context, Sink, key, spec};

use deeds::strike;

struct Hostile {
    config: Config,
    /// Calls of `next_flush`, which cannot fail.
    asked: Cell<u32>,
}

impl Hostile {
    fn is(&self, mode: &str) -> bool {
        self.config.get("mode") == Some(mode)
    }
}

impl Sink for Hostile {
    fn spec() -> Spec {
        spec("hostile-sink", env!("CARGO_PKG_VERSION"), ConnectorKind::Sink)
            .doc("Misbehaves on demand.")
            .key(key("mode").doc("What to do, and in which call."))
            .key(key("password").password().optional().doc("A secret that the component may know."))
            .uses(Capability::Scratch)
            .uses(Capability::Streams)
            .build()
    }

    fn validate(config: &Config, _connect: bool) -> Result<Vec<Fault>, ConnectorError> {
        strike(config, "validate")?;
        Ok(Vec::new())
    }

    fn plan(config: &Config, _max_tasks: u32) -> Result<Vec<Config>, ConnectorError> {
        strike(config, "plan")?;
        Ok(vec![config.clone()])
    }

    fn open(context: Context) -> Result<Self, ConnectorError> {
        strike(&context.config, "open")?;
        Ok(Self { config: context.config, asked: Cell::new(0) })
    }

    fn assigned(&mut self, _positions: &[Position]) -> Result<(), ConnectorError> {
        strike(&self.config, "assigned")
    }

    fn revoked(&mut self, _partitions: &[TopicPartition]) -> Result<(), ConnectorError> {
        strike(&self.config, "revoked")
    }

    fn put(&mut self, records: Batch) -> Result<(), ConnectorError> {
        strike(&self.config, "put")?;
        let refuse = |index| RecordError {
            index,
            code: "no code at all\n".into(),
            reason: "r".repeat(1 << 20),
            retriable: false,
        };
        match self.config.get("mode").unwrap_or_default() {
            "refuse-others" => Err(ConnectorError::Records(vec![refuse(u32::MAX)])),
            "refuse-twice" => Err(ConnectorError::Records(vec![refuse(0), refuse(0)])),
            "refuse-none" => Err(ConnectorError::Records(Vec::new())),
            "refuse-loudly" if !records.is_empty() => Err(ConnectorError::Records(vec![refuse(0)])),
            _ => Ok(()),
        }
    }

    fn flush(&mut self, handed_over: &[Position]) -> Result<Flushed, ConnectorError> {
        strike(&self.config, "flush")?;
        let mut flushed = Flushed { offsets: handed_over.to_vec(), late_errors: Vec::new(), rewinds: Vec::new() };
        if self.is("vouch-for-more") {
            flushed.offsets.iter_mut().for_each(|position| position.offset += 1_000_000);
        }
        if self.is("vouch-for-others") {
            let elsewhere =
                Position { topic: "connect-configs".into(), partition: 0, offset: 9, metadata: String::new() };
            flushed.offsets.push(elsewhere);
        }
        if self.is("long-metadata") {
            flushed.offsets.iter_mut().for_each(|position| position.metadata = "m".repeat(8 << 20));
        }
        if self.is("late-error-elsewhere") {
            flushed.late_errors.push(LateError {
                topic: "connect-configs".into(),
                partition: 0,
                offset: 0,
                code: "late".into(),
                reason: "late".into(),
                retriable: false,
            });
        }
        Ok(flushed)
    }

    fn next_flush(&self) -> Option<Duration> {
        self.asked.set(self.asked.get() + 1);
        // What cannot be reported as an error ends the component another way.
        strike(&self.config, "next-flush").expect("a deed that is no error");
        self.is("flush-for-ever").then_some(Duration::ZERO)
    }

    fn close(self) {
        strike(&self.config, "close").expect("a deed that is no error");
    }
}

towpath_sdk::export_sink!(Hostile);
