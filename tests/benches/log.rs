//! The log by itself: records of 200 bytes appended, each commit durable before it counts, then read back. The yardstick writes
//! and syncs as many bytes to one file in pieces of the same size, which is the least that durability can cost.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::Instant;
use towpath_log::{Appends, Commit, Embedded, Fetch, Fetches, LogConfig, NewTopic, OsVfs, Topics};
use towpath_model::{Batch, BatchBuilder, Form, Run, SystemClock, TopicPartition};
use towpath_tests::Folder;

use crate::report::{Report, Target};

const RECORDS: u32 = 1_000_000;
const RECORDS_A_COMMIT: u32 = 1_000;
const RECORD_BYTES: usize = 200;
const PARTITIONS: i32 = 8;
const IN_FLIGHT: usize = 8;
const FETCH_BYTES: usize = 1 << 20;

pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    let folder = Folder::new("towpath-bench-log-")?;
    let synced = plain_file(&folder)?;
    let log = Embedded::open(LogConfig::new(folder.join("log")), Arc::new(OsVfs), Arc::new(SystemClock::default()), 1)?;
    let log = Arc::new(log);
    log.create_topic(NewTopic { name: "t".to_owned(), partitions: Some(PARTITIONS), ..NewTopic::default() }).await?;

    let begun = Instant::now();
    let mut under_way = VecDeque::new();
    for number in 0..RECORDS / RECORDS_A_COMMIT {
        let partition = i32::try_from(number)? % PARTITIONS;
        under_way.push_back(log.commit_atomic(Commit { records: vec![batch(partition)], ..Commit::default() }));
        if under_way.len() >= IN_FLIGHT {
            under_way.pop_front().context("a commit is under way")?.await?;
        }
    }
    for commit in under_way {
        commit.await?;
    }
    let appended = f64::from(RECORDS) / begun.elapsed().as_secs_f64();
    report.rate(
        "log: append 200 B records, fsync before ack",
        "records/s",
        appended,
        Target::NONE,
        "write and fdatasync of one file",
        synced,
    );

    let begun = Instant::now();
    let mut read = 0;
    for partition in 0..PARTITIONS {
        let mut offset = 0;
        let end = log.offsets(&TopicPartition::new("t", partition))?.high_watermark;
        while offset < end {
            let fetch = Fetch { partition: TopicPartition::new("t", partition), offset };
            for fetched in log.fetch(&[fetch], FETCH_BYTES, Duration::ZERO).await? {
                read += fetched.records.len();
                offset = fetched.next_offset;
            }
        }
    }
    ensure!(read == RECORDS as usize, "{read} of {RECORDS} records were read");
    let fetched = f64::from(RECORDS) / begun.elapsed().as_secs_f64();
    report.alone("log: fetch the same", format!("{} records/s", crate::report::thousands(fetched)), Target::NONE);
    log.close().await?;
    folder.remove()
}

fn batch(partition: i32) -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("t");
    builder.run(Run { records: 0, topic, origin: topic, partition, key: Form::BYTES, value: Form::BYTES });
    let value = [b'x'; RECORD_BYTES];
    for number in 0..RECORDS_A_COMMIT {
        builder.key(Some(&number.to_be_bytes()));
        builder.value(Some(&value));
        builder.end(None, None);
    }
    builder.build()
}

/// Records a second, if a record were nothing but its bytes in a file.
fn plain_file(folder: &Folder) -> Result<f64> {
    let mut file = std::fs::File::create(folder.join("plain"))?;
    let piece = vec![b'x'; RECORD_BYTES * RECORDS_A_COMMIT as usize];
    let begun = Instant::now();
    for _ in 0..RECORDS / RECORDS_A_COMMIT {
        file.write_all(&piece)?;
        file.sync_data()?;
    }
    Ok(f64::from(RECORDS) / begun.elapsed().as_secs_f64())
}
