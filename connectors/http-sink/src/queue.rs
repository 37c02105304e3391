//! Records that wait for their batch to be filled, when there is time to linger: taken, but not counted as delivered.
//!
//! They stay until they are accepted or refused, in the order in which they came. The offset that may be committed is that of the
//! first that is left; so a crash loses none.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use towpath_model::{LateError, Position, Record};

use crate::dispatch::{Fate, Outcome};
use crate::packet::Entry;

/// What a record in the queue takes besides its value, roughly.
const RECORD_BYTES: usize = 96;

#[derive(Debug)]
struct Held {
    topic: Arc<str>,
    partition: i32,
    offset: i64,
    lane: Option<u64>,
    value: Option<Box<[u8]>>,
    is_json: bool,
}

impl Held {
    fn bytes(&self) -> usize {
        RECORD_BYTES + self.value.as_ref().map_or(0, |value| value.len())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    held: VecDeque<Held>,
    bytes: usize,
    /// When the queue was last empty and got a record.
    since_ms: i64,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Memory that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn since_ms(&self) -> i64 {
        self.since_ms
    }

    pub(crate) fn push(&mut self, record: &Record<'_>, offset: i64, entry: Entry<'_>, now_ms: i64) {
        if self.held.is_empty() {
            self.since_ms = now_ms;
        }
        let held = Held {
            topic: record.origin().clone(),
            partition: record.run.partition,
            offset,
            lane: entry.lane,
            value: entry.value.map(Into::into),
            is_json: entry.is_json,
        };
        self.bytes += held.bytes();
        self.held.push_back(held);
    }

    pub(crate) fn entries(&self) -> Vec<Entry<'_>> {
        let held = self.held.iter();
        held.map(|held| Entry { lane: held.lane, value: held.value.as_deref(), is_json: held.is_json }).collect()
    }

    /// Lets go of what is accepted or refused; the refused ones are returned.
    pub(crate) fn settle(&mut self, outcome: &Outcome, now_ms: i64) -> Vec<LateError> {
        let mut refused = Vec::new();
        let mut fates = outcome.fates.iter();
        self.held.retain(|held| match fates.next() {
            Some(Fate::Accepted) => false,
            Some(Fate::Refused(fault)) => {
                refused.push(LateError {
                    topic: held.topic.clone(),
                    partition: held.partition,
                    offset: held.offset,
                    code: fault.code.to_owned(),
                    reason: fault.reason.clone(),
                    retriable: false,
                });
                false
            }
            Some(Fate::Failed(_) | Fate::Behind) | None => true,
        });
        self.bytes = self.held.iter().map(Held::bytes).sum();
        self.since_ms = now_ms;
        refused
    }

    /// The first offset that is left of each partition.
    pub(crate) fn first_offsets(&self) -> BTreeMap<(Arc<str>, i32), i64> {
        let mut first = BTreeMap::new();
        for held in &self.held {
            let offset = first.entry((held.topic.clone(), held.partition)).or_insert(held.offset);
            *offset = held.offset.min(*offset);
        }
        first
    }

    /// Forgets the records of a partition.
    pub(crate) fn forget(&mut self, topic: &str, partition: i32) {
        self.held.retain(|held| !(*held.topic == *topic && held.partition == partition));
        self.bytes = self.held.iter().map(Held::bytes).sum();
    }

    /// What may be committed: what was handed over, up to the first record that is left.
    pub(crate) fn safe(&self, handed_over: &[Position]) -> Vec<Position> {
        let first = self.first_offsets();
        let safe = |position: &Position| {
            let left = first.get(&(position.topic.clone(), position.partition));
            Position {
                offset: left.map_or(position.offset, |left| position.offset.min(*left)),
                metadata: String::new(),
                ..position.clone()
            }
        };
        handed_over.iter().map(safe).collect()
    }
}
