//! A transform that misbehaves on demand: in the call that `mode` names, or by what it answers.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "natively nothing is exported"))]

#[path = "../src/deeds.rs"]
mod deeds;

use towpath_sdk::model::{Batch, Capability, Config, ConnectorError, ConnectorKind, Spec, Transformed};
use towpath_sdk::{Transform, key, spec};

use deeds::strike;

struct Hostile(Config);

impl Transform for Hostile {
    fn spec() -> Spec {
        spec("hostile-transform", env!("CARGO_PKG_VERSION"), ConnectorKind::Transform)
            .doc("Misbehaves on demand.")
            .key(key("mode").doc("What to do, and in which call."))
            .uses(Capability::Scratch)
            .uses(Capability::Streams)
            .build()
    }

    fn open(config: Config) -> Result<Self, ConnectorError> {
        strike(&config, "open")?;
        Ok(Self(config))
    }

    fn apply(&mut self, records: Batch) -> Result<Transformed, ConnectorError> {
        strike(&self.0, "apply")?;
        let mut origins: Vec<u32> = (0..).take(records.len()).collect();
        match self.0.get("mode").unwrap_or_default() {
            "no-origins" => origins.clear(),
            "far-origins" => origins.fill(u32::MAX),
            _ => {}
        }
        Ok(Transformed { records, origins })
    }

    fn close(self) {
        strike(&self.0, "close").expect("a deed that is no error");
    }
}

towpath_sdk::export_transform!(Hostile);
