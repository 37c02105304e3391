//! Dead letters that are delivered once more: they become records that wait to be put again, and how far the queue was replayed is
//! remembered in a consumer group.

use std::sync::Arc;
use std::time::Duration;

use towpath_log::{Commit, Fetch, GroupOffset};
use towpath_model::{ConnectorKind, ConnectorName, TopicPartition};

use crate::answers::{Replayed, RetryState};
use crate::error::{Error, Result};
use crate::errors::{read_told, revived};
use crate::handle::Handle;
use crate::retries::of_log;
use crate::store::{Rows, ensure_retries, retries_topic};

const QUEUE_KEY: &str = "errors.deadletterqueue.topic.name";
/// How the names of groups begin that remember how far dead letters were replayed.
const REPLAYS_PREFIX: &str = "connect-replay-";
const REPLAY_STAGE: &str = "REPLAY";
/// How much of a dead letter queue is read at a time.
const REPLAY_BYTES: usize = 1 << 20;

impl Handle {
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
}
