//! Sink tasks: from the log's records to a guest's target, and offsets back into the log.

mod assignment;
mod commit;
mod deferred;
mod driver;
mod fetch;
mod lanes;
mod letters;
mod machine;
mod outcome;
mod postpone;
mod put;
mod traced;

use std::sync::Arc;

use super::{Failure, Task};
use crate::settings::{SinkSettings, TaskSettings};

/// Runs a sink task until it is stopped.
pub(super) async fn run(task: Task, settings: TaskSettings) -> Result<(), Failure> {
    let sink = SinkSettings::new(&task.config, &task.shared.limits);
    let sink = sink.map_err(|error| Failure::config(&error.key, &error.reason))?;
    let driver = driver::Driver::new(Arc::new(task), settings, sink).await?;
    Box::pin(driver.run()).await
}
