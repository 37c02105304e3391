//! IncrementalAlterConfigs: configs of topics one by one; what is not named stays.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use towpath_log::{Topic, topic_config_defaults};

use super::alter::{Changes, Refused, alter};
use crate::node::Node;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(super) async fn answer(node: &Node, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let of = (resource.resource_type, resource.resource_name.as_str());
        let (code, why) = alter(node, of, request.validate_only, |topic| changes(topic, &resource)).await;
        let response = AlterConfigsResourceResponse::default().with_error_code(code).with_error_message(why);
        responses.push(response.with_resource_type(resource.resource_type).with_resource_name(resource.resource_name));
    }
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

fn changes(topic: &Topic, resource: &AlterConfigsResource) -> Result<Changes, Refused> {
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

fn changed(topic: &Topic, config: &AlterableConfig) -> Result<Option<String>, Refused> {
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
