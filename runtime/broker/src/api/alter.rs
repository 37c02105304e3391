//! Configs of a topic change, or it is said why they cannot: what both APIs that alter configs do.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::protocol::StrBytes;
use towpath_log::{Topic, Topics};

use super::describe_configs::TOPIC;
use crate::codes;
use crate::node::Node;

/// What configs become; none takes one back to its default.
pub(super) type Changes = BTreeMap<String, Option<String>>;

/// Why something is refused, with words.
pub(super) type Refused = (Code, String);

/// Alters configs of a topic, or only says whether they could be. Gives the error's number and words.
pub(super) async fn alter(
    node: &Node,
    (resource_type, name): (i8, &str),
    validate_only: bool,
    changes: impl FnOnce(&Topic) -> Result<Changes, Refused>,
) -> (i16, Option<StrBytes>) {
    let altered = match topic_to_alter(node, resource_type, name) {
        Ok(topic) => match changes(&topic) {
            Ok(changes) => apply(node, &topic, changes, validate_only).await,
            Err(refused) => Err(refused),
        },
        Err(refused) => Err(refused),
    };
    altered.map_or_else(|(code, why)| (code.code(), Some(StrBytes::from_string(why))), |()| (codes::NONE, None))
}

fn topic_to_alter(node: &Node, resource_type: i8, name: &str) -> Result<Topic, Refused> {
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

async fn apply(node: &Node, topic: &Topic, changes: Changes, validate_only: bool) -> Result<(), Refused> {
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
