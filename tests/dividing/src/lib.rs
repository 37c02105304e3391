//! A source that divides its work: it counts, each share a stretch of numbers, for the tests of the host.
//!
//! The task keeps one position for each share and hands out what is not counted yet; when all shares are done it says `end`
//! and is finished. The configuration key `mode` makes it fail.

use std::time::Duration;

use towpath_sdk::model::{
    Batch, BatchBuilder, Checkpoint, Config, ConnectorError, ConnectorKind, Form, Polled, Progress, Run, Spec,
};
use towpath_sdk::{Context, Part, Reader, ShareProgress, SharedSource, Source, Turn, key, spec, streams};

/// The task.
#[derive(Debug)]
pub struct Counting {
    mode: String,
    readers: usize,
    shares: Vec<Share>,
    attempt: u32,
    ended: bool,
}

/// A stretch of numbers.
#[derive(Debug)]
struct Share {
    next: u64,
    end: u64,
    out: bool,
}

fn number(config: &Config, key: &str) -> u64 {
    config.get(key).and_then(|value| value.parse().ok()).unwrap_or_default()
}

impl Source for Counting {
    fn spec() -> Spec {
        spec("counting", env!("CARGO_PKG_VERSION"), ConnectorKind::Source)
            .doc("Counts, in shares.")
            .key(key("shares").int().doc("How many shares."))
            .key(key("share.size").int().doc("How many numbers each has."))
            .key(key("readers").int().doc("How many readers at once."))
            .key(key("mode").default("ok").doc("How to fail."))
            .build()
    }

    fn open(context: Context, offsets: Vec<Checkpoint>) -> Result<Self, ConnectorError> {
        let size = number(&context.config, "share.size");
        let mut shares: Vec<Share> = (0..number(&context.config, "shares"))
            .map(|index| Share { next: index * size, end: (index + 1) * size, out: false })
            .collect();
        for stored in offsets {
            let (Ok(index), Some(Ok(next))) =
                (stored.partition.parse::<usize>(), stored.offset.map(|text| text.parse()))
            else {
                return Err(ConnectorError::fatal("a position of another source"));
            };
            if let Some(share) = shares.get_mut(index) {
                share.next = next;
            }
        }
        let readers = usize::try_from(number(&context.config, "readers")).unwrap_or_default();
        let mode = context.config.get("mode").unwrap_or_default().to_owned();
        Ok(Self { mode, readers, shares, attempt: 0, ended: false })
    }

    fn poll(&mut self, _max_wait: Duration, _max_records: u32, _max_bytes: u32) -> Result<Polled, ConnectorError> {
        let records = if std::mem::replace(&mut self.ended, true) { Batch::default() } else { say(["end".to_owned()]) };
        Ok(Polled {
            records,
            checkpoints: Vec::new(),
            progress: Progress::Finished,
            lag_ms: None,
            lag_bytes: None,
            transaction_ends: Vec::new(),
        })
    }

    fn commit(&mut self, _offsets: &[Checkpoint]) -> Result<(), ConnectorError> {
        Ok(())
    }
}

impl SharedSource for Counting {
    type Reader = Counter;

    fn next_turn(&mut self, free: u32) -> Result<Turn, ConnectorError> {
        if self.mode == "wait-for-nobody" {
            return Ok(Turn::Wait);
        }
        let at_work = self.shares.iter().filter(|share| share.out).count();
        if at_work < self.readers && free > 0 || self.mode == "greedy" {
            let due = self.shares.iter_mut().enumerate().find(|(_, share)| !share.out && share.next < share.end);
            if let Some((index, share)) = due {
                share.out = true;
                let text = format!("{index} {} {} {}", share.next, share.end, self.attempt);
                return Ok(Turn::Share(text.into_bytes()));
            }
        }
        Ok(if at_work > 0 { Turn::Wait } else { Turn::Task })
    }

    fn fold(&mut self, report: &[u8]) -> Result<Vec<Checkpoint>, ConnectorError> {
        let told: Vec<u64> = numbers(report);
        let [index, next] = told[..] else { return Err(ConnectorError::fatal("not a report")) };
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        let share = self.shares.get_mut(place).ok_or_else(|| ConnectorError::fatal("no such share"))?;
        share.next = next;
        share.out &= next < share.end;
        Ok(vec![Checkpoint { partition: index.to_string(), offset: Some(next.to_string()) }])
    }

    fn recall(&mut self) {
        self.attempt += 1;
        for share in &mut self.shares {
            share.out = false;
        }
    }
}

/// A reader.
#[derive(Debug)]
pub struct Counter {
    mode: String,
    index: u64,
    begun: u64,
    next: u64,
    end: u64,
    attempt: u64,
}

impl Reader for Counter {
    fn open(context: Context) -> Result<Self, ConnectorError> {
        let mode = context.config.get("mode").unwrap_or_default().to_owned();
        Ok(Self { mode, index: 0, begun: 0, next: 0, end: 0, attempt: 0 })
    }

    fn begin(&mut self, share: &[u8]) -> Result<(), ConnectorError> {
        let told: Vec<u64> = numbers(share);
        let [index, next, end, attempt] = told[..] else { return Err(ConnectorError::fatal("not a share")) };
        (self.index, self.begun, self.next, self.end, self.attempt) = (index, next, next, end, attempt);
        Ok(())
    }

    fn read(&mut self, max_wait: Duration, max_records: u32, _max_bytes: u32) -> Result<Part, ConnectorError> {
        let half_way = self.index == 1 && self.next > self.begun;
        match self.mode.as_str() {
            "panic" if half_way => panic!("the second share is too much"),
            "fail-once" if half_way && self.attempt == 0 => {
                return Err(ConnectorError::retriable("the line broke"));
            }
            "stuck" => drop(streams::wait(&[], max_wait)),
            _ => {}
        }
        let until = if self.mode == "stuck" { self.next } else { self.end.min(self.next + u64::from(max_records)) };
        let records = say((self.next..until).map(|number| number.to_string()));
        self.next = until;
        let progress = if self.next == self.end { ShareProgress::Done } else { ShareProgress::More };
        Ok(Part { records, report: format!("{} {}", self.index, self.next).into_bytes(), progress })
    }
}

fn numbers(text: &[u8]) -> Vec<u64> {
    let text = String::from_utf8_lossy(text);
    text.split(' ').filter_map(|number| number.parse().ok()).collect()
}

fn say(texts: impl IntoIterator<Item = String>) -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("counted");
    builder.run(Run { records: 0, topic, origin: topic, partition: -1, key: Form::BYTES, value: Form::BYTES });
    for text in texts {
        builder.key(None);
        builder.value(Some(text.as_bytes()));
        builder.end(None, None);
    }
    builder.build()
}

towpath_sdk::export_shared_source!(Counting);
