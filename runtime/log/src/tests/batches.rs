//! Batches in Kafka's format, in and out: what clients send stays as it is, is refused where it must be, and is read back in Kafka's
//! portions.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use towpath_model::TopicPartition;

use super::{batch, commit, open, received_batch, topic, values};
use crate::codec::{BatchHeader, received};
use crate::{
    AppendedBatch, Appends, Compression, Embedded, Error, FetchBatches, FetchLimits, Fetches, NewTopic, ReceivedBatch,
    Topics,
};

const NO_PRODUCER: (i64, i16, i32) = (-1, -1, -1);

fn orders() -> TopicPartition {
    TopicPartition::new("orders", 0)
}

async fn append(log: &Embedded, bytes: Bytes) -> Result<AppendedBatch, Error> {
    log.append_batches(vec![ReceivedBatch { partition: orders(), bytes, adds_partition: false }]).await.remove(0)
}

/// Sizes of the batches that a fetch returns: partition, offset, its limit; the limit of all.
async fn sizes(log: &Embedded, wanted: &[(i32, i64, usize)], bytes_max: usize) -> Vec<Vec<usize>> {
    let wanted = wanted.iter().map(|(partition, offset, bytes_max)| FetchBatches {
        partition: TopicPartition::new("orders", *partition),
        offset: *offset,
        bytes_max: *bytes_max,
        committed: false,
    });
    let limits = FetchLimits { bytes_min: 1, max_wait: Duration::ZERO, bytes_max };
    let fetched = log.fetch_batches(&wanted.collect::<Vec<_>>(), limits).await.expect("a fetch");
    fetched.iter().map(|one| one.as_ref().expect("there").batches.iter().map(Bytes::len).collect()).collect()
}

#[tokio::test]
async fn a_received_batch_keeps_its_bytes_and_gets_its_offsets() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    log.create_topic(topic("orders", 1)).await.expect("created");
    log.commit_atomic(commit(batch("orders", &[(0, None, "first")]))).await.expect("committed");
    for compression in [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
    {
        append(&log, received_batch(&["a", "b"], compression, NO_PRODUCER)).await.expect("appended");
    }
    let expected: Vec<(i64, String)> = ["first", "a", "b", "a", "b", "a", "b", "a", "b", "a", "b"]
        .map(String::from)
        .into_iter()
        .zip(0..)
        .map(|(v, o)| (o, v))
        .collect();
    assert_eq!(values(&log, &orders(), 0).await, expected);
    let sent = received_batch(&["a", "b"], Compression::Lz4, NO_PRODUCER);
    let wanted = [FetchBatches { partition: orders(), offset: 8, bytes_max: 1, committed: false }];
    let limits = FetchLimits { bytes_min: 1, max_wait: Duration::ZERO, bytes_max: 1 };
    let check = |stored: &[u8]| {
        assert_eq!(&stored[..8], 7i64.to_be_bytes(), "the batch that holds offset 8 comes whole");
        assert_eq!(stored[12..16], [0; 4], "the leader epoch is never below zero");
        assert_eq!(stored[16..], sent[16..], "nothing else was touched");
    };
    let fetched = log.fetch_batches(&wanted, limits).await.expect("fetched").remove(0).expect("there");
    check(&fetched.batches[0]);
    // The same from a segment.
    log.close().await.expect("closed");
    drop(log);
    let log = open(dir.path());
    let fetched = log.fetch_batches(&wanted, limits).await.expect("fetched").remove(0).expect("there");
    assert_eq!(fetched.batches.len(), 1, "the limit is a byte");
    check(&fetched.batches[0]);
}

#[tokio::test]
async fn what_must_not_be_appended_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    let configs = [("cleanup.policy".to_owned(), "compact".to_owned()), ("max.message.bytes".into(), "200".into())];
    log.create_topic(NewTopic { name: "orders".into(), partitions: Some(1), configs: configs.into() })
        .await
        .expect("created");
    let good = || received_batch(&["a"], Compression::None, NO_PRODUCER).to_vec();
    let changed = |at: usize, to: u8, mend: bool| {
        let mut bytes = good();
        bytes[at] = to;
        if mend {
            let crc = crc32c::crc32c(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        Bytes::from(bytes)
    };
    let twice: Bytes = [good(), good()].concat().into();
    let large = "x".repeat(300);
    let cases = [
        ("log.invalid_batch", changed(60, 9, false).slice(..good().len() - 1)),
        ("log.batch_damaged", changed(66, 9, false)),
        ("log.invalid_batch", changed(16, 1, false)),
        ("log.invalid_batch", changed(22, 0x20, true)),
        ("log.invalid_batch", changed(22, 0x07, true)),
        ("log.invalid_batch", changed(60, 2, true)),
        ("log.invalid_batch", changed(8, 0xff, false)),
        ("log.invalid_batch", Bytes::from_static(b"short")),
        ("log.invalid_batch", twice),
        ("log.record_too_large", received_batch(&[&large], Compression::None, NO_PRODUCER)),
        ("log.key_missing", good().into()),
    ];
    for (index, (code, bytes)) in cases.into_iter().enumerate() {
        let error = append(&log, bytes).await.expect_err(code);
        assert_eq!(error.code(), code, "case {index}: {error}");
    }
    assert_eq!(log.offsets(&orders()).expect("there").high_watermark, 0);
    let stray = ReceivedBatch {
        partition: TopicPartition::new("__consumer_offsets", 0),
        bytes: good().into(),
        adds_partition: false,
    };
    let unknown =
        ReceivedBatch { partition: TopicPartition::new("nowhere", 0), bytes: good().into(), adds_partition: false };
    let answers = log.append_batches(vec![stray, unknown]).await;
    let codes: Vec<_> = answers.iter().map(|answer| answer.as_ref().expect_err("refused").code()).collect();
    assert_eq!(codes, ["log.invalid_topic", "log.unknown_topic"]);
}

#[tokio::test]
async fn a_bad_batch_keeps_no_neighbour_out_and_a_topic_may_change_what_it_takes() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    let configs =
        [("compression.type".to_owned(), "zstd".to_owned()), ("message.timestamp.type".into(), "LogAppendTime".into())];
    log.create_topic(NewTopic { name: "orders".into(), partitions: Some(2), configs: configs.into() })
        .await
        .expect("created");
    let at = |partition, bytes| ReceivedBatch {
        partition: TopicPartition::new("orders", partition),
        bytes,
        adds_partition: false,
    };
    let lz4 = received_batch(&["a", "b"], Compression::Lz4, NO_PRODUCER);
    let answers = log.append_batches(vec![at(1, lz4.slice(..40)), at(0, lz4.clone()), at(0, lz4)]).await;
    let codes: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().map(Error::code)).collect();
    assert_eq!(codes, [Some("log.invalid_batch"), None, Some("log.invalid_batch")]);
    let time = answers[1].as_ref().expect("appended").append_time_ms.expect("the log's time");
    assert_eq!(values(&log, &orders(), 0).await, [(0, "a".to_owned()), (1, "b".to_owned())]);
    assert_eq!(log.record_of_max_time(&orders()).await.expect("there"), Some((0, time)));
    assert_eq!(log.record_at_time(&orders(), time + 1).await.expect("there"), None);
    let wanted = [FetchBatches { partition: orders(), offset: 0, bytes_max: 1 << 20, committed: false }];
    let limits = FetchLimits { bytes_min: 1, max_wait: Duration::ZERO, bytes_max: 1 << 20 };
    let fetched = log.fetch_batches(&wanted, limits).await.expect("fetched").remove(0).expect("there");
    assert_eq!(fetched.batches[0][22] & 7, 4, "zstd");
}

#[tokio::test]
async fn limits_are_kept_but_for_the_first_batch() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    log.create_topic(topic("orders", 3)).await.expect("created");
    let bytes = received_batch(&["a"], Compression::None, NO_PRODUCER);
    let one = bytes.len();
    for partition in [0, 0, 0, 1, 1] {
        let partition = TopicPartition::new("orders", partition);
        log.append_batches(vec![ReceivedBatch { partition, bytes: bytes.clone(), adds_partition: false }])
            .await
            .remove(0)
            .expect("appended");
    }
    let none: Vec<usize> = Vec::new();
    let mut log = log;
    for reopened in [false, true] {
        if reopened {
            log.close().await.expect("closed");
            drop(log);
            log = open(dir.path());
        }
        assert_eq!(
            sizes(&log, &[(2, 0, 1), (0, 0, 1), (1, 0, 1)], 1 << 20).await,
            [none.clone(), vec![one], none.clone()],
            "{reopened}"
        );
        assert_eq!(
            sizes(&log, &[(0, 1, 1 << 20), (1, 0, one)], 1 << 20).await,
            [vec![one; 2], vec![one]],
            "{reopened}"
        );
        assert_eq!(
            sizes(&log, &[(0, 0, one * 2 + 1), (1, 0, one * 9)], one * 3).await,
            [vec![one; 2], vec![one]],
            "{reopened}"
        );
    }
}

#[tokio::test]
async fn a_fetch_waits_for_enough_and_one_partition_in_error_ends_the_wait() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    log.create_topic(topic("orders", 1)).await.expect("created");
    let bytes = received_batch(&["a"], Compression::None, NO_PRODUCER);
    let wanted = vec![FetchBatches { partition: orders(), offset: 0, bytes_max: 1 << 20, committed: false }];
    let limits = FetchLimits { bytes_min: bytes.len() + 1, max_wait: Duration::from_secs(60), bytes_max: 1 << 20 };
    let waiting = tokio::spawn({
        let (log, wanted) = (log.clone(), wanted.clone());
        async move { log.fetch_batches(&wanted, limits).await }
    });
    append(&log, bytes.clone()).await.expect("appended");
    append(&log, bytes).await.expect("appended");
    let fetched = waiting.await.expect("no panic").expect("fetched").remove(0).expect("there");
    assert_eq!((fetched.batches.len(), fetched.ends.high_watermark), (2, 2));
    let beyond = FetchBatches { offset: 9, ..wanted[0].clone() };
    let answers =
        log.fetch_batches(&[FetchBatches { offset: 2, ..wanted[0].clone() }, beyond], limits).await.expect("fetched");
    assert!(answers[0].is_ok() && matches!(answers[1], Err(Error::OffsetOutOfRange { offset: 9, .. })));
}

#[tokio::test]
async fn a_reader_steps_over_what_compaction_left_of_the_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    let configs = [("cleanup.policy", "compact"), ("delete.retention.ms", "0"), ("min.cleanable.dirty.ratio", "0")];
    let configs = configs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    log.create_topic(NewTopic { name: "orders".into(), partitions: Some(1), configs }).await.expect("created");
    log.commit_atomic(commit(batch("orders", &[(0, Some("k"), "a"), (0, Some("k"), "b")]))).await.expect("committed");
    let state = log.core.partition_of(&orders()).expect("there").1;
    // What is left when the last records of all were removed: segments that end before the high watermark.
    log.core.checkpoint(false).expect("a checkpoint");
    crate::sync::lock(&state.state).segments.clear();
    let wanted = [FetchBatches { partition: orders(), offset: 0, bytes_max: 1 << 20, committed: false }];
    let limits = FetchLimits { bytes_min: 1, max_wait: Duration::ZERO, bytes_max: 1 << 20 };
    let fetched = log.fetch_batches(&wanted, limits).await.expect("fetched").remove(0).expect("there");
    let header = BatchHeader::verify(&fetched.batches[0]).expect("a sound batch");
    assert_eq!((header.base_offset, header.next_offset(), header.records), (0, 2, 0));
}

#[tokio::test]
async fn a_topic_grows_and_keeps_what_it_has() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    let before = log.create_topic(topic("orders", 1)).await.expect("created");
    log.commit_atomic(commit(batch("orders", &[(0, None, "a")]))).await.expect("committed");
    assert!(log.grow_topic("orders", 1).await.is_err());
    let grown = log.grow_topic("orders", 3).await.expect("grown");
    assert_eq!((grown.partitions, grown.id), (3, before.id));
    log.commit_atomic(commit(batch("orders", &[(2, None, "b"), (0, None, "c")]))).await.expect("committed");
    drop(log);
    let log = open(dir.path());
    assert_eq!(log.topic("orders").expect("there").partitions, 3);
    assert_eq!(values(&log, &orders(), 0).await, [(0, "a".to_owned()), (1, "c".to_owned())]);
    assert_eq!(values(&log, &TopicPartition::new("orders", 2), 0).await, [(0, "b".to_owned())]);
}

#[tokio::test]
async fn a_batch_that_is_sent_again_is_appended_once_also_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    log.create_topic(topic("orders", 1)).await.expect("created");
    let producer = log.new_producer_id();
    let numbered = |sequence| received_batch(&["a", "b"], Compression::None, (producer, 0, sequence));
    // Three at once, the second one twice: it is answered when the first is durable.
    let at = |bytes| vec![ReceivedBatch { partition: orders(), bytes, adds_partition: false }];
    let answers = [0, 2, 2, 4].map(|sequence| log.append_batches(at(numbered(sequence))));
    let mut offsets = Vec::new();
    for answer in answers {
        offsets.push(answer.await.remove(0).expect("appended").base_offset);
    }
    assert_eq!(offsets, [0, 2, 2, 4]);
    drop(log);
    for closed in [false, true] {
        let log = open(dir.path());
        assert_eq!(append(&log, numbered(2)).await.expect("known").base_offset, 2, "closed: {closed}");
        assert_eq!(append(&log, numbered(8)).await.expect_err("a gap").code(), "log.out_of_order_sequence");
        assert_eq!(log.offsets(&orders()).expect("there").high_watermark, 6);
        assert_ne!(log.new_producer_id(), producer);
        log.close().await.expect("closed");
    }
}

proptest! {
    #[test]
    fn bytes_that_are_no_batch_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = received(&bytes);
    }

    #[test]
    fn a_batch_with_any_byte_changed_is_refused_or_sound(at in 0usize..80, to in any::<u8>(), cut in 0usize..80) {
        let mut bytes = received_batch(&["a", "b"], Compression::Snappy, NO_PRODUCER).to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = to;
        }
        bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(60)));
        if let Ok(header) = received(&bytes) {
            let _ = crate::codec::without_keys(&header, &bytes);
        }
    }
}
