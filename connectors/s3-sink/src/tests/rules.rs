//! One promise a test.

use std::sync::Arc;
use std::time::Duration;

use towpath_model::{Config, ConnectorError, Flushed, Form, ManualClock, Position};

use super::world::{FakeStore, Fault, Put, batch, position, unavailable};
use crate::store::StoreError;
use crate::{S3Sink, Settings};

const MIB: u64 = 1 << 20;

struct Bench {
    sink: S3Sink<FakeStore>,
    store: FakeStore,
    clock: Arc<ManualClock>,
}

fn bench_on(store: &FakeStore, settings: &[(&str, &str)]) -> Bench {
    let mut config: Config = settings.iter().copied().collect();
    config.set("s3.bucket.name", "lake");
    let clock = Arc::new(ManualClock::at(1_000_000));
    let settings = Settings::parse(&config).expect("settings");
    let sink = S3Sink::new(settings, store.clone(), clock.clone(), 64 * MIB);
    Bench { sink, store: store.clone(), clock }
}

fn bench(settings: &[(&str, &str)]) -> Bench {
    let mut bench = bench_on(&FakeStore::default(), settings);
    bench.sink.assigned(&[position("orders", 0, 0, "")]);
    bench
}

impl Bench {
    fn put(&mut self, offsets: std::ops::Range<i64>) {
        self.sink.put(&numbered(offsets)).expect("taken");
    }

    /// Flushes until nothing is due, as the worker does, and returns the offset and metadata committed last.
    fn drain(&mut self, handed_over: i64) -> Option<Position> {
        let mut last = None;
        loop {
            let flushed = self.sink.flush(&[position("orders", 0, handed_over, "")]).expect("flushed");
            last = flushed.offsets.last().cloned().or(last);
            if self.sink.next_flush_ms() != Some(0) {
                return last;
            }
        }
    }
}

fn numbered(offsets: std::ops::Range<i64>) -> towpath_model::Batch {
    batch(offsets.map(|offset| Put::new("orders", 0, offset, &offset.to_string())))
}

fn path(offset: i64) -> String {
    format!("topics/orders/partition=0/orders+0+{offset:010}.jsonl")
}

fn message(outcome: Result<Flushed, ConnectorError>) -> String {
    outcome.expect_err("an error").to_string()
}

#[test]
fn objects_hold_flush_size_records_and_what_is_not_full_waits() {
    let mut bench = bench(&[("flush.size", "3")]);
    bench.put(0..8);
    let committed = bench.drain(8).expect("progress");
    assert_eq!(bench.store.paths(), [path(0), path(3)]);
    assert_eq!(bench.store.lines(&path(3)), ["3", "4", "5"]);
    assert_eq!(committed.offset, 6);
    assert_eq!(bench.sink.next_flush_ms(), None);
    bench.put(8..9);
    assert_eq!(bench.drain(9).expect("progress").offset, 9);
}

#[test]
fn nothing_is_uploaded_before_its_folder_is_committed_and_never_two_objects_before_a_commit() {
    let mut bench = bench(&[("flush.size", "1")]);
    bench.put(0..3);
    let first = bench.sink.flush(&[]).expect("an announcement").offsets;
    assert_eq!((first[0].offset, bench.store.paths().len()), (0, 0));
    for done in 1..=3 {
        let flushed = bench.sink.flush(&[]).expect("an object");
        assert_eq!((flushed.offsets[0].offset, bench.store.paths().len()), (done, done as usize));
        assert_eq!(flushed.offsets[0].metadata, first[0].metadata);
    }
}

#[test]
fn an_idle_partition_completes_its_object_when_its_time_is_up() {
    let mut bench = bench(&[("rotate.interval.ms", "5000")]);
    bench.put(0..2);
    assert_eq!(bench.drain(2), None);
    assert_eq!(bench.sink.next_flush_ms(), Some(5000));
    bench.clock.advance(Duration::from_millis(4999));
    assert_eq!(bench.sink.next_flush_ms(), Some(1));
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(bench.drain(2).expect("progress").offset, 2);
    assert_eq!(bench.store.lines(&path(0)), ["0", "1"]);
    assert_eq!(bench.sink.next_flush_ms(), None);
}

#[test]
fn a_schedule_completes_objects_at_its_multiples() {
    let mut bench = bench(&[("rotate.schedule.interval.ms", "60000")]);
    bench.put(0..1);
    assert_eq!(bench.sink.next_flush_ms(), Some(20_000));
    bench.clock.advance(Duration::from_secs(20));
    bench.put(1..2);
    assert_eq!(bench.drain(2).expect("progress").offset, 1);
    assert_eq!(bench.store.paths(), [path(0)]);
}

#[test]
fn null_values_are_ignored_and_counted_kept_or_refused() {
    let mixed = || batch([Put::null("orders", 0, 0), Put::new("orders", 0, 1, "1"), Put::null("orders", 0, 2)]);
    let mut ignoring = bench(&[("flush.size", "1")]);
    ignoring.sink.put(&mixed()).expect("taken");
    assert_eq!(ignoring.drain(3).expect("progress").offset, 3);
    assert_eq!(ignoring.store.paths(), [path(1)]);
    assert_eq!(ignoring.sink.counts().null_values_ignored, 2);

    let mut writing = bench(&[("flush.size", "3"), ("behavior.on.null.values", "write")]);
    writing.sink.put(&mixed()).expect("taken");
    assert_eq!(writing.drain(3).expect("progress").offset, 3);
    assert_eq!(writing.store.lines(&path(0)), ["null", "1", "null"]);

    let mut failing = bench(&[("flush.size", "1"), ("behavior.on.null.values", "fail")]);
    let Err(ConnectorError::Records(refused)) = failing.sink.put(&mixed()) else { panic!("refused") };
    assert_eq!(
        refused.iter().map(|error| (error.index, error.retriable)).collect::<Vec<_>>(),
        [(0, false), (2, false)]
    );
    assert_eq!(failing.drain(3).expect("progress").offset, 3);
    assert_eq!(failing.store.paths(), [path(1)]);
}

#[test]
fn nulls_and_filtered_records_alone_still_advance_the_offset() {
    let mut bench = bench(&[]);
    bench.sink.put(&batch([Put::null("orders", 0, 0)])).expect("taken");
    assert_eq!(bench.drain(7).expect("progress").offset, 7);
    assert_eq!(bench.drain(7), None);
}

#[test]
fn values_that_are_no_document_are_refused_and_the_rest_is_written() {
    let mut bench = bench(&[("flush.size", "2")]);
    let records = [
        Put { form: Form::BYTES, ..Put::new("orders", 0, 0, "not json") },
        Put { form: Form::BYTES, ..Put::new("orders", 0, 1, "{}") },
        Put::new("orders", 0, 2, "{\n}"),
    ];
    let Err(ConnectorError::Records(refused)) = bench.sink.put(&batch(records)) else { panic!("refused") };
    assert_eq!((refused.len(), refused[0].index, refused[0].code.as_str()), (1, 0, "s3.value"));
    assert_eq!(bench.drain(3).expect("progress").offset, 3);
    assert_eq!(bench.store.lines(&path(1)), ["{}", "{ }"]);
}

#[test]
fn what_a_crash_left_is_replaced_whatever_its_extension_and_size() {
    let store = FakeStore::default();
    let mut first = bench_on(&store, &[("flush.size", "4"), ("s3.compression.type", "gzip")]);
    first.sink.assigned(&[position("orders", 0, 0, "")]);
    first.put(0..4);
    let announced = first.sink.flush(&[]).expect("announced").offsets.remove(0);
    first.sink.flush(&[]).expect("uploaded, never committed");
    assert_eq!(store.paths(), ["topics/orders/partition=0/orders+0+0000000000.jsonl.gz"]);

    let mut second = bench_on(&store, &[("flush.size", "3"), ("topics.dir", "elsewhere")]);
    second.sink.assigned(&[announced]);
    second.put(0..6);
    assert_eq!(second.drain(6).expect("progress").offset, 6);
    let paths = [
        "elsewhere/orders/partition=0/orders+0+0000000000.jsonl",
        "elsewhere/orders/partition=0/orders+0+0000000003.jsonl",
    ];
    assert_eq!(store.paths(), paths);
    assert_eq!(second.sink.counts().leftovers_removed, 1);
}

#[test]
fn committed_objects_and_strangers_are_never_swept() {
    let store = FakeStore::default();
    let others = [
        path(0),
        path(9),
        "topics/orders/partition=0/notes.txt".to_owned(),
        "topics/orders/partition=01/orders+0+0000000010.jsonl".to_owned(),
        "topics/orders/partition=1/orders+1+0000000010.jsonl".to_owned(),
    ];
    for other in &others {
        store.0.borrow_mut().objects.insert(other.clone(), Vec::new());
    }
    let mut bench = bench_on(&store, &[("flush.size", "2")]);
    bench.sink.assigned(&[position("orders", 0, 10, "")]);
    bench.put(10..12);
    assert_eq!(bench.drain(12).expect("progress").offset, 12);
    for other in &others {
        assert!(store.paths().contains(other), "{other}");
    }
}

#[test]
fn after_a_reset_objects_are_replaced_as_their_offsets_are_written_again() {
    let store = FakeStore::default();
    let mut first = bench_on(&store, &[("flush.size", "2")]);
    first.sink.assigned(&[position("orders", 0, 0, "")]);
    first.put(0..6);
    first.drain(6);
    let mut second = bench_on(&store, &[("flush.size", "3")]);
    second.sink.assigned(&[position("orders", 0, 0, "")]);
    second.put(0..3);
    assert_eq!(second.drain(3).expect("progress").offset, 3);
    assert_eq!(store.paths(), [path(0), path(4)]);
    second.put(3..6);
    second.drain(6);
    assert_eq!(store.paths(), [path(0), path(3)]);
}

#[test]
fn a_store_that_is_away_is_tried_again_with_the_same_bytes() {
    let mut bench = bench(&[("flush.size", "2")]);
    bench.put(0..2);
    bench.sink.flush(&[]).expect("announced");
    bench.store.fail_next([Fault::None, Fault::Before(unavailable()), Fault::After(unavailable())]);
    assert_eq!(message(bench.sink.flush(&[])), "store is unavailable: 503");
    assert_eq!(bench.sink.next_flush_ms(), Some(0));
    assert_eq!(message(bench.sink.flush(&[])), "store is unavailable: 503");
    assert_eq!(bench.drain(2).expect("progress").offset, 2);
    assert_eq!(bench.store.lines(&path(0)), ["0", "1"]);
}

#[test]
fn refused_credentials_and_absent_buckets_are_faults_of_the_configuration() {
    for (error, key) in [
        (StoreError::Unauthorized("403".to_owned()), "aws.access.key.id"),
        (StoreError::NotFound("no such bucket".to_owned()), "s3.bucket.name"),
        (StoreError::Denied("not permitted".to_owned()), "store.url"),
    ] {
        let mut bench = bench(&[("flush.size", "1")]);
        bench.put(0..1);
        bench.sink.flush(&[]).expect("announced");
        bench.store.fail_next([Fault::Before(error)]);
        let Err(ConnectorError::Config { key: named, .. }) = bench.sink.flush(&[]) else { panic!("a config error") };
        assert_eq!(named, key);
    }
}

#[test]
fn one_partition_without_luck_does_not_hold_up_another() {
    let mut bench = bench(&[("flush.size", "1")]);
    bench.sink.assigned(&[position("payments", 0, 0, "")]);
    bench.sink.put(&batch([Put::new("orders", 0, 0, "1"), Put::new("payments", 0, 0, "2")])).expect("taken");
    bench.sink.flush(&[]).expect("announced");
    bench.store.fail_next([Fault::None, Fault::Before(StoreError::Other("400".to_owned()))]);
    let flushed = bench.sink.flush(&[]).expect("one of them");
    assert_eq!(flushed.offsets.iter().map(|position| &*position.topic).collect::<Vec<_>>(), ["payments", "orders"]);
    assert_eq!(flushed.offsets[1].offset, 0, "which stands where it stood");
    bench.store.fail_next([Fault::Before(StoreError::Other("400".to_owned()))]);
    assert_eq!(message(bench.sink.flush(&[])), "store failed: 400");
}

#[test]
fn large_objects_are_streamed_and_memory_stays_bounded() {
    let store = FakeStore::default();
    let mut bench = bench_on(&store, &[("flush.size", "2000")]);
    bench.sink.assigned(&[position("orders", 0, 0, "")]);
    let value = format!("\"{}\"", "x".repeat(10_000));
    for offset in 0..2000 {
        bench.sink.put(&batch([Put::new("orders", 0, offset, &value)])).expect("taken");
    }
    assert!(store.0.borrow().operations.iter().filter(|name| *name == "write").count() >= 3);
    assert_eq!(store.paths(), [""; 0]);
    assert_eq!(bench.drain(2000).expect("progress").offset, 2000);
    assert_eq!(store.lines(&path(0)).len(), 2000);
}

#[test]
fn an_upload_that_breaks_off_is_told_and_then_read_again_from_the_log() {
    let mut bench = bench(&[("flush.size", "20")]);
    let value = format!("\"{}\"", "x".repeat(MIB as usize));
    let big = |offsets: std::ops::Range<i64>| {
        batch(offsets.map(|offset| Put::new("orders", 0, offset, &value)).collect::<Vec<_>>())
    };
    bench.store.fail_next([Fault::None, Fault::Before(unavailable())]);
    bench.sink.put(&big(0..6)).expect("taken, though the upload broke off behind it");
    bench.sink.put(&big(6..7)).expect("passed over, as it comes again");
    assert_eq!(bench.sink.next_flush_ms(), Some(0));
    assert_eq!(message(bench.sink.flush(&[position("orders", 0, 7, "")])), "store is unavailable: 503");
    let flushed = bench.sink.flush(&[position("orders", 0, 7, "")]).expect("a rewind");
    assert_eq!(flushed.offsets, []);
    assert_eq!(flushed.rewinds, [position("orders", 0, 0, "")]);
    assert_eq!(bench.drain(7), None, "what is lost does not count as handed over");

    let Err(ConnectorError::Fatal { reason, .. }) = bench.sink.put(&big(7..8)) else { panic!("a worker that goes on") };
    assert!(reason.message.contains("orders-0 was not read again"), "{reason}");
    bench.sink.put(&big(0..20)).expect("read again");
    assert_eq!(bench.drain(20).expect("progress").offset, 20);
    assert_eq!(bench.store.lines(&path(0)).len(), 20);
}

#[test]
fn beyond_the_uploads_that_may_be_under_way_objects_are_completed_early() {
    let store = FakeStore::default();
    let mut bench = bench_on(&store, &[("flush.size", "1000000")]);
    let value = format!("\"{}\"", "x".repeat(MIB as usize / 2));
    for number in 0..140 {
        bench.sink.assigned(&[position("orders", number, 0, "")]);
        bench.sink.put(&batch([Put::new("orders", number, 0, &value)])).expect("taken");
    }
    bench.sink.put(&batch((0..140).map(|number| Put::new("orders", number, 1, &value)))).expect("taken");
    let begun = store.0.borrow().operations.iter().filter(|name| *name == "upload").count();
    assert_eq!((begun, bench.sink.next_flush_ms()), (128, Some(0)));
    while bench.sink.next_flush_ms() == Some(0) {
        bench.sink.flush(&[]).expect("flushed");
    }
    assert_eq!(store.paths().len(), 12, "one each of the partitions that came too late");
}

#[test]
fn a_full_memory_and_a_store_that_is_away_hold_the_next_batch_back() {
    let mut bench = bench(&[("flush.size", "100000")]);
    let value = format!("\"{}\"", "x".repeat(MIB as usize));
    let big = |offset: i64| batch([Put::new("orders", 0, offset, &value)]);
    let faults = std::iter::repeat_n(Fault::Before(unavailable()), 1000);
    bench.store.fail_next(faults);
    let taken = (0..).take_while(|offset| bench.sink.put(&big(*offset)).is_ok()).count();
    assert!((32..=64).contains(&taken), "{taken} of 1 MiB, as vectors grow by doubling");
    bench.store.0.borrow_mut().faults.clear();
    bench.sink.put(&big(taken as i64)).expect("taken now");
}

#[test]
fn a_memory_full_of_objects_that_wait_for_their_flush_takes_no_more_and_goes_on_after_it() {
    let mut bench = bench(&[("flush.size", "1")]);
    let value = format!("\"{}\"", "x".repeat(MIB as usize));
    for offset in 0..200 {
        let record = batch([Put::new("orders", 0, offset, &value)]);
        while let Err(error) = bench.sink.put(&record) {
            assert!(matches!(error, ConnectorError::Throttled { .. }) && offset >= 60, "{offset}: {error}");
            assert_eq!(bench.sink.next_flush_ms(), Some(0), "a flush makes room");
            bench.sink.flush(&[position("orders", 0, offset, "")]).expect("flushed");
        }
        let written = bench.store.paths().len() as i64;
        assert!(offset - written < 70, "{} MiB are held", offset - written);
    }
    assert_eq!(bench.drain(200).expect("progress").offset, 200);
    assert_eq!(bench.store.paths().len(), 200);
}

#[test]
fn many_open_compressors_are_closed_rather_than_filling_the_memory() {
    let mut bench = bench_on(&FakeStore::default(), &[("flush.size", "1000000"), ("s3.compression.type", "gzip")]);
    let starts: Vec<Position> = (0..400).map(|number| position("orders", number, 0, "")).collect();
    bench.sink.assigned(&starts);
    let value = format!("\"{}\"", "x".repeat(100_000));
    for number in 0..400 {
        bench.sink.put(&batch([Put::new("orders", number, 0, &value)])).expect("taken");
    }
    assert_eq!(bench.sink.next_flush_ms(), Some(0), "some are closed before their time");
    while bench.sink.next_flush_ms() == Some(0) {
        bench.sink.flush(&[]).expect("flushed");
    }
    let completed = bench.store.paths().len();
    assert!((200..400).contains(&completed), "{completed} of 400, as many as do not fit");
}

#[test]
fn topics_routed_together_do_not_overwrite_each_other() {
    let mut bench = bench(&[("flush.size", "1")]);
    bench.sink.assigned(&[position("payments", 0, 0, "")]);
    let all = |origin| Put { origin, ..Put::new("all", 0, 0, "1") };
    bench.sink.put(&batch([all("orders"), all("payments")])).expect("taken");
    bench.drain(1);
    assert_eq!(
        bench.store.paths(),
        ["topics/all/partition=0/orders+0+0000000000.jsonl", "topics/all/partition=0/payments+0+0000000000.jsonl"]
    );
}

#[test]
fn revoked_partitions_are_forgotten() {
    let mut bench = bench(&[("flush.size", "2")]);
    bench.put(0..1);
    bench.sink.revoked(&[towpath_model::TopicPartition::new("orders", 0)]);
    assert!(matches!(bench.sink.put(&numbered(1..2)), Err(ConnectorError::Fatal { .. })));
    bench.sink.assigned(&[position("orders", 0, 0, "")]);
    bench.put(0..2);
    assert_eq!(bench.drain(2).expect("progress").offset, 2);
    assert_eq!(bench.store.lines(&path(0)), ["0", "1"]);
}
