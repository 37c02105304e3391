//! What a Connect cluster keeps of its connectors in three topics, read record by record and written again. Pure.
//!
//! | topic | keys that matter here |
//! |---|---|
//! | configs | `connector-<name>`, `target-state-<name>`; configurations of tasks are made anew from those of their connectors |
//! | offsets | `["<name>",{source partition}]` |
//! | status | `status-topic-<topic>:connector-<name>`: what a connector reads or writes |
//!
//! The last record of a key counts, and one without a value takes back what was before. What cannot be read is told, and is no reason
//! not to read the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use towpath_model::{Checkpoint, Config, ConnectorName, TargetState};

use crate::settings::TopicSelection;
use crate::store::{Restored, SourceOffsets, offset_record, used_topic};

/// A connector as a Connect cluster keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Its configuration.
    pub config: Config,
    /// What is wanted of it.
    pub target: TargetState,
    /// Where it stands, if it is a source.
    pub positions: Vec<Checkpoint>,
    /// The topics that it has used.
    pub topics: BTreeSet<Arc<str>>,
}

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its key.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// What has been read so far.
#[derive(Debug, Default)]
pub struct ConnectState {
    configs: Restored,
    offsets: SourceOffsets,
    topics: BTreeMap<ConnectorName, BTreeSet<Arc<str>>>,
    unread: Vec<Unread>,
}

impl ConnectState {
    /// Takes in a record of the topic of configurations.
    pub fn config(&mut self, key: &[u8], value: Option<&[u8]>) {
        let read = self.configs.record(key, value);
        self.unless(key, read);
    }

    /// Takes in a record of the topic of offsets.
    pub fn offset(&mut self, key: &[u8], value: Option<&[u8]>) {
        let read = self.offsets.restore(key, value);
        self.unless(key, read);
    }

    /// Takes in a record of the topic of states.
    pub fn status(&mut self, key: &[u8], value: Option<&[u8]>) {
        if let Some((connector, topic, used)) = used_topic(key, value) {
            let topics = self.topics.entry(connector).or_default();
            if used {
                topics.insert(topic);
            } else {
                topics.remove(&topic);
            }
        }
    }

    /// The configurations that have been read so far.
    pub fn configs(&self) -> impl Iterator<Item = &Config> {
        self.configs.configs()
    }

    /// The connectors that there are, and what could not be read. Offsets that a deleted connector left behind are left out.
    pub fn connectors(self) -> (BTreeMap<ConnectorName, Kept>, Vec<Unread>) {
        let Self { configs, offsets, mut topics, unread } = self;
        let kept = |(name, stored): (ConnectorName, crate::store::Stored)| {
            let (positions, topics) = (offsets.of(&name), topics.remove(&name).unwrap_or_default());
            let kept = Kept { config: stored.config, target: stored.target, positions, topics };
            (name, kept)
        };
        (configs.connectors().into_iter().map(kept).collect(), unread)
    }

    /// Where a source stands, also one that is not configured any more.
    pub(super) fn positions(&self, name: &ConnectorName) -> Vec<Checkpoint> {
        self.offsets.of(name)
    }

    fn unless(&mut self, key: &[u8], read: Result<(), serde_json::Error>) {
        if let Err(error) = read {
            // The text of the error could quote a value.
            let reason = format!("line {} column {}", error.line(), error.column());
            self.unread.push(Unread { key: String::from_utf8_lossy(key).into_owned(), reason });
        }
    }
}

/// Whether a sink reads a topic.
pub fn reads(config: &Config, topic: &str) -> bool {
    TopicSelection::new(config).is_ok_and(|selection| selection.selects(topic))
}

/// The records, keys and values, that make a connector known to a Connect cluster; its tasks it plans itself.
pub fn config_records(name: &ConnectorName, config: &Config, target: TargetState) -> Vec<(String, Option<String>)> {
    crate::store::connector_records(name, config, target)
}

/// The record that keeps a position of a source.
pub fn offset_record_of(name: &ConnectorName, position: &Checkpoint) -> (Vec<u8>, Option<Vec<u8>>) {
    offset_record(name, position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        configs: &[(&str, Option<&str>)],
        offsets: &[(&str, Option<&str>)],
    ) -> (BTreeMap<ConnectorName, Kept>, Vec<Unread>) {
        let mut state = ConnectState::default();
        configs.iter().for_each(|(key, value)| state.config(key.as_bytes(), value.map(str::as_bytes)));
        offsets.iter().for_each(|(key, value)| state.offset(key.as_bytes(), value.map(str::as_bytes)));
        state.connectors()
    }

    #[test]
    fn the_last_record_of_a_key_counts_and_a_tombstone_takes_back() {
        let (found, unread) = read(
            &[
                ("session-key", Some(r#"{"key":"x","algorithm":"HmacSHA256","creation-timestamp":1}"#)),
                ("connector-a", Some(r#"{"properties":{"file":"/old","name":"a"}}"#)),
                ("connector-gone", Some(r#"{"properties":{"name":"gone"}}"#)),
                ("task-a-0", Some(r#"{"properties":{"task.class":"x"}}"#)),
                ("commit-a", Some(r#"{"tasks":1}"#)),
                ("connector-a", Some(r#"{"properties":{"file":"/new","name":"a"}}"#)),
                ("target-state-a", Some(r#"{"state":"PAUSED","state.v2":"STOPPED"}"#)),
                ("connector-b", Some(r#"{"properties":{"name":"b"}}"#)),
                ("target-state-b", Some(r#"{"state":"PAUSED"}"#)),
                ("connector-gone", None),
            ],
            &[
                (r#"["a",{"filename":"/1"}]"#, Some(r#"{"position":1}"#)),
                (r#"["a",{"filename":"/2"}]"#, Some(r#"{"position":2}"#)),
                (r#"["a",{"filename":"/1"}]"#, Some(r#"{"position":9}"#)),
                (r#"["a",{"filename":"/2"}]"#, None),
                (r#"["gone",{"filename":"/1"}]"#, Some(r#"{"position":3}"#)),
            ],
        );
        assert_eq!(unread, []);
        let names: Vec<_> = found.keys().map(ConnectorName::as_str).collect();
        assert_eq!(names, ["a", "b"]);
        let a = &found[&ConnectorName::new("a")];
        assert_eq!((a.config.get("file"), a.target), (Some("/new"), TargetState::Stopped));
        let position =
            Checkpoint { partition: r#"{"filename":"/1"}"#.into(), offset: Some(r#"{"position":9}"#.into()) };
        assert_eq!(a.positions, [position]);
        assert_eq!(found[&ConnectorName::new("b")].target, TargetState::Paused);
    }

    #[test]
    fn a_record_that_cannot_be_read_hides_no_other_and_shows_no_value() {
        let (found, unread) = read(
            &[("connector-a", Some(r#"{"properties":"hush"}"#)), ("connector-b", Some(r#"{"properties":{}}"#))],
            &[("[1]", Some("{}"))],
        );
        assert_eq!(found.len(), 1);
        let keys: Vec<_> = unread.iter().map(|unread| unread.key.as_str()).collect();
        assert_eq!(keys, ["connector-a", "[1]"]);
        assert!(!unread[0].reason.contains("hush"), "{}", unread[0].reason);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let name = ConnectorName::new("a \"b\"");
        let kept = Kept {
            config: [("name", "a \"b\""), ("file", "/x")].into_iter().collect(),
            target: TargetState::Stopped,
            positions: vec![Checkpoint { partition: r#"{"p":1}"#.into(), offset: Some(r#"{"o":2}"#.into()) }],
            topics: BTreeSet::new(),
        };
        let mut state = ConnectState::default();
        for (key, value) in config_records(&name, &kept.config, kept.target) {
            state.config(key.as_bytes(), value.as_deref().map(str::as_bytes));
        }
        let (key, value) = offset_record_of(&name, &kept.positions[0]);
        assert_eq!(key, br#"["a \"b\"",{"p":1}]"#);
        state.offset(&key, value.as_deref());
        assert_eq!(state.connectors(), (BTreeMap::from([(name, kept)]), Vec::new()));
    }
}
