//! InitProducerId: an id for an idempotent producer. What it sends is watched over by the log.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::node::Node;

pub(super) fn answer(node: &Node, request: InitProducerIdRequest) -> InitProducerIdResponse {
    if request.transactional_id.is_some() {
        let refused = InitProducerIdResponse::default().with_producer_id(ProducerId(-1)).with_producer_epoch(-1);
        return refused.with_error_code(Code::TransactionalIdAuthorizationFailed.code());
    }
    InitProducerIdResponse::default().with_producer_id(ProducerId(node.log.new_producer_id())).with_producer_epoch(0)
}
