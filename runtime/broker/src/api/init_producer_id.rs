//! InitProducerId: an id for an idempotent producer, or a new instance of the one of a transactional id.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use towpath_log::Producer;

use crate::codes;
use crate::node::Node;

/// From this version on clients know that they can be fenced.
const KNOWS_FENCING: i16 = 4;

pub(super) async fn answer(node: &Node, request: InitProducerIdRequest, version: i16) -> InitProducerIdResponse {
    let answer = InitProducerIdResponse::default();
    match begin(node, request, version).await {
        Ok(Producer { id, epoch }) => answer.with_producer_id(ProducerId(id)).with_producer_epoch(epoch),
        Err(code) => answer.with_producer_id(ProducerId(-1)).with_producer_epoch(-1).with_error_code(code.code()),
    }
}

async fn begin(node: &Node, request: InitProducerIdRequest, version: i16) -> Result<Producer, Code> {
    let Some(id) = request.transactional_id else {
        return Ok(Producer { id: node.log.new_producer_id(), epoch: 0 });
    };
    let claimed = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    // One is nothing without the other.
    if id.is_empty() || (claimed.id < 0) != (claimed.epoch < 0) {
        return Err(Code::InvalidRequest);
    }
    let claimed = Some(claimed).filter(|claimed| claimed.id >= 0);
    let begun = node.log.init_producer(&id, request.transaction_timeout_ms, claimed).await;
    begun.map_err(|error| codes::of_transaction(&error, version >= KNOWS_FENCING))
}
