//! TxnOffsetCommit: offsets of a group that count when a transaction commits.

use std::mem;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use towpath_log::{Error, Producer};

use super::offset_commit::{self, Position, Positions};
use crate::codes;
use crate::group::Identity;
use crate::node::Node;

/// From this version on the group becomes part of the transaction by this alone (KIP-890).
const ADDS_GROUP: i16 = 5;

pub(super) async fn answer(node: &Node, request: TxnOffsetCommitRequest, version: i16) -> TxnOffsetCommitResponse {
    let allowed = may_commit(node, &request).await;
    let topics = request.topics.into_iter().map(|topic| {
        let position = |partition: TxnOffsetCommitRequestPartition| Position {
            partition: partition.partition_index,
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata,
        };
        (topic.name, topic.partitions.into_iter().map(position).collect())
    });
    let mut positions = Positions::of(node, &request.group_id, allowed, topics);
    let offsets = mem::take(&mut positions.offsets);
    let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    let adds = version >= ADDS_GROUP;
    let stored = node.log.commit_offsets_in_transaction(&request.transactional_id, producer, offsets, adds).await;
    let stored = stored.err().map_or(codes::NONE, |error| {
        let code = match error {
            // Groups have never had another code for it.
            Error::TransactionFenced { .. } => Code::InvalidProducerEpoch,
            error => codes::of_transaction(&error, true),
        };
        code.code()
    });
    let partition = |(index, code): (i32, i16)| {
        TxnOffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code)
    };
    let topics = positions.answered(stored).map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(partition).collect();
        TxnOffsetCommitResponseTopic::default().with_name(name).with_partitions(partitions)
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

/// A client that says which member it speaks for must still be that member (KIP-447); one that does not is fenced by its epoch alone.
async fn may_commit(node: &Node, request: &TxnOffsetCommitRequest) -> Result<(), Code> {
    if request.transactional_id.is_empty() {
        return Err(Code::InvalidRequest);
    }
    let who = Identity {
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.as_ref().map(ToString::to_string),
        generation: request.generation_id,
    };
    if who.generation < 0 && who.member_id.is_empty() && who.instance.is_none() {
        return offset_commit::takes_commits(node, &request.group_id);
    }
    offset_commit::may_commit(node, &request.group_id, who).await
}
