//! DescribeTopicPartitions: topics with their partitions, in pages; a cursor says where the next one begins.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
use towpath_log::Topics;

use crate::node::{BROKER, Node, topic_name};

/// Partitions of a page, whatever the client wants.
const PAGE_MAX: i32 = 2_000;

pub(super) fn answer(node: &Node, request: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let mut names: Vec<String> = match request.topics.is_empty() {
        true => node.log.topics().iter().map(|topic| topic.name.to_string()).collect(),
        false => request.topics.iter().map(|topic| topic.name.to_string()).collect(),
    };
    names.sort();
    names.dedup();
    let begin = request.cursor.map(|cursor| (cursor.topic_name.to_string(), cursor.partition_index));
    let mut left = request.response_partition_limit.clamp(1, PAGE_MAX);
    let mut topics = Vec::new();
    for name in names {
        let first = match &begin {
            Some((topic, _)) if name < *topic => continue,
            Some((topic, partition)) if name == *topic => (*partition).max(0),
            _ => 0,
        };
        if left == 0 {
            let next = Cursor::default().with_topic_name(topic_name(&name)).with_partition_index(0);
            return DescribeTopicPartitionsResponse::default().with_topics(topics).with_next_cursor(Some(next));
        }
        let answer = DescribeTopicPartitionsResponseTopic::default().with_name(Some(topic_name(&name)));
        let Some(topic) = node.log.topic(&name) else {
            topics.push(answer.with_error_code(Code::UnknownTopicOrPartition.code()));
            continue;
        };
        let until = topic.partitions.min(first.saturating_add(left));
        left -= (until - first).max(0);
        let partitions = (first..until).map(|index| partition(node, index)).collect();
        topics.push(answer.with_topic_id(topic.id).with_is_internal(topic.internal).with_partitions(partitions));
        if until < topic.partitions {
            let next = Cursor::default().with_topic_name(topic_name(&name)).with_partition_index(until);
            return DescribeTopicPartitionsResponse::default().with_topics(topics).with_next_cursor(Some(next));
        }
    }
    DescribeTopicPartitionsResponse::default().with_topics(topics).with_next_cursor(None)
}

fn partition(node: &Node, index: i32) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(index)
        .with_leader_id(BROKER)
        .with_leader_epoch(node.log.leader_epoch())
        .with_replica_nodes(vec![BROKER])
        .with_isr_nodes(vec![BROKER])
        // Null is allowed, and yet the Java client does not expect it.
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()))
}
