//! Fetch: batches as they lie in the log. Waits for new ones and wakes when they are committed.
//!
//! `fetch_sessions` makes a request whole before it is read here, and leaves out of the answer what the client knows.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::fetch_request::FetchRequest;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchResponse, ProducerId, TopicName};
use rand::Rng;
use towpath_log::{Error, FetchBatches, FetchLimits, FetchedBatches};
use towpath_model::TopicPartition;
use uuid::Uuid;

use crate::codes;
use crate::node::Node;

/// From this version on topics are named by id.
const BY_ID: i16 = 13;
/// The isolation level of a client that wants committed records alone.
pub(super) const READ_COMMITTED: i8 = 1;

/// The partitions of a topic, each to be read or with what is wrong with it.
struct Asked {
    topic: TopicName,
    topic_id: Uuid,
    partitions: Vec<(i32, Option<Code>)>,
}

pub(super) async fn answer(node: &Node, request: FetchRequest, version: i16) -> FetchResponse {
    let id = i32::try_from(node.random().next_u32() >> 1).unwrap_or(0);
    let begun = node.fetch_sessions().begin(request, id, node.clock.monotonic());
    match begun {
        Err(code) => FetchResponse::default().with_error_code(code.code()),
        Ok((request, ticket)) => {
            let answer = read(node, request, version).await;
            node.fetch_sessions().end(&ticket, answer)
        }
    }
}

async fn read(node: &Node, request: FetchRequest, version: i16) -> FetchResponse {
    let limits = node.config.limits.clone();
    let committed = request.isolation_level == READ_COMMITTED;
    let bytes = |value: i32| usize::try_from(value).unwrap_or(0);
    let mut wanted = Vec::new();
    let mut all = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let found = if version >= BY_ID {
            node.topic_ids.name(&node.log, topic.topic_id)
        } else {
            Some(topic.topic.as_str().into())
        };
        let mut asked = Asked { topic: topic.topic, topic_id: topic.topic_id, partitions: Vec::new() };
        for partition in topic.partitions {
            let wrong = if found.is_none() {
                Some(Code::UnknownTopicId)
            } else {
                node.wrong_epoch(partition.current_leader_epoch)
            };
            if let (Some(name), None) = (&found, wrong) {
                wanted.push(FetchBatches {
                    partition: TopicPartition::new(name.clone(), partition.partition),
                    offset: partition.fetch_offset,
                    bytes_max: bytes(partition.partition_max_bytes),
                    committed,
                });
            }
            asked.partitions.push((partition.partition, wrong));
        }
        all.push(asked);
    }
    let any_wrong = all.iter().flat_map(|asked| &asked.partitions).any(|(_, wrong)| wrong.is_some());
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(limits.fetch_wait);
    let fetch_limits = FetchLimits {
        bytes_min: bytes(request.min_bytes),
        bytes_max: bytes(request.max_bytes).min(limits.fetch_bytes),
        // A client that asks for nothing, as when it ends a session, has nothing to wait for.
        max_wait: if any_wrong || wanted.is_empty() { Duration::ZERO } else { wait },
    };
    match node.log.fetch_batches(&wanted, fetch_limits).await {
        Ok(fetched) => {
            let responses = responses(all, fetched, committed);
            let parts = responses.iter().flat_map(|topic| &topic.partitions);
            node.metrics.failures(parts.map(|part| part.error_code));
            FetchResponse::default().with_responses(responses)
        }
        Err(error) => FetchResponse::default().with_error_code(codes::of(&error).code()),
    }
}

fn responses(
    all: Vec<Asked>,
    fetched: Vec<Result<FetchedBatches, Error>>,
    committed: bool,
) -> Vec<FetchableTopicResponse> {
    let mut fetched = fetched.into_iter();
    let mut responses = Vec::with_capacity(all.len());
    for asked in all {
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        for (index, wrong) in asked.partitions {
            // Records are never null: some clients do not expect it.
            let answer = PartitionData::default()
                .with_partition_index(index)
                .with_aborted_transactions(None)
                .with_records(Some(Bytes::new()));
            let refused = |code: Code| {
                let answer = answer.clone().with_error_code(code.code());
                answer.with_high_watermark(-1).with_last_stable_offset(-1).with_log_start_offset(-1)
            };
            partitions.push(match wrong.map_or_else(|| fetched.next(), |_| None) {
                Some(Ok(found)) => answer
                    .with_high_watermark(found.ends.high_watermark)
                    .with_last_stable_offset(found.ends.last_stable)
                    .with_log_start_offset(found.ends.start)
                    .with_aborted_transactions(committed.then(|| found.aborted.iter().map(aborted).collect()))
                    .with_records(Some(joined(found.batches))),
                Some(Err(error)) => refused(codes::of(&error)),
                None => refused(wrong.unwrap_or(Code::UnknownServerError)),
            });
        }
        let response = FetchableTopicResponse::default().with_topic(asked.topic).with_topic_id(asked.topic_id);
        responses.push(response.with_partitions(partitions));
    }
    responses
}

fn aborted(one: &towpath_log::Aborted) -> AbortedTransaction {
    AbortedTransaction::default().with_producer_id(ProducerId(one.producer_id)).with_first_offset(one.first_offset)
}

fn joined(mut batches: Vec<Bytes>) -> Bytes {
    if batches.len() <= 1 {
        return batches.pop().unwrap_or_default();
    }
    let mut all = BytesMut::with_capacity(batches.iter().map(Bytes::len).sum());
    batches.iter().for_each(|batch| all.extend_from_slice(batch));
    all.freeze()
}
