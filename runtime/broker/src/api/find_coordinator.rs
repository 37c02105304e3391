//! FindCoordinator: the one broker coordinates every group and every transactional id.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use crate::call::Call;
use crate::node::BROKER;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// From this version on several may be asked for.
const BATCHED: i16 = 4;

pub(super) fn answer(call: &Call, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let (host, port) = call.origin.endpoint();
    let (code, message) = match request.key_type {
        GROUP | TRANSACTION => (0, None),
        _ => (
            Code::InvalidRequest.code(),
            Some(StrBytes::from_static_str("groups and transactional ids have coordinators")),
        ),
    };
    let (node_id, host, port) = if code == 0 { (BROKER, host, port) } else { (BrokerId(-1), StrBytes::default(), -1) };
    if call.version < BATCHED {
        let answer = FindCoordinatorResponse::default().with_error_code(code).with_error_message(message);
        return answer.with_node_id(node_id).with_host(host).with_port(port);
    }
    let found = |key: StrBytes| {
        let answer = Coordinator::default().with_key(key).with_error_code(code).with_error_message(message.clone());
        answer.with_node_id(node_id).with_host(host.clone()).with_port(port)
    };
    FindCoordinatorResponse::default().with_coordinators(request.coordinator_keys.into_iter().map(found).collect())
}
