//! DescribeProducers: who writes to a partition, and where their open transactions begin; tools find hanging ones by it.

use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};
use kafka_protocol::protocol::StrBytes;
use towpath_log::ActiveProducer;
use towpath_model::TopicPartition;

use crate::codes;
use crate::node::Node;

pub(super) fn answer(node: &Node, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partition = |index: &i32| {
            let answer = PartitionResponse::default().with_partition_index(*index);
            match node.log.producers(&TopicPartition::new(topic.name.as_str(), *index)) {
                Ok(found) => answer.with_error_message(None).with_active_producers(found.iter().map(state).collect()),
                Err(error) => answer
                    .with_error_code(codes::of(&error).code())
                    .with_error_message(Some(StrBytes::from_string(error.to_string()))),
            }
        };
        let partitions = topic.partition_indexes.iter().map(partition).collect();
        TopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}

fn state(active: &ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(active.producer.id))
        .with_producer_epoch(i32::from(active.producer.epoch))
        .with_last_sequence(active.last_sequence)
        .with_last_timestamp(active.last_ms)
        .with_coordinator_epoch(0)
        .with_current_txn_start_offset(active.open_since.unwrap_or(-1))
}
