//! AlterConfigs, the older one: what is not named goes back to its default.

use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use towpath_log::Topic;

use super::alter::{Changes, alter};
use crate::node::Node;

pub(super) async fn answer(node: &Node, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let of = (resource.resource_type, resource.resource_name.as_str());
        let (code, why) = alter(node, of, request.validate_only, |topic| Ok(replaced(topic, &resource))).await;
        let response = AlterConfigsResourceResponse::default().with_error_code(code).with_error_message(why);
        responses.push(response.with_resource_type(resource.resource_type).with_resource_name(resource.resource_name));
    }
    AlterConfigsResponse::default().with_responses(responses)
}

fn replaced(topic: &Topic, resource: &AlterConfigsResource) -> Changes {
    let mut changes: Changes = topic.configs.keys().map(|key| (key.clone(), None)).collect();
    let given = resource.configs.iter();
    changes.extend(given.map(|config| (config.name.to_string(), config.value.as_ref().map(ToString::to_string))));
    changes
}
