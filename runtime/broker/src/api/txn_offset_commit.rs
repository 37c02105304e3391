//! TxnOffsetCommit: offsets of a group that count when a transaction commits.

use std::sync::Arc;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use towpath_log::{Error, GroupOffset, Producer};
use towpath_model::TopicPartition;

use super::offset_commit::check;
use crate::codes;
use crate::group::{Answer, Event, Identity};
use crate::node::Node;

/// From this version on the group becomes part of the transaction by this alone (KIP-890).
const ADDS_GROUP: i16 = 5;

pub(super) async fn answer(node: &Node, request: TxnOffsetCommitRequest, version: i16) -> TxnOffsetCommitResponse {
    let allowed = may_commit(node, &request).await;
    let group: Arc<str> = request.group_id.as_str().into();
    let mut offsets = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let name = TopicPartition::new(topic.name.as_str(), partition.partition_index);
            let metadata = partition.committed_metadata.map(|metadata| metadata.to_string()).unwrap_or_default();
            let code = allowed.and_then(|()| check(node, &name, partition.committed_offset, &metadata)).err();
            if code.is_none() {
                let offset = Some(partition.committed_offset);
                offsets.push(GroupOffset { group: group.clone(), partition: name, offset, metadata });
            }
            partitions.push((partition.partition_index, code));
        }
        topics.push((topic.name, partitions));
    }
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
    let partition = |(index, code): (i32, Option<Code>)| {
        let code = code.map_or(stored, |code| code.code());
        TxnOffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code)
    };
    let topics = topics.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(partition).collect();
        TxnOffsetCommitResponseTopic::default().with_name(name).with_partitions(partitions)
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

/// A client that says which member it speaks for must still be that member (KIP-447); one that does not is fenced by its epoch alone.
async fn may_commit(node: &Node, request: &TxnOffsetCommitRequest) -> Result<(), Code> {
    if request.group_id.is_empty() {
        return Err(Code::InvalidGroupId);
    }
    if request.transactional_id.is_empty() {
        return Err(Code::InvalidRequest);
    }
    node.may_change_group(&request.group_id, Code::UnknownMemberId)?;
    let who = Identity {
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.as_ref().map(ToString::to_string),
        generation: request.generation_id,
    };
    if who.generation < 0 && who.member_id.is_empty() && who.instance.is_none() {
        return Ok(());
    }
    if let Some(done) = node.consumers.may_commit(&request.group_id, &who.member_id, who.generation) {
        return done;
    }
    match node.groups.ask(&request.group_id, |token| Event::Commit(token, who)).await {
        Ok(Answer::Done(done)) => done,
        Ok(_) => Err(Code::UnknownServerError),
        Err(code) => Err(code),
    }
}
