//! A worker, a log and a store under random puts, flushes, crashes, faults, reassignments and changes of configuration.
//!
//! After commits: each offset below it stands in exactly one object, in order, and at most one group lies beyond it.
//! A seed that fails is printed; run it alone by narrowing [`SEEDS`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use towpath_model::{Config, ConnectorError, ManualClock, Position};

use super::world::{FakeStore, Fault, Put, batch, position, unavailable};
use crate::store::StoreError;
use crate::{S3Sink, Settings};

const SEEDS: std::ops::Range<u64> = 0..100;
const STEPS: usize = 250;
const PARTITIONS: [(&str, i32); 3] = [("orders", 0), ("orders", 1), ("payments", 0)];

/// How transforms name the topics.
#[derive(Clone, Copy)]
enum Routing {
    Kept,
    Together,
    ByOffset,
}

struct Worker {
    random: StdRng,
    store: FakeStore,
    clock: Arc<ManualClock>,
    sink: S3Sink<FakeStore>,
    routing: Routing,
    /// The log: offsets with gaps, and whether there is a value.
    log: BTreeMap<(&'static str, i32), Vec<(i64, bool)>>,
    /// Where the next record is read, as an index into the log.
    at: BTreeMap<(&'static str, i32), usize>,
    committed: BTreeMap<(&'static str, i32), Position>,
}

#[test]
fn every_offset_ends_in_exactly_one_object_whatever_happens() {
    for seed in SEEDS {
        let outcome = std::panic::catch_unwind(|| Worker::new(seed).run());
        assert!(outcome.is_ok(), "seed {seed} failed");
    }
}

impl Worker {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let store = FakeStore::default();
        let clock = Arc::new(ManualClock::at(1_700_000_000_000));
        let sink = started(&mut random, &store, &clock);
        let log = PARTITIONS.map(|partition| (partition, offsets(&mut random))).into();
        let committed = PARTITIONS.map(|partition| (partition, position(partition.0, partition.1, 0, ""))).into();
        let at = PARTITIONS.map(|partition| (partition, 0)).into();
        let mut worker = Self { random, store, clock, sink, routing: Routing::Kept, log, at, committed };
        worker.assign_all();
        worker
    }

    fn run(mut self) {
        for _ in 0..STEPS {
            self.step();
            if self.store.0.borrow().is_dead {
                self.restart();
            }
        }
        self.store.0.borrow_mut().faults.clear();
        self.finish();
        self.check();
        for partition in PARTITIONS {
            assert_eq!(self.committed[&partition].offset, self.end(partition), "{partition:?} is committed to its end");
        }
    }

    fn end(&self, partition: (&'static str, i32)) -> i64 {
        self.log[&partition].last().map_or(0, |(offset, _)| offset + 1)
    }

    fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..45 => self.put(),
            45..80 => self.flush(),
            80..88 => self.clock.advance(Duration::from_millis(self.random.random_range(1..2000))),
            88..95 => self.plan_fault(),
            95..97 => self.restart(),
            97 => self.reassign_one(),
            _ => {
                self.routing = [Routing::Kept, Routing::Together, Routing::ByOffset][self.random.random_range(0..3)];
                self.restart();
            }
        }
    }

    fn plan_fault(&mut self) {
        let random = &mut self.random;
        let mut faults = vec![Fault::None; random.random_range(0..4)];
        faults.push(match random.random_range(0..6) {
            0 => Fault::Before(unavailable()),
            1 => Fault::After(unavailable()),
            2 => Fault::Before(StoreError::Other("400".to_owned())),
            3 => Fault::After(StoreError::Other("400".to_owned())),
            4 => Fault::Crash { with_effect: false },
            _ => Fault::Crash { with_effect: true },
        });
        self.store.fail_next(faults);
    }

    fn put(&mut self) {
        let mut records = Vec::new();
        let mut next = self.at.clone();
        for (partition, at) in &mut next {
            let wanted = self.random.random_range(0..12);
            for (offset, has_value) in self.log[partition].iter().skip(*at).take(wanted) {
                let topic = match (self.routing, offset % 2) {
                    (Routing::Kept, _) => partition.0,
                    (Routing::Together, _) => "all",
                    (Routing::ByOffset, 0) => "even",
                    (Routing::ByOffset, _) => "odd",
                };
                let value =
                    format!("{{\"p\":\"{}-{}\",\"o\":{offset},\"pad\":\"{:>100}\"}}", partition.0, partition.1, "x");
                let put = Put { origin: partition.0, ..Put::new(topic, partition.1, *offset, &value) };
                records.push(if *has_value { put } else { Put { value: None, ..put } });
                *at += 1;
            }
        }
        match self.sink.put(&batch(records)) {
            Ok(()) => self.at = next,
            Err(ConnectorError::Retriable { .. } | ConnectorError::Throttled { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn flush(&mut self) {
        let handed_over: Vec<Position> = PARTITIONS
            .into_iter()
            .map(|partition| {
                let at = self.at[&partition];
                let before = at.checked_sub(1).map(|last| self.log[&partition][last].0 + 1);
                position(partition.0, partition.1, before.unwrap_or(0).max(self.committed[&partition].offset), "")
            })
            .collect();
        let flushed = match self.sink.flush(&handed_over) {
            Ok(flushed) => flushed,
            Err(ConnectorError::Retriable { .. }) => return,
            Err(other) => panic!("{other}"),
        };
        if self.store.0.borrow().is_dead || self.random.random_bool(0.05) {
            return self.restart();
        }
        for committed in flushed.offsets {
            let partition = key(&committed);
            assert!(committed.offset >= self.committed[&partition].offset, "offsets only advance");
            self.committed.insert(partition, committed);
        }
        for rewind in flushed.rewinds {
            let partition = key(&rewind);
            assert_eq!(rewind.offset, self.committed[&partition].offset);
            self.seek(partition, rewind.offset);
        }
        if self.random.random_bool(0.1) {
            self.check();
        }
    }

    fn restart(&mut self) {
        let mut world = self.store.0.borrow_mut();
        world.is_dead = false;
        world.faults.clear();
        drop(world);
        self.sink = started(&mut self.random, &self.store, &self.clock);
        self.assign_all();
    }

    fn assign_all(&mut self) {
        let positions: Vec<Position> = self.committed.values().cloned().collect();
        self.sink.assigned(&positions);
        positions.iter().for_each(|position| self.seek(key(position), position.offset));
    }

    fn reassign_one(&mut self) {
        let partition = PARTITIONS[self.random.random_range(0..PARTITIONS.len())];
        self.sink.revoked(&[towpath_model::TopicPartition::new(partition.0, partition.1)]);
        let position = self.committed[&partition].clone();
        self.sink.assigned(std::slice::from_ref(&position));
        self.seek(partition, position.offset);
    }

    fn seek(&mut self, partition: (&'static str, i32), offset: i64) {
        let at = self.log[&partition].iter().take_while(|(candidate, _)| *candidate < offset).count();
        self.at.insert(partition, at);
    }

    /// All is read and all time is up.
    fn finish(&mut self) {
        for _ in 0..5000 {
            if self.log.keys().all(|partition| self.committed[partition].offset == self.end(*partition)) {
                return;
            }
            self.put();
            self.clock.advance(Duration::from_secs(10));
            self.flush();
        }
    }

    fn check(&self) {
        let mut seen: BTreeMap<(String, i64), String> = BTreeMap::new();
        let mut beyond: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for path in self.store.paths() {
            let lines: Vec<(String, i64)> = self.store.lines(&path).iter().filter_map(|line| identity(line)).collect();
            assert!(lines.is_sorted(), "{path} is in order");
            let (stem, _) = path.rsplit_once('/').expect("a folder").1.split_once('.').expect("an extension");
            let mut parts = stem.split('+');
            let (topic, number) = (parts.next().expect("topic"), parts.next().expect("partition"));
            let first: i64 = parts.next().expect("offset").parse().expect("a number");
            let partition = format!("{topic}-{number}");
            let committed = self
                .committed
                .values()
                .find(|position| format!("{}-{}", position.topic, position.partition) == partition);
            if first >= committed.expect("a partition of ours").offset {
                beyond.entry(partition).or_default().push(path);
                continue;
            }
            for line in lines {
                assert!(line.1 >= first && line.0 == partition, "{path} holds its own records");
                let twice = seen.insert(line.clone(), path.clone());
                assert_eq!(twice, None, "{line:?} is also in {path}");
            }
        }
        for ((topic, number), log) in &self.log {
            let committed = self.committed[&(*topic, *number)].offset;
            for (offset, _) in log.iter().filter(|(offset, has_value)| *has_value && *offset < committed) {
                let identity = (format!("{topic}-{number}"), *offset);
                assert!(seen.contains_key(&identity), "{identity:?} is committed and in no object");
            }
        }
        // One group is one object, or one for each of two topics; and a crash may have left one of before.
        assert!(beyond.values().all(|paths| paths.len() <= 4), "{beyond:?}");
    }
}

fn key(position: &Position) -> (&'static str, i32) {
    *PARTITIONS
        .iter()
        .find(|partition| partition.0 == &*position.topic && partition.1 == position.partition)
        .expect("known")
}

fn identity(line: &str) -> Option<(String, i64)> {
    let value: serde_json::Value = serde_json::from_str(line).expect("a document");
    Some((value.get("p")?.as_str()?.to_owned(), value.get("o")?.as_i64()?))
}

/// Offsets with gaps, as compaction and transactions leave them; some records have no value.
fn offsets(random: &mut StdRng) -> Vec<(i64, bool)> {
    let mut offset = 0;
    (0..random.random_range(0..200))
        .map(|_| {
            offset += if random.random_bool(0.1) { random.random_range(2..30) } else { 1 };
            (offset, random.random_bool(0.9))
        })
        .collect()
}

/// A task with settings of chance.
fn started(random: &mut StdRng, store: &FakeStore, clock: &Arc<ManualClock>) -> S3Sink<FakeStore> {
    let mut config = Config::default();
    config.set("s3.bucket.name", "lake");
    config.set("flush.size", random.random_range(1..40).to_string());
    config.set("rotate.interval.ms", random.random_range(1000..9000).to_string());
    config.set("s3.compression.type", ["none", "gzip"][random.random_range(0..2)]);
    config.set("behavior.on.null.values", ["ignore", "write"][random.random_range(0..2)]);
    config.set("topics.dir", ["topics", "archive"][random.random_range(0..2)]);
    let settings = Settings::parse(&config).expect("settings");
    // A small memory, so that uploads are streamed and break off.
    let buffer_bytes_max = [1 << 20, 3000][random.random_range(0..2)];
    S3Sink::new(settings, store.clone(), clock.clone(), buffer_bytes_max)
}
