//! OffsetCommit: how far a group has come, durable when answered. All partitions of a request are one commit.

use std::sync::Arc;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use towpath_log::{Appends, Commit, GroupOffset};
use towpath_model::TopicPartition;

use crate::codes;
use crate::group::{Answer, Event, Identity};
use crate::node::Node;

/// What a consumer may store with an offset, as in Kafka.
const METADATA_BYTES_MAX: usize = 4096;

/// Whether an offset may be committed in a partition.
pub(super) fn check(node: &Node, name: &TopicPartition, offset: i64, metadata: &str) -> Result<(), Code> {
    if metadata.len() > METADATA_BYTES_MAX {
        return Err(Code::OffsetMetadataTooLarge);
    }
    if offset < 0 {
        return Err(Code::InvalidRequest);
    }
    node.log.ends(name).map(|_| ()).map_err(|error| codes::of(&error))
}

pub(super) async fn answer(node: &Node, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let who = Identity {
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.as_ref().map(ToString::to_string),
        generation: request.generation_id_or_member_epoch,
    };
    let _committing = node.commits.read().await;
    let allowed = allowed(node, &request.group_id, who).await;
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
    let committed = match offsets.is_empty() {
        true => codes::NONE,
        false => {
            let commit = Commit { group_offsets: offsets, ..Commit::default() };
            codes::number(&node.log.commit_atomic(commit).await)
        }
    };
    let partition = |(index, code): (i32, Option<Code>)| {
        let code = code.map_or(committed, |code| code.code());
        OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code)
    };
    let topics = topics.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(partition).collect();
        OffsetCommitResponseTopic::default().with_name(name).with_partitions(partitions)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

/// Whether someone may commit for a group, of whichever protocol.
async fn allowed(node: &Node, group: &str, who: Identity) -> Result<(), Code> {
    if group.is_empty() {
        return Err(Code::InvalidGroupId);
    }
    node.may_change_group(group, Code::UnknownMemberId)?;
    if let Some(done) = node.consumers.may_commit(group, &who.member_id, who.generation) {
        return done;
    }
    match node.groups.ask(group, |token| Event::Commit(token, who)).await? {
        Answer::Done(done) => done,
        _ => Err(Code::UnknownServerError),
    }
}
