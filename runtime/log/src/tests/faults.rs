//! What happens when the disk is full, a sync fails, or the directory is not what this version knows.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use towpath_model::{ManualClock, TopicPartition};

use super::{batch, commit, topic, transactional_batch};
use crate::sim::{Faults, SimDisk};
use crate::vfs::{Open, Vfs, write_all_at};
use crate::{
    Appends, Committed, Embedded, Error, Fetch, Fetches, LogConfig, NewTopic, Producer, ReceivedBatch,
    TransactionFuture,
};

fn open(disk: &SimDisk) -> Result<Embedded, Error> {
    let config = LogConfig {
        journal_file_bytes: 16 << 10,
        journal_bytes_max: 64 << 10,
        offsets_topic_partitions: 1,
        ..LogConfig::new("/log")
    };
    Embedded::open_stepped(config, Arc::new(disk.clone()), Arc::new(ManualClock::at(1)), 1)
}

fn write(log: &Embedded, value: &str) -> Option<Result<Committed, Error>> {
    let done = log.commit_atomic(commit(batch("orders", &[(0, None, value)])));
    log.step_journal();
    done.now_or_never()
}

fn count(log: &Embedded) -> usize {
    let wanted = [Fetch { partition: TopicPartition::new("orders", 0), offset: 0 }];
    log.fetch_now(&wanted, 1 << 20).expect("reads go on")[0].records.len()
}

#[test]
fn a_full_disk_refuses_commits_and_lets_them_in_again_when_there_is_space() {
    let disk = SimDisk::new(1);
    let log = open(&disk).expect("opened");
    log.create_topic_now(topic("orders", 1)).expect("created");
    let used: u64 = disk.files().iter().map(|(_, length)| length).sum();
    disk.set_faults(Faults { capacity: Some(used + 20_000), ..Faults::default() });
    let value = "v".repeat(1_000);
    let mut taken = 0;
    let refusal = loop {
        match write(&log, &value).expect("answered") {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refusal, Error::DiskFull(_)), "{refusal}");
    assert!(taken > 0);
    assert_eq!(count(&log), taken);
    assert!(matches!(write(&log, "small"), Some(Err(Error::DiskFull(_)))), "a later commit overtook a refused one");
    assert!(log.step_checkpoint().is_err(), "there is no space for a checkpoint either");
    disk.set_faults(Faults::default());
    log.step_checkpoint().expect("there is space again");
    write(&log, "after").expect("answered").expect("taken again");
    drop(log);
    assert_eq!(count(&open(&disk).expect("opened")), taken + 1);
}

#[test]
fn what_is_in_memory_alone_stays_within_its_bound() {
    let disk = SimDisk::new(5);
    let config = LogConfig { tail_bytes_max: 8 << 10, journal_bytes_max: 1 << 20, ..LogConfig::new("/log") };
    let config = LogConfig { journal_file_bytes: 16 << 10, offsets_topic_partitions: 1, ..config };
    let clock = Arc::new(ManualClock::at(1));
    let log = Embedded::open_stepped(config, Arc::new(disk.clone()), clock, 1).expect("opened");
    log.create_topic_now(topic("orders", 1)).expect("created");
    let value = "v".repeat(1_000);
    for _ in 0..50 {
        write(&log, &value).expect("answered").expect("taken");
        let held = log.core.tail_bytes.load(Ordering::Relaxed);
        assert!(held < (8 << 10) + 1_200, "{held} bytes are in memory alone");
    }
    let partition = TopicPartition::new("orders", 0);
    let mut read = 0;
    while read < 50 {
        let wanted = [Fetch { partition: partition.clone(), offset: read }];
        read = log.fetch_now(&wanted, 1 << 20).expect("reads go on")[0].next_offset;
    }
    let used: u64 = disk.files().iter().map(|(_, length)| length).sum();
    disk.set_faults(Faults { capacity: Some(used), ..Faults::default() });
    let refused = (0..50).find_map(|_| write(&log, &value).expect("answered").err());
    assert!(matches!(refused, Some(Error::DiskFull(_))), "{refused:?}: segments cannot be written");
    disk.set_faults(Faults::default());
    log.step_checkpoint().expect("there is space again");
    write(&log, &value).expect("answered").expect("taken again");
}

#[test]
fn an_end_that_a_full_disk_refuses_has_not_happened_and_is_asked_again() {
    let disk = SimDisk::new(5);
    let log = open(&disk).expect("opened");
    log.create_topic_now(topic("orders", 1)).expect("created");
    let done = |answer: TransactionFuture<Producer>| {
        log.step_journal();
        answer.now_or_never().expect("answered")
    };
    let producer = done(log.init_producer("id", 60_000, None)).expect("begins");
    let bytes = transactional_batch(&["a"], (producer.id, producer.epoch, 0));
    let partition = TopicPartition::new("orders", 0);
    let sent = log.append_batches(vec![ReceivedBatch { partition, bytes, adds_partition: true }]);
    log.step_journal();
    sent.now_or_never().expect("answered").remove(0).expect("joins");
    let used: u64 = disk.files().iter().map(|(_, length)| length).sum();
    disk.set_faults(Faults { capacity: Some(used), ..Faults::default() });
    // The end stands in the queue behind what does not fit any more.
    let value = "v".repeat(20_000);
    let large = log.commit_atomic(commit(batch("orders", &[(0, None, value.as_str())])));
    let refused = done(log.end_transaction("id", producer, true, true)).expect_err("there is no space");
    assert!(matches!(refused, Error::DiskFull(_)), "{refused}");
    assert!(matches!(large.now_or_never(), Some(Err(Error::DiskFull(_)))));
    disk.set_faults(Faults::default());
    log.step_checkpoint().expect("there is space again");
    assert_eq!(count(&log), 0);
    done(log.end_transaction("id", producer, true, true)).expect("asked again");
    assert_eq!(count(&log), 1, "the answer was yes, and the records are not there");
}

#[test]
fn a_failed_sync_ends_the_engine_and_a_restart_finds_what_was_acknowledged() {
    let disk = SimDisk::new(2);
    let log = open(&disk).expect("opened");
    log.create_topic_now(topic("orders", 1)).expect("created");
    write(&log, "a").expect("answered").expect("acknowledged");
    let failed = log.failed();
    let at = disk.operations();
    disk.set_faults(Faults { failed_sync_at: Some(at), ..Faults::default() });
    let refused = write(&log, "b").expect("answered").expect_err("the sync fails");
    assert_eq!(refused.code(), "log.io");
    assert!(failed.borrow().is_some(), "nobody is told");
    let later = write(&log, "c").expect("answered").expect_err("the sync would succeed now, and proves nothing");
    assert_eq!(later.code(), "log.io");
    drop(log);
    let log = open(&disk.reboot()).expect("opened");
    assert_eq!(count(&log), 1);
}

#[test]
fn a_newer_format_is_refused_and_a_missing_file_is_damage() {
    let disk = SimDisk::new(3);
    let log = open(&disk).expect("opened");
    log.create_topic_now(topic("orders", 1)).expect("created");
    drop(log);
    let replace = |name: &str, content: &[u8]| {
        let file = disk.open(&Path::new("/log").join(name), Open::Create).expect("opened");
        write_all_at(file.as_ref(), content, 0).expect("written");
    };
    let refusal = |what: &str| open(&disk).err().unwrap_or_else(|| panic!("{what} was accepted")).code().to_owned();
    replace("meta.properties", b"format=2\n");
    assert_eq!(refusal("a newer format"), "log.unsupported_format");
    disk.remove(Path::new("/log/meta.properties")).expect("removed");
    assert_eq!(refusal("a log without its mark"), "log.corrupt");
    replace("meta.properties", b"format=1\n");
    open(&disk).expect("whole again");
    replace("catalog", b"catalog 9 00000000\n{}");
    assert_eq!(refusal("a newer catalog"), "log.unsupported_format");
    disk.remove(Path::new("/log/catalog")).expect("removed");
    assert_eq!(refusal("a log without a catalog"), "log.corrupt");
}

#[test]
fn retention_makes_room_on_a_disk_without_a_byte_left() {
    let (disk, clock) = (SimDisk::new(4), Arc::new(ManualClock::at(1)));
    let config = LogConfig {
        journal_file_bytes: 16 << 10,
        journal_bytes_max: 64 << 10,
        offsets_topic_partitions: 1,
        ..LogConfig::new("/log")
    };
    let log = Embedded::open_stepped(config, Arc::new(disk.clone()), clock.clone(), 1).expect("opened");
    let configs =
        [("retention.ms".to_owned(), "1000".to_owned()), ("segment.bytes".to_owned(), "4000".to_owned())].into();
    log.create_topic_now(NewTopic { configs, ..topic("orders", 1) }).expect("created");
    for _ in 0..20 {
        write(&log, &"v".repeat(1_000)).expect("answered").expect("taken");
    }
    log.step_checkpoint().expect("a checkpoint");
    let used: u64 = disk.files().iter().map(|(_, length)| length).sum();
    disk.set_faults(Faults { capacity: Some(used), ..Faults::default() });
    clock.advance(Duration::from_secs(60));
    assert!(log.step_retention().expect("the space that was held back suffices") > 0);
    assert_eq!(log.offsets(&TopicPartition::new("orders", 0)).expect("offsets").start, 20);
}
