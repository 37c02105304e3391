//! What the registry counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// The registry's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegistryMetrics {
    /// Subjects that are not deleted.
    pub subjects: u64,
    /// Schemas that have an id.
    pub schemas: u64,
    /// Requests that were answered since the start.
    pub requests_total: u64,
    /// Those of them that were answered with an error.
    pub requests_refused_total: u64,
}

/// Counts answers.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    total: AtomicU64,
    refused: AtomicU64,
}

impl Answers {
    pub(crate) fn count(&self, success: bool) {
        self.total.fetch_add(1, Ordering::Relaxed);
        if !success {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}
