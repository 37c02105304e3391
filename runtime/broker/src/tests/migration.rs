//! A group changes its protocol while it is read: members of the classic and of the newer one side by side, over the wire.

use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as Assigned;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, GroupId, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, ListGroupsRequest, OffsetCommitRequest, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::{Client, Served, name};
use crate::MigrationPolicy;
use crate::group::consumer_protocol;

const ILLEGAL_GENERATION: i16 = 22;
const REBALANCE_IN_PROGRESS: i16 = 27;
const GROUP_ID_NOT_FOUND: i16 = 69;

fn group() -> GroupId {
    GroupId(StrBytes::from_static_str("readers"))
}

fn versioned(message: &impl Encodable) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(1);
    message.encode(&mut out, 1).expect("it encodes");
    out.freeze()
}

fn join(member: &StrBytes) -> JoinGroupRequest {
    let topics = vec![StrBytes::from_static_str("orders")];
    let subscription = versioned(&ConsumerProtocolSubscription::default().with_topics(topics).with_user_data(None));
    let protocol = JoinGroupRequestProtocol::default().with_name(StrBytes::from_static_str("range"));
    JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(60_000)
        .with_rebalance_timeout_ms(60_000)
        .with_member_id(member.clone())
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![protocol.with_metadata(subscription)])
}

fn sync(joined: &JoinGroupResponse, partitions: &[i32]) -> SyncGroupRequest {
    let topic = Assigned::default().with_topic(name("orders")).with_partitions(partitions.to_vec());
    let assignment = ConsumerProtocolAssignment::default().with_assigned_partitions(vec![topic]).with_user_data(None);
    let assigned = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(versioned(&assignment));
    SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(if partitions.is_empty() { Vec::new() } else { vec![assigned] })
}

fn read(synced: &SyncGroupResponse) -> Vec<i32> {
    assert_eq!(synced.error_code, 0);
    let assignment = consumer_protocol::read_assignment(&synced.assignment).expect("an assignment");
    consumer_protocol::partitions(assignment).map(|one| one.partition).collect()
}

async fn heartbeat(client: &mut Client, joined: &JoinGroupResponse) -> i16 {
    let beat = HeartbeatRequest::default()
        .with_group_id(group())
        .with_member_id(joined.member_id.clone())
        .with_generation_id(joined.generation_id);
    client.call(4, &beat).await.error_code
}

async fn commit(client: &mut Client, joined: &JoinGroupResponse) -> i16 {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(0);
    let topic = OffsetCommitRequestTopic::default().with_name(name("orders")).with_partitions(vec![partition]);
    let commit = OffsetCommitRequest::default()
        .with_group_id(group())
        .with_member_id(joined.member_id.clone())
        .with_generation_id_or_member_epoch(joined.generation_id)
        .with_topics(vec![topic]);
    client.call(8, &commit).await.topics[0].partitions[0].error_code
}

/// A member of the newer protocol says something.
async fn beat(client: &mut Client, epoch: i32) -> ConsumerGroupHeartbeatResponse {
    let beat = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group())
        .with_member_id(StrBytes::from_static_str("new"))
        .with_member_epoch(epoch);
    let joins = |beat: ConsumerGroupHeartbeatRequest| {
        beat.with_rebalance_timeout_ms(60_000)
            .with_subscribed_topic_names(Some(vec![name("orders")]))
            .with_topic_partitions(Some(Vec::new()))
    };
    client.call(1, &if epoch == 0 { joins(beat) } else { beat }).await
}

fn given(told: &ConsumerGroupHeartbeatResponse) -> Option<Vec<i32>> {
    assert_eq!(told.error_code, 0, "{:?}", told.error_message);
    let assignment = told.assignment.as_ref()?;
    Some(assignment.topic_partitions.iter().flat_map(|topic| topic.partitions.clone()).collect())
}

async fn types(client: &mut Client) -> Vec<String> {
    let listed = client.call(5, &ListGroupsRequest::default()).await.groups;
    listed.iter().map(|group| group.group_type.to_string()).collect()
}

/// A broker, and a group of the classic protocol with one member that reads all of four partitions.
async fn classic(policy: MigrationPolicy) -> (Served, Client, JoinGroupResponse) {
    let served = Served::start_with(|config| config.consumer_migration = policy).await;
    served.topic("orders", 4).await;
    let mut client = served.client().await;
    let id = client.call(9, &join(&StrBytes::default())).await.member_id;
    let joined = client.call(9, &join(&id)).await;
    assert_eq!(read(&client.call(5, &sync(&joined, &[0, 1, 2, 3])).await), [0, 1, 2, 3]);
    (served, client, joined)
}

#[tokio::test]
async fn a_group_comes_to_the_newer_protocol_and_goes_back_with_its_members() {
    let (served, mut old, first) = classic(MigrationPolicy::Bidirectional).await;
    let mut new = served.client().await;
    let told = beat(&mut new, 0).await;
    assert_eq!(given(&told), Some(vec![]), "the other still reads all");
    let describe = ConsumerGroupDescribeRequest::default().with_group_ids(vec![group()]);
    let described = new.call(1, &describe).await.groups.remove(0);
    let mut kinds: Vec<i8> = described.members.iter().map(|member| member.member_type).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [0, 1], "one of the classic protocol, one of the newer");
    assert_eq!(heartbeat(&mut old, &first).await, REBALANCE_IN_PROGRESS);
    assert_eq!(commit(&mut old, &first).await, 0);
    let joined = old.call(9, &join(&first.member_id)).await;
    assert_eq!((joined.error_code, joined.leader.as_str(), joined.members.len()), (0, "", 0));
    assert_eq!(joined.generation_id, told.member_epoch);
    let mut all = read(&old.call(5, &sync(&joined, &[])).await);
    assert_eq!((all.len(), heartbeat(&mut old, &joined).await), (2, 0));
    assert_eq!(commit(&mut old, &first).await, ILLEGAL_GENERATION);
    all.extend(given(&beat(&mut new, told.member_epoch).await).expect("the rest"));
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);
    assert_eq!(types(&mut new).await, ["consumer"]);
    assert_eq!(beat(&mut new, -1).await.error_code, 0);
    assert_eq!(types(&mut new).await, ["classic"]);
    assert_ne!(heartbeat(&mut old, &joined).await, 0);
    let back = old.call(9, &join(&first.member_id)).await;
    assert_eq!((back.error_code, &back.leader, back.members.len()), (0, &first.member_id, 1));
    assert!(back.generation_id > joined.generation_id, "{back:?}");
    assert_eq!(read(&old.call(5, &sync(&back, &[3, 2, 1, 0])).await), [3, 2, 1, 0], "it divides again");
    assert_eq!(heartbeat(&mut old, &back).await, 0);
}

#[tokio::test]
async fn a_policy_says_which_ways_are_open() {
    use MigrationPolicy::{Disabled, Downgrade, Upgrade};
    for policy in [Disabled, Downgrade] {
        let (served, mut old, first) = classic(policy).await;
        assert_eq!(beat(&mut served.client().await, 0).await.error_code, GROUP_ID_NOT_FOUND, "{policy:?}");
        assert_eq!(heartbeat(&mut old, &first).await, 0, "nothing has happened to it");
    }
    let (served, mut old, first) = classic(Upgrade).await;
    let mut new = served.client().await;
    beat(&mut new, 0).await;
    beat(&mut new, -1).await;
    assert_eq!(types(&mut new).await, ["consumer"], "there is no way back");
    let joined = old.call(9, &join(&first.member_id)).await;
    assert_eq!(read(&old.call(5, &sync(&joined, &[])).await), [0, 1, 2, 3]);
}

#[tokio::test]
async fn who_waits_for_others_while_the_group_changes_is_told_to_join_again() {
    let (served, _old, _) = classic(MigrationPolicy::Bidirectional).await;
    let mut waiting = served.client().await;
    let id = waiting.call(9, &join(&StrBytes::default())).await.member_id;
    let number = waiting.send(9, &join(&id)).await;
    // It stands in the queue of the group once it is a member.
    while served.handle.members("readers") < 2 {
        tokio::task::yield_now().await;
    }
    let mut new = served.client().await;
    assert_eq!(beat(&mut new, 0).await.error_code, 0);
    let answer = waiting.answer::<JoinGroupRequest>(9, number).await;
    assert_eq!((answer.error_code, answer.member_id), (REBALANCE_IN_PROGRESS, id.clone()));
    assert_eq!(waiting.call(9, &join(&id)).await.error_code, 0);
}
