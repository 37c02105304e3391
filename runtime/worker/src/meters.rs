//! The numbers of one task, written by its driver and read by whoever asks. No wait on either side is longer than a few moves.
//!
//! Counters are atomics that the data plane adds to once a batch; what has structure sits behind a lock that is held for moves only.
//! Rates are taken over the last seconds by [`Meters::sample`], which the worker calls once a second.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use towpath_model::{Metric, Reading, TopicPartition};

use crate::answers::{PartitionProgress, RetryState, SnapshotProgress, TaskMetrics};

/// How often rates are sampled and health is looked at.
pub(crate) const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// How many samples a rate is taken over.
const SAMPLES: usize = 6;
/// The most metrics of its own that a connector may have.
const CONNECTOR_METRICS_MAX: usize = 256;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The numbers of one task.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    pub(crate) records: Counter,
    pub(crate) bytes: Counter,
    pub(crate) batches: Counter,
    pub(crate) batch_records: Counter,
    pub(crate) retries: Counter,
    pub(crate) errors: Counter,
    pub(crate) skipped: Counter,
    pub(crate) filtered: Counter,
    pub(crate) dead_letters: Counter,
    pub(crate) deferrals: Counter,
    pub(crate) out_of_range: Counter,
    pub(crate) commits: Counter,
    pub(crate) commit_micros: Counter,
    pub(crate) restarts: Counter,
    deferred: AtomicU64,
    batch_records_max: AtomicU64,
    guest_memory: AtomicU64,
    guest_busy_ms: AtomicU64,
    last_progress_ms: AtomicI64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    samples: VecDeque<(Duration, u64, u64)>,
    source_lag: (Option<u64>, Option<u64>),
    waiting_since_ms: Option<i64>,
    retry: Option<RetryState>,
    partitions: BTreeMap<TopicPartition, (Option<i64>, i64)>,
    connector: BTreeMap<String, f64>,
}

impl Meters {
    /// A batch was polled or is about to be put.
    pub(crate) fn batch(&self, records: usize) {
        self.batches.add(1);
        self.batch_records.add(records as u64);
        self.batch_records_max.fetch_max(records as u64, Ordering::Relaxed);
    }

    /// Data moved.
    pub(crate) fn progress(&self, now_ms: i64) {
        self.last_progress_ms.store(now_ms, Ordering::Relaxed);
        self.lock().waiting_since_ms = None;
    }

    /// There is data that has not moved yet.
    pub(crate) fn work_waits(&self, now_ms: i64) {
        self.lock().waiting_since_ms.get_or_insert(now_ms);
    }

    /// There is nothing to move.
    pub(crate) fn nothing_waits(&self) {
        self.lock().waiting_since_ms = None;
    }

    /// Since when there is data that does not move.
    pub(crate) fn waiting_since(&self) -> Option<i64> {
        self.lock().waiting_since_ms
    }

    pub(crate) fn source_lag(&self, lag_ms: Option<u64>, lag_bytes: Option<u64>) {
        self.lock().source_lag = (lag_ms, lag_bytes);
    }

    /// So many records wait to be put again.
    pub(crate) fn deferred(&self, waiting: usize) {
        self.deferred.store(waiting as u64, Ordering::Relaxed);
    }

    /// How many records wait to be put again.
    pub(crate) fn waiting(&self) -> u64 {
        self.deferred.load(Ordering::Relaxed)
    }

    pub(crate) fn set_retry(&self, retry: Option<RetryState>) {
        self.lock().retry = retry;
    }

    pub(crate) fn retry(&self) -> Option<RetryState> {
        self.lock().retry.clone()
    }

    /// Where a sink stands in its partitions; replaces what was told before.
    pub(crate) fn partitions(&self, partitions: BTreeMap<TopicPartition, (Option<i64>, i64)>) {
        self.lock().partitions = partitions;
    }

    pub(crate) fn usage(&self, memory_bytes: u64, busy: Duration) {
        self.guest_memory.store(memory_bytes, Ordering::Relaxed);
        self.guest_busy_ms.store(u64::try_from(busy.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Takes in numbers of the connector's own; beyond a bound, new names are ignored.
    pub(crate) fn connector(&self, metrics: Vec<Metric>) {
        let mut inner = self.lock();
        for Metric { name, reading } in metrics {
            let full = inner.connector.len() >= CONNECTOR_METRICS_MAX;
            if full && !inner.connector.contains_key(&name) {
                continue;
            }
            let value = inner.connector.entry(name).or_default();
            match reading {
                Reading::Counter(by) => *value += by as f64,
                Reading::Gauge(to) => *value = to,
            }
        }
    }

    /// Keeps a sample for the rates.
    pub(crate) fn sample(&self, now: Duration) {
        let mut inner = self.lock();
        if inner.samples.is_empty() {
            // What came before the first sample counts, too: it came within the interval that ends with it.
            inner.samples.push_back((now.saturating_sub(SAMPLE_INTERVAL), 0, 0));
        }
        let sample = (now, self.records.get(), self.bytes.get());
        inner.samples.push_back(sample);
        if inner.samples.len() > SAMPLES {
            inner.samples.pop_front();
        }
    }

    /// What is shown.
    pub(crate) fn read(&self) -> TaskMetrics {
        let inner = self.lock();
        let (records_per_second, bytes_per_second) = rates(&inner.samples);
        let snapshot_rows = |name: &str| inner.connector.get(name).map(|rows| *rows as u64);
        let snapshot = snapshot_rows("snapshot_rows_done").map(|rows_done| SnapshotProgress {
            rows_done,
            rows_total: snapshot_rows("snapshot_rows_total").unwrap_or(0),
        });
        let last_progress_ms = self.last_progress_ms.load(Ordering::Relaxed);
        TaskMetrics {
            records_total: self.records.get(),
            bytes_total: self.bytes.get(),
            records_per_second,
            bytes_per_second,
            batches_total: self.batches.get(),
            batch_records_total: self.batch_records.get(),
            batch_records_max: self.batch_records_max.load(Ordering::Relaxed),
            retries_total: self.retries.get(),
            errors_total: self.errors.get(),
            skipped_total: self.skipped.get(),
            filtered_total: self.filtered.get(),
            dead_letters_total: self.dead_letters.get(),
            deferred_total: self.deferrals.get(),
            deferred: self.waiting(),
            offsets_out_of_range_total: self.out_of_range.get(),
            commits_total: self.commits.get(),
            commit_micros_total: self.commit_micros.get(),
            restarts_total: self.restarts.get(),
            guest_memory_bytes: self.guest_memory.load(Ordering::Relaxed),
            guest_busy_ms: self.guest_busy_ms.load(Ordering::Relaxed),
            source_lag_ms: inner.source_lag.0,
            source_lag_bytes: inner.source_lag.1,
            snapshot,
            last_progress_ms: (last_progress_ms > 0).then_some(last_progress_ms),
            partitions: inner.partitions.iter().map(|(partition, at)| progress_of(partition, *at)).collect(),
            connector: inner.connector.iter().map(|(name, value)| (name.clone(), *value)).collect(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn progress_of(partition: &TopicPartition, (committed, high_watermark): (Option<i64>, i64)) -> PartitionProgress {
    PartitionProgress {
        topic: partition.topic.clone(),
        partition: partition.partition,
        committed,
        high_watermark,
        lag: (high_watermark - committed.unwrap_or(0)).max(0),
    }
}

fn rates(samples: &VecDeque<(Duration, u64, u64)>) -> (f64, f64) {
    let (Some(first), Some(last)) = (samples.front(), samples.back()) else { return (0.0, 0.0) };
    let seconds = last.0.saturating_sub(first.0).as_secs_f64();
    if seconds <= 0.0 {
        return (0.0, 0.0);
    }
    ((last.1 - first.1) as f64 / seconds, (last.2 - first.2) as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_taken_over_the_last_seconds_only() {
        let meters = Meters::default();
        for second in 0..20 {
            meters.sample(Duration::from_secs(second));
            meters.records.add(if second < 10 { 1000 } else { 10 });
        }
        assert!((meters.read().records_per_second - 10.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_came_before_the_first_sample_counts() {
        let meters = Meters::default();
        meters.records.add(600);
        meters.sample(Duration::from_secs(40));
        meters.sample(Duration::from_secs(41));
        assert!((meters.read().records_per_second - 300.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_connectors_numbers_add_up_or_are_set_and_show_the_snapshot() {
        let meters = Meters::default();
        let metric = |name: &str, reading| Metric { name: name.into(), reading };
        for _ in 0..2 {
            meters.connector(vec![
                metric("snapshot_rows_done", Reading::Counter(5)),
                metric("snapshot_rows_total", Reading::Gauge(40.0)),
            ]);
        }
        assert_eq!(meters.read().snapshot, Some(SnapshotProgress { rows_done: 10, rows_total: 40 }));
    }
}
