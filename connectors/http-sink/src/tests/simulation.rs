//! A worker and an endpoint under random faults: nothing is lost, and no record overtakes another of its key.
//!
//! What the endpoint has taken in is judged at the end: every record that was not refused is there, the first time each record
//! of a key is there comes in order, and the last of a key is the last thing said about it. A seed that fails is printed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use towpath_model::{Config, ConnectorError, Form, ManualClock};

use super::endpoint::{Answer, FakeClient, Pair, batch, position};
use crate::{HttpSink, Settings};

const SEEDS: std::ops::Range<u64> = 0..300;

#[test]
fn nothing_is_lost_and_keys_keep_their_order_under_any_faults() {
    for seed in SEEDS {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "seed {seed} failed");
    }
}

/// A record of the log: its offset, which is also its value, and its key.
type Logged = (i64, Option<String>);

struct Worker {
    random: StdRng,
    endpoint: FakeClient,
    clock: Arc<ManualClock>,
    sink: HttpSink<FakeClient>,
    log: Vec<Logged>,
    read: usize,
    /// Handed over and to be handed over again, which come before what is read next.
    again: VecDeque<Logged>,
    refused: BTreeSet<i64>,
    committed: i64,
}

fn run(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let keys = random.random_range(1..8);
    let mut key = || Some(random.random_range(0..=keys)).filter(|key| *key > 0).map(|key| format!("k{key}"));
    let log: Vec<Logged> = (0..200).map(|offset| (offset, key())).collect();
    let endpoint = FakeClient::default();
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let mut config = Config::default();
    config.set("http.url", "http://hooks/");
    config.set("batch.max.size", ["1", "2", "10"][random.random_range(0..3)]);
    config.set("linger.ms", ["0", "50"][random.random_range(0..2)]);
    config.set("max.in.flight", ["1", "3", "16"][random.random_range(0..3)]);
    let settings = Settings::parse(&config).expect("settings");
    let mut sink = HttpSink::new(settings, endpoint.clone(), clock.clone(), 2000);
    sink.assigned(&[position(0)]);
    let (again, refused) = (VecDeque::new(), BTreeSet::new());
    let mut worker = Worker { random, endpoint, clock, sink, log, read: 0, again, refused, committed: 0 };
    for _ in 0..300 {
        worker.step();
    }
    worker.endpoint.0.borrow_mut().answers.clear();
    for _ in 0..300 {
        worker.clock.advance(Duration::from_secs(10));
        worker.put();
        worker.flush();
    }
    worker.check();
}

impl Worker {
    fn step(&mut self) {
        self.clock.advance(Duration::from_millis(self.random.random_range(0..400)));
        match self.random.random_range(0..10) {
            0..5 => self.put(),
            5..8 => self.flush(),
            _ => self.plan_faults(),
        }
    }

    fn plan_faults(&mut self) {
        let random = &mut self.random;
        for _ in 0..random.random_range(1..6) {
            let quiet = random.random_range(0..5);
            self.endpoint.answer(std::iter::repeat_n(Answer::Status(200), quiet));
            self.endpoint.answer([match random.random_range(0..6) {
                0 => Answer::Status(500),
                1 => Answer::Status(400),
                2 => Answer::Wait(429, "1"),
                3 => Answer::Status(503),
                4 => Answer::Unreachable,
                _ => Answer::BreaksOff,
            }]);
        }
    }

    /// Hands over what failed before, and only when there is none of it what comes next.
    fn put(&mut self) {
        let wanted = self.random.random_range(1..30);
        let handed: Vec<Logged> = if self.again.is_empty() {
            let next = self.log.iter().skip(self.read).take(wanted).cloned().collect::<Vec<_>>();
            self.read += next.len();
            next
        } else {
            self.again.drain(..).collect()
        };
        // Only a whole batch comes again to a queue, so there the offsets are without gaps.
        let values: Vec<String> = handed.iter().map(|(offset, _)| offset.to_string()).collect();
        let pairs: Vec<Pair<'_>> =
            handed.iter().zip(&values).map(|((_, key), value)| (key.as_deref(), Some(value.as_str()))).collect();
        let first = handed.first().map_or(0, |(offset, _)| *offset);
        match self.sink.put(&batch(Form::JSON, first, &pairs)) {
            Ok(()) => {}
            Err(ConnectorError::Retriable { .. } | ConnectorError::Throttled { .. }) => self.again = handed.into(),
            Err(ConnectorError::Records(errors)) => {
                for error in errors {
                    let record = handed[error.index as usize].clone();
                    if error.retriable {
                        self.again.push_back(record);
                    } else {
                        self.refused.insert(record.0);
                    }
                }
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn flush(&mut self) {
        let read = self.log.get(self.read).map_or(self.log.len() as i64, |(offset, _)| *offset);
        let handed_over = self.again.iter().map(|(offset, _)| *offset).min().unwrap_or(read);
        match self.sink.flush(&[position(handed_over)]) {
            Ok(flushed) => {
                self.refused.extend(flushed.late_errors.iter().map(|error| error.offset));
                for position in flushed.offsets {
                    assert!(position.offset > self.committed && position.offset <= handed_over);
                    self.committed = position.offset;
                    self.check_delivered_below(self.committed);
                }
            }
            Err(ConnectorError::Retriable { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn delivered(&self) -> Vec<i64> {
        let endpoint = self.endpoint.0.borrow();
        let numbers = |body: &[u8]| {
            let text = String::from_utf8(body.to_vec()).expect("text");
            let numbers = text.trim_matches(['[', ']']).split(',').map(|number| number.parse().expect("a number"));
            numbers.collect::<Vec<i64>>()
        };
        endpoint.taken.iter().flat_map(|request| numbers(&request.body)).collect()
    }

    /// Invariant 1: what is committed was delivered or refused.
    fn check_delivered_below(&self, committed: i64) {
        let delivered: BTreeSet<i64> = self.delivered().into_iter().chain(self.refused.iter().copied()).collect();
        for offset in 0..committed {
            assert!(delivered.contains(&offset), "{offset} is committed and was not delivered");
        }
    }

    fn check(&self) {
        assert_eq!(self.committed, self.log.len() as i64, "all is committed");
        let mut by_key: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for offset in self.delivered() {
            if let (_, Some(key)) = &self.log[usize::try_from(offset).expect("an offset")] {
                by_key.entry(key).or_default().push(offset);
            }
        }
        for (key, delivered) in by_key {
            let mut seen = BTreeSet::new();
            let first_times: Vec<i64> = delivered.iter().copied().filter(|offset| seen.insert(*offset)).collect();
            assert!(first_times.is_sorted(), "{key}: {delivered:?}");
            assert_eq!(delivered.last(), delivered.iter().max(), "{key}: {delivered:?}");
        }
    }
}
