//! Waiting within a step of a task, and why a step did not come to an end.

use std::time::Duration;

use tokio::sync::watch;
use towpath_model::ConnectorError;

use super::{Failure, Wanted};

/// Why a step did not come to an end.
#[derive(Debug)]
pub(super) enum Halt {
    /// The task was told to stop while the step waited to be repeated.
    Abandoned,
    Failed(Failure),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Waits, unless the task is to stop.
pub(super) async fn pause(wanted: &mut watch::Receiver<Wanted>, delay: Duration) -> Result<(), Halt> {
    tokio::select! {
        () = tokio::time::sleep(delay) => Ok(()),
        _ = wanted.wait_for(|wanted| *wanted == Wanted::Stop) => Err(Halt::Abandoned),
    }
}

/// How long the other side asked to wait.
pub(super) fn wait_of(error: &ConnectorError) -> Option<Duration> {
    match error {
        ConnectorError::Retriable { after, .. } => *after,
        ConnectorError::Throttled { after } => Some(*after),
        _ => None,
    }
}
