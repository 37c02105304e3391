//! What the log counts: commits, bytes, rounds and how long their syncs took, disk use, and transactions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::transaction::TransactionMetrics;

/// Upper bounds of the buckets of [`LogMetrics::sync_micros`], in microseconds; one more bucket is open to the top.
pub const SYNC_BUCKETS_MICROS: [u64; 14] =
    [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 102_400, 204_800, 409_600, 819_200];

/// Counts since the log was opened, and disk use now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogMetrics {
    /// Commits that became durable.
    pub commits: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes written to the journal.
    pub journal_bytes: u64,
    /// Rounds of the journal, each with one sync. Commits by rounds is the size of the group.
    pub rounds: u64,
    /// Rounds by the time their write and sync took; see [`SYNC_BUCKETS_MICROS`].
    pub sync_micros: [u64; SYNC_BUCKETS_MICROS.len() + 1],
    /// The sum of these times.
    pub sync_micros_sum: u64,
    /// Checkpoints made.
    pub checkpoints: u64,
    /// Bytes of journal files.
    pub journal_disk_bytes: u64,
    /// Bytes of segments, by topic.
    pub topic_disk_bytes: Vec<(String, u64)>,
    /// Transactions.
    pub transactions: TransactionMetrics,
}

/// The counters behind [`LogMetrics`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    commits: AtomicU64,
    pub(crate) records: AtomicU64,
    journal_bytes: AtomicU64,
    rounds: AtomicU64,
    sync_micros: [AtomicU64; SYNC_BUCKETS_MICROS.len() + 1],
    sync_micros_sum: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
}

impl Counters {
    /// Counts a round.
    pub(crate) fn round(&self, commits: usize, bytes: u64, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = SYNC_BUCKETS_MICROS.partition_point(|bound| *bound < micros);
        self.commits.fetch_add(commits as u64, Ordering::Relaxed);
        self.journal_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.rounds.fetch_add(1, Ordering::Relaxed);
        self.sync_micros_sum.fetch_add(micros, Ordering::Relaxed);
        if let Some(bucket) = self.sync_micros.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts as they are.
    pub(crate) fn snapshot(&self) -> LogMetrics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LogMetrics {
            commits: get(&self.commits),
            records: get(&self.records),
            journal_bytes: get(&self.journal_bytes),
            rounds: get(&self.rounds),
            sync_micros: std::array::from_fn(|bucket| self.sync_micros.get(bucket).map_or(0, get)),
            sync_micros_sum: get(&self.sync_micros_sum),
            checkpoints: get(&self.checkpoints),
            ..LogMetrics::default()
        }
    }
}
