//! What the supervisor has published: the one place that readers look at. Locks are held for moves only.
//!
//! The supervisor writes states and configurations, tasks write their numbers and errors, the worker's ticker samples rates
//! and health. [`Handle`](crate::Handle) and REST read; they wait for nobody.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use towpath_config::Finding;
use towpath_model::{
    Clock, Config, ConnectorKind, ConnectorName, ConnectorState, Health, HealthLevel, TargetState, TaskId, TaskState,
};

use crate::answers::{ConnectorInfo, ConnectorStatus, ErrorEntry, Owner, TaskStatus};
use crate::health;
use crate::meters::Meters;
use crate::tap::Taps;

/// Refused records count against health for so long.
const RECENT: Duration = Duration::from_secs(60);
/// The most topics that are remembered of a connector.
const TOPICS_MAX: usize = 10_000;

/// A connector as the supervisor publishes it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) config: Config,
    pub(crate) owner: Owner,
    pub(crate) kind: Option<ConnectorKind>,
    pub(crate) version: Option<String>,
    pub(crate) digest: Option<String>,
    pub(crate) target: TargetState,
    pub(crate) state: ConnectorState,
    pub(crate) trace: Option<String>,
    pub(crate) tasks: Vec<TaskEntry>,
    pub(crate) rejected: Option<String>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) notes: Vec<String>,
    pub(crate) secret_files: Vec<PathBuf>,
}

/// A task as the supervisor publishes it.
#[derive(Clone, Debug)]
pub(crate) struct TaskEntry {
    pub(crate) config: Config,
    pub(crate) state: TaskState,
    pub(crate) trace: Option<String>,
}

/// What is kept of a connector beside what the supervisor publishes.
#[derive(Debug)]
struct Kept {
    entry: Entry,
    health: Health,
    task_health: BTreeMap<u32, Health>,
    meters: BTreeMap<u32, Arc<Meters>>,
    errors: VecDeque<ErrorEntry>,
    topics: BTreeSet<Arc<str>>,
    taps: Arc<Taps>,
}

/// What the supervisor has published.
pub(crate) struct Board {
    worker_id: Arc<str>,
    clock: Arc<dyn Clock>,
    stall_after: Duration,
    errors_kept: usize,
    connectors: Mutex<BTreeMap<ConnectorName, Kept>>,
    /// Topics of connectors that have not been published yet.
    restored_topics: Mutex<BTreeMap<ConnectorName, BTreeSet<Arc<str>>>>,
    /// Grows whenever topics are forgotten, so that tasks tell of theirs again.
    topics_generation: AtomicU64,
    changes: watch::Sender<u64>,
}

impl Board {
    pub(crate) fn new(worker_id: Arc<str>, clock: Arc<dyn Clock>, stall_after: Duration, errors_kept: usize) -> Self {
        let changes = watch::Sender::new(0);
        Self {
            worker_id,
            clock,
            stall_after,
            errors_kept,
            connectors: Mutex::default(),
            restored_topics: Mutex::default(),
            topics_generation: AtomicU64::default(),
            changes,
        }
    }

    /// Publishes a connector; numbers and errors of its tasks are kept.
    pub(crate) fn publish(&self, name: &ConnectorName, entry: Entry) {
        let now_ms = self.clock.now_ms();
        let mut connectors = self.lock();
        match connectors.get_mut(name) {
            Some(kept) => kept.entry = entry,
            None => {
                let health = Health { level: HealthLevel::Ok, reason: String::new(), since_ms: now_ms };
                let kept = Kept {
                    entry,
                    health,
                    task_health: BTreeMap::new(),
                    meters: BTreeMap::new(),
                    errors: VecDeque::new(),
                    taps: Arc::default(),
                    topics: self
                        .restored_topics
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(name)
                        .unwrap_or_default(),
                };
                connectors.insert(name.clone(), kept);
            }
        }
        if let Some(kept) = connectors.get_mut(name) {
            self.assess(kept, now_ms);
        }
        drop(connectors);
        self.changes.send_modify(|version| *version += 1);
    }

    pub(crate) fn remove(&self, name: &ConnectorName) {
        if let Some(removed) = self.lock().remove(name) {
            removed.taps.end();
        }
        self.changes.send_modify(|version| *version += 1);
    }

    /// The numbers of a task: the same for all its starts.
    pub(crate) fn meters(&self, task: &TaskId) -> Arc<Meters> {
        match self.lock().get_mut(&task.connector) {
            Some(kept) => kept.meters.entry(task.task).or_default().clone(),
            None => Arc::default(),
        }
    }

    /// Who listens to a connector's records: the same for all starts of its tasks.
    pub(crate) fn taps(&self, name: &ConnectorName) -> Option<Arc<Taps>> {
        self.lock().get(name).map(|kept| kept.taps.clone())
    }

    /// Nothing more will be tapped.
    pub(crate) fn end_taps(&self) {
        self.lock().values().for_each(|kept| kept.taps.end());
    }

    /// Keeps an error among the last ones of its connector.
    pub(crate) fn error(&self, name: &ConnectorName, error: ErrorEntry) {
        if let Some(kept) = self.lock().get_mut(name) {
            kept.errors.push_back(error);
            while kept.errors.len() > self.errors_kept {
                kept.errors.pop_front();
            }
        }
    }

    /// A connector has used this topic; says whether that is new.
    pub(crate) fn topic_used(&self, name: &ConnectorName, topic: &Arc<str>) -> bool {
        match self.lock().get_mut(name) {
            Some(kept) if kept.topics.len() < TOPICS_MAX => kept.topics.insert(topic.clone()),
            _ => false,
        }
    }

    /// The topics that a connector has used, which begin anew.
    pub(crate) fn take_topics(&self, name: &ConnectorName) -> BTreeSet<Arc<str>> {
        let taken = self.lock().get_mut(name).map(|kept| std::mem::take(&mut kept.topics)).unwrap_or_default();
        self.topics_generation.fetch_add(1, Ordering::Release);
        taken
    }

    /// Another number than before says that topics were forgotten since.
    pub(crate) fn topics_generation(&self) -> u64 {
        self.topics_generation.load(Ordering::Acquire)
    }

    /// A connector that is about to be published had used this topic, or is known to do so no more.
    pub(crate) fn restore_topic(&self, name: ConnectorName, topic: Arc<str>, used: bool) {
        let mut restored = self.restored_topics.lock().unwrap_or_else(PoisonError::into_inner);
        let topics = restored.entry(name).or_default();
        if used {
            topics.insert(topic);
        } else {
            topics.remove(&topic);
        }
    }

    /// Samples rates and looks at everybody's health; called once a second.
    pub(crate) fn tick(&self) {
        let (now_ms, now) = (self.clock.now_ms(), self.clock.monotonic());
        for kept in self.lock().values_mut() {
            kept.meters.values().for_each(|meters| meters.sample(now));
            self.assess(kept, now_ms);
        }
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn names(&self) -> Vec<ConnectorName> {
        self.lock().keys().cloned().collect()
    }

    pub(crate) fn connector(&self, name: &ConnectorName) -> Option<ConnectorInfo> {
        let connectors = self.lock();
        let entry = &connectors.get(name)?.entry;
        Some(ConnectorInfo {
            name: name.clone(),
            config: entry.config.clone(),
            tasks: (0..entry.tasks.len()).map(|task| task_id(name, task)).collect(),
            kind: entry.kind,
            owner: entry.owner.clone(),
        })
    }

    pub(crate) fn task_configs(&self, name: &ConnectorName) -> Option<Vec<(TaskId, Config)>> {
        let connectors = self.lock();
        let tasks = connectors.get(name)?.entry.tasks.iter().enumerate();
        Some(tasks.map(|(task, entry)| (task_id(name, task), entry.config.clone())).collect())
    }

    pub(crate) fn status(&self, name: &ConnectorName) -> Option<ConnectorStatus> {
        let now_ms = self.clock.now_ms();
        let mut connectors = self.lock();
        let kept = connectors.get_mut(name)?;
        self.assess(kept, now_ms);
        Some(self.status_of(name, kept))
    }

    pub(crate) fn statuses(&self) -> Vec<ConnectorStatus> {
        let now_ms = self.clock.now_ms();
        let mut connectors = self.lock();
        let mut statuses = Vec::with_capacity(connectors.len());
        for (name, kept) in connectors.iter_mut() {
            self.assess(kept, now_ms);
            statuses.push(self.status_of(name, kept));
        }
        statuses
    }

    pub(crate) fn secret_files(&self) -> BTreeSet<PathBuf> {
        self.lock().values().flat_map(|kept| kept.entry.secret_files.iter().cloned()).collect()
    }

    pub(crate) fn errors(&self, name: &ConnectorName) -> Option<Vec<ErrorEntry>> {
        self.lock().get(name).map(|kept| kept.errors.iter().cloned().collect())
    }

    pub(crate) fn topics(&self, name: &ConnectorName) -> Vec<Arc<str>> {
        self.lock().get(name).map(|kept| kept.topics.iter().cloned().collect()).unwrap_or_default()
    }

    fn assess(&self, kept: &mut Kept, now_ms: i64) {
        let recent_ms = i64::try_from(RECENT.as_millis()).unwrap_or(i64::MAX);
        let entry = &kept.entry;
        let mut tasks = Vec::with_capacity(entry.tasks.len());
        for (task, published) in (0u32..).zip(&entry.tasks) {
            let meters = kept.meters.get(&task);
            let retry = meters.and_then(|meters| meters.retry());
            let recent = |error: &&ErrorEntry| {
                error.task == Some(task) && !error.stage.is_empty() && now_ms - error.at_ms < recent_ms
            };
            let view = health::TaskView {
                state: published.state,
                trace: published.trace.as_deref(),
                retry: retry.as_ref(),
                waiting_since_ms: meters.and_then(|meters| meters.waiting_since()),
                recent_errors: kept.errors.iter().filter(recent).count(),
                out_of_range: meters.map_or(0, |meters| meters.out_of_range.get()),
                deferred: meters.map_or(0, |meters| meters.waiting()),
            };
            tasks.push((task, health::of_task(&view, now_ms, self.stall_after)));
        }
        let view = health::ConnectorView {
            target: entry.target,
            state: entry.state,
            trace: entry.trace.as_deref(),
            rejected: entry.rejected.as_deref(),
        };
        health::update(&mut kept.health, health::of_connector(&view, &tasks), now_ms);
        kept.task_health.retain(|task, _| (*task as usize) < tasks.len());
        for (task, assessment) in tasks {
            let new = || Health { level: HealthLevel::Ok, reason: String::new(), since_ms: now_ms };
            health::update(kept.task_health.entry(task).or_insert_with(new), assessment, now_ms);
        }
    }

    fn status_of(&self, name: &ConnectorName, kept: &Kept) -> ConnectorStatus {
        let entry = &kept.entry;
        let task = |(task, published): (u32, &TaskEntry)| {
            let meters = kept.meters.get(&task);
            TaskStatus {
                id: TaskId { connector: name.clone(), task },
                state: published.state,
                trace: published.trace.clone(),
                worker_id: self.worker_id.clone(),
                version: entry.version.clone(),
                health: kept.task_health.get(&task).unwrap_or(&kept.health).clone(),
                retry: meters.and_then(|meters| meters.retry()),
                metrics: meters.map(|meters| meters.read()).unwrap_or_default(),
            }
        };
        ConnectorStatus {
            name: name.clone(),
            kind: entry.kind,
            class: entry.config.get("connector.class").unwrap_or_default().to_owned(),
            version: entry.version.clone(),
            digest: entry.digest.clone(),
            target: entry.target,
            state: entry.state,
            trace: entry.trace.clone(),
            worker_id: self.worker_id.clone(),
            tasks: (0u32..).zip(&entry.tasks).map(task).collect(),
            health: kept.health.clone(),
            owner: entry.owner.clone(),
            rejected: entry.rejected.clone(),
            findings: entry.findings.clone(),
            notes: entry.notes.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ConnectorName, Kept>> {
        self.connectors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn task_id(name: &ConnectorName, task: usize) -> TaskId {
    TaskId { connector: name.clone(), task: u32::try_from(task).unwrap_or(u32::MAX) }
}
