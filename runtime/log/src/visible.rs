//! What readers see beyond records: how far everything is durable, what groups have committed, where transactional ids are.
//!
//! It follows from the batches of the log in their order, and only from them: what was just written and what recovery finds enter
//! through the same door.

use bytes::Bytes;

use crate::codec::{BatchHeader, Damaged};
use crate::config::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC};
use crate::group::Groups;
use crate::partition::Partition;
use crate::sync::lock;
use crate::transaction::Durable;

/// What readers see, all of it or none of a commit.
#[derive(Default)]
pub(crate) struct Visible {
    /// The highest sequence that is durable.
    pub(crate) sequence: u64,
    pub(crate) groups: Groups,
    pub(crate) transactions: Durable,
}

impl Visible {
    /// Enters a durable batch of a partition; the same for one that was just written and one that recovery found.
    pub(crate) fn enter(
        &mut self,
        partition: &Partition,
        header: BatchHeader,
        bytes: Bytes,
        now_ms: i64,
    ) -> Result<(), Damaged> {
        match partition.name.topic.as_ref() {
            OFFSETS_TOPIC => self.groups.apply_batch(partition.name.partition, &header, &bytes)?,
            TRANSACTIONS_TOPIC => self.transactions.apply(&header, &bytes)?,
            _ => {}
        }
        if header.producer_id >= 0 {
            lock(&partition.producers).apply(&header, now_ms);
        }
        lock(&partition.state).push(header, bytes)
    }
}
