//! Groups over the wire: members join, one is killed, offsets are committed and outlive the broker.

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::{Client, Served, name};

const GROUP: &str = "readers";

fn group() -> GroupId {
    GroupId(StrBytes::from_static_str(GROUP))
}

fn join(member: &StrBytes, session_ms: i32) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default();
    let protocol = protocol.with_name(StrBytes::from_static_str("range")).with_metadata(Bytes::from_static(b"orders"));
    JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(session_ms)
        .with_rebalance_timeout_ms(30_000)
        .with_member_id(member.clone())
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![protocol])
}

/// Joins as a new client does: it gets an id and comes back with it.
async fn begin_join(client: &mut Client, version: i16, session_ms: i32) -> (StrBytes, i32) {
    let told = client.call(version, &join(&StrBytes::default(), session_ms)).await;
    assert_eq!(told.error_code, 79, "a member id is required");
    (told.member_id.clone(), client.send(version, &join(&told.member_id, session_ms)).await)
}

fn sync(joined: &JoinGroupResponse, assignments: &[(StrBytes, &'static str)]) -> SyncGroupRequest {
    let one = |(member, part): &(StrBytes, &'static str)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(member.clone())
            .with_assignment(Bytes::from_static(part.as_bytes()))
    };
    SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(assignments.iter().map(one).collect())
}

fn commit(joined: Option<&JoinGroupResponse>, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default().with_partition_index(1).with_committed_offset(offset);
    let partition = partition.with_committed_metadata(Some(StrBytes::from_static_str("note")));
    let topic = OffsetCommitRequestTopic::default().with_name(name("orders")).with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(group())
        .with_generation_id_or_member_epoch(joined.map_or(-1, |joined| joined.generation_id))
        .with_member_id(joined.map(|joined| joined.member_id.clone()).unwrap_or_default())
        .with_topics(vec![topic])
}

fn commit_under_epoch(offset: i64, leader_epoch: i32) -> OffsetCommitRequest {
    let mut request = commit(None, offset);
    request.topics[0].partitions[0].committed_leader_epoch = leader_epoch;
    request
}

async fn committed(client: &mut Client, version: i16) -> (i64, String) {
    if version >= 8 {
        let wanted = OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(None);
        let answer = client.call(version, &OffsetFetchRequest::default().with_groups(vec![wanted])).await;
        let Some(topic) = answer.groups[0].topics.first() else { return (-1, String::new()) };
        let part = &topic.partitions[0];
        return (part.committed_offset, part.metadata.as_ref().map(ToString::to_string).unwrap_or_default());
    }
    let topic = OffsetFetchRequestTopic::default().with_name(name("orders")).with_partition_indexes(vec![1]);
    let request = OffsetFetchRequest::default().with_group_id(group()).with_topics(Some(vec![topic]));
    let answer = client.call(version, &request).await;
    let part = &answer.topics[0].partitions[0];
    (part.committed_offset, part.metadata.as_ref().map(ToString::to_string).unwrap_or_default())
}

#[tokio::test]
async fn members_share_a_group_and_take_over_from_one_that_is_killed() {
    let served = Served::start().await;
    served.topic("orders", 2).await;
    let (mut a, mut b) = (served.client().await, served.client().await);
    let (a_id, number) = begin_join(&mut a, 9, 20_000).await;
    let joined = a.answer::<JoinGroupRequest>(9, number).await;
    assert_eq!((joined.error_code, joined.leader.clone(), joined.generation_id), (0, a_id.clone(), 1));
    // The second one is killed as soon as it has its part; its session is short.
    let (b_id, b_number) = begin_join(&mut b, 5, 300).await;
    let a_number = a.send(9, &join(&a_id, 20_000)).await;
    let joined = a.answer::<JoinGroupRequest>(9, a_number).await;
    let b_joined = b.answer::<JoinGroupRequest>(5, b_number).await;
    assert_eq!((joined.generation_id, joined.members.len(), b_joined.members.len()), (2, 2, 0));
    let b_sync = b.send(3, &sync(&b_joined, &[])).await;
    let parts = [(a_id.clone(), "p0"), (b_id.clone(), "p1")];
    assert_eq!(a.call(5, &sync(&joined, &parts)).await.assignment, "p0");
    assert_eq!(b.answer::<SyncGroupRequest>(3, b_sync).await.assignment, "p1");
    for version in 2..=9 {
        let answer = b.call(version, &commit(Some(&b_joined), 40 + i64::from(version))).await;
        assert_eq!(answer.topics[0].partitions[0].error_code, 0, "version {version}");
    }
    let described = a.call(5, &DescribeGroupsRequest::default().with_groups(vec![group()])).await.groups.remove(0);
    assert_eq!((described.group_state.as_str(), described.members.len()), ("Stable", 2));
    drop(b);
    // A tool may not move offsets under members.
    assert_eq!(a.call(9, &commit(None, 0)).await.topics[0].partitions[0].error_code, 25);
    assert_eq!(
        a.call(2, &DeleteGroupsRequest::default().with_groups_names(vec![group()])).await.results[0].error_code,
        68
    );
    let beat = HeartbeatRequest::default().with_group_id(group()).with_member_id(a_id.clone()).with_generation_id(2);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while a.call(4, &beat).await.error_code != 27 {
        assert!(tokio::time::Instant::now() < deadline, "nobody noticed that a member is gone");
        tokio::task::yield_now().await;
    }
    let joined = a.call(9, &join(&a_id, 20_000)).await;
    assert_eq!((joined.generation_id, joined.members.len()), (3, 1));
    assert_eq!(a.call(5, &sync(&joined, &[(a_id.clone(), "p0p1")])).await.assignment, "p0p1");
    assert_eq!(committed(&mut a, 9).await, (49, "note".to_owned()));
    let leaver = MemberIdentity::default().with_member_id(a_id);
    let left = a.call(5, &LeaveGroupRequest::default().with_group_id(group()).with_members(vec![leaver])).await;
    assert_eq!((left.error_code, left.members[0].error_code), (0, 0));
    let listed = a.call(5, &ListGroupsRequest::default()).await;
    assert_eq!((listed.groups[0].group_id.clone(), listed.groups[0].group_state.as_str()), (group(), "Empty"));
}

#[tokio::test]
async fn committed_offsets_outlive_the_broker_and_are_deleted_when_asked() {
    let served = Served::start().await;
    served.topic("orders", 2).await;
    let mut client = served.client().await;
    assert_eq!(client.call(8, &commit(None, 7)).await.topics[0].partitions[0].error_code, 0);
    let elsewhere = OffsetCommitRequestTopic::default()
        .with_name(name("nowhere"))
        .with_partitions(vec![OffsetCommitRequestPartition::default().with_committed_offset(1)]);
    let unknown = commit(None, 1).with_topics(vec![elsewhere]);
    assert_eq!(client.call(8, &unknown).await.topics[0].partitions[0].error_code, 3);
    let served = served.restart().await;
    let mut client = served.client().await;
    for version in 1..=9 {
        assert_eq!(committed(&mut client, version).await, (7, "note".to_owned()), "version {version}");
    }
    assert_eq!(client.call(8, &commit_under_epoch(8, 3)).await.topics[0].partitions[0].error_code, 0);
    let served = served.restart().await;
    let mut client = served.client().await;
    let wanted = OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(None);
    let answer = client.call(9, &OffsetFetchRequest::default().with_groups(vec![wanted])).await;
    let part = &answer.groups[0].topics[0].partitions[0];
    assert_eq!((part.committed_offset, part.committed_leader_epoch), (8, 3));
    let listed = client.call(4, &ListGroupsRequest::default()).await;
    assert_eq!(listed.groups.iter().map(|one| one.group_id.clone()).collect::<Vec<_>>(), [group()]);
    let partition = OffsetDeleteRequestPartition::default().with_partition_index(1);
    let topic = OffsetDeleteRequestTopic::default().with_name(name("orders")).with_partitions(vec![partition]);
    let request = OffsetDeleteRequest::default().with_group_id(group()).with_topics(vec![topic]);
    let deleted = client.call(0, &request).await;
    assert_eq!((deleted.error_code, deleted.topics[0].partitions[0].error_code), (0, 0));
    assert_eq!(committed(&mut client, 7).await, (-1, String::new()));
    client.call(8, &commit(None, 9)).await;
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group()]);
    assert_eq!(client.call(2, &delete).await.results[0].error_code, 0);
    assert_eq!(client.call(2, &delete).await.results[0].error_code, 69);
    let described = client.call(6, &DescribeGroupsRequest::default().with_groups(vec![group()])).await.groups.remove(0);
    assert_eq!((described.group_state.as_str(), described.error_code), ("Dead", 69));
}
