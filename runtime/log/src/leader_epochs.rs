//! Leader epochs: under which epoch each stretch of a partition was written.
//!
//! There is one leader, and readers see nothing that a crash could take back. But a producer may hold an answer to be lost that was
//! not, and a client that compares epochs expects them to rise after every end that was no clean one. So the epoch counts those.

use towpath_model::TopicPartition;

use crate::embedded::Embedded;
use crate::error::Error;
use crate::sync::lock;

impl Embedded {
    /// The epoch under which records are appended now.
    pub fn leader_epoch(&self) -> i32 {
        self.core.leader_epoch
    }

    /// The epoch under which the record at an offset was or would be appended.
    pub fn leader_epoch_at(&self, partition: &TopicPartition, offset: i64) -> i32 {
        let Ok((_, partition)) = self.core.partition_of(partition) else { return self.core.leader_epoch };
        let state = lock(&partition.state);
        let before = state.leader_epochs.iter().rev().find(|(_, start)| *start <= offset);
        before.map_or(self.core.leader_epoch, |(epoch, _)| *epoch)
    }

    /// The largest epoch up to `epoch` under which the partition was written, and the offset at which it ends; none where `epoch` is
    /// yet to come.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::UnknownPartition`].
    pub fn end_of_leader_epoch(&self, partition: &TopicPartition, epoch: i32) -> Result<Option<(i32, i64)>, Error> {
        let (_, partition) = self.core.partition_of(partition)?;
        if !(0..=self.core.leader_epoch).contains(&epoch) {
            return Ok(None);
        }
        let state = lock(&partition.state);
        let until = state.leader_epochs.partition_point(|(known, _)| *known <= epoch);
        let end = state.leader_epochs.get(until).map_or(state.high_watermark, |(_, start)| *start);
        let last = until.checked_sub(1).and_then(|last| state.leader_epochs.get(last));
        Ok(Some((last.map_or(epoch, |(known, _)| *known), end)))
    }
}
