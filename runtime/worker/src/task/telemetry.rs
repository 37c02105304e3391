//! Where a guest's numbers and wishes go. Called from within calls into the guest, so nothing here waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use towpath_model::{Metric, TaskId, Telemetry};

use super::Notice;
use crate::meters::Meters;

pub(super) struct TaskTelemetry {
    task: TaskId,
    meters: Arc<Meters>,
    notices: mpsc::Sender<(TaskId, Notice)>,
}

impl TaskTelemetry {
    pub(super) fn new(task: TaskId, meters: Arc<Meters>, notices: mpsc::Sender<(TaskId, Notice)>) -> Self {
        Self { task, meters, notices }
    }
}

impl Telemetry for TaskTelemetry {
    fn metrics(&self, metrics: Vec<Metric>) {
        self.meters.connector(metrics);
    }

    fn request_reconfiguration(&self, reason: String) {
        if let Err(error) = self.notices.try_send((self.task.clone(), Notice::Reconfigure(reason))) {
            tracing::warn!(task = %self.task, "a wish for a new plan was lost: {error}");
        }
    }

    fn usage(&self, memory_bytes: u64, busy: Duration) {
        self.meters.usage(memory_bytes, busy);
    }
}
