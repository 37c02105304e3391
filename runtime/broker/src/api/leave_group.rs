//! LeaveGroup: members go, one by one or several at a time.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use crate::group::{Answer, Event, Leaver};
use crate::node::Node;

/// From this version on several may leave at a time.
const SEVERAL: i16 = 3;

pub(super) async fn answer(node: &Node, request: LeaveGroupRequest, version: i16) -> LeaveGroupResponse {
    let leavers: Vec<Leaver> = if version < SEVERAL {
        vec![Leaver { member_id: request.member_id.to_string(), instance: None }]
    } else {
        let leaver = |member: &kafka_protocol::messages::leave_group_request::MemberIdentity| Leaver {
            member_id: member.member_id.to_string(),
            instance: member.group_instance_id.as_ref().map(ToString::to_string),
        };
        request.members.iter().map(leaver).collect()
    };
    let refused = |code: Code| LeaveGroupResponse::default().with_error_code(code.code());
    let left = match node.consumers.ask(&request.group_id, |token| Event::Leave(token, leavers), &node.log).await {
        Ok(Answer::Left(left)) => left,
        Ok(_) => return refused(Code::UnknownServerError),
        Err(code) => return refused(code),
    };
    let code = |left: &Result<(), Code>| left.err().map_or(0, |code| code.code());
    if version < SEVERAL {
        return LeaveGroupResponse::default().with_error_code(left.first().map_or(0, code));
    }
    let member =
        |(member, left): (kafka_protocol::messages::leave_group_request::MemberIdentity, &Result<(), Code>)| {
            MemberResponse::default()
                .with_member_id(member.member_id)
                .with_group_instance_id(member.group_instance_id)
                .with_error_code(code(left))
        };
    LeaveGroupResponse::default().with_members(request.members.into_iter().zip(&left).map(member).collect())
}
