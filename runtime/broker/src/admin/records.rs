//! Records as they come, for those who look at a topic.

use std::time::Duration;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use towpath_log::records_of;
use towpath_model::{Batch, TopicPartition};

use super::groups::{EARLIEST, LATEST};
use super::{Admin, AdminError, Transport, checked, unsound};
use crate::node::topic_name;

/// Committed records alone.
pub(super) const READ_COMMITTED: i8 = 1;
/// A fetch that begins no session.
const NO_SESSION: i32 = -1;

/// What was read of one partition.
#[derive(Clone, Debug)]
pub struct FetchedRecords {
    /// The partition's number.
    pub partition: i32,
    /// Its committed records.
    pub records: Batch,
    /// Where to go on.
    pub next_offset: i64,
}

impl<T: Transport> Admin<T> {
    /// Reads partitions of a topic, each from an offset on; waits for the first record as long as `max_wait`. An offset that is not
    /// kept gives no records and the nearest one that is.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn fetch(
        &mut self,
        topic: &str,
        positions: &[(i32, i64)],
        bytes_max: usize,
        max_wait: Duration,
    ) -> Result<Vec<FetchedRecords>, AdminError> {
        let bytes_max = i32::try_from(bytes_max).unwrap_or(i32::MAX);
        let part = |(partition, offset): &(i32, i64)| {
            let part = FetchPartition::default().with_partition(*partition).with_fetch_offset(*offset);
            part.with_partition_max_bytes(bytes_max)
        };
        let named = FetchTopic::default().with_topic(topic_name(topic));
        let named = named.with_partitions(positions.iter().map(part).collect());
        let request = FetchRequest::default()
            .with_max_wait_ms(i32::try_from(max_wait.as_millis()).unwrap_or(i32::MAX))
            .with_min_bytes(1)
            .with_max_bytes(bytes_max)
            .with_isolation_level(READ_COMMITTED)
            .with_session_epoch(NO_SESSION)
            .with_topics(vec![named]);
        let answer = self.ask(12, &request).await?;
        checked(answer.error_code, None, format_args!("topic {topic}"))?;
        let mut fetched = Vec::with_capacity(positions.len());
        for part in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
            let partition = TopicPartition::new(topic, part.partition_index);
            let from = positions.iter().find(|(wanted, _)| *wanted == partition.partition).map_or(0, |(_, from)| *from);
            let outside = part.error_code == Code::OffsetOutOfRange.code();
            let from = if outside { self.nearest(&partition, from).await? } else { from };
            if !outside {
                checked(part.error_code, None, &partition)?;
            }
            let aborted = part.aborted_transactions.unwrap_or_default();
            let aborted: Vec<_> = aborted.iter().map(|one| (one.producer_id.0, one.first_offset)).collect();
            let bytes = part.records.unwrap_or_default();
            let (records, next_offset) =
                records_of(&partition, from, &bytes, &aborted).map_err(|error| unsound(&error))?;
            fetched.push(FetchedRecords { partition: partition.partition, records, next_offset });
        }
        Ok(fetched)
    }

    /// For each partition of a topic, the offset of the first record at or after a time; none where there is none.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn offsets_for_time(
        &mut self,
        topic: &str,
        partitions: i32,
        timestamp_ms: i64,
    ) -> Result<Vec<Option<i64>>, AdminError> {
        let partitions: Vec<_> = (0..partitions).map(|partition| TopicPartition::new(topic, partition)).collect();
        let found = self.offsets_at(&partitions, timestamp_ms).await?;
        Ok(partitions.iter().map(|partition| found.get(partition).copied()).collect())
    }

    async fn nearest(&mut self, partition: &TopicPartition, offset: i64) -> Result<i64, AdminError> {
        let only = std::slice::from_ref(partition);
        let start = self.offsets_at(only, EARLIEST).await?.get(partition).copied();
        let end = self.offsets_at(only, LATEST).await?.get(partition).copied();
        match start.zip(end) {
            Some((start, end)) => Ok(offset.clamp(start, end)),
            None => Err(AdminError::Invalid(format!("{partition} does not exist any more"))),
        }
    }
}
