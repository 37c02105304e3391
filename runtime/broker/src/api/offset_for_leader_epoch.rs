//! OffsetForLeaderEpoch: where an epoch ends, so that a client notices when what it has read was cut off.

use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use towpath_model::TopicPartition;

use crate::codes;
use crate::node::Node;

pub(super) fn answer(node: &Node, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let name = TopicPartition::new(topic.topic.as_str(), asked.partition);
            let end = node.log.end_of_leader_epoch(&name, asked.leader_epoch);
            let answer =
                EpochEndOffset::default().with_partition(asked.partition).with_leader_epoch(-1).with_end_offset(-1);
            partitions.push(match (end, node.wrong_epoch(asked.current_leader_epoch)) {
                (Err(error), _) => answer.with_error_code(codes::of(&error).code()),
                (Ok(_), Some(wrong)) => answer.with_error_code(wrong.code()),
                (Ok(Some((epoch, end))), None) => answer.with_leader_epoch(epoch).with_end_offset(end),
                (Ok(None), None) => answer,
            });
        }
        topics.push(OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions));
    }
    OffsetForLeaderEpochResponse::default().with_topics(topics)
}
