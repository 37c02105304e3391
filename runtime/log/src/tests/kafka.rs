//! Segments that Apache Kafka has written: they are sound, their indexes say what ours would, and the records are those that Kafka's
//! own consumer read. `tests/kafka/record.sh` made them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use towpath_model::{SystemClock, TopicPartition};
use uuid::Uuid;

use crate::aborted::{Aborted, ENTRY_BYTES};
use crate::catalog::{Catalog, CatalogTopic};
use crate::checkpoint::{Bounds, Checkpoint, PartitionPoint, SegmentPoint};
use crate::codec::BatchHeader;
use crate::segment::file_name;
use crate::{Embedded, Fetch, FetchBatches, FetchLimits, Fetches, LogConfig, OsVfs, Remedy, examine, repair};

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka")
}

/// The names in a folder, sorted.
fn names(dir: &Path) -> Vec<String> {
    let name =
        |entry: std::io::Result<std::fs::DirEntry>| entry.expect("read").file_name().into_string().expect("text");
    let mut names: Vec<_> = std::fs::read_dir(dir).expect("a folder").map(name).collect();
    names.sort();
    names
}

/// The heads of the batches in a segment's file.
fn headers(mut content: &[u8]) -> Vec<BatchHeader> {
    let mut found = Vec::new();
    while !content.is_empty() {
        let bytes = BatchHeader::parse(content).expect("a head").bytes;
        let (batch, rest) = content.split_at(bytes);
        found.push(BatchHeader::verify(batch).expect("sound"));
        content = rest;
    }
    found
}

/// A data directory around copies of Kafka's files, as if the log had written them.
fn imported() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let mut catalog = Catalog { cluster_id: "kafka".into(), topics: BTreeMap::new() };
    let mut checkpoint = Checkpoint { clean: true, ..Checkpoint::default() };
    for (number, topic) in names(&recorded().join("segments")).into_iter().enumerate() {
        let (from, to) = (recorded().join("segments").join(&topic), dir.path().join(format!("{topic}-0")));
        std::fs::create_dir_all(&to).expect("made");
        for name in names(&from) {
            std::fs::copy(from.join(&name), to.join(&name)).expect("copied");
        }
        let id = Uuid::from_u128(number as u128 + 1);
        catalog.topics.insert(topic.clone(), CatalogTopic::new(id, 1, BTreeMap::new(), topic == "compacted"));
        let (mut segments, mut end) = (Vec::new(), 0);
        for base in names(&from).iter().filter_map(|name| name.strip_suffix(".log")?.parse::<i64>().ok()) {
            let content = std::fs::read(from.join(file_name(base, "log"))).expect("a segment");
            let headers = headers(&content);
            let Some(first) = headers.first() else { continue };
            let aborted = std::fs::read(from.join(file_name(base, "txnindex"))).unwrap_or_default();
            end = headers.last().map_or(end, BatchHeader::next_offset);
            segments.push(SegmentPoint {
                base,
                bytes: content.len() as u64,
                first_timestamp: first.max_timestamp,
                max_timestamp: headers.iter().map(|header| header.max_timestamp).max().unwrap_or(-1),
                swapping: false,
                aborted: (aborted.len() / ENTRY_BYTES) as u32,
                aborted_crc: crc32c::crc32c(&aborted),
            });
        }
        let bounds = Bounds { log_start: 0, end, cleaned: 0 };
        checkpoint.partitions.push(PartitionPoint::new(id, 0, bounds, segments));
    }
    catalog.write(&OsVfs, dir.path()).expect("written");
    checkpoint.write(&OsVfs, dir.path()).expect("written");
    std::fs::write(dir.path().join("meta.properties"), "format=1\n").expect("written");
    std::fs::write(dir.path().join(".lock"), "").expect("written");
    dir
}

/// What the log hands to a reader of committed records, in the form of `records.tsv`.
async fn read(log: &Embedded, topic: &str) -> String {
    let partition = TopicPartition::new(topic, 0);
    let (mut text, mut offset) = (String::new(), 0);
    let end = log.offsets(&partition).expect("there").high_watermark;
    let plain =
        |bytes: Option<&[u8]>| bytes.map_or_else(|| "-".into(), |bytes| String::from_utf8_lossy(bytes).into_owned());
    while offset < end {
        let wanted = [Fetch { partition: partition.clone(), offset }];
        let fetched = log.fetch(&wanted, 1 << 10, Duration::ZERO).await.expect("fetched").remove(0);
        for record in fetched.records.records() {
            let headers: Vec<_> =
                record.headers().map(|(name, value)| format!("{name}={}", plain(value.bytes))).collect();
            let (at, timestamp) = (record.offset.expect("an offset"), record.timestamp.expect("a time"));
            let (key, value) = (plain(record.key.bytes), plain(record.value.bytes));
            writeln!(text, "{topic}\t{at}\t{timestamp}\t{key}\t{value}\t{}", headers.join(",")).expect("written");
        }
        assert!(fetched.next_offset > offset, "a read of {topic} at {offset} does not advance");
        offset = fetched.next_offset;
    }
    text
}

async fn read_all(log: &Embedded) -> Vec<String> {
    let mut lines = Vec::new();
    for topic in names(&recorded().join("segments")) {
        lines.extend(read(log, &topic).await.lines().map(str::to_owned));
    }
    lines
}

/// What Kafka's consumer read, in the order of topics.
fn expected() -> Vec<String> {
    let text = std::fs::read_to_string(recorded().join("records.tsv")).expect("records");
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort_by_key(|line| line.split('\t').next().map(str::to_owned));
    lines
}

fn looked_at(dir: &Path) -> Embedded {
    let clock = Arc::new(SystemClock::default());
    Embedded::open_read_only(LogConfig::new(dir), Arc::new(OsVfs), clock).expect("opened")
}

#[tokio::test]
async fn what_kafka_wrote_is_sound_and_read_as_kafka_reads_it() {
    let dir = imported();
    let examined = examine(&LogConfig::new(dir.path()), &OsVfs).expect("examined");
    assert!(examined.is_sound(), "{:?}", examined.findings);
    let log = looked_at(dir.path());
    let expected = expected();
    assert!(expected.len() > 150, "{} records were recorded", expected.len());
    assert_eq!(read_all(&log).await, expected);
    let (mut batches, mut control) = (0, 0);
    log.inspect(|_| true, &mut |_, batch| {
        batches += 1;
        control += u64::from(batch.control);
        ControlFlow::Continue(())
    });
    assert_eq!((batches, control), (examined.batches, 8), "each of two producers ended four transactions");
}

#[tokio::test]
async fn clients_are_handed_the_bytes_that_kafka_wrote_and_what_it_says_was_aborted() {
    let dir = imported();
    let log = looked_at(dir.path());
    let limits = FetchLimits { bytes_min: 0, max_wait: Duration::ZERO, bytes_max: 1 << 20 };
    for topic in names(&recorded().join("segments")) {
        let folder = recorded().join("segments").join(&topic);
        let content = |extension: &str| {
            let of_kind = |name: &String| name.ends_with(extension);
            names(&folder)
                .into_iter()
                .filter(of_kind)
                .flat_map(|name| std::fs::read(folder.join(name)).expect("read"))
                .collect::<Vec<u8>>()
        };
        let (mut bytes, mut aborted) = (Vec::new(), Vec::new());
        let end = log.ends(&TopicPartition::new(topic.as_str(), 0)).expect("there").high_watermark;
        let mut offset = 0;
        while offset < end {
            let partition = TopicPartition::new(topic.as_str(), 0);
            let wanted = [FetchBatches { partition, offset, bytes_max: 1 << 20, committed: true }];
            let fetched = log.fetch_batches(&wanted, limits).await.expect("fetched").remove(0).expect("there");
            // One that reaches over two segments is told with each.
            aborted.extend(fetched.aborted);
            aborted.sort_by_key(|aborted| aborted.last_offset);
            aborted.dedup();
            for batch in fetched.batches {
                offset = BatchHeader::verify(&batch).expect("sound").next_offset();
                bytes.extend_from_slice(&batch);
            }
        }
        assert!(bytes == content(".log"), "the batches of {topic} are not Kafka's");
        assert_eq!(aborted, Aborted::read_all(&content(".txnindex")).collect::<Vec<_>>(), "{topic}");
        assert_eq!(aborted.len(), if topic == "transactional" { 4 } else { 0 });
    }
}

#[tokio::test]
async fn indexes_that_are_built_anew_are_kafkas_own() {
    let dir = imported();
    let txn_index = dir.path().join("transactional-0").join(file_name(12, "txnindex"));
    let kafkas = std::fs::read(&txn_index).expect("an index");
    std::fs::remove_file(&txn_index).expect("removed");
    for topic in names(&recorded().join("segments")) {
        for name in names(&dir.path().join(format!("{topic}-0"))).iter().filter(|name| name.ends_with("index")) {
            if !name.ends_with(".txnindex") {
                std::fs::remove_file(dir.path().join(format!("{topic}-0")).join(name)).expect("removed");
            }
        }
    }
    let clock = Arc::new(SystemClock::default());
    let told = repair(LogConfig::new(dir.path()), Arc::new(OsVfs), clock, 7).expect("mended");
    assert!(told.findings.iter().all(|finding| finding.remedy == Remedy::Rebuild), "{:?}", told.findings);
    assert_eq!(std::fs::read(&txn_index).expect("an index"), kafkas);
    assert_eq!(read_all(&looked_at(dir.path())).await, expected());
}
