//! The log as the REST interface and `tail` look into it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use towpath_log::{Error, Fetch, LogEngine, Topic};
use towpath_model::{Batch, TopicPartition};
use towpath_rest::{Log, LogFault, LogNumbers, TopicDescription, TopicPartitionEnds};

/// A log engine to look into.
pub(crate) struct LogView<L> {
    log: Arc<L>,
}

impl<L: LogEngine> LogView<L> {
    /// Looks into `log`.
    pub(crate) fn new(log: Arc<L>) -> Self {
        Self { log }
    }

    fn find(&self, topic: &str) -> Result<Topic, LogFault> {
        self.log.topic(topic).ok_or_else(|| LogFault::UnknownTopic(topic.to_owned()))
    }

    fn ends_of(&self, topic: &Topic) -> Result<Vec<TopicPartitionEnds>, LogFault> {
        let ends = |partition| {
            let found = self.log.offsets(&TopicPartition::new(Arc::clone(&topic.name), partition)).map_err(fault)?;
            Ok(TopicPartitionEnds { partition, start: found.start, high_watermark: found.high_watermark })
        };
        (0..topic.partitions).map(ends).collect()
    }

    /// Where to go on after a position that the log does not hold.
    fn nearest(&self, partition: &TopicPartition, position: i64) -> Result<i64, LogFault> {
        let ends = self.log.offsets(partition).map_err(fault)?;
        Ok(position.clamp(ends.start, ends.high_watermark))
    }
}

#[async_trait]
impl<L: LogEngine + Numbered + 'static> Log for LogView<L> {
    fn topics(&self) -> Vec<TopicDescription> {
        let describe = |topic: Topic| {
            // A topic deleted meanwhile is not shown.
            let partitions = self.ends_of(&topic).ok()?;
            Some(TopicDescription {
                name: topic.name.to_string(),
                id: topic.id.to_string(),
                internal: topic.internal,
                records: partitions.iter().map(|ends| ends.high_watermark - ends.start).sum(),
                partitions,
                configs: topic.configs,
            })
        };
        self.log.topics().into_iter().filter_map(describe).collect()
    }

    fn ends(&self, topic: &str) -> Result<Vec<TopicPartitionEnds>, LogFault> {
        self.ends_of(&self.find(topic)?)
    }

    async fn offsets_at(&self, topic: &str, timestamp_ms: i64) -> Result<Vec<i64>, LogFault> {
        let topic = self.find(topic)?;
        let mut offsets = Vec::new();
        for ends in self.ends_of(&topic)? {
            let partition = TopicPartition::new(Arc::clone(&topic.name), ends.partition);
            let found = self.log.offset_for_time(&partition, timestamp_ms).await.map_err(fault)?;
            offsets.push(found.unwrap_or(ends.high_watermark));
        }
        Ok(offsets)
    }

    async fn read(
        &self,
        topic: &str,
        positions: &mut [Option<i64>],
        max_bytes: usize,
        max_wait: Duration,
    ) -> Result<Vec<Batch>, LogFault> {
        let name = self.find(topic)?.name;
        let wanted: Vec<Fetch> = (0..)
            .zip(positions.iter())
            .filter_map(|(partition, position)| {
                let partition = TopicPartition::new(Arc::clone(&name), partition);
                position.map(|offset| Fetch { partition, offset })
            })
            .collect();
        let fetched = match self.log.fetch(&wanted, max_bytes, max_wait).await {
            Err(Error::OffsetOutOfRange { partition, offset, .. }) => {
                if let Some(position) = position_of(positions, &partition) {
                    *position = Some(self.nearest(&partition, offset)?);
                }
                return Ok(Vec::new());
            }
            fetched => fetched.map_err(fault)?,
        };
        let mut batches = Vec::with_capacity(fetched.len());
        for part in fetched {
            if let Some(position) = position_of(positions, &part.partition) {
                *position = Some(part.next_offset);
            }
            batches.push(part.records);
        }
        Ok(batches)
    }

    fn numbers(&self) -> LogNumbers {
        self.log.numbers()
    }

    fn failure(&self) -> Option<String> {
        self.log.failure()
    }
}

/// What an engine tells of itself beyond [`LogEngine`].
pub(crate) trait Numbered {
    /// Numbers for metrics.
    fn numbers(&self) -> LogNumbers;
    /// Why it has failed for good, if it has.
    fn failure(&self) -> Option<String>;
}

fn position_of<'a>(positions: &'a mut [Option<i64>], partition: &TopicPartition) -> Option<&'a mut Option<i64>> {
    positions.get_mut(usize::try_from(partition.partition).ok()?)
}

fn fault(error: Error) -> LogFault {
    match error {
        Error::UnknownTopic(topic) => LogFault::UnknownTopic(topic),
        other => LogFault::Failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
