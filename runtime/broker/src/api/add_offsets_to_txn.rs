//! AddOffsetsToTxn: the offsets of a group become part of a transaction before any are sent. Clients of KIP-890 do without it.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use towpath_log::Producer;

use crate::codes;
use crate::node::Node;

/// From this version on clients know that they can be fenced.
const KNOWS_FENCING: i16 = 2;

pub(super) async fn answer(node: &Node, request: AddOffsetsToTxnRequest, version: i16) -> AddOffsetsToTxnResponse {
    let answer = AddOffsetsToTxnResponse::default();
    if request.transactional_id.is_empty() || request.group_id.is_empty() {
        return answer.with_error_code(Code::InvalidRequest.code());
    }
    let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    let added = node.log.add_group_to_transaction(&request.transactional_id, producer, &request.group_id).await;
    let code = |error| codes::of_transaction(&error, version >= KNOWS_FENCING).code();
    answer.with_error_code(added.err().map_or(codes::NONE, code))
}
