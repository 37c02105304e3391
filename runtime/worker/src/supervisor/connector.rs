//! One connector as the supervisor holds it: its machine, what it is configured with, its running tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use towpath_config::Finding;
use towpath_model::{Config, ConnectorName, ConnectorState, Plugin, TargetState, TaskId, TaskState};

use super::machine::Machine;
use super::start::Planned;
use crate::board::{Entry, TaskEntry};
use crate::config::Restarts;
use crate::store::{StatusBook, Stored};
use crate::task::Wanted;

/// One connector.
pub(super) struct Connector {
    pub(super) name: ConnectorName,
    pub(super) machine: Machine,
    pub(super) stored: Stored,
    pub(super) planned: Option<Planned>,
    /// Its plugin as far as it is known, also while no plan stands.
    pub(super) plugin: Option<Arc<dyn Plugin>>,
    /// How running tasks hear what is wanted of them.
    pub(super) wanted: BTreeMap<u32, watch::Sender<Wanted>>,
    pub(super) rejected: Option<String>,
    /// What was found when it was last planned.
    pub(super) findings: Vec<Finding>,
    pub(super) notes: Vec<String>,
    /// It is being deleted, and is to be made anew from this when that is done.
    pub(super) recreate: Option<Stored>,
    pub(super) deleting: bool,
    /// Held back until the folder has been applied for the first time.
    pub(super) held: bool,
    /// It has asked for a new plan that is yet to be made.
    pub(super) wishes: bool,
    /// When it last got one that it had asked for.
    pub(super) wish_granted: Option<Duration>,
    generation: u64,
    told: Option<(ConnectorState, Option<String>)>,
    told_tasks: Vec<(TaskState, Option<String>)>,
}

impl Connector {
    pub(super) fn new(name: ConnectorName, stored: Stored, restarts: Restarts, numbers: u64) -> Self {
        Self {
            machine: Machine::new(stored.target, restarts, numbers),
            name,
            stored,
            planned: None,
            plugin: None,
            wanted: BTreeMap::new(),
            rejected: None,
            findings: Vec::new(),
            notes: Vec::new(),
            recreate: None,
            deleting: false,
            held: false,
            wishes: false,
            wish_granted: None,
            generation: 0,
            told: None,
            told_tasks: Vec::new(),
        }
    }

    pub(super) fn task(&self, task: u32) -> TaskId {
        TaskId { connector: self.name.clone(), task }
    }

    /// A plan stands.
    pub(super) fn planned(&mut self, planned: Planned) {
        self.generation += 1;
        self.plugin = Some(planned.plugin.clone());
        self.planned = Some(planned);
    }

    /// What the board shows.
    pub(super) fn entry(&self) -> Entry {
        let (state, trace) = self.machine.state();
        let configs = self.planned.as_ref().map(|planned| planned.shown.as_slice()).unwrap_or_default();
        let task = |(number, (state, trace)): (usize, (TaskState, Option<&str>))| TaskEntry {
            config: configs.get(number).cloned().unwrap_or_default(),
            state,
            trace: trace.map(str::to_owned),
        };
        let spec = self.plugin.as_ref().map(|plugin| plugin.spec());
        Entry {
            config: with_name(&self.stored.config, &self.name),
            owner: self.stored.owner.owner.clone(),
            kind: spec.map(|spec| spec.kind),
            version: spec.map(|spec| spec.version.clone()),
            digest: self.plugin.as_ref().map(|plugin| plugin.digest().to_owned()),
            target: self.machine.target(),
            state,
            trace: trace.map(str::to_owned),
            tasks: self.machine.tasks().enumerate().map(task).collect(),
            rejected: self.rejected.clone(),
            findings: self.findings.clone(),
            notes: self.notes.clone(),
            secret_files: self.planned.as_ref().map(|planned| planned.files.clone()).unwrap_or_default(),
        }
    }

    /// Writes into the book what has changed since the last time.
    pub(super) fn report(&mut self, book: &StatusBook) {
        let (state, trace) = self.machine.state();
        let told = (state, trace.map(str::to_owned));
        if self.told.as_ref() != Some(&told) {
            book.connector(&self.name, connector_word(state), told.1.as_deref(), self.generation);
            self.told = Some(told);
        }
        let tasks: Vec<_> = self.machine.tasks().map(|(state, trace)| (state, trace.map(str::to_owned))).collect();
        for (number, told) in (0u32..).zip(&tasks) {
            if self.told_tasks.get(number as usize) != Some(told) {
                book.task(&self.task(number), task_word(told.0), told.1.as_deref(), self.generation);
            }
        }
        for number in tasks.len()..self.told_tasks.len() {
            book.forget_task(&self.task(u32::try_from(number).unwrap_or(u32::MAX)));
        }
        self.told_tasks = tasks;
    }

    /// Takes back what was reported.
    pub(super) fn forget(&mut self, book: &StatusBook) {
        book.forget_connector(&self.name);
        for number in 0..self.told_tasks.len() {
            book.forget_task(&self.task(u32::try_from(number).unwrap_or(u32::MAX)));
        }
    }

    /// Whether the class names a version or a file, so that a replaced plugin does not concern it.
    pub(super) fn pins_its_plugin(&self) -> bool {
        self.stored.config.get("connector.class").is_some_and(|class| class.contains('@'))
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.machine.target() == TargetState::Stopped
    }
}

/// Connect adds the name to the configuration where it is missing.
pub(super) fn with_name(config: &Config, name: &ConnectorName) -> Config {
    let mut config = config.clone();
    if config.get("name").is_none() {
        config.set("name", name.as_str());
    }
    config
}

fn connector_word(state: ConnectorState) -> &'static str {
    match state {
        ConnectorState::Unassigned => "UNASSIGNED",
        ConnectorState::Running => "RUNNING",
        ConnectorState::Paused => "PAUSED",
        ConnectorState::Stopped => "STOPPED",
        ConnectorState::Failed => "FAILED",
        ConnectorState::Restarting => "RESTARTING",
    }
}

fn task_word(state: TaskState) -> &'static str {
    match state {
        TaskState::Unassigned => "UNASSIGNED",
        TaskState::Running => "RUNNING",
        TaskState::Paused => "PAUSED",
        TaskState::Failed => "FAILED",
        TaskState::Restarting => "RESTARTING",
    }
}
