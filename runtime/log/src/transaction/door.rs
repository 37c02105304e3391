//! Transactions as others ask for them and are shown them. Everything is queued before a call returns, so that calls take effect in
//! their order; what a call returns resolves when it is durable.

use std::sync::Arc;

use towpath_model::TopicPartition;

use super::coordinator::Done;
use super::machine::{Event, Producer, Transaction, TransactionStatus};
use crate::embedded::Embedded;
use crate::engine::{GroupOffset, TransactionFuture};
use crate::error::Error;
use crate::sync::{lock, read};

/// A transactional id as tools are shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedTransaction {
    /// The id.
    pub id: Arc<str>,
    /// Where it is.
    pub status: TransactionStatus,
    /// Its producer.
    pub producer: Producer,
    /// How long a transaction of it may be open.
    pub timeout_ms: i32,
    /// When the open one began.
    pub started_ms: Option<i64>,
    /// What is part of it.
    pub partitions: Vec<TopicPartition>,
}

/// A producer that a partition remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    /// The producer.
    pub producer: Producer,
    /// The number of the last record it sent, or -1.
    pub last_sequence: i32,
    /// When it was last heard of.
    pub last_ms: i64,
    /// Where its open transaction begins in the partition.
    pub open_since: Option<i64>,
}

impl Embedded {
    /// Begins an instance of the producer of a transactional id: whatever an older one has open is aborted, and it is fenced.
    /// `claimed` is who the client was until now, if it knows (KIP-360).
    ///
    /// # Errors
    /// [`Error::InvalidTransactionTimeout`], [`Error::TransactionFenced`], or the disk's.
    pub fn init_producer(&self, id: &str, timeout_ms: i32, claimed: Option<Producer>) -> TransactionFuture<Producer> {
        let most = self.core.config.transaction_timeout_max_ms;
        let event = Event::Init { timeout_ms, claimed, fresh_id: self.core.new_producer_id() };
        when_durable(match (1..=most).contains(&timeout_ms) {
            true => self.core.transact(&id.into(), event).map(|(state, done)| (state.producer, done)),
            false => Err(Error::InvalidTransactionTimeout { timeout_ms, most }),
        })
    }

    /// Makes partitions part of the transaction, which begins with the first.
    ///
    /// # Errors
    /// [`Error::UnknownTransaction`], [`Error::TransactionFenced`], or the disk's.
    pub fn add_to_transaction(
        &self,
        id: &str,
        producer: Producer,
        partitions: Vec<TopicPartition>,
    ) -> TransactionFuture<()> {
        let event = Event::Add { producer, partitions, implied: false };
        when_durable(self.core.transact(&id.into(), event).map(|(_, done)| ((), done)))
    }

    /// Makes the committed offsets of a group part of the transaction.
    ///
    /// # Errors
    /// As [`add_to_transaction`](Self::add_to_transaction).
    pub fn add_group_to_transaction(&self, id: &str, producer: Producer, group: &str) -> TransactionFuture<()> {
        match self.core.partition_of_offsets(group) {
            Ok(partition) => self.add_to_transaction(id, producer, vec![partition]),
            Err(error) => when_durable(Err(error)),
        }
    }

    /// Whether a partition is part of the transaction that a producer has open.
    ///
    /// # Errors
    /// [`Error::InvalidTransactionState`] where it is not, [`Error::UnknownTransaction`], [`Error::TransactionFenced`].
    pub fn check_in_transaction(&self, id: &str, producer: Producer, partition: &TopicPartition) -> Result<(), Error> {
        let ahead = lock(&self.core.ahead);
        let unknown = || Error::UnknownTransaction { id: id.to_owned() };
        let state = self.core.state_of(&ahead, id).ok_or_else(unknown)?;
        let written = state.on(Event::Write { producer, partition: partition.clone() }, self.core.clock.now_ms());
        written.map(|_| ()).map_err(|refused| refused.error(id))
    }

    /// Stores offsets of one group that count when the transaction commits. `adds` makes the group a part of it where it is not yet.
    ///
    /// # Errors
    /// [`Error::InvalidTransactionState`] where the group is no part of it, or as [`add_to_transaction`](Self::add_to_transaction).
    pub fn commit_offsets_in_transaction(
        &self,
        id: &str,
        producer: Producer,
        offsets: Vec<GroupOffset>,
        adds: bool,
    ) -> TransactionFuture<()> {
        when_durable(self.core.transact_offsets(&id.into(), producer, offsets, adds).map(|done| ((), done)))
    }

    /// Commits or aborts: records of all partitions and offsets of groups come true together, or never. With `bumps` the producer
    /// gets a new epoch, so that nothing that arrives late can be taken for a part of its next transaction (KIP-890).
    ///
    /// # Errors
    /// [`Error::InvalidTransactionState`] where none is open or it has ended the other way, [`Error::UnknownTransaction`],
    /// [`Error::TransactionFenced`], or the disk's.
    pub fn end_transaction(
        &self,
        id: &str,
        producer: Producer,
        commit: bool,
        bumps: bool,
    ) -> TransactionFuture<Producer> {
        let event = Event::End { producer, commit, bumps, fresh_id: self.core.new_producer_id() };
        when_durable(self.core.transact(&id.into(), event).map(|(state, done)| (state.producer, done)))
    }

    /// The time by which transactions are measured.
    pub fn now_ms(&self) -> i64 {
        self.core.clock.now_ms()
    }

    /// All transactional ids.
    pub fn transactions(&self) -> Vec<DescribedTransaction> {
        read(&self.core.visible).transactions.by_id.iter().map(|(id, state)| described(id, state)).collect()
    }

    /// One transactional id.
    pub fn transaction(&self, id: &str) -> Option<DescribedTransaction> {
        let visible = read(&self.core.visible);
        visible.transactions.by_id.get_key_value(id).map(|(id, state)| described(id, state))
    }

    /// The producers that a partition remembers.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::UnknownPartition`].
    pub fn producers(&self, partition: &TopicPartition) -> Result<Vec<ActiveProducer>, Error> {
        let (_, partition) = self.core.partition_of(partition)?;
        let open = lock(&partition.state).transactions.open().clone();
        let mut found = lock(&partition.producers).active();
        found.iter_mut().for_each(|active| active.open_since = open.get(&active.producer.id).copied());
        Ok(found)
    }

    /// In which partitions open transactions hold offsets of a group back.
    pub fn pending_offsets(&self, group: &str) -> Vec<TopicPartition> {
        read(&self.core.visible).groups.pending_of(group)
    }
}

fn described(id: &Arc<str>, state: &Transaction) -> DescribedTransaction {
    DescribedTransaction {
        id: id.clone(),
        status: state.status,
        producer: state.producer,
        timeout_ms: state.timeout_ms,
        started_ms: state.started_ms,
        partitions: state.partitions.iter().cloned().collect(),
    }
}

/// The answer to what was queued, when it is durable.
pub(super) fn when_durable<T: Send + 'static>(queued: Result<(T, Option<Done>), Error>) -> TransactionFuture<T> {
    Box::pin(async move {
        let (answer, done) = queued?;
        if let Some(done) = done {
            done.await.unwrap_or_else(|_| Err(Error::Closed("it was dropped".into())))?;
        }
        Ok(answer)
    })
}
