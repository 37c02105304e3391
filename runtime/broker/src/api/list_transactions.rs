//! ListTransactions: all transactional ids, by state, by producer, by name, or by how long they have been open.

use kafka_protocol::messages::list_transactions_response::TransactionState;
use kafka_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse, ProducerId, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use towpath_log::{DescribedTransaction, TransactionStatus};

use crate::node::Node;
use crate::pattern::whole_match;

/// Kafka's other states, which do not occur here: an end is whole at once.
const NEVER: [&str; 4] = ["PrepareCommit", "PrepareAbort", "Dead", "PrepareEpochFence"];

pub(super) fn answer(node: &Node, request: ListTransactionsRequest) -> ListTransactionsResponse {
    use TransactionStatus::{CompleteAbort, CompleteCommit, Empty, Ongoing};
    let known = |filter: &StrBytes| {
        let names = [Empty, Ongoing, CompleteCommit, CompleteAbort].map(TransactionStatus::name);
        names.iter().chain(&NEVER).any(|name| *name == filter.as_str())
    };
    let (filters, unknown): (Vec<StrBytes>, Vec<StrBytes>) = request.state_filters.iter().cloned().partition(known);
    let pattern = request.transactional_id_pattern.as_deref().filter(|pattern| !pattern.is_empty());
    let pattern = match pattern.map(whole_match).transpose() {
        Ok(pattern) => pattern,
        Err(code) => return ListTransactionsResponse::default().with_error_code(code.code()),
    };
    let now_ms = node.log.now_ms();
    let is_wanted = |found: &DescribedTransaction| {
        let by_state = request.state_filters.is_empty() || filters.iter().any(|name| **name == *found.status.name());
        let producers = &request.producer_id_filters;
        let by_producer = producers.is_empty() || producers.contains(&ProducerId(found.producer.id));
        let open_for = found.started_ms.map(|started| now_ms.saturating_sub(started));
        let by_duration = request.duration_filter < 0 || open_for.is_some_and(|open| open > request.duration_filter);
        let by_name = pattern.as_ref().is_none_or(|pattern| pattern.is_match(&found.id));
        by_state && by_producer && by_duration && by_name
    };
    let state = |found: DescribedTransaction| {
        TransactionState::default()
            .with_transactional_id(TransactionalId(StrBytes::from_string(found.id.to_string())))
            .with_producer_id(ProducerId(found.producer.id))
            .with_transaction_state(StrBytes::from_static_str(found.status.name()))
    };
    let states = node.log.transactions().into_iter().filter(is_wanted).map(state).collect();
    ListTransactionsResponse::default().with_unknown_state_filters(unknown).with_transaction_states(states)
}
