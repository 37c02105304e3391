//! DescribeConfigs: every config of a topic with its value and where that comes from, and those of the broker that tools look for.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::DescribeConfigsResponse;
use kafka_protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::protocol::StrBytes;
use towpath_log::{Topic, Topics, topic_config_defaults};

use crate::node::{BROKER, Node};

pub(super) const TOPIC: i8 = 2;
const BROKER_RESOURCE: i8 = 4;
const FROM_TOPIC: i8 = 1;
const FROM_DEFAULT: i8 = 5;

/// A config of a resource.
pub(super) struct Config {
    pub(super) name: StrBytes,
    pub(super) value: StrBytes,
    pub(super) source: i8,
    default: StrBytes,
}

pub(super) fn answer(node: &Node, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let synonyms = request.include_synonyms;
    let results = request.resources.into_iter().map(|resource| describe(node, resource, synonyms)).collect();
    DescribeConfigsResponse::default().with_results(results)
}

/// The configs of a topic.
pub(super) fn of_topic(topic: &Topic) -> impl Iterator<Item = Config> {
    topic_config_defaults().map(|(name, default)| {
        let set = topic.configs.get(name);
        Config {
            name: StrBytes::from_static_str(name),
            value: set.map_or(StrBytes::from_static_str(default), |value| StrBytes::from_string(value.clone())),
            source: if set.is_some() { FROM_TOPIC } else { FROM_DEFAULT },
            default: StrBytes::from_static_str(default),
        }
    })
}

fn of_broker(node: &Node) -> impl Iterator<Item = Config> {
    let values = [
        ("auto.create.topics.enable", node.config.auto_create_topics.to_string()),
        ("broker.id", BROKER.0.to_string()),
        ("default.replication.factor", "1".into()),
        ("log.cleaner.enable", "true".into()),
        (
            "message.max.bytes",
            topic_config_defaults()
                .find(|(name, _)| *name == "max.message.bytes")
                .map_or("", |(_, default)| default)
                .into(),
        ),
        ("min.insync.replicas", "1".into()),
        ("offsets.topic.replication.factor", "1".into()),
        ("replication.factor.policy", if node.config.strict_replication { "strict" } else { "clamp" }.into()),
        ("socket.request.max.bytes", node.config.limits.produce_bytes.to_string()),
    ];
    values.into_iter().map(|(name, value)| {
        let value = StrBytes::from_string(value);
        Config { name: StrBytes::from_static_str(name), default: value.clone(), value, source: FROM_DEFAULT }
    })
}

fn describe(node: &Node, resource: DescribeConfigsResource, synonyms: bool) -> DescribeConfigsResult {
    let answer = DescribeConfigsResult::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name.clone());
    let refused = |code: Code, why: &'static str| {
        answer.clone().with_error_code(code.code()).with_error_message(Some(StrBytes::from_static_str(why)))
    };
    let this_broker = resource.resource_name.is_empty() || resource.resource_name.parse() == Ok(BROKER.0);
    let (configs, read_only): (Vec<Config>, bool) = match resource.resource_type {
        TOPIC => match node.log.topic(&resource.resource_name) {
            Some(topic) => (of_topic(&topic).collect(), node.is_protected(&topic)),
            None => return refused(Code::UnknownTopicOrPartition, "there is no such topic"),
        },
        BROKER_RESOURCE if this_broker => (of_broker(node).collect(), true),
        BROKER_RESOURCE => return refused(Code::InvalidRequest, "there is no such broker"),
        _ => return refused(Code::InvalidRequest, "topics and the broker have configs"),
    };
    let wanted = |config: &Config| resource.configuration_keys.as_ref().is_none_or(|keys| keys.contains(&config.name));
    let entry = |config: Config| {
        let synonym = |value: &StrBytes, source| {
            DescribeConfigsSynonym::default()
                .with_name(config.name.clone())
                .with_value(Some(value.clone()))
                .with_source(source)
        };
        let mut all = vec![synonym(&config.value, config.source)];
        if config.source != FROM_DEFAULT {
            all.push(synonym(&config.default, FROM_DEFAULT));
        }
        DescribeConfigsResourceResult::default()
            .with_name(config.name.clone())
            .with_value(Some(config.value.clone()))
            .with_read_only(read_only)
            .with_config_source(config.source)
            .with_synonyms(if synonyms { all } else { Vec::new() })
            .with_documentation(None)
    };
    answer.with_configs(configs.into_iter().filter(wanted).map(entry).collect())
}
