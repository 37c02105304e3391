//! Transactions against power cuts, full disks, timeouts and producers that are replaced: some clients, older ones and those of
//! KIP-890, write to plain and compacted partitions and commit offsets, while the runtime writes beside them. A client that comes back
//! asks again for what it has no answer to, or begins anew. Then every committed transaction must be there whole, in order, with
//! its offsets, and nothing of any other may be seen: not by the runtime's reader, and not by a Kafka client that goes by the list of
//! aborted transactions and the markers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use towpath_model::{ManualClock, TopicPartition};

use super::workload::config;
use crate::codec::{BatchEncoder, BatchHeader, RawRecords, commits, records_section, set_transactional};
use crate::sim::{Faults, SimDisk};
use crate::tests::{batch, commit, topic};
use crate::{
    Appends, Compression, Embedded, Error, Fetch, FetchBatches, FetchLimits, Fetches, GroupOffset, GroupOffsets,
    LogConfig, NewTopic, Producer, ReceivedBatch, TransactionStatus,
};

const LIVES: u32 = 5;
const TIMEOUT_MS: i32 = 5_000;
/// Two partitions that keep everything, and one that is compacted.
const PARTITIONS: [(&str, i32); 3] = [("t", 0), ("t", 1), ("k", 0)];
const KEYS: u64 = 6;

/// What a run has met.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Met {
    pub(super) cuts: u64,
    pub(super) committed: u64,
    pub(super) aborted: u64,
    pub(super) timed_out: u64,
    /// Ends whose answer a cut took away.
    pub(super) unanswered: u64,
    pub(super) compacted: u64,
    /// Cuts in the middle of a compaction.
    pub(super) cut_compactions: u64,
}

impl std::ops::Add for Met {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cuts: self.cuts + other.cuts,
            committed: self.committed + other.committed,
            aborted: self.aborted + other.aborted,
            timed_out: self.timed_out + other.timed_out,
            unanswered: self.unanswered + other.unanswered,
            compacted: self.compacted + other.compacted,
            cut_compactions: self.cut_compactions + other.cut_compactions,
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Init,
    /// Which of the partitions.
    Add(usize),
    Write {
        place: usize,
        sequence: i32,
        numbers: Vec<u64>,
    },
    Offset(i64),
    End(bool),
}

/// What an operation answers: a producer, or where records went.
type Answer = BoxFuture<'static, Result<(Option<Producer>, i64), Error>>;

#[derive(Default)]
struct Open {
    /// Partition, offset and number of each record.
    records: Vec<(usize, i64, u64)>,
    added: BTreeSet<usize>,
    offset: Option<i64>,
}

struct Client {
    id: String,
    /// Whether it is one of KIP-890.
    newer: bool,
    producer: Option<Producer>,
    sequences: [i32; PARTITIONS.len()],
    open: Option<Open>,
    in_flight: Option<(Op, Option<Answer>)>,
    /// The offset that its group has committed.
    committed: Option<i64>,
}

struct World {
    random: StdRng,
    disk: SimDisk,
    clock: Arc<ManualClock>,
    clients: Vec<Client>,
    /// What must be seen of each partition: offset and number.
    seen: [BTreeMap<i64, u64>; PARTITIONS.len()],
    /// The runtime's own commit that has no answer: number and partition.
    plain: Option<(u64, usize)>,
    next_number: u64,
    met: Met,
}

/// Lives, dies and is restarted some times.
pub(super) fn live(seed: u64) -> Met {
    let mut random = StdRng::seed_from_u64(seed);
    let disk = SimDisk::new(random.random());
    let client = |number: usize| Client {
        id: format!("c{number}"),
        newer: number != 1,
        producer: None,
        sequences: [0; PARTITIONS.len()],
        open: None,
        in_flight: None,
        committed: None,
    };
    let mut world = World {
        random,
        disk,
        clock: Arc::new(ManualClock::at(1_000_000)),
        clients: (0..3).map(client).collect(),
        seen: Default::default(),
        plain: None,
        next_number: 0,
        met: Met::default(),
    };
    for life in 0..LIVES {
        let log = world.open();
        if life == 0 {
            log.create_topic_now(NewTopic { configs: small(&[]), ..topic("t", 2) }).expect("created");
            let compacted =
                [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0"), ("delete.retention.ms", "500")];
            log.create_topic_now(NewTopic { configs: small(&compacted), ..topic("k", 1) }).expect("created");
        }
        world.come_back(&log);
        world.check(&log);
        if life + 1 < LIVES {
            world.disturb();
            for _ in 0..world.random.random_range(20..160) {
                if world.step(&log).is_err() || log.has_failed() || world.disk.is_cut() {
                    break;
                }
            }
            world.met.cuts += u64::from(world.disk.is_cut());
        }
        for client in &mut world.clients {
            if let Some((_, answer)) = &mut client.in_flight {
                *answer = None;
            }
        }
        drop(log);
        world.disk = world.disk.reboot();
    }
    world.met
}

fn small(more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let all = [("segment.bytes", "1500"), ("index.interval.bytes", "200")];
    all.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn part(place: usize) -> TopicPartition {
    let (topic, partition) = PARTITIONS[place];
    TopicPartition::new(topic, partition)
}

impl World {
    fn open(&self) -> Embedded {
        let config = LogConfig { compaction_bytes_min: 300, transactions_topic_partitions: 2, ..config() };
        Embedded::open_stepped(config, Arc::new(self.disk.clone()), self.clock.clone(), 5).expect("the log opens")
    }

    fn disturb(&mut self) {
        let cut_at = self.random.random_bool(0.85).then(|| self.random.random_range(1..350));
        let used: u64 = self.disk.files().iter().map(|(_, length)| length).sum();
        let capacity = self.random.random_bool(0.15).then(|| used + self.random.random_range(0..40_000));
        self.disk.set_faults(Faults { cut_at, capacity, short_writes: true, ..Faults::default() });
    }

    fn step(&mut self, log: &Embedded) -> Result<(), Error> {
        match self.random.random_range(0..100) {
            0..48 => {
                let index = self.random.random_range(0..self.clients.len());
                self.act(log, index);
            }
            48..72 => {
                log.step_journal();
                self.poll();
            }
            72..77 => self.write_plain(log),
            77..84 => ignore_full(log.step_checkpoint())?,
            84..88 => {
                self.clock.advance(Duration::from_millis(self.random.random_range(0..400)));
                let disk = self.disk.clone();
                let checkpoint = self.random.random_bool(0.5);
                let compacted = log.step_compaction_beside(|| {
                    // Commits and checkpoints go on while a topic is rewritten.
                    if checkpoint && !disk.is_cut() {
                        log.step_journal();
                        let _ = log.step_checkpoint();
                    }
                });
                self.met.cut_compactions += u64::from(self.disk.is_cut());
                match compacted {
                    Ok(compacted) => self.met.compacted += compacted as u64,
                    Err(error) => ignore_full(Err(error))?,
                }
                self.poll();
            }
            88..90 => drop(log.step_retention()),
            90..92 => {
                self.clock.advance(Duration::from_millis(self.random.random_range(0..6_000)));
                ignore_full(log.step_transactions())?;
                log.step_journal();
                self.poll();
            }
            92..94 => self.disk.set_faults(Faults { capacity: None, ..self.disk.faults() }),
            _ if !self.disk.is_cut() && self.clients.iter().all(|client| client.in_flight.is_none()) => self.check(log),
            _ => {}
        }
        Ok(())
    }

    /// A client that waits for nothing does something.
    fn act(&mut self, log: &Embedded, index: usize) {
        let random = &mut self.random;
        let client = &mut self.clients[index];
        if client.in_flight.is_some() {
            return;
        }
        let op = match (&client.producer, &client.open) {
            (None, _) => Op::Init,
            (_, Some(open)) if random.random_bool(0.3) && (!open.records.is_empty() || open.offset.is_some()) => {
                Op::End(random.random_bool(0.6))
            }
            _ if random.random_bool(0.15) => Op::Offset(client.committed.unwrap_or(0) + random.random_range(1..9)),
            (_, open) => {
                let place = random.random_range(0..PARTITIONS.len());
                let added = open.as_ref().is_some_and(|open| open.added.contains(&place));
                if client.newer || added {
                    let numbers = (self.next_number..).take(random.random_range(1..4)).collect::<Vec<_>>();
                    self.next_number += numbers.len() as u64;
                    let sequence = client.sequences[place];
                    Op::Write { place, sequence, numbers }
                } else {
                    Op::Add(place)
                }
            }
        };
        let answer = client.submit(log, &op);
        client.in_flight = Some((op, Some(answer)));
    }

    fn write_plain(&mut self, log: &Embedded) {
        if self.plain.is_some() {
            return;
        }
        let (number, place) = (self.next_number, self.random.random_range(0..PARTITIONS.len()));
        self.next_number += 1;
        let (topic, partition) = PARTITIONS[place];
        let (key, value) = ((number % KEYS).to_string(), number.to_string());
        let done = log.commit_atomic(commit(batch(topic, &[(partition, Some(key.as_str()), value.as_str())])));
        log.step_journal();
        self.poll();
        match done.now_or_never() {
            Some(Ok(committed)) => drop(self.seen[place].insert(committed.appends[0].base_offset, number)),
            Some(Err(Error::DiskFull(_))) => {}
            _ => self.plain = Some((number, place)),
        }
    }

    /// Takes the answers that have come.
    fn poll(&mut self) {
        for client in &mut self.clients {
            let Some((op, Some(answer))) = &mut client.in_flight else { continue };
            let Some(answer) = answer.now_or_never() else { continue };
            let op = op.clone();
            client.in_flight = None;
            match answer {
                Ok((producer, offset)) => client.succeeded(&op, producer, offset, &mut self.seen, &mut self.met),
                Err(Error::DiskFull(_)) => {
                    // Nothing of it has happened; the client gives up, and what it has open ends with its next instance.
                    client.begin_anew();
                }
                Err(Error::TransactionFenced { .. }) => {
                    self.met.timed_out += 1;
                    client.begin_anew();
                }
                Err(error @ (Error::Closed(_) | Error::Io { .. })) => {
                    drop(error);
                    client.in_flight = Some((op, None));
                }
                Err(other) => panic!("{} was refused {op:?}: {other}", client.id),
            }
        }
    }

    /// After a restart: what has no answer is asked again by some, and found out for those that are replaced.
    fn come_back(&mut self, log: &Embedded) {
        self.disk.set_faults(Faults::default());
        if let Some((number, place)) = self.plain.take() {
            let found = uncommitted(log, place).into_iter().find(|(_, found)| *found == number);
            if let Some((offset, number)) = found {
                self.seen[place].insert(offset, number);
            }
        }
        for index in 0..self.clients.len() {
            let replaced = self.random.random_bool(0.4);
            let client = &mut self.clients[index];
            let Some((op, _)) = client.in_flight.take() else {
                if replaced {
                    client.begin_anew();
                }
                continue;
            };
            self.met.unanswered += u64::from(matches!(op, Op::End(_)));
            if replaced {
                let state = log.transaction(&client.id);
                let ended = state.is_some_and(|state| state.status == TransactionStatus::CompleteCommit);
                if matches!(op, Op::End(true)) && ended && client.open.is_some() {
                    client.succeeded(&op, None, -1, &mut self.seen, &mut self.met);
                }
                client.begin_anew();
                continue;
            }
            let answer = client.submit(log, &op);
            client.in_flight = Some((op, Some(answer)));
            log.step_journal();
            self.poll();
        }
        // Whoever begins anew takes with it what it had open.
        for client in &mut self.clients {
            if client.producer.is_none() && client.in_flight.is_none() && self.random.random_bool(0.7) {
                let answer = client.submit(log, &Op::Init);
                client.in_flight = Some((Op::Init, Some(answer)));
            }
        }
        log.step_journal();
        self.poll();
    }

    fn check(&mut self, log: &Embedded) {
        for (place, (topic, _)) in PARTITIONS.iter().enumerate() {
            let ends = log.ends(&part(place)).expect("there");
            let is_open = |client: &&Client| {
                // One whose time is up does not know it yet.
                log.transaction(&client.id).is_some_and(|state| state.status == TransactionStatus::Ongoing)
            };
            if !self.clients.iter().any(|client| is_open(&client)) {
                assert_eq!(
                    ends.last_stable, ends.high_watermark,
                    "{place}: nothing is open, and yet readers are held up"
                );
            }
            for open in self.clients.iter().filter(is_open).filter_map(|client| client.open.as_ref()) {
                let first = open.records.iter().filter(|(at, ..)| *at == place).map(|(_, offset, _)| *offset).min();
                assert!(
                    first.is_none_or(|first| ends.last_stable <= first),
                    "{place}: {ends:?} beyond an open one at {first:?}"
                );
            }
            let expected: BTreeMap<i64, u64> =
                self.seen[place].range(..ends.last_stable).map(|(offset, number)| (*offset, *number)).collect();
            let ours = committed(log, place);
            assert_eq!(ours, as_a_client(log, place, ends.last_stable), "{place}: a Kafka client sees something else");
            if *topic == "t" {
                assert_eq!(ours, expected, "{place} at {ends:?}");
                continue;
            }
            assert!(
                ours.iter().all(|(offset, number)| expected.get(offset) == Some(number)),
                "{ours:?} of {expected:?}"
            );
            let last: BTreeMap<u64, i64> = expected.iter().map(|(offset, number)| (number % KEYS, *offset)).collect();
            assert!(last.values().all(|offset| ours.contains_key(offset)), "{last:?} are not all in {ours:?}");
        }
        for client in &self.clients {
            let found = log.group_offsets(&client.id).first().and_then(|offset| offset.offset);
            assert_eq!(found, client.committed, "the offset of {}", client.id);
        }
    }
}

impl Client {
    fn submit(&self, log: &Embedded, op: &Op) -> Answer {
        let id = self.id.clone();
        let producer = self.producer.unwrap_or(Producer { id: -1, epoch: -1 });
        let none = |answer: Result<(), Error>| answer.map(|()| (None, -1));
        let some = |answer: Result<Producer, Error>| answer.map(|producer| (Some(producer), -1));
        match op.clone() {
            Op::Init => log.init_producer(&id, TIMEOUT_MS, None).map(some).boxed(),
            Op::Add(place) => log.add_to_transaction(&id, producer, vec![part(place)]).map(none).boxed(),
            Op::Write { place, sequence, numbers } => {
                let (bytes, adds_partition) = (records(&numbers, producer, sequence).into(), self.newer);
                let appended =
                    log.append_batches(vec![ReceivedBatch { partition: part(place), bytes, adds_partition }]);
                appended.map(|mut answers| answers.remove(0).map(|appended| (None, appended.base_offset))).boxed()
            }
            Op::Offset(offset) => {
                let (group, offset) = (id.as_str().into(), Some(offset));
                let offset =
                    GroupOffset { group, partition: part(0), offset, leader_epoch: None, metadata: String::new() };
                log.commit_offsets_in_transaction(&id, producer, vec![offset], true).map(none).boxed()
            }
            Op::End(commit) => log.end_transaction(&id, producer, commit, self.newer).map(some).boxed(),
        }
    }

    fn succeeded(
        &mut self,
        op: &Op,
        producer: Option<Producer>,
        offset: i64,
        seen: &mut [BTreeMap<i64, u64>; PARTITIONS.len()],
        met: &mut Met,
    ) {
        match op {
            Op::Init => {
                self.begin_anew();
                self.producer = producer;
            }
            Op::Add(place) => drop(self.open.get_or_insert_default().added.insert(*place)),
            Op::Write { place, numbers, .. } => {
                self.sequences[*place] += numbers.len() as i32;
                let open = self.open.get_or_insert_default();
                open.added.insert(*place);
                open.records.extend(numbers.iter().zip(offset..).map(|(number, offset)| (*place, offset, *number)));
            }
            Op::Offset(offset) => self.open.get_or_insert_default().offset = Some(*offset),
            Op::End(commit) => {
                let open = self.open.take().unwrap_or_default();
                if *commit {
                    met.committed += 1;
                    for (place, offset, number) in open.records {
                        seen[place].insert(offset, number);
                    }
                    self.committed = open.offset.or(self.committed);
                } else {
                    met.aborted += 1;
                }
                if producer != self.producer {
                    self.sequences = Default::default();
                    self.producer = producer;
                }
            }
        }
    }

    /// Its process has died; what it has open is aborted when the next one begins.
    fn begin_anew(&mut self) {
        (self.producer, self.open, self.sequences) = (None, None, Default::default());
    }
}

/// A batch of a transaction: each number with a key and as a value.
fn records(numbers: &[u64], producer: Producer, sequence: i32) -> Vec<u8> {
    let mut encoder = BatchEncoder::default();
    for number in numbers {
        let (key, value) = ((number % KEYS).to_string(), number.to_string());
        encoder.push_plain(Some(key.as_bytes()), Some(value.as_bytes()), 1_000_000);
    }
    let mut bytes = Vec::new();
    encoder.seal(Compression::None, None, &mut bytes).expect("sealed");
    bytes[53..57].copy_from_slice(&sequence.to_be_bytes());
    set_transactional(&mut bytes, (producer.id, producer.epoch), false);
    bytes
}

fn number_of(value: &[u8]) -> u64 {
    std::str::from_utf8(value).expect("text").parse().expect("a number")
}

/// What the runtime's reader sees.
fn committed(log: &Embedded, place: usize) -> BTreeMap<i64, u64> {
    let ends = log.offsets(&part(place)).expect("there");
    let (mut found, mut next) = (BTreeMap::new(), ends.start);
    while next < ends.high_watermark {
        let fetched = log.fetch_now(&[Fetch { partition: part(place), offset: next }], 300).expect("read").remove(0);
        let number = |value: Option<&[u8]>| number_of(value.expect("a value"));
        found.extend(fetched.records.records().map(|record| (record.offset.expect("one"), number(record.value.bytes))));
        assert!(fetched.next_offset > next, "a read at {next} does not advance");
        next = fetched.next_offset;
    }
    found
}

/// What a Kafka client sees that leaves out what it is told was aborted, until it meets the marker.
fn as_a_client(log: &Embedded, place: usize, end: i64) -> BTreeMap<i64, u64> {
    let (mut found, mut next) = (BTreeMap::new(), log.ends(&part(place)).expect("there").start);
    while next < end {
        let wanted = [FetchBatches { partition: part(place), offset: next, bytes_max: 400, committed: true }];
        let limits = FetchLimits { bytes_min: 0, max_wait: Duration::ZERO, bytes_max: 400 };
        let fetched = log.fetch_batches_now(&wanted, limits).remove(0).expect("read");
        let mut left_out = BTreeSet::new();
        let mut aborted = fetched.aborted.iter().peekable();
        for bytes in &fetched.batches {
            let header = BatchHeader::verify(bytes).expect("sound");
            while let Some(one) = aborted.next_if(|one| one.first_offset <= header.last_offset()) {
                left_out.insert(one.producer_id);
            }
            next = header.next_offset();
            if header.control() {
                if commits(&header, bytes).expect("a marker") == Some(false) {
                    left_out.remove(&header.producer_id);
                }
                continue;
            }
            if header.transactional() && left_out.contains(&header.producer_id) {
                continue;
            }
            let section = records_section(&header, bytes).expect("sound");
            for record in RawRecords::new(&header, &section) {
                let record = record.expect("sound");
                found.insert(record.offset, number_of(record.value.expect("a value")));
            }
        }
        assert!(!fetched.batches.is_empty(), "a read at {next} finds nothing before {end}");
    }
    found
}

/// Everything durable but markers.
fn uncommitted(log: &Embedded, place: usize) -> Vec<(i64, u64)> {
    let ends = log.ends(&part(place)).expect("there");
    let (mut found, mut next) = (Vec::new(), ends.start);
    while next < ends.high_watermark {
        let wanted = [FetchBatches { partition: part(place), offset: next, bytes_max: 1 << 20, committed: false }];
        let limits = FetchLimits { bytes_min: 0, max_wait: Duration::ZERO, bytes_max: 1 << 20 };
        for bytes in log.fetch_batches_now(&wanted, limits).remove(0).expect("read").batches {
            let header = BatchHeader::verify(&bytes).expect("sound");
            next = header.next_offset();
            if header.control() {
                continue;
            }
            let section = records_section(&header, &bytes).expect("sound");
            let records = RawRecords::new(&header, &section).map(|record| record.expect("sound"));
            found.extend(records.map(|record| (record.offset, number_of(record.value.expect("a value")))));
        }
    }
    found
}

/// A full disk is no failure of the workload.
fn ignore_full(outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(Error::DiskFull(_)) => Ok(()),
        other => other,
    }
}
