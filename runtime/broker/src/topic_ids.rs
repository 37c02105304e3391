//! Names of topics by id, kept until topics change: newer clients fetch by id alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use towpath_log::{Embedded, Topics};
use uuid::Uuid;

/// The names.
pub(crate) struct TopicIds {
    known: Mutex<Known>,
}

struct Known {
    changes: watch::Receiver<u64>,
    names: Arc<HashMap<Uuid, Arc<str>>>,
}

impl TopicIds {
    pub(crate) fn new(log: &Embedded) -> Self {
        let mut changes = log.topic_changes();
        changes.mark_changed();
        Self { known: Mutex::new(Known { changes, names: Arc::default() }) }
    }

    /// The name of the topic with this id.
    pub(crate) fn name(&self, log: &Embedded, id: Uuid) -> Option<Arc<str>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.changes.has_changed().unwrap_or(false) {
            // Marked as seen before the look, so that a change during it is looked at again.
            known.changes.mark_unchanged();
            known.names = Arc::new(log.topics().into_iter().map(|topic| (topic.id, topic.name)).collect());
        }
        known.names.get(&id).cloned()
    }
}
