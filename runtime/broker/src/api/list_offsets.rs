//! ListOffsets: the ends of a partition, and the first record at or after a time.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use towpath_log::{Error, Fetches};
use towpath_model::TopicPartition;

use crate::codes;
use crate::node::{LEADER_EPOCH, Node};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
/// The earliest that is not in tiered storage, of which there is none.
const EARLIEST_LOCAL: i64 = -4;
/// Before this version there was no room for an epoch.
const WITH_EPOCH: i16 = 4;
const NONE: (i64, i64) = (-1, -1);

pub(super) async fn answer(node: &Node, request: ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let name = TopicPartition::new(topic.name.as_str(), asked.partition_index);
            let answer = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
            partitions.push(if asked.current_leader_epoch > LEADER_EPOCH {
                answer.with_error_code(Code::UnknownLeaderEpoch.code()).with_offset(-1).with_timestamp(-1)
            } else {
                let found = find(node, &name, &asked).await;
                let (offset, timestamp) = *found.as_ref().unwrap_or(&NONE);
                let epoch = if offset >= 0 && version >= WITH_EPOCH { LEADER_EPOCH } else { -1 };
                let answer = answer.with_error_code(codes::number(&found)).with_leader_epoch(epoch);
                answer.with_offset(offset).with_timestamp(timestamp)
            });
        }
        topics.push(ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions));
    }
    ListOffsetsResponse::default().with_topics(topics)
}

/// An offset and, where a record was looked for, its timestamp.
async fn find(node: &Node, name: &TopicPartition, asked: &ListOffsetsPartition) -> Result<(i64, i64), Error> {
    let ends = node.log.offsets(name)?;
    match asked.timestamp {
        LATEST => Ok((ends.high_watermark, -1)),
        EARLIEST | EARLIEST_LOCAL => Ok((ends.start, -1)),
        MAX_TIMESTAMP => Ok(node.log.record_of_max_time(name).await?.unwrap_or(NONE)),
        time if time >= 0 => Ok(node.log.record_at_time(name, time).await?.unwrap_or(NONE)),
        _ => Ok(NONE),
    }
}
