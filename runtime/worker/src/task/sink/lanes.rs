//! Where a sink task stands in each of its partitions.
//!
//! ```text
//!  committed ≤ safe ≤ handed over ≤ processed ≤ fetch
//! ```
//! `processed` is the end of what has been dealt with, `unresolved` are records before it that are still being repeated; what is
//! before both is handed over. `safe` is what the guest says is durable in the target.
//!
//! Invariant 1: only what is safe is committed. Invariant 2: commits only advance.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use towpath_log::{Fetch, GroupOffset};
use towpath_model::{Batch, Position, TopicPartition};

/// One partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    fetch: i64,
    processed: i64,
    unresolved: BTreeSet<i64>,
    /// The end of what the guest was given.
    given: i64,
    safe: i64,
    committed: Option<i64>,
    metadata: String,
    /// What is to be committed, once it differs from what is.
    next: Option<(i64, String)>,
    high_watermark: i64,
}

impl Lane {
    fn handed_over(&self) -> i64 {
        self.unresolved.first().map_or(self.processed, |first| self.processed.min(*first))
    }
}

/// The partitions of a task.
#[derive(Debug, Default)]
pub(super) struct Lanes(BTreeMap<TopicPartition, Lane>);

impl Lanes {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.0.keys()
    }

    /// A partition is the task's from here on.
    pub(super) fn add(&mut self, partition: TopicPartition, start: i64, committed: Option<i64>, metadata: String) {
        let lane = Lane {
            fetch: start,
            processed: start,
            given: start,
            safe: start,
            committed,
            metadata,
            high_watermark: start,
            ..Lane::default()
        };
        self.0.insert(partition, lane);
    }

    /// All other partitions go.
    pub(super) fn retain(&mut self, partitions: &BTreeSet<TopicPartition>) {
        self.0.retain(|partition, _| partitions.contains(partition));
    }

    pub(super) fn has(&self, partition: &TopicPartition) -> bool {
        self.0.contains_key(partition)
    }

    /// What to fetch next.
    pub(super) fn fetches(&self) -> Vec<Fetch> {
        let fetch =
            |(partition, lane): (&TopicPartition, &Lane)| Fetch { partition: partition.clone(), offset: lane.fetch };
        self.0.iter().map(fetch).collect()
    }

    pub(super) fn fetched(&mut self, partition: &TopicPartition, next_offset: i64, high_watermark: i64) {
        if let Some(lane) = self.0.get_mut(partition) {
            lane.fetch = next_offset;
            lane.high_watermark = high_watermark;
        }
    }

    /// What was fetched and not processed is fetched again.
    pub(super) fn drop_fetched(&mut self) {
        self.0.values_mut().for_each(|lane| lane.fetch = lane.processed);
    }

    /// Everything before `end` has been dealt with, apart from what is unresolved.
    pub(super) fn processed(&mut self, partition: &TopicPartition, end: i64) {
        if let Some(lane) = self.0.get_mut(partition) {
            lane.processed = lane.processed.max(end);
            lane.fetch = lane.fetch.max(lane.processed);
        }
    }

    /// The guest is given these records.
    pub(super) fn given(&mut self, records: &Batch) {
        for (partition, _, last) in stretches(records) {
            if let Some(lane) = self.0.get_mut(&partition) {
                lane.given = lane.given.max(last + 1);
            }
        }
    }

    /// These records are being repeated.
    pub(super) fn unresolved(&mut self, records: &Batch) {
        for record in records.records() {
            let partition = TopicPartition::new(record.origin().clone(), record.run.partition);
            if let (Some(lane), Some(offset)) = (self.0.get_mut(&partition), record.offset) {
                lane.unresolved.insert(offset);
            }
        }
    }

    /// This record is no longer being repeated.
    pub(super) fn resolved(&mut self, partition: &TopicPartition, offset: i64) {
        if let Some(lane) = self.0.get_mut(partition) {
            lane.unresolved.remove(&offset);
        }
    }

    /// Where each partition is read from, for the guest.
    pub(super) fn starts(&self, partitions: &[TopicPartition]) -> Vec<Position> {
        let wanted = |(partition, lane): (&TopicPartition, &Lane)| {
            partitions.contains(partition).then(|| position(partition, lane.processed, &lane.metadata))
        };
        self.0.iter().filter_map(wanted).collect()
    }

    /// What has been handed over, for the guest.
    pub(super) fn handed_over(&self) -> Vec<Position> {
        self.0.iter().map(|(partition, lane)| position(partition, lane.handed_over(), &lane.metadata)).collect()
    }

    /// Takes in what the guest says is durable.
    pub(super) fn flushed(&mut self, safe: &[Position]) {
        let mut answered = BTreeSet::new();
        for position in safe {
            let partition = TopicPartition::new(position.topic.clone(), position.partition);
            let Some(lane) = self.0.get_mut(&partition) else { continue };
            answered.insert(partition);
            // A guest cannot vouch for what it was not given or what is still being repeated.
            let offset = position.offset.min(lane.handed_over());
            lane.safe = lane.safe.max(offset);
            lane.want(offset, position.metadata.clone());
        }
        for (partition, lane) in &mut self.0 {
            // The guest holds nothing of this partition: what was filtered or refused since moves the offset all the same.
            if !answered.contains(partition) && lane.given <= lane.safe {
                let (end, metadata) = (lane.handed_over(), lane.metadata.clone());
                lane.want(end, metadata);
            }
        }
    }

    /// The guest lost what it had from here on.
    pub(super) fn rewind(&mut self, position: &Position) {
        let partition = TopicPartition::new(position.topic.clone(), position.partition);
        if let Some(lane) = self.0.get_mut(&partition) {
            let offset = position.offset.max(lane.committed.unwrap_or(0)).min(lane.processed);
            (lane.fetch, lane.processed, lane.given) = (offset, offset, offset);
            lane.unresolved.clear();
            lane.next = lane.next.take().filter(|(wanted, _)| *wanted <= offset);
        }
    }

    /// What lies between here and there is not in the log any more.
    pub(super) fn jump(&mut self, partition: &TopicPartition, to: i64) {
        if let Some(lane) = self.0.get_mut(partition) {
            (lane.fetch, lane.processed) = (to, to);
        }
    }

    /// Repetitions are given up: what was being repeated is read again, with what stood behind it.
    pub(super) fn give_up_repeating(&mut self) {
        for lane in self.0.values_mut() {
            lane.processed = lane.handed_over();
            lane.unresolved.clear();
        }
    }

    /// What is to be committed to the group.
    pub(super) fn to_commit(&self, group: &Arc<str>) -> Vec<GroupOffset> {
        let entry = |(partition, lane): (&TopicPartition, &Lane)| {
            let (offset, metadata) = lane.next.clone()?;
            Some(GroupOffset {
                group: group.clone(),
                partition: partition.clone(),
                offset: Some(offset),
                leader_epoch: None,
                metadata,
            })
        };
        self.0.iter().filter_map(entry).collect()
    }

    pub(super) fn committed(&mut self, offsets: &[GroupOffset]) {
        for GroupOffset { partition, offset, metadata, .. } in offsets {
            if let Some(lane) = self.0.get_mut(partition) {
                lane.committed = offset.or(lane.committed);
                lane.metadata.clone_from(metadata);
                let done = lane.next.as_ref().is_some_and(|(next, text)| Some(*next) == *offset && text == metadata);
                if done {
                    lane.next = None;
                }
            }
        }
    }

    /// For status: committed offset and high watermark of each partition.
    pub(super) fn progress(
        &mut self,
        high_watermark: impl Fn(&TopicPartition) -> Option<i64>,
    ) -> BTreeMap<TopicPartition, (Option<i64>, i64)> {
        let mut progress = BTreeMap::new();
        for (partition, lane) in &mut self.0 {
            lane.high_watermark = high_watermark(partition).unwrap_or(lane.high_watermark);
            progress.insert(partition.clone(), (Some(lane.committed.unwrap_or(lane.safe)), lane.high_watermark));
        }
        progress
    }
}

impl Lane {
    /// Invariant 2: an offset is wanted only where it advances, or where its metadata says something new.
    fn want(&mut self, offset: i64, metadata: String) {
        let (known, text) = match &self.next {
            Some((offset, text)) => (Some(*offset), text),
            None => (self.committed, &self.metadata),
        };
        let advances = known.is_none_or(|known| offset > known);
        if advances || known == Some(offset) && *text != metadata {
            self.next = Some((offset, metadata));
        }
    }
}

fn position(partition: &TopicPartition, offset: i64, metadata: &str) -> Position {
    Position { topic: partition.topic.clone(), partition: partition.partition, offset, metadata: metadata.to_owned() }
}

/// The runs of a batch as partitions with their first and last offsets.
pub(super) fn stretches(records: &Batch) -> Vec<(TopicPartition, i64, i64)> {
    let columns = records.columns();
    let mut at = 0;
    let mut stretches = Vec::with_capacity(columns.runs.len());
    for run in &columns.runs {
        let end = at + run.records as usize;
        if let Some(offsets) = columns.offsets.get(at..end)
            && let (Some(first), Some(last)) = (offsets.first(), offsets.last())
        {
            stretches.push((TopicPartition::new(records.topic(run.origin).clone(), run.partition), *first, *last));
        }
        at = end;
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes() -> (Lanes, TopicPartition) {
        let (mut lanes, partition) = (Lanes::default(), TopicPartition::new("t", 0));
        lanes.add(partition.clone(), 10, Some(10), "m".into());
        (lanes, partition)
    }

    fn wanted(lanes: &Lanes) -> Vec<(i64, String)> {
        let group = "connect-s".into();
        lanes.to_commit(&group).into_iter().map(|offset| (offset.offset.expect("set"), offset.metadata)).collect()
    }

    fn at(offset: i64, metadata: &str) -> Position {
        Position { topic: "t".into(), partition: 0, offset, metadata: metadata.into() }
    }

    #[test]
    fn a_guest_cannot_vouch_for_more_than_it_was_given() {
        let (mut lanes, partition) = lanes();
        lanes.processed(&partition, 20);
        lanes.flushed(&[at(99, "n")]);
        assert_eq!(wanted(&lanes), [(20, "n".to_owned())]);
    }

    #[test]
    fn a_record_that_is_being_repeated_holds_the_offset_back() {
        let (mut lanes, partition) = lanes();
        lanes.0.get_mut(&partition).expect("there").unresolved.insert(15);
        lanes.processed(&partition, 20);
        assert_eq!(lanes.handed_over(), [at(15, "m")]);
        lanes.resolved(&partition, 15);
        assert_eq!(lanes.handed_over(), [at(20, "m")]);
    }

    #[test]
    fn offsets_never_go_back_and_metadata_alone_is_committed_too() {
        let (mut lanes, partition) = lanes();
        lanes.processed(&partition, 20);
        lanes.flushed(&[at(5, "x")]);
        assert_eq!(wanted(&lanes), []);
        lanes.flushed(&[at(10, "x")]);
        assert_eq!(wanted(&lanes), [(10, "x".to_owned())]);
        let group = "connect-s".into();
        lanes.committed(&lanes.to_commit(&group));
        assert_eq!(wanted(&lanes), []);
    }

    #[test]
    fn what_was_filtered_away_moves_the_offset_when_the_guest_holds_nothing() {
        let (mut lanes, partition) = lanes();
        lanes.processed(&partition, 30);
        lanes.flushed(&[]);
        assert_eq!(wanted(&lanes), [(30, "m".to_owned())]);
        lanes.0.get_mut(&partition).expect("there").given = 40;
        lanes.processed(&partition, 40);
        lanes.flushed(&[]);
        assert_eq!(wanted(&lanes), [(30, "m".to_owned())], "the guest holds records up to 40");
    }

    #[test]
    fn a_rewind_reads_again_but_not_before_what_is_committed() {
        let (mut lanes, partition) = lanes();
        lanes.processed(&partition, 30);
        lanes.rewind(&at(4, ""));
        assert_eq!(lanes.fetches(), [Fetch { partition, offset: 10 }]);
    }
}
