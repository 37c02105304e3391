//! What becomes of one connector: planned, started, paused, stopped, restarted. Pure: no clock, no IO, no async.
//!
//! ```text
//! configured ─ Plan ─▶ planned ─ StartTask ─▶ tasks run ─ ended ─▶ waiting ─ StartTask ─▶ …
//!      ▲                                          │
//!      └────── tasks ended ◀── StopTask ◀─────────┘ changed, stopped, deleted
//! ```
//! A new plan is made only when no task of the old one runs, so two configurations never run side by side. Every task start has a
//! number of its own, and what an earlier start still has to say is passed over.

use std::time::Duration;

use towpath_model::{ConnectorState, TargetState, TaskState};

use crate::config::Restarts;
use crate::task::Wanted;

/// What failed and whether trying again by itself could help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) trace: String,
    pub(crate) restart: bool,
}

/// What can happen to a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It has a configuration, a first or another one; or its plan should change.
    Configured,
    Target(TargetState),
    /// Its task configurations are there; how many.
    Planned {
        plan: u64,
        tasks: u32,
    },
    PlanFailed {
        plan: u64,
        fault: Fault,
    },
    TaskOpened {
        task: u32,
        start: u64,
    },
    TaskStopped {
        task: u32,
        start: u64,
    },
    TaskFailed {
        task: u32,
        start: u64,
        fault: Fault,
        ran: Duration,
    },
    /// The wait before a new start or plan is over.
    WaitOver {
        wait: u64,
    },
    Restart {
        include_tasks: bool,
        only_failed: bool,
    },
    RestartTask {
        task: u32,
    },
    /// It is to be no more.
    Delete,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Plan {
        plan: u64,
    },
    StartTask {
        task: u32,
        start: u64,
        wanted: Wanted,
    },
    Want {
        task: u32,
        wanted: Wanted,
    },
    /// Wait before the `attempt`-th new start in a row.
    Wait {
        wait: u64,
        attempt: u32,
    },
    /// Nothing of it runs any more.
    Deleted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Plan {
    /// Not made, or to be made again once no task runs.
    Due,
    UnderWay(u64),
    Made,
    Failed {
        trace: String,
        wait: Option<u64>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Running {
        start: u64,
        open: bool,
    },
    /// Told to stop; `again` says whether it starts anew after that.
    Stopping {
        start: u64,
        again: bool,
    },
    /// Ended, and to be started anew when the wait is over.
    Waiting {
        wait: u64,
    },
    /// Ended for good.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Task {
    phase: Phase,
    /// New starts in a row.
    attempt: u32,
    trace: Option<String>,
}

/// The state of one connector.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    restarts: Restarts,
    target: TargetState,
    plan: Plan,
    plan_attempt: u32,
    tasks: Vec<Task>,
    deleting: bool,
    numbers: u64,
}

impl Machine {
    /// A connector of which nothing runs. Its plans, starts and waits are numbered from `numbers` on: whoever bears the name of one
    /// that was deleted must not take what was meant for that one for its own.
    pub(crate) fn new(target: TargetState, restarts: Restarts, numbers: u64) -> Self {
        Self { restarts, target, plan: Plan::Due, plan_attempt: 0, tasks: Vec::new(), deleting: false, numbers }
    }

    pub(crate) fn target(&self) -> TargetState {
        self.target
    }

    /// Whether this is the plan that is waited for, and not one that was overtaken by another.
    pub(crate) fn awaits(&self, plan: u64) -> bool {
        self.plan == Plan::UnderWay(plan)
    }

    /// Whether a plan stands.
    pub(crate) fn is_planned(&self) -> bool {
        self.plan == Plan::Made
    }

    /// Connect's state of the connector, and why it failed.
    pub(crate) fn state(&self) -> (ConnectorState, Option<&str>) {
        let state = match (self.target, &self.plan) {
            (_, Plan::Failed { trace, .. }) if self.target != TargetState::Stopped => {
                return (ConnectorState::Failed, Some(trace));
            }
            (TargetState::Stopped, _) => ConnectorState::Stopped,
            (TargetState::Paused, _) => ConnectorState::Paused,
            (TargetState::Started, Plan::Made) => ConnectorState::Running,
            (TargetState::Started, _) => ConnectorState::Unassigned,
        };
        (state, None)
    }

    /// Connect's states of the tasks, and why they failed.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = (TaskState, Option<&str>)> {
        self.tasks.iter().map(|task| {
            let state = match (&task.phase, self.target) {
                (Phase::Failed, _) => TaskState::Failed,
                (Phase::Waiting { .. } | Phase::Stopping { again: true, .. }, _) => TaskState::Restarting,
                (_, TargetState::Paused) => TaskState::Paused,
                (Phase::Running { open: true, .. } | Phase::Stopping { .. }, _) => TaskState::Running,
                (Phase::Running { open: false, .. }, _) => TaskState::Unassigned,
            };
            (state, task.trace.as_deref())
        })
    }

    /// The start under which a task runs.
    pub(crate) fn running(&self, task: u32) -> Option<u64> {
        match self.tasks.get(task as usize)?.phase {
            Phase::Running { start, .. } | Phase::Stopping { start, .. } => Some(start),
            Phase::Waiting { .. } | Phase::Failed => None,
        }
    }

    /// Takes in an event and says what to do.
    pub(crate) fn on(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Configured => {
                self.plan_attempt = 0;
                self.replan()
            }
            Event::Target(target) => self.retarget(target),
            Event::Planned { plan, tasks } => self.planned(plan, tasks),
            Event::PlanFailed { plan, fault } => self.plan_failed(plan, fault),
            Event::TaskOpened { task, start } => {
                if let Some(Task { phase: Phase::Running { start: running, open }, .. }) =
                    self.tasks.get_mut(task as usize)
                    && *running == start
                {
                    *open = true;
                }
                vec![]
            }
            Event::TaskStopped { task, start } => self.task_ended(task, start, None, Duration::ZERO),
            Event::TaskFailed { task, start, fault, ran } => self.task_ended(task, start, Some(fault), ran),
            Event::WaitOver { wait } => self.wait_over(wait),
            Event::Restart { include_tasks, only_failed } => self.restart(include_tasks, only_failed),
            Event::RestartTask { task } => self.restart_task(task).into_iter().collect(),
            Event::Delete => {
                self.deleting = true;
                self.replan()
            }
        }
    }

    /// Stops all tasks, and makes a new plan when they have ended.
    fn replan(&mut self) -> Vec<Action> {
        self.plan = Plan::Due;
        let mut actions = Vec::new();
        for (number, task) in (0u32..).zip(&mut self.tasks) {
            if let Phase::Running { start, .. } | Phase::Stopping { start, .. } = task.phase {
                if matches!(task.phase, Phase::Running { .. }) {
                    actions.push(Action::Want { task: number, wanted: Wanted::Stop });
                }
                task.phase = Phase::Stopping { start, again: false };
            }
        }
        actions.extend(self.settle());
        actions
    }

    /// Once no task runs: deleted, at rest, or a new plan.
    fn settle(&mut self) -> Vec<Action> {
        if self.plan != Plan::Due || (0u32..).zip(&self.tasks).any(|(task, _)| self.running(task).is_some()) {
            return vec![];
        }
        if self.deleting {
            self.tasks.clear();
            return vec![Action::Deleted];
        }
        self.tasks.clear();
        if self.target == TargetState::Stopped {
            return vec![];
        }
        let plan = self.number();
        self.plan = Plan::UnderWay(plan);
        vec![Action::Plan { plan }]
    }

    fn retarget(&mut self, target: TargetState) -> Vec<Action> {
        let before = std::mem::replace(&mut self.target, target);
        if before == target || self.deleting {
            return vec![];
        }
        match (before, target) {
            (_, TargetState::Stopped) => self.replan(),
            (TargetState::Stopped, _) => {
                self.plan_attempt = 0;
                if self.plan == Plan::Due { self.settle() } else { vec![] }
            }
            _ => {
                let wanted = self.wanted();
                let running = |(number, task): (u32, &Task)| {
                    matches!(task.phase, Phase::Running { .. }).then_some(Action::Want { task: number, wanted })
                };
                (0u32..).zip(&self.tasks).filter_map(running).collect()
            }
        }
    }

    fn planned(&mut self, plan: u64, tasks: u32) -> Vec<Action> {
        if !self.awaits(plan) {
            return vec![];
        }
        self.plan = Plan::Made;
        self.plan_attempt = 0;
        let wanted = self.wanted();
        (0..tasks)
            .map(|task| {
                let start = self.number();
                self.tasks.push(Task { phase: Phase::Running { start, open: false }, attempt: 0, trace: None });
                Action::StartTask { task, start, wanted }
            })
            .collect()
    }

    fn plan_failed(&mut self, plan: u64, fault: Fault) -> Vec<Action> {
        if !self.awaits(plan) {
            return vec![];
        }
        let again = fault.restart && self.plan_attempt < self.restarts.budget;
        let wait = again.then(|| self.number());
        self.plan = Plan::Failed { trace: fault.trace, wait };
        self.plan_attempt += u32::from(again);
        let attempt = self.plan_attempt;
        wait.map(|wait| Action::Wait { wait, attempt }).into_iter().collect()
    }

    fn task_ended(&mut self, task: u32, start: u64, fault: Option<Fault>, ran: Duration) -> Vec<Action> {
        if self.running(task) != Some(start) {
            return vec![];
        }
        let wanted = self.wanted();
        let (wait, next) = (self.number(), self.number());
        let (budget, healthy_after) = (self.restarts.budget, self.restarts.healthy_after);
        let Some(ended) = self.tasks.get_mut(task as usize) else { return vec![] };
        let mut actions = Vec::new();
        match (&ended.phase, fault) {
            (Phase::Stopping { again: true, .. }, _) => {
                *ended = Task { phase: Phase::Running { start: next, open: false }, attempt: 0, trace: None };
                actions.push(Action::StartTask { task, start: next, wanted });
            }
            (Phase::Stopping { .. }, _) => ended.phase = Phase::Failed,
            (_, Some(fault)) => {
                if ran >= healthy_after {
                    ended.attempt = 0;
                }
                ended.trace = Some(fault.trace);
                if fault.restart && ended.attempt < budget {
                    ended.attempt += 1;
                    ended.phase = Phase::Waiting { wait };
                    actions.push(Action::Wait { wait, attempt: ended.attempt });
                } else {
                    ended.phase = Phase::Failed;
                }
            }
            (_, None) => {
                ended.trace = Some("the task ended without being told to".to_owned());
                ended.phase = Phase::Failed;
            }
        }
        actions.extend(self.settle());
        actions
    }

    fn wait_over(&mut self, wait: u64) -> Vec<Action> {
        if self.plan_waits(wait) {
            self.plan = Plan::Due;
            return self.settle();
        }
        let found = (0u32..).zip(&self.tasks).find(|(_, task)| task.phase == Phase::Waiting { wait });
        let Some((task, _)) = found else { return vec![] };
        self.start(task).into_iter().collect()
    }

    fn plan_waits(&self, over: u64) -> bool {
        matches!(self.plan, Plan::Failed { wait: Some(wait), .. } if wait == over)
    }

    fn restart(&mut self, include_tasks: bool, only_failed: bool) -> Vec<Action> {
        if self.deleting || self.target == TargetState::Stopped {
            return vec![];
        }
        if matches!(self.plan, Plan::Failed { .. }) {
            self.plan_attempt = 0;
            return self.replan();
        }
        if !include_tasks {
            return vec![];
        }
        let wanted = |task: &Task| !only_failed || matches!(task.phase, Phase::Failed | Phase::Waiting { .. });
        let tasks: Vec<u32> =
            (0u32..).zip(&self.tasks).filter(|(_, task)| wanted(task)).map(|(number, _)| number).collect();
        tasks.into_iter().filter_map(|task| self.restart_task(task)).collect()
    }

    /// Restarts a task that runs, waits or has failed; a person who asks for it gives it a new budget.
    fn restart_task(&mut self, number: u32) -> Option<Action> {
        if self.plan != Plan::Made || self.deleting {
            return None;
        }
        let task = self.tasks.get_mut(number as usize)?;
        task.attempt = 0;
        match task.phase {
            Phase::Running { start, .. } => {
                task.phase = Phase::Stopping { start, again: true };
                Some(Action::Want { task: number, wanted: Wanted::Stop })
            }
            Phase::Stopping { start, .. } => {
                task.phase = Phase::Stopping { start, again: true };
                None
            }
            Phase::Waiting { .. } | Phase::Failed => self.start(number),
        }
    }

    fn start(&mut self, number: u32) -> Option<Action> {
        let (start, wanted) = (self.number(), self.wanted());
        let task = self.tasks.get_mut(number as usize)?;
        task.phase = Phase::Running { start, open: false };
        Some(Action::StartTask { task: number, start, wanted })
    }

    fn wanted(&self) -> Wanted {
        match self.target {
            TargetState::Started => Wanted::Run,
            TargetState::Paused => Wanted::Pause,
            TargetState::Stopped => Wanted::Stop,
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

#[cfg(test)]
mod tests;
