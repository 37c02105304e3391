//! Every transition of a transactional id, its record, and random orders of events.

use std::collections::BTreeSet;

use proptest::prelude::*;
use towpath_model::TopicPartition;

use super::machine::{Event, Markers, Producer, Refused, Step, Transaction, TransactionStatus};
use super::record;

const FRESH: i64 = 900;
const NOT_OPEN: Refused = Refused::OutOfPlace("it is not open");

fn producer(epoch: i16) -> Producer {
    Producer { id: 7, epoch }
}

fn part(number: i32) -> TopicPartition {
    TopicPartition::new("orders", number)
}

fn init(claimed: Option<Producer>) -> Event {
    Event::Init { timeout_ms: 60_000, claimed, fresh_id: FRESH }
}

fn add(epoch: i16, numbers: &[i32]) -> Event {
    let partitions = numbers.iter().map(|number| part(*number)).collect();
    Event::Add { producer: producer(epoch), partitions, implied: false }
}

fn end(epoch: i16, commit: bool, bumps: bool) -> Event {
    Event::End { producer: producer(epoch), commit, bumps, fresh_id: FRESH }
}

/// A transactional id that these events have happened to.
fn after(events: &[Event]) -> Transaction {
    events.iter().fold(Transaction::new(7, 60_000, 0), |state, event| {
        state.on(event.clone(), 1_000).expect("fits").state(&state)
    })
}

impl Step {
    fn state(self, before: &Transaction) -> Transaction {
        match self {
            Self::Nothing => before.clone(),
            Self::Becomes(next, _) => *next,
        }
    }

    fn markers(self) -> Option<Markers> {
        if let Self::Becomes(_, markers) = self { markers } else { None }
    }
}

fn markers(epoch: i16, commit: bool, numbers: &[i32]) -> Option<Markers> {
    let partitions = numbers.iter().map(|number| part(*number)).collect();
    Some(Markers { producer: producer(epoch), commit, partitions })
}

#[test]
fn a_transaction_gathers_partitions_and_ends_once_for_older_clients() {
    let open = after(&[add(0, &[0]), add(0, &[1, 2])]);
    assert_eq!((open.status, open.started_ms), (TransactionStatus::Ongoing, Some(1_000)));
    assert_eq!(open.on(add(0, &[2]), 5), Ok(Step::Nothing));
    for commit in [true, false] {
        let step = open.on(end(0, commit, false), 2_000).expect("ends");
        let ended = step.clone().state(&open);
        assert_eq!(step.markers(), markers(0, commit, &[0, 1, 2]), "the epoch stays");
        assert_eq!((ended.producer, ended.partitions.len(), ended.started_ms), (producer(0), 0, None));
        assert_eq!(ended.on(end(0, commit, false), 3_000), Ok(Step::Nothing), "asked again");
        assert_eq!(ended.on(end(0, !commit, false), 3_000), Err(NOT_OPEN));
        let next = ended.on(add(0, &[5]), 4_000).expect("the next one begins").state(&ended);
        assert_eq!(next.partitions, BTreeSet::from([part(5)]));
    }
    assert_eq!(after(&[]).on(end(0, true, false), 1), Err(NOT_OPEN));
}

#[test]
fn newer_clients_get_an_epoch_with_every_end_and_late_ends_are_known() {
    let open = after(&[add(0, &[0])]);
    let step = open.on(end(0, true, true), 2_000).expect("ends");
    let ended = step.clone().state(&open);
    assert_eq!(step.markers(), markers(1, true, &[0]), "the marker fences the epoch that ended");
    assert_eq!((ended.producer, ended.previous), (producer(1), Some(producer(0))));
    assert_eq!(ended.on(end(0, true, true), 3_000), Ok(Step::Nothing), "the answer was lost");
    assert!(matches!(ended.on(end(0, false, true), 3_000), Err(Refused::OutOfPlace(_))));
    assert_eq!(ended.on(end(1, true, true), 3_000), Err(NOT_OPEN), "nothing to commit");
    let again = ended.on(end(1, false, true), 3_000).expect("an abort of nothing");
    assert_eq!((again.clone().markers(), again.state(&ended).producer), (None, producer(2)));
    let next = ended.on(add(1, &[3]), 4_000).expect("the next one").state(&ended);
    assert_eq!(next.on(end(0, false, true), 5_000), Err(Refused::Fenced), "a late abort does not reach the next one");
    assert_eq!(next.on(add(0, &[4]), 5_000), Err(Refused::Fenced));
}

#[test]
fn a_new_instance_aborts_and_fences_what_was_before() {
    let open = after(&[add(0, &[0, 1])]);
    let step = open.on(init(None), 2_000).expect("begins");
    let next = step.clone().state(&open);
    assert_eq!(step.markers(), markers(1, false, &[0, 1]));
    assert_eq!((next.producer, next.status), (producer(1), TransactionStatus::Empty));
    assert_eq!(next.on(end(0, true, false), 3_000), Err(Refused::Fenced));
    assert_eq!(next.on(end(0, true, true), 3_000), Err(Refused::Fenced), "its commit did not come true");
    let other = Event::Add { producer: Producer { id: 8, epoch: 1 }, partitions: vec![part(0)], implied: true };
    assert_eq!(next.on(other, 3_000), Err(Refused::Unknown));
}

#[test]
fn one_that_says_who_it_is_bumps_once_however_often_it_asks() {
    let idle = after(&[]);
    let bumped = idle.on(init(Some(producer(0))), 1).expect("bumps").state(&idle);
    assert_eq!(bumped.producer, producer(1));
    let repeated = bumped.on(init(Some(producer(0))), 2).expect("asked again").state(&bumped);
    assert_eq!(repeated.producer, producer(1));
    assert_eq!(bumped.on(init(Some(producer(5))), 2), Err(Refused::Fenced));
    assert_eq!(bumped.on(end(0, true, true), 2), Err(Refused::Fenced), "nothing of epoch 0 was committed");
}

#[test]
fn one_that_is_open_for_too_long_is_aborted_and_fenced() {
    let open = after(&[add(0, &[0])]);
    assert_eq!(open.deadline_ms(), Some(61_000));
    assert_eq!(open.on(Event::Tick { fresh_id: FRESH }, 60_999), Ok(Step::Nothing));
    let step = open.on(Event::Tick { fresh_id: FRESH }, 61_000).expect("ends");
    let ended = step.clone().state(&open);
    assert_eq!(step.markers(), markers(1, false, &[0]));
    assert_eq!(ended.status, TransactionStatus::CompleteAbort);
    for bumps in [false, true] {
        assert_eq!(ended.on(end(0, true, bumps), 62_000), Err(Refused::Fenced));
    }
    assert_eq!(ended.on(Event::Tick { fresh_id: FRESH }, 99_000), Ok(Step::Nothing));
}

#[test]
fn after_the_last_epoch_comes_another_producer() {
    let mut open = after(&[add(0, &[0])]);
    open.producer.epoch = i16::MAX - 1;
    let step = open.on(end(i16::MAX - 1, true, true), 1).expect("ends");
    assert_eq!(step.clone().markers(), markers(i16::MAX, true, &[0]));
    let next = step.state(&open);
    assert_eq!(next.producer, Producer { id: FRESH, epoch: 0 });
    assert_eq!(next.on(end(i16::MAX - 1, true, true), 2), Ok(Step::Nothing), "the answer was lost");
    assert_eq!(next.on(add(0, &[0]), 2), Err(Refused::Unknown), "the old id");
}

#[test]
fn what_was_not_added_may_not_be_written() {
    let write = |number| Event::Write { producer: producer(0), partition: part(number) };
    let open = after(&[add(0, &[0])]);
    assert_eq!(open.on(write(0), 1), Ok(Step::Nothing));
    assert!(matches!(open.on(write(1), 1), Err(Refused::OutOfPlace(_))));
    assert!(matches!(after(&[add(0, &[0]), end(0, true, false)]).on(write(0), 1), Err(Refused::OutOfPlace(_))));
}

#[test]
fn a_state_has_kafkas_bytes() {
    let key = record::key("copy").expect("short");
    assert_eq!(key, b"\0\0\0\x04copy");
    let value = record::value(&after(&[add(0, &[3])]));
    let expected = [
        &b"\0\x01\0\0\0\0\0\0\0\x07\0\0\0\0\xea\x60\x01\x02\x07orders\x02\0\0\0\x03\0"[..],
        &b"\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\x03\xe8\0"[..],
    ];
    assert_eq!(value, expected.concat());
    assert_eq!(record::decode(&key, None), Some(("copy".to_owned(), None)));
    assert_eq!(record::decode(b"\0\x01\0\0", Some(&value)), None);
}

fn event() -> impl Strategy<Value = Event> {
    let epoch = 0..4i16;
    prop_oneof![
        (epoch.clone(), any::<bool>()).prop_map(|(epoch, claims)| init(claims.then(|| producer(epoch)))),
        (epoch.clone(), 0..3, any::<bool>()).prop_map(|(epoch, number, implied)| {
            Event::Add { producer: producer(epoch), partitions: vec![part(number)], implied }
        }),
        (epoch, any::<bool>(), any::<bool>()).prop_map(|(epoch, commit, bumps)| end(epoch, commit, bumps)),
        Just(Event::Tick { fresh_id: FRESH }),
    ]
}

proptest! {
    /// Whatever comes in whatever order: the epoch never falls, every partition that was added gets its marker by the end of its
    /// transaction, nobody but the present epoch changes anything, and the record says all there is.
    #[test]
    fn any_order_of_events_keeps_the_rules(events in proptest::collection::vec((event(), 0..40_000i64), 0..40)) {
        let mut state = Transaction::new(7, 60_000, 0);
        let mut now = 0;
        for (event, passed) in events {
            now += passed;
            let spoken = match &event {
                Event::Add { producer, .. } | Event::End { producer, .. } => Some(*producer),
                _ => None,
            };
            let Ok(Step::Becomes(next, ends)) = state.on(event, now) else { continue };
            prop_assert!(spoken.is_none_or(|producer| producer == state.producer), "an old epoch changed something");
            prop_assert!(next.producer.epoch >= state.producer.epoch);
            prop_assert_eq!(next.is_open(), !next.partitions.is_empty());
            prop_assert_eq!(next.is_open(), next.started_ms.is_some());
            if state.is_open() && !next.is_open() {
                let ends = ends.expect("an end has markers");
                prop_assert_eq!(&ends.partitions, &state.partitions);
                prop_assert!(ends.producer.epoch >= state.producer.epoch && ends.producer.epoch <= next.producer.epoch);
            } else {
                prop_assert_eq!(ends, None);
                prop_assert!(!state.is_open() || state.partitions.is_subset(&next.partitions));
            }
            let key = record::key("id").expect("short");
            let stored = record::decode(&key, Some(&record::value(&next))).expect("decodes");
            prop_assert_eq!(stored, ("id".to_owned(), Some(*next.clone())));
            state = *next;
        }
    }

    #[test]
    fn any_bytes_are_a_record_or_none(key in proptest::collection::vec(any::<u8>(), 0..20), value in proptest::collection::vec(any::<u8>(), 0..90)) {
        let _ = record::decode(&key, Some(&value));
        let mut sound = b"\0\x01".to_vec();
        sound.extend(value);
        let _ = record::decode(b"\0\0\0\x01a", Some(&sound));
    }
}
