//! OffsetForLeaderEpoch: where an epoch ends. There is one, and it ends where the partition does.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use towpath_log::Fetches;
use towpath_model::TopicPartition;

use crate::codes;
use crate::node::{LEADER_EPOCH, Node};

pub(super) fn answer(node: &Node, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let ends = node.log.offsets(&TopicPartition::new(topic.topic.as_str(), asked.partition));
            let answer =
                EpochEndOffset::default().with_partition(asked.partition).with_leader_epoch(-1).with_end_offset(-1);
            partitions.push(match ends {
                Err(error) => answer.with_error_code(codes::of(&error).code()),
                Ok(_) if asked.current_leader_epoch > LEADER_EPOCH => {
                    answer.with_error_code(Code::UnknownLeaderEpoch.code())
                }
                Ok(ends) if asked.leader_epoch == LEADER_EPOCH => {
                    answer.with_leader_epoch(LEADER_EPOCH).with_end_offset(ends.high_watermark)
                }
                Ok(_) => answer,
            });
        }
        topics.push(OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions));
    }
    OffsetForLeaderEpochResponse::default().with_topics(topics)
}
