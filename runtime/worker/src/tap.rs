//! Taps: some of a connector's records, as each step of its path leaves them, for whoever listens.
//!
//! ```text
//! task: watch ─▶ SourcePath or SinkPath ─▶ publish ─▶ a bounded queue for each listener ─▶ Tap
//! ```
//! While nobody listens, a batch costs one look at a number. Otherwise as many of its records are copied as the listeners' rates
//! allow. Tasks never wait for a listener: what finds its queue full is lost to it and counted.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use towpath_convert::{Passage, Watched};
use towpath_model::{Coded, ConnectorError, ConnectorName, Redactor, TaskId};

use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::task::Task;

/// Listeners of one connector.
const LISTENERS_MAX: usize = 16;
/// Records that wait for one listener.
const WAITING_MAX: usize = 256;
/// Bytes that wait for one listener; one record may be more.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// What a listener wants.
#[derive(Clone, Copy, Debug)]
pub struct TapOptions {
    /// How many records a second; at most so many at once.
    pub rate: u32,
    /// Only those of this task.
    pub task: Option<u32>,
}

/// A record that was tapped.
#[derive(Debug)]
pub struct Tapped {
    /// The task.
    pub task: TaskId,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Its way.
    pub passage: Passage,
    /// Why its batch as a whole could not go on; it is tried again, or fails the task.
    pub held: Option<Held>,
}

/// Why a batch as a whole could not go on.
#[derive(Clone, Debug)]
pub struct Held {
    /// A stable code.
    pub code: String,
    /// What is wrong.
    pub reason: String,
}

/// Listens to the records of a connector, across restarts of its tasks, until it is deleted or the worker ends.
pub struct Tap {
    taps: Arc<Taps>,
    id: u64,
    queue: mpsc::Receiver<(u64, Arc<Tapped>)>,
    waiting_bytes: Arc<AtomicUsize>,
}

impl Tap {
    /// The next record, with how many before it were lost because they were not taken in time. None at the end. Cancel safe.
    pub async fn next(&mut self) -> Option<(u64, Arc<Tapped>)> {
        let next = self.queue.recv().await?;
        self.waiting_bytes.fetch_sub(next.1.passage.bytes(), Ordering::Relaxed);
        Some(next)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.taps.leave(self.id);
    }
}

impl Handle {
    /// Listens to the records of a connector from now on.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::TooManyTaps`], and [`Error::NoTaskStatus`] for a task that it has not while it has others.
    pub fn tap(&self, name: &ConnectorName, options: TapOptions) -> Result<Tap> {
        let connector = self.connector(name)?;
        let missing = |task: &u32| !connector.tasks.is_empty() && !connector.tasks.iter().any(|id| id.task == *task);
        if let Some(task) = options.task.filter(missing) {
            return Err(Error::NoTaskStatus(TaskId { connector: name.clone(), task }));
        }
        let taps = self.board.taps(name).ok_or_else(|| Error::NotFound(name.clone()))?;
        taps.listen(options, self.clock.monotonic()).ok_or_else(|| Error::TooManyTaps(name.clone()))
    }
}

impl Task {
    /// Those of so many records that somebody wants to see on their way.
    pub(crate) fn watch(&self, records: usize) -> Option<Watched> {
        self.taps.watch(self.id.task, records, || self.shared.clock.monotonic())
    }

    /// Shows what was watched; `error` is why the batch as a whole could not go on.
    pub(crate) fn show(&self, watched: Option<Watched>, error: Option<&ConnectorError>) {
        let Some(watched) = watched else { return };
        let held = error.map(|error| Held {
            code: error.code().to_owned(),
            reason: self.redactor.redact(&error.to_string()).into_owned(),
        });
        let tapped = watched.into_passages().into_iter().map(|passage| {
            let (passage, held) = (without_secrets(passage, &self.redactor), held.clone());
            Arc::new(Tapped { task: self.id.clone(), at_ms: self.shared.clock.now_ms(), passage, held })
        });
        self.taps.publish(&tapped.collect::<Vec<_>>());
    }
}

/// Reasons of failures may quote what a component was configured with.
fn without_secrets(mut passage: Passage, redactor: &Redactor) -> Passage {
    for failure in passage.stops.iter_mut().filter_map(|stop| stop.failure.as_mut()) {
        failure.reason = redactor.redact(&failure.reason).into_owned();
    }
    passage
}

/// Who listens to a connector.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    /// How many listen, to be read without the lock.
    open: AtomicUsize,
    listeners: Mutex<Vec<Listener>>,
    /// The connector is no more.
    ended: AtomicBool,
    ids: AtomicU64,
    /// Grows with every batch that is watched, so that each place in a batch has its turn.
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Listener {
    id: u64,
    task: Option<u32>,
    allowance: Allowance,
    queue: mpsc::Sender<(u64, Arc<Tapped>)>,
    waiting_bytes: Arc<AtomicUsize>,
    missed: u64,
}

impl Taps {
    fn listen(self: Arc<Self>, options: TapOptions, now: Duration) -> Option<Tap> {
        let mut listeners = self.lock();
        if listeners.len() >= LISTENERS_MAX {
            return None;
        }
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let (sender, queue) = mpsc::channel(WAITING_MAX);
        let waiting_bytes = Arc::<AtomicUsize>::default();
        // A tap that comes too late ends at once: nobody keeps its sender.
        if !self.ended.load(Ordering::Relaxed) {
            let allowance = Allowance::new(options.rate, now);
            let waiting_bytes = waiting_bytes.clone();
            listeners.push(Listener { id, task: options.task, allowance, queue: sender, waiting_bytes, missed: 0 });
        }
        self.open.store(listeners.len(), Ordering::Relaxed);
        drop(listeners);
        Some(Tap { taps: self, id, queue, waiting_bytes })
    }

    fn leave(&self, id: u64) {
        let mut listeners = self.lock();
        listeners.retain(|listener| listener.id != id);
        self.open.store(listeners.len(), Ordering::Relaxed);
    }

    /// The connector is no more: every tap ends.
    pub(crate) fn end(&self) {
        let mut listeners = self.lock();
        self.ended.store(true, Ordering::Relaxed);
        listeners.clear();
        self.open.store(0, Ordering::Relaxed);
    }

    /// Which of so many records of a task are to be watched: as many as the listener with the largest allowance may have, spread out.
    fn watch(&self, task: u32, records: usize, now: impl FnOnce() -> Duration) -> Option<Watched> {
        if self.open.load(Ordering::Relaxed) == 0 || records == 0 {
            return None;
        }
        let now = now();
        let mut listeners = self.lock();
        let hearing = listeners.iter_mut().filter(|listener| listener.hears(task));
        let wanted = hearing.map(|listener| listener.allowance.left(now)).max()?.min(records);
        drop(listeners);
        let stride = records.checked_div(wanted)?;
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % stride;
        Some(Watched::new((0..wanted).filter_map(|nth| u32::try_from(first + nth * stride).ok())))
    }

    fn publish(&self, tapped: &[Arc<Tapped>]) {
        let mut listeners = self.lock();
        for tapped in tapped {
            let hearing = listeners.iter_mut().filter(|listener| listener.hears(tapped.task.task));
            hearing.for_each(|listener| listener.offer(tapped));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    fn hears(&self, task: u32) -> bool {
        self.task.is_none_or(|wanted| wanted == task)
    }

    fn offer(&mut self, tapped: &Arc<Tapped>) {
        if !self.allowance.take() {
            return;
        }
        let bytes = tapped.passage.bytes();
        let waiting = self.waiting_bytes.load(Ordering::Relaxed);
        let fits = waiting == 0 || waiting + bytes <= WAITING_BYTES_MAX;
        // Counted before it is sent, so that it is never taken off first.
        self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if fits && self.queue.try_send((self.missed, tapped.clone())).is_ok() {
            self.missed = 0;
        } else {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.missed += 1;
        }
    }
}

/// How many records a listener may still have: what a second allows, filled up as time passes.
#[derive(Debug)]
struct Allowance {
    rate: f64,
    left: f64,
    at: Duration,
}

impl Allowance {
    fn new(rate: u32, now: Duration) -> Self {
        Self { rate: f64::from(rate), left: f64::from(rate), at: now }
    }

    fn left(&mut self, now: Duration) -> usize {
        self.left = (self.left + now.saturating_sub(self.at).as_secs_f64() * self.rate).min(self.rate);
        self.at = now;
        self.left as usize
    }

    fn take(&mut self) -> bool {
        let allows = self.left >= 1.0;
        if allows {
            self.left -= 1.0;
        }
        allows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: TapOptions = TapOptions { rate: 4, task: None };

    fn taps() -> Arc<Taps> {
        Arc::default()
    }

    fn watched(taps: &Taps, records: usize, second: u64) -> usize {
        let watched = taps.watch(0, records, || Duration::from_secs(second));
        watched.map_or(0, |watched| watched.into_passages().len())
    }

    fn publish(taps: &Taps, task: u32, records: u32) {
        let task = TaskId { connector: ConnectorName::new("c"), task };
        let passages = Watched::new(0..records).into_passages().into_iter();
        let tapped = passages.map(|passage| Arc::new(Tapped { task: task.clone(), at_ms: 0, passage, held: None }));
        taps.publish(&tapped.collect::<Vec<_>>());
    }

    #[test]
    fn while_nobody_listens_the_clock_is_not_even_looked_at() {
        let taps = taps();
        assert!(taps.watch(0, 10, || unreachable!("nobody listens")).is_none());
        drop(taps.clone().listen(ALL, Duration::ZERO));
        assert!(taps.watch(0, 10, || unreachable!("nobody listens any more")).is_none());
    }

    #[test]
    fn no_more_than_the_rate_is_watched_and_of_small_batches_all() {
        let taps = taps();
        let _tap = taps.clone().listen(ALL, Duration::ZERO).expect("room");
        assert_eq!(watched(&taps, 3, 0), 3);
        publish(&taps, 0, 3);
        assert_eq!(watched(&taps, 1_000, 0), 1);
        publish(&taps, 0, 1);
        assert_eq!(watched(&taps, 1_000, 0), 0);
        assert_eq!(watched(&taps, 1_000, 60), 4);
    }

    #[tokio::test]
    async fn a_slow_listener_is_told_how_much_it_has_missed_and_holds_nobody_up() {
        let taps = taps();
        let options = TapOptions { rate: 1_000, task: Some(1) };
        let mut slow = taps.clone().listen(options, Duration::ZERO).expect("room");
        publish(&taps, 0, 7);
        publish(&taps, 1, WAITING_MAX as u32 + 5);
        for _ in 0..WAITING_MAX {
            assert_eq!(slow.next().await.expect("a record").0, 0);
        }
        publish(&taps, 1, 1);
        assert_eq!(slow.next().await.expect("a record").0, 5);
        taps.end();
        assert!(slow.next().await.is_none());
        let mut late = taps.listen(options, Duration::ZERO).expect("room");
        assert!(late.next().await.is_none(), "what has ended has no listeners");
    }

    #[test]
    fn listeners_are_bounded() {
        let taps = taps();
        let listening: Vec<_> =
            (0..LISTENERS_MAX).map(|_| taps.clone().listen(ALL, Duration::ZERO).expect("room")).collect();
        assert!(taps.clone().listen(ALL, Duration::ZERO).is_none());
        drop(listening);
        assert!(taps.clone().listen(ALL, Duration::ZERO).is_some());
    }
}
