//! Creating, deleting and altering topics. The catalog's file decides; directories follow it.
//!
//! A topic exists when the catalog that names it is durable, and is gone when the one that does not is. Directories of
//! partitions are made by the first checkpoint that has records for them, and renamed before they are removed, so that a
//! topic of the same name can be created at once and a crash leaves nothing that could be taken for live data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rand::Rng;
use towpath_model::TopicPartition;
use uuid::Uuid;

use crate::catalog::CatalogTopic;
use crate::core::{Core, new_turn};
use crate::engine::{NewTopic, Topic};
use crate::error::Error;
use crate::partition::{Partition, TopicEntry};
use crate::sync::{lock, read, write};
use crate::topic_config::{TopicSettings, check_name};

/// Partitions a topic may have.
const PARTITIONS_MAX: i32 = 10_000;
/// What the name of a directory ends with that is about to be removed.
pub(crate) const DELETE_SUFFIX: &str = "-delete";

impl Core {
    /// Creates a topic; durable when it returns.
    pub(crate) fn create_topic(&self, new: NewTopic) -> Result<Topic, Error> {
        let (partitions, settings) = self.check_new(&new)?;
        self.check_writable()?;
        let mut state = lock(&self.catalog);
        if state.catalog.topics.contains_key(&new.name) {
            return Err(Error::TopicExists(new.name));
        }
        let mut random = [0; 16];
        state.random.fill_bytes(&mut random);
        let id = uuid::Builder::from_random_bytes(random).into_uuid();
        let mut catalog = state.catalog.clone();
        catalog
            .topics
            .insert(new.name.clone(), CatalogTopic::new(id, partitions, new.configs.clone(), settings.compact));
        self.write_catalog(&catalog)?;
        state.catalog = catalog;
        let entry = self.new_entry(&new.name, id, (partitions, new.configs), settings, &BTreeMap::new());
        let topic = entry.topic.clone();
        write(&self.topics).insert(topic.name.clone(), Arc::new(entry));
        self.topic_changes.send_modify(|version| *version += 1);
        Ok(topic)
    }

    /// How many partitions a new topic gets, and its settings, if it may be created.
    pub(crate) fn check_new(&self, new: &NewTopic) -> Result<(i32, TopicSettings), Error> {
        check_name(&new.name)?;
        let partitions = new.partitions.unwrap_or(self.config.default_partitions);
        if !(1..=PARTITIONS_MAX).contains(&partitions) {
            let reason = format!("a topic has between 1 and {PARTITIONS_MAX}");
            return Err(Error::InvalidConfig { key: "partitions".into(), value: partitions.to_string(), reason });
        }
        let settings = TopicSettings::parse(&new.configs)?;
        if read(&self.topics).contains_key(new.name.as_str()) {
            return Err(Error::TopicExists(new.name.clone()));
        }
        Ok((partitions, settings))
    }

    /// Deletes a topic. Its records are gone when this returns; their files follow.
    pub(crate) fn delete_topic(&self, name: &str) -> Result<(), Error> {
        self.check_writable()?;
        // No checkpoint may write into directories that are being renamed.
        let mut maintenance = lock(&self.maintenance);
        let mut state = lock(&self.catalog);
        let entry = self.topic_entry(name)?;
        let mut catalog = state.catalog.clone();
        catalog.topics.remove(name);
        self.write_catalog(&catalog)?;
        state.catalog = catalog;
        maintenance.dirty = true;
        {
            let _sequencer = lock(&self.sequencer);
            for partition in entry.partitions.iter() {
                partition.deleted.store(true, Ordering::Release);
            }
        }
        write(&self.topics).remove(name);
        self.topic_changes.send_modify(|version| *version += 1);
        for partition in entry.partitions.iter() {
            lock(&partition.state).wake();
        }
        drop(state);
        self.remove_directories(&entry)
    }

    /// Sets configs, or takes them back to their defaults.
    pub(crate) fn alter_topic(&self, name: &str, changes: BTreeMap<String, Option<String>>) -> Result<Topic, Error> {
        self.check_writable()?;
        let mut state = lock(&self.catalog);
        let old = self.topic_entry(name)?;
        let mut configs = old.topic.configs.clone();
        for (key, value) in changes {
            match value {
                Some(value) => configs.insert(key, value),
                None => configs.remove(&key),
            };
        }
        let settings = TopicSettings::parse(&configs)?;
        let mut catalog = state.catalog.clone();
        let gaps = old.gaps || settings.compact;
        let stored = CatalogTopic::new(old.topic.id, old.topic.partitions, configs.clone(), gaps);
        catalog.topics.insert(name.into(), stored);
        self.write_catalog(&catalog)?;
        state.catalog = catalog;
        let topic = Topic { configs, ..old.topic.clone() };
        let (partitions, turn) = (old.partitions.clone(), old.turn.clone());
        let entry = TopicEntry { topic: topic.clone(), settings, gaps, partitions, turn };
        write(&self.topics).insert(topic.name.clone(), Arc::new(entry));
        self.topic_changes.send_modify(|version| *version += 1);
        Ok(topic)
    }

    /// Gives a topic more partitions.
    pub(crate) fn grow_topic(&self, name: &str, partitions: i32) -> Result<Topic, Error> {
        self.check_writable()?;
        let mut state = lock(&self.catalog);
        let old = self.topic_entry(name)?;
        if !(old.topic.partitions + 1..=PARTITIONS_MAX).contains(&partitions) {
            let reason = format!("it has {} and may have up to {PARTITIONS_MAX}", old.topic.partitions);
            return Err(Error::InvalidConfig { key: "partitions".into(), value: partitions.to_string(), reason });
        }
        let configs = old.topic.configs.clone();
        let mut catalog = state.catalog.clone();
        let stored = CatalogTopic::new(old.topic.id, partitions, configs.clone(), old.gaps);
        catalog.topics.insert(name.into(), stored);
        self.write_catalog(&catalog)?;
        state.catalog = catalog;
        let known = old.partitions.iter().map(|known| ((known.topic, known.name.partition), known.clone())).collect();
        let grown = self.new_entry(name, old.topic.id, (partitions, configs), old.settings.clone(), &known);
        let entry = TopicEntry { gaps: old.gaps, turn: old.turn.clone(), ..grown };
        let topic = entry.topic.clone();
        write(&self.topics).insert(topic.name.clone(), Arc::new(entry));
        self.topic_changes.send_modify(|version| *version += 1);
        Ok(topic)
    }

    pub(crate) fn topic(&self, name: &str) -> Option<Topic> {
        read(&self.topics).get(name).map(|entry| entry.topic.clone())
    }

    pub(crate) fn topics(&self) -> Vec<Topic> {
        read(&self.topics).values().map(|entry| entry.topic.clone()).collect()
    }

    /// A topic in memory. `known` are the partitions that were restored.
    pub(crate) fn new_entry(
        &self,
        name: &str,
        id: Uuid,
        (partitions, configs): (i32, BTreeMap<String, String>),
        settings: TopicSettings,
        known: &BTreeMap<(Uuid, i32), Arc<Partition>>,
    ) -> TopicEntry {
        let name: Arc<str> = name.into();
        let partition = |number| {
            let fresh = || {
                let dir = self.config.dir.join(format!("{name}-{number}"));
                Arc::new(Partition::new(id, TopicPartition::new(name.clone(), number), dir))
            };
            known.get(&(id, number)).cloned().unwrap_or_else(fresh)
        };
        let internal = self.config.is_internal(&name);
        let gaps = settings.compact;
        let all = (0..partitions).map(partition).collect();
        let topic = Topic { name, id, partitions, configs, internal };
        TopicEntry { topic, settings, gaps, partitions: all, turn: new_turn() }
    }

    fn write_catalog(&self, catalog: &crate::catalog::Catalog) -> Result<(), Error> {
        catalog.write(self.vfs.as_ref(), &self.config.dir).inspect_err(|error| {
            // Without space the old catalog stands. Any other failure leaves open which of the two is on disk.
            if !matches!(error, Error::DiskFull(_)) {
                self.fail(error.clone());
            }
        })
    }

    fn remove_directories(&self, entry: &TopicEntry) -> Result<(), Error> {
        let mut renamed = Vec::new();
        let context = |partition: &Partition| format!("removing {}", partition.dir.display());
        for partition in entry.partitions.iter() {
            let aside = format!("{}-{}{DELETE_SUFFIX}", partition.topic.simple(), partition.name.partition);
            let aside = self.config.dir.join(aside);
            match self.vfs.rename(&partition.dir, &aside) {
                Ok(()) => renamed.push(aside),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io(context(partition), error)),
            }
        }
        if renamed.is_empty() {
            return Ok(());
        }
        self.vfs.sync_dir(&self.config.dir).map_err(|error| {
            let error =
                Error::Io { context: "renaming directories of a deleted topic".into(), source: Arc::new(error) };
            self.fail(error.clone());
            error
        })?;
        for dir in renamed {
            // What stays behind is removed when the log is opened next.
            if let Err(error) = self.vfs.remove(&dir) {
                tracing::warn!(dir = %dir.display(), %error, "a deleted directory could not be removed");
            }
        }
        Ok(())
    }
}
