//! A component that, asked what it is, never answers.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "natively nothing is exported"))]

use towpath_sdk::Transform;
use towpath_sdk::model::{Batch, Config, ConnectorError, Spec, Transformed};

struct Endless;

impl Transform for Endless {
    fn spec() -> Spec {
        let mut turns = 0u64;
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }

    fn open(_config: Config) -> Result<Self, ConnectorError> {
        Ok(Self)
    }

    fn apply(&mut self, records: Batch) -> Result<Transformed, ConnectorError> {
        Ok(Transformed { records, origins: Vec::new() })
    }
}

towpath_sdk::export_transform!(Endless);
