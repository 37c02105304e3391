//! A compacted topic under power cuts: the last acknowledged value of every key is there, older ones may be gone, offsets
//! ascend and keep their records, and the end never moves back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use towpath_model::{ManualClock, TopicPartition};

use super::workload::config;
use crate::sim::{Faults, SimDisk};
use crate::tests::{batch, commit};
use crate::{Appends, Embedded, Error, Fetch, Fetches, LogConfig, NewTopic};

/// What was written at each offset: key and value.
type Written = Vec<(String, Option<String>)>;

struct World {
    random: StdRng,
    disk: SimDisk,
    clock: Arc<ManualClock>,
    acknowledged: Written,
    /// Written after that, in order; a cut decides how much of it there is.
    open: Written,
    compacted: u64,
}

/// Runs some lives; says how many times a partition was compacted.
pub(super) fn live(seed: u64) -> u64 {
    let random = StdRng::seed_from_u64(seed);
    let clock = Arc::new(ManualClock::at(1_000_000));
    let (acknowledged, open) = (Vec::new(), Vec::new());
    let mut world = World { random, disk: SimDisk::new(seed), clock, acknowledged, open, compacted: 0 };
    for life in 0..4 {
        let config = LogConfig { compaction_bytes_min: 500, ..config() };
        let opened = Embedded::open_stepped(config, Arc::new(world.disk.clone()), world.clock.clone(), 5);
        let log = opened.expect("the log opens");
        if life == 0 {
            log.create_topic_now(state_topic()).expect("created");
        }
        world.compare(&log);
        if life < 3 {
            world.disturb();
            for _ in 0..100 {
                if world.step(&log).is_err() || log.has_failed() || world.disk.is_cut() {
                    break;
                }
            }
        }
        drop(log);
        world.disk = world.disk.reboot();
    }
    world.compacted
}

fn state_topic() -> NewTopic {
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "2000"),
        ("index.interval.bytes", "200"),
        ("delete.retention.ms", "1000"),
    ];
    let configs = configs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    NewTopic { name: "state".into(), partitions: Some(1), configs }
}

impl World {
    fn disturb(&mut self) {
        let cut_at = self.random.random_bool(0.8).then(|| self.random.random_range(1..500));
        let used: u64 = self.disk.files().iter().map(|(_, length)| length).sum();
        let capacity = self.random.random_bool(0.2).then(|| used + self.random.random_range(0..30_000));
        self.disk.set_faults(Faults { cut_at, capacity, short_writes: true, ..Faults::default() });
    }

    fn step(&mut self, log: &Embedded) -> Result<(), Error> {
        let ignore_full = |outcome: Result<(), Error>| match outcome {
            Err(Error::DiskFull(_)) => Ok(()),
            other => other,
        };
        match self.random.random_range(0..10) {
            0..6 => self.write(log),
            6 => ignore_full(log.step_checkpoint())?,
            7 => {
                self.clock.advance(Duration::from_millis(self.random.random_range(0..1_500)));
                ignore_full(log.step_checkpoint())?;
                ignore_full(log.step_compaction().map(|compacted| self.compacted += compacted as u64))?;
            }
            8 => self.disk.set_faults(Faults { capacity: None, ..self.disk.faults() }),
            _ if !self.disk.is_cut() && self.open.is_empty() => self.compare_running(log)?,
            _ => {}
        }
        Ok(())
    }

    fn write(&mut self, log: &Embedded) {
        let number = self.acknowledged.len() + self.open.len();
        let count = self.random.random_range(1..8);
        let records: Written = (number..number + count)
            .map(|number| {
                let removed = self.random.random_bool(0.2);
                (format!("k{}", self.random.random_range(0..12)), (!removed).then(|| format!("v{number}")))
            })
            .collect();
        let done = log.commit_atomic(commit(keyed(&records)));
        log.step_journal();
        match done.now_or_never() {
            Some(Ok(_)) => self.acknowledged.extend(records),
            Some(Err(Error::DiskFull(_))) => {}
            _ => self.open.extend(records),
        }
    }

    /// After a restart: some of what was open has come true, and the rest never will.
    fn compare(&mut self, log: &Embedded) {
        let end = log.offsets(&TopicPartition::new("state", 0)).expect("offsets").high_watermark as usize;
        assert!(end >= self.acknowledged.len(), "the log ends at {end}, before what was acknowledged");
        let came_true = end - self.acknowledged.len();
        assert!(came_true <= self.open.len(), "the log ends at {end}, after all that was ever written");
        self.acknowledged.extend(self.open.drain(..).take(came_true));
        self.compare_running(log).expect("a log without faults is read");
    }

    fn compare_running(&self, log: &Embedded) -> Result<(), Error> {
        let found = read_all(log)?;
        for (offset, record) in &found {
            assert_eq!(self.acknowledged.get(*offset as usize), Some(record), "at offset {offset}");
        }
        let mut last: BTreeMap<&str, (i64, Option<&str>)> = BTreeMap::new();
        for (offset, (key, value)) in self.acknowledged.iter().enumerate() {
            last.insert(key, (offset as i64, value.as_deref()));
        }
        for (key, (offset, value)) in last {
            let there = found.contains_key(&offset);
            assert!(there || value.is_none(), "the last record of {key}, at {offset}, is gone");
            let older = found.iter().any(|(other, (other_key, _))| other_key == key && *other < offset);
            assert!(there || !older, "{key} was removed and an older record of it came back");
        }
        Ok(())
    }
}

fn keyed(records: &Written) -> towpath_model::Batch {
    let mut builder = towpath_model::BatchBuilder::default();
    for (key, value) in records {
        let text = value.clone().unwrap_or_default();
        let one = batch("state", &[(0, Some(key.as_str()), text.as_str())]);
        let record = one.records().next().expect("one record");
        let run = builder.import_run(&record);
        builder.run(run);
        builder.key(record.key.bytes);
        builder.value(value.as_ref().map(String::as_bytes));
        builder.end(None, None);
    }
    builder.build()
}

fn read_all(log: &Embedded) -> Result<BTreeMap<i64, (String, Option<String>)>, Error> {
    let partition = TopicPartition::new("state", 0);
    let offsets = log.offsets(&partition)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut found = BTreeMap::new();
    let (mut next, mut before) = (offsets.start, -1);
    while next < offsets.high_watermark {
        let fetched = log.fetch_now(&[Fetch { partition: partition.clone(), offset: next }], 700)?;
        for record in fetched[0].records.records() {
            let offset = record.offset.expect("an offset");
            assert!(offset > before, "offset {offset} after {before}");
            before = offset;
            found.insert(offset, (text(record.key.bytes.expect("a key")), record.value.bytes.map(text)));
        }
        assert!(fetched[0].next_offset > next, "a read at {next} does not advance");
        next = fetched[0].next_offset;
    }
    Ok(found)
}
