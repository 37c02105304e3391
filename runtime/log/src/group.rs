//! Committed offsets of consumer groups: Kafka's own records of `__consumer_offsets`, and the map that answers from memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use towpath_model::TopicPartition;

use crate::checkpoint::{GroupPoint, PendingPoint};
use crate::codec::{BatchHeader, Damaged, RawRecords, commits, records_section};
use crate::engine::GroupOffset;
use crate::error::Error;

const KEY_VERSION: i16 = 1;
const VALUE_VERSION: i16 = 3;
const NO_LEADER_EPOCH: i32 = -1;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Position {
    offset: i64,
    leader_epoch: Option<i32>,
    metadata: String,
    committed_ms: i64,
    /// The offset of the record that committed it, in the group's partition of the offsets topic.
    at: i64,
}

/// Who holds offsets back: a producer, in a partition of the offsets topic.
type Holder = (i64, i32);
/// An offset that is held back, the time of its record, and the record's own offset.
type Held = (GroupOffset, i64, i64);

/// What every group has committed.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: BTreeMap<Arc<str>, BTreeMap<TopicPartition, Position>>,
    /// What open transactions will commit.
    pending: BTreeMap<Holder, Vec<Held>>,
}

impl Groups {
    /// The groups as a checkpoint listed them.
    pub(crate) fn restore(points: &[GroupPoint], pending: &[PendingPoint]) -> Self {
        let mut groups = Self::default();
        for point in points {
            groups.apply(point.offset(), point.committed_ms, point.at);
        }
        for point in pending {
            let offset = |point: &GroupPoint| (point.offset(), point.committed_ms, point.at);
            let offsets = point.offsets.iter().map(offset).collect();
            groups.pending.insert((point.producer_id, point.partition), offsets);
        }
        groups
    }

    /// Takes in a batch of a partition of the offsets topic, in the order of the log.
    pub(crate) fn apply_batch(&mut self, partition: i32, header: &BatchHeader, batch: &[u8]) -> Result<(), Damaged> {
        let held = (header.producer_id, partition);
        if header.control() {
            if let Some(commit) = commits(header, batch)? {
                let offsets = self.pending.remove(&held).unwrap_or_default();
                for (offset, committed_ms, at) in offsets.into_iter().filter(|_| commit) {
                    self.apply(offset, committed_ms, at);
                }
            }
            return Ok(());
        }
        let section = records_section(header, batch)?;
        for record in RawRecords::new(header, &section) {
            let record = record?;
            let Some((offset, committed_ms)) = record.key.and_then(|key| decode(key, record.value)) else { continue };
            match header.transactional() {
                true => self.pending.entry(held).or_default().push((offset, committed_ms, record.offset)),
                false => self.apply(offset, committed_ms, record.offset),
            }
        }
        Ok(())
    }

    /// The list of what open transactions hold, for a checkpoint.
    pub(crate) fn pending_points(&self) -> Vec<PendingPoint> {
        let point = |((producer_id, partition), offsets): (&Holder, &Vec<Held>)| PendingPoint {
            producer_id: *producer_id,
            partition: *partition,
            offsets: offsets.iter().map(|(offset, ms, at)| GroupPoint::new(offset, *ms, *at)).collect(),
        };
        self.pending.iter().map(point).collect()
    }

    /// In which partitions open transactions hold offsets of a group back.
    pub(crate) fn pending_of(&self, group: &str) -> Vec<TopicPartition> {
        let of_group = |(offset, ..): &&Held| offset.group.as_ref() == group;
        self.pending.values().flatten().filter(of_group).map(|(offset, ..)| offset.partition.clone()).collect()
    }

    /// The list for a checkpoint.
    pub(crate) fn points(&self) -> Vec<GroupPoint> {
        let of_group = |(group, positions): (&Arc<str>, &BTreeMap<TopicPartition, Position>)| {
            let point = |(partition, position): (&TopicPartition, &Position)| GroupPoint {
                group: group.to_string(),
                topic: partition.topic.to_string(),
                partition: partition.partition,
                offset: position.offset,
                leader_epoch: position.leader_epoch,
                metadata: position.metadata.clone(),
                committed_ms: position.committed_ms,
                at: position.at,
            };
            positions.iter().map(point).collect::<Vec<_>>()
        };
        self.groups.iter().flat_map(of_group).collect()
    }

    /// Enters a committed offset, or takes one out. One that a transaction held back does not replace what was written after it: by
    /// their order in the log, which is what compaction goes by, too.
    fn apply(&mut self, offset: GroupOffset, committed_ms: i64, at: i64) {
        let GroupOffset { group, partition, offset, leader_epoch, metadata } = offset;
        let known = self.groups.get(&group).and_then(|positions| positions.get(&partition));
        if known.is_some_and(|known| known.at > at) {
            return;
        }
        if let Some(offset) = offset {
            let position = Position { offset, leader_epoch, metadata, committed_ms, at };
            self.groups.entry(group).or_default().insert(partition, position);
        } else if let Some(positions) = self.groups.get_mut(&group) {
            positions.remove(&partition);
            if positions.is_empty() {
                self.groups.remove(&group);
            }
        }
    }

    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        self.groups.keys().cloned().collect()
    }

    pub(crate) fn of(&self, group: &str) -> Vec<GroupOffset> {
        self.with_times(group).into_iter().map(|(offset, _)| offset).collect()
    }

    /// What a group has committed, and when.
    pub(crate) fn with_times(&self, group: &str) -> Vec<(GroupOffset, i64)> {
        let Some((group, positions)) = self.groups.get_key_value(group) else { return Vec::new() };
        let entry = |(partition, position): (&TopicPartition, &Position)| {
            let offset = GroupOffset {
                group: group.clone(),
                partition: partition.clone(),
                offset: Some(position.offset),
                leader_epoch: position.leader_epoch,
                metadata: position.metadata.clone(),
            };
            (offset, position.committed_ms)
        };
        positions.iter().map(entry).collect()
    }

    /// Removals of all that groups have committed in a topic.
    pub(crate) fn removals_of_topic(&self, topic: &str) -> Vec<GroupOffset> {
        let mut removals = Vec::new();
        for (group, positions) in &self.groups {
            for partition in positions.keys().filter(|partition| partition.topic.as_ref() == topic) {
                let (group, partition) = (group.clone(), partition.clone());
                removals.push(GroupOffset {
                    group,
                    partition,
                    offset: None,
                    leader_epoch: None,
                    metadata: String::new(),
                });
            }
        }
        removals
    }
}

impl GroupPoint {
    fn new(offset: &GroupOffset, committed_ms: i64, at: i64) -> Self {
        Self {
            group: offset.group.to_string(),
            topic: offset.partition.topic.to_string(),
            partition: offset.partition.partition,
            offset: offset.offset.unwrap_or(-1),
            leader_epoch: offset.leader_epoch,
            metadata: offset.metadata.clone(),
            committed_ms,
            at,
        }
    }

    /// The offset; none is one that a transaction will take out.
    fn offset(&self) -> GroupOffset {
        GroupOffset {
            group: self.group.as_str().into(),
            partition: TopicPartition::new(self.topic.as_str(), self.partition),
            offset: Some(self.offset).filter(|offset| *offset >= 0),
            leader_epoch: self.leader_epoch,
            metadata: self.metadata.clone(),
        }
    }
}

/// The key and, unless it is removed, the value of the record that stores a committed offset.
pub(crate) fn encode(offset: &GroupOffset, now_ms: i64) -> Result<(Vec<u8>, Option<Vec<u8>>), Error> {
    let invalid = |reason| Error::InvalidGroupOffset { group: offset.group.to_string(), reason };
    let text = |out: &mut Vec<u8>, text: &str, reason| {
        let length = i16::try_from(text.len()).map_err(|_| invalid(reason))?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(text.as_bytes());
        Ok(())
    };
    let mut key = KEY_VERSION.to_be_bytes().to_vec();
    text(&mut key, &offset.group, "the name of the group is longer than 32767 bytes")?;
    text(&mut key, &offset.partition.topic, "the name of the topic is longer than 32767 bytes")?;
    key.extend_from_slice(&offset.partition.partition.to_be_bytes());
    let Some(position) = offset.offset else { return Ok((key, None)) };
    if position < 0 {
        return Err(invalid("the offset is negative"));
    }
    let mut value = VALUE_VERSION.to_be_bytes().to_vec();
    value.extend_from_slice(&position.to_be_bytes());
    value.extend_from_slice(&offset.leader_epoch.unwrap_or(NO_LEADER_EPOCH).to_be_bytes());
    text(&mut value, &offset.metadata, "the metadata is longer than 32767 bytes")?;
    value.extend_from_slice(&now_ms.to_be_bytes());
    Ok((key, Some(value)))
}

/// Reads a record of the offsets topic back, with the time of the commit; none for records of other kinds.
pub(crate) fn decode(key: &[u8], value: Option<&[u8]>) -> Option<(GroupOffset, i64)> {
    let mut key = Reader(key);
    if !matches!(i16::from_be_bytes(key.take()?), 0 | 1) {
        return None;
    }
    let group: Arc<str> = key.text()?.into();
    let topic = key.text()?;
    let partition = TopicPartition::new(topic, i32::from_be_bytes(key.take()?));
    let Some(value) = value else {
        return Some((GroupOffset { group, partition, offset: None, leader_epoch: None, metadata: String::new() }, 0));
    };
    let mut value = Reader(value);
    let version = i16::from_be_bytes(value.take()?);
    if !(0..=VALUE_VERSION).contains(&version) {
        return None;
    }
    let offset = Some(i64::from_be_bytes(value.take()?));
    let leader_epoch = if version == VALUE_VERSION { i32::from_be_bytes(value.take()?) } else { NO_LEADER_EPOCH };
    let leader_epoch = Some(leader_epoch).filter(|epoch| *epoch >= 0);
    let metadata = value.text()?.to_owned();
    let committed_ms = i64::from_be_bytes(value.take()?);
    Some((GroupOffset { group, partition, offset, leader_epoch, metadata }, committed_ms))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(i16::from_be_bytes(self.take()?)).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(offset: Option<i64>, metadata: &str) -> GroupOffset {
        let (partition, metadata) = (TopicPartition::new("orders", 3), metadata.to_owned());
        GroupOffset { group: "connect-lake".into(), partition, offset, leader_epoch: None, metadata }
    }

    #[test]
    fn a_committed_offset_has_kafkas_bytes_and_comes_back() {
        let (key, value) = encode(&offset(Some(42), "m"), 7).expect("valid");
        assert_eq!(key, b"\0\x01\0\x0cconnect-lake\0\x06orders\0\0\0\x03");
        let value = value.expect("not removed");
        assert_eq!(value, b"\0\x03\0\0\0\0\0\0\0\x2a\xff\xff\xff\xff\0\x01m\0\0\0\0\0\0\0\x07");
        assert_eq!(decode(&key, Some(&value)), Some((offset(Some(42), "m"), 7)));
        assert_eq!(decode(&key, None), Some((offset(None, ""), 0)));
        let with_epoch = GroupOffset { leader_epoch: Some(5), ..offset(Some(42), "m") };
        let (key, value) = encode(&with_epoch, 7).expect("valid");
        assert_eq!(value.as_ref().map(|value| &value[10..14]), Some(&[0, 0, 0, 5][..]));
        assert_eq!(decode(&key, value.as_deref()), Some((with_epoch, 7)));
    }

    #[test]
    fn a_removed_offset_is_gone_and_an_empty_group_with_it() {
        let mut groups = Groups::default();
        groups.apply(offset(Some(1), "a"), 1, 0);
        let second = GroupOffset { leader_epoch: Some(3), ..offset(Some(2), "b") };
        groups.apply(second.clone(), 2, 1);
        assert_eq!(groups.of("connect-lake"), [second]);
        assert_eq!(Groups::restore(&groups.points(), &[]).of("connect-lake"), groups.of("connect-lake"));
        groups.apply(offset(None, ""), 3, 2);
        assert!(groups.names().is_empty());
    }

    #[test]
    fn records_of_other_kinds_are_passed_over() {
        assert_eq!(decode(&[0, 2, 0, 1, b'g'], Some(&[0])), None);
        assert_eq!(decode(&[], None), None);
    }
}
