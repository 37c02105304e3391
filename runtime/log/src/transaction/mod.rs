//! Transactions of Kafka's producers, across partitions and groups.
//!
//! ```text
//! door (public), producer (the runtime's own) ─> coordinator ─> machine: event in, next state and markers out
//!                      │             record: the state as Kafka stores it in `__transaction_state`
//!                      └─> one commit: state + markers of all partitions, whole or absent
//! ```
//! A transaction ends with one frame of the journal. So there is nothing in between to recover from, no state that prepares an end,
//! and nobody who must be told to come back later. What a partition knows of transactions is in `aborted`.

mod coordinator;
mod door;
mod machine;
mod metrics;
mod producer;
mod record;
#[cfg(test)]
mod tests;

pub(crate) use coordinator::{Ahead, Durable, Joining};
pub use door::{ActiveProducer, DescribedTransaction};
pub(crate) use machine::Transaction;
pub use machine::{Producer, TransactionStatus};
pub use metrics::{Ended, Held, TransactionMetrics};
