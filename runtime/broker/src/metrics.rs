//! What the listener counts: connections, logins, requests by API, bytes, and why connections were closed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;

use crate::api::OFFERS;
use crate::codes;
use crate::error::Hangup;

/// Counts since the broker started, and what there is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerMetrics {
    /// Connections that are open, by listener.
    pub connections: Vec<(String, u64)>,
    /// Connections that were accepted.
    pub connections_total: u64,
    /// Connections that were turned away because there were too many.
    pub turned_away_total: u64,
    /// Logins that succeeded.
    pub logins_total: u64,
    /// Logins that were refused.
    pub logins_refused_total: u64,
    /// Bytes of requests.
    pub received_bytes_total: u64,
    /// Bytes of answers.
    pub sent_bytes_total: u64,
    /// Requests by API, and how long they took together. One that waits for records counts its wait.
    pub requests: Vec<RequestMetrics>,
    /// Partitions of produce and fetch requests that were answered with an error, by its name in Kafka.
    pub errors: Vec<(String, u64)>,
    /// Connections that were closed from this side, by reason.
    pub hangups: Vec<(&'static str, u64)>,
}

/// The requests of one API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestMetrics {
    /// The API's name in Kafka.
    pub api: String,
    /// How many were answered.
    pub count: u64,
    /// How long they took together.
    pub micros: u64,
}

/// The counters.
pub(crate) struct Metrics {
    pub(crate) connections: AtomicU64,
    pub(crate) turned_away: AtomicU64,
    logins: AtomicU64,
    refused: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    /// Count and microseconds of each API, in the order of the offers.
    requests: Vec<(AtomicU64, AtomicU64)>,
    rare: Mutex<Rare>,
}

/// What is counted seldom enough for a lock.
#[derive(Default)]
struct Rare {
    errors: BTreeMap<i16, u64>,
    hangups: BTreeMap<&'static str, u64>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            connections: AtomicU64::default(),
            turned_away: AtomicU64::default(),
            logins: AtomicU64::default(),
            refused: AtomicU64::default(),
            received: AtomicU64::default(),
            sent: AtomicU64::default(),
            requests: OFFERS.iter().map(|_| Default::default()).collect(),
            rare: Mutex::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn login(&self, succeeded: bool) {
        add(if succeeded { &self.logins } else { &self.refused }, 1);
    }

    pub(crate) fn received(&self, bytes: usize) {
        add(&self.received, bytes as u64);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        add(&self.sent, bytes as u64);
    }

    pub(crate) fn answered(&self, key: ApiKey, took: Duration) {
        let found = OFFERS.iter().zip(&self.requests).find(|(offer, _)| offer.key == key);
        if let Some((_, (count, micros))) = found {
            add(count, 1);
            add(micros, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// Counts those of the codes that are errors.
    pub(crate) fn failures(&self, codes: impl Iterator<Item = i16>) {
        let mut failures = codes.filter(|code| *code != codes::NONE).peekable();
        if failures.peek().is_some() {
            let mut rare = self.rare.lock().unwrap_or_else(PoisonError::into_inner);
            failures.for_each(|code| *rare.errors.entry(code).or_default() += 1);
        }
    }

    pub(crate) fn hung_up(&self, reason: &Hangup) {
        *self.rare.lock().unwrap_or_else(PoisonError::into_inner).hangups.entry(reason.label()).or_default() += 1;
    }

    /// The counts as they are.
    pub(crate) fn snapshot(&self, connections: Vec<(String, u64)>) -> BrokerMetrics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let requests = OFFERS.iter().zip(&self.requests).map(|(offer, (count, micros))| RequestMetrics {
            api: format!("{:?}", offer.key),
            count: get(count),
            micros: get(micros),
        });
        let rare = self.rare.lock().unwrap_or_else(PoisonError::into_inner);
        let name =
            |code: i16| ResponseError::try_from_code(code).map_or_else(|| code.to_string(), |code| format!("{code:?}"));
        BrokerMetrics {
            connections,
            connections_total: get(&self.connections),
            turned_away_total: get(&self.turned_away),
            logins_total: get(&self.logins),
            logins_refused_total: get(&self.refused),
            received_bytes_total: get(&self.received),
            sent_bytes_total: get(&self.sent),
            requests: requests.filter(|requests| requests.count > 0).collect(),
            errors: rare.errors.iter().map(|(code, count)| (name(*code), *count)).collect(),
            hangups: rare.hangups.iter().map(|(reason, count)| (*reason, *count)).collect(),
        }
    }
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}
