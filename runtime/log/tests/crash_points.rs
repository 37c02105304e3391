//! A real process on real files, killed at each named place of the log: what it said was acknowledged must be there.
//!
//! The test runs itself as the process that dies: it writes until `TOWPATH_CRASH_POINT` ends it, and prints a line for each
//! commit after its acknowledgement.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use towpath_log::{Appends, Commit, Embedded, Fetch, Fetches, LogConfig, NewTopic, OsVfs, Topics};
use towpath_model::{Batch, BatchBuilder, Form, Run, SystemClock, TopicPartition};

const DIR_VARIABLE: &str = "TOWPATH_CRASH_TEST_DIR";
const PARTITIONS: i32 = 4;

fn open(dir: &Path) -> Embedded {
    // Small enough that a short life meets checkpoints and files that are used again.
    let config = LogConfig {
        journal_file_bytes: 64 << 10,
        checkpoint_bytes: 100 << 10,
        checkpoint_interval: Duration::from_millis(20),
        ..LogConfig::new(dir)
    };
    Embedded::open(config, Arc::new(OsVfs), Arc::new(SystemClock::default()), 3).expect("the log opens")
}

/// One record with this number in every partition.
fn numbered(number: u64) -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("orders");
    for partition in 0..PARTITIONS {
        builder.run(Run { records: 0, topic, origin: topic, partition, key: Form::BYTES, value: Form::BYTES });
        builder.key(None);
        builder.value_with(|out| {
            out.extend_from_slice(&number.to_be_bytes());
            out.resize(out.len() + 2_000, b'.');
            true
        });
        builder.end(None, None);
    }
    builder.build()
}

/// The process that dies. Does nothing when run as a test of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn process_that_dies() {
    let Some(dir) = std::env::var_os(DIR_VARIABLE) else { return };
    let log = open(Path::new(&dir));
    if log.topic("orders").is_none() {
        let topic = NewTopic { name: "orders".into(), partitions: Some(PARTITIONS), ..NewTopic::default() };
        log.create_topic(topic).await.expect("created");
    }
    let first = log.offsets(&TopicPartition::new("orders", 0)).expect("offsets").high_watermark as u64;
    for number in first..first + 20_000 {
        let commit = Commit { records: vec![numbered(number)], ..Commit::default() };
        log.commit_atomic(commit).await.expect("committed");
        println!("acknowledged {number}");
    }
}

/// The numbers in a partition, in order.
async fn numbers(log: &Embedded, partition: i32) -> Vec<u64> {
    let partition = TopicPartition::new("orders", partition);
    let end = log.offsets(&partition).expect("offsets").high_watermark;
    let mut numbers = Vec::new();
    while (numbers.len() as i64) < end {
        let wanted = [Fetch { partition: partition.clone(), offset: numbers.len() as i64 }];
        let fetched = log.fetch(&wanted, 1 << 20, Duration::ZERO).await.expect("fetched");
        let number = |value: &[u8]| u64::from_be_bytes(*value.first_chunk().expect("eight bytes"));
        numbers.extend(fetched[0].records.records().map(|record| number(record.value.bytes.expect("a value"))));
    }
    numbers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_process_that_dies_at_any_named_place_loses_nothing_it_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let places = [
        "journal.before_write:40",
        "journal.before_fsync:60",
        "journal.after_fsync:50",
        "checkpoint.before_sync:3",
        "checkpoint.before_recycle:3",
        // The log itself opens with a checkpoint, and recovery may be cut short, too.
        "checkpoint.before_recycle:1",
    ];
    let mut acknowledged = 0;
    for place in places {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "process_that_dies", "--nocapture"])
            .env("TOWPATH_CRASH_POINT", place)
            .env(DIR_VARIABLE, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let numbers_said =
            lines.map_while(Result::ok).filter_map(|line| line.rsplit_once("acknowledged ")?.1.parse::<u64>().ok());
        acknowledged = numbers_said.map(|number| number + 1).max().unwrap_or(acknowledged).max(acknowledged);
        let ended = child.wait().expect("ended");
        assert_eq!(ended.code(), None, "the process was to be aborted at {place}, and ended with {ended}");
        let log = open(dir.path());
        for partition in 0..PARTITIONS {
            let found = numbers(&log, partition).await;
            assert!(found.len() as u64 >= acknowledged, "after {place}: {} of {acknowledged} records", found.len());
            assert!(
                found.iter().copied().eq(0..found.len() as u64),
                "after {place}: not each record once and in order"
            );
        }
        acknowledged = numbers(&log, 0).await.len() as u64;
        // Dropped, not closed: the next process recovers.
    }
    assert!(acknowledged > 100);
}
