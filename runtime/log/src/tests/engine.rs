//! What a user of the engine notices: commits are read back, wait for nobody, survive, and are refused where they must be.

use std::sync::Arc;
use std::time::Duration;

use towpath_model::{SystemClock, TopicPartition};

use super::{batch, commit, open, topic, values};
use crate::{Appends, Commit, Embedded, Error, Fetch, Fetches, GroupOffset, GroupOffsets, LogConfig, OsVfs, Topics};

fn group_offset(offset: Option<i64>) -> GroupOffset {
    let metadata = "m".to_owned();
    GroupOffset {
        group: "connect-lake".into(),
        partition: TopicPartition::new("orders", 0),
        offset,
        leader_epoch: None,
        metadata,
    }
}

#[tokio::test]
async fn what_is_committed_is_read_back_before_and_after_a_reopen() {
    let dir = tempfile::tempdir().expect("a directory");
    let orders = TopicPartition::new("orders", 0);
    let log = open(dir.path());
    log.create_topic(topic("orders", 2)).await.expect("created");
    let records = batch("orders", &[(0, None, "a"), (1, None, "x"), (0, Some("k"), "b")]);
    let both = Commit { records: vec![records], group_offsets: vec![group_offset(Some(5))], ..Commit::default() };
    let committed = log.commit_atomic(both).await.expect("committed");
    assert_eq!(committed.appends.len(), 2);
    let expected = [(0, "a".to_owned()), (1, "b".to_owned())];
    assert_eq!(values(&log, &orders, 0).await, expected);
    drop(log);
    for _ in 0..2 {
        let log = open(dir.path());
        assert_eq!(values(&log, &orders, 0).await, expected);
        assert_eq!(values(&log, &TopicPartition::new("orders", 1), 0).await, [(0, "x".to_owned())]);
        assert_eq!(log.group_offsets("connect-lake"), [group_offset(Some(5))]);
        log.close().await.expect("closed");
    }
}

#[tokio::test]
async fn a_fetch_waits_for_the_first_record_and_no_longer() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    log.create_topic(topic("orders", 1)).await.expect("created");
    let wanted = [Fetch { partition: TopicPartition::new("orders", 0), offset: 0 }];
    let waiting = tokio::spawn({
        let (log, wanted) = (log.clone(), wanted.clone());
        async move { log.fetch(&wanted, 1 << 20, Duration::from_secs(60)).await }
    });
    log.commit_atomic(commit(batch("orders", &[(-1, None, "a")]))).await.expect("committed");
    let fetched = waiting.await.expect("no panic").expect("fetched");
    assert_eq!((fetched[0].records.len(), fetched[0].next_offset, fetched[0].high_watermark), (1, 1, 1));
    let beyond = [Fetch { offset: 9, ..wanted[0].clone() }];
    let error = log.fetch(&beyond, 1, Duration::ZERO).await.expect_err("beyond the end");
    assert!(matches!(error, Error::OffsetOutOfRange { offset: 9, start: 0, end: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_second_process_is_refused_and_a_reader_may_look_after_the_first_has_ended() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    log.create_topic(topic("orders", 1)).await.expect("created");
    log.commit_atomic(commit(batch("orders", &[(0, None, "a")]))).await.expect("committed");
    let clock = Arc::new(SystemClock::default());
    let second = Embedded::open(LogConfig::new(dir.path()), Arc::new(OsVfs), clock.clone(), 7);
    assert!(matches!(second.err(), Some(Error::Locked(_))));
    drop(log);
    let reader = Embedded::open_read_only(LogConfig::new(dir.path()), Arc::new(OsVfs), clock).expect("opened");
    assert_eq!(values(&reader, &TopicPartition::new("orders", 0), 0).await, [(0, "a".to_owned())]);
    let refused = reader.commit_atomic(commit(batch("orders", &[(0, None, "b")]))).await;
    assert!(matches!(refused, Err(Error::Closed(_))));
}

#[tokio::test]
async fn a_commit_with_one_bad_record_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    log.create_topic(topic("orders", 1)).await.expect("created");
    for (bad, code) in [("nowhere", "log.unknown_topic"), ("orders", "log.unknown_partition")] {
        let records = vec![batch("orders", &[(0, None, "a")]), batch(bad, &[(7, None, "b")])];
        let error = log.commit_atomic(Commit { records, ..Commit::default() }).await.expect_err("refused");
        assert_eq!(error.code(), code);
    }
    assert_eq!(log.offsets(&TopicPartition::new("orders", 0)).expect("offsets").high_watermark, 0);
}

#[tokio::test]
async fn a_topic_made_anew_under_an_old_name_is_empty() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    let orders = TopicPartition::new("orders", 0);
    let first = log.create_topic(topic("orders", 1)).await.expect("created");
    assert!(matches!(log.create_topic(topic("orders", 1)).await, Err(Error::TopicExists(_))));
    let both = Commit {
        records: vec![batch("orders", &[(0, None, "old")])],
        group_offsets: vec![group_offset(Some(1))],
        ..Commit::default()
    };
    log.commit_atomic(both).await.expect("committed");
    log.delete_topic("orders").await.expect("deleted");
    assert!(log.groups().is_empty(), "offsets in a deleted topic stayed");
    assert!(matches!(log.offsets(&orders), Err(Error::UnknownTopic(_))));
    let second = log.create_topic(topic("orders", 1)).await.expect("created");
    assert_ne!(first.id, second.id);
    log.commit_atomic(commit(batch("orders", &[(0, None, "new")]))).await.expect("committed");
    drop(log);
    let log = open(dir.path());
    assert_eq!(values(&log, &orders, 0).await, [(0, "new".to_owned())]);
}

#[tokio::test]
async fn a_fetch_of_many_partitions_answers_in_order_and_starves_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    log.create_topic(topic("orders", 3)).await.expect("created");
    let records = [(0, None, "a"), (1, None, "b"), (2, None, "c")];
    log.commit_atomic(commit(batch("orders", &records))).await.expect("committed");
    let wanted: Vec<Fetch> =
        (0..3).map(|number| Fetch { partition: TopicPartition::new("orders", number), offset: 0 }).collect();
    let mut served = [0; 3];
    for _ in 0..3 {
        let fetched = log.fetch(&wanted, 1, Duration::ZERO).await.expect("fetched");
        for (number, (fetched, wanted)) in fetched.iter().zip(&wanted).enumerate() {
            assert_eq!(fetched.partition, wanted.partition);
            served[number] += fetched.records.len();
        }
    }
    assert_eq!(served, [1, 1, 1]);
}

#[tokio::test]
async fn the_first_record_at_or_after_a_time_is_found_in_memory_and_in_segments() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    let configs = [("segment.bytes", "2000"), ("index.interval.bytes", "100")];
    let configs = configs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    log.create_topic(crate::NewTopic { configs, ..topic("orders", 1) }).await.expect("created");
    let orders = TopicPartition::new("orders", 0);
    for first in (0..200i64).step_by(5) {
        let mut builder = towpath_model::BatchBuilder::default();
        let index = builder.topic("orders");
        let form = towpath_model::Form::BYTES;
        builder.run(towpath_model::Run {
            records: 0,
            topic: index,
            origin: index,
            partition: 0,
            key: form,
            value: form,
        });
        for number in first..first + 5 {
            builder.key(None);
            builder.value(Some(b"some value or other"));
            builder.end(Some(1_000 + number * 10), None);
        }
        log.commit_atomic(commit(builder.build())).await.expect("committed");
    }
    for _ in 0..2 {
        for (time, offset) in
            [(0, Some(0)), (1_000, Some(0)), (1_001, Some(1)), (1_990, Some(99)), (2_985, Some(199)), (2_991, None)]
        {
            assert_eq!(log.offset_for_time(&orders, time).await.expect("found"), offset, "at {time}");
        }
        log.step_checkpoint().expect("a checkpoint");
    }
}

#[tokio::test]
async fn a_missing_or_wrong_index_is_built_anew_and_never_believed() {
    let dir = tempfile::tempdir().expect("a directory");
    let orders = TopicPartition::new("orders", 0);
    let log = open(dir.path());
    log.create_topic(topic("orders", 1)).await.expect("created");
    let value = "v".repeat(1_000);
    for _ in 0..300 {
        let records: Vec<_> = (0..10).map(|_| (0, None, value.as_str())).collect();
        log.commit_atomic(commit(batch("orders", &records))).await.expect("committed");
    }
    log.close().await.expect("closed");
    drop(log);
    let index = dir.path().join("orders-0/00000000000000000000.index");
    let whole = std::fs::read(&index).expect("there is an index");
    let mut wrong = whole.clone();
    for entry in wrong.as_chunks_mut::<8>().0 {
        entry[7] ^= 1;
    }
    for damaged in [None, Some(Vec::new()), Some(wrong), Some(vec![0; 64])] {
        match &damaged {
            None => std::fs::remove_file(&index).expect("removed"),
            Some(bytes) => std::fs::write(&index, bytes).expect("written"),
        }
        let log = open(dir.path());
        let wanted = [Fetch { partition: orders.clone(), offset: 2_345 }];
        let fetched = log.fetch(&wanted, 1, Duration::ZERO).await.expect("fetched");
        assert_eq!(fetched[0].records.records().next().and_then(|record| record.offset), Some(2_345));
        drop(log);
        let rebuilt = std::fs::read(&index).expect("there is an index again");
        assert!(rebuilt.len() > 100 && Some(&rebuilt) != damaged.as_ref(), "{} bytes", rebuilt.len());
    }
}
