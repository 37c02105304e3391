//! JoinGroup: a member enters a group, or enters its next generation. Answered when all have.

use std::time::Duration;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;

use crate::call::Call;
use crate::group::{Answer, Event, Join, Joined};
use crate::node::Node;

/// From this version on a new member gets an id first and joins with it.
const ID_REQUIRED: i16 = 4;
/// From this version on a leader can be told to leave the assignment alone.
const SKIP_ASSIGNMENT: i16 = 9;
/// From this version on the protocol may be null.
const NULL_PROTOCOL: i16 = 7;
const SESSION_MS_MAX: i32 = 1_800_000;

pub(super) async fn answer(node: &Node, call: &Call, request: JoinGroupRequest) -> JoinGroupResponse {
    let given = request.member_id.to_string();
    if request.group_id.is_empty() {
        return refused(call, Code::InvalidGroupId, given);
    }
    if let Err(code) = node.may_change_group(&request.group_id, Code::GroupAuthorizationFailed) {
        return refused(call, code, given);
    }
    if !(1..=SESSION_MS_MAX).contains(&request.session_timeout_ms) {
        return refused(call, Code::InvalidSessionTimeout, given);
    }
    let ms = |value: i32| Duration::from_millis(u64::try_from(value).unwrap_or(0));
    let instance = request.group_instance_id.as_ref().map(ToString::to_string);
    // Before version 1 there was one time for both.
    let rebalance_ms = if call.version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
    let join = Join {
        fresh_id: node.fresh_id(instance.as_deref().unwrap_or(&call.client_id)),
        member_id: given.clone(),
        instance,
        client_id: call.client_id.to_string(),
        client_host: format!("/{}", call.origin.peer.ip()),
        session: ms(request.session_timeout_ms),
        rebalance: ms(rebalance_ms),
        protocol_type: request.protocol_type.to_string(),
        protocols: request
            .protocols
            .into_iter()
            .map(|protocol| (protocol.name.to_string(), protocol.metadata))
            .collect(),
        id_required: call.version >= ID_REQUIRED,
    };
    match node.consumers.ask(&request.group_id, |token| Event::Join(token, join), &node.log).await {
        Ok(Answer::Joined(joined)) => response(call, joined),
        Ok(Answer::JoinRefused(code, member_id)) => refused(call, code, member_id),
        Ok(_) => refused(call, Code::UnknownServerError, given),
        Err(code) => refused(call, code, given),
    }
}

fn response(call: &Call, joined: Joined) -> JoinGroupResponse {
    let member = |(id, instance, metadata): (String, Option<String>, bytes::Bytes)| {
        JoinGroupResponseMember::default()
            .with_member_id(StrBytes::from_string(id))
            .with_group_instance_id(instance.map(StrBytes::from_string))
            .with_metadata(metadata)
    };
    let skip = joined.skip_assignment && call.version >= SKIP_ASSIGNMENT;
    // An older client that is not to assign must not take itself for the leader.
    let leads_in_name_only = joined.skip_assignment && !skip;
    let (leader, members) =
        if leads_in_name_only { (String::new(), Vec::new()) } else { (joined.leader, joined.members) };
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type(Some(StrBytes::from_string(joined.protocol_type)))
        .with_protocol_name(Some(StrBytes::from_string(joined.protocol)))
        .with_leader(StrBytes::from_string(leader))
        .with_skip_assignment(skip)
        .with_member_id(StrBytes::from_string(joined.member_id))
        .with_members(members.into_iter().map(member).collect())
}

fn refused(call: &Call, code: Code, member_id: String) -> JoinGroupResponse {
    let protocol = if call.version >= NULL_PROTOCOL { None } else { Some(StrBytes::default()) };
    JoinGroupResponse::default()
        .with_error_code(code.code())
        .with_generation_id(-1)
        .with_protocol_name(protocol)
        .with_member_id(StrBytes::from_string(member_id))
}
