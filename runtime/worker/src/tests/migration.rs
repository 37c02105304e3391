//! Connectors come into a log: whole, in a worker's own form, and never over positions that are newer.

use std::collections::BTreeMap;

use towpath_log::{Error as LogError, GroupOffsets as _, NewTopic, Topics as _};
use towpath_model::{Checkpoint, ConnectorName, TargetState, TopicPartition};

use super::log::FakeLog;
use crate::config::InternalTopics;
use crate::migration::{Arrival, Standing, arrive, kept, standing};

fn source(target: TargetState, positions: &[(&str, &str)]) -> Arrival {
    let position = |(partition, offset): &(&str, &str)| Checkpoint {
        partition: (*partition).into(),
        offset: Some((*offset).into()),
    };
    Arrival {
        name: ConnectorName::new("a"),
        config: [("name", "a"), ("connector.class", "file-source")].into_iter().collect(),
        file: "a.yaml".into(),
        target,
        positions: positions.iter().map(position).collect(),
        offsets: BTreeMap::new(),
    }
}

fn sink(offset: i64) -> Arrival {
    Arrival {
        name: ConnectorName::new("s"),
        positions: Vec::new(),
        offsets: [(TopicPartition::new("t", 0), offset)].into(),
        ..source(TargetState::Started, &[])
    }
}

async fn standing_of(log: &FakeLog, arrival: &Arrival) -> Standing {
    standing(log, &InternalTopics::default(), std::slice::from_ref(arrival)).await.expect("read")[0]
}

#[tokio::test]
async fn what_comes_in_is_there_and_coming_again_changes_nothing() {
    let log = FakeLog::new();
    log.create_topic(NewTopic { name: "t".into(), partitions: Some(1), ..NewTopic::default() }).await.expect("created");
    let topics = InternalTopics::default();
    let all = [source(TargetState::Stopped, &[(r#"{"filename":"/x"}"#, r#"{"position":7}"#)]), sink(9)];
    assert_eq!(standing(&*log, &topics, &all).await.expect("read"), [Standing::New, Standing::New]);
    arrive(&*log, &topics, &all).await.expect("arrived");
    let (there, unread) = kept(&*log, &topics).await.expect("read");
    assert_eq!(unread, []);
    let a = &there[&all[0].name];
    assert_eq!((a.target, &a.config, &a.positions), (TargetState::Stopped, &all[0].config, &all[0].positions));
    assert!(!there.contains_key(&all[1].name), "one that is to run needs nothing but its file");
    assert_eq!(log.group_offsets("connect-s")[0].offset, Some(9));
    assert_eq!(standing(&*log, &topics, &all).await.expect("read"), [Standing::Same, Standing::Same]);
    let spelt = source(TargetState::Stopped, &[(r#"{ "filename" : "/x" }"#, r#"{"position": 7}"#)]);
    assert_eq!(standing_of(&log, &spelt).await, Standing::Same);
    for other in [
        source(TargetState::Stopped, &[(r#"{"filename":"/x"}"#, r#"{"position":8}"#)]),
        sink(8),
        source(TargetState::Started, &[]),
    ] {
        assert_eq!(standing_of(&log, &other).await, Standing::Different, "{other:?}");
    }
}

#[tokio::test]
async fn positions_are_replaced_whole_and_what_is_wanted_stays() {
    let log = FakeLog::new();
    let topics = InternalTopics::default();
    arrive(&*log, &topics, &[source(TargetState::Paused, &[("{\"p\":1}", "{}"), ("{\"p\":2}", "{}")])])
        .await
        .expect("arrived");
    let new = source(TargetState::Stopped, &[("{\"p\":2}", "{\"o\":1}"), ("{\"p\":3}", "{}")]);
    arrive(&*log, &topics, std::slice::from_ref(&new)).await.expect("arrived");
    let (there, _) = kept(&*log, &topics).await.expect("read");
    assert_eq!(there[&new.name].positions, new.positions);
    assert_eq!(there[&new.name].target, TargetState::Paused);
}

#[tokio::test]
async fn a_log_that_refuses_has_nothing_of_it() {
    let log = FakeLog::new();
    log.fail([LogError::DiskFull("full".into())]);
    let topics = InternalTopics::default();
    let all = [source(TargetState::Stopped, &[("{\"p\":1}", "{}")]), sink(1)];
    arrive(&*log, &topics, &all).await.expect_err("the disk is full");
    assert_eq!(standing(&*log, &topics, &all).await.expect("read"), [Standing::New, Standing::New]);
    assert!(kept(&*log, &topics).await.expect("read").0.is_empty());
}
