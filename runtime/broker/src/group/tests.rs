//! Every transition of a group, then random orders of events, after which nobody waits for ever and only members are answered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError as Code;
use proptest::prelude::*;

use super::machine::{Action, Answer, Event, Group, GroupLimits, Identity, Join, Joined, Leaver, State, Sync, Token};

const SESSION: Duration = Duration::from_secs(10);

fn group() -> Group {
    Group::new(GroupLimits { members: 10, initial_delay: Duration::ZERO })
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn join(id: &str, fresh: &str) -> Join {
    Join {
        member_id: id.into(),
        fresh_id: fresh.into(),
        instance: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session: SESSION,
        rebalance: Duration::from_secs(30),
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::from_static(b"topics"))],
        id_required: false,
    }
}

fn who(id: &str, generation: i32) -> Identity {
    Identity { member_id: id.into(), instance: None, generation }
}

fn sync(id: &str, generation: i32, assignments: &[(&str, &'static str)]) -> Sync {
    let assignments = assignments.iter().map(|(id, text)| ((*id).to_owned(), Bytes::from_static(text.as_bytes())));
    Sync { who: who(id, generation), protocol_type: None, protocol: None, assignments: assignments.collect() }
}

fn answers(actions: Vec<Action>) -> BTreeMap<Token, Answer> {
    actions.into_iter().map(|Action(token, answer)| (token, answer)).collect()
}

fn joined(answer: Option<&Answer>) -> Joined {
    match answer {
        Some(Answer::Joined(joined)) => joined.clone(),
        other => panic!("not joined but {other:?}"),
    }
}

/// A stable group of a leader `a` and a follower `b`, in its second generation.
fn stable() -> Group {
    let mut group = group();
    group.on(Event::Join(1, join("", "a")), at(0));
    group.on(Event::Join(2, join("", "b")), at(0));
    let answers = answers(group.on(Event::Join(3, join("a", "")), at(0)));
    assert_eq!((joined(answers.get(&3)).members.len(), joined(answers.get(&2)).members.len()), (2, 0));
    assert!(group.on(Event::Sync(4, sync("b", 2, &[])), at(0)).is_empty(), "a follower waits for the leader");
    let all = self::answers(group.on(Event::Sync(5, sync("a", 2, &[("a", "p0"), ("b", "p1")])), at(0)));
    for (token, part) in [(4, "p1"), (5, "p0")] {
        let Some(Answer::Synced { assignment, protocol, .. }) = all.get(&token) else { panic!("not synced") };
        assert_eq!((assignment.as_ref(), protocol.as_str()), (part.as_bytes(), "range"));
    }
    assert_eq!(group.describe().state, State::Stable);
    group
}

fn beat(group: &mut Group, id: &str, generation: i32, now: Duration) -> Result<(), Code> {
    match answers(group.on(Event::Heartbeat(99, who(id, generation)), now)).remove(&99) {
        Some(Answer::Done(done)) => done,
        other => panic!("no answer to a heartbeat: {other:?}"),
    }
}

#[test]
fn a_member_that_is_killed_is_out_after_its_session_and_the_other_takes_over() {
    let mut group = stable();
    assert_eq!(beat(&mut group, "b", 2, at(9)), Ok(()));
    assert_eq!(group.next_tick(), Some(at(10)), "the leader was last heard of at 0");
    group.on(Event::Tick, at(10));
    assert_eq!(beat(&mut group, "b", 2, at(10)), Err(Code::RebalanceInProgress));
    let answers = answers(group.on(Event::Join(7, join("b", "")), at(11)));
    let joined = joined(answers.get(&7));
    assert_eq!((joined.generation, joined.leader.as_str(), joined.members.len()), (3, "b", 1));
    assert_eq!(beat(&mut group, "a", 2, at(11)), Err(Code::UnknownMemberId));
    assert_eq!(beat(&mut group, "b", 2, at(11)), Err(Code::IllegalGeneration));
}

#[test]
fn who_does_not_come_back_in_time_is_left_behind() {
    let mut group = stable();
    group.on(Event::Join(7, join("", "c")), at(1));
    assert_eq!(beat(&mut group, "a", 2, at(2)), Err(Code::RebalanceInProgress));
    group.on(Event::Join(8, join("a", "")), at(3));
    for second in (4..31).step_by(5) {
        let _ = beat(&mut group, "b", 2, at(second));
    }
    let answers = answers(group.on(Event::Tick, at(31)));
    assert_eq!(joined(answers.get(&8)).members.len(), 2);
    assert_eq!(joined(answers.get(&7)).generation, 3);
    assert_eq!(beat(&mut group, "b", 2, at(31)), Err(Code::UnknownMemberId));
}

#[test]
fn a_new_member_gets_an_id_first_where_its_client_knows_that() {
    let mut group = group();
    let first = Join { id_required: true, ..join("", "a-1") };
    let answers = self::answers(group.on(Event::Join(1, first), at(0)));
    assert_eq!(answers.get(&1), Some(&Answer::JoinRefused(Code::MemberIdRequired, "a-1".into())));
    let stray = self::answers(group.on(Event::Join(2, join("made-up", "")), at(0)));
    assert_eq!(stray.get(&2), Some(&Answer::JoinRefused(Code::UnknownMemberId, "made-up".into())));
    let answers = self::answers(group.on(Event::Join(3, join("a-1", "")), at(0)));
    assert_eq!(joined(answers.get(&3)).member_id, "a-1");
    assert!(!group.is_empty());
}

#[test]
fn a_promise_that_is_not_kept_is_forgotten() {
    let mut group = group();
    group.on(Event::Join(1, Join { id_required: true, ..join("", "a-1") }), at(0));
    assert_eq!(group.next_tick(), Some(SESSION));
    group.on(Event::Tick, SESSION);
    assert!(group.is_empty());
}

#[test]
fn a_static_member_that_restarts_keeps_its_part_without_a_rebalance() {
    let mut group = group();
    let fixed = |id: &str, fresh: &str| Join { instance: Some("i".into()), ..join(id, fresh) };
    group.on(Event::Join(1, fixed("", "i-1")), at(0));
    group.on(Event::Sync(2, sync("i-1", 1, &[("i-1", "p0")])), at(0));
    let answers = self::answers(group.on(Event::Join(3, fixed("", "i-2")), at(5)));
    let again = joined(answers.get(&3));
    assert_eq!((again.generation, again.member_id.as_str(), again.skip_assignment), (1, "i-2", true));
    let answers = self::answers(group.on(Event::Sync(4, sync("i-2", 1, &[])), at(5)));
    let Some(Answer::Synced { assignment, .. }) = answers.get(&4) else { panic!("not synced") };
    assert_eq!(assignment.as_ref(), b"p0");
    let old = Identity { instance: Some("i".into()), ..who("i-1", 1) };
    let answers = self::answers(group.on(Event::Heartbeat(5, old), at(5)));
    assert_eq!(answers.get(&5), Some(&Answer::Done(Err(Code::FencedInstanceId))));
    let leaver = Leaver { member_id: String::new(), instance: Some("i".into()) };
    let answers = self::answers(group.on(Event::Leave(6, vec![leaver.clone(), leaver]), at(5)));
    assert_eq!(answers.get(&6), Some(&Answer::Left(vec![Ok(()), Err(Code::UnknownMemberId)])));
    assert!(group.has_no_members());
}

#[test]
fn offsets_are_committed_by_members_of_this_generation_or_by_anyone_while_there_are_none() {
    let commit = |group: &mut Group, who| match answers(group.on(Event::Commit(9, who), at(1))).remove(&9) {
        Some(Answer::Done(done)) => done,
        other => panic!("no answer: {other:?}"),
    };
    let anyone = who("", -1);
    assert_eq!(commit(&mut group(), anyone.clone()), Ok(()));
    let mut group = stable();
    assert_eq!(commit(&mut group, anyone), Err(Code::UnknownMemberId));
    assert_eq!(commit(&mut group, who("b", 2)), Ok(()));
    assert_eq!(commit(&mut group, who("b", 1)), Err(Code::IllegalGeneration));
    group.on(Event::Join(7, join("", "c")), at(1));
    assert_eq!(commit(&mut group, who("b", 2)), Ok(()), "while others are still joining");
    group.on(Event::Join(8, join("a", "")), at(1));
    group.on(Event::Join(9, join("b", "")), at(1));
    assert_eq!(commit(&mut group, who("b", 3)), Err(Code::RebalanceInProgress));
}

#[test]
fn members_must_understand_each_other() {
    let mut group = stable();
    let other = Join { protocols: vec![("sticky".into(), Bytes::new())], ..join("", "c") };
    let connect = Join { protocol_type: "connect".into(), ..join("", "d") };
    for stranger in [other, connect] {
        let answers = answers(group.on(Event::Join(7, stranger), at(1)));
        assert!(matches!(answers.get(&7), Some(Answer::JoinRefused(Code::InconsistentGroupProtocol, _))));
    }
    assert_eq!(group.describe().state, State::Stable, "the others were not disturbed");
}

#[test]
fn the_first_members_wait_for_each_other() {
    let mut group = Group::new(GroupLimits { members: 10, initial_delay: Duration::from_secs(3) });
    assert!(group.on(Event::Join(1, join("", "a")), at(0)).is_empty());
    assert!(group.on(Event::Join(2, join("", "b")), at(2)).is_empty());
    assert_eq!(answers(group.on(Event::Tick, at(3))).len(), 2);
}

#[derive(Clone, Debug)]
enum Step {
    Join(u8, bool),
    Sync(u8),
    Heartbeat(u8),
    Leave(u8),
    Wait(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u8..5, any::<bool>()).prop_map(|(who, fixed)| Step::Join(who, fixed)),
        2 => (0u8..5).prop_map(Step::Sync),
        1 => (0u8..5).prop_map(Step::Heartbeat),
        1 => (0u8..5).prop_map(Step::Leave),
        2 => (1u8..15).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_everyone_is_answered_once_and_in_time(steps in proptest::collection::vec(step(), 1..80)) {
        let mut group = Group::new(GroupLimits { members: 4, initial_delay: Duration::from_secs(1) });
        let (mut now, mut token) = (Duration::ZERO, 0);
        let mut waiting = BTreeSet::new();
        let mut ids: BTreeMap<u8, String> = BTreeMap::new();
        let mut asked: BTreeMap<Token, u8> = BTreeMap::new();
        let mut last_generation = 0;
        for step in steps {
            token += 1;
            let id = |who: u8| ids.get(&who).cloned().unwrap_or_default();
            let generation = last_generation;
            let event = match step {
                Step::Join(who, fixed) => {
                    asked.insert(token, who);
                    let instance = fixed.then(|| format!("i{who}"));
                    Some(Event::Join(token, Join { instance, ..join(&id(who), &format!("m{who}-{token}")) }))
                }
                Step::Sync(who) => Some(Event::Sync(token, sync(&id(who), generation, &[]))),
                Step::Heartbeat(who) => Some(Event::Heartbeat(token, self::who(&id(who), generation))),
                Step::Leave(who) => Some(Event::Leave(token, vec![Leaver { member_id: id(who), instance: None }])),
                Step::Wait(seconds) => {
                    now += Duration::from_secs(u64::from(seconds));
                    None
                }
            };
            let actions = match event {
                Some(event) => {
                    waiting.insert(token);
                    group.on(event, now)
                }
                None => group.on(Event::Tick, now),
            };
            for Action(token, answer) in actions {
                prop_assert!(waiting.remove(&token), "answered twice, or nobody asked: {token}");
                if let Answer::Joined(joined) = &answer {
                    prop_assert!(joined.generation >= last_generation, "a generation goes back");
                    last_generation = joined.generation;
                    if let Some(who) = asked.get(&token) {
                        ids.insert(*who, joined.member_id.clone());
                    }
                }
            }
            prop_assert!(waiting.is_empty() || group.next_tick().is_some(), "someone waits and no time is set");
            prop_assert!(group.describe().members.len() <= 4, "a limit is not kept");
        }
        // With time alone everybody is gone and everybody is answered.
        for _ in 0..100 {
            let Some(next) = group.next_tick() else { break };
            now = now.max(next);
            for Action(token, _) in group.on(Event::Tick, now) {
                prop_assert!(waiting.remove(&token), "answered twice: {token}");
            }
        }
        prop_assert!(waiting.is_empty(), "{waiting:?} wait for ever");
        prop_assert!(group.is_empty(), "someone stays for ever: {group:?}");
    }
}
