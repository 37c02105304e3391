//! Which topics a task has used since they were last forgotten. Looked at for each batch, so that only what is new reaches the board.

use std::collections::BTreeSet;
use std::sync::Arc;

use towpath_model::{Batch, Run};

use super::Task;

/// The topics that a task has told of.
#[derive(Debug, Default)]
pub(super) struct UsedTopics {
    generation: u64,
    told: BTreeSet<Arc<str>>,
}

impl UsedTopics {
    /// The topics of a batch are used: those written to, or those read from.
    pub(super) fn of(&mut self, task: &Task, batch: &Batch, topic: impl Fn(&Run) -> u32) {
        let generation = task.shared.board.topics_generation();
        if generation != self.generation {
            (self.generation, self.told) = (generation, BTreeSet::new());
        }
        for run in &batch.columns().runs {
            let topic = batch.topic(topic(run));
            if !self.told.contains(topic) {
                self.told.insert(topic.clone());
                task.topic_used(topic);
            }
        }
    }
}
