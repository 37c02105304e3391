//! OffsetDelete: what a group without members has committed in some partitions goes.

use std::sync::Arc;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use towpath_log::{Appends, Commit, GroupOffset, GroupOffsets};
use towpath_model::TopicPartition;

use crate::codes;
use crate::node::Node;

pub(super) async fn answer(node: &Node, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let refused = |code: Code| OffsetDeleteResponse::default().with_error_code(code.code());
    if let Err(code) = node.may_change_group(&request.group_id, Code::NonEmptyGroup) {
        return refused(code);
    }
    let _committing = node.commits.read().await;
    let described = node.groups.describe(&request.group_id);
    if node.has_members(&request.group_id) {
        return refused(Code::NonEmptyGroup);
    }
    if described.is_none() && node.log.group_offsets(&request.group_id).is_empty() {
        return refused(Code::GroupIdNotFound);
    }
    let group: Arc<str> = request.group_id.as_str().into();
    let removal = |topic: &str, partition: i32| GroupOffset {
        group: group.clone(),
        partition: TopicPartition::new(topic, partition),
        offset: None,
        leader_epoch: None,
        metadata: String::new(),
    };
    let removals: Vec<GroupOffset> = request
        .topics
        .iter()
        .flat_map(|topic| {
            topic.partitions.iter().map(|partition| removal(topic.name.as_str(), partition.partition_index))
        })
        .collect();
    let committed = node.log.commit_atomic(Commit { group_offsets: removals, ..Commit::default() }).await;
    let code = codes::number(&committed);
    let topic = |topic: kafka_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic| {
        let partition = |partition: &kafka_protocol::messages::offset_delete_request::OffsetDeleteRequestPartition| {
            let answer = OffsetDeleteResponsePartition::default().with_partition_index(partition.partition_index);
            answer.with_error_code(code)
        };
        let partitions = topic.partitions.iter().map(partition).collect();
        OffsetDeleteResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    };
    OffsetDeleteResponse::default().with_topics(request.topics.into_iter().map(topic).collect())
}
