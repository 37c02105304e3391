//! The data directory: its layout, and the log in it, opened to run or, when no worker runs, to read.
//!
//! ```text
//! D/log/            the log, which also locks the directory
//! D/cache/          compiled components
//! D/scratch/        spill files of tasks, wiped at start
//! D/secrets.json    literals that came over REST for secret keys
//! D/kafka-users.json  what Kafka clients log in with
//! D/addresses.json  where the running worker listens
//! ```

use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinError;
use towpath_log::{
    Embedded, Error, Examination, Held, LogConfig, LogMetrics, OsVfs, SYNC_BUCKETS_MICROS, TransactionMetrics,
};
use towpath_model::{Clock, Kind, SystemClock};
use towpath_rest::{FsyncLatency, HeldPartition, Log, LogNumbers, TransactionNumbers};

use crate::failure::{Failure, Result};
use crate::log_view::{LogView, Numbered};

/// The log of a data directory.
pub(crate) fn log_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("log")
}

/// Compiled components.
pub(crate) fn cache_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("cache")
}

/// Spill files.
pub(crate) fn scratch_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("scratch")
}

/// The store of secrets.
pub(crate) fn secrets_file(data_dir: &Path) -> PathBuf {
    data_dir.join("secrets.json")
}

/// The users of Kafka clients.
pub(crate) fn kafka_users_file(data_dir: &Path) -> PathBuf {
    data_dir.join("kafka-users.json")
}

/// A number that nobody foresees, to seed what is random.
pub(crate) fn seed() -> u64 {
    // The standard library keys each RandomState from the system's randomness.
    RandomState::new().build_hasher().finish()
}

/// Opens the log to run on it; recovers it first where the last worker did not close it. Clients may read the `internal` topics and not
/// write them.
pub(crate) async fn open(data_dir: &Path, clock: Arc<dyn Clock>, internal: &[&str]) -> Result<Arc<Embedded>> {
    let dir = log_dir(data_dir);
    std::fs::create_dir_all(&dir)
        .map_err(|error| Failure::environment(error).context(format!("cannot make {}", dir.display())))?;
    let mut config = LogConfig::new(dir);
    config.internal_topics.extend(internal.iter().map(|topic| (*topic).to_owned()));
    let opening = move || Embedded::open(config, Arc::new(OsVfs), clock, seed());
    opened(data_dir, tokio::task::spawn_blocking(opening)).await
}

/// Opens the log of a stopped worker to look into it.
pub(crate) async fn open_to_read(data_dir: &Path) -> Result<Arc<dyn Log>> {
    Ok(Arc::new(LogView::new(open_stopped(data_dir).await?)))
}

/// The log of a stopped worker, to read.
pub(crate) async fn open_stopped(data_dir: &Path) -> Result<Arc<Embedded>> {
    let dir = existing_log(data_dir)?;
    let clock = Arc::new(SystemClock::default());
    let opening = move || Embedded::open_read_only(LogConfig::new(dir), Arc::new(OsVfs), clock);
    opened(data_dir, tokio::task::spawn_blocking(opening)).await
}

/// What is wrong with the log of a stopped worker; with `apply` it is mended.
pub(crate) async fn examine(data_dir: &Path, apply: bool) -> Result<Examination> {
    let config = LogConfig::new(existing_log(data_dir)?);
    let examining = move || match apply {
        true => towpath_log::repair(config, Arc::new(OsVfs), Arc::new(SystemClock::default()), seed()),
        false => towpath_log::examine(&config, &OsVfs),
    };
    done(data_dir, "examine", tokio::task::spawn_blocking(examining)).await
}

/// The directory of a log that is there.
fn existing_log(data_dir: &Path) -> Result<PathBuf> {
    let dir = log_dir(data_dir);
    if dir.is_dir() {
        return Ok(dir);
    }
    Err(Failure::input(format!(
        "{} is no data directory: there is no log in it. Name one with --data-dir, or a worker with --url",
        data_dir.display()
    )))
}

async fn opened(
    data_dir: &Path,
    opening: impl Future<Output = std::result::Result<std::result::Result<Embedded, Error>, JoinError>>,
) -> Result<Arc<Embedded>> {
    done(data_dir, "open", opening).await.map(Arc::new)
}

async fn done<T>(
    data_dir: &Path,
    what: &str,
    doing: impl Future<Output = std::result::Result<std::result::Result<T, Error>, JoinError>>,
) -> Result<T> {
    doing.await.map_err(Failure::ours)?.map_err(|error| {
        let what = format!("cannot {what} the log in {}", data_dir.display());
        // Damage and our own limits are ours; a lock, a full disk or missing rights are the environment's.
        let failure = if error.kind() == Kind::Corrupt { Failure::ours(error) } else { Failure::environment(error) };
        failure.context(what)
    })
}

impl Numbered for Embedded {
    fn numbers(&self) -> LogNumbers {
        let LogMetrics {
            commits,
            records,
            journal_bytes,
            rounds,
            sync_micros,
            sync_micros_sum,
            journal_disk_bytes,
            topic_disk_bytes,
            transactions,
            ..
        } = self.metrics();
        let segments: u64 = topic_disk_bytes.iter().map(|(_, bytes)| bytes).sum();
        LogNumbers {
            disk_bytes: Some(segments + journal_disk_bytes),
            topic_disk_bytes,
            journal_bytes: Some(journal_disk_bytes),
            commits_total: commits,
            records_total: records,
            bytes_total: journal_bytes,
            fsync: FsyncLatency {
                buckets: cumulative(&sync_micros),
                count: rounds,
                seconds_sum: sync_micros_sum as f64 / 1e6,
            },
            transactions: numbers_of(transactions),
        }
    }

    fn failure(&self) -> Option<String> {
        self.failed().borrow().as_ref().map(ToString::to_string)
    }
}

fn numbers_of(transactions: TransactionMetrics) -> TransactionNumbers {
    let TransactionMetrics { open, ended, held } = transactions;
    let held = held.into_iter().map(|Held { partition, oldest, lag }| HeldPartition {
        topic: partition.topic.to_string(),
        partition: partition.partition,
        oldest_seconds: oldest.as_secs_f64(),
        lag,
    });
    let ended = [("committed", ended.committed), ("aborted", ended.aborted), ("timed_out", ended.timed_out)];
    TransactionNumbers { open, ended: ended.into(), held: held.collect() }
}

/// Prometheus counts in each bucket all that is at or below its bound; the log counts each round once.
fn cumulative(rounds_by_bucket: &[u64]) -> Vec<(f64, u64)> {
    let mut sum = 0;
    let mut add = |(bound, rounds): (&u64, &u64)| {
        sum += rounds;
        (*bound as f64 / 1e6, sum)
    };
    SYNC_BUCKETS_MICROS.iter().zip(rounds_by_bucket).map(&mut add).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up() {
        let mut rounds = [0; SYNC_BUCKETS_MICROS.len() + 1];
        rounds[0] = 3;
        rounds[2] = 4;
        let buckets = cumulative(&rounds);
        assert_eq!(&buckets[..4], [(0.0001, 3), (0.0002, 3), (0.0004, 7), (0.0008, 7)]);
    }

    #[tokio::test]
    async fn a_directory_without_a_log_is_the_users_to_name() {
        let failure = open_to_read(Path::new("/nonexistent")).await.err().expect("there is nothing");
        assert!(failure.to_string().contains("--data-dir"), "{failure}");
    }
}
