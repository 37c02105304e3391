//! Creating the topics that a source writes to: `topic.creation.*` as in Kafka Connect (KIP-158).
//!
//! The first group of `topic.creation.groups` whose `include` matches a topic and whose `exclude` does not gives its partitions and
//! configs; what it leaves open, and every other topic, gets what the group `default` says, and one partition where it is silent.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use regex::Regex;
use towpath_log::{Error as LogError, LogEngine, NewTopic};
use towpath_model::Config;

use crate::settings::{SettingError, pattern_fault};

const DEFAULT: &str = "default";

#[derive(Debug)]
struct Group {
    include: Vec<Regex>,
    exclude: Vec<Regex>,
    partitions: Option<i32>,
    configs: BTreeMap<String, String>,
}

/// The rules of one connector.
#[derive(Debug)]
pub(crate) struct Creation {
    groups: Vec<Group>,
    default: Group,
}

impl Creation {
    pub(crate) fn new(config: &Config) -> Result<Self, SettingError> {
        let named = config.list("topic.creation.groups").filter(|name| *name != DEFAULT);
        let groups = named.map(|name| group(config, name)).collect::<Result<_, _>>()?;
        Ok(Self { groups, default: group(config, DEFAULT)? })
    }

    /// What a topic of this name is to be like.
    pub(crate) fn topic(&self, name: &str) -> NewTopic {
        let matches = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(name));
        let group = self.groups.iter().find(|group| matches(&group.include) && !matches(&group.exclude));
        let mut configs = self.default.configs.clone();
        configs.extend(group.iter().flat_map(|group| group.configs.clone()));
        let partitions = group.and_then(|group| group.partitions).or(self.default.partitions);
        NewTopic { name: name.to_owned(), partitions: Some(partitions.unwrap_or(1)), configs }
    }
}

fn group(config: &Config, name: &str) -> Result<Group, SettingError> {
    let prefix = format!("topic.creation.{name}.");
    let fault = |key: &str, reason: String| SettingError { key: format!("{prefix}{key}"), reason };
    let mut found = Group { include: vec![], exclude: vec![], partitions: None, configs: BTreeMap::new() };
    for (key, value) in config.with_prefix(&prefix) {
        match key {
            "include" | "exclude" => {
                let patterns = value.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
                let patterns = patterns.map(|pattern| Regex::new(&format!("^(?:{pattern})$")));
                let patterns: Vec<_> =
                    patterns.collect::<Result<_, _>>().map_err(|error| fault(key, pattern_fault(&error)))?;
                *(if key == "include" { &mut found.include } else { &mut found.exclude }) = patterns;
            }
            "partitions" => {
                let partitions: i32 = value.parse().map_err(|_| fault(key, "Not a number of type INT".to_owned()))?;
                found.partitions = (partitions > 0).then_some(partitions);
            }
            // One machine keeps one copy.
            "replication.factor" => {}
            _ => drop(found.configs.insert(key.to_owned(), value.to_owned())),
        }
    }
    Ok(found)
}

/// Topics that are known to be there, so that a batch costs one look per run.
#[derive(Debug, Default)]
pub(crate) struct KnownTopics(HashSet<Arc<str>>);

impl KnownTopics {
    pub(crate) fn knows(&self, topic: &str) -> bool {
        self.0.contains(topic)
    }

    /// How many are known.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Sees to it that the topic is there.
    pub(crate) async fn ensure(
        &mut self,
        log: &dyn LogEngine,
        creation: &Creation,
        topic: &Arc<str>,
    ) -> Result<(), LogError> {
        if log.topic(topic).is_none() {
            match log.create_topic(creation.topic(topic)).await {
                Ok(created) => tracing::info!(topic = %topic, partitions = created.partitions, "topic created"),
                Err(LogError::TopicExists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.0.insert(topic.clone());
        Ok(())
    }

    /// Somebody may have deleted topics.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_asked_in_order_and_the_default_fills_in() {
        let config: Config = [
            ("topic.creation.default.partitions", "3"),
            ("topic.creation.default.replication.factor", "1"),
            ("topic.creation.default.retention.ms", "1000"),
            ("topic.creation.groups", "compacted, wide"),
            ("topic.creation.compacted.include", "shop\\..*"),
            ("topic.creation.compacted.exclude", "shop\\.log, shop\\.trace"),
            ("topic.creation.compacted.cleanup.policy", "compact"),
            ("topic.creation.wide.include", ".*"),
            ("topic.creation.wide.exclude", "audit"),
            ("topic.creation.wide.partitions", "12"),
        ]
        .into_iter()
        .collect();
        let creation = Creation::new(&config).expect("sound");
        let orders = creation.topic("shop.orders");
        assert_eq!((orders.partitions, orders.configs["cleanup.policy"].as_str()), (Some(3), "compact"));
        assert_eq!(orders.configs["retention.ms"], "1000");
        assert_eq!(creation.topic("shop.log").partitions, Some(12));
        let audit = creation.topic("audit");
        assert_eq!((audit.partitions, audit.configs.len()), (Some(3), 1));
    }

    #[test]
    fn without_rules_a_topic_has_one_partition() {
        let topic = Creation::new(&Config::default()).expect("sound").topic("t");
        assert_eq!((topic.partitions, topic.configs.len()), (Some(1), 0));
    }
}
