//! EndTxn: a transaction commits or aborts, in all partitions and groups at once; durable when answered.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse, ProducerId};
use towpath_log::Producer;

use crate::codes;
use crate::node::Node;

/// From this version on the producer gets a new epoch with every end (KIP-890).
const BUMPS: i16 = 5;
/// From this version on clients know that they can be fenced.
const KNOWS_FENCING: i16 = 2;

pub(super) async fn answer(node: &Node, request: EndTxnRequest, version: i16) -> EndTxnResponse {
    let answer = EndTxnResponse::default().with_producer_id(ProducerId(-1)).with_producer_epoch(-1);
    if request.transactional_id.is_empty() {
        return answer.with_error_code(Code::InvalidRequest.code());
    }
    let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    let bumps = version >= BUMPS;
    // Offsets of groups may come with it.
    let _committing = node.commits.read().await;
    match node.log.end_transaction(&request.transactional_id, producer, request.committed, bumps).await {
        Ok(Producer { id, epoch }) => answer.with_producer_id(ProducerId(id)).with_producer_epoch(epoch),
        Err(error) => answer.with_error_code(codes::of_transaction(&error, version >= KNOWS_FENCING).code()),
    }
}
