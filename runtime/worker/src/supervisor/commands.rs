//! Commands of REST and the command line. Each answers when its change is durable in the log.

use std::collections::BTreeMap;

use towpath_config::withhold_literals;
use towpath_log::Commit;
use towpath_model::{Config, ConnectorName, ConnectorState, TargetState, TaskId, TaskState};

use super::connector::with_name;
use super::driver::Supervisor;
use super::machine::Event;
use crate::answers::{ConnectorInfo, ConnectorStatus, Owner, Put};
use crate::error::{Error, Result};
use crate::handle::{Command, Reply};
use crate::positions::Positions;
use crate::store::{OffsetTopics, Ownership, Stored};

impl Supervisor {
    pub(super) async fn command(&mut self, command: Command) {
        match command {
            Command::Create { name, config, initial, positions, reply } => {
                answer(reply, self.create(&name, config, initial, positions).await);
            }
            Command::Put { name, config, reply } => answer(reply, self.put(&name, config).await),
            Command::Patch { name, patch, reply } => answer(reply, self.patch(&name, patch).await),
            Command::Delete { name, reply } => match self.may_change(&name) {
                Ok(()) => match self.delete(&name).await {
                    Ok(()) => self.deletions.push((name.clone(), reply)),
                    Err(error) => answer(reply, Err(error)),
                },
                Err(error) => answer(reply, Err(error)),
            },
            Command::Target { name, target, reply } => answer(reply, self.target(&name, target).await),
            Command::ResetTopics { name, reply } => {
                self.forget_topics(&name);
                answer(reply, Ok(()));
            }
            Command::Restart { name, include_tasks, only_failed, reply } => {
                answer(reply, self.restart(&name, include_tasks, only_failed));
            }
            Command::AlterOffsets { name, positions, reply } => answer(reply, self.alter(&name, positions).await),
            Command::RestartTask { task, reply } => answer(reply, self.restart_task(&task)),
            Command::Folder { reading, reply } => answer(reply, self.apply(*reading).await),
            Command::PluginsChanged => self.plugins_changed(),
        }
        self.end_deletions();
    }

    async fn create(
        &mut self,
        name: &ConnectorName,
        config: Config,
        target: TargetState,
        positions: Option<Positions>,
    ) -> Result<ConnectorInfo> {
        if self.connectors.get(name).is_some_and(|connector| !connector.deleting) {
            return Err(Error::Exists(name.clone()));
        }
        let config = self.storable(name, &config)?;
        self.configure(name, Stored { config, owner: Ownership::API, target, tasks: 0 }, positions).await?;
        self.info(name)
    }

    async fn put(&mut self, name: &ConnectorName, config: Config) -> Result<Put> {
        let known = self.connectors.get(name).filter(|connector| !connector.deleting);
        let Some(connector) = known else {
            let connector = self.create(name, config, TargetState::Started, None).await?;
            return Ok(Put { created: true, connector });
        };
        let (target, tasks) = (connector.machine.target(), connector.stored.tasks);
        self.may_change(name)?;
        let config = self.storable(name, &config)?;
        self.configure(name, Stored { config, owner: Ownership::API, target, tasks }, None).await?;
        Ok(Put { created: false, connector: self.info(name)? })
    }

    /// The configuration with its name in it, and with references in place of secrets that stood there as they are.
    fn storable(&self, name: &ConnectorName, config: &Config) -> Result<Config> {
        let mut config = with_name(config, name);
        if let Some(store) = &self.config.secrets.store
            && let Ok(plugin) = self.shared.plugins.find(config.get("connector.class").unwrap_or_default())
        {
            withhold_literals(name.as_str(), &mut config, plugin.spec(), store).map_err(|error| Error::State {
                topic: "the secret store".into(),
                key: name.to_string(),
                reason: error.to_string(),
            })?;
        }
        Ok(config)
    }

    async fn patch(&mut self, name: &ConnectorName, patch: BTreeMap<String, Option<String>>) -> Result<ConnectorInfo> {
        let known = self.connectors.get(name).filter(|connector| !connector.deleting);
        let mut config = known.ok_or_else(|| Error::NotFound(name.clone()))?.stored.config.clone();
        for (key, value) in patch {
            match value {
                Some(value) => config.set(key, value),
                None => drop(config.0.remove(&key)),
            }
        }
        Ok(self.put(name, config).await?.connector)
    }

    /// Stores a configuration, with positions to begin at, and gives it to the connector, new or not.
    pub(super) async fn configure(
        &mut self,
        name: &ConnectorName,
        stored: Stored,
        positions: Option<Positions>,
    ) -> Result<()> {
        let beside = self.positions_commit(name, &stored.config, positions.as_ref());
        self.configs.put(name, &stored, beside).await?;
        self.positions_durable(name, positions);
        match self.connectors.get_mut(name) {
            Some(connector) if connector.deleting => connector.recreate = Some(stored),
            Some(connector) => {
                let same = connector.stored.config == stored.config && !connector.held;
                connector.stored = stored;
                connector.rejected = None;
                connector.notes.clear();
                connector.held = false;
                if same {
                    self.publish(name);
                } else {
                    self.on(name, Event::Configured);
                }
            }
            None => self.add(name.clone(), stored, false),
        }
        Ok(())
    }

    /// Writes where a connector is to go on. Invariant 2: offsets go back only here, and only while nothing of it runs.
    async fn alter(&mut self, name: &ConnectorName, positions: Positions) -> Result<()> {
        let known = self.connectors.get(name).filter(|connector| !connector.deleting);
        let connector = known.ok_or_else(|| Error::NotFound(name.clone()))?;
        if !connector.is_stopped() || connector.machine.tasks().next().is_some() {
            return Err(Error::NotStopped(name.clone()));
        }
        let commit = self.positions_commit(name, &connector.stored.config, Some(&positions));
        self.shared.log.commit_atomic(commit).await?;
        tracing::info!(connector = %name, "offsets were changed by an operator");
        self.positions_durable(name, Some(positions));
        Ok(())
    }

    fn positions_commit(&self, name: &ConnectorName, config: &Config, positions: Option<&Positions>) -> Commit {
        match positions {
            None => Commit::default(),
            Some(Positions::Sink(offsets)) => Commit { group_offsets: offsets.clone(), ..Commit::default() },
            Some(Positions::Source(checkpoints)) => {
                let topics = OffsetTopics::new(&self.shared.offsets_topic, config);
                let records = topics.records(self.shared.log.as_ref(), name, checkpoints);
                Commit { records, ..Commit::default() }
            }
        }
    }

    fn positions_durable(&self, name: &ConnectorName, positions: Option<Positions>) {
        if let Some(Positions::Source(checkpoints)) = positions {
            self.shared.offsets.durable(name, &checkpoints);
        }
    }

    /// Takes a connector out of the log, and then lets its tasks end. Its offsets stay.
    pub(super) async fn delete(&mut self, name: &ConnectorName) -> Result<()> {
        let known = self.connectors.get(name).filter(|connector| !connector.deleting);
        let connector = known.ok_or_else(|| Error::NotFound(name.clone()))?;
        self.configs.delete(name, connector.stored.tasks).await?;
        if let Some(store) = &self.config.secrets.store
            && let Err(error) = store.remove(name.as_str())
        {
            tracing::warn!(connector = %name, %error, "secrets of a deleted connector were not removed");
        }
        if let Some(connector) = self.connectors.get_mut(name) {
            connector.deleting = true;
        }
        self.on(name, Event::Delete);
        Ok(())
    }

    /// Deletions whose connector is gone already, because nothing of it ran.
    fn end_deletions(&mut self) {
        let (waiting, done) = std::mem::take(&mut self.deletions)
            .into_iter()
            .partition(|(name, _)| self.connectors.get(name).is_some_and(|connector| connector.deleting));
        self.deletions = waiting;
        let done: Vec<(ConnectorName, Reply<()>)> = done;
        done.into_iter().for_each(|(_, reply)| answer(reply, Ok(())));
    }

    async fn target(&mut self, name: &ConnectorName, target: TargetState) -> Result<()> {
        let known = self.connectors.get_mut(name).filter(|connector| !connector.deleting);
        let connector = known.ok_or_else(|| Error::UnknownConnector(name.clone()))?;
        if connector.stored.target != target {
            self.configs.target(name, target).await?;
            connector.stored.target = target;
        }
        self.on(name, Event::Target(target));
        Ok(())
    }

    fn restart(&mut self, name: &ConnectorName, include_tasks: bool, only_failed: bool) -> Result<ConnectorStatus> {
        if self.connectors.get(name).is_none_or(|connector| connector.deleting) {
            return Err(Error::UnknownToRestart(name.clone()));
        }
        // What is to be restarted is shown as that: what failed may start at once.
        let mut planned = self.shared.board.status(name).ok_or_else(|| Error::NoStatus(name.clone()))?;
        if !only_failed || planned.state == ConnectorState::Failed {
            planned.state = ConnectorState::Restarting;
        }
        if include_tasks {
            for task in planned.tasks.iter_mut().filter(|task| !only_failed || task.state == TaskState::Failed) {
                task.state = TaskState::Restarting;
            }
        }
        self.on(name, Event::Restart { include_tasks, only_failed });
        Ok(planned)
    }

    fn restart_task(&mut self, task: &TaskId) -> Result<()> {
        let connector = self.connectors.get(&task.connector).filter(|connector| !connector.deleting);
        let connector = connector.ok_or_else(|| Error::UnknownToRestart(task.connector.clone()))?;
        if connector.machine.tasks().nth(task.task as usize).is_none() {
            return Err(Error::UnknownTask(task.clone()));
        }
        self.on(&task.connector, Event::RestartTask { task: task.task });
        Ok(())
    }

    fn may_change(&self, name: &ConnectorName) -> Result<()> {
        let known = self.connectors.get(name).filter(|connector| !connector.deleting);
        let connector = known.ok_or_else(|| Error::NotFound(name.clone()))?;
        match &connector.stored.owner.owner {
            Owner::Api => Ok(()),
            Owner::File { path } => Err(Error::FileOwned { name: name.clone(), file: path.clone() }),
        }
    }

    fn info(&self, name: &ConnectorName) -> Result<ConnectorInfo> {
        self.shared.board.connector(name).ok_or_else(|| Error::NotFound(name.clone()))
    }
}

fn answer<T>(reply: Reply<T>, result: Result<T>) {
    // Whoever asked may have gone away; the change stands.
    drop(reply.send(result));
}
