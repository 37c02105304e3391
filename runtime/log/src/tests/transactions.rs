//! Transactions through the engine's door: nothing of an open or an aborted one is read, everything of a committed one at once, and
//! an open one survives a restart.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use towpath_model::{ManualClock, SystemClock, TopicPartition};

use super::{open, received_batch, topic, transactional_batch, values};
use crate::sim::SimDisk;
use crate::{
    AppendedBatch, Appends, Commit, Compression, Embedded, Ended, Error, FetchBatches, FetchLimits, Fetches, Finding,
    GroupOffset, GroupOffsets, Held, LogConfig, NewTopic, OsVfs, Producer, ReceivedBatch, Remedy, Topics,
    TransactionMetrics, TransactionStatus, Transactions, examine, records_of, repair,
};

const ID: &str = "copy";
const INDEX: &str = "orders-0/00000000000000000000.txnindex";

fn part(number: i32) -> TopicPartition {
    TopicPartition::new("orders", number)
}

async fn write(
    log: &Embedded,
    producer: Producer,
    (number, sequence): (i32, i32),
    values: &[&str],
    adds_partition: bool,
) -> Result<AppendedBatch, Error> {
    let bytes = transactional_batch(values, (producer.id, producer.epoch, sequence));
    log.append_batches(vec![ReceivedBatch { partition: part(number), bytes, adds_partition }]).await.remove(0)
}

fn offset(position: i64) -> Vec<GroupOffset> {
    let metadata = "m".to_owned();
    vec![GroupOffset {
        group: "readers".into(),
        partition: part(0),
        offset: Some(position),
        leader_epoch: None,
        metadata,
    }]
}

async fn all(log: &Embedded, number: i32) -> Vec<String> {
    values(log, &part(number), 0).await.into_iter().map(|(_, value)| value).collect()
}

/// What a Kafka client that wants committed records is handed: how many batches, and which stretches it is to leave out.
async fn fetched(log: &Embedded, number: i32, from: i64) -> (usize, Vec<(i64, i64)>) {
    let wanted = [FetchBatches { partition: part(number), offset: from, bytes_max: 1 << 20, committed: true }];
    let limits = FetchLimits { bytes_min: 0, max_wait: Duration::ZERO, bytes_max: 1 << 20 };
    let found = log.fetch_batches(&wanted, limits).await.expect("fetched").remove(0).expect("there");
    (found.batches.len(), found.aborted.iter().map(|aborted| (aborted.first_offset, aborted.last_offset)).collect())
}

/// What a client makes of what it is handed.
async fn taken_apart(log: &Embedded, number: i32, from: i64) -> (Vec<String>, i64) {
    let wanted = [FetchBatches { partition: part(number), offset: from, bytes_max: 1 << 20, committed: true }];
    let limits = FetchLimits { bytes_min: 0, max_wait: Duration::ZERO, bytes_max: 1 << 20 };
    let found = log.fetch_batches(&wanted, limits).await.expect("fetched").remove(0).expect("there");
    let aborted: Vec<_> = found.aborted.iter().map(|aborted| (aborted.producer_id, aborted.first_offset)).collect();
    // The last batch of an answer may be cut.
    let mut answer = found.batches.concat();
    answer.extend_from_slice(&found.batches.first().map_or(&[][..], |batch| &batch[..70]));
    let (records, next) = records_of(&part(number), from, &answer, &aborted).expect("sound");
    let value = |record: towpath_model::Record<'_>| {
        String::from_utf8(record.value.bytes.unwrap_or_default().to_vec()).expect("text")
    };
    (records.records().map(value).collect(), next)
}

#[tokio::test]
async fn a_client_that_takes_batches_apart_reads_what_the_engine_reads() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    log.create_topic(topic("orders", 2)).await.expect("created");
    let (mut producer, mut sequence) = (log.init_producer(ID, 60_000, None).await.expect("begins"), 0);
    for (commits, values) in [(false, ["a", "b"]), (true, ["c", "d"]), (false, ["e", "f"]), (true, ["g", "h"])] {
        log.add_to_transaction(ID, producer, vec![part(0)]).await.expect("added");
        write(&log, producer, (0, sequence), &values, false).await.expect("written");
        let plain = received_batch(&["plain"], Compression::Zstd, (-1, -1, -1));
        let plain = ReceivedBatch { partition: part(0), bytes: plain, adds_partition: false };
        log.append_batches(vec![plain]).await.remove(0).expect("written");
        producer = log.end_transaction(ID, producer, commits, false).await.expect("ended");
        sequence += 2;
    }
    let expected = ["plain", "c", "d", "plain", "plain", "g", "h", "plain"];
    assert_eq!(taken_apart(&log, 0, 0).await, (expected.map(String::from).to_vec(), 16));
    for from in 0..16 {
        let (found, next) = taken_apart(&log, 0, from).await;
        let read: Vec<String> = values(&log, &part(0), from).await.into_iter().map(|(_, value)| value).collect();
        assert_eq!((found, next), (read, 16), "from {from}");
    }
}

#[tokio::test]
async fn records_and_offsets_of_a_transaction_are_seen_together_or_never() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    // The records are from long ago and the markers are from now; they are to lie in one segment.
    let configs = [("segment.ms".to_owned(), i64::MAX.to_string())].into();
    log.create_topic(NewTopic { configs, ..topic("orders", 2) }).await.expect("created");
    let producer = log.init_producer(ID, 60_000, None).await.expect("begins");
    let refused = write(&log, producer, (0, 0), &["a"], false).await.expect_err("not added");
    assert_eq!(refused.code(), "log.invalid_transaction_state");
    log.add_to_transaction(ID, producer, vec![part(0), part(1)]).await.expect("added");
    log.add_group_to_transaction(ID, producer, "readers").await.expect("added");
    write(&log, producer, (0, 0), &["a", "b"], false).await.expect("written");
    write(&log, producer, (1, 0), &["x"], false).await.expect("written");
    log.commit_offsets_in_transaction(ID, producer, offset(7), false).await.expect("stored");
    for part_of_it in [0, 1] {
        assert!(all(&log, part_of_it).await.is_empty(), "an open transaction is read");
    }
    assert!(log.group_offsets("readers").is_empty());
    assert_eq!(log.pending_offsets("readers"), [part(0)]);
    let ends = log.ends(&part(0)).expect("there");
    assert_eq!((ends.last_stable, ends.high_watermark), (0, 2));
    log.end_transaction(ID, producer, true, false).await.expect("committed");
    assert_eq!((all(&log, 0).await, all(&log, 1).await), (vec!["a".to_owned(), "b".to_owned()], vec!["x".to_owned()]));
    assert_eq!((log.group_offsets("readers"), log.pending_offsets("readers")), (offset(7), vec![]));
    // Sequences go on in the next one, which is aborted.
    log.add_to_transaction(ID, producer, vec![part(0)]).await.expect("added");
    write(&log, producer, (0, 2), &["c"], false).await.expect("written");
    let error = log.commit_offsets_in_transaction(ID, producer, offset(9), false).await.expect_err("not added");
    assert_eq!(error.code(), "log.invalid_transaction_state");
    log.commit_offsets_in_transaction(ID, producer, offset(9), true).await.expect("stored");
    log.end_transaction(ID, producer, false, false).await.expect("aborted");
    assert_eq!(all(&log, 0).await, ["a", "b"]);
    assert_eq!(log.group_offsets("readers"), offset(7));
    assert_eq!(fetched(&log, 0, 0).await, (4, vec![(3, 4)]));
    assert_eq!(fetched(&log, 0, 5).await, (0, vec![]));
    // All of it again from segments, and after a crash.
    log.close().await.expect("closed");
    drop(log);
    for _ in 0..2 {
        let log = open(dir.path());
        assert_eq!(all(&log, 0).await, ["a", "b"]);
        assert_eq!(fetched(&log, 0, 0).await, (4, vec![(3, 4)]));
        assert_eq!(log.group_offsets("readers"), offset(7));
        let index = std::fs::read(dir.path().join(INDEX)).expect("an index");
        assert_eq!(index.len(), 34);
    }
    // One wrong bit in it, and a reader would see what was aborted: it is built anew, as it is where it is gone.
    let sound = std::fs::read(dir.path().join(INDEX)).expect("an index");
    let mut wrong = sound.clone();
    wrong[17] ^= 1;
    for damaged in [Some(wrong), None] {
        match damaged {
            Some(wrong) => std::fs::write(dir.path().join(INDEX), wrong).expect("written"),
            None => std::fs::remove_file(dir.path().join(INDEX)).expect("removed"),
        }
        let found = examine(&LogConfig::new(dir.path()), &OsVfs).expect("examined").findings;
        assert!(matches!(found.as_slice(), [Finding { remedy: Remedy::Rebuild, .. }]), "{found:?}");
        let looked =
            Embedded::open_read_only(LogConfig::new(dir.path()), Arc::new(OsVfs), Arc::new(SystemClock::default()));
        assert_eq!(all(&looked.expect("opened"), 0).await, ["a", "b"], "also by those who may not write it");
        let log = open(dir.path());
        assert_eq!(all(&log, 0).await, ["a", "b"]);
        assert_eq!(fetched(&log, 0, 0).await, (4, vec![(3, 4)]));
        assert_eq!(std::fs::read(dir.path().join(INDEX)).expect("an index"), sound);
    }
}

#[tokio::test]
async fn a_marker_that_a_repair_cannot_read_is_written_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    let configs = [("segment.ms".to_owned(), i64::MAX.to_string())].into();
    log.create_topic(NewTopic { configs, ..topic("orders", 1) }).await.expect("created");
    let mut producer = log.init_producer(ID, 60_000, None).await.expect("begins");
    for (value, commit) in [("lost", false), ("kept", true)] {
        write(&log, producer, (0, 0), &[value], true).await.expect("written");
        producer = log.end_transaction(ID, producer, commit, true).await.expect("ended");
    }
    log.close().await.expect("closed");
    drop(log);
    let path = dir.path().join("orders-0/00000000000000000000.log");
    let mut segment = std::fs::read(&path).expect("a segment");
    let marker = 12 + u32::from_be_bytes(*segment[8..].first_chunk().expect("a length")) as usize;
    segment[marker + 60] ^= 1;
    std::fs::write(&path, segment).expect("written");
    let clock = Arc::new(SystemClock::default());
    let mended = repair(LogConfig::new(dir.path()), Arc::new(OsVfs), clock, 7).expect("mended");
    assert_eq!(mended.lost(), 1);
    let log = open(dir.path());
    assert_eq!(all(&log, 0).await, ["kept"]);
    assert_eq!(fetched(&log, 0, 0).await, (4, vec![(0, 1)]), "a client meets the marker where it was");
}

#[test]
fn an_id_that_nobody_uses_is_forgotten_and_one_that_is_open_is_not() {
    let clock = Arc::new(ManualClock::at(1_000));
    let config = LogConfig {
        offsets_topic_partitions: 1,
        transactions_topic_partitions: 1,
        journal_file_bytes: 64 << 10,
        transactional_id_expiration_ms: 10_000,
        ..LogConfig::new("/log")
    };
    let log = Embedded::open_stepped(config, Arc::new(SimDisk::new(1)), clock.clone(), 1).expect("opened");
    log.create_topic_now(topic("orders", 1)).expect("created");
    let mut begun = Vec::new();
    for id in ["idle", "busy"] {
        let answer = log.init_producer(id, 900_000, None);
        log.step_journal();
        begun.push(answer.now_or_never().expect("answered").expect("begins"));
    }
    let added = log.add_to_transaction("busy", begun[1], vec![part(0)]);
    log.step_journal();
    added.now_or_never().expect("answered").expect("added");
    clock.advance(Duration::from_secs(11));
    log.step_transactions().expect("looked at");
    log.step_journal();
    assert!(log.transaction("idle").is_none() && log.transaction("busy").is_some());
    let late = log.end_transaction("idle", begun[0], false, true).now_or_never().expect("answered");
    assert_eq!(late.expect_err("forgotten").code(), "log.unknown_transaction");
}

#[tokio::test]
async fn a_newer_client_needs_no_adding_and_has_a_new_epoch_after_each_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    log.create_topic(topic("orders", 2)).await.expect("created");
    let first = log.init_producer(ID, 60_000, None).await.expect("begins");
    write(&log, first, (0, 0), &["a"], true).await.expect("joins");
    log.commit_offsets_in_transaction(ID, first, offset(3), true).await.expect("joins");
    let second = log.end_transaction(ID, first, true, true).await.expect("committed");
    assert_eq!(second, Producer { epoch: first.epoch + 1, ..first });
    assert_eq!(log.end_transaction(ID, first, true, true).await.expect("asked again"), second);
    let late = write(&log, first, (0, 1), &["late"], true).await.expect_err("of the one that has ended");
    assert_eq!(late.code(), "log.transaction_fenced");
    write(&log, second, (0, 0), &["b"], true).await.expect("joins");
    let state = log.transaction(ID).expect("known");
    assert_eq!((state.status, state.partitions), (TransactionStatus::Ongoing, vec![part(0)]));
    let third = log.end_transaction(ID, second, false, true).await.expect("aborted");
    assert_eq!(third.epoch, 2);
    assert_eq!(all(&log, 0).await, ["a"]);
    let active = log.producers(&part(0)).expect("there");
    assert_eq!((active.len(), active[0].producer, active[0].open_since), (1, third, None));
}

#[tokio::test]
async fn an_open_transaction_survives_a_crash_and_commits_or_ends_by_its_timeout() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    log.create_topic(topic("orders", 2)).await.expect("created");
    let patient = log.init_producer("patient", 900_000, None).await.expect("begins");
    let hasty = log.init_producer("hasty", 50, None).await.expect("begins");
    write(&log, patient, (0, 0), &["kept"], true).await.expect("joins");
    log.commit_offsets_in_transaction("patient", patient, offset(5), true).await.expect("joins");
    write(&log, hasty, (1, 0), &["gone"], true).await.expect("joins");
    drop(log);
    let log = open(dir.path());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while log.transaction("hasty").is_some_and(|state| state.status == TransactionStatus::Ongoing) {
        assert!(tokio::time::Instant::now() < deadline, "it is still open");
        tokio::task::yield_now().await;
    }
    let refused = write(&log, hasty, (1, 1), &["late"], true).await.expect_err("fenced");
    assert_eq!(refused.code(), "log.transaction_fenced");
    assert!(all(&log, 1).await.is_empty());
    assert_eq!(log.ends(&part(1)).expect("there").last_stable, 2);
    assert!(all(&log, 0).await.is_empty());
    assert_eq!(log.pending_offsets("readers"), [part(0)]);
    write(&log, patient, (0, 1), &["more"], true).await.expect("goes on");
    log.end_transaction("patient", patient, true, true).await.expect("committed");
    assert_eq!(all(&log, 0).await, ["kept", "more"]);
    assert_eq!(log.group_offsets("readers"), offset(5));
}

#[tokio::test]
async fn an_offset_that_a_transaction_holds_does_not_replace_one_that_was_committed_after_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    log.create_topic(topic("orders", 1)).await.expect("created");
    let producer = log.init_producer(ID, 60_000, None).await.expect("begins");
    log.commit_offsets_in_transaction(ID, producer, offset(9), true).await.expect("held");
    log.commit_atomic(Commit { group_offsets: offset(11), ..Commit::default() }).await.expect("committed");
    log.end_transaction(ID, producer, true, true).await.expect("committed");
    assert_eq!(log.group_offsets("readers"), offset(11));
    drop(log);
    assert_eq!(open(dir.path()).group_offsets("readers"), offset(11));
}

#[tokio::test]
async fn records_of_a_producer_outside_of_its_open_transaction_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    log.create_topic(topic("orders", 1)).await.expect("created");
    let producer = log.init_producer(ID, 60_000, None).await.expect("begins");
    write(&log, producer, (0, 0), &["a"], true).await.expect("joins");
    let bytes = received_batch(&["b"], Compression::None, (producer.id, producer.epoch, 1));
    let outside = ReceivedBatch { partition: part(0), bytes, adds_partition: true };
    let refused = log.append_batches(vec![outside]).await.remove(0).expect_err("refused");
    assert_eq!(refused.code(), "log.invalid_transaction_state");
}

#[tokio::test]
async fn a_fetch_of_committed_records_waits_for_the_end_of_a_transaction() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    log.create_topic(topic("orders", 1)).await.expect("created");
    let producer = log.init_producer(ID, 60_000, None).await.expect("begins");
    write(&log, producer, (0, 0), &["a"], true).await.expect("joins");
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.fetch(&[crate::Fetch { partition: part(0), offset: 0 }], 1 << 20, Duration::from_secs(60)).await }
    });
    log.end_transaction(ID, producer, true, true).await.expect("committed");
    let found = waiting.await.expect("no panic").expect("fetched").remove(0);
    assert_eq!((found.records.len(), found.next_offset, found.high_watermark), (1, 2, 2));
}

#[tokio::test]
async fn a_topic_that_is_deleted_in_between_holds_no_end_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    log.create_topic(topic("orders", 1)).await.expect("created");
    log.create_topic(topic("other", 1)).await.expect("created");
    let producer = log.init_producer(ID, 60_000, None).await.expect("begins");
    log.add_to_transaction(ID, producer, vec![part(0), TopicPartition::new("other", 0)]).await.expect("added");
    write(&log, producer, (0, 0), &["a"], false).await.expect("written");
    log.delete_topic("other").await.expect("deleted");
    log.end_transaction(ID, producer, true, false).await.expect("committed");
    assert_eq!(all(&log, 0).await, ["a"]);
}

#[tokio::test]
async fn limits_and_ids_are_checked() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    for timeout_ms in [0, -1, 900_001] {
        let error = log.init_producer(ID, timeout_ms, None).await.expect_err("out of bounds");
        assert_eq!(error.code(), "log.invalid_transaction_timeout");
    }
    let stranger = Producer { id: 5, epoch: 0 };
    let error = log.end_transaction("nobody", stranger, true, false).await.expect_err("unknown");
    assert_eq!(error.code(), "log.unknown_transaction");
    let new = NewTopic { name: "orders".into(), partitions: Some(1), ..NewTopic::default() };
    log.create_topic(new).await.expect("created");
    let error = write(&log, stranger, (0, 0), &["a"], true).await.expect_err("unknown");
    assert_eq!(error.code(), "log.unknown_transaction");
}

#[test]
fn what_is_open_and_how_transactions_ended_is_counted() {
    let clock = Arc::new(ManualClock::at(1_000));
    let config = LogConfig {
        offsets_topic_partitions: 1,
        transactions_topic_partitions: 1,
        journal_file_bytes: 64 << 10,
        ..LogConfig::new("/log")
    };
    let disk = SimDisk::new(1);
    let log = Embedded::open_stepped(config.clone(), Arc::new(disk.clone()), clock.clone(), 1).expect("opened");
    log.create_topic_now(topic("orders", 2)).expect("created");
    let now = |answer: crate::TransactionFuture<Producer>| {
        log.step_journal();
        answer.now_or_never().expect("answered").expect("done")
    };
    let mut producer = now(log.init_producer(ID, 10_000, None));
    let put = |producer: Producer| {
        let written = write(&log, producer, (1, 0), &["a", "b"], true);
        let mut written = std::pin::pin!(written);
        assert!(written.as_mut().now_or_never().is_none(), "it waits for the disk");
        log.step_journal();
        written.now_or_never().expect("answered").expect("written");
    };
    assert_eq!(log.metrics().transactions, TransactionMetrics::default());
    for commit in [true, false] {
        put(producer);
        producer = now(log.end_transaction(ID, producer, commit, true));
    }
    put(producer);
    clock.advance(Duration::from_secs(4));
    let counted = log.metrics().transactions;
    let held = Held { partition: part(1), oldest: Duration::from_secs(4), lag: 2 };
    assert_eq!((counted.open, counted.held), (1, vec![held]));
    assert_eq!(counted.ended, Ended { committed: 1, aborted: 1, timed_out: 0 });
    clock.advance(Duration::from_secs(6));
    log.step_transactions().expect("ended");
    log.step_journal();
    let ended = Ended { committed: 1, aborted: 1, timed_out: 1 };
    assert_eq!(log.metrics().transactions, TransactionMetrics { open: 0, ended, held: Vec::new() });
    drop(log);
    let log = Embedded::open_stepped(config, Arc::new(disk), clock, 1).expect("opened");
    assert_eq!(log.metrics().transactions.ended, Ended::default(), "each run counts its own");
}

#[tokio::test]
async fn what_the_runtime_writes_in_a_transaction_is_seen_when_it_ends_and_not_before() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    log.create_topic(topic("orders", 2)).await.expect("created");
    let part_of = |number, value| super::commit(super::batch("orders", &[(number, None, value)]));
    let mut producer = log.transactional_producer(ID).await.expect("begins");
    producer.commit().await.expect("nothing is open");
    producer.write(part_of(0, "a")).await.expect("written");
    producer.write(part_of(1, "b")).await.expect("written");
    producer.write(Commit { group_offsets: offset(7), ..Commit::default() }).await.expect("written");
    log.commit_atomic(part_of(1, "behind it")).await.expect("written");
    assert_eq!((all(&log, 0).await, all(&log, 1).await), (vec![], vec![]));
    assert!(log.group_offsets("readers").is_empty());
    producer.commit().await.expect("ended");
    assert_eq!((all(&log, 0).await, all(&log, 1).await), (vec!["a".into()], vec!["b".into(), "behind it".into()]));
    assert_eq!(log.group_offsets("readers")[0].offset, Some(7));

    producer.write(part_of(0, "dropped")).await.expect("written");
    drop(producer);
    let mut producer = log.transactional_producer(ID).await.expect("begins");
    producer.write(part_of(0, "left by a crash")).await.expect("written");
    let mut later = log.transactional_producer(ID).await.expect("begins");
    let fenced = producer.write(part_of(0, "late")).await.expect_err("another has taken over");
    assert!(matches!(fenced, Error::TransactionFenced { .. }), "{fenced:?}");
    later.write(part_of(0, "c")).await.expect("written");
    later.commit().await.expect("ended");
    assert_eq!(all(&log, 0).await, ["a", "c"]);
}
