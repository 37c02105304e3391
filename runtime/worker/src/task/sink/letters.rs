//! Dead letters that wait for the commit of the offsets behind them.
//!
//! Invariants 3 and 5: a letter and the offset that passes it are one commit, so a crash repeats or loses neither. A guest that flushes
//! rarely could make many letters wait; beyond a bound they are written without their offset, and a crash may then repeat them.

use std::collections::VecDeque;

use towpath_model::{Batch, TopicPartition};

/// The most bytes of letters that wait.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// Letters of one partition, from neighbouring records.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) partition: TopicPartition,
    /// The offset of the first record.
    pub(super) first: i64,
    pub(super) records: Batch,
}

/// Letters that wait.
#[derive(Debug, Default)]
pub(super) struct Letters {
    waiting: VecDeque<Letter>,
    bytes: usize,
}

impl Letters {
    pub(super) fn add(&mut self, letters: Vec<Letter>) {
        self.bytes += letters.iter().map(|letter| letter.records.payload_bytes()).sum::<usize>();
        self.waiting.extend(letters);
    }

    /// The letters that `passed` says an offset goes past, and all of them when too many wait.
    pub(super) fn due(&mut self, passed: impl Fn(&TopicPartition, i64) -> bool) -> Vec<Batch> {
        let all = self.bytes > WAITING_BYTES_MAX;
        let (due, waiting): (VecDeque<_>, VecDeque<_>) =
            self.waiting.drain(..).partition(|letter| all || passed(&letter.partition, letter.first));
        self.waiting = waiting;
        self.bytes = self.waiting.iter().map(|letter| letter.records.payload_bytes()).sum();
        due.into_iter().map(|letter| letter.records).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether so many wait that they should not wait any longer.
    pub(super) fn too_many(&self) -> bool {
        self.bytes > WAITING_BYTES_MAX
    }

    /// Records from here on are read again, and will be refused again.
    pub(super) fn rewind(&mut self, partition: &TopicPartition, offset: i64) {
        self.waiting.retain(|letter| letter.partition != *partition || letter.first < offset);
    }
}

#[cfg(test)]
mod tests {
    use towpath_model::{BatchBuilder, Form, Run};

    use super::*;

    fn letter(partition: i32, first: i64, bytes: usize) -> Letter {
        let mut builder = BatchBuilder::default();
        let topic = builder.topic("dlq");
        builder.run(Run { records: 0, topic, origin: topic, partition: -1, key: Form::BYTES, value: Form::BYTES });
        builder.key(None);
        builder.value(Some(&vec![0; bytes]));
        builder.end(None, None);
        Letter { partition: TopicPartition::new("t", partition), first, records: builder.build() }
    }

    #[test]
    fn letters_go_with_the_offset_that_passes_them() {
        let mut letters = Letters::default();
        letters.add(vec![letter(0, 5, 1), letter(0, 9, 1), letter(1, 5, 1)]);
        let due = letters.due(|partition, first| partition.partition == 0 && first < 9);
        assert_eq!((due.len(), letters.waiting.len()), (1, 2));
    }

    #[test]
    fn too_many_do_not_wait() {
        let mut letters = Letters::default();
        letters.add(vec![letter(0, 5, WAITING_BYTES_MAX / 2), letter(0, 6, WAITING_BYTES_MAX / 2 + 2)]);
        assert!(letters.too_many());
        assert_eq!(letters.due(|_, _| false).len(), 2);
        assert!(!letters.too_many());
    }
}
