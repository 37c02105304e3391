//! OffsetFetch: how far groups have come.

use std::collections::HashMap;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use kafka_protocol::protocol::StrBytes;
use towpath_log::{GroupOffset, GroupOffsets};
use towpath_model::TopicPartition;

use crate::codes;
use crate::node::{Node, topic_name};

/// From this version on several groups may be asked for.
const SEVERAL: i16 = 8;
/// Before this version there was no way to ask for all partitions.
const ALL: i16 = 2;

/// What is known of a partition.
struct Position {
    index: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: StrBytes,
    /// A transaction may still change it.
    unstable: bool,
}

/// Topics with partitions.
type Positions = Vec<(String, Vec<Position>)>;

pub(super) fn answer(node: &Node, request: OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
    if version >= SEVERAL {
        let groups = request.groups.into_iter().map(|group| {
            // From version 9 on a member of the newer protocol says so, and one that is none any more learns it here.
            let member = group.member_id.as_ref().filter(|_| group.member_epoch >= 0);
            let stale = member.and_then(|id| node.consumers.may_commit(&group.group_id, id, group.member_epoch)?.err());
            if let Some(code) = stale {
                return OffsetFetchResponseGroup::default().with_group_id(group.group_id).with_error_code(code.code());
            }
            let wanted = group.topics.map(|topics| {
                topics.into_iter().map(|topic| (topic.name.to_string(), topic.partition_indexes)).collect()
            });
            let positions = positions(node, &group.group_id, wanted, request.require_stable);
            let topics = positions.into_iter().map(topics_of_several).collect();
            OffsetFetchResponseGroup::default().with_group_id(group.group_id).with_topics(topics)
        });
        return OffsetFetchResponse::default().with_groups(groups.collect());
    }
    let wanted = request.topics.map(|topics| {
        topics.into_iter().map(|topic| (topic.name.to_string(), topic.partition_indexes)).collect::<Vec<_>>()
    });
    let wanted = if version < ALL { Some(wanted.unwrap_or_default()) } else { wanted };
    let topic = |(name, partitions): (String, Vec<Position>)| {
        let partition = |position: Position| {
            OffsetFetchResponsePartition::default()
                .with_error_code(code(position.unstable))
                .with_partition_index(position.index)
                .with_committed_offset(position.offset)
                .with_committed_leader_epoch(position.leader_epoch)
                .with_metadata(Some(position.metadata))
        };
        let partitions = partitions.into_iter().map(partition).collect();
        OffsetFetchResponseTopic::default().with_name(topic_name(&name)).with_partitions(partitions)
    };
    let positions = positions(node, &request.group_id, wanted, request.require_stable);
    let topics = positions.into_iter().map(topic).collect();
    OffsetFetchResponse::default().with_topics(topics)
}

/// A client that wants to read from where others have come to must wait for what is being decided.
fn code(unstable: bool) -> i16 {
    if unstable { Code::UnstableOffsetCommit.code() } else { codes::NONE }
}

fn topics_of_several((name, partitions): (String, Vec<Position>)) -> OffsetFetchResponseTopics {
    let partition = |position: Position| {
        OffsetFetchResponsePartitions::default()
            .with_error_code(code(position.unstable))
            .with_partition_index(position.index)
            .with_committed_offset(position.offset)
            .with_committed_leader_epoch(position.leader_epoch)
            .with_metadata(Some(position.metadata))
    };
    let partitions = partitions.into_iter().map(partition).collect();
    OffsetFetchResponseTopics::default().with_name(topic_name(&name)).with_partitions(partitions)
}

fn positions(node: &Node, group: &str, wanted: Option<Vec<(String, Vec<i32>)>>, require_stable: bool) -> Positions {
    // Looked at first: what is decided in between is at least not missed.
    let pending = if require_stable { node.log.pending_offsets(group) } else { Vec::new() };
    let committed = node.log.group_offsets(group);
    let position = |index: i32, name: &TopicPartition, offset: Option<&GroupOffset>| {
        let unstable = pending.contains(name);
        let offset = offset.filter(|_| !unstable);
        Position {
            index,
            offset: offset.and_then(|offset| offset.offset).unwrap_or(-1),
            leader_epoch: offset.and_then(|offset| offset.leader_epoch).unwrap_or(-1),
            metadata: offset.map(|offset| StrBytes::from_string(offset.metadata.clone())).unwrap_or_default(),
            unstable,
        }
    };
    let Some(wanted) = wanted else {
        let mut topics: Positions = Vec::new();
        for offset in &committed {
            let position = position(offset.partition.partition, &offset.partition, Some(offset));
            match topics.last_mut().filter(|(name, _)| *name == *offset.partition.topic) {
                Some((_, positions)) => positions.push(position),
                None => topics.push((offset.partition.topic.to_string(), vec![position])),
            }
        }
        return topics;
    };
    let known: HashMap<&TopicPartition, &GroupOffset> =
        committed.iter().map(|offset| (&offset.partition, offset)).collect();
    let topic = |(name, partitions): (String, Vec<i32>)| {
        let of_partition = |index: i32| {
            let partition = TopicPartition::new(name.as_str(), index);
            position(index, &partition, known.get(&partition).copied())
        };
        let positions = partitions.into_iter().map(of_partition).collect();
        (name, positions)
    };
    wanted.into_iter().map(topic).collect()
}
