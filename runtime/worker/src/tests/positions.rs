//! What an operator notices who changes where connectors go on.

use serde_json::{Value, json};
use towpath_log::{Appends as _, Commit, records};
use towpath_model::{TargetState, TaskState};

use super::plugins::Poll;
use super::rig::{Rig, config, name};
use crate::{Error, Initial, OffsetEntry};

fn entry(partition: Value, offset: Value) -> OffsetEntry {
    OffsetEntry { partition, offset }
}

fn lsn(lsn: u64) -> OffsetEntry {
    entry(json!({"server": "fake"}), json!({ "lsn": lsn }))
}

fn sink_at(partition: i32, offset: i64) -> OffsetEntry {
    entry(json!({"kafka_topic": "t", "kafka_partition": partition}), json!({ "kafka_offset": offset }))
}

/// Writes keys and values into a topic.
async fn keep(rig: &Rig, topic: &str, entries: &[(&str, &str)]) {
    let entries = entries.iter().map(|(key, value)| (key.as_bytes(), Some(value.as_bytes())));
    let commit = Commit { records: vec![records::batch(topic, entries)], ..Commit::default() };
    rig.log.commit_atomic(commit).await.expect("written");
}

async fn stopped_source() -> Rig {
    let rig = Rig::new().await;
    rig.source().poll(Poll::Records("t", vec!["k:1".into()], 7));
    rig.create("s", "source", &[]).await;
    rig.until_written(&rig.source(), r#"commit {"lsn":7}"#).await;
    rig.handle.stop(name("s")).await.expect("it can be stopped");
    rig
}

#[tokio::test(start_paused = true)]
async fn a_stopped_source_goes_on_where_it_is_told_also_after_a_crash() {
    let rig = stopped_source().await;
    rig.handle.alter_offsets(name("s"), &[lsn(3)]).await.expect("it is stopped");
    let key = r#"["s",{"server":"fake"}]"#;
    assert_eq!(rig.log.compacted("connect-offsets")[key].as_deref(), Some(r#"{"lsn":3}"#));
    let rig = rig.crash().await;
    assert_eq!(rig.handle.offsets(&name("s")).expect("known"), [lsn(3)]);
    rig.handle.resume(name("s")).await.expect("it can go on");
    rig.until_written(&rig.source(), r#"open s-0 at {"lsn":3}"#).await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_source_begins_anew() {
    let rig = stopped_source().await;
    rig.handle.reset_offsets(name("s")).await.expect("it is stopped");
    assert_eq!(rig.log.compacted("connect-offsets")[r#"["s",{"server":"fake"}]"#], None);
    let rig = rig.crash().await;
    assert_eq!(rig.handle.offsets(&name("s")).expect("known"), []);
    rig.handle.resume(name("s")).await.expect("it can go on");
    rig.until("opened anew", |rig| rig.source().diary().iter().filter(|line| *line == "open s-0 at ").count() == 2)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_position_keeps_the_spelling_of_its_key() {
    let rig = Rig::new().await;
    let offsets = vec![entry(json!({"b": 1, "a": 2}), json!({"lsn": 1}))];
    let initial = Initial { state: TargetState::Stopped, offsets };
    rig.handle.create(name("s"), config("source", &[]), initial).await.expect("sound");
    rig.handle.alter_offsets(name("s"), &[entry(json!({"a": 2, "b": 1}), json!({"lsn": 2}))]).await.expect("stopped");
    let stored = rig.log.compacted("connect-offsets");
    assert_eq!(stored.keys().collect::<Vec<_>>(), [r#"["s",{"b":1,"a":2}]"#]);
}

#[tokio::test(start_paused = true)]
async fn a_new_connector_begins_where_it_is_told() {
    let rig = Rig::new().await;
    let initial = Initial { state: TargetState::Started, offsets: vec![lsn(5)] };
    rig.handle.create(name("s"), config("source", &[]), initial).await.expect("sound");
    rig.until_written(&rig.source(), r#"open s-0 at {"lsn":5}"#).await;
    let commits = rig.log.commits();
    let creation = commits.iter().find(|commit| {
        commit.records.iter().any(|batch| batch.columns().topics.iter().any(|topic| &**topic == "connect-configs"))
    });
    assert_eq!(creation.expect("a commit").records.len(), 2, "configuration and position are one commit");
}

#[tokio::test(start_paused = true)]
async fn a_connector_may_have_a_topic_of_its_own_for_its_offsets() {
    let rig = Rig::new().await;
    rig.log.create("s-offsets", 1);
    let key = r#"["s",{"server":"fake"}]"#;
    let other = r#"["other",{"server":"fake"}]"#;
    keep(&rig, "s-offsets", &[(key, r#"{"lsn":4}"#), (other, r#"{"lsn":9}"#)]).await;
    let own = [("offsets.storage.topic", "s-offsets")];
    rig.create("s", "source", &own).await;
    rig.until_written(&rig.source(), r#"open s-0 at {"lsn":4}"#).await;
    rig.source().poll(Poll::Records("t", vec!["k:1".into()], 7));
    rig.until_written(&rig.source(), r#"commit {"lsn":7}"#).await;
    for topic in ["s-offsets", "connect-offsets"] {
        assert_eq!(rig.log.compacted(topic)[key].as_deref(), Some(r#"{"lsn":7}"#), "{topic}");
    }
    rig.handle.stop(name("s")).await.expect("it can be stopped");
    rig.handle.reset_offsets(name("s")).await.expect("it is stopped");
    assert_eq!(rig.log.compacted("s-offsets")[key], None);
    rig.handle.alter_offsets(name("s"), &[lsn(3)]).await.expect("it is stopped");
    assert_eq!(rig.log.compacted("s-offsets")[key].as_deref(), Some(r#"{"lsn":3}"#));
}

#[tokio::test(start_paused = true)]
async fn what_the_worker_knows_wins_over_an_old_topic_of_the_connector() {
    let rig = stopped_source().await;
    rig.log.create("old", 1);
    keep(&rig, "old", &[(r#"["s",{"server":"fake"}]"#, r#"{"lsn":1}"#)]).await;
    let config = config("source", &[("offsets.storage.topic", "old")]);
    rig.handle.put_config(name("s"), config).await.expect("sound");
    rig.handle.resume(name("s")).await.expect("it can go on");
    rig.until("opened", |rig| rig.source().diary().iter().filter(|line| line.starts_with("open ")).count() == 2).await;
    assert_eq!(
        rig.source().diary().iter().rfind(|line| line.starts_with("open ")).unwrap(),
        r#"open s-0 at {"lsn":7}"#
    );
}

#[tokio::test(start_paused = true)]
async fn a_topic_of_the_worker_keeps_no_offsets_of_a_connector() {
    let rig = Rig::new().await;
    rig.create("s", "source", &[("offsets.storage.topic", "connect-configs")]).await;
    rig.until("failed", |rig| rig.status("s").tasks.first().is_some_and(|task| task.state == TaskState::Failed)).await;
    let trace = rig.status("s").tasks[0].trace.clone().expect("a reason");
    let says = "offsets.storage.topic: the topic connect-configs is the worker's own; name another";
    assert!(trace.starts_with(says), "{trace}");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_sink_reads_again_or_skips() {
    let rig = Rig::new().await;
    rig.log.create("t", 1);
    let values: Vec<String> = (0..5).map(|value| format!("v{value}")).collect();
    rig.log.produce("t", 0, values.clone());
    rig.create("s", "sink", &[]).await;
    rig.until("all", |rig| rig.log.committed("connect-s", "t", 0).is_some_and(|(offset, _)| offset == 5)).await;
    rig.handle.stop(name("s")).await.expect("it can be stopped");
    rig.handle.alter_offsets(name("s"), &[sink_at(0, 3)]).await.expect("it is stopped");
    rig.handle.resume(name("s")).await.expect("it can go on");
    rig.until("again", |rig| rig.sink().delivered().len() == 7).await;
    assert_eq!(rig.sink().delivered()[5..], values[3..]);
    rig.handle.stop(name("s")).await.expect("it can be stopped");
    rig.handle.reset_offsets(name("s")).await.expect("it is stopped");
    assert!(rig.handle.offsets(&name("s")).expect("known").iter().all(|entry| entry.offset.is_null()));
}

#[tokio::test(start_paused = true)]
async fn refusals_have_connects_words() {
    let rig = stopped_source().await;
    rig.log.create("t2", 1);
    rig.create("running", "source", &[]).await;
    rig.handle.create(name("sink"), config("sink", &[("topics", "t2")]), TargetState::Stopped).await.expect("sound");
    let check = |result: crate::Result<()>, text: &str| {
        let error = result.expect_err(text);
        assert_eq!(error.http_status(), 400, "{error}");
        assert!(error.to_string().starts_with(text), "{error}");
    };
    let alter = |connector: &str, entry: OffsetEntry| {
        let (handle, connector) = (rig.handle.clone(), name(connector));
        async move { handle.alter_offsets(connector, &[entry]).await }
    };
    let unknown = rig.handle.alter_offsets(name("x"), &[lsn(1)]).await.expect_err("unknown");
    assert!(matches!(unknown, Error::NotFound(_)), "{unknown}");
    check(alter("running", lsn(1)).await, "Connectors must be in the STOPPED state before");
    check(rig.handle.reset_offsets(name("running")).await, "Connectors must be in the STOPPED state before");
    let none = "Partitions / offsets need to be provided for an alter offsets request";
    check(rig.handle.alter_offsets(name("s"), &[]).await, none);
    check(alter("s", entry(json!({"server": "fake"}), json!({"lsn": "refuse"}))).await, "offset: no such place");
    let at = |partition: Value, offset: Value| alter("sink", entry(partition, offset));
    let null = "The partition for a sink connector offset cannot be null or missing";
    check(at(Value::Null, json!({"kafka_offset": 1})).await, null);
    let keys = "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'";
    check(at(json!({"topic": "t2"}), json!({"kafka_offset": 1})).await, keys);
    let number = "Failed to parse the following Kafka partition value in the provided offsets: 'one'.";
    check(at(json!({"kafka_topic": "t2", "kafka_partition": "one"}), json!({"kafka_offset": 1})).await, number);
    let place = json!({"kafka_topic": "t2", "kafka_partition": "0"});
    let offset = "Failed to parse the following Kafka offset value in the provided offsets: '1.5'.";
    check(at(place.clone(), json!({"kafka_offset": 1.5})).await, offset);
    let key = "The offset for a sink connector should either be null or contain the key 'kafka_offset'";
    check(at(place, json!({"offset": 1})).await, key);
    let gone = json!({"kafka_topic": "t2", "kafka_partition": 7});
    let failed = "Failed to alter consumer group offsets for connector sink: topic t2 has no partition 7";
    check(at(gone, json!({"kafka_offset": 1})).await, failed);
}
