//! IncrementalAlterConfigs: configs of topics one by one; what is not named stays.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use kafka_protocol::protocol::StrBytes;
use towpath_log::{Topic, Topics, topic_config_defaults};

use super::describe_configs::TOPIC;
use crate::codes;
use crate::node::Node;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// What configs become; none takes one back to its default.
pub(super) type Changes = BTreeMap<String, Option<String>>;

pub(super) async fn answer(node: &Node, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let changed = match topic_to_alter(node, resource.resource_type, &resource.resource_name) {
            Ok(topic) => match changes(&topic, &resource) {
                Ok(changes) => alter(node, &topic, changes, request.validate_only).await,
                Err(refused) => Err(refused),
            },
            Err(refused) => Err(refused),
        };
        let (code, why) = changed.map_or_else(|(code, why)| (code.code(), Some(why)), |()| (codes::NONE, None));
        responses.push(
            AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name)
                .with_error_code(code)
                .with_error_message(why.map(StrBytes::from_string)),
        );
    }
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

/// The topic whose configs a client wants to alter, if it may.
pub(super) fn topic_to_alter(node: &Node, resource_type: i8, name: &str) -> Result<Topic, (Code, String)> {
    if resource_type != TOPIC {
        return Err((Code::InvalidRequest, "configs of topics can be altered".into()));
    }
    let topic =
        node.log.topic(name).ok_or_else(|| (Code::UnknownTopicOrPartition, "there is no such topic".to_owned()))?;
    if node.is_protected(&topic) {
        return Err((Code::TopicAuthorizationFailed, format!("{name} is the runtime's own")));
    }
    Ok(topic)
}

/// Alters configs, or only says whether they could be.
pub(super) async fn alter(
    node: &Node,
    topic: &Topic,
    changes: Changes,
    validate_only: bool,
) -> Result<(), (Code, String)> {
    let altered = if validate_only {
        let mut configs = topic.configs.clone();
        for (key, value) in changes {
            match value {
                Some(value) => configs.insert(key, value),
                None => configs.remove(&key),
            };
        }
        node.log.check_configs(&configs)
    } else {
        node.log.alter_topic(&topic.name, changes).await.map(|_| ())
    };
    altered.map_err(|error| (codes::of(&error), error.to_string()))
}

fn changes(topic: &Topic, resource: &AlterConfigsResource) -> Result<Changes, (Code, String)> {
    let mut changes = Changes::new();
    for config in &resource.configs {
        let name = config.name.to_string();
        let value = changed(topic, config)?;
        if changes.insert(name, value).is_some() {
            return Err((Code::InvalidRequest, format!("{} is altered more than once", config.name)));
        }
    }
    Ok(changes)
}

fn changed(topic: &Topic, config: &AlterableConfig) -> Result<Option<String>, (Code, String)> {
    let given = || {
        let missing = || (Code::InvalidRequest, format!("{} has no value", config.name));
        config.value.as_ref().map(ToString::to_string).ok_or_else(missing)
    };
    let now = || {
        let default = topic_config_defaults().find(|(name, _)| *name == config.name.as_str());
        let value = topic.configs.get(config.name.as_str()).cloned();
        let value = value.unwrap_or_else(|| default.map_or("", |(_, value)| value).to_owned());
        value.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect::<Vec<_>>()
    };
    let is_list = matches!(
        config.name.as_str(),
        "cleanup.policy" | "leader.replication.throttled.replicas" | "follower.replication.throttled.replicas"
    );
    match config.config_operation {
        SET => given().map(Some),
        DELETE => Ok(None),
        APPEND | SUBTRACT if !is_list => Err((Code::InvalidConfig, format!("{} is no list", config.name))),
        APPEND => {
            let mut all = now();
            all.extend(
                given()?
                    .split(',')
                    .map(str::trim)
                    .filter(|part| !now().iter().any(|there| there == part))
                    .map(String::from),
            );
            Ok(Some(all.join(",")))
        }
        SUBTRACT => {
            let gone = given()?;
            let stays = |part: &String| !gone.split(',').any(|gone| gone.trim() == part);
            Ok(Some(now().into_iter().filter(stays).collect::<Vec<_>>().join(",")))
        }
        _ => Err((Code::InvalidRequest, "there is no such operation".into())),
    }
}
