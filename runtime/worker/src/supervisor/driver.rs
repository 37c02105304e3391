//! Carries out what the machines of the connectors decide: plans, starts and stops tasks, waits, publishes.
//!
//! Commands are in `commands.rs`, the folder in `folder.rs`. Nothing here touches records, and nothing in the data plane waits
//! for this loop.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use towpath_config::{Document, Finding};
use towpath_model::{ConnectorName, TaskId};

use super::connector::{Connector, with_name};
use super::machine::{Action, Event, Fault};
use super::start::{self, Planned, Unplanned};
use crate::answers::ErrorEntry;
use crate::backoff::Backoff;
use crate::config::WorkerConfig;
use crate::handle::Command;
use crate::meters::SAMPLE_INTERVAL;
use crate::settings::RetrySettings;
use crate::store::{ConfigStore, Stored, TaskMemory};
use crate::task::{Failure, Notice, Outcome, Shared, Task, Wanted};

/// The least time between two new plans that a connector asks for itself.
const WISH_PAUSE: Duration = Duration::from_secs(10);
/// How many plans, starts and waits a connector may number before the numbers of the next one begin.
const NUMBERS_OF_ONE: u64 = 1 << 40;
/// Notices of tasks that may wait for the supervisor.
const NOTICES_MAX: usize = 256;

/// What the supervisor starts with.
pub(crate) struct Given {
    pub(crate) config: WorkerConfig,
    pub(crate) shared: Shared,
    pub(crate) configs: ConfigStore,
    pub(crate) stored: BTreeMap<ConnectorName, Stored>,
    pub(crate) memories: HashMap<TaskId, TaskMemory>,
    pub(crate) seed: u64,
}

/// A task that has ended.
struct Ended {
    id: TaskId,
    start: u64,
    outcome: Outcome,
    ran: Duration,
}

/// A task that runs.
struct Running {
    id: TaskId,
    start: u64,
    abort: AbortHandle,
}

type PlanEnded = (ConnectorName, u64, Result<(Planned, Vec<Finding>), Unplanned>);

/// Supervises all connectors.
pub(crate) struct Supervisor {
    pub(super) config: WorkerConfig,
    pub(super) shared: Shared,
    pub(super) configs: ConfigStore,
    memories: HashMap<TaskId, TaskMemory>,
    pub(super) connectors: BTreeMap<ConnectorName, Connector>,
    /// From where the next connector numbers what it begins.
    numbers: u64,
    tasks: JoinSet<Ended>,
    /// The tasks that run, so that what is cut off is known by name.
    running: HashMap<tokio::task::Id, Running>,
    /// Tasks that were told to stop, at the end of their grace.
    overdue: FuturesUnordered<BoxFuture<'static, (TaskId, u64)>>,
    plans: JoinSet<PlanEnded>,
    waits: FuturesUnordered<BoxFuture<'static, (ConnectorName, u64)>>,
    /// Wishes for new plans that came too soon after the last one.
    wishes: FuturesUnordered<BoxFuture<'static, ConnectorName>>,
    notices_in: mpsc::Sender<(TaskId, Notice)>,
    notices: mpsc::Receiver<(TaskId, Notice)>,
    random: StdRng,
    /// The documents of the folder by connector, for the places of what is found in them.
    pub(super) documents: HashMap<ConnectorName, Document>,
    /// Answers that wait for the end of a deletion.
    pub(super) deletions: Vec<(ConnectorName, crate::handle::Reply<()>)>,
}

impl Supervisor {
    pub(crate) fn new(given: Given) -> Self {
        let Given { config, shared, configs, stored, memories, seed } = given;
        let (notices_in, notices) = mpsc::channel(NOTICES_MAX);
        let mut supervisor = Self {
            connectors: BTreeMap::new(),
            numbers: 0,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            overdue: FuturesUnordered::new(),
            plans: JoinSet::new(),
            waits: FuturesUnordered::new(),
            wishes: FuturesUnordered::new(),
            notices_in,
            notices,
            random: StdRng::seed_from_u64(seed),
            documents: HashMap::new(),
            deletions: Vec::new(),
            config,
            shared,
            configs,
            memories,
        };
        for (name, stored) in stored {
            supervisor.add(name, stored, true);
        }
        supervisor
    }

    /// Runs until told to stop, then drains.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut shutdown: watch::Receiver<bool>) {
        let stop = async move { drop(shutdown.wait_for(|stop| *stop).await) };
        let mut stop = std::pin::pin!(stop);
        let mut tick = tokio::time::interval(SAMPLE_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut stop => break,
                command = commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => break,
                },
                Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => self.joined(ended),
                Some((task, start)) = self.overdue.next(), if !self.overdue.is_empty() => self.cut_off(&task, start),
                Some(planned) = self.plans.join_next(), if !self.plans.is_empty() => match planned {
                    Ok(planned) => self.plan_ended(planned).await,
                    Err(error) => tracing::error!("a plan was cut off: {error}"),
                },
                Some((name, wait)) = self.waits.next(), if !self.waits.is_empty() => {
                    self.on(&name, Event::WaitOver { wait });
                }
                Some(name) = self.wishes.next(), if !self.wishes.is_empty() => self.wish_granted(&name),
                Some((task, notice)) = self.notices.recv() => self.notice(&task, notice),
                _ = tick.tick() => self.shared.board.tick(),
            }
        }
        commands.close();
        self.drain().await;
    }

    /// Takes a connector in. With `restored`, one that a folder governs is held back until that has been applied.
    pub(super) fn add(&mut self, name: ConnectorName, stored: Stored, restored: bool) {
        let of_file = matches!(stored.owner.owner, crate::answers::Owner::File { .. });
        let class = stored.config.get("connector.class").unwrap_or_default();
        let plugin = self.shared.plugins.find(class).ok();
        let mut connector = Connector::new(name.clone(), stored, self.config.restarts.clone(), self.numbers);
        self.numbers += NUMBERS_OF_ONE;
        connector.plugin = plugin;
        connector.held = restored && of_file && self.config.folder;
        let held = connector.held;
        self.connectors.insert(name.clone(), connector);
        if held {
            self.publish(&name);
        } else {
            self.on(&name, Event::Configured);
        }
    }

    /// Feeds a connector's machine, carries out what it says, publishes.
    pub(super) fn on(&mut self, name: &ConnectorName, event: Event) {
        let Some(connector) = self.connectors.get_mut(name) else { return };
        let actions = connector.machine.on(event);
        for action in actions {
            self.perform(name, action);
        }
        self.publish(name);
    }

    pub(super) fn publish(&mut self, name: &ConnectorName) {
        if let Some(connector) = self.connectors.get_mut(name) {
            self.shared.board.publish(name, connector.entry());
            connector.report(&self.shared.status);
        }
    }

    fn perform(&mut self, name: &ConnectorName, action: Action) {
        match action {
            Action::Plan { plan } => self.plan(name, plan),
            Action::StartTask { task, start, wanted } => self.start_task(name, task, start, wanted),
            Action::Want { task, wanted } => {
                let connector = self.connectors.get(name);
                let Some(connector) = connector else { return };
                if let Some(sender) = connector.wanted.get(&task) {
                    sender.send_replace(wanted);
                }
                if let (Wanted::Stop, Some(start)) = (wanted, connector.machine.running(task)) {
                    let id = connector.task(task);
                    self.overdue.push(tokio::time::sleep(self.config.drain_timeout).map(move |()| (id, start)).boxed());
                }
            }
            Action::Wait { wait, attempt } => {
                let delay = self.restart_delay(attempt);
                let name = name.clone();
                tracing::info!(connector = %name, attempt, delay_ms = delay.as_millis() as u64, "starting again after a wait");
                self.waits.push(tokio::time::sleep(delay).map(move |()| (name, wait)).boxed());
            }
            Action::Deleted => self.deleted(name),
        }
    }

    fn plan(&mut self, name: &ConnectorName, plan: u64) {
        let Some(connector) = self.connectors.get(name) else { return };
        let (name, stored) = (name.clone(), connector.stored.clone());
        let (plugins, secrets) = (self.shared.plugins.clone(), self.config.secrets.clone());
        let limits = self.config.limits.clone();
        let document = self.document(&name, &stored);
        self.plans.spawn(async move {
            let planned =
                AssertUnwindSafe(start::plan(&document, &stored, &plugins, &secrets, &limits)).catch_unwind().await;
            let panicked = || Err(Unplanned::internal("planning ended by a panic of the worker"));
            (name, plan, planned.unwrap_or_else(|_| panicked()))
        });
    }

    /// A connector's configuration, with its places where it stands in a file of the folder.
    fn document(&self, name: &ConnectorName, stored: &Stored) -> Document {
        let of_file = self.documents.get(name).filter(|document| with_name(&document.config, name) == stored.config);
        of_file.cloned().unwrap_or_else(|| Document::of_config(name.as_str(), stored.config.clone()))
    }

    async fn plan_ended(&mut self, (name, plan, planned): PlanEnded) {
        // A plan that was overtaken, or is of a connector that was deleted, says nothing any more.
        let awaiting = self.connectors.get_mut(&name).filter(|connector| connector.machine.awaits(plan));
        let Some(connector) = awaiting else { return };
        match planned {
            Ok((planned, findings)) => {
                connector.findings = findings;
                let before = connector.stored.tasks;
                let shown = planned.shown.clone();
                let tasks = u32::try_from(shown.len()).unwrap_or(u32::MAX);
                connector.planned(planned);
                connector.stored.tasks = tasks;
                // Only for those who look at the topic: a start plans anew, so a refusal here is no reason to hold tasks up.
                if let Err(error) = self.configs.tasks(&name, &shown, before).await {
                    tracing::warn!(connector = %name, %error, "configurations of tasks were not stored");
                }
                self.on(&name, Event::Planned { plan, tasks });
            }
            Err(Unplanned { fault, findings }) => {
                let code = findings.first().map_or("worker.internal", |finding| finding.code.as_ref()).to_owned();
                connector.findings = findings;
                self.error(&name, None, &code, &fault.trace);
                self.on(&name, Event::PlanFailed { plan, fault });
            }
        }
    }

    fn start_task(&mut self, name: &ConnectorName, number: u32, start: u64, wanted: Wanted) {
        let seed = self.random.random();
        let Some(connector) = self.connectors.get_mut(name) else { return };
        let Some(planned) = &connector.planned else { return };
        let Some(config) = planned.tasks.get(number as usize) else { return };
        let id = TaskId { connector: name.clone(), task: number };
        let meters = self.shared.board.meters(&id);
        let taps = self.shared.board.taps(name).unwrap_or_default();
        let memory = self.memories.entry(id.clone()).or_default();
        let now_ms = u64::try_from(self.shared.clock.now_ms()).unwrap_or(0);
        if memory.epoch > 0 {
            meters.restarts.add(1);
        }
        // Epochs grow also across restarts of the worker whose last records were lost.
        memory.epoch = (memory.epoch + 1).max(now_ms);
        let resume = memory.retry.take();
        meters.set_retry(resume.clone());
        self.shared.status.remember(&id, memory.epoch, resume.as_ref());
        let (sender, receiver) = watch::channel(wanted);
        connector.wanted.insert(number, sender);
        let task = Task {
            shared: self.shared.clone(),
            id: id.clone(),
            tasks: u32::try_from(planned.tasks.len()).unwrap_or(u32::MAX),
            plugin: planned.plugin.clone(),
            config: config.clone(),
            redactor: planned.redactor.clone(),
            epoch: memory.epoch,
            seed,
            resume,
            meters,
            taps,
            traces: self.shared.traces(&id, planned.plugin.spec().kind),
            wanted: receiver,
            notices: self.notices_in.clone(),
        };
        let clock = self.shared.clock.clone();
        let running = id.clone();
        let abort = self.tasks.spawn(async move {
            let began = clock.monotonic();
            let outcome = Box::pin(AssertUnwindSafe(task.run()).catch_unwind()).await;
            let panicked = |_| Outcome::Failed(Failure::internal("the task ended by a panic of the worker"));
            let ran = clock.monotonic().saturating_sub(began);
            Ended { id, start, outcome: outcome.unwrap_or_else(panicked), ran }
        });
        self.running.insert(abort.id(), Running { id: running, start, abort });
    }

    fn joined(&mut self, joined: Result<(tokio::task::Id, Ended), JoinError>) {
        match joined {
            Ok((id, ended)) => {
                self.running.remove(&id);
                self.task_ended(ended);
            }
            Err(error) => {
                let Some(Running { id, start, .. }) = self.running.remove(&error.id()) else { return };
                self.on(&id.connector, Event::TaskStopped { task: id.task, start });
            }
        }
    }

    /// A task that does not stop when it is told to is dropped where it stands. What it had acknowledged is durable.
    fn cut_off(&mut self, task: &TaskId, start: u64) {
        let found = self.running.values().find(|running| running.id == *task && running.start == start);
        let Some(Running { abort, .. }) = found else { return };
        tracing::warn!(task = %task, "it did not stop in time and is cut off");
        abort.abort();
        self.error(
            &task.connector,
            Some(task.task),
            "worker.stop_timeout",
            "the task did not stop in time and was cut off",
        );
    }

    fn task_ended(&mut self, Ended { id, start, outcome, ran }: Ended) {
        let (name, task) = (id.connector.clone(), id.task);
        match outcome {
            Outcome::Stopped => self.on(&name, Event::TaskStopped { task, start }),
            Outcome::Failed(failure) => {
                tracing::error!(task = %id, code = failure.code, restart = failure.restart, "task failed: {}", failure.message);
                self.error(&name, Some(task), &failure.code, &failure.message);
                let fault = Fault { trace: failure.trace(), restart: failure.restart };
                self.on(&name, Event::TaskFailed { task, start, fault, ran });
            }
        }
    }

    fn notice(&mut self, task: &TaskId, notice: Notice) {
        let Some(connector) = self.connectors.get(&task.connector) else { return };
        match notice {
            Notice::Opened => {
                if let Some(start) = connector.machine.running(task.task) {
                    self.on(&task.connector, Event::TaskOpened { task: task.task, start });
                }
            }
            Notice::Reconfigure(reason) => {
                tracing::info!(connector = %task.connector, reason, "the connector asks for a new plan");
                self.wish(&task.connector);
            }
        }
    }

    /// A new plan stops and starts all tasks of its connector; one that asks for it again and again gets it at a bearable pace.
    fn wish(&mut self, name: &ConnectorName) {
        let now = self.shared.clock.monotonic();
        let Some(connector) = self.connectors.get_mut(name) else { return };
        let due = connector.wish_granted.map_or(now, |granted| granted + WISH_PAUSE);
        if std::mem::replace(&mut connector.wishes, true) {
            return;
        }
        let name = name.clone();
        self.wishes.push(tokio::time::sleep(due.saturating_sub(now)).map(move |()| name).boxed());
    }

    fn wish_granted(&mut self, name: &ConnectorName) {
        let Some(connector) = self.connectors.get_mut(name) else { return };
        (connector.wishes, connector.wish_granted) = (false, Some(self.shared.clock.monotonic()));
        self.on(name, Event::Configured);
    }

    fn deleted(&mut self, name: &ConnectorName) {
        let Some(mut connector) = self.connectors.remove(name) else { return };
        connector.forget(&self.shared.status);
        self.forget_topics(name);
        self.shared.board.remove(name);
        let (done, waiting) = std::mem::take(&mut self.deletions).into_iter().partition(|(deleted, _)| deleted == name);
        self.deletions = waiting;
        let done: Vec<(ConnectorName, crate::handle::Reply<()>)> = done;
        for (_, reply) in done {
            // Whoever asked may have gone away.
            drop(reply.send(Ok(())));
        }
        if let Some(stored) = connector.recreate {
            self.add(name.clone(), stored, false);
        }
    }

    pub(super) fn forget_topics(&self, name: &ConnectorName) {
        let topics = self.shared.board.take_topics(name);
        topics.iter().for_each(|topic| self.shared.status.forget_topic(topic, name));
    }

    fn restart_delay(&mut self, attempt: u32) -> Duration {
        let restarts = &self.config.restarts;
        let settings = RetrySettings { delay: restarts.delay, delay_max: restarts.delay_max, retries_max: None };
        let mut backoff = Backoff::new(settings, self.random.random());
        backoff.resume(attempt.saturating_sub(1));
        backoff.next(None).unwrap_or(restarts.delay_max)
    }

    pub(super) fn error(&self, name: &ConnectorName, task: Option<u32>, code: &str, message: &str) {
        let error = ErrorEntry {
            at_ms: self.shared.clock.now_ms(),
            task,
            stage: String::new(),
            code: code.to_owned(),
            message: message.to_owned(),
        };
        self.shared.board.error(name, error);
    }

    /// Invariant 7: tasks finish what they have begun and commit; only those that take too long are cut off.
    async fn drain(&mut self) {
        self.plans.shutdown().await;
        for connector in self.connectors.values() {
            for sender in connector.wanted.values() {
                sender.send_replace(Wanted::Stop);
            }
        }
        let tasks = &mut self.tasks;
        let drained = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.config.drain_timeout, drained).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "tasks did not end in time and are cut off");
        }
        self.tasks.shutdown().await;
        self.shared.status.flush(self.shared.log.as_ref()).await;
    }
}
