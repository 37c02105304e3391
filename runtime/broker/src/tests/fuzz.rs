//! Requests of real clients, spoilt at random: whatever comes, nothing panics, memory stays within bounds, and what is in the log can be
//! read by everybody.
//!
//! `corpus/requests.bin` holds what librdkafka, kafka-python, kcat and the Java tools sent, each request behind its length, one or two of
//! every API and version; inputs that once broke something are added to it. A run takes `TOWPATH_FUZZ_SECONDS`, 3 unless told otherwise, and
//! prints its seed, which `TOWPATH_FUZZ_SEED` repeats.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::records::{Compression, RecordBatchDecoder};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use towpath_log::{FetchBatches, FetchLimits, Fetches, Topics};
use towpath_model::{Clock, SystemClock, TopicPartition};

use super::{Served, encoded, record};
use crate::call::Opening;
use crate::shield;

const CORPUS: &[u8] = include_bytes!("corpus/requests.bin");
/// A request that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// One that joins a group waits for others, as it should.
const JOIN_PATIENCE: Duration = Duration::from_millis(50);
const MEMORY_BYTES_MAX: u64 = 600 << 20;

fn corpus() -> Vec<Vec<u8>> {
    let (mut rest, mut requests) = (CORPUS, Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (request, next) = after.split_at(u32::from_be_bytes(*length) as usize);
        requests.push(request.to_vec());
        rest = next;
    }
    requests
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The seed and the end of a run.
fn run(what: &str, clock: &SystemClock) -> (StdRng, Duration) {
    let seed = setting("TOWPATH_FUZZ_SEED").unwrap_or_else(|| clock.now_ms().unsigned_abs());
    println!("{what}: TOWPATH_FUZZ_SEED={seed}");
    let seconds = setting("TOWPATH_FUZZ_SECONDS").unwrap_or(3);
    (StdRng::seed_from_u64(seed), clock.monotonic() + Duration::from_secs(seconds))
}

/// One to four small or large wrongs.
fn spoil(bytes: &mut Vec<u8>, from: usize, random: &mut StdRng, others: &[Vec<u8>]) {
    for _ in 0..random.random_range(1..5) {
        if bytes.len() <= from {
            return;
        }
        let at = random.random_range(from..bytes.len());
        match random.random_range(0..7) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes[at] = *[0, 1, 0x7f, 0x80, 0xff].get(random.random_range(0..5)).expect("one of five"),
            2 => bytes.truncate(at),
            3 => {
                bytes.remove(at);
            }
            // Lengths in four bytes and in variable ones.
            4 => bytes.splice(at..at, [0x7f, 0xff, 0xff, 0xff]).for_each(drop),
            5 => bytes.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0x0f]).for_each(drop),
            _ => {
                let other = &others[random.random_range(0..others.len())];
                let piece = other.get(random.random_range(0..other.len())..).unwrap_or_default();
                bytes.splice(at..at, piece.iter().copied()).for_each(drop);
            }
        }
    }
}

pub(super) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

#[tokio::test]
async fn requests_that_are_spoilt_are_answered_or_refused() {
    let served = Served::start_with(|config| {
        config.limits.fetch_wait = Duration::from_millis(5);
        config.limits.group_members = 20;
    })
    .await;
    served.topic("orders", 3).await;
    let clock = SystemClock::default();
    let (mut random, end) = run("requests", &clock);
    let corpus = corpus();
    let before = resident_bytes();
    let (mut answered, mut refused) = (0, 0);
    while clock.monotonic() < end {
        let mut request = corpus[random.random_range(0..corpus.len())].clone();
        // The head stays sound more often than not, or all would end there.
        let from = if random.random_bool(0.9) { 8 } else { 0 };
        spoil(&mut request, from, &mut random, &corpus);
        let handle = served.handle.clone();
        let bytes = Bytes::from(request.clone());
        let mut asking = tokio::spawn(async move { handle.call(bytes).await });
        let joins = joins(&request);
        match tokio::time::timeout(if joins { JOIN_PATIENCE } else { PATIENCE }, &mut asking).await {
            // It is let go as by a connection that ends.
            Err(_) if joins => asking.abort(),
            Err(_) => panic!("a request hangs: {request:02x?}"),
            Ok(Err(panicked)) => panic!("{panicked}: {request:02x?}"),
            Ok(Ok(Ok(_))) => answered += 1,
            Ok(Ok(Err(_))) => refused += 1,
        }
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < MEMORY_BYTES_MAX, "{grown} bytes more after {request:02x?}");
    }
    assert!(answered > 10 && refused > 10, "{answered} answered, {refused} refused: too tame or too wild");
    for topic in served.log.topics() {
        for partition in 0..topic.partitions {
            is_readable(&served, &TopicPartition::new(topic.name.clone(), partition)).await;
        }
    }
}

fn joins(request: &[u8]) -> bool {
    let joining = [ApiKey::JoinGroup, ApiKey::SyncGroup];
    Opening::read(request).is_ok_and(|opening| joining.iter().any(|key| *key as i16 == opening.key))
}

#[test]
fn real_requests_are_what_the_corpus_holds() {
    let decoded = corpus().into_iter().filter(|request| {
        let opening = Opening::read(request).expect("a head");
        let key = ApiKey::try_from(opening.key).expect("a key");
        let header = Bytes::from(request.clone());
        shield::decode::<kafka_protocol::messages::RequestHeader>(&header, key.request_header_version(opening.version))
            .is_ok()
    });
    let kinds: std::collections::BTreeSet<i16> =
        decoded.map(|request| Opening::read(&request).expect("a head").key).collect();
    assert!(kinds.len() >= 18, "APIs in the corpus: {kinds:?}");
}

/// What was accepted can be read to its end by a client.
async fn is_readable(served: &Served, partition: &TopicPartition) {
    let ends = served.log.offsets(partition).expect("there");
    let mut offset = ends.start;
    while offset < ends.high_watermark {
        let wanted = [FetchBatches { partition: partition.clone(), offset, bytes_max: 1 << 20, committed: false }];
        let limits = FetchLimits { bytes_min: 0, max_wait: Duration::ZERO, bytes_max: 1 << 20 };
        let fetched = served.log.fetch_batches(&wanted, limits).await.expect("read").remove(0).expect("read");
        for batch in fetched.batches {
            let mut bytes = batch.clone();
            let info = RecordBatchDecoder::decode_batch_info(&mut bytes).expect("a head");
            let info = info.first().expect("one batch");
            offset = info.min_offset + i64::from(info.record_count.max(1));
        }
    }
}

#[tokio::test]
async fn batches_that_are_spoilt_are_refused_or_can_be_read() {
    let served = Served::start().await;
    let id = served.topic("orders", 1).await;
    let clock = SystemClock::default();
    let (mut random, end) = run("batches", &clock);
    let codecs = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    let mut client = served.client().await;
    let (mut taken, mut refused) = (0, 0);
    while clock.monotonic() < end {
        let records: Vec<_> = (0..random.random_range(1..6)).map(|index| record(index, Some("k"), "value")).collect();
        let codec = codecs[random.random_range(0..codecs.len())];
        let sound = encoded(&records, codec).to_vec();
        let mut batch = sound.clone();
        if random.random_bool(0.8) {
            spoil(&mut batch, 0, &mut random, std::slice::from_ref(&sound));
        }
        // Half of them carry a checksum that fits, as one who means harm would see to.
        if random.random_bool(0.5) && batch.len() > 21 {
            let checksum = crc32c(&batch[21..]);
            batch[17..21].copy_from_slice(&checksum.to_be_bytes());
        }
        let request = super::produce("orders", id, -1, &[(0, Bytes::from(batch.clone()))]);
        let answer = client.call(9, &request).await;
        match super::produced(&answer)[0].0 {
            0 => taken += 1,
            _ => refused += 1,
        }
    }
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
    is_readable(&served, &TopicPartition::new("orders", 0)).await;
    let restarted = served.restart().await;
    is_readable(&restarted, &TopicPartition::new("orders", 0)).await;
}

/// Castagnoli's checksum, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 })
    };
    !bytes.iter().fold(!0, step)
}

#[test]
fn the_checksum_is_the_right_one() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}
