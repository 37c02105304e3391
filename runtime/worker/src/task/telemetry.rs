//! Where a guest's numbers and wishes go. Called from within calls into the guest, so nothing here waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use towpath_model::{Metric, TaskId, Telemetry};

use super::Notice;
use crate::meters::Meters;

pub(super) struct TaskTelemetry {
    task: TaskId,
    meters: Arc<Meters>,
    notices: mpsc::Sender<(TaskId, Notice)>,
    /// It has asked for a new plan, which starts it anew.
    wished: AtomicBool,
}

impl TaskTelemetry {
    pub(super) fn new(task: TaskId, meters: Arc<Meters>, notices: mpsc::Sender<(TaskId, Notice)>) -> Self {
        Self { task, meters, notices, wished: AtomicBool::new(false) }
    }
}

impl Telemetry for TaskTelemetry {
    fn metrics(&self, metrics: Vec<Metric>) {
        self.meters.connector(metrics);
    }

    fn request_reconfiguration(&self, reason: String) {
        if self.wished.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.notices.try_send((self.task.clone(), Notice::Reconfigure(reason))) {
            self.wished.store(false, Ordering::Relaxed);
            tracing::warn!(task = %self.task, "a wish for a new plan was lost: {error}");
        }
    }

    fn usage(&self, memory_bytes: u64, busy: Duration) {
        self.meters.usage(memory_bytes, busy);
    }
}
