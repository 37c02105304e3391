//! A log in memory with a queue of faults. Durable at once, or after a delay.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::{Notify, watch};
use towpath_log::{
    AppendResult, Appends, Commit, CommitFuture, Committed, Error, Fetch, Fetched, Fetches, GroupOffset, GroupOffsets,
    NewTopic, PartitionOffsets, Topic, Topics, TransactionFuture, TransactionalProducer, Transactions,
};
use towpath_model::{Batch, BatchBuilder, Form, Run, TopicPartition};

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) key: Option<String>,
    pub(super) value: Option<String>,
    pub(super) headers: Vec<(String, String)>,
}

#[derive(Default)]
struct State {
    topics: BTreeMap<String, Topic>,
    partitions: BTreeMap<TopicPartition, (i64, Vec<Stored>)>,
    groups: BTreeMap<(String, TopicPartition), GroupOffset>,
    commits: Vec<Commit>,
    faults: VecDeque<Error>,
    delay: Duration,
}

pub(super) struct FakeLog {
    state: Mutex<State>,
    changed: Notify,
    versions: watch::Sender<u64>,
}

impl FakeLog {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changed: Notify::new(), versions: watch::Sender::new(0) })
    }

    /// The next commits fail like this, in order.
    pub(super) fn fail(&self, faults: impl IntoIterator<Item = Error>) {
        self.state.lock().unwrap().faults.extend(faults);
    }

    /// Every commit takes so long from now on.
    pub(super) fn delay(&self, delay: Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    /// All records of a topic, partition by partition.
    pub(super) fn records(&self, topic: &str) -> Vec<Stored> {
        let state = self.state.lock().unwrap();
        let of = state.partitions.iter().filter(|(partition, _)| &*partition.topic == topic);
        of.flat_map(|(_, (_, records))| records.clone()).collect()
    }

    pub(super) fn values(&self, topic: &str) -> Vec<String> {
        self.records(topic).into_iter().filter_map(|record| record.value).collect()
    }

    /// The newest value of each key.
    pub(super) fn compacted(&self, topic: &str) -> BTreeMap<String, Option<String>> {
        self.records(topic).into_iter().map(|record| (record.key.unwrap_or_default(), record.value)).collect()
    }

    pub(super) fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<(i64, String)> {
        let state = self.state.lock().unwrap();
        let offset = state.groups.get(&(group.to_owned(), TopicPartition::new(topic, partition)))?;
        Some((offset.offset?, offset.metadata.clone()))
    }

    /// The commits that touched a topic or had group offsets, in order.
    pub(super) fn commits(&self) -> Vec<Commit> {
        self.state.lock().unwrap().commits.clone()
    }

    /// Removes what lies before an offset, as retention does.
    pub(super) fn truncate(&self, topic: &str, partition: i32, start: i64) {
        let mut state = self.state.lock().unwrap();
        if let Some((base, records)) = state.partitions.get_mut(&TopicPartition::new(topic, partition)) {
            records.drain(..usize::try_from(start - *base).unwrap());
            *base = start;
        }
    }

    pub(super) fn create(&self, name: &str, partitions: i32) {
        self.state.lock().unwrap().create(NewTopic {
            name: name.into(),
            partitions: Some(partitions),
            configs: BTreeMap::new(),
        });
        self.versions.send_modify(|version| *version += 1);
    }

    /// Sets a config of a topic.
    pub(super) fn alter(&self, topic: &str, key: &str, value: &str) {
        let mut state = self.state.lock().unwrap();
        state.topics.get_mut(topic).expect("known").configs.insert(key.into(), value.into());
    }

    /// Appends plain values, each with a key of its own.
    pub(super) fn produce(&self, topic: &str, partition: i32, values: impl IntoIterator<Item = String>) {
        self.append(topic, partition, values, |value| Some(format!("k{value}")));
    }

    /// Appends values whose key is the text before the first `:`; without one it is null.
    pub(super) fn produce_keyed(&self, topic: &str, values: &[&str]) {
        let key = |value: &str| value.split_once(':').map(|(key, _)| key.to_owned());
        self.append(topic, 0, values.iter().map(|value| (*value).to_owned()), key);
    }

    fn append(
        &self,
        topic: &str,
        partition: i32,
        values: impl IntoIterator<Item = String>,
        key: impl Fn(&str) -> Option<String>,
    ) {
        let mut builder = BatchBuilder::default();
        let index = builder.topic(topic);
        builder.run(Run { records: 0, topic: index, origin: index, partition, key: Form::BYTES, value: Form::BYTES });
        for value in values {
            builder.key(key(&value).as_deref().map(str::as_bytes));
            builder.value(Some(value.as_bytes()));
            builder.end(None, None);
        }
        self.apply(Commit { records: vec![builder.build()], ..Commit::default() }).expect("a plain append");
    }

    fn apply(&self, commit: Commit) -> Result<Committed, Error> {
        let mut state = self.state.lock().unwrap();
        for (index, record) in commit.records.iter().flat_map(Batch::records).enumerate() {
            let topic = record.topic();
            let known = state.topics.get(&**topic).ok_or_else(|| Error::UnknownTopic(topic.to_string()))?;
            let limit = known.configs.get("max.message.bytes").and_then(|limit| limit.parse().ok()).unwrap_or(1 << 20);
            let bytes = record.value.bytes.map_or(0, <[u8]>::len);
            if bytes > limit {
                return Err(Error::RecordTooLarge { topic: topic.to_string(), index, bytes, limit });
            }
        }
        let mut committed = Committed::default();
        for record in commit.records.iter().flat_map(Batch::records) {
            let topic = record.topic();
            let partitions = state.topics[&**topic].partitions;
            let by_key = || {
                let sum: i32 = record.key.bytes.unwrap_or_default().iter().map(|byte| i32::from(*byte)).sum();
                sum % partitions
            };
            let number = if record.run.partition >= 0 { record.run.partition } else { by_key() };
            let partition = TopicPartition::new(topic.clone(), number);
            let (base, records) = state.partitions.entry(partition.clone()).or_default();
            let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            records.push(Stored {
                key: text(record.key.bytes),
                value: text(record.value.bytes),
                headers: record
                    .headers()
                    .map(|(name, value)| (name.to_string(), text(value.bytes).unwrap_or_default()))
                    .collect(),
            });
            let base_offset = *base + records.len() as i64 - 1;
            committed.appends.push(AppendResult { partition, base_offset, records: 1 });
        }
        for offset in &commit.group_offsets {
            state.groups.insert((offset.group.to_string(), offset.partition.clone()), offset.clone());
        }
        state.commits.push(commit);
        drop(state);
        self.changed.notify_waiters();
        Ok(committed)
    }

    fn read(&self, fetches: &[Fetch], max_bytes: usize) -> Result<Vec<Fetched>, Error> {
        let state = self.state.lock().unwrap();
        let mut fetched = Vec::new();
        let mut left = max_bytes;
        for Fetch { partition, offset } in fetches {
            if !state.topics.contains_key(&*partition.topic) {
                return Err(Error::UnknownTopic(partition.topic.to_string()));
            }
            let empty = (0, Vec::new());
            let (base, records) = state.partitions.get(partition).unwrap_or(&empty);
            let end = base + records.len() as i64;
            if offset < base || *offset > end {
                return Err(Error::OffsetOutOfRange {
                    partition: partition.clone(),
                    offset: *offset,
                    start: *base,
                    end,
                });
            }
            let mut builder = BatchBuilder::default();
            let topic = builder.topic(&partition.topic);
            builder.run(Run {
                records: 0,
                topic,
                origin: topic,
                partition: partition.partition,
                key: Form::BYTES,
                value: Form::BYTES,
            });
            let mut next_offset = *offset;
            while next_offset < end && left > 0 {
                let record = &records[usize::try_from(next_offset - base).unwrap()];
                builder.key(record.key.as_deref().map(str::as_bytes));
                builder.value(record.value.as_deref().map(str::as_bytes));
                for (name, value) in &record.headers {
                    builder.header(name, Form::BYTES, Some(value.as_bytes()));
                }
                builder.end(Some(1_000 + next_offset), Some(next_offset));
                left = left.saturating_sub(record.value.as_ref().map_or(1, String::len));
                next_offset += 1;
            }
            let records = builder.build();
            fetched.push(Fetched { partition: partition.clone(), records, next_offset, high_watermark: end });
        }
        Ok(fetched)
    }
}

impl State {
    fn create(&mut self, topic: NewTopic) -> Topic {
        let created = Topic {
            name: topic.name.as_str().into(),
            id: uuid::Uuid::from_u128(self.topics.len() as u128 + 1),
            partitions: topic.partitions.unwrap_or(1),
            configs: topic.configs,
            internal: topic.name.starts_with("connect-"),
        };
        self.topics.insert(topic.name, created.clone());
        created
    }
}

#[async_trait]
impl Topics for FakeLog {
    async fn create_topic(&self, topic: NewTopic) -> Result<Topic, Error> {
        if self.topic(&topic.name).is_some() {
            return Err(Error::TopicExists(topic.name));
        }
        let created = self.state.lock().unwrap().create(topic);
        self.versions.send_modify(|version| *version += 1);
        Ok(created)
    }

    async fn delete_topic(&self, name: &str) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap();
        state.topics.remove(name).ok_or_else(|| Error::UnknownTopic(name.into()))?;
        state.partitions.retain(|partition, _| &*partition.topic != name);
        drop(state);
        self.versions.send_modify(|version| *version += 1);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn alter_topic(&self, name: &str, _: BTreeMap<String, Option<String>>) -> Result<Topic, Error> {
        self.topic(name).ok_or_else(|| Error::UnknownTopic(name.into()))
    }

    fn topic(&self, name: &str) -> Option<Topic> {
        self.state.lock().unwrap().topics.get(name).cloned()
    }

    fn topics(&self) -> Vec<Topic> {
        self.state.lock().unwrap().topics.values().cloned().collect()
    }

    fn topic_changes(&self) -> watch::Receiver<u64> {
        self.versions.subscribe()
    }
}

impl Appends for FakeLog {
    fn commit_atomic(&self, commit: Commit) -> CommitFuture {
        let mut state = self.state.lock().unwrap();
        // Faults are meant for tasks; the worker's own topics have their turn elsewhere.
        let of_worker = |commit: &Commit| {
            let topics = commit.records.iter().flat_map(|batch| &batch.columns().topics);
            commit.group_offsets.is_empty()
                && topics.clone().all(|topic| &**topic != "connect-offsets" && topic.starts_with("connect-"))
        };
        if !of_worker(&commit)
            && let Some(fault) = state.faults.pop_front()
        {
            return std::future::ready(Err(fault)).boxed();
        }
        let delay = state.delay;
        drop(state);
        let outcome = self.apply(commit);
        async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            outcome
        }
        .boxed()
    }
}

impl Transactions for FakeLog {
    fn transactional_producer(&self, _: &str) -> TransactionFuture<Box<dyn TransactionalProducer>> {
        std::future::ready(Err(Error::Closed("the log in memory has no transactions".into()))).boxed()
    }
}

#[async_trait]
impl Fetches for FakeLog {
    async fn fetch(&self, partitions: &[Fetch], max_bytes: usize, max_wait: Duration) -> Result<Vec<Fetched>, Error> {
        let until = tokio::time::Instant::now() + max_wait;
        loop {
            let changed = self.changed.notified();
            let fetched = self.read(partitions, max_bytes)?;
            if fetched.iter().any(|fetched| !fetched.records.is_empty()) {
                return Ok(fetched);
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(until) => return Ok(fetched),
            }
        }
    }

    fn offsets(&self, partition: &TopicPartition) -> Result<PartitionOffsets, Error> {
        let state = self.state.lock().unwrap();
        let topic =
            state.topics.get(&*partition.topic).ok_or_else(|| Error::UnknownTopic(partition.topic.to_string()))?;
        if partition.partition >= topic.partitions {
            let (topic, partition) = (partition.topic.to_string(), partition.partition);
            return Err(Error::UnknownPartition { topic, partition });
        }
        let (start, records) = state.partitions.get(partition).map_or((0, 0), |(base, records)| (*base, records.len()));
        Ok(PartitionOffsets { start, high_watermark: start + records as i64 })
    }

    async fn offset_for_time(&self, _: &TopicPartition, _: i64) -> Result<Option<i64>, Error> {
        Ok(None)
    }
}

impl GroupOffsets for FakeLog {
    fn groups(&self) -> Vec<Arc<str>> {
        let state = self.state.lock().unwrap();
        let mut groups: Vec<Arc<str>> = state.groups.keys().map(|(group, _)| group.as_str().into()).collect();
        groups.dedup();
        groups
    }

    fn group_offsets(&self, group: &str) -> Vec<GroupOffset> {
        let state = self.state.lock().unwrap();
        state.groups.iter().filter(|((known, _), _)| known == group).map(|(_, offset)| offset.clone()).collect()
    }
}
