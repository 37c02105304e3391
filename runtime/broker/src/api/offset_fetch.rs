//! OffsetFetch: how far groups have come.

use std::collections::HashMap;

use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use kafka_protocol::protocol::StrBytes;
use towpath_log::{GroupOffset, GroupOffsets};
use towpath_model::TopicPartition;

use crate::node::{Node, topic_name};

/// From this version on several groups may be asked for.
const SEVERAL: i16 = 8;
/// Before this version there was no way to ask for all partitions.
const ALL: i16 = 2;

/// Topics with partitions; each with its offset and metadata.
type Positions = Vec<(String, Vec<(i32, i64, String)>)>;

pub(super) fn answer(node: &Node, request: OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
    if version >= SEVERAL {
        let groups = request.groups.into_iter().map(|group| {
            let wanted = group.topics.map(|topics| {
                topics.into_iter().map(|topic| (topic.name.to_string(), topic.partition_indexes)).collect()
            });
            let topics = positions(node, &group.group_id, wanted).into_iter().map(topics_of_several).collect();
            OffsetFetchResponseGroup::default().with_group_id(group.group_id).with_topics(topics)
        });
        return OffsetFetchResponse::default().with_groups(groups.collect());
    }
    let wanted = request.topics.map(|topics| {
        topics.into_iter().map(|topic| (topic.name.to_string(), topic.partition_indexes)).collect::<Vec<_>>()
    });
    let wanted = if version < ALL { Some(wanted.unwrap_or_default()) } else { wanted };
    let topic = |(name, partitions): (String, Vec<(i32, i64, String)>)| {
        let partition = |(index, offset, metadata)| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_metadata(Some(StrBytes::from_string(metadata)))
        };
        let partitions = partitions.into_iter().map(partition).collect();
        OffsetFetchResponseTopic::default().with_name(topic_name(&name)).with_partitions(partitions)
    };
    let topics = positions(node, &request.group_id, wanted).into_iter().map(topic).collect();
    OffsetFetchResponse::default().with_topics(topics)
}

fn topics_of_several((name, partitions): (String, Vec<(i32, i64, String)>)) -> OffsetFetchResponseTopics {
    let partition = |(index, offset, metadata)| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_metadata(Some(StrBytes::from_string(metadata)))
    };
    let partitions = partitions.into_iter().map(partition).collect();
    OffsetFetchResponseTopics::default().with_name(topic_name(&name)).with_partitions(partitions)
}

fn positions(node: &Node, group: &str, wanted: Option<Vec<(String, Vec<i32>)>>) -> Positions {
    let committed = node.log.group_offsets(group);
    let Some(wanted) = wanted else { return all(committed) };
    let known: HashMap<TopicPartition, GroupOffset> =
        committed.into_iter().map(|offset| (offset.partition.clone(), offset)).collect();
    let topic = |(name, partitions): (String, Vec<i32>)| {
        let position = |index: i32| match known.get(&TopicPartition::new(name.as_str(), index)) {
            Some(offset) => (index, offset.offset.unwrap_or(-1), offset.metadata.clone()),
            None => (index, -1, String::new()),
        };
        let positions = partitions.into_iter().map(position).collect();
        (name, positions)
    };
    wanted.into_iter().map(topic).collect()
}

fn all(committed: Vec<GroupOffset>) -> Positions {
    let mut topics: Positions = Vec::new();
    for GroupOffset { partition, offset, metadata, .. } in committed {
        let position = (partition.partition, offset.unwrap_or(-1), metadata);
        match topics.last_mut().filter(|(name, _)| *name == *partition.topic) {
            Some((_, positions)) => positions.push(position),
            None => topics.push((partition.topic.to_string(), vec![position])),
        }
    }
    topics
}
