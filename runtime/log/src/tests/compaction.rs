//! What compaction keeps for a while, what it never passes, and what it leaves known.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use towpath_model::{ManualClock, TopicPartition};

use super::{batch, commit, topic};
use crate::codec::{BatchEncoder, BatchHeader, RawRecords, records_section, set_transactional};
use crate::sim::SimDisk;
use crate::{
    AppendedBatch, Appends, Compression, Embedded, Error, FetchBatches, FetchLimits, LogConfig, NewTopic, Producer,
    ReceivedBatch,
};

/// A log with one topic, and its clock.
struct World {
    log: Embedded,
    clock: Arc<ManualClock>,
}

fn state() -> TopicPartition {
    TopicPartition::new("state", 0)
}

fn world(configs: &[(&str, &str)]) -> World {
    let (disk, clock) = (SimDisk::new(1), Arc::new(ManualClock::at(1_000_000)));
    let config = LogConfig {
        journal_file_bytes: 64 << 10,
        offsets_topic_partitions: 1,
        transactions_topic_partitions: 1,
        compaction_bytes_min: 1,
        ..LogConfig::new("/log")
    };
    let log = Embedded::open_stepped(config, Arc::new(disk), clock.clone(), 1).expect("opened");
    let all = [("min.cleanable.dirty.ratio", "0"), ("segment.bytes", "400")];
    let configs = all.iter().chain(configs).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    log.create_topic_now(NewTopic { configs, ..topic("state", 1) }).expect("created");
    World { log, clock }
}

impl World {
    fn done<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut answer = Box::pin(answer);
        if let Some(ready) = (&mut answer).now_or_never() {
            return ready;
        }
        self.log.step_journal();
        answer.now_or_never().expect("answered")
    }

    fn write(&self, key: &str, value: Option<&str>) {
        let records = batch("state", &[(0, Some(key), value.unwrap_or("-"))]);
        let records = if value.is_some() { records } else { removal(key) };
        self.done(self.log.commit_atomic(commit(records))).expect("committed");
    }

    fn begin(&self) -> Producer {
        self.done(self.log.init_producer("id", 60_000, None)).expect("begins")
    }

    fn send(&self, producer: Producer, sequence: i32, key: &str, transactional: bool) -> Result<AppendedBatch, Error> {
        let mut encoder = BatchEncoder::default();
        encoder.push_plain(Some(key.as_bytes()), Some(b"v"), self.now());
        let mut bytes = Vec::new();
        encoder.seal(Compression::None, None, &mut bytes).expect("sealed");
        bytes[53..57].copy_from_slice(&sequence.to_be_bytes());
        set_transactional(&mut bytes, (producer.id, producer.epoch), false);
        if !transactional {
            bytes[21..23].copy_from_slice(&[0, 0]);
            let crc = crc32c::crc32c(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        let one = ReceivedBatch { partition: state(), bytes: Bytes::from(bytes), adds_partition: true };
        let answers = self.log.append_batches(vec![one]);
        self.done(answers.map(|mut answers| answers.remove(0)))
    }

    fn end(&self, producer: Producer, commit: bool) -> Producer {
        self.done(self.log.end_transaction("id", producer, commit, true)).expect("ends")
    }

    fn compact(&self) {
        self.log.step_checkpoint().expect("a checkpoint");
        self.log.step_compaction().expect("compacted");
        // The checkpoint that knows the new names.
        self.log.step_checkpoint().expect("a checkpoint");
    }

    fn now(&self) -> i64 {
        self.log.now_ms()
    }

    /// What lies in the log: the offset of each record, and its key, or `!` for a marker.
    fn there(&self) -> Vec<(i64, String)> {
        let ends = self.log.ends(&state()).expect("there");
        let (mut found, mut next) = (Vec::new(), ends.start);
        while next < ends.high_watermark {
            let wanted = [FetchBatches { partition: state(), offset: next, bytes_max: 1 << 20, committed: false }];
            let limits = FetchLimits { bytes_min: 0, max_wait: Duration::ZERO, bytes_max: 1 << 20 };
            for bytes in self.log.fetch_batches_now(&wanted, limits).remove(0).expect("read").batches {
                let header = BatchHeader::verify(&bytes).expect("sound");
                next = header.next_offset();
                let section = records_section(&header, &bytes).expect("sound");
                for record in RawRecords::new(&header, &section) {
                    let record = record.expect("sound");
                    let key = String::from_utf8_lossy(record.key.expect("a key")).into_owned();
                    found.push((record.offset, if header.control() { "!".into() } else { key }));
                }
            }
        }
        found
    }
}

fn removal(key: &str) -> towpath_model::Batch {
    let mut builder = towpath_model::BatchBuilder::default();
    let one = batch("state", &[(0, Some(key), "-")]);
    let record = one.records().next().expect("one record");
    let run = builder.import_run(&record);
    builder.run(run);
    builder.key(Some(key.as_bytes()));
    builder.value(None);
    builder.end(None, None);
    builder.build()
}

fn records(found: &[(i64, &str)]) -> Vec<(i64, String)> {
    found.iter().map(|(offset, key)| (*offset, (*key).to_owned())).collect()
}

const COMPACT: [(&str, &str); 2] = [("cleanup.policy", "compact"), ("delete.retention.ms", "1000")];

#[test]
fn a_removal_is_seen_for_as_long_as_the_topic_says_after_the_first_pass() {
    let world = world(&COMPACT);
    world.write("a", Some("1"));
    world.write("a", None);
    world.clock.advance(Duration::from_secs(3_600));
    world.compact();
    assert_eq!(world.there(), records(&[(1, "a")]), "it is old, and yet nobody has seen it in a compacted log");
    world.clock.advance(Duration::from_millis(900));
    world.write("b", Some("1"));
    world.compact();
    assert_eq!(world.there(), records(&[(1, "a"), (2, "b")]));
    world.clock.advance(Duration::from_millis(200));
    world.write("c", Some("1"));
    world.compact();
    assert_eq!(world.there(), records(&[(2, "b"), (3, "c")]));
}

#[test]
fn what_was_aborted_goes_and_markers_stay_with_their_records_and_then_for_a_while() {
    let world = world(&COMPACT);
    let first = world.begin();
    world.send(first, 0, "a", true).expect("sent");
    let second = world.end(first, false);
    world.send(second, 0, "b", true).expect("sent");
    let third = world.end(second, true);
    world.compact();
    assert_eq!(world.there(), records(&[(1, "!"), (2, "b"), (3, "!")]));
    world.clock.advance(Duration::from_secs(2));
    world.write("c", Some("1"));
    world.compact();
    assert_eq!(world.there(), records(&[(2, "b"), (3, "!"), (4, "c")]), "of the second a record is left");
    world.write("b", Some("2"));
    world.compact();
    assert_eq!(world.there(), records(&[(3, "!"), (4, "c"), (5, "b")]));
    world.clock.advance(Duration::from_secs(2));
    world.write("d", Some("1"));
    world.compact();
    assert_eq!(world.there(), records(&[(4, "c"), (5, "b"), (6, "d")]));
    world.send(third, 0, "e", true).expect("the producer goes on");
}

#[test]
fn nothing_is_compacted_from_the_segment_on_in_which_an_open_transaction_begins() {
    let world = world(&COMPACT);
    for _ in 0..8 {
        world.write("a", Some("1"));
    }
    let producer = world.begin();
    world.send(producer, 0, "a", true).expect("sent");
    for _ in 0..8 {
        world.write("a", Some("1"));
    }
    world.compact();
    let before: Vec<i64> = world.there().iter().map(|(offset, _)| *offset).collect();
    assert!(before.len() < 17 && before.ends_with(&(8..17).collect::<Vec<_>>()), "{before:?}");
    world.end(producer, true);
    world.write("b", Some("1"));
    world.compact();
    let after: Vec<i64> = world.there().iter().map(|(offset, _)| *offset).collect();
    assert!(after.len() < before.len(), "{after:?}");
}

#[test]
fn a_producer_whose_records_are_all_gone_is_still_known() {
    let world = world(&COMPACT);
    let producer = Producer { id: world.log.new_producer_id(), epoch: 0 };
    let sent = world.send(producer, 0, "a", false).expect("sent");
    world.write("a", Some("2"));
    world.compact();
    assert_eq!(world.there(), records(&[(1, "a")]));
    let again = world.send(producer, 0, "a", false).expect("sent again");
    assert_eq!(again.base_offset, sent.base_offset);
    assert_eq!(world.log.ends(&state()).expect("there").high_watermark, 2, "it was written twice");
}

#[test]
fn what_waits_for_too_long_is_compacted_however_little_it_is() {
    let lag = [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "1"), ("max.compaction.lag.ms", "5000")];
    let world = world(&lag);
    world.write("b", Some("1"));
    world.compact();
    world.write("a", Some("1"));
    world.write("a", Some("2"));
    world.compact();
    assert_eq!(world.there().len(), 3);
    world.clock.advance(Duration::from_secs(6));
    world.compact();
    assert_eq!(world.there(), records(&[(0, "b"), (2, "a")]));
}

#[test]
fn retention_stops_before_what_an_open_transaction_may_commit() {
    let world = world(&[("retention.ms", "1000"), ("segment.ms", "1")]);
    world.write("a", Some("1"));
    world.clock.advance(Duration::from_millis(10));
    let producer = world.begin();
    world.send(producer, 0, "a", true).expect("sent");
    for _ in 0..3 {
        world.clock.advance(Duration::from_millis(10));
        world.write("a", Some("1"));
    }
    world.log.step_checkpoint().expect("a checkpoint");
    world.clock.advance(Duration::from_secs(30));
    world.log.step_retention().expect("applied");
    assert_eq!(world.log.ends(&state()).expect("there").start, 1);
    world.end(producer, true);
    world.log.step_checkpoint().expect("a checkpoint");
    world.log.step_retention().expect("applied");
    assert!(world.log.ends(&state()).expect("there").start > 1);
}
