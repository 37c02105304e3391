//! CreateTopics. More replicas than there are brokers become one, so that tools made for clusters work; a warning says so. Where the
//! policy is strict they are refused.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::CreateTopicsResponse;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::protocol::StrBytes;
use towpath_log::{NewTopic, Topic, Topics};

use super::describe_configs;
use crate::codes;
use crate::node::Node;

const REPLICAS: i16 = 1;

pub(super) async fn answer(node: &Node, request: CreateTopicsRequest, version: i16) -> CreateTopicsResponse {
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = topic.name.clone();
        let twice = names.iter().filter(|other| **other == name).count() > 1;
        let created = if twice {
            Err((Code::InvalidRequest, "the topic stands in the request more than once".to_owned()))
        } else {
            create(node, topic, request.validate_only).await
        };
        topics.push(match created {
            Ok(topic) => {
                let answer = CreatableTopicResult::default().with_name(name).with_topic_id(topic.id);
                // Before version 5 there was no room for what was made.
                if version < 5 { answer } else { described(answer, &topic) }
            }
            Err((code, why)) => CreatableTopicResult::default()
                .with_name(name)
                .with_error_code(code.code())
                .with_error_message(Some(StrBytes::from_string(why))),
        });
    }
    CreateTopicsResponse::default().with_topics(topics)
}

fn described(answer: CreatableTopicResult, topic: &Topic) -> CreatableTopicResult {
    let config = |config: describe_configs::Config| {
        CreatableTopicConfigs::default()
            .with_name(config.name)
            .with_value(Some(config.value))
            .with_config_source(config.source)
    };
    answer
        .with_num_partitions(topic.partitions)
        .with_replication_factor(REPLICAS)
        .with_configs(Some(describe_configs::of_topic(topic).map(config).collect()))
}

async fn create(node: &Node, wanted: CreatableTopic, validate_only: bool) -> Result<Topic, (Code, String)> {
    let name = wanted.name.as_str().to_owned();
    if wanted.replication_factor == 0 || wanted.replication_factor < -1 {
        return Err((Code::InvalidReplicationFactor, "the replication factor is at least 1".into()));
    }
    if !wanted.assignments.is_empty() && (wanted.num_partitions != -1 || wanted.replication_factor != -1) {
        return Err((Code::InvalidRequest, "partitions are either assigned or counted".into()));
    }
    let assigned = i32::try_from(wanted.assignments.len()).ok().filter(|assigned| *assigned > 0);
    let replicas = wanted.assignments.iter().map(|partition| partition.broker_ids.len()).max().unwrap_or(1);
    if wanted.replication_factor > REPLICAS || replicas > 1 {
        if node.config.strict_replication {
            let why = "there is one broker, and replication.factor.policy=strict refuses more than one replica";
            return Err((Code::InvalidReplicationFactor, why.into()));
        }
        tracing::warn!(topic = name, "there is one broker, so the topic gets one replica");
    }
    let configs =
        wanted.configs.into_iter().filter_map(|config| Some((config.name.to_string(), config.value?.to_string())));
    let counted = Some(wanted.num_partitions).filter(|partitions| *partitions != -1);
    let new = NewTopic {
        partitions: assigned.or(counted).or(Some(node.config.num_partitions)),
        configs: configs.collect::<BTreeMap<_, _>>(),
        name,
    };
    let checked = node.log.check_topic(&new);
    if checked.as_ref().is_ok_and(|topic| node.is_protected(topic)) {
        return Err((Code::TopicAuthorizationFailed, format!("{} is the runtime's own", new.name)));
    }
    let made = if validate_only { checked } else { node.log.create_topic(new).await };
    made.map_err(|error| (codes::of(&error), error.to_string()))
}
