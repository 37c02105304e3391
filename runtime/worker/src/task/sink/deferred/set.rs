//! Which records wait to be put again, and which of them may be. Pure: a picture of the retry topic, and what was decided since.
//!
//! ```text
//!           deferred           seen in the topic        due             put          flushed
//! consumed ─────────▶ pending ──────────────────▶ waits ─────▶ given ────────▶ handed ─────▶ settled ─▶ gone
//!                                                   ◀────────── recalled ─┘   (or failed again) ┘
//! ```
//! Records with the same key in the same partition share a lane and stay in order: of a lane, nothing is due unless all of it waits,
//! and what is consumed of it queues behind. Records without a key have a lane each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use towpath_model::{Batch, TopicPartition};

use crate::answers::{RecordId, RetryState};
use crate::store::{Row, read_row};

/// What must stay in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Lane {
    /// A hash of partition and key: two keys that share one wait for each other, no more.
    Key(u64),
    Alone(RecordId),
}

impl Lane {
    pub(super) fn of(id: &RecordId, key: Option<&[u8]>) -> Self {
        let Some(key) = key else { return Self::Alone(id.clone()) };
        let mut hasher = DefaultHasher::new();
        (&id.topic, id.partition, key).hash(&mut hasher);
        Self::Key(hasher.finish())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waits,
    /// On its way to the guest.
    Given,
    /// The guest has taken it; a flush decides.
    Handed,
    /// What became of it is being written.
    Settled,
}

#[derive(Debug)]
struct Entry {
    lane: Lane,
    /// Where the record stands in the topic.
    at: i64,
    state: State,
}

/// All records of a connector that wait.
#[derive(Debug, Default)]
pub(super) struct DeferredSet {
    entries: BTreeMap<RecordId, Entry>,
    fares: HashMap<RecordId, RetryState>,
    /// Deferred, and not seen in the topic yet.
    pending: BTreeMap<RecordId, Lane>,
    lanes: BTreeMap<Lane, BTreeSet<RecordId>>,
}

impl DeferredSet {
    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.pending.len()
    }

    /// Takes in what the topic says.
    pub(super) fn take_in(&mut self, rows: &Batch) {
        for record in rows.records() {
            let (Some((id, row)), Some(at)) = (read_row(&record), record.offset) else { continue };
            match row {
                Row::Waits(key) => {
                    let lane = Lane::of(&id, key);
                    self.pending.remove(&id);
                    self.lanes.entry(lane.clone()).or_default().insert(id.clone());
                    let state = self.entries.get(&id).map_or(State::Waits, |entry| entry.state);
                    self.entries.insert(id, Entry { lane, at, state });
                }
                Row::Gone => {
                    if let Some(entry) = self.entries.remove(&id) {
                        self.leave(&entry.lane, &id);
                    }
                }
                Row::Fares(fares) => {
                    if let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.state == State::Settled) {
                        entry.state = State::Waits;
                    }
                    self.fares.insert(id, fares);
                }
                Row::Forgotten => drop(self.fares.remove(&id)),
            }
        }
    }

    /// Whether the record is here already.
    pub(super) fn holds(&self, id: &RecordId) -> bool {
        self.entries.contains_key(id) || self.pending.contains_key(id)
    }

    /// Whether something of the lane waits, so that all of it has to.
    pub(super) fn parks(&self, lane: &Lane) -> bool {
        self.lanes.contains_key(lane)
    }

    /// The record is about to be written to the topic.
    pub(super) fn defer(&mut self, id: RecordId, lane: Lane) {
        self.lanes.entry(lane.clone()).or_default().insert(id.clone());
        self.pending.insert(id, lane);
    }

    /// From there on the partition is read again, and what was not written yet is found again.
    pub(super) fn rewound(&mut self, partition: &TopicPartition, offset: i64) {
        let from = RecordId { topic: partition.topic.clone(), partition: partition.partition, offset };
        let to = RecordId { offset: i64::MAX, ..from.clone() };
        let forgotten: Vec<_> = self.pending.range(from..=to).map(|(id, lane)| (id.clone(), lane.clone())).collect();
        for (id, lane) in forgotten {
            self.pending.remove(&id);
            self.leave(&lane, &id);
        }
    }

    /// Gives out records whose time has come, at most so many, with where they stand in the topic.
    pub(super) fn give(&mut self, now_ms: i64, most: usize, owned: impl Fn(&RecordId) -> bool) -> Vec<(RecordId, i64)> {
        let mut due: Vec<RecordId> = Vec::new();
        for ids in self.lanes.values() {
            if due.len() >= most {
                break;
            }
            if self.ready_ms(ids).is_some_and(|next_ms| next_ms <= now_ms) && ids.iter().all(&owned) {
                due.extend(ids.iter().take(most - due.len()).cloned());
            }
        }
        let mut given = Vec::with_capacity(due.len());
        for id in due {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.state = State::Given;
                given.push((id, entry.at));
            }
        }
        given
    }

    /// When the next record may be given out.
    pub(super) fn next_ms(&self, owned: impl Fn(&RecordId) -> bool) -> Option<i64> {
        self.lanes.values().filter(|ids| ids.iter().all(&owned)).filter_map(|ids| self.ready_ms(ids)).min()
    }

    /// When a lane may be tried; none while part of it is under way.
    fn ready_ms(&self, ids: &BTreeSet<RecordId>) -> Option<i64> {
        let waits = |id| self.entries.get(id).is_some_and(|entry| entry.state == State::Waits);
        let first = ids.first().filter(|_| ids.iter().all(waits))?;
        Some(self.fares.get(first).map_or(0, |fares| fares.next_ms))
    }

    /// How often the record was tried, and since when.
    pub(super) fn fares(&self, id: &RecordId) -> Option<&RetryState> {
        self.fares.get(id)
    }

    /// What was given out of these and not taken waits again.
    pub(super) fn recall(&mut self, ids: &[RecordId]) {
        for id in ids {
            if let Some(entry) = self.entries.get_mut(id).filter(|entry| entry.state == State::Given) {
                entry.state = State::Waits;
            }
        }
    }

    /// Where the record stands in the topic.
    pub(super) fn place(&self, id: &RecordId) -> Option<i64> {
        self.entries.get(id).map(|entry| entry.at)
    }

    /// The guest has taken these.
    pub(super) fn handed(&mut self, ids: impl IntoIterator<Item = RecordId>) {
        self.set(ids, State::Handed);
    }

    /// What became of these is about to be written.
    pub(super) fn settled(&mut self, ids: impl IntoIterator<Item = RecordId>) {
        self.set(ids, State::Settled);
    }

    /// What the guest has taken and no flush has decided on.
    pub(super) fn taken(&self) -> Vec<RecordId> {
        self.entries.iter().filter(|(_, entry)| entry.state == State::Handed).map(|(id, _)| id.clone()).collect()
    }

    /// The guest lost what it had of a partition.
    pub(super) fn lost(&mut self, partition: &TopicPartition) {
        for (id, entry) in &mut self.entries {
            if entry.state == State::Handed && id.partition() == *partition {
                entry.state = State::Waits;
            }
        }
    }

    fn set(&mut self, ids: impl IntoIterator<Item = RecordId>, state: State) {
        for id in ids {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.state = state;
            }
        }
    }

    fn leave(&mut self, lane: &Lane, id: &RecordId) {
        if let Some(ids) = self.lanes.get_mut(lane) {
            ids.remove(id);
            if ids.is_empty() {
                self.lanes.remove(lane);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use towpath_model::{BatchBuilder, Form, Run};

    use super::*;
    use crate::store::Rows;

    fn id(offset: i64) -> RecordId {
        RecordId { topic: "t".into(), partition: 0, offset }
    }

    fn fares(next_ms: i64) -> RetryState {
        RetryState {
            stage: "TASK_PUT".into(),
            attempt: 1,
            cause: String::new(),
            code: String::new(),
            since_ms: 0,
            next_ms,
        }
    }

    /// Rows as the topic gives them back, from an offset on.
    fn stored(rows: &mut Rows, mut at: i64) -> Batch {
        let batch = rows.take().expect("rows");
        let mut builder = BatchBuilder::default();
        for record in batch.records() {
            let run = builder.import_run(&record);
            builder.run(run);
            builder.key(record.key.bytes);
            builder.value(record.value.bytes);
            for (name, payload) in record.headers() {
                builder.header(name, Form::BYTES, payload.bytes);
            }
            builder.end(record.timestamp, Some(at));
            at += 1;
        }
        builder.build()
    }

    fn waits(rows: &mut Rows, offset: i64, key: Option<&str>, next_ms: i64) {
        let mut builder = BatchBuilder::default();
        let topic = builder.topic("t");
        builder.run(Run { records: 0, topic, origin: topic, partition: 0, key: Form::BYTES, value: Form::BYTES });
        builder.key(key.map(str::as_bytes));
        builder.value(Some(b"v"));
        builder.end(Some(1), Some(offset));
        rows.waits(&builder.build().records().next().expect("one"), &id(offset), 1);
        rows.fares(&id(offset), &fares(next_ms), 1);
    }

    fn offsets(given: &[(RecordId, i64)]) -> Vec<i64> {
        given.iter().map(|(id, _)| id.offset).collect()
    }

    fn set(entries: &[(i64, Option<&str>, i64)]) -> DeferredSet {
        let (mut rows, mut set) = (Rows::new("r"), DeferredSet::default());
        entries.iter().for_each(|(offset, key, next_ms)| waits(&mut rows, *offset, *key, *next_ms));
        set.take_in(&stored(&mut rows, 0));
        set
    }

    #[test]
    fn a_lane_is_due_with_its_first_record_and_comes_in_order() {
        let mut set = set(&[(5, Some("a"), 100), (7, Some("a"), 0), (6, Some("b"), 50), (8, None, 0), (9, None, 200)]);
        assert_eq!(set.next_ms(|_| true), Some(0));
        assert_eq!(offsets(&set.give(60, 10, |_| true)), [6, 8]);
        assert_eq!((set.next_ms(|_| true), set.give(60, 10, |_| true)), (Some(100), vec![]));
        assert_eq!(set.give(100, 10, |_| true), [(id(5), 0), (id(7), 2)]);
        set.recall(&[id(5), id(7), id(6), id(8)]);
        assert_eq!(set.give(100, 10, |_| false), []);
        assert_eq!(set.give(1_000, 10, |_| true).len(), 5);
    }

    #[test]
    fn nothing_of_a_lane_is_due_while_part_of_it_is_under_way() {
        let mut set = set(&[(5, Some("a"), 0)]);
        set.give(0, 10, |_| true);
        set.handed([id(5)]);
        set.defer(id(7), Lane::of(&id(7), Some(b"a")));
        assert!(set.parks(&Lane::of(&id(9), Some(b"a"))) && set.holds(&id(7)) && !set.holds(&id(9)));
        let mut rows = Rows::new("r");
        waits(&mut rows, 7, Some("a"), 0);
        set.take_in(&stored(&mut rows, 2));
        assert_eq!(set.give(9, 10, |_| true), []);
        set.settled([id(5)]);
        assert_eq!(set.give(9, 10, |_| true), []);
        rows.gone(&id(5), 1);
        set.take_in(&stored(&mut rows, 4));
        assert_eq!(set.give(9, 10, |_| true), [(id(7), 2)]);
    }

    #[test]
    fn what_failed_again_waits_again_and_what_is_gone_parks_nothing() {
        let mut set = set(&[(5, Some("a"), 0)]);
        set.give(0, 10, |_| true);
        set.settled([id(5)]);
        let mut rows = Rows::new("r");
        rows.fares(&id(5), &fares(70), 1);
        set.take_in(&stored(&mut rows, 2));
        assert_eq!((set.next_ms(|_| true), set.fares(&id(5))), (Some(70), Some(&fares(70))));
        rows.gone(&id(5), 1);
        set.take_in(&stored(&mut rows, 3));
        assert_eq!((set.len(), set.parks(&Lane::of(&id(9), Some(b"a"))), set.fares(&id(5))), (0, false, None));
    }

    #[test]
    fn what_the_guest_lost_or_was_never_written_is_found_again() {
        let mut set = set(&[(5, Some("a"), 0)]);
        set.defer(id(8), Lane::of(&id(8), Some(b"b")));
        set.give(0, 10, |_| true);
        set.handed([id(5)]);
        assert_eq!(set.taken(), [id(5)]);
        let partition = TopicPartition::new("t", 0);
        set.lost(&partition);
        set.rewound(&partition, 8);
        assert_eq!((set.holds(&id(8)), set.len(), set.taken()), (false, 1, vec![]));
        assert_eq!(set.give(0, 10, |_| true).len(), 1);
    }
}
