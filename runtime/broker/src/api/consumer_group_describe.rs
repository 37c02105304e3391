//! ConsumerGroupDescribe: groups of the newer protocol, with what their members have and are to have.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::consumer_group_describe_response::{Assignment, DescribedGroup, Member, TopicPartitions};
use kafka_protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, GroupId};
use kafka_protocol::protocol::StrBytes;

use super::consumer_group_heartbeat::by_topic;
use crate::group::consumer::{DescribedMember, Partitions};
use crate::node::{Node, topic_name};

/// The types of members: those of the classic protocol, where the group is on its way from one to the other, and those of the newer.
const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

pub(super) fn answer(node: &Node, request: ConsumerGroupDescribeRequest) -> ConsumerGroupDescribeResponse {
    let groups = request.group_ids.into_iter().map(|group| describe(node, group)).collect();
    ConsumerGroupDescribeResponse::default().with_groups(groups)
}

fn describe(node: &Node, name: GroupId) -> DescribedGroup {
    let answer = DescribedGroup::default().with_group_id(name.clone()).with_error_message(None);
    let Some(described) = node.consumers.describe(&name) else {
        let why = StrBytes::from_static_str("there is no such group of the consumer protocol");
        return answer.with_error_code(Code::GroupIdNotFound.code()).with_error_message(Some(why));
    };
    let member = |member: DescribedMember| {
        Member::default()
            .with_member_id(StrBytes::from_string(member.member_id))
            .with_instance_id(member.instance.map(StrBytes::from_string))
            .with_rack_id(member.rack.map(StrBytes::from_string))
            .with_member_epoch(member.epoch)
            .with_client_id(StrBytes::from_string(member.client_id))
            .with_client_host(StrBytes::from_string(member.client_host))
            .with_subscribed_topic_names(member.names.iter().map(|name| topic_name(name)).collect())
            .with_subscribed_topic_regex(member.regex.map(StrBytes::from_string))
            .with_assignment(assignment(node, &member.assigned))
            .with_target_assignment(assignment(node, &member.target))
            .with_member_type(if member.classic { CLASSIC } else { CONSUMER })
    };
    answer
        .with_group_state(StrBytes::from_static_str(described.state))
        .with_group_epoch(described.epoch)
        .with_assignment_epoch(described.target_epoch)
        .with_assignor_name(StrBytes::from_static_str(described.assignor))
        .with_members(described.members.into_iter().map(member).collect())
}

fn assignment(node: &Node, partitions: &Partitions) -> Assignment {
    let topic = |(id, partitions)| {
        let name = node.topic_ids.name(&node.log, id).unwrap_or_default();
        TopicPartitions::default().with_topic_id(id).with_topic_name(topic_name(&name)).with_partitions(partitions)
    };
    Assignment::default().with_topic_partitions(by_topic(partitions).into_iter().map(topic).collect())
}
