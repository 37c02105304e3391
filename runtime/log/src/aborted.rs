//! Transactions of one partition, as readers see them: which are open, and which stretches were aborted.
//!
//! All of it follows from the batches and markers of the log, in their order. Aborted stretches are kept in memory as long as the
//! partition keeps their records, and beside the segments in Kafka's `.txnindex`, so that recovery need not read the log:
//! version 2 bytes (0), producer id 8, first offset 8, last offset (of the marker) 8, last stable offset after it 8.

use std::collections::{BTreeMap, VecDeque};

use crate::codec::{BatchHeader, Damaged, commits};

/// Bytes of an entry of `.txnindex`.
pub(crate) const ENTRY_BYTES: usize = 34;

/// What one producer wrote in a transaction that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted {
    /// The producer.
    pub producer_id: i64,
    /// The offset of its first record.
    pub first_offset: i64,
    /// The offset of the marker.
    pub last_offset: i64,
    /// Everything before this was decided when the marker was written.
    pub(crate) last_stable: i64,
}

/// The open and the aborted transactions of a partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transactions {
    /// First offsets of open transactions by producer.
    open: BTreeMap<i64, i64>,
    /// By the offset of their marker.
    aborted: VecDeque<Aborted>,
}

impl Aborted {
    /// Whether a batch is part of it.
    pub(crate) fn holds(&self, header: &BatchHeader) -> bool {
        header.producer_id == self.producer_id
            && (self.first_offset..=self.last_offset).contains(&header.base_offset)
            && header.transactional()
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0, 0]);
        for field in [self.producer_id, self.first_offset, self.last_offset, self.last_stable] {
            out.extend_from_slice(&field.to_be_bytes());
        }
    }

    /// The entries of a `.txnindex`; what follows the last whole one is not looked at.
    pub(crate) fn read_all(bytes: &[u8]) -> impl Iterator<Item = Self> {
        bytes.as_chunks::<ENTRY_BYTES>().0.iter().map(|entry| {
            let field = |at: usize| {
                let mut value = [0; 8];
                value.copy_from_slice(entry.get(at..at + 8).unwrap_or(&[0; 8]));
                i64::from_be_bytes(value)
            };
            Self { producer_id: field(2), first_offset: field(10), last_offset: field(18), last_stable: field(26) }
        })
    }
}

impl Transactions {
    /// As a checkpoint and the indexes of the segments describe them.
    pub(crate) fn restore(open: impl IntoIterator<Item = (i64, i64)>, aborted: VecDeque<Aborted>) -> Self {
        Self { open: open.into_iter().collect(), aborted }
    }

    /// Takes in a batch in the order of the log. Returns the transaction that it aborted, if so.
    pub(crate) fn apply(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<Option<Aborted>, Damaged> {
        if !header.transactional() {
            return Ok(None);
        }
        if !header.control() {
            self.open.entry(header.producer_id).or_insert(header.base_offset);
            return Ok(None);
        }
        let Some(commit) = commits(header, batch)? else { return Ok(None) };
        // A partition that was added to the transaction and never written to gets a marker, too.
        let Some(first_offset) = self.open.remove(&header.producer_id) else { return Ok(None) };
        if commit {
            return Ok(None);
        }
        let (producer_id, last_offset) = (header.producer_id, header.last_offset());
        let last_stable = self.first_open().unwrap_or(header.next_offset());
        let aborted = Aborted { producer_id, first_offset, last_offset, last_stable };
        self.aborted.push_back(aborted);
        Ok(Some(aborted))
    }

    /// The first offset that belongs to a transaction which is not decided.
    pub(crate) fn first_open(&self) -> Option<i64> {
        self.open.values().min().copied()
    }

    /// Producers with open transactions, with the offsets at which these begin.
    pub(crate) fn open(&self) -> &BTreeMap<i64, i64> {
        &self.open
    }

    /// Aborted transactions that may have records from `from` to before `to`, by their first offsets.
    pub(crate) fn aborted_in(&self, from: i64, to: i64) -> Vec<Aborted> {
        let mut found = Vec::new();
        for aborted in self.aborted.range(self.aborted.partition_point(|aborted| aborted.last_offset < from)..) {
            if aborted.first_offset < to {
                found.push(*aborted);
            }
            // Whatever was decided later began later.
            if aborted.last_stable >= to {
                break;
            }
        }
        found.sort_by_key(|aborted| aborted.first_offset);
        found
    }

    /// Forgets what lies before `offset` as a whole.
    pub(crate) fn forget_before(&mut self, offset: i64) {
        while self.aborted.pop_front_if(|aborted| aborted.last_offset < offset).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{BatchEncoder, set_base_offset, set_transactional, write_marker};
    use crate::engine::Compression;

    fn apply(transactions: &mut Transactions, at: i64, producer: i64, commit: Option<bool>) -> Option<Aborted> {
        let mut bytes = Vec::new();
        match commit {
            Some(commit) => write_marker((producer, 0), commit, 1, &mut bytes).expect("written"),
            None => {
                let mut encoder = BatchEncoder::default();
                encoder.push_plain(None, Some(b"v"), 1);
                encoder.seal(Compression::None, None, &mut bytes).expect("sealed");
                set_transactional(&mut bytes, (producer, 0), false);
            }
        }
        set_base_offset(&mut bytes, at);
        transactions.apply(&BatchHeader::verify(&bytes).expect("sound"), &bytes).expect("parses")
    }

    #[test]
    fn what_is_stable_ends_with_the_first_open_transaction_and_aborted_stretches_are_found() {
        let mut all = Transactions::default();
        apply(&mut all, 0, 1, None);
        apply(&mut all, 1, 2, None);
        assert_eq!(all.first_open(), Some(0));
        let second = apply(&mut all, 2, 2, Some(false)).expect("aborted");
        assert_eq!((second.first_offset, second.last_offset, second.last_stable), (1, 2, 0));
        assert_eq!(apply(&mut all, 3, 1, Some(true)), None);
        assert_eq!(all.first_open(), None);
        apply(&mut all, 4, 1, None);
        let third = apply(&mut all, 5, 1, Some(false)).expect("aborted");
        assert_eq!(third.last_stable, 6);
        assert_eq!(all.aborted_in(0, 6), [second, third]);
        assert_eq!(all.aborted_in(0, 4), [second]);
        assert_eq!(all.aborted_in(3, 6), [third]);
        assert_eq!(apply(&mut all, 6, 9, Some(false)), None, "nothing of it lies here");
        let mut bytes = Vec::new();
        all.aborted.iter().for_each(|aborted| aborted.write(&mut bytes));
        assert_eq!(bytes.len(), 2 * ENTRY_BYTES);
        assert_eq!(Aborted::read_all(&bytes).collect::<Vec<_>>(), [second, third]);
        all.forget_before(3);
        assert_eq!(all.aborted_in(0, 9), [third]);
    }
}
