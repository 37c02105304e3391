//! How fast the embedded log takes and gives records on real files, with a sync before every acknowledgement.
//!
//! The directory is made under `TOWPATH_BENCH_DIR`, or else where temporary files go; put it on the disk in question.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::stream::{FuturesOrdered, StreamExt};
use tokio::runtime::Runtime;
use towpath_log::{Appends, Commit, Compression, Embedded, Fetch, Fetches, LogConfig, NewTopic, OsVfs, Topics};
use towpath_model::{Batch, BatchBuilder, Clock, Form, Run, SystemClock, TopicPartition};

const VALUE_BYTES: usize = 200;
/// Commits that one writer has under way.
const DEPTH: usize = 4;

fn open(dir: &Path, runtime: &Runtime, partitions: i32) -> Arc<Embedded> {
    let log =
        Embedded::open(LogConfig::new(dir), Arc::new(OsVfs), Arc::new(SystemClock::default()), 1).expect("opened");
    let topic = NewTopic { name: "orders".into(), partitions: Some(partitions), ..NewTopic::default() };
    runtime.block_on(log.create_topic(topic)).expect("created");
    Arc::new(log)
}

fn directory() -> tempfile::TempDir {
    match std::env::var_os("TOWPATH_BENCH_DIR") {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    }
    .expect("a directory")
}

/// `records` records of text that compresses about as well as JSON does, spread over partitions.
fn batch(records: usize, partitions: i32) -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("orders");
    let per_partition = records / partitions as usize;
    for partition in 0..partitions {
        builder.run(Run { records: 0, topic, origin: topic, partition, key: Form::BYTES, value: Form::BYTES });
        for number in 0..per_partition {
            builder.key(Some(&(number as u64).to_be_bytes()));
            builder.value_with(|out| {
                let begin = out.len();
                while out.len() < begin + VALUE_BYTES {
                    let mixed = (number as u64 + out.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    out.extend_from_slice(format!("{{\"id\":{mixed},\"state\":\"open\"}}").as_bytes());
                }
                out.truncate(begin + VALUE_BYTES);
                true
            });
            builder.end(Some(1_700_000_000_000), None);
        }
    }
    builder.build()
}

/// Commits `batch` as often as asked, several at a time, and waits for all.
async fn append(log: &Embedded, batch: &Batch, times: u64, compression: Compression) {
    let mut under_way = FuturesOrdered::new();
    for _ in 0..times {
        if under_way.len() == DEPTH {
            let done: Option<Result<_, towpath_log::Error>> = under_way.next().await;
            done.expect("under way").expect("committed");
        }
        under_way.push_back(log.commit_atomic(Commit {
            records: vec![batch.clone()],
            group_offsets: Vec::new(),
            compression,
        }));
    }
    while let Some(done) = under_way.next().await {
        done.expect("committed");
    }
}

fn appends(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let clock = SystemClock::default();
    let mut group = criterion.benchmark_group("append");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    let cases = [
        ("16 partitions", 4_096, 16, Compression::None),
        ("16 partitions, lz4", 4_096, 16, Compression::Lz4),
        ("16 partitions, zstd", 4_096, 16, Compression::Zstd),
        ("64 partitions, one small round", 64, 64, Compression::None),
        ("1 partition, one small round", 1, 1, Compression::None),
    ];
    for (name, records, partitions, compression) in cases {
        let dir = directory();
        let log = open(dir.path(), &runtime, partitions);
        let batch = batch(records, partitions);
        group.throughput(Throughput::Elements(batch.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|times| {
                let begun = clock.monotonic();
                runtime.block_on(async {
                    match records < 1_000 {
                        // Small rounds one after the other: what one durable commit costs.
                        true => {
                            for _ in 0..times {
                                append(&log, &batch, 1, compression).await;
                            }
                        }
                        false => append(&log, &batch, times, compression).await,
                    }
                });
                clock.monotonic() - begun
            });
        });
        log.close_now().expect("closed");
    }
    group.finish();
}

fn fetches(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("fetch");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    let cases = [
        ("from memory", false, Compression::None),
        ("from segments", true, Compression::None),
        ("from segments, lz4", true, Compression::Lz4),
    ];
    for (name, reopen, compression) in cases {
        let dir = directory();
        let mut log = open(dir.path(), &runtime, 1);
        let batch = batch(4_096, 1);
        let times = 32;
        runtime.block_on(append(&log, &batch, times, compression));
        if reopen {
            log.close_now().expect("closed");
            drop(log);
            let reopened =
                Embedded::open(LogConfig::new(dir.path()), Arc::new(OsVfs), Arc::new(SystemClock::default()), 1);
            log = Arc::new(reopened.expect("opened"));
        }
        let records = batch.len() as i64 * times as i64;
        group.throughput(Throughput::Elements(records as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let mut offset = 0;
                    while offset < records {
                        let wanted = [Fetch { partition: TopicPartition::new("orders", 0), offset }];
                        let fetched = log.fetch(&wanted, 1 << 20, Duration::ZERO).await.expect("fetched");
                        offset = fetched[0].next_offset;
                    }
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, appends, fetches);
criterion_main!(benches);
