//! Holds connectors against what a cluster has, and gives them to it.

use std::collections::{BTreeMap, BTreeSet};

use towpath_config::Finding;
use towpath_log::{Embedded, Fetches as _, Topics as _, partition_of_key, records};
use towpath_model::{Batch, Checkpoint, Clock as _, SystemClock, TopicPartition};
use towpath_worker::migration::{config_records, offset_record_of, reads};

use super::translate::{Going, group_of};
use super::unread::{self, Following};
use crate::connect_cluster::ConnectCluster;
use crate::failure::{Failure, Result};
use crate::migration_findings;
use crate::operator::failure;

/// How many partitions Connect gives its topics.
const CONFIG_PARTITIONS: i32 = 1;
const OFFSET_PARTITIONS: i32 = 25;

/// Gives connectors to a cluster.
pub(super) struct Giver<'a> {
    pub(super) cluster: &'a mut ConnectCluster,
    pub(super) log: &'a Embedded,
    pub(super) overwrite: bool,
}

impl Giver<'_> {
    /// Says what forbids it, and how partitions follow those of the cluster.
    pub(super) async fn compare(&mut self, going: &[Going], found: &mut Vec<Finding>) -> Result<Vec<Following>> {
        let there = self.cluster.read().await?.connectors;
        if self.cluster.lives().await? {
            found.push(migration_findings::workers_live());
        }
        for one in going {
            let differs = |there: &towpath_worker::migration::Kept| {
                there.config != one.kept.config || there.positions != one.kept.positions
            };
            if there.get(&one.name).is_some_and(differs) && !self.overwrite {
                found.push(migration_findings::exists(one.name.as_str()));
            }
        }
        let mut following = Vec::new();
        for (partition, unread) in self.unread(going)? {
            match unread::follow(&mut self.cluster.kafka, self.log, &partition, unread).await? {
                Ok(follows) => following.push(follows),
                Err(reason) => found.push(migration_findings::topic(&partition.topic, &reason)),
            }
        }
        Ok(following)
    }

    /// The partitions that sinks read, each with the first offset that one of them has not read.
    fn unread(&self, going: &[Going]) -> Result<BTreeMap<TopicPartition, i64>> {
        let mut unread = BTreeMap::new();
        let topics = self.log.topics();
        for sink in going.iter().filter(|going| going.is_sink) {
            let read = topics.iter().filter(|topic| reads(&sink.kept.config, &topic.name));
            let read = read
                .flat_map(|topic| (0..topic.partitions).map(|number| TopicPartition::new(topic.name.clone(), number)));
            let all: BTreeSet<TopicPartition> = read.chain(sink.offsets.keys().cloned()).collect();
            for partition in
                all.into_iter().filter(|partition| topics.iter().any(|topic| topic.name == partition.topic))
            {
                let start = self.log.offsets(&partition).map_err(Failure::by_code)?.start;
                let next = sink.offsets.get(&partition).copied().unwrap_or(start);
                unread.entry(partition).and_modify(|least: &mut i64| *least = next.min(*least)).or_insert(next);
            }
        }
        Ok(unread)
    }

    /// Gives all of it. Answers how many records that were.
    pub(super) async fn give(&mut self, going: &[Going], following: &[Following]) -> Result<u64> {
        let mut given = 0;
        let mut places: BTreeMap<TopicPartition, BTreeMap<i64, i64>> = BTreeMap::new();
        for follows in following {
            self.ensure(&follows.partition.topic).await?;
            let at = |going: &Going| going.offsets.get(&follows.partition).copied();
            let offsets: Vec<i64> = going.iter().filter_map(at).collect();
            let (placed, count) = unread::give(&mut self.cluster.kafka, self.log, follows, &offsets).await?;
            places.insert(follows.partition.clone(), placed);
            given += count;
        }
        for sink in going.iter().filter(|going| going.is_sink && !going.offsets.is_empty()) {
            let there = |(partition, offset): (&TopicPartition, &i64)| {
                Some((partition.clone(), *places.get(partition)?.get(offset)?))
            };
            let offsets: Vec<_> = sink.offsets.iter().filter_map(there).collect();
            self.cluster.kafka.commit(&group_of(sink), &offsets).await.map_err(failure)?;
        }
        self.positions(going).await?;
        self.configs(going).await?;
        Ok(given)
    }

    /// Makes a topic as it is here, where the cluster has none.
    async fn ensure(&mut self, name: &str) -> Result<()> {
        let here = self.log.topic(name);
        let missing = self.cluster.kafka.partitions(name).await.map_err(failure)?.is_none();
        if let Some(here) = here.filter(|_| missing) {
            self.cluster.kafka.create_topic(name, here.partitions, &here.configs).await.map_err(failure)?;
        }
        Ok(())
    }

    async fn positions(&mut self, going: &[Going]) -> Result<()> {
        let topic = self.cluster.offset_topic.clone();
        let count = self.internal(&topic, OFFSET_PARTITIONS).await?;
        let there = self.cluster.read().await?.connectors;
        let mut entries = Vec::new();
        for one in going {
            let known = there.get(&one.name).map(|known| known.positions.clone()).unwrap_or_default();
            let gone = known
                .into_iter()
                .filter(|known| !one.kept.positions.iter().any(|new| new.partition == known.partition));
            let gone = gone.map(|known| Checkpoint { offset: None, ..known });
            entries.extend(
                gone.chain(one.kept.positions.iter().cloned()).map(|position| offset_record_of(&one.name, &position)),
            );
        }
        for number in 0..count {
            let mine = entries.iter().filter(|(key, _)| partition_of_key(key, count) == number);
            let batch = records::batch(&topic, mine.map(|(key, value)| (key.as_slice(), value.as_deref())));
            self.write(&topic, number, batch).await?;
        }
        Ok(())
    }

    async fn configs(&mut self, going: &[Going]) -> Result<()> {
        let topic = self.cluster.config_topic.clone();
        self.internal(&topic, CONFIG_PARTITIONS).await?;
        let entries: Vec<_> =
            going.iter().flat_map(|one| config_records(&one.name, &one.kept.config, one.kept.target)).collect();
        let entries = entries.iter().map(|(key, value)| (key.as_bytes(), value.as_deref().map(str::as_bytes)));
        let batch = records::batch(&topic, entries);
        self.write(&topic, 0, batch).await
    }

    async fn write(&mut self, topic: &str, partition: i32, records: Batch) -> Result<()> {
        if !records.is_empty() {
            let partition = TopicPartition::new(topic, partition);
            self.cluster.kafka.append(&partition, &records, SystemClock::default().now_ms()).await.map_err(failure)?;
        }
        Ok(())
    }

    /// Makes a topic of Connect's own where there is none. Gives how many partitions it has.
    async fn internal(&mut self, topic: &str, partitions: i32) -> Result<i32> {
        if let Some(count) = self.cluster.kafka.partitions(topic).await.map_err(failure)? {
            return Ok(count);
        }
        let configs = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
        self.cluster.kafka.create_topic(topic, partitions, &configs).await.map_err(failure)?;
        Ok(partitions)
    }
}
