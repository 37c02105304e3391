//! Groups of the process itself beside those of clients; offsets that expire; how far groups are behind.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteTopicsRequest, DescribeGroupsRequest, GroupId, JoinGroupRequest, ListGroupsRequest,
    OffsetCommitRequest, OffsetDeleteRequest,
};
use kafka_protocol::protocol::StrBytes;
use towpath_log::{Appends, Commit, GroupOffset, GroupOffsets, Topics};
use towpath_model::{ManualClock, TopicPartition};

use super::{Client, Served, name, produce, values_batch};
use crate::admin::{Admin, AdminError, ResetTo, Tcp};
use crate::{ResidentGroup, ResidentMember, Residents};

/// Groups of the process: none as long as it is not known which.
#[derive(Debug, Default)]
struct House(Mutex<Option<Vec<ResidentGroup>>>);

impl Residents for House {
    fn is_ready(&self) -> bool {
        self.0.lock().expect("no panic").is_some()
    }

    fn groups(&self) -> Vec<ResidentGroup> {
        self.0.lock().expect("no panic").clone().unwrap_or_default()
    }
}

impl House {
    fn runs(&self, tasks: i32) {
        let member = |task: i32| ResidentMember {
            member_id: format!("connector-consumer-lake-{task}"),
            client_id: "connector-consumer-lake".to_owned(),
            partitions: vec![TopicPartition::new("orders", task), TopicPartition::new("orders", task + 2)],
        };
        let group = ResidentGroup { group: "connect-lake".to_owned(), members: (0..tasks).map(member).collect() };
        *self.0.lock().expect("no panic") = Some(vec![group]);
    }
}

fn group(name: &str) -> GroupId {
    GroupId(StrBytes::from_string(name.to_owned()))
}

async fn commit(client: &mut Client, of: &str, offset: i64) -> i16 {
    let partition = OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default().with_name(name("orders")).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group(of))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    client.call(8, &request).await.topics[0].partitions[0].error_code
}

#[tokio::test]
async fn sinks_are_groups_with_members_that_nobody_else_moves_while_they_run() {
    let house = Arc::new(House::default());
    let residents = Arc::clone(&house);
    let served = Served::start_with(|config| config.residents = Some(residents)).await;
    served.topic("orders", 4).await;
    let mut client = served.client().await;
    assert_eq!(commit(&mut client, "connect-lake", 1).await, 14, "nobody knows yet whether it runs");
    assert_eq!(commit(&mut client, "readers", 1).await, 0, "this one cannot be a sink");
    house.runs(2);
    assert_eq!(commit(&mut client, "connect-lake", 1).await, 25, "it has members");
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group("connect-lake")]);
    assert_eq!(client.call(2, &delete).await.results[0].error_code, 68);
    let delete_offsets = OffsetDeleteRequest::default().with_group_id(group("connect-lake"));
    assert_eq!(client.call(0, &delete_offsets).await.error_code, 68);
    let join = JoinGroupRequest::default().with_group_id(group("connect-lake")).with_session_timeout_ms(9_000);
    assert_eq!(client.call(9, &join).await.error_code, 30, "its members are tasks alone");
    let describe = DescribeGroupsRequest::default().with_groups(vec![group("connect-lake")]);
    let described = client.call(6, &describe).await.groups.remove(0);
    assert_eq!((described.group_state.as_str(), described.members.len()), ("Stable", 2));
    let stable = ListGroupsRequest::default().with_states_filter(vec![StrBytes::from_static_str("Stable")]);
    let listed = client.call(5, &stable).await.groups;
    assert_eq!(listed.iter().map(|one| one.group_id.as_str()).collect::<Vec<_>>(), ["connect-lake"]);
    let mut admin = Admin::new(Tcp::connect(&served.address.to_string()).await.expect("connected"));
    let told = admin.describe_group("connect-lake").await.expect("described");
    let partitions: Vec<i32> = told.members[1].partitions.iter().map(|one| one.partition).collect();
    assert_eq!(partitions, [1, 3]);
    assert!(told.positions.iter().all(|position| position.member_id.is_some() && position.committed.is_none()));
    house.runs(0);
    assert_eq!(commit(&mut client, "connect-lake", 0).await, 0, "a sink that is stopped may be reset");
    assert_eq!(client.call(6, &describe).await.groups[0].group_state.as_str(), "Empty");
}

async fn commit_directly(served: &Served, group: &str, offset: i64) {
    let partition = TopicPartition::new("orders", 0);
    let offset = GroupOffset {
        group: group.into(),
        partition,
        offset: Some(offset),
        leader_epoch: None,
        metadata: String::new(),
    };
    served.log.commit_atomic(Commit { group_offsets: vec![offset], ..Commit::default() }).await.expect("durable");
}

/// A member joins, with a session that outlasts a test.
fn join(name: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(StrBytes::from_static_str("range"));
    JoinGroupRequest::default()
        .with_group_id(group(name))
        .with_session_timeout_ms(1_000_000)
        .with_rebalance_timeout_ms(1_000)
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![protocol])
}

#[tokio::test]
async fn offsets_of_groups_without_members_expire_and_no_others() {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let house = Arc::new(House::default());
    house.runs(1);
    let residents = Arc::clone(&house);
    let served = Served::start_at(clock.clone(), |config| {
        config.offsets_retention = Some(Duration::from_secs(100));
        config.residents = Some(residents);
    })
    .await;
    served.topic("orders", 4).await;
    for group in ["gone", "here", "connect-lake"] {
        commit_directly(&served, group, 7).await;
    }
    // Member of a group with a session that outlasts this test.
    let mut member = served.client().await;
    member.send(1, &join("here")).await;
    let kept = |groups: &[&str]| {
        let found = served.log.groups();
        assert_eq!(found.iter().map(|group| &**group).collect::<Vec<_>>(), groups);
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while served.handle.members("here") == 0 {
        assert!(tokio::time::Instant::now() < deadline, "it never joins");
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(60));
    served.handle.let_offsets_expire().await;
    kept(&["connect-lake", "gone", "here"]);
    clock.advance(Duration::from_secs(60));
    served.handle.let_offsets_expire().await;
    kept(&["connect-lake", "here"]);
    // Those of the group that lives were committed anew, so that a crash now does not make them old.
    let age = |group: &str| 1_120_000 - served.log.group_offsets_with_times(group)[0].1;
    assert_eq!((age("here"), age("connect-lake")), (0, 120_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_of_a_deleted_topic_do_not_come_back() {
    let clock = Arc::new(ManualClock::at(1_000_000));
    // Every look at offsets of a group with members commits them anew.
    let served =
        Served::start_at(clock.clone(), |config| config.offsets_retention = Some(Duration::from_millis(2))).await;
    let mut member = served.client().await;
    member.send(1, &join("here")).await;
    while served.handle.members("here") == 0 {
        tokio::task::yield_now().await;
    }
    for round in 0..20 {
        served.topic("orders", 4).await;
        commit_directly(&served, "here", 7).await;
        let mut client = served.client().await;
        let deletion = tokio::spawn(async move {
            let topics = vec![DeleteTopicState::default().with_name(Some(name("orders")))];
            client.call(6, &DeleteTopicsRequest::default().with_topics(topics)).await.responses.remove(0)
        });
        while !deletion.is_finished() {
            clock.advance(Duration::from_millis(1));
            served.handle.let_offsets_expire().await;
        }
        assert_eq!(deletion.await.expect("no panic").error_code, 0);
        assert_eq!(served.log.group_offsets("here"), [], "round {round}");
    }
}

#[tokio::test]
async fn lag_is_told_with_the_time_that_is_left_to_read_what_is_old() {
    let clock = Arc::new(ManualClock::at(1_000));
    let served = Served::start_at(clock.clone(), |_| {}).await;
    served.topic("orders", 1).await;
    let configs = [("retention.ms".to_owned(), Some("10000".to_owned()))];
    served.log.alter_topic("orders", configs.into()).await.expect("altered");
    let mut client = served.client().await;
    for value in ["a", "b", "c"] {
        client.call(9, &produce("orders", uuid::Uuid::nil(), -1, &[(0, values_batch(&[value]))])).await;
    }
    commit_directly(&served, "readers", 1).await;
    clock.advance(Duration::from_secs(8));
    let lag = served.handle.lags().await.remove(0);
    assert_eq!((lag.records, lag.lost, lag.time_left), (2, 0, Some(Duration::from_secs(2))));
    assert!((lag.exhaustion - 0.8).abs() < 1e-9, "{}", lag.exhaustion);
    commit_directly(&served, "readers", 3).await;
    let lag = served.handle.lags().await.remove(0);
    assert_eq!((lag.records, lag.time_left, lag.exhaustion), (0, None, 0.0));
}

#[tokio::test]
async fn a_group_is_reset_as_its_operator_says() {
    let served = Served::start().await;
    served.topic("orders", 2).await;
    let mut client = served.client().await;
    for value in 0..10 {
        client.call(9, &produce("orders", uuid::Uuid::nil(), -1, &[(0, values_batch(&[&value.to_string()]))])).await;
    }
    commit_directly(&served, "readers", 4).await;
    let mut admin = Admin::new(Tcp::connect(&served.address.to_string()).await.expect("connected"));
    let cases = [
        (ResetTo::Earliest, 0),
        (ResetTo::Latest, 10),
        (ResetTo::Current, 4),
        (ResetTo::Offset(7), 7),
        (ResetTo::Offset(70), 10),
        (ResetTo::ShiftBy(-3), 1),
        (ResetTo::ShiftBy(-30), 0),
        (ResetTo::Time(0), 0),
        (ResetTo::Time(i64::MAX), 10),
    ];
    for (to, expected) in cases {
        let plan = admin.plan_reset("readers", &[], to).await.expect("a plan");
        assert_eq!((plan.len(), plan[0].from, plan[0].to), (1, Some(4), expected), "{to:?}");
    }
    let whole = admin.plan_reset("readers", &["orders".to_owned()], ResetTo::Earliest).await.expect("a plan");
    assert_eq!(whole.len(), 2, "a topic is reset as a whole");
    admin.reset("readers", &whole).await.expect("reset");
    let positions = admin.describe_group("readers").await.expect("described").positions;
    assert_eq!(
        positions.iter().map(|one| (one.committed, one.lag())).collect::<Vec<_>>(),
        [(Some(0), Some(10)), (Some(0), Some(0))]
    );
    let nothing = admin.plan_reset("nobody", &[], ResetTo::Earliest).await;
    assert!(matches!(nothing, Err(AdminError::Invalid(_))));
    admin.delete_group("readers").await.expect("deleted");
    let gone = admin.describe_group("readers").await.expect_err("it is gone");
    assert!(gone.is_input() && gone.to_string().contains("no such group"), "{gone}");
}
