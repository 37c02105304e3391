//! What is counted of transactions: how they ended since the log was opened, and what is open now.

use std::collections::BTreeMap;
use std::time::Duration;

use towpath_model::TopicPartition;

use super::machine::{Transaction, TransactionStatus};
use crate::core::Core;
use crate::sync::{lock, read};

/// Transactions, as metrics show them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionMetrics {
    /// How many are open.
    pub open: u64,
    /// How those that were open have ended since the log was opened.
    pub ended: Ended,
    /// Where open ones hold readers of committed records up.
    pub held: Vec<Held>,
}

/// How transactions ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// By a commit.
    pub committed: u64,
    /// By an abort, or because a new instance of the producer began.
    pub aborted: u64,
    /// Because they were open for longer than their producer had asked for.
    pub timed_out: u64,
}

/// A partition that is part of an open transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The partition.
    pub partition: TopicPartition,
    /// How long the oldest open transaction in it has been open.
    pub oldest: Duration,
    /// The records between the last stable offset and the high watermark.
    pub lag: i64,
}

impl Ended {
    /// Notes what becomes of an id, if that ends a transaction.
    pub(super) fn note(&mut self, before: &Transaction, after: &Transaction) {
        if !before.is_open() || after.is_open() {
            return;
        }
        let is_late = before.deadline_ms().is_some_and(|deadline| deadline <= after.updated_ms);
        match after.status {
            TransactionStatus::CompleteCommit => self.committed += 1,
            TransactionStatus::CompleteAbort if is_late => self.timed_out += 1,
            _ => self.aborted += 1,
        }
    }
}

impl Core {
    pub(crate) fn transaction_metrics(&self) -> TransactionMetrics {
        let now_ms = self.clock.now_ms();
        let (mut open, mut begun) = (0, BTreeMap::<TopicPartition, i64>::new());
        let ended = {
            let visible = read(&self.visible);
            for state in visible.transactions.by_id.values() {
                let Some(started_ms) = state.started_ms.filter(|_| state.is_open()) else { continue };
                open += 1;
                for partition in &state.partitions {
                    let oldest = begun.entry(partition.clone()).or_insert(started_ms);
                    *oldest = started_ms.min(*oldest);
                }
            }
            visible.transactions.ended
        };
        let held = begun.into_iter().filter_map(|(name, started_ms)| {
            // A topic that was deleted meanwhile holds nobody up.
            let ends = lock(&self.partition_of(&name).ok()?.1.state).ends();
            let oldest = Duration::from_millis(u64::try_from(now_ms - started_ms).unwrap_or(0));
            Some(Held { partition: name, oldest, lag: ends.high_watermark - ends.last_stable })
        });
        TransactionMetrics { open, ended, held: held.collect() }
    }
}
