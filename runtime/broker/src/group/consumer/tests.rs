//! Members come, share, give up, take over and go; then random orders of that, in which no partition ever has two owners.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::consumer_protocol_subscription::TopicPartition as Owned;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::{Encodable, StrBytes};
use proptest::prelude::*;
use uuid::Uuid;

use super::assignor::Assignor;
use super::machine::{Beat, Group, LEAVES, LEAVES_FOR_A_WHILE, Partitions, Refused, Told, Topics};
use crate::group::consumer_protocol;
use crate::group::handover::{HandedOver, Handover};
use crate::group::machine::{Answer, Event, Identity, Join, Joined, Leaver, Sync};
use crate::node::topic_name;

const SESSION: Duration = Duration::from_secs(45);
const A: Uuid = Uuid::from_u128(1);
const B: Uuid = Uuid::from_u128(2);

fn topics(a: i32) -> Topics {
    Topics::from([("orders".into(), (A, a)), ("others".into(), (B, 2))])
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn beat(member: &str, epoch: i32, owned: Option<&Partitions>) -> Beat {
    Beat { member_id: member.to_owned(), epoch, owned: owned.cloned(), ..Beat::default() }
}

fn join(member: &str) -> Beat {
    Beat {
        rebalance: Some(at(30)),
        names: Some(BTreeSet::from(["orders".to_owned()])),
        ..beat(member, 0, Some(&Partitions::new()))
    }
}

fn on(group: &mut Group, beat: Beat, now: u64) -> Result<Told, Refused> {
    group.on(beat, &topics(4), true, at(now))
}

fn assigned(told: &Told) -> Vec<i32> {
    told.assigned.iter().flatten().map(|(_, partition)| *partition).collect()
}

#[test]
fn a_member_gives_up_before_another_takes_over() {
    let mut group = Group::new(SESSION);
    let a = on(&mut group, join("a"), 0).expect("joined");
    assert_eq!((a.epoch, assigned(&a)), (1, vec![0, 1, 2, 3]));
    let has = a.assigned.expect("told");
    let b = on(&mut group, join("b"), 1).expect("joined");
    assert_eq!((b.epoch, assigned(&b)), (2, vec![]), "all of it is with another still");
    assert_eq!(group.describe().state, "Reconciling");
    let told = on(&mut group, beat("a", 1, Some(&has)), 2).expect("a member");
    assert_eq!((told.epoch, assigned(&told).len()), (1, 2), "it is to give up two, in its own epoch");
    assert_eq!(on(&mut group, beat("b", 2, None), 3).expect("a member").assigned, None, "and has not done so yet");
    let kept = told.assigned.expect("told");
    let told = on(&mut group, beat("a", 1, Some(&kept)), 4).expect("a member");
    assert_eq!(told.epoch, 2);
    let b = on(&mut group, beat("b", 2, None), 5).expect("a member");
    let both: BTreeSet<i32> = assigned(&b).into_iter().chain(kept.iter().map(|(_, partition)| *partition)).collect();
    assert_eq!((assigned(&b).len(), both.len()), (2, 4));
    assert_eq!(group.describe().state, "Stable");
    assert_eq!(group.may_commit("b", 2), Ok(()));
    assert_eq!(group.may_commit("b", 1), Err(Code::StaleMemberEpoch));
    assert_eq!(group.may_commit("", -1), Err(Code::UnknownMemberId), "nobody else while there are members");
}

#[test]
fn who_says_nothing_or_keeps_what_it_must_give_up_is_out() {
    let mut group = Group::new(SESSION);
    let has = on(&mut group, join("a"), 0).expect("joined").assigned.expect("told");
    on(&mut group, join("b"), 1).expect("joined");
    on(&mut group, beat("a", 1, Some(&has)), 2).expect("it is told to give up");
    for now in (12..32).step_by(5) {
        on(&mut group, beat("a", 1, Some(&has)), now).expect("it keeps on");
        on(&mut group, beat("b", 2, None), now).expect("it waits");
    }
    let b = on(&mut group, beat("b", 2, None), 33).expect("a member");
    assert_eq!(assigned(&b), [0, 1, 2, 3], "its 30 seconds are over");
    assert_eq!(on(&mut group, beat("a", 1, Some(&has)), 33), Err((Code::UnknownMemberId, "there is no such member")));
    group.expire(at(33) + SESSION);
    assert_eq!((group.members(), group.describe().state), (0, "Empty"));
    assert_eq!(group.may_commit("", -1), Ok(()));
}

#[test]
fn a_static_member_that_comes_back_has_what_it_had() {
    let fixed = |id: &str, epoch: i32| Beat { instance: Some("i".to_owned()), epoch, ..join(id) };
    let mut group = Group::new(SESSION);
    on(&mut group, fixed("a", 0), 0).expect("joined");
    on(&mut group, join("b"), 0).expect("joined");
    assert_eq!(on(&mut group, fixed("c", 0), 1).err().map(|(code, _)| code), Some(Code::UnreleasedInstanceId));
    on(&mut group, Beat { owned: None, names: None, rebalance: None, ..fixed("a", LEAVES_FOR_A_WHILE) }, 2)
        .expect("left");
    let back = on(&mut group, fixed("c", 0), 3).expect("joined");
    assert_eq!((back.epoch, assigned(&back).len()), (2, 2));
    assert_eq!(on(&mut group, fixed("a", 1), 3).err().map(|(code, _)| code), Some(Code::FencedInstanceId));
    on(&mut group, fixed("c", LEAVES), 4).expect("left");
    let b = on(&mut group, beat("b", 2, Some(&Partitions::new())), 5).expect("a member");
    assert_eq!((b.epoch, assigned(&b).len()), (3, 4));
}

#[test]
fn topics_that_change_change_what_members_read() {
    let mut group = Group::new(SESSION);
    let pattern = Beat { names: None, regex: Some("o.*s".to_owned()), ..join("a") };
    assert_eq!(on(&mut group, pattern.clone(), 0).expect("joined").assigned.expect("told").len(), 6);
    let told = group.on(beat("a", 1, None), &topics(7), true, at(1)).expect("a member");
    assert_eq!((told.epoch, told.assigned.expect("told").len()), (2, 9));
    let wrong = Beat { regex: Some("(".to_owned()), ..pattern };
    assert_eq!(
        on(&mut group, Beat { member_id: "b".into(), ..wrong }, 2).err().map(|(code, _)| code),
        Some(Code::InvalidRegularExpression)
    );
    let wrong = Beat { assignor: Some("best".to_owned()), ..join("c") };
    assert_eq!(on(&mut group, wrong, 2).err().map(|(code, _)| code), Some(Code::UnsupportedAssignor));
    assert_eq!(on(&mut group, beat("a", 7, None), 2).err().map(|(code, _)| code), Some(Code::FencedMemberEpoch));
}

fn versioned(message: &impl Encodable) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(1);
    message.encode(&mut out, 1).expect("it encodes");
    out.freeze()
}

/// A subscription of the classic protocol to `orders`, by a member that has some of it.
fn subscription(owned: &Partitions) -> Bytes {
    let partitions = owned.iter().map(|(_, partition)| *partition).collect();
    let owned = Owned::default().with_topic(topic_name("orders")).with_partitions(partitions);
    versioned(
        &ConsumerProtocolSubscription::default()
            .with_topics(vec![StrBytes::from_static_str("orders")])
            .with_user_data(None)
            .with_owned_partitions(vec![owned]),
    )
}

fn classic_join(member: &str, owned: &Partitions) -> Event {
    let join = Join {
        member_id: member.to_owned(),
        fresh_id: format!("{member}-fresh"),
        instance: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session: at(20),
        rebalance: at(60),
        protocol_type: "consumer".to_owned(),
        protocols: vec![("cooperative-sticky".to_owned(), subscription(owned))],
        id_required: true,
    };
    Event::Join(0, join)
}

fn identity(member: &str, generation: i32) -> Identity {
    Identity { member_id: member.to_owned(), instance: None, generation }
}

fn classic_sync(member: &str, generation: i32) -> Event {
    let who = identity(member, generation);
    Event::Sync(0, Sync { who, protocol_type: None, protocol: None, assignments: Vec::new() })
}

fn on_classic(group: &mut Group, event: Event, now: u64) -> Answer {
    group.on_classic(event, &topics(4), true, at(now))
}

/// Joins and asks for the assignment, as clients of the classic protocol do.
fn take_part(group: &mut Group, member: &str, owned: &Partitions, count: i32, now: u64) -> Option<(i32, Partitions)> {
    let joined = group.on_classic(classic_join(member, owned), &topics(count), true, at(now));
    let Answer::Joined(Joined { generation, leader, .. }) = joined else { return None };
    assert_eq!(leader, "", "the broker divides");
    let synced = group.on_classic(classic_sync(member, generation), &topics(count), true, at(now));
    let Answer::Synced { assignment, .. } = synced else { return None };
    let assignment = consumer_protocol::read_assignment(&assignment).expect("an assignment");
    Some((generation, consumer_protocol::partitions(assignment).map(|one| (A, one.partition)).collect()))
}

/// A group of the classic protocol with one member that reads everything.
fn classic_group(user_data: Option<Bytes>) -> Handover {
    let assigned = kafka_protocol::messages::consumer_protocol_assignment::TopicPartition::default();
    let assigned = assigned.with_topic(topic_name("orders")).with_partitions(vec![0, 1, 2, 3]);
    let assignment =
        ConsumerProtocolAssignment::default().with_assigned_partitions(vec![assigned]).with_user_data(user_data);
    let member = HandedOver {
        member_id: "old".to_owned(),
        instance: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session: at(20),
        rebalance: at(60),
        protocols: vec![("cooperative-sticky".to_owned(), subscription(&Partitions::new()))],
        assignment: versioned(&assignment),
    };
    Handover { generation: 7, protocol_type: "consumer".to_owned(), members: vec![member] }
}

#[test]
fn a_member_of_the_classic_protocol_gives_up_before_one_of_the_newer_takes_over() {
    let mut group = Group::upgraded(SESSION, classic_group(None), &topics(4), at(0)).expect("it can");
    assert!(group.is_classic());
    let new = on(&mut group, join("new"), 1).expect("joined");
    assert!(new.epoch > 7 && !group.is_classic(), "{new:?}");
    assert_eq!(assigned(&new), [] as [i32; 0], "all of it is with the other still");
    let beat_of = |generation: i32| Event::Heartbeat(0, identity("old", generation));
    assert_eq!(on_classic(&mut group, beat_of(7), 2), Answer::Done(Err(Code::RebalanceInProgress)));
    assert_eq!(group.may_commit("old", 7), Ok(()), "what it has read so far");
    let all: Partitions = (0..4).map(|partition| (A, partition)).collect();
    let (generation, kept) = take_part(&mut group, "old", &all, 4, 3).expect("it takes part");
    assert_eq!((generation, kept.len()), (7, 2), "it is to give up two, in its own generation");
    assert_eq!(on(&mut group, beat("new", new.epoch, None), 4).expect("a member").assigned, None);
    let (generation, again) = take_part(&mut group, "old", &kept, 4, 5).expect("it takes part");
    assert_eq!((generation, &again), (new.epoch, &kept));
    assert_eq!(on_classic(&mut group, beat_of(7), 6), Answer::Done(Err(Code::IllegalGeneration)));
    assert_eq!(on_classic(&mut group, beat_of(generation), 6), Answer::Done(Ok(())));
    let told = on(&mut group, beat("new", new.epoch, None), 7).expect("a member");
    let both: BTreeSet<i32> = assigned(&told).into_iter().chain(kept.iter().map(|(_, partition)| *partition)).collect();
    assert_eq!((assigned(&told).len(), both.len()), (2, 4));
    on(&mut group, beat("new", LEAVES, None), 8).expect("left");
    let handover = group.handover();
    assert!(group.is_classic() && handover.generation > generation, "{handover:?}");
    assert_eq!((handover.members.len(), handover.members[0].session), (1, at(20)));
}

#[test]
fn who_does_not_join_again_or_fall_in_line_is_out() {
    let mut group = Group::upgraded(SESSION, classic_group(None), &topics(4), at(0)).expect("it can");
    let new = on(&mut group, join("new"), 1).expect("joined");
    let rebalance = Answer::Done(Err(Code::RebalanceInProgress));
    for now in (2..62).step_by(15) {
        assert_eq!(on_classic(&mut group, Event::Heartbeat(0, identity("old", 7)), now), rebalance);
        on(&mut group, beat("new", new.epoch, None), now).expect("a member");
    }
    let told = on(&mut group, beat("new", new.epoch, None), 62).expect("a member");
    assert_eq!(assigned(&told), [0, 1, 2, 3], "its 60 seconds are over");
    assert_eq!(on_classic(&mut group, classic_sync("old", 7), 62), Answer::SyncRefused(Code::UnknownMemberId));
    let Event::Join(_, strange) = classic_join("", &Partitions::new()) else { unreachable!("it is one") };
    let strange = Join { protocols: vec![("range".to_owned(), Bytes::from_static(b"?"))], ..strange };
    let refused = on_classic(&mut group, Event::Join(0, strange), 63);
    assert_eq!(refused, Answer::JoinRefused(Code::InconsistentGroupProtocol, String::new()));
    let refused = on_classic(&mut group, classic_join("", &Partitions::new()), 63);
    assert_eq!(refused, Answer::JoinRefused(Code::MemberIdRequired, "-fresh".to_owned()));
}

#[test]
fn a_group_whose_rules_would_be_lost_stays_with_the_classic_protocol() {
    let refused =
        |handover: Handover| Group::upgraded(SESSION, handover, &topics(4), at(0)).err().map(|(code, _)| code);
    assert_eq!(refused(classic_group(Some(Bytes::from_static(b"rules")))), Some(Code::GroupIdNotFound));
    let workers = Handover { protocol_type: "connect".to_owned(), ..classic_group(None) };
    assert_eq!(refused(workers), Some(Code::GroupIdNotFound));
    let mut strange = classic_group(None);
    strange.members[0].protocols[0].1 = Bytes::from_static(b"?");
    assert_eq!(refused(strange), Some(Code::GroupIdNotFound));
}

fn wants(members: &[(&str, &[Uuid])]) -> BTreeMap<String, BTreeMap<Uuid, i32>> {
    let one = |(name, topics): &(&str, &[Uuid])| ((*name).to_owned(), topics.iter().map(|topic| (*topic, 4)).collect());
    members.iter().map(one).collect()
}

#[test]
fn range_gives_neighbours_and_uniform_moves_little() {
    let three = wants(&[("a", &[A, B]), ("b", &[A, B]), ("c", &[A])]);
    let range = Assignor::Range.assign(&three, &BTreeMap::new());
    assert_eq!(range["a"], Partitions::from([(A, 0), (A, 1), (B, 0), (B, 1)]));
    assert_eq!(range["c"], Partitions::from([(A, 3)]));
    let two = Assignor::Uniform.assign(&wants(&[("a", &[A]), ("b", &[A])]), &BTreeMap::new());
    let grown = Assignor::Uniform.assign(&wants(&[("a", &[A]), ("b", &[A]), ("c", &[A])]), &two);
    let moved = ["a", "b"].iter().map(|member| two[*member].difference(&grown[*member]).count()).sum::<usize>();
    assert_eq!((moved, grown["c"].len()), (1, 1), "one goes to the new one, and no other moves");
}

proptest! {
    #[test]
    fn uniform_divides_all_among_those_who_read_it(reads in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..6), had in proptest::collection::vec((0usize..6, any::<bool>(), 0i32..4), 0..8)) {
        let name = |index: usize| format!("m{index}");
        let wants: BTreeMap<String, BTreeMap<Uuid, i32>> = reads.iter().enumerate().map(|(index, (a, b))| {
            let topics = [(*a, A), (*b, B)].into_iter().filter(|(reads, _)| *reads).map(|(_, topic)| (topic, 4));
            (name(index), topics.collect())
        }).collect();
        let mut before: BTreeMap<String, Partitions> = BTreeMap::new();
        for (index, a, partition) in had {
            before.entry(name(index)).or_default().insert((if a { A } else { B }, partition));
        }
        for assignor in [Assignor::Uniform, Assignor::Range] {
            let divided = assignor.assign(&wants, &before);
            let mut seen = Partitions::new();
            for (member, partitions) in &divided {
                for partition in partitions {
                    prop_assert!(wants[member].contains_key(&partition.0), "{member} does not read it");
                    prop_assert!(seen.insert(*partition), "two have it");
                }
            }
            let read: BTreeSet<Uuid> = wants.values().flat_map(|topics| topics.keys().copied()).collect();
            prop_assert_eq!(seen.len(), read.len() * 4, "something has nobody");
        }
        let same: BTreeSet<_> = wants.values().collect();
        if same.len() == 1 {
            let loads = Assignor::Uniform.assign(&wants, &before).values().map(BTreeSet::len).collect::<Vec<_>>();
            prop_assert!(loads.iter().max().zip(loads.iter().min()).is_none_or(|(most, least)| most - least <= 1), "{loads:?}");
        }
    }

    #[test]
    fn no_partition_ever_has_two_owners_and_in_the_end_each_has_one(steps in proptest::collection::vec((0usize..5, 0u8..6, 1u64..20), 1..120)) {
        let mut group = Group::new(SESSION);
        // What each client believes: its epoch, and what it reads. It gives up at once, or a heartbeat later.
        let mut clients: BTreeMap<usize, (i32, Partitions)> = BTreeMap::new();
        let mut now = 0;
        let mut count = 4;
        let total = steps.len();
        for (step, (who, what, passes)) in steps.into_iter().chain((0..200).map(|index| (index % 5, 1, 1))).enumerate() {
            let id = format!("m{who}");
            // In the end nothing happens any more but heartbeats.
            let what = if step >= total { 1 } else { what };
            now += if step >= total { 0 } else { passes };
            let client = clients.get(&who).cloned();
            let event = match (what, &client) {
                (0, None) => join(&id),
                (0, Some(_)) => { clients.remove(&who); beat(&id, LEAVES, None) }
                (5, _) => { count = 4 + (count + 1) % 4; continue }
                (_, None) => continue,
                (_, Some((epoch, has))) => beat(&id, *epoch, Some(has)),
            };
            match group.on(event, &topics(count), true, at(now)) {
                Ok(told) if told.epoch >= 0 => {
                    let entry = clients.entry(who).or_default();
                    entry.0 = told.epoch;
                    if let Some(assigned) = told.assigned {
                        entry.1 = assigned;
                    }
                }
                Ok(_) => {}
                // It lost its place: it drops everything, as clients do.
                Err(_) => { clients.remove(&who); }
            }
            // Those that the group has let go may still believe something; members may not share.
            let described = group.describe();
            let mut owned = Partitions::new();
            for member in &described.members {
                for partition in &member.assigned {
                    prop_assert!(owned.insert(*partition), "{partition:?} has two owners: {described:?}");
                }
            }
        }
        let described = group.describe();
        if group.members() > 0 {
            prop_assert_eq!(described.state, "Stable", "{:?}", described);
            let all: usize = described.members.iter().map(|member| member.assigned.len()).sum();
            prop_assert_eq!(all, usize::try_from(count).unwrap());
        }
    }

    #[test]
    fn members_of_both_protocols_never_share_a_partition(steps in proptest::collection::vec((0usize..6, 0u8..6, 1u64..15), 1..120)) {
        let mut group = Group::new(SESSION);
        // The first three speak the newer protocol, the others the classic one.
        let is_classic = |who: usize| who >= 3;
        let mut clients: BTreeMap<usize, (i32, Partitions)> = BTreeMap::new();
        let (mut now, mut count) = (0, 4);
        let total = steps.len();
        for (step, (who, what, passes)) in steps.into_iter().chain((0..300).map(|index| (index % 6, 1, 1))).enumerate() {
            let id = format!("m{who}");
            let what = if step >= total { 1 } else { what };
            now += if step >= total { 0 } else { passes };
            let client = clients.get(&who).cloned();
            if what == 5 {
                count = 4 + (count + 1) % 4;
            } else if is_classic(who) {
                let (epoch, has) = client.clone().unwrap_or_default();
                let beat = Event::Heartbeat(0, identity(&id, epoch));
                let next = match (what, &client) {
                    (0, None) => take_part(&mut group, &id, &Partitions::new(), count, now),
                    (_, None) => continue,
                    (0, Some(_)) => {
                        let leaver = Leaver { member_id: id.clone(), instance: None };
                        group.on_classic(Event::Leave(0, vec![leaver]), &topics(count), true, at(now));
                        None
                    }
                    _ => match group.on_classic(beat, &topics(count), true, at(now)) {
                        Answer::Done(Ok(())) => client.clone(),
                        Answer::Done(Err(Code::RebalanceInProgress)) => take_part(&mut group, &id, &has, count, now),
                        _ => None,
                    },
                };
                clients.remove(&who);
                clients.extend(next.map(|next| (who, next)));
            } else {
                let event = match (what, &client) {
                    (0, None) => join(&id),
                    (0, Some(_)) => beat(&id, LEAVES, None),
                    (_, None) => continue,
                    (_, Some((epoch, has))) => beat(&id, *epoch, Some(has)),
                };
                match group.on(event, &topics(count), true, at(now)) {
                    Ok(told) if told.epoch >= 0 => {
                        let entry = clients.entry(who).or_default();
                        entry.0 = told.epoch;
                        entry.1 = told.assigned.unwrap_or(std::mem::take(&mut entry.1));
                    }
                    _ => { clients.remove(&who); }
                }
            }
            let described = group.describe();
            let mut owned = Partitions::new();
            for partition in described.members.iter().flat_map(|member| &member.assigned) {
                prop_assert!(owned.insert(*partition), "{partition:?} has two owners: {described:?}");
            }
        }
        let described = group.describe();
        if group.members() > 0 {
            let all: usize = described.members.iter().map(|member| member.assigned.len()).sum();
            prop_assert_eq!(all, usize::try_from(count).unwrap(), "{:?}", described);
        }
    }
}
