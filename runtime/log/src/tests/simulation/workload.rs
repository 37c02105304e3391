//! The random workload: commits to many partitions, rollovers, retention, topics that come and go, checkpoints, full disks,
//! failed syncs, power cuts. After each restart the log is compared with the model.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use towpath_model::{Batch, BatchBuilder, Form, ManualClock, Run, TopicPartition};

use super::model::{Found, InFlight, Model, OpenChange, TopicModel};
use crate::sim::{Faults, SimDisk};
use crate::{
    Appends, Commit, Compression, Embedded, Error, Fetch, Fetches, GroupOffset, GroupOffsets, LogConfig, NewTopic,
    Topics,
};

const LIVES: u32 = 4;
const STEPS_MAX: u32 = 120;

/// What a run has met, so that a test can tell whether it tests anything.
#[derive(Debug, Default)]
pub(super) struct Met {
    acknowledged: u64,
    refused: u64,
    recovered_in_flight: u64,
    lost_in_flight: u64,
    failed_syncs: u64,
    cuts: u64,
    cut_opens: u64,
    segments_dropped: u64,
    topics_deleted: u64,
    topics_grown: u64,
    /// Cuts in the middle of what is more than a commit.
    cut_retentions: u64,
    cut_deletions: u64,
    cut_growths: u64,
}

impl Met {
    pub(super) fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.recovered_in_flight += other.recovered_in_flight;
        self.lost_in_flight += other.lost_in_flight;
        self.failed_syncs += other.failed_syncs;
        self.cuts += other.cuts;
        self.cut_opens += other.cut_opens;
        self.segments_dropped += other.segments_dropped;
        self.topics_deleted += other.topics_deleted;
        self.topics_grown += other.topics_grown;
        self.cut_retentions += other.cut_retentions;
        self.cut_deletions += other.cut_deletions;
        self.cut_growths += other.cut_growths;
    }

    pub(super) fn is_varied(&self) -> bool {
        let counts =
            [self.acknowledged, self.refused, self.recovered_in_flight, self.lost_in_flight, self.failed_syncs];
        let more = [self.cuts, self.cut_opens, self.segments_dropped, self.topics_deleted, self.topics_grown];
        let within = [self.cut_retentions, self.cut_deletions, self.cut_growths];
        counts.iter().chain(&more).all(|count| *count > 10) && within.iter().all(|count| *count > 0)
    }
}

pub(super) struct World {
    random: StdRng,
    disk: SimDisk,
    clock: Arc<ManualClock>,
    pub(super) model: Model,
    met: Met,
}

pub(super) fn config() -> LogConfig {
    LogConfig {
        journal_file_bytes: 16 << 10,
        journal_bytes_max: 96 << 10,
        commit_bytes_max: 64 << 10,
        tail_bytes_max: 32 << 10,
        reserve_bytes: 8 << 10,
        offsets_topic_partitions: 2,
        ..LogConfig::new("/log")
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let disk = SimDisk::new(random.random());
        let clock = Arc::new(ManualClock::at(1_000_000));
        Self { random, disk, clock, model: Model::default(), met: Met::default() }
    }

    /// Lives, dies and is restarted some times.
    pub(super) fn live(mut self) -> Met {
        for _ in 0..LIVES {
            let Some(log) = self.restart() else { continue };
            self.set_faults();
            let steps = self.random.random_range(10..STEPS_MAX);
            for _ in 0..steps {
                if self.step(&log).is_err() || log.has_failed() || self.disk.is_cut() {
                    break;
                }
            }
            if self.disk.is_cut() {
                self.met.cuts += 1;
                self.met.cut_deletions += u64::from(matches!(self.model.open_change, Some(OpenChange::Delete(_))));
                self.met.cut_growths += u64::from(matches!(self.model.open_change, Some(OpenChange::Grow(..))));
            }
            self.met.failed_syncs += u64::from(log.has_failed() && !self.disk.is_cut());
            self.poll();
            drop(log);
            self.disk = self.disk.reboot();
        }
        self.restart();
        self.met
    }

    /// Opens the log, perhaps cutting the power while it recovers, and compares it with the model.
    fn restart(&mut self) -> Option<Embedded> {
        if self.random.random_bool(0.2) {
            let cut_at = Some(self.random.random_range(1..40));
            self.disk.set_faults(Faults { cut_at, ..Faults::default() });
        }
        match self.open() {
            // The last thing an open does may fail without harm.
            Ok(log) if !self.disk.is_cut() => {
                self.disk.set_faults(Faults::default());
                self.settle(&log);
                Some(log)
            }
            opened => {
                assert!(self.disk.is_cut(), "the log does not open: {:?}", opened.err());
                self.met.cut_opens += 1;
                self.disk = self.disk.reboot();
                None
            }
        }
    }

    pub(super) fn open(&mut self) -> Result<Embedded, Error> {
        Embedded::open_stepped(config(), Arc::new(self.disk.clone()), self.clock.clone(), 5)
    }

    pub(super) fn disk(&self) -> &SimDisk {
        &self.disk
    }

    pub(super) fn set_disk(&mut self, disk: SimDisk) {
        self.disk = disk;
    }

    fn set_faults(&mut self) {
        let random = &mut self.random;
        let cut_at = random.random_bool(0.8).then(|| random.random_range(1..400));
        let failed_sync_at = random.random_bool(0.15).then(|| random.random_range(1..200));
        let used: u64 = self.disk.files().iter().map(|(_, length)| length).sum();
        let capacity = random.random_bool(0.2).then(|| used + random.random_range(0..60_000));
        self.disk.set_faults(Faults { cut_at, failed_sync_at, capacity, short_writes: random.random_bool(0.5) });
    }

    pub(super) fn step(&mut self, log: &Embedded) -> Result<(), Error> {
        match self.random.random_range(0..100) {
            0..50 => self.commit(log),
            50..72 => {
                log.step_journal();
                self.poll();
            }
            72..76 => log.step_mark(),
            76..84 => ignore_full(log.step_checkpoint())?,
            84..88 => {
                self.clock.advance(Duration::from_millis(self.random.random_range(0..3_000)));
                let retained = log.step_retention();
                self.met.cut_retentions += u64::from(self.disk.is_cut());
                match retained {
                    Ok(dropped) => self.met.segments_dropped += dropped as u64,
                    Err(error) => ignore_full(Err(error))?,
                }
            }
            88..92 => self.change_topics(log)?,
            92..95 => self.disk.set_faults(Faults { capacity: None, ..self.disk.faults() }),
            _ => self.compare(log)?,
        }
        Ok(())
    }

    fn commit(&mut self, log: &Embedded) {
        let names: Vec<String> = self.model.topics.keys().cloned().collect();
        let mut commit = InFlight { future: None, records: Default::default(), group_offset: None };
        let mut records = Vec::new();
        for _ in 0..self.random.random_range(0..4) {
            let Some(name) = names.get(self.random.random_range(0..names.len().max(1))) else { break };
            let topic = &self.model.topics[name];
            let (id, partition) = (topic.id, self.random.random_range(0..topic.partitions.len() as i32));
            let count = self.random.random_range(1..12);
            let numbers: Vec<u64> = (self.model.next_number..).take(count).collect();
            self.model.next_number += count as u64;
            let padding = if self.random.random_bool(0.1) { 1_500 } else { 60 };
            records.push(numbered(name, partition, &numbers, self.random.random_range(0..padding)));
            commit.records.entry((id, partition)).or_default().extend(numbers);
        }
        if self.random.random_bool(0.3) || records.is_empty() {
            self.model.next_group_offset += 1;
            commit.group_offset = Some((format!("g{}", self.random.random_range(0..3)), self.model.next_group_offset));
        }
        let offset = |(group, offset): &(String, i64)| GroupOffset {
            group: group.as_str().into(),
            partition: TopicPartition::new("t", 0),
            offset: Some(*offset),
            leader_epoch: None,
            metadata: "x".repeat(*offset as usize % 50),
        };
        let all = [Compression::None, Compression::Lz4, Compression::Zstd, Compression::Snappy, Compression::Gzip];
        let compression = all[self.random.random_range(0..all.len())];
        let group_offsets = commit.group_offset.iter().map(offset).collect();
        commit.future = Some(log.commit_atomic(Commit { records, group_offsets, compression }));
        self.model.in_flight.push_back(commit);
        self.poll();
    }

    /// Learns what has become of the commits in flight.
    fn poll(&mut self) {
        let mut open = std::mem::take(&mut self.model.in_flight);
        while let Some(mut commit) = open.pop_front() {
            match commit.future.as_mut().and_then(|future| future.now_or_never()) {
                None => self.model.in_flight.push_back(commit),
                Some(Ok(_)) => {
                    assert!(self.model.in_flight.is_empty(), "a commit was acknowledged before one ahead of it");
                    self.met.acknowledged += 1;
                    self.model.apply(commit);
                }
                // Refused as a whole: it must never be seen.
                Some(Err(Error::DiskFull(_) | Error::UnknownTopic(_))) => self.met.refused += 1,
                // The engine has failed under it: a cut decides.
                Some(Err(_)) => {
                    commit.future = None;
                    self.model.in_flight.push_back(commit);
                }
            }
        }
    }

    fn change_topics(&mut self, log: &Embedded) -> Result<(), Error> {
        let name = format!("t{}", self.random.random_range(0..5));
        if self.model.topics.contains_key(&name) {
            if self.random.random_bool(0.4) {
                self.model.open_change = Some(OpenChange::Delete(name.clone()));
                log.delete_topic_now(&name)?;
                self.met.topics_deleted += 1;
                self.model.topics.remove(&name);
            } else if self.random.random_bool(0.3) {
                let partitions = self.model.topics[&name].partitions.len() + 1;
                self.model.open_change = Some(OpenChange::Grow(name.clone(), partitions));
                match log.grow_topic_now(&name, partitions as i32) {
                    Ok(_) => self.grow(&name, partitions),
                    Err(error) => ignore_full(Err(error))?,
                }
            }
        } else {
            self.model.open_change = Some(OpenChange::Create(name.clone()));
            match log.create_topic_now(self.new_topic(&name)) {
                Ok(topic) => self.enter(&topic),
                Err(error) => ignore_full(Err(error))?,
            }
        }
        self.model.open_change = None;
        Ok(())
    }

    fn grow(&mut self, name: &str, partitions: usize) {
        if let Some(topic) = self.model.topics.get_mut(name) {
            topic.partitions.resize(partitions, Vec::new());
            self.met.topics_grown += 1;
        }
    }

    fn new_topic(&mut self, name: &str) -> NewTopic {
        let random = &mut self.random;
        let mut configs = vec![
            ("segment.bytes", random.random_range(500..8_000)),
            ("index.interval.bytes", random.random_range(0..600)),
            ("segment.ms", 5_000),
        ];
        if random.random_bool(0.3) {
            configs.push(("retention.ms", 2_000));
        }
        if random.random_bool(0.3) {
            configs.push(("retention.bytes", 6_000));
        }
        let configs = configs.into_iter().map(|(key, value)| (key.to_owned(), value.to_string())).collect();
        NewTopic { name: name.into(), partitions: Some(random.random_range(1..5)), configs }
    }

    fn enter(&mut self, topic: &crate::Topic) {
        let default_ms = "604800000".to_owned();
        let retained = topic.configs.get("retention.ms").unwrap_or(&default_ms) != &default_ms;
        let retained = retained || topic.configs.contains_key("retention.bytes");
        let partitions = vec![Vec::new(); topic.partitions as usize];
        self.model.topics.insert(topic.name.to_string(), TopicModel { id: topic.id, partitions, retained });
    }

    /// Compares a log that has just been opened with the model, and takes over what has come true.
    fn settle(&mut self, log: &Embedded) {
        let there: Vec<_> = log.topics().into_iter().filter(|topic| !topic.internal).collect();
        match self.model.open_change.take() {
            Some(OpenChange::Create(name)) => {
                if let Some(topic) = there.iter().find(|topic| topic.name.as_ref() == name) {
                    self.enter(topic);
                }
            }
            Some(OpenChange::Grow(name, partitions))
                if there.iter().any(|one| one.name.as_ref() == name && one.partitions as usize == partitions) =>
            {
                self.grow(&name, partitions);
            }
            Some(OpenChange::Delete(name)) if !there.iter().any(|topic| topic.name.as_ref() == name) => {
                self.model.topics.remove(&name);
            }
            _ => {}
        }
        let ids: Vec<_> = there.iter().map(|topic| (topic.name.to_string(), topic.id)).collect();
        let expected: Vec<_> = self.model.topics.iter().map(|(name, topic)| (name.clone(), topic.id)).collect();
        assert_eq!(ids, expected, "topics are not what was acknowledged");
        let found = self.find(log).expect("a log without faults is read");
        let came_true = self.model.came_true(&found);
        self.met.recovered_in_flight += came_true as u64;
        for _ in 0..came_true {
            let commit = self.model.in_flight.pop_front().expect("counted");
            self.model.apply(commit);
        }
        self.met.lost_in_flight += self.model.in_flight.len() as u64;
        self.model.in_flight.clear();
    }

    /// Compares a running log with the model: only what is acknowledged is seen, and all of it.
    pub(super) fn compare(&mut self, log: &Embedded) -> Result<(), Error> {
        self.poll();
        let in_flight = std::mem::take(&mut self.model.in_flight);
        let found = self.find(log);
        if let Ok(found) = &found {
            self.model.came_true(found);
        }
        self.model.in_flight = in_flight;
        found.map(|_| ())
    }

    fn find(&mut self, log: &Embedded) -> Result<Found, Error> {
        let mut found = Found::default();
        for (name, topic) in &self.model.topics {
            for partition in 0..topic.partitions.len() as i32 {
                let bytes_max = self.random.random_range(1..20_000);
                let (start, numbers) = read_all(log, &TopicPartition::new(name.as_str(), partition), bytes_max)?;
                assert!(topic.retained || start == 0, "{name}-{partition} has lost what it was to keep");
                found.partitions.push((name.clone(), partition, start, numbers));
            }
        }
        for group in log.groups() {
            for offset in log.group_offsets(&group) {
                let position = offset.offset.expect("a committed offset");
                assert_eq!(offset.metadata.len() as i64, position % 50, "metadata belongs to another offset");
                found.groups.insert(group.to_string(), position);
            }
        }
        Ok(found)
    }
}

/// Reads a partition from its start to its end; offsets must be without a gap.
pub(super) fn read_all(log: &Embedded, partition: &TopicPartition, bytes_max: usize) -> Result<(i64, Vec<u64>), Error> {
    let offsets = log.offsets(partition)?;
    let mut numbers = Vec::new();
    let mut next = offsets.start;
    while next < offsets.high_watermark {
        let fetched = log.fetch_now(&[Fetch { partition: partition.clone(), offset: next }], bytes_max)?;
        for record in fetched[0].records.records() {
            assert_eq!(
                record.offset,
                Some(offsets.start + numbers.len() as i64),
                "a gap or a repetition in {partition}"
            );
            numbers.push(number_of(record.value.bytes.expect("a value")));
        }
        assert!(fetched[0].next_offset > next, "a read of {partition} at {next} does not advance");
        next = fetched[0].next_offset;
    }
    Ok((offsets.start, numbers))
}

fn numbered(topic: &str, partition: i32, numbers: &[u64], padding: usize) -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic(topic);
    builder.run(Run { records: 0, topic, origin: topic, partition, key: Form::BYTES, value: Form::BYTES });
    for number in numbers {
        builder.key(Some(&number.to_be_bytes()));
        builder.value_with(|out| {
            out.extend_from_slice(&number.to_be_bytes());
            out.resize(out.len() + padding, b'.');
            true
        });
        builder.header("n", Form::BYTES, Some(&number.to_le_bytes()));
        builder.end(None, None);
    }
    builder.build()
}

pub(super) fn number_of(value: &[u8]) -> u64 {
    u64::from_be_bytes(*value.first_chunk().expect("eight bytes"))
}

/// A full disk is no failure of the workload.
fn ignore_full(outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(Error::DiskFull(_)) => Ok(()),
        other => other,
    }
}

pub(super) fn is_in_log(path: &Path) -> bool {
    path.starts_with("/log")
}
