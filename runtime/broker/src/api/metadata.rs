//! Metadata: the one broker, and topics with their partitions; creates what a client asks for and may create.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse};
use towpath_log::{NewTopic, Topic, Topics};

use crate::call::Call;
use crate::codes;
use crate::node::{BROKER, Node, topic_name};

pub(super) async fn answer(node: &Node, call: &Call, request: MetadataRequest) -> MetadataResponse {
    // Before version 1 an empty list asked for all topics.
    let all = |wanted: &Vec<MetadataRequestTopic>| call.version == 0 && wanted.is_empty();
    let topics = match request.topics {
        Some(wanted) if !all(&wanted) => {
            let create = node.config.auto_create_topics && (call.version < 4 || request.allow_auto_topic_creation);
            let mut topics = Vec::with_capacity(wanted.len());
            for topic in wanted {
                topics.push(described(node, topic, create).await);
            }
            topics
        }
        _ => node.log.topics().iter().map(|topic| description(node, topic)).collect(),
    };
    let (host, port) = call.origin.endpoint();
    MetadataResponse::default()
        .with_brokers(vec![MetadataResponseBroker::default().with_node_id(BROKER).with_host(host).with_port(port)])
        .with_cluster_id(Some(node.cluster_id.clone()))
        .with_controller_id(BROKER)
        .with_topics(topics)
}

async fn described(node: &Node, wanted: MetadataRequestTopic, create: bool) -> MetadataResponseTopic {
    let name = wanted.name.as_ref().map_or("", |name| name.as_str()).to_owned();
    if let Some(topic) = node.topic_by(wanted.topic_id, &name) {
        return description(node, &topic);
    }
    let missing = |code: Code| {
        MetadataResponseTopic::default()
            .with_name(wanted.name.clone())
            .with_topic_id(wanted.topic_id)
            .with_error_code(code.code())
    };
    if !wanted.topic_id.is_nil() {
        return missing(Code::UnknownTopicId);
    }
    if !create {
        return missing(Code::UnknownTopicOrPartition);
    }
    let new = NewTopic { name, partitions: Some(node.config.num_partitions), ..NewTopic::default() };
    if node.log.check_topic(&new).is_ok_and(|topic| node.is_protected(&topic)) {
        return missing(Code::TopicAuthorizationFailed);
    }
    match node.log.create_topic(new).await {
        Ok(topic) => description(node, &topic),
        // Someone else was quicker.
        Err(towpath_log::Error::TopicExists(_)) => missing(Code::LeaderNotAvailable),
        Err(error) => missing(codes::of(&error)),
    }
}

fn description(node: &Node, topic: &Topic) -> MetadataResponseTopic {
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(BROKER)
            .with_leader_epoch(node.log.leader_epoch())
            .with_replica_nodes(vec![BROKER])
            .with_isr_nodes(vec![BROKER])
    };
    MetadataResponseTopic::default()
        .with_name(Some(topic_name(&topic.name)))
        .with_topic_id(topic.id)
        .with_is_internal(topic.internal)
        .with_partitions((0..topic.partitions).map(partition).collect())
}
