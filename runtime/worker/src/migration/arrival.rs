//! Connectors that come into a log which no worker runs on, and those that are in one.

use std::collections::BTreeMap;

use serde_json::Value;
use towpath_log::{Commit, Error as LogError, GroupOffset, LogEngine, records};
use towpath_model::{Checkpoint, Config, ConnectorName, TargetState, TopicPartition};

use super::state::{ConnectState, Kept, Unread};
use crate::answers::Owner;
use crate::config::InternalTopics;
use crate::handle::consumer_group;
use crate::store::{Ownership, Stored, offset_records, stored_records};

/// A connector that comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its name.
    pub name: ConnectorName,
    /// Its configuration as its file has it.
    pub config: Config,
    /// That file, relative to the folder.
    pub file: String,
    /// What is wanted of it.
    pub target: TargetState,
    /// Where it goes on, if it is a source.
    pub positions: Vec<Checkpoint>,
    /// Where it goes on in each partition, if it is a sink.
    pub offsets: BTreeMap<TopicPartition, i64>,
}

/// What a log has of a connector that comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    New,
    /// The same positions.
    Same,
    /// Positions of its own.
    Different,
}

/// The connectors of a log, and what could not be read.
///
/// # Errors
/// The log's.
pub async fn kept(
    log: &dyn LogEngine,
    topics: &InternalTopics,
) -> Result<(BTreeMap<ConnectorName, Kept>, Vec<Unread>), LogError> {
    Ok(state(log, topics).await?.connectors())
}

async fn state(log: &dyn LogEngine, topics: &InternalTopics) -> Result<ConnectState, LogError> {
    let mut state = ConnectState::default();
    if let Some(topic) = log.topic(&topics.configs) {
        records::read(log, &topic, |key, value| state.config(key, value)).await?;
    }
    if let Some(topic) = log.topic(&topics.offsets) {
        records::read(log, &topic, |key, value| state.offset(key, value)).await?;
    }
    if let Some(topic) = log.topic(&topics.status) {
        records::read(log, &topic, |key, value| state.status(key, value)).await?;
    }
    Ok(state)
}

/// What the log has of each of these.
///
/// # Errors
/// The log's.
pub async fn standing(
    log: &dyn LogEngine,
    topics: &InternalTopics,
    arrivals: &[Arrival],
) -> Result<Vec<Standing>, LogError> {
    let state = state(log, topics).await?;
    let of = |arrival: &Arrival| {
        let positions = state.positions(&arrival.name);
        let offsets = committed(log, &arrival.name);
        if positions.is_empty() && offsets.is_empty() {
            Standing::New
        } else if read(&positions) == read(&arrival.positions) && offsets == arrival.offsets {
            Standing::Same
        } else {
            Standing::Different
        }
    };
    Ok(arrivals.iter().map(of).collect())
}

/// Lets connectors come in: all of them or, where the log refuses, none. Positions that it has of them are replaced. What is wanted of
/// one that the log knows already stays as it is.
///
/// # Errors
/// The log's.
pub async fn arrive(log: &dyn LogEngine, topics: &InternalTopics, arrivals: &[Arrival]) -> Result<(), LogError> {
    let state = state(log, topics).await?;
    let known: Vec<_> = arrivals.iter().map(|arrival| state.positions(&arrival.name)).collect();
    let (here, _) = state.connectors();
    let configs = records::compacted(log, &topics.configs, 1, &[]).await?.name;
    let offsets = records::compacted(log, &topics.offsets, topics.offsets_partitions, &[]).await?.name;
    let mut commit = Commit::default();
    for (arrival, known) in arrivals.iter().zip(known) {
        // One that is to run needs nothing but its file.
        if arrival.target != TargetState::Started && !here.contains_key(&arrival.name) {
            let owner = Ownership { owner: Owner::File { path: arrival.file.clone() }, index: 0 };
            let stored = Stored { config: arrival.config.clone(), owner, target: arrival.target, tasks: 0 };
            commit.records.push(stored_records(&configs, &arrival.name, &stored));
        }
        commit.records.extend(offset_records(&offsets, &arrival.name, &replaced(&known, &arrival.positions)));
        commit.group_offsets.extend(replaced_offsets(log, arrival));
    }
    if !commit.records.is_empty() || !commit.group_offsets.is_empty() {
        log.commit_atomic(commit).await?;
    }
    Ok(())
}

/// The new positions, and those that go.
fn replaced(known: &[Checkpoint], new: &[Checkpoint]) -> Vec<Checkpoint> {
    let gone = known.iter().filter(|known| !new.iter().any(|new| new.partition == known.partition));
    let gone = gone.map(|known| Checkpoint { offset: None, ..known.clone() });
    gone.chain(new.iter().cloned()).collect()
}

fn replaced_offsets(log: &dyn LogEngine, arrival: &Arrival) -> Vec<GroupOffset> {
    let group: std::sync::Arc<str> = consumer_group(&arrival.name).into();
    let offset = |partition: &TopicPartition, offset: Option<i64>| GroupOffset {
        group: group.clone(),
        partition: partition.clone(),
        offset,
        leader_epoch: None,
        metadata: String::new(),
    };
    let known = committed(log, &arrival.name);
    let gone = known.keys().filter(|known| !arrival.offsets.contains_key(known)).map(|known| offset(known, None));
    gone.chain(arrival.offsets.iter().map(|(partition, at)| offset(partition, Some(*at)))).collect()
}

fn committed(log: &dyn LogEngine, name: &ConnectorName) -> BTreeMap<TopicPartition, i64> {
    let committed = log.group_offsets(&consumer_group(name)).into_iter();
    committed.filter_map(|known| Some((known.partition, known.offset?))).collect()
}

/// Positions by what they say, whatever their spelling.
fn read(positions: &[Checkpoint]) -> Vec<(Value, Value)> {
    let json = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    let read = |position: &Checkpoint| Some((json(&position.partition), json(position.offset.as_deref()?)));
    let mut read: Vec<_> = positions.iter().filter_map(read).collect();
    read.sort_by_key(|(partition, _)| partition.to_string());
    read
}
