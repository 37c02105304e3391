//! AddPartitionsToTxn: partitions become part of a transaction before anything is written to them. Clients of KIP-890 do without it.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction};
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};
use towpath_log::Producer;
use towpath_model::TopicPartition;

use crate::codes;
use crate::node::Node;

/// From this version on there are several transactions in a request.
const SEVERAL: i16 = 4;
/// From this version on clients know that they can be fenced.
const KNOWS_FENCING: i16 = 2;

pub(super) async fn answer(
    node: &Node,
    request: AddPartitionsToTxnRequest,
    version: i16,
) -> AddPartitionsToTxnResponse {
    if version < SEVERAL {
        let only = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(request.v3_and_below_transactional_id)
            .with_producer_id(request.v3_and_below_producer_id)
            .with_producer_epoch(request.v3_and_below_producer_epoch)
            .with_topics(request.v3_and_below_topics);
        let results = add(node, only, version).await.topic_results;
        return AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results);
    }
    let mut results = Vec::with_capacity(request.transactions.len());
    for transaction in request.transactions {
        results.push(add(node, transaction, version).await);
    }
    AddPartitionsToTxnResponse::default().with_results_by_transaction(results)
}

async fn add(node: &Node, wanted: AddPartitionsToTxnTransaction, version: i16) -> AddPartitionsToTxnResult {
    let id = wanted.transactional_id.to_string();
    let producer = Producer { id: wanted.producer_id.0, epoch: wanted.producer_epoch };
    let all: Vec<TopicPartition> = partitions(&wanted.topics).collect();
    let code_of = |error: &towpath_log::Error| codes::of_transaction(error, version >= KNOWS_FENCING);
    let missing =
        |partition: &TopicPartition| node.log.ends(partition).is_err() || !is_open_to_clients(node, partition);
    let codes: Vec<i16> = if id.is_empty() {
        all.iter().map(|_| Code::InvalidRequest.code()).collect()
    } else if wanted.verify_only {
        let check = |partition: &TopicPartition| {
            let checked = node.log.check_in_transaction(&id, producer, partition);
            checked.err().map_or(codes::NONE, |error| match error {
                towpath_log::Error::InvalidTransactionState { .. } => Code::TransactionAbortable.code(),
                error => code_of(&error).code(),
            })
        };
        all.iter().map(check).collect()
    } else if all.iter().any(missing) {
        // All or none: those that could be added are not tried.
        let code = |partition: &TopicPartition| match missing(partition) {
            true if node.log.ends(partition).is_ok() => Code::TopicAuthorizationFailed.code(),
            true => Code::UnknownTopicOrPartition.code(),
            false => Code::OperationNotAttempted.code(),
        };
        all.iter().map(code).collect()
    } else {
        let added = node.log.add_to_transaction(&id, producer, all.clone()).await;
        let code = added.err().map_or(codes::NONE, |error| code_of(&error).code());
        all.iter().map(|_| code).collect()
    };
    let mut codes = codes.into_iter();
    let topics = wanted.topics.iter().map(|topic| {
        let partition = |(index, code): (&i32, i16)| {
            AddPartitionsToTxnPartitionResult::default().with_partition_index(*index).with_partition_error_code(code)
        };
        let results = topic.partitions.iter().zip(codes.by_ref()).map(partition).collect();
        AddPartitionsToTxnTopicResult::default().with_name(topic.name.clone()).with_results_by_partition(results)
    });
    let topics = topics.collect();
    AddPartitionsToTxnResult::default().with_transactional_id(wanted.transactional_id).with_topic_results(topics)
}

fn partitions(topics: &[AddPartitionsToTxnTopic]) -> impl Iterator<Item = TopicPartition> {
    let of_topic = |topic: &AddPartitionsToTxnTopic| {
        let name = topic.name.to_string();
        topic.partitions.clone().into_iter().map(move |index| TopicPartition::new(name.as_str(), index))
    };
    topics.iter().flat_map(of_topic)
}

fn is_open_to_clients(node: &Node, partition: &TopicPartition) -> bool {
    use towpath_log::Topics as _;
    node.log.topic(&partition.topic).is_some_and(|topic| !node.is_protected(&topic))
}
