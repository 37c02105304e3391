//! What the log must hold: the acknowledged records of each partition, and the commits whose fate a cut left open.

use std::collections::{BTreeMap, VecDeque};

use uuid::Uuid;

use crate::CommitFuture;

/// A topic as it must be.
pub(super) struct TopicModel {
    pub(super) id: Uuid,
    /// The numbers of all records ever acknowledged, by partition; the index is the offset.
    pub(super) partitions: Vec<Vec<u64>>,
    /// Whether retention may drop its beginning.
    pub(super) retained: bool,
}

/// A commit that is neither acknowledged nor refused.
pub(super) struct InFlight {
    pub(super) future: Option<CommitFuture>,
    /// Topic id and partition to record numbers.
    pub(super) records: BTreeMap<(Uuid, i32), Vec<u64>>,
    pub(super) group_offset: Option<(String, i64)>,
}

/// A change of topics whose fate a cut left open.
#[derive(Clone)]
pub(super) enum OpenChange {
    Create(String),
    Delete(String),
    /// To so many partitions.
    Grow(String, usize),
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) topics: BTreeMap<String, TopicModel>,
    pub(super) groups: BTreeMap<String, i64>,
    pub(super) in_flight: VecDeque<InFlight>,
    pub(super) open_change: Option<OpenChange>,
    pub(super) next_number: u64,
    pub(super) next_group_offset: i64,
}

impl Model {
    /// Enters a commit that has come true.
    pub(super) fn apply(&mut self, commit: InFlight) {
        for ((id, partition), numbers) in commit.records {
            // Records of a topic that was deleted meanwhile are nobody's.
            if let Some(topic) = self.topics.values_mut().find(|topic| topic.id == id) {
                topic.partitions[partition as usize].extend(numbers);
            }
        }
        if let Some((group, offset)) = commit.group_offset {
            self.groups.insert(group, offset);
        }
    }

    /// Of the commits in flight, how many from the front must have come true, given what partitions and groups hold.
    pub(super) fn came_true(&self, found: &Found) -> usize {
        let mut matching = None;
        for count in 0..=self.in_flight.len() {
            if self.matches(found, count) {
                matching = Some(count);
            }
        }
        matching.unwrap_or_else(|| panic!("{}", self.difference(found)))
    }

    fn matches(&self, found: &Found, count: usize) -> bool {
        let mut groups = self.groups.clone();
        for (group, offset) in self.in_flight.iter().take(count).filter_map(|commit| commit.group_offset.clone()) {
            groups.insert(group, offset);
        }
        let partition_matches = |(name, partition, start, numbers): &(String, i32, i64, Vec<u64>)| {
            let expected = self.expected(name, *partition, count);
            expected.get(*start as usize..) == Some(numbers.as_slice())
        };
        groups == found.groups && found.partitions.iter().all(partition_matches)
    }

    fn expected(&self, name: &str, partition: i32, count: usize) -> Vec<u64> {
        let topic = &self.topics[name];
        let mut expected = topic.partitions[partition as usize].clone();
        for commit in self.in_flight.iter().take(count) {
            expected.extend(commit.records.get(&(topic.id, partition)).into_iter().flatten());
        }
        expected
    }

    fn difference(&self, found: &Found) -> String {
        let all = self.in_flight.len();
        let mut text = format!("what was found fits no number of the {all} open commits\n");
        text += &format!("groups found {:?}, acknowledged {:?}\n", found.groups, self.groups);
        for (name, partition, start, numbers) in &found.partitions {
            let (least, most) = (self.expected(name, *partition, 0), self.expected(name, *partition, all));
            let tail = |numbers: &[u64]| numbers[numbers.len().saturating_sub(8)..].to_vec();
            if most.get(*start as usize..).is_none_or(|most| !most.starts_with(numbers))
                || start + (numbers.len() as i64) < least.len() as i64
            {
                text += &format!(
                    "{name}-{partition} from {start}: {} records ending {:?}; acknowledged {} ending {:?}; at most {} ending {:?}\n",
                    numbers.len(),
                    tail(numbers),
                    least.len(),
                    tail(&least),
                    most.len(),
                    tail(&most)
                );
            }
        }
        text
    }
}

/// What a log was found to hold.
#[derive(Default)]
pub(super) struct Found {
    /// Topic, partition, log start, record numbers.
    pub(super) partitions: Vec<(String, i32, i64, Vec<u64>)>,
    pub(super) groups: BTreeMap<String, i64>,
}
