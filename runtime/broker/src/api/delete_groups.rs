//! DeleteGroups: groups without members go, with what they have committed.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};
use towpath_log::{Appends, Commit, GroupOffset, GroupOffsets};

use crate::codes;
use crate::node::Node;

pub(super) async fn answer(node: &Node, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for name in request.groups_names {
        let code = delete(node, &name).await.map_or_else(|code| code.code(), |()| codes::NONE);
        results.push(DeletableGroupResult::default().with_group_id(name).with_error_code(code));
    }
    DeleteGroupsResponse::default().with_results(results)
}

async fn delete(node: &Node, group: &str) -> Result<(), Code> {
    node.may_change_group(group, Code::NonEmptyGroup)?;
    if node.consumers.members(group) > 0 {
        return Err(Code::NonEmptyGroup);
    }
    let _committing = node.commits.read().await;
    let removals: Vec<GroupOffset> =
        node.log.group_offsets(group).into_iter().map(|offset| GroupOffset { offset: None, ..offset }).collect();
    let known = node.groups.delete(group)? | node.consumers.forget(group);
    if removals.is_empty() {
        return if known { Ok(()) } else { Err(Code::GroupIdNotFound) };
    }
    let commit = Commit { group_offsets: removals, ..Commit::default() };
    node.log.commit_atomic(commit).await.map(|_| ()).map_err(|error| codes::of(&error))
}
