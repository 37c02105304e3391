//! What connectors are configured and wanted, in the topic `connect-configs`, with Kafka Connect's keys and JSON.
//!
//! | key | value |
//! |---|---|
//! | `connector-<name>` | `{"properties":{…}}`, references in place of secrets |
//! | `target-state-<name>` | `{"state":"STARTED"|"PAUSED","state.v2":"STARTED"|"PAUSED"|"STOPPED"}` |
//! | `task-<name>-<n>`, `commit-<name>` | as Connect: configurations of tasks, `{"tasks":n}` |
//! | `towpath-owner-<name>` | ours: `{"owner":{"file":{"path":…}},"index":n}` |
//!
//! Invariant 5: all records of one change are one commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use towpath_log::{Commit, LogEngine, records};
use towpath_model::{Batch, Config, ConnectorName, TargetState};

use crate::answers::Owner;
use crate::error::Result;

/// A connector as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) config: Config,
    pub(crate) owner: Ownership,
    pub(crate) target: TargetState,
    /// How many tasks have stored configurations.
    pub(crate) tasks: u32,
}

/// Who may change a connector, and for files, which document of the file it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ownership {
    pub(crate) owner: Owner,
    #[serde(default)]
    pub(crate) index: usize,
}

impl Ownership {
    pub(crate) const API: Self = Self { owner: Owner::Api, index: 0 };
}

#[derive(Serialize, Deserialize)]
struct Properties {
    properties: Config,
}

/// What has been read so far, record by record.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    configs: BTreeMap<String, Config>,
    owners: BTreeMap<String, Ownership>,
    targets: BTreeMap<String, TargetState>,
    tasks: BTreeMap<String, u32>,
}

impl Restored {
    /// Takes in a record; keys that are not ours to know are passed over.
    ///
    /// # Errors
    /// When the value of a key that is ours cannot be read.
    pub(crate) fn record(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), serde_json::Error> {
        let Ok(key) = std::str::from_utf8(key) else { return Ok(()) };
        if let Some(name) = key.strip_prefix("connector-") {
            let config = value.map(serde_json::from_slice::<Properties>).transpose()?.map(|value| value.properties);
            set(&mut self.configs, name, config);
        } else if let Some(name) = key.strip_prefix("target-state-") {
            set(&mut self.targets, name, value.map(target_of).transpose()?);
        } else if let Some(name) = key.strip_prefix("towpath-owner-") {
            set(&mut self.owners, name, value.map(serde_json::from_slice).transpose()?);
        } else if let Some(name) = key.strip_prefix("commit-") {
            #[derive(Deserialize)]
            struct Tasks {
                tasks: u32,
            }
            set(
                &mut self.tasks,
                name,
                value.map(serde_json::from_slice::<Tasks>).transpose()?.map(|value| value.tasks),
            );
        }
        Ok(())
    }

    /// The configurations.
    pub(crate) fn configs(&self) -> impl Iterator<Item = &Config> {
        self.configs.values()
    }

    /// The connectors.
    pub(crate) fn connectors(mut self) -> BTreeMap<ConnectorName, Stored> {
        let stored = |(name, config): (String, Config)| {
            let owner = self.owners.remove(&name).unwrap_or(Ownership::API);
            let target = self.targets.remove(&name).unwrap_or_default();
            let tasks = self.tasks.remove(&name).unwrap_or(0);
            (ConnectorName::new(name), Stored { config, owner, target, tasks })
        };
        std::mem::take(&mut self.configs).into_iter().map(stored).collect()
    }
}

fn set<T>(map: &mut BTreeMap<String, T>, name: &str, value: Option<T>) {
    match value {
        Some(value) => drop(map.insert(name.to_owned(), value)),
        None => drop(map.remove(name)),
    }
}

fn target_of(value: &[u8]) -> Result<TargetState, serde_json::Error> {
    #[derive(Deserialize)]
    struct Value {
        state: TargetState,
        #[serde(rename = "state.v2")]
        second: Option<TargetState>,
    }
    let value: Value = serde_json::from_slice(value)?;
    Ok(value.second.unwrap_or(value.state))
}

/// The records that Connect keeps of a connector, but for those of its tasks: keys and values.
pub(crate) fn connector_records(
    name: &ConnectorName,
    config: &Config,
    target: TargetState,
) -> Vec<(String, Option<String>)> {
    let config = json!({ "properties": config }).to_string();
    vec![
        (format!("target-state-{name}"), Some(target_value(target).to_string())),
        (format!("connector-{name}"), Some(config)),
    ]
}

/// All records of a connector that is stored for the first time.
pub(crate) fn stored_records(topic: &str, name: &ConnectorName, stored: &Stored) -> Batch {
    let owner = serde_json::to_value(&stored.owner).unwrap_or_default().to_string();
    let mut entries = connector_records(name, &stored.config, stored.target);
    entries.push((format!("towpath-owner-{name}"), Some(owner)));
    records::batch(topic, entries.iter().map(|(key, value)| (key.as_bytes(), value.as_deref().map(str::as_bytes))))
}

/// Writes what connectors are configured and wanted.
#[derive(Clone)]
pub(crate) struct ConfigStore {
    log: Arc<dyn LogEngine>,
    topic: Arc<str>,
}

impl ConfigStore {
    pub(crate) fn new(log: Arc<dyn LogEngine>, topic: &str) -> Self {
        Self { log, topic: topic.into() }
    }

    /// Reads all of the topic.
    ///
    /// # Errors
    /// The log's. Records that cannot be read are passed over with a warning: one of them must not hold up all connectors.
    pub(crate) async fn restore(&self) -> Result<BTreeMap<ConnectorName, Stored>> {
        let topic = records::compacted(self.log.as_ref(), &self.topic, 1, &[]).await?;
        let mut restored = Restored::default();
        records::read(self.log.as_ref(), &topic, |key, value| {
            if let Err(error) = restored.record(key, value) {
                tracing::warn!(topic = %self.topic, key = %String::from_utf8_lossy(key), %error, "record cannot be read");
            }
        })
        .await?;
        Ok(restored.connectors())
    }

    /// Stores a configuration, and what goes with it, whole or not at all; durable when it returns.
    pub(crate) async fn put(&self, name: &ConnectorName, stored: &Stored, with: Commit) -> Result<()> {
        self.commit(stored_records(&self.topic, name, stored), with).await
    }

    /// Stores what is wanted; durable when it returns.
    pub(crate) async fn target(&self, name: &ConnectorName, target: TargetState) -> Result<()> {
        self.write(vec![(format!("target-state-{name}"), Some(target_value(target)))], Commit::default()).await
    }

    /// Stores the configurations of tasks, with references in place of secrets, in place of those of `before` tasks.
    pub(crate) async fn tasks(&self, name: &ConnectorName, tasks: &[Config], before: u32) -> Result<()> {
        let task = |(number, config)| (format!("task-{name}-{number}"), Some(json!({ "properties": config })));
        let mut entries: Vec<_> = (0u32..).zip(tasks).map(task).collect();
        let count = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        entries.extend((count..before).map(|number| (format!("task-{name}-{number}"), None)));
        entries.push((format!("commit-{name}"), Some(json!({ "tasks": count }))));
        self.write(entries, Commit::default()).await
    }

    /// Forgets a connector; durable when it returns.
    pub(crate) async fn delete(&self, name: &ConnectorName, tasks: u32) -> Result<()> {
        let mut entries: Vec<_> = ["connector", "target-state", "towpath-owner", "commit"]
            .into_iter()
            .map(|kind| (format!("{kind}-{name}"), None))
            .collect();
        entries.extend((0..tasks).map(|number| (format!("task-{name}-{number}"), None)));
        self.write(entries, Commit::default()).await
    }

    async fn write(&self, entries: Vec<(String, Option<serde_json::Value>)>, with: Commit) -> Result<()> {
        let texts: Vec<_> =
            entries.into_iter().map(|(key, value)| (key, value.map(|value| value.to_string()))).collect();
        let entries = texts.iter().map(|(key, value)| (key.as_bytes(), value.as_deref().map(str::as_bytes)));
        self.commit(records::batch(&self.topic, entries), with).await
    }

    async fn commit(&self, records: Batch, mut commit: Commit) -> Result<()> {
        commit.records.push(records);
        self.log.commit_atomic(commit).await?;
        Ok(())
    }
}

fn target_value(target: TargetState) -> serde_json::Value {
    // Old workers of Connect do not know STOPPED; Connect writes PAUSED for them.
    let first = if target == TargetState::Stopped { TargetState::Paused } else { target };
    json!({ "state": first, "state.v2": target })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connectors_records_are_read_back() {
        let mut restored = Restored::default();
        let records: [(&str, Option<&str>); 7] = [
            ("connector-a", Some(r#"{"properties":{"connector.class":"x"}}"#)),
            ("target-state-a", Some(r#"{"state":"PAUSED","state.v2":"STOPPED"}"#)),
            ("towpath-owner-a", Some(r#"{"owner":{"file":{"path":"a.yaml"}},"index":1}"#)),
            ("commit-a", Some(r#"{"tasks":3}"#)),
            ("connector-b", Some(r#"{"properties":{}}"#)),
            ("connector-b", None),
            ("session-key", Some("{}")),
        ];
        for (key, value) in records {
            restored.record(key.as_bytes(), value.map(str::as_bytes)).expect("well formed");
        }
        let stored = Stored {
            config: [("connector.class", "x")].into_iter().collect(),
            owner: Ownership { owner: Owner::File { path: "a.yaml".into() }, index: 1 },
            target: TargetState::Stopped,
            tasks: 3,
        };
        assert_eq!(restored.connectors(), BTreeMap::from([(ConnectorName::new("a"), stored)]));
    }

    #[test]
    fn states_written_by_old_workers_of_connect_are_understood() {
        assert_eq!(target_of(br#"{"state":"PAUSED"}"#).expect("well formed"), TargetState::Paused);
        let stopped = target_value(TargetState::Stopped).to_string();
        assert_eq!(stopped, r#"{"state":"PAUSED","state.v2":"STOPPED"}"#);
    }
}
