//! Produce: batches go into the log's queue as they are, all partitions of a request in one commit; the answer waits for the disk.
//!
//! acks=1 and acks=all are the same with one broker, and both wait. acks=0 gets no answer; the connection closes where it fails,
//! which is all such a client can notice.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use towpath_log::{AppendedBatch, Error, ReceivedBatch};
use towpath_model::TopicPartition;

use crate::call::Call;
use crate::codes;
use crate::error::Hangup;
use crate::node::Node;
use crate::shield;

/// From this version on a batch of a transaction makes its partition a part of it (KIP-890).
const ADDS_PARTITIONS: i16 = 12;

/// What is known of a partition of a request when it is begun.
enum Part {
    Refused(Code, String),
    /// It is the next of those that were queued.
    Queued,
}

type Asked = Vec<(TopicName, uuid::Uuid, Vec<(i32, Part)>)>;

pub(super) fn begin(node: &Arc<Node>, call: Call) -> Result<BoxFuture<'static, Result<Option<Bytes>, Hangup>>, Hangup> {
    let request: ProduceRequest = shield::decode_produce(&call.body, call.version)?;
    let acks = request.acks;
    let refusal = match acks {
        -1 => None,
        0 | 1 if request.transactional_id.is_none() => None,
        0 | 1 => Some((Code::InvalidRequiredAcks, "a transaction needs acks=all")),
        _ => Some((Code::InvalidRequiredAcks, "acks is -1, 0 or 1")),
    };
    let adds_partition = call.version >= ADDS_PARTITIONS;
    let mut batches = Vec::new();
    let mut asked: Asked = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let found = node.topic_by(topic.topic_id, topic.name.as_str());
        let mut parts = Vec::with_capacity(topic.partition_data.len());
        for partition in topic.partition_data {
            let part = match (&refusal, &found) {
                (Some((code, why)), _) => Part::Refused(*code, (*why).into()),
                (None, None) if topic.topic_id.is_nil() => {
                    Part::Refused(Code::UnknownTopicOrPartition, "there is no such topic".into())
                }
                (None, None) => Part::Refused(Code::UnknownTopicId, "no topic has this id".into()),
                (None, Some(found)) if node.is_protected(found) => {
                    Part::Refused(Code::TopicAuthorizationFailed, format!("{} is the runtime's own", found.name))
                }
                (None, Some(found)) => {
                    let name = TopicPartition::new(found.name.clone(), partition.index);
                    let bytes = partition.records.unwrap_or_default();
                    batches.push(ReceivedBatch { partition: name, bytes, adds_partition });
                    Part::Queued
                }
            };
            parts.push((partition.index, part));
        }
        asked.push((topic.name, topic.topic_id, parts));
    }
    let appended = node.log.append_batches(batches);
    let node = Arc::clone(node);
    Ok(Box::pin(async move {
        let answer = response(asked, appended.await);
        let parts = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
        node.metrics.failures(parts.map(|part| part.error_code));
        if acks != 0 {
            return call.encode(&answer).map(Some);
        }
        let failed = |part: &PartitionProduceResponse| part.error_code != codes::NONE;
        let any = answer.responses.iter().any(|topic| topic.partition_responses.iter().any(failed));
        if any { Err(Hangup::Unacknowledged) } else { Ok(None) }
    }))
}

fn response(asked: Asked, appended: Vec<Result<AppendedBatch, Error>>) -> ProduceResponse {
    let mut appended = appended.into_iter();
    let mut one = |(index, part): (i32, Part)| {
        let answer =
            PartitionProduceResponse::default().with_index(index).with_base_offset(-1).with_log_append_time_ms(-1);
        let refused = |code: Code, why: String| {
            answer.clone().with_error_code(code.code()).with_error_message(Some(StrBytes::from_string(why)))
        };
        match part {
            Part::Refused(code, why) => refused(code, why),
            Part::Queued => match appended.next() {
                Some(Ok(appended)) => answer
                    .with_base_offset(appended.base_offset)
                    .with_log_append_time_ms(appended.append_time_ms.unwrap_or(-1))
                    .with_log_start_offset(appended.log_start),
                Some(Err(error)) => {
                    refused(codes::of_produce(&error), error.to_string()).with_record_errors(record_errors(&error))
                }
                None => refused(Code::UnknownServerError, "it was not appended".into()),
            },
        }
    };
    let mut responses = Vec::with_capacity(asked.len());
    for (name, topic_id, parts) in asked {
        let parts = parts.into_iter().map(&mut one).collect();
        let response = TopicProduceResponse::default().with_name(name).with_topic_id(topic_id);
        responses.push(response.with_partition_responses(parts));
    }
    ProduceResponse::default().with_responses(responses)
}

/// Which records a batch is refused for (KIP-467): clients send the others again.
fn record_errors(error: &Error) -> Vec<BatchIndexAndErrorMessage> {
    let Error::KeyMissing { indexes, .. } = error else { return Vec::new() };
    let one = |index: &usize| {
        let index = i32::try_from(*index).unwrap_or(i32::MAX);
        BatchIndexAndErrorMessage::default().with_batch_index(index).with_batch_index_error_message(None)
    };
    indexes.iter().map(one).collect()
}
