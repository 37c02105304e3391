//! OffsetCommit: how far a group has come, durable when answered. All partitions of a request are one commit.

use std::mem;
use std::sync::Arc;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use towpath_log::{Appends, Commit, GroupOffset};
use towpath_model::TopicPartition;

use crate::codes;
use crate::group::{Answer, Event, Identity};
use crate::node::Node;

/// What a consumer may store with an offset, as in Kafka.
const METADATA_BYTES_MAX: usize = 4096;

/// Where a group is to go on in a partition.
pub(super) struct Position {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) metadata: Option<StrBytes>,
}

/// The positions of a request: those that can be committed, and what is wrong with the others.
pub(super) struct Positions {
    pub(super) offsets: Vec<GroupOffset>,
    topics: Vec<(TopicName, Vec<(i32, Option<Code>)>)>,
}

impl Positions {
    /// Looks at those of a client that may commit, or may not.
    pub(super) fn of(
        node: &Node,
        group: &str,
        allowed: Result<(), Code>,
        topics: impl Iterator<Item = (TopicName, Vec<Position>)>,
    ) -> Self {
        let group: Arc<str> = group.into();
        let mut offsets = Vec::new();
        let mut one = |topic: &TopicName, position: Position| {
            let partition = TopicPartition::new(topic.as_str(), position.partition);
            let metadata = position.metadata.map(|metadata| metadata.to_string()).unwrap_or_default();
            let code = allowed.and_then(|()| check(node, &partition, position.offset, &metadata)).err();
            if code.is_none() {
                let leader_epoch = Some(position.leader_epoch).filter(|epoch| *epoch >= 0);
                let (group, offset) = (group.clone(), Some(position.offset));
                offsets.push(GroupOffset { group, partition, offset, leader_epoch, metadata });
            }
            (position.partition, code)
        };
        let of_topic = |(topic, positions): (TopicName, Vec<Position>)| {
            let codes = positions.into_iter().map(|position| one(&topic, position)).collect();
            (topic, codes)
        };
        let topics = topics.map(of_topic).collect();
        Self { offsets, topics }
    }

    /// What each partition is answered, once it is known what has become of those that could be committed.
    pub(super) fn answered(self, committed: i16) -> impl Iterator<Item = (TopicName, Vec<(i32, i16)>)> {
        let code =
            move |(partition, code): (i32, Option<Code>)| (partition, code.map_or(committed, |code| code.code()));
        self.topics.into_iter().map(move |(topic, partitions)| (topic, partitions.into_iter().map(code).collect()))
    }
}

/// Whether an offset may be committed in a partition.
fn check(node: &Node, name: &TopicPartition, offset: i64, metadata: &str) -> Result<(), Code> {
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
    let allowed = may_commit(node, &request.group_id, who).await;
    let topics = request.topics.into_iter().map(|topic| {
        let position = |partition: OffsetCommitRequestPartition| Position {
            partition: partition.partition_index,
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata,
        };
        (topic.name, topic.partitions.into_iter().map(position).collect())
    });
    let mut positions = Positions::of(node, &request.group_id, allowed, topics);
    let group_offsets = mem::take(&mut positions.offsets);
    let committed = match group_offsets.is_empty() {
        true => codes::NONE,
        false => codes::number(&node.log.commit_atomic(Commit { group_offsets, ..Commit::default() }).await),
    };
    let partition = |(index, code): (i32, i16)| {
        OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code)
    };
    let topics = positions.answered(committed).map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(partition).collect();
        OffsetCommitResponseTopic::default().with_name(name).with_partitions(partitions)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

/// Whether a group is one that clients may commit for.
pub(super) fn takes_commits(node: &Node, group: &str) -> Result<(), Code> {
    if group.is_empty() {
        return Err(Code::InvalidGroupId);
    }
    node.may_change_group(group, Code::UnknownMemberId)
}

/// Whether someone may commit for a group, of whichever protocol.
pub(super) async fn may_commit(node: &Node, group: &str, who: Identity) -> Result<(), Code> {
    takes_commits(node, group)?;
    match node.consumers.ask(group, |token| Event::Commit(token, who), &node.log).await? {
        Answer::Done(done) => done,
        _ => Err(Code::UnknownServerError),
    }
}
