//! Heartbeat: a member is alive, and learns whether its generation is.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use crate::group::{Answer, Event, Identity};
use crate::node::Node;

pub(super) async fn answer(node: &Node, request: HeartbeatRequest) -> HeartbeatResponse {
    let who = Identity {
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.map(|instance| instance.to_string()),
        generation: request.generation_id,
    };
    let code = match node.consumers.ask(&request.group_id, |token| Event::Heartbeat(token, who), &node.log).await {
        Ok(Answer::Done(Ok(()))) => 0,
        Ok(Answer::Done(Err(code))) | Err(code) => code.code(),
        Ok(_) => Code::UnknownServerError.code(),
    };
    HeartbeatResponse::default().with_error_code(code)
}
