//! An idempotent producer against power cuts and full disks: it sends batches ahead of their answers and, after every failure, sends
//! again what was not acknowledged. Each record must then be in the log once, in the order of sending.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::FutureExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use towpath_model::{ManualClock, TopicPartition};

use super::workload::config;
use crate::sim::{Faults, SimDisk};
use crate::tests::{received_batch, topic};
use crate::{AppendFuture, Compression, Embedded, Error, Fetch, Fetches, ReceivedBatch, Topics};

const LIVES: u32 = 5;
const UNDER_WAY_MAX: usize = 5;

struct Producer {
    id: i64,
    /// What was sent and not acknowledged: the first number of each batch, how many, and the answer to come.
    under_way: VecDeque<(u64, u64, Option<AppendFuture>)>,
    next: u64,
    /// All numbers below this are acknowledged.
    acknowledged: u64,
}

/// Lives, dies and is restarted some times. Says how many batches were sent again that the log held already.
pub(super) fn live(seed: u64) -> u64 {
    let mut random = StdRng::seed_from_u64(seed);
    let mut disk = SimDisk::new(random.random());
    let clock = Arc::new(ManualClock::at(1_000_000));
    let mut producer = Producer { id: -1, under_way: VecDeque::new(), next: 0, acknowledged: 0 };
    let mut repeated = 0;
    for _ in 0..LIVES {
        let log = Embedded::open_stepped(config(), Arc::new(disk.clone()), clock.clone(), 5).expect("the log opens");
        if log.topic("t").is_none() {
            log.create_topic_now(topic("t", 1)).expect("created");
            producer.id = log.new_producer_id();
        }
        repeated += producer.send_again(&log);
        let cut_at = random.random_bool(0.8).then(|| random.random_range(1..120));
        let used: u64 = disk.files().iter().map(|(_, length)| length).sum();
        let capacity = random.random_bool(0.3).then(|| used + random.random_range(0..30_000));
        disk.set_faults(Faults { cut_at, capacity, ..Faults::default() });
        for _ in 0..random.random_range(10..80) {
            match random.random_range(0..10) {
                0..5 if producer.under_way.len() < UNDER_WAY_MAX => producer.send(&log, &mut random),
                0..8 => {
                    log.step_journal();
                    repeated += producer.poll(&log);
                }
                8 => drop(log.step_checkpoint()),
                _ => disk.set_faults(Faults { capacity: None, ..disk.faults() }),
            }
            if log.has_failed() || disk.is_cut() {
                break;
            }
        }
        drop(log);
        disk = disk.reboot();
    }
    let log = Embedded::open_stepped(config(), Arc::new(disk), clock, 5).expect("the log opens");
    producer.send_again(&log);
    log.step_journal();
    producer.poll(&log);
    producer.check(&log);
    repeated
}

impl Producer {
    fn send(&mut self, log: &Embedded, random: &mut StdRng) {
        let count = random.random_range(1..4);
        self.under_way.push_back((self.next, count, None));
        self.next += count;
        self.submit(log, self.under_way.len() - 1);
    }

    fn submit(&mut self, log: &Embedded, index: usize) {
        let (first, count, answer) = &mut self.under_way[index];
        let numbers: Vec<String> = (*first..*first + *count).map(|number| number.to_string()).collect();
        let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
        let bytes = received_batch(&numbers, Compression::None, (self.id, 0, *first as i32));
        *answer = Some(log.append_batches(vec![ReceivedBatch {
            partition: TopicPartition::new("t", 0),
            bytes,
            adds_partition: false,
        }]));
    }

    /// Sends everything that was not acknowledged, in order. Says how much of it the log held.
    fn send_again(&mut self, log: &Embedded) -> u64 {
        let held = log.offsets(&TopicPartition::new("t", 0)).expect("there").high_watermark as u64;
        assert!(held >= self.acknowledged, "{held} of {} acknowledged records are there", self.acknowledged);
        let repeated = self.under_way.iter().filter(|(first, ..)| *first < held).count() as u64;
        for index in 0..self.under_way.len() {
            self.submit(log, index);
        }
        repeated
    }

    /// Takes answers; after a refusal, which refuses all that follows, sends again.
    fn poll(&mut self, log: &Embedded) -> u64 {
        while let Some((first, count, answer)) = self.under_way.front_mut() {
            match answer.as_mut().and_then(FutureExt::now_or_never) {
                None => return 0,
                Some(mut answers) => match answers.remove(0) {
                    Ok(appended) => {
                        assert_eq!(appended.base_offset as u64, *first, "answered with the place of another batch");
                        self.acknowledged = *first + *count;
                        self.under_way.pop_front();
                    }
                    Err(Error::DiskFull(_) | Error::OutOfOrderSequence { .. } | Error::UnknownProducer { .. }) => {
                        return self.send_again(log);
                    }
                    Err(_) => return 0,
                },
            }
        }
        0
    }

    fn check(&self, log: &Embedded) {
        assert_eq!(self.acknowledged, self.next, "what was sent again on a sound disk is acknowledged");
        let (partition, mut numbers, mut offset) = (TopicPartition::new("t", 0), Vec::new(), 0);
        while offset < self.next as i64 {
            let fetched = log.fetch_now(&[Fetch { partition: partition.clone(), offset }], 1 << 20).expect("read");
            let value = |bytes: &[u8]| String::from_utf8_lossy(bytes).parse::<u64>().expect("a number");
            numbers.extend(fetched[0].records.records().map(|record| value(record.value.bytes.expect("a value"))));
            offset = fetched[0].next_offset;
        }
        assert_eq!(numbers, (0..self.next).collect::<Vec<_>>(), "each record once, in order");
    }
}
