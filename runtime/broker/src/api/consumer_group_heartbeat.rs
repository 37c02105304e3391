//! ConsumerGroupHeartbeat: a member of the newer protocol says what it reads and has, and is told what it is to have.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::call::Call;
use crate::group::consumer::{Beat, Partitions};
use crate::node::Node;

pub(super) fn answer(
    node: &Node,
    call: &Call,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    let refused = |(code, why): (Code, &'static str)| {
        ConsumerGroupHeartbeatResponse::default()
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_static_str(why)))
    };
    let group = request.group_id.to_string();
    if group.is_empty() {
        return refused((Code::InvalidGroupId, "the group has no name"));
    }
    if let Err(code) = node.may_change_group(&group, Code::GroupAuthorizationFailed) {
        return refused((code, "the group is that of a sink of the worker"));
    }
    match node.consumers.beat(&group, beat(node, call, request), &node.log) {
        Err(why) => refused(why),
        Ok(told) => ConsumerGroupHeartbeatResponse::default()
            .with_error_message(None)
            .with_member_id(Some(StrBytes::from_string(told.member_id)))
            .with_member_epoch(told.epoch)
            .with_heartbeat_interval_ms(i32::try_from(node.config.consumer_heartbeat.as_millis()).unwrap_or(i32::MAX))
            .with_assignment(told.assigned.map(|assigned| {
                let topic =
                    |(topic, partitions)| TopicPartitions::default().with_topic_id(topic).with_partitions(partitions);
                Assignment::default().with_topic_partitions(by_topic(&assigned).into_iter().map(topic).collect())
            })),
    }
}

/// Partitions, topic by topic.
pub(super) fn by_topic(partitions: &Partitions) -> BTreeMap<Uuid, Vec<i32>> {
    let mut topics: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    partitions.iter().for_each(|(topic, partition)| topics.entry(*topic).or_default().push(*partition));
    topics
}

fn beat(node: &Node, call: &Call, request: ConsumerGroupHeartbeatRequest) -> Beat {
    let text = |text: StrBytes| text.to_string();
    // The first version leaves the choice of an id to the broker.
    let member_id = match request.member_id.is_empty() {
        true => node.fresh_id(&call.client_id),
        false => request.member_id.to_string(),
    };
    let owned = request.topic_partitions.map(|topics| {
        let of_topic = |topic: kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions| {
            let id = topic.topic_id;
            topic.partitions.into_iter().map(move |partition| (id, partition))
        };
        topics.into_iter().flat_map(of_topic).collect()
    });
    Beat {
        member_id,
        epoch: request.member_epoch,
        instance: request.instance_id.map(text),
        rack: request.rack_id.map(text),
        client_id: call.client_id.to_string(),
        client_host: format!("/{}", call.origin.peer.ip()),
        rebalance: u64::try_from(request.rebalance_timeout_ms).ok().map(Duration::from_millis),
        names: request.subscribed_topic_names.map(|names| names.iter().map(|name| name.to_string()).collect()),
        regex: request.subscribed_topic_regex.map(text),
        assignor: request.server_assignor.map(text),
        owned,
        classic: None,
    }
}
