//! AlterConfigs, the older one: what is not named goes back to its default.

use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::incremental_alter_configs::{Changes, alter, topic_to_alter};
use crate::codes;
use crate::node::Node;

pub(super) async fn answer(node: &Node, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let changed = match topic_to_alter(node, resource.resource_type, &resource.resource_name) {
            Ok(topic) => {
                let mut changes: Changes = topic.configs.keys().map(|key| (key.clone(), None)).collect();
                let given = |value: StrBytes| value.to_string();
                changes.extend(
                    resource.configs.into_iter().map(|config| (config.name.to_string(), config.value.map(given))),
                );
                alter(node, &topic, changes, request.validate_only).await
            }
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
    AlterConfigsResponse::default().with_responses(responses)
}
