//! ListGroups: groups with members, and groups that have committed offsets, as sinks of the runtime do.

use std::collections::BTreeMap;

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;
use towpath_log::GroupOffsets;

use crate::node::Node;

const CLASSIC: &str = "classic";
const CONSUMER: &str = "consumer";
const EMPTY: &str = "Empty";

pub(super) fn answer(node: &Node, request: ListGroupsRequest) -> ListGroupsResponse {
    let mut groups: BTreeMap<String, (&str, String, &str)> =
        node.log.groups().iter().map(|group| (group.to_string(), (EMPTY, String::new(), CLASSIC))).collect();
    for (name, described) in node.describe_groups() {
        // One that never had members or offsets was only asked about.
        if described.members.is_empty() && described.protocol_type.is_empty() && !groups.contains_key(&name) {
            continue;
        }
        groups.insert(name, (described.state.name(), described.protocol_type, CLASSIC));
    }
    for (name, described) in node.consumers.all() {
        groups.insert(name, (described.state, CONSUMER.to_owned(), CONSUMER));
    }
    let among =
        |wanted: &[StrBytes], is: &str| wanted.is_empty() || wanted.iter().any(|one| one.eq_ignore_ascii_case(is));
    let listed = groups.into_iter().filter(|(_, (state, _, _))| among(&request.states_filter, state));
    let listed = listed.filter(|(_, (_, _, group_type))| among(&request.types_filter, group_type));
    let listed = listed.map(|(name, (state, protocol_type, group_type))| {
        ListedGroup::default()
            .with_group_id(GroupId(StrBytes::from_string(name)))
            .with_protocol_type(StrBytes::from_string(protocol_type))
            .with_group_state(StrBytes::from_string(state.to_owned()))
            .with_group_type(StrBytes::from_static_str(group_type))
    });
    ListGroupsResponse::default().with_groups(listed.collect())
}
