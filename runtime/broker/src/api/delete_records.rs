//! DeleteRecords: the start of partitions moves up; durable when answered.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use towpath_log::Topics;
use towpath_model::TopicPartition;

use crate::codes;
use crate::node::Node;

/// Asks for everything to go.
const TO_THE_END: i64 = -1;

pub(super) async fn answer(node: &Node, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in topic.partitions {
            let answer = DeleteRecordsPartitionResult::default().with_partition_index(wanted.partition_index);
            let name = TopicPartition::new(topic.name.as_str(), wanted.partition_index);
            partitions.push(match delete(node, &name, wanted.offset).await {
                Ok(start) => answer.with_low_watermark(start),
                Err(code) => answer.with_low_watermark(-1).with_error_code(code.code()),
            });
        }
        topics.push(DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions));
    }
    DeleteRecordsResponse::default().with_topics(topics)
}

async fn delete(node: &Node, name: &TopicPartition, offset: i64) -> Result<i64, Code> {
    let topic = node.log.topic(&name.topic).ok_or(Code::UnknownTopicOrPartition)?;
    if node.is_protected(&topic) {
        return Err(Code::TopicAuthorizationFailed);
    }
    // What compaction alone shortens holds the last word on every key.
    if topic.configs.get("cleanup.policy").is_some_and(|policy| !policy.contains("delete")) {
        return Err(Code::PolicyViolation);
    }
    let before = Some(offset).filter(|offset| *offset != TO_THE_END);
    node.log.delete_records(name, before).await.map_err(|error| codes::of(&error))
}
