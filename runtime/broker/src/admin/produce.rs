//! Records by hand.

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

use super::{Admin, AdminError, Transport, checked, text};
use crate::node::topic_name;

const TIMEOUT_MS: i32 = 30_000;

/// A record to append.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// The key; none goes to partitions in turn.
    pub key: Option<Bytes>,
    /// The value; none is a tombstone.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// When it was made, in milliseconds since the epoch.
    pub timestamp_ms: i64,
}

impl<T: Transport> Admin<T> {
    /// The number of partitions that records of a topic are spread over; the topic is made where the broker does that by itself.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn partitions_to_fill(&mut self, topic: &str) -> Result<i32, AdminError> {
        self.partitions(topic, true).await
    }

    /// Appends records to one partition as one batch: all of them, in this order, or none. Gives the offset of the first.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn produce(&mut self, topic: &str, partition: i32, records: &[NewRecord]) -> Result<i64, AdminError> {
        let encoded: Vec<Record> = (0i32..).zip(records).map(|(index, record)| encodable(index, record)).collect();
        let mut bytes = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: Compression::None };
        RecordBatchEncoder::encode(&mut bytes, &encoded, &options)
            .map_err(|error| AdminError::Invalid(format!("the records cannot be encoded: {error}")))?;
        self.append(topic, partition, bytes.freeze()).await
    }

    /// Appends a record batch in Kafka's format to one partition. Gives the offset of the first record.
    pub(super) async fn append(&mut self, topic: &str, partition: i32, batch: Bytes) -> Result<i64, AdminError> {
        let part = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
        let named = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![part]);
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(TIMEOUT_MS).with_topic_data(vec![named]);
        let answer = self.ask(9, &request).await?;
        let part = answer.responses.first().and_then(|topic| topic.partition_responses.first());
        let part = part.ok_or_else(|| AdminError::Unsound("it names no partition".to_owned()))?;
        checked(part.error_code, part.error_message.as_ref(), format_args!("partition {partition} of {topic}"))?;
        Ok(part.base_offset)
    }
}

fn encodable(index: i32, record: &NewRecord) -> Record {
    let NewRecord { key, value, headers, timestamp_ms } = record.clone();
    Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset: i64::from(index),
        sequence: index,
        timestamp: timestamp_ms,
        key,
        value,
        headers: headers.iter().map(|(name, value)| (text(name), value.clone())).collect::<IndexMap<_, _>>(),
    }
}
