//! DescribeGroups: state and members of groups.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use kafka_protocol::protocol::StrBytes;
use towpath_log::GroupOffsets;

use crate::node::Node;

/// From this version on a group that does not exist is an error; before, it was dead.
const NOT_FOUND: i16 = 6;

pub(super) fn answer(node: &Node, request: DescribeGroupsRequest, version: i16) -> DescribeGroupsResponse {
    let groups = request.groups.into_iter().map(|group| describe(node, group, version)).collect();
    DescribeGroupsResponse::default().with_groups(groups)
}

fn describe(node: &Node, name: GroupId, version: i16) -> DescribedGroup {
    let answer = DescribedGroup::default().with_group_id(name.clone());
    let has_offsets = || !node.log.group_offsets(&name).is_empty();
    let described = match node.describe_group(&name).filter(|_| node.consumers.members(&name) == 0) {
        Some(described) if !described.members.is_empty() || !described.protocol_type.is_empty() => described,
        _ if has_offsets() => return answer.with_group_state(StrBytes::from_static_str("Empty")),
        _ => {
            let answer = answer.with_group_state(StrBytes::from_static_str("Dead"));
            return if version < NOT_FOUND { answer } else { answer.with_error_code(Code::GroupIdNotFound.code()) };
        }
    };
    let member = |member: crate::group::DescribedMember| {
        DescribedGroupMember::default()
            .with_member_id(StrBytes::from_string(member.member_id))
            .with_group_instance_id(member.instance.map(StrBytes::from_string))
            .with_client_id(StrBytes::from_string(member.client_id))
            .with_client_host(StrBytes::from_string(member.client_host))
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    };
    answer
        .with_group_state(StrBytes::from_string(described.state.name().to_owned()))
        .with_protocol_type(StrBytes::from_string(described.protocol_type))
        .with_protocol_data(StrBytes::from_string(described.protocol))
        .with_members(described.members.into_iter().map(member).collect())
}
