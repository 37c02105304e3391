//! ListOffsets: the ends of a partition, and the first record at or after a time.

use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use towpath_log::{Ends, Error};
use towpath_model::TopicPartition;

use super::fetch::READ_COMMITTED;
use crate::codes;
use crate::node::Node;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
/// The earliest that is not in tiered storage, of which there is none.
const EARLIEST_LOCAL: i64 = -4;
/// Before this version there was no room for an epoch.
const WITH_EPOCH: i16 = 4;
const NONE: (i64, i64) = (-1, -1);

pub(super) async fn answer(node: &Node, request: ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
    let committed = request.isolation_level == READ_COMMITTED;
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let name = TopicPartition::new(topic.name.as_str(), asked.partition_index);
            let answer = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
            partitions.push(if let Some(wrong) = node.wrong_epoch(asked.current_leader_epoch) {
                answer.with_error_code(wrong.code()).with_offset(-1).with_timestamp(-1)
            } else {
                let found = find(node, &name, &asked, committed).await;
                let (offset, timestamp) = *found.as_ref().unwrap_or(&NONE);
                let epoch =
                    if offset >= 0 && version >= WITH_EPOCH { node.log.leader_epoch_at(&name, offset) } else { -1 };
                let answer = answer.with_error_code(codes::number(&found)).with_leader_epoch(epoch);
                answer.with_offset(offset).with_timestamp(timestamp)
            });
        }
        topics.push(ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions));
    }
    ListOffsetsResponse::default().with_topics(topics)
}

/// An offset and, where a record was looked for, its timestamp.
async fn find(
    node: &Node,
    name: &TopicPartition,
    asked: &ListOffsetsPartition,
    committed: bool,
) -> Result<(i64, i64), Error> {
    let Ends { start, last_stable, high_watermark } = node.log.ends(name)?;
    let end = if committed { last_stable } else { high_watermark };
    let within = |found: Option<(i64, i64)>| found.filter(|(offset, _)| *offset < end).unwrap_or(NONE);
    match asked.timestamp {
        LATEST => Ok((end, -1)),
        EARLIEST | EARLIEST_LOCAL => Ok((start, -1)),
        MAX_TIMESTAMP => node.log.record_of_max_time(name).await.map(within),
        time if time >= 0 => node.log.record_at_time(name, time).await.map(within),
        _ => Ok(NONE),
    }
}
