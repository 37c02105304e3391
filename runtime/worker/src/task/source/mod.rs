//! Source tasks: from a guest's polls to durable records and offsets.

mod convert;
mod driver;
mod haste;
mod machine;
mod traced;
mod write;

use std::sync::Arc;

use towpath_model::{Batch, Checkpoint};

use super::{Failure, Task};
use crate::settings::TaskSettings;
use traced::Appending;

/// Runs a source task until it is stopped.
pub(super) async fn run(task: Task, settings: TaskSettings) -> Result<(), Failure> {
    let driver = driver::Driver::new(Arc::new(task), settings).await?;
    Box::pin(driver.run()).await
}

/// A batch that is ready to be written, with what is needed to trace its records back.
struct Ready {
    /// As polled.
    original: Batch,
    /// As bytes for the log.
    records: Batch,
    /// For each of `records`, the index in `original`.
    origins: Vec<u32>,
    /// Positions after the batch.
    checkpoints: Vec<Checkpoint>,
    /// Records refused on the way here.
    dead_letters: Option<Batch>,
    /// Whether a transaction of the source ends with it, or the source stands between two of them.
    ends_transaction: bool,
    /// Where it is traced.
    traced: Option<Appending>,
}

impl Ready {
    fn bytes(&self) -> usize {
        // A batch without payload still takes room.
        self.records.payload_bytes() + 64 * self.records.len() + 64
    }
}
