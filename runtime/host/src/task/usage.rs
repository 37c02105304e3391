//! What several instances of one task use, told as one sum.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use towpath_model::{Metric, Telemetry};

/// The sum over the instances of a task.
pub(crate) struct Usage {
    telemetry: Arc<dyn Telemetry>,
    total: Mutex<Used>,
}

#[derive(Clone, Copy, Default)]
struct Used {
    memory_bytes: u64,
    busy: Duration,
}

impl Usage {
    pub(crate) fn new(telemetry: Arc<dyn Telemetry>) -> Arc<Self> {
        Arc::new(Self { telemetry, total: Mutex::default() })
    }

    /// The telemetry of one more instance.
    pub(crate) fn portion(self: &Arc<Self>) -> Arc<dyn Telemetry> {
        Arc::new(Portion { whole: self.clone(), own: Mutex::default() })
    }
}

/// One instance's part. Its memory is free again when it goes; the time it took stays.
struct Portion {
    whole: Arc<Usage>,
    own: Mutex<Used>,
}

impl Portion {
    fn now(&self, memory_bytes: u64, busy: Duration) -> Used {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total = self.whole.total.lock().unwrap_or_else(PoisonError::into_inner);
        total.memory_bytes = total.memory_bytes.saturating_sub(own.memory_bytes).saturating_add(memory_bytes);
        total.busy = total.busy.saturating_add(busy.saturating_sub(own.busy));
        *own = Used { memory_bytes, busy };
        *total
    }
}

impl Telemetry for Portion {
    fn metrics(&self, metrics: Vec<Metric>) {
        self.whole.telemetry.metrics(metrics);
    }

    fn request_reconfiguration(&self, reason: String) {
        self.whole.telemetry.request_reconfiguration(reason);
    }

    fn usage(&self, memory_bytes: u64, busy: Duration) {
        let total = self.now(memory_bytes, busy);
        self.whole.telemetry.usage(total.memory_bytes, total.busy);
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        let busy = self.own.lock().unwrap_or_else(PoisonError::into_inner).busy;
        self.now(0, busy);
    }
}
