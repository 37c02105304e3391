//! A connector that misbehaves on demand: the configuration key `mode` chooses how.

use std::time::Duration;
use towpath_sdk::model::{Batch, Checkpoint, ConnectorError, ConnectorKind, Polled, Progress, Spec};
use towpath_sdk::{Context, Source, key, spec};

/// Misbehaves on demand.
#[derive(Debug)]
pub struct Guest;
impl Source for Guest {
    fn spec() -> Spec {
        spec("guest", "0.1.0", ConnectorKind::Source).key(key("mode")).build()
    }
    fn open(_: Context, _: Vec<Checkpoint>) -> Result<Self, ConnectorError> {
        Ok(Guest)
    }
    fn poll(&mut self, max_wait: Duration, _r: u32, _b: u32) -> Result<Polled, ConnectorError> {
        towpath_sdk::streams::wait(&[], max_wait);
        Ok(Polled {
            records: Batch::default(),
            checkpoints: vec![],
            progress: Progress::Idle,
            lag_ms: None,
            lag_bytes: None,
            transaction_ends: vec![],
        })
    }
    fn commit(&mut self, _: &[Checkpoint]) -> Result<(), ConnectorError> {
        Ok(())
    }
}
towpath_sdk::export_source!(Guest);
