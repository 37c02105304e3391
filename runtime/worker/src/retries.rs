//! What an operator does with records that wait to be put again: look at them, hurry, edit or drop them.
//!
//! All of it is written to the retry topic, which the tasks follow; whether the connector runs does not matter.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use towpath_log::{Commit, Error as LogError, Fetch, GroupOffset};
use towpath_model::{Batch, ConnectorKind, ConnectorName, TopicPartition};

use crate::answers::{DeferredRecord, RecordId, Replayed, RetryState};
use crate::error::{Error, Result};
use crate::errors::{read_told, revived};
use crate::handle::Handle;
use crate::store::{Row, Rows, ensure_retries, read_given, read_row, read_rows, retries_topic};

const QUEUE_KEY: &str = "errors.deadletterqueue.topic.name";
/// How the names of groups begin that remember how far dead letters were replayed.
const REPLAYS_PREFIX: &str = "connect-replay-";
const REPLAY_STAGE: &str = "REPLAY";
/// How much of a dead letter queue is read at a time.
const REPLAY_BYTES: usize = 1 << 20;

/// Where a record stands in the topic, and how it fares.
type Waiting = (i64, Option<RetryState>);

impl Handle {
    /// The records of a sink that wait to be put again, sorted by where they stand in the log.
    ///
    /// # Errors
    /// [`Error::NotFound`], and the log's.
    pub async fn deferred(&self, name: &ConnectorName) -> Result<Vec<DeferredRecord>> {
        let waiting = self.waiting(name).await?.into_iter();
        Ok(waiting.map(|(id, (_, retry))| DeferredRecord { id, retry }).collect())
    }

    /// One of them, as it was consumed or has been edited: a batch of one.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDeferred`], and the log's.
    pub async fn deferred_record(&self, name: &ConnectorName, id: &RecordId) -> Result<Batch> {
        let waiting = self.waiting(name).await?;
        let (at, _) = waiting.get(id).ok_or_else(|| Error::NotDeferred(id.clone()))?;
        let read = read_given(self.log.as_ref(), &retries_topic(name), &[(id.clone(), *at)]).await.map_err(of_log)?;
        if read.is_empty() { Err(Error::NotDeferred(id.clone())) } else { Ok(read) }
    }

    /// Has one of them, or all, put again at once. Answers how many.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDeferred`], and the log's.
    pub async fn retry_deferred(&self, name: &ConnectorName, id: Option<&RecordId>) -> Result<usize> {
        self.write(name, id, |rows, id, retry, now_ms| {
            if let Some(retry) = retry {
                rows.fares(id, &RetryState { next_ms: now_ms, ..retry.clone() }, now_ms);
            }
        })
        .await
    }

    /// Drops one of them, or all: they are not delivered. Answers how many.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDeferred`], and the log's.
    pub async fn drop_deferred(&self, name: &ConnectorName, id: Option<&RecordId>) -> Result<usize> {
        self.write(name, id, |rows, id, _, now_ms| rows.gone(id, now_ms)).await
    }

    /// Gives one of them another value, none for null. Key and headers stay.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDeferred`], and the log's.
    pub async fn edit_deferred(&self, name: &ConnectorName, id: &RecordId, value: Option<&[u8]>) -> Result<()> {
        let record = self.deferred_record(name, id).await?;
        let now_ms = self.clock.now_ms();
        let mut rows = Rows::new(&retries_topic(name));
        if let Some(record) = record.records().next() {
            rows.edited(&record, id, value, now_ms);
        }
        self.commit(rows).await
    }

    /// Has all dead letters of a sink delivered that came since the last replay, by way of the records that wait. Each keeps its
    /// place in the log, so that what is newer of its key waits behind it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::BadRequest`] where there is no dead letter queue, and the log's.
    pub async fn replay_dead_letters(&self, name: &ConnectorName) -> Result<Replayed> {
        let connector = self.connector(name)?;
        let queue = connector.config.get(QUEUE_KEY).filter(|_| connector.kind == Some(ConnectorKind::Sink));
        let queue = queue.ok_or_else(|| Error::BadRequest(format!("Connector {name} has no {QUEUE_KEY}")))?;
        let mut replayed = Replayed::default();
        let Some(topic) = self.log.topic(queue) else { return Ok(replayed) };
        ensure_retries(self.log.as_ref(), name).await.map_err(of_log)?;
        let group: Arc<str> = format!("{REPLAYS_PREFIX}{name}").into();
        let known = self.log.group_offsets(&group);
        for number in 0..topic.partitions {
            let partition = TopicPartition::new(topic.name.clone(), number);
            let committed = known.iter().find(|known| known.partition == partition).and_then(|known| known.offset);
            self.replay_partition(name, &group, partition, committed, &mut replayed).await?;
        }
        if replayed.records > 0 && connector.config.get("errors.retry.mode") != Some("defer") {
            // Tasks that do not defer look into the topic when they start.
            self.restart(name.clone(), true, false).await?;
        }
        Ok(replayed)
    }

    async fn replay_partition(
        &self,
        name: &ConnectorName,
        group: &Arc<str>,
        partition: TopicPartition,
        committed: Option<i64>,
        replayed: &mut Replayed,
    ) -> Result<()> {
        let ends = self.log.offsets(&partition).map_err(of_log)?;
        let mut offset = committed.unwrap_or(0).max(ends.start);
        while offset < ends.high_watermark {
            let wanted = [Fetch { partition: partition.clone(), offset }];
            let fetched = self.log.fetch(&wanted, REPLAY_BYTES, Duration::ZERO).await.map_err(of_log)?;
            let Some(fetched) = fetched.into_iter().next().filter(|fetched| fetched.next_offset > offset) else {
                break;
            };
            let mut rows = Rows::new(&retries_topic(name));
            for letter in fetched.records.records() {
                let Some(told) = read_told(&letter).filter(|told| told.connector == name.as_str()) else {
                    replayed.skipped += 1;
                    continue;
                };
                let now_ms = self.clock.now_ms();
                let retry = RetryState {
                    stage: REPLAY_STAGE.to_owned(),
                    attempt: 0,
                    cause: told.reason,
                    code: told.code,
                    since_ms: now_ms,
                    next_ms: now_ms,
                };
                for record in revived(&letter).records() {
                    rows.waits(&record, &told.id, now_ms);
                }
                rows.fares(&told.id, &retry, now_ms);
                replayed.records += 1;
            }
            offset = fetched.next_offset;
            // That it is replayed, and how far the queue is, become durable together.
            let group_offsets = vec![GroupOffset {
                group: group.clone(),
                partition: partition.clone(),
                offset: Some(offset),
                leader_epoch: None,
                metadata: String::new(),
            }];
            let commit = Commit { records: Vec::from_iter(rows.take()), group_offsets, ..Commit::default() };
            self.log.commit_atomic(commit).await.map_err(of_log)?;
        }
        Ok(())
    }

    async fn write(
        &self,
        name: &ConnectorName,
        id: Option<&RecordId>,
        row: impl Fn(&mut Rows, &RecordId, Option<&RetryState>, i64),
    ) -> Result<usize> {
        let mut waiting = self.waiting(name).await?;
        if let Some(id) = id {
            waiting.retain(|waiting, _| waiting == id);
            if waiting.is_empty() {
                return Err(Error::NotDeferred(id.clone()));
            }
        }
        let now_ms = self.clock.now_ms();
        let mut rows = Rows::new(&retries_topic(name));
        for (id, (_, retry)) in &waiting {
            row(&mut rows, id, retry.as_ref(), now_ms);
        }
        self.commit(rows).await?;
        Ok(waiting.len())
    }

    async fn commit(&self, mut rows: Rows) -> Result<()> {
        let records = Vec::from_iter(rows.take());
        self.log.commit_atomic(Commit { records, ..Commit::default() }).await.map_err(of_log)?;
        Ok(())
    }

    /// Reads the topic from its start to its present end.
    async fn waiting(&self, name: &ConnectorName) -> Result<BTreeMap<RecordId, Waiting>> {
        self.connector(name)?;
        let (topic, log) = (retries_topic(name), self.log.as_ref());
        let (mut waiting, mut fares) = (BTreeMap::new(), BTreeMap::new());
        if log.topic(&topic).is_none() {
            return Ok(BTreeMap::new());
        }
        let mut next = 0;
        while let Some(fetched) = read_rows(log, &topic, next, Duration::ZERO).await.map_err(of_log)? {
            for record in fetched.records.records() {
                let (Some((id, row)), Some(at)) = (read_row(&record), record.offset) else { continue };
                match row {
                    Row::Waits(_) => drop(waiting.insert(id, at)),
                    Row::Gone => drop(waiting.remove(&id)),
                    Row::Fares(retry) => drop(fares.insert(id, retry)),
                    Row::Forgotten => drop(fares.remove(&id)),
                }
            }
            if fetched.next_offset >= fetched.high_watermark {
                break;
            }
            next = fetched.next_offset;
        }
        Ok(waiting
            .into_iter()
            .map(|(id, at)| {
                let retry = fares.remove(&id);
                (id, (at, retry))
            })
            .collect())
    }
}

fn of_log(error: LogError) -> Error {
    Error::Log(Arc::new(error))
}
