//! CreatePartitions: a topic grows, and keeps what it has where it is.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::CreatePartitionsResponse;
use kafka_protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::protocol::StrBytes;
use towpath_log::Topics;

use crate::codes;
use crate::node::Node;

pub(super) async fn answer(node: &Node, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let answer = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
        results.push(match grow(node, &topic, request.validate_only).await {
            Ok(()) => answer.with_error_message(None),
            Err((code, why)) => {
                answer.with_error_code(code.code()).with_error_message(Some(StrBytes::from_string(why)))
            }
        });
    }
    CreatePartitionsResponse::default().with_results(results)
}

async fn grow(node: &Node, wanted: &CreatePartitionsTopic, validate_only: bool) -> Result<(), (Code, String)> {
    let topic = node.log.topic(wanted.name.as_str());
    let topic = topic.ok_or_else(|| (Code::UnknownTopicOrPartition, "there is no such topic".to_owned()))?;
    if node.is_protected(&topic) {
        return Err((Code::TopicAuthorizationFailed, format!("{} is the runtime's own", topic.name)));
    }
    if wanted.count <= topic.partitions {
        return Err((Code::InvalidPartitions, format!("the topic has {} partitions already", topic.partitions)));
    }
    if validate_only {
        return Ok(());
    }
    let grown = node.log.grow_topic(&topic.name, wanted.count).await;
    grown.map(|_| ()).map_err(|error| (codes::of(&error), error.to_string()))
}
