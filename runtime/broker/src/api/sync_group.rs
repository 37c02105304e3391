//! SyncGroup: the leader hands in what it assigned, and each member gets its part.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;

use crate::group::{Answer, Event, Identity, Sync};
use crate::node::Node;

pub(super) async fn answer(node: &Node, request: SyncGroupRequest) -> SyncGroupResponse {
    let text = |text: StrBytes| text.to_string();
    let sync = Sync {
        who: Identity {
            member_id: request.member_id.to_string(),
            instance: request.group_instance_id.map(text),
            generation: request.generation_id,
        },
        protocol_type: request.protocol_type.map(text),
        protocol: request.protocol_name.map(text),
        assignments: request.assignments.into_iter().map(|one| (one.member_id.to_string(), one.assignment)).collect(),
    };
    let refused = |code: Code| SyncGroupResponse::default().with_error_code(code.code());
    match node.consumers.ask(&request.group_id, |token| Event::Sync(token, sync), &node.log).await {
        Ok(Answer::Synced { protocol_type, protocol, assignment }) => SyncGroupResponse::default()
            .with_protocol_type(Some(StrBytes::from_string(protocol_type)))
            .with_protocol_name(Some(StrBytes::from_string(protocol)))
            .with_assignment(assignment),
        Ok(Answer::SyncRefused(code)) | Err(code) => refused(code),
        Ok(_) => refused(Code::UnknownServerError),
    }
}
