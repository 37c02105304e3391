//! DescribeTransactions: where transactional ids are, and what their open transactions consist of.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use towpath_log::DescribedTransaction;

use crate::node::{Node, topic_name};

pub(super) fn answer(node: &Node, request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let state = |id: TransactionalId| {
        let answer = TransactionState::default().with_transactional_id(id.clone());
        match node.log.transaction(&id) {
            Some(found) => described(answer, &found),
            None => answer.with_error_code(Code::TransactionalIdNotFound.code()),
        }
    };
    let states = request.transactional_ids.into_iter().map(state).collect();
    DescribeTransactionsResponse::default().with_transaction_states(states)
}

fn described(answer: TransactionState, found: &DescribedTransaction) -> TransactionState {
    let mut topics: Vec<TopicData> = Vec::new();
    for partition in &found.partitions {
        match topics.last_mut().filter(|last| last.topic.as_str() == &*partition.topic) {
            Some(last) => last.partitions.push(partition.partition),
            None => topics.push(
                TopicData::default()
                    .with_topic(topic_name(&partition.topic))
                    .with_partitions(vec![partition.partition]),
            ),
        }
    }
    answer
        .with_transaction_state(StrBytes::from_static_str(found.status.name()))
        .with_transaction_timeout_ms(found.timeout_ms)
        .with_transaction_start_time_ms(found.started_ms.unwrap_or(-1))
        .with_producer_id(ProducerId(found.producer.id))
        .with_producer_epoch(found.producer.epoch)
        .with_topics(topics)
}
