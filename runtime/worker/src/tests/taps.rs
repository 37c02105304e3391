//! What whoever taps a connector sees of its records.

use towpath_convert::{Outcome, Station};
use towpath_model::TaskId;

use super::plugins::Poll;
use super::rig::{Rig, name};
use crate::{Error, Tap, TapOptions};

const ALL: TapOptions = TapOptions { rate: 10, task: None };

/// The next record: its value at first, at how many steps it was seen, how it ended.
async fn next(tap: &mut Tap) -> (String, usize, Outcome) {
    let (missed, tapped) = tap.next().await.expect("a record");
    assert_eq!(missed, 0);
    let first = &tapped.passage.stops[0].records[0];
    let value = first.value.shown().as_str().expect("a text").to_owned();
    (value, tapped.passage.stops.len(), tapped.passage.outcome())
}

fn records(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| format!("k:{value}")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_source_is_tapped_across_restarts_until_it_is_deleted() {
    let rig = Rig::new().await;
    rig.create(
        "s",
        "source",
        &[
            ("transforms", "route"),
            ("transforms.route.type", "RegexRouter"),
            ("transforms.route.regex", "t"),
            ("transforms.route.replacement", "u"),
        ],
    )
    .await;
    let mut tap = rig.handle.tap(&name("s"), ALL).expect("a connector");
    rig.source().poll(Poll::Records("t", records(&["1", "2"]), 1));
    assert_eq!(next(&mut tap).await, ("k:1".into(), 3, Outcome::Passed));
    assert_eq!(next(&mut tap).await, ("k:2".into(), 3, Outcome::Passed));
    rig.until("records in the log", |rig| rig.log.values("u").len() == 2).await;
    rig.handle.restart_task(TaskId { connector: name("s"), task: 0 }).await.expect("a restart");
    rig.source().poll(Poll::Records("t", records(&["3"]), 2));
    assert_eq!(next(&mut tap).await.0, "k:3");
    rig.handle.delete(name("s")).await.expect("deleted");
    assert!(tap.next().await.is_none(), "the connector is no more");
    assert!(matches!(rig.handle.tap(&name("s"), ALL), Err(Error::NotFound(_))));
}

#[tokio::test(start_paused = true)]
async fn a_sink_is_tapped_from_the_log_on_until_the_worker_stops() {
    let mut rig = Rig::new().await;
    rig.log.create("t", 2);
    rig.create("s", "sink", &[("value.converter", "string"), ("tasks.max", "2")]).await;
    rig.until("tasks", |rig| rig.status("s").tasks.len() == 2).await;
    let missing = rig.handle.tap(&name("s"), TapOptions { task: Some(2), ..ALL }).err();
    assert!(matches!(missing, Some(Error::NoTaskStatus(_))), "{missing:?}");
    let mut second = rig.handle.tap(&name("s"), TapOptions { task: Some(1), ..ALL }).expect("a task");
    let mut tap = rig.handle.tap(&name("s"), ALL).expect("a connector");
    rig.log.produce("t", 0, vec!["v".to_owned()]);
    rig.log.produce("t", 1, vec!["w".to_owned()]);
    let (_, tapped) = tap.next().await.expect("a record");
    let stations: Vec<_> = tapped.passage.stops.iter().map(|stop| stop.station.clone()).collect();
    assert_eq!(stations, [Station::Log, Station::Converter]);
    assert_eq!(tapped.passage.stops[1].records[0].offset, Some(0));
    let (_, other) = tap.next().await.expect("the record of the other task");
    assert_ne!(tapped.task, other.task);
    assert_eq!(second.next().await.expect("the record of the second task").1.task.task, 1);
    rig.stop().await;
    assert!(tap.next().await.is_none(), "the worker has stopped");
    assert!(second.next().await.is_none(), "the first task's record is not the second's");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_fails_its_task_has_been_shown() {
    let rig = Rig::new().await;
    rig.log.create("t", 1);
    rig.create("s", "sink", &[("value.converter", "json")]).await;
    let mut tap = rig.handle.tap(&name("s"), ALL).expect("a connector");
    rig.log.produce("t", 0, vec!["no json".to_owned()]);
    let (_, tapped) = tap.next().await.expect("a record");
    let failure = tapped.passage.stops.last().and_then(|stop| stop.failure.clone()).expect("a failure");
    assert_eq!((tapped.passage.outcome(), failure.code.as_str()), (Outcome::Failed, "convert.json"));
}
