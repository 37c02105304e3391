//! What topics no longer keep goes, by age and by size, whole segments from the front; what they keep stays.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use towpath_model::{ManualClock, TopicPartition};

use super::{batch, commit, topic};
use crate::sim::SimDisk;
use crate::{Appends, Embedded, Error, Fetch, Fetches, LogConfig, NewTopic};

/// A topic with small segments into which `count` records of 500 bytes go, one a second.
pub(super) fn filled(configs: &[(&str, &str)], count: i64) -> (Embedded, Arc<ManualClock>, SimDisk) {
    let (disk, clock) = (SimDisk::new(1), Arc::new(ManualClock::at(1_000)));
    let config = LogConfig { journal_file_bytes: 64 << 10, offsets_topic_partitions: 1, ..LogConfig::new("/log") };
    let log = Embedded::open_stepped(config, Arc::new(disk.clone()), clock.clone(), 1).expect("opened");
    let configs = configs.iter().chain(&[("segment.bytes", "2000")]);
    let configs = configs.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    log.create_topic_now(NewTopic { configs, ..topic("orders", 1) }).expect("created");
    for _ in 0..count {
        let done = log.commit_atomic(commit(batch("orders", &[(0, None, &"v".repeat(500))])));
        log.step_journal();
        done.now_or_never().expect("answered").expect("taken");
        clock.advance(Duration::from_secs(1));
    }
    log.step_checkpoint().expect("a checkpoint");
    (log, clock, disk)
}

fn start(log: &Embedded) -> i64 {
    log.offsets(&TopicPartition::new("orders", 0)).expect("offsets").start
}

#[test]
fn segments_go_when_their_last_record_is_too_old() {
    let (log, clock, disk) = filled(&[("retention.ms", "10000")], 12);
    assert_eq!(log.step_retention().expect("applied"), 0, "a segment went before its last record was too old");
    clock.advance(Duration::from_secs(5));
    assert!(log.step_retention().expect("applied") > 0);
    let left = start(&log);
    assert!(left > 0 && left < 12, "{left}");
    let gone = log.fetch_now(&[Fetch { partition: TopicPartition::new("orders", 0), offset: 0 }], 1);
    assert!(matches!(gone, Err(Error::OffsetOutOfRange { start, .. }) if start == left));
    let first = format!("/log/orders-0/{:020}.log", 0);
    assert!(!disk.files().iter().any(|(path, _)| path.to_str() == Some(first.as_str())), "its file stayed");
    clock.advance(Duration::from_secs(60));
    log.step_retention().expect("applied");
    assert_eq!(start(&log), 12, "an idle topic keeps what is too old");
}

#[test]
fn segments_go_when_the_topic_is_too_large_and_offsets_go_on() {
    let (log, _, disk) = filled(&[("retention.bytes", "4000"), ("retention.ms", "-1")], 20);
    assert!(log.step_retention().expect("applied") > 0);
    let left = start(&log);
    assert!(left > 0 && left < 20 - 6, "{left}");
    drop(log);
    let config = LogConfig { journal_file_bytes: 64 << 10, offsets_topic_partitions: 1, ..LogConfig::new("/log") };
    let clock = Arc::new(ManualClock::at(1_000_000));
    let log = Embedded::open_stepped(config, Arc::new(disk.reboot()), clock, 1).expect("opened");
    assert_eq!(start(&log), left, "a restart brought back what retention had dropped");
}
