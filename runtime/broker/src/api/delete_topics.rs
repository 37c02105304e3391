//! DeleteTopics, by name or by id.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::DeleteTopicsResponse;
use kafka_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::protocol::StrBytes;
use towpath_log::Topics;

use crate::codes;
use crate::node::{Node, topic_name};

/// From this version on topics may be named by id.
const BY_ID: i16 = 6;

pub(super) async fn answer(node: &Node, request: DeleteTopicsRequest, version: i16) -> DeleteTopicsResponse {
    let named = |name| DeleteTopicState::default().with_name(Some(name));
    let wanted = if version < BY_ID { request.topic_names.into_iter().map(named).collect() } else { request.topics };
    let mut responses = Vec::with_capacity(wanted.len());
    for topic in wanted {
        let answer = DeletableTopicResult::default().with_name(topic.name.clone()).with_topic_id(topic.topic_id);
        responses.push(match delete(node, &topic).await {
            Ok((name, id)) => answer.with_name(Some(topic_name(&name))).with_topic_id(id),
            Err((code, why)) => {
                answer.with_error_code(code.code()).with_error_message(Some(StrBytes::from_string(why)))
            }
        });
    }
    DeleteTopicsResponse::default().with_responses(responses)
}

async fn delete(node: &Node, wanted: &DeleteTopicState) -> Result<(String, uuid::Uuid), (Code, String)> {
    let name = wanted.name.as_ref().map_or("", |name| name.as_str());
    let unknown = if wanted.topic_id.is_nil() { Code::UnknownTopicOrPartition } else { Code::UnknownTopicId };
    let topic = node.topic_by(wanted.topic_id, name).ok_or_else(|| (unknown, "there is no such topic".to_owned()))?;
    if node.is_protected(&topic) {
        return Err((Code::TopicAuthorizationFailed, format!("{} is the runtime's own", topic.name)));
    }
    // Whoever commits offsets in between would bring those of the topic back.
    let _alone = node.commits.write().await;
    node.log.delete_topic(&topic.name).await.map_err(|error| (codes::of(&error), error.to_string()))?;
    Ok((topic.name.to_string(), topic.id))
}
