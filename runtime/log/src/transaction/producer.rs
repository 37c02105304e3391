//! The producer of transactions that the runtime itself writes, behind the engine's trait: one id, one transaction at a time.
//!
//! It takes the place that a client's connection has in the protocol. Nothing is sent twice and calls take effect in their order, so
//! it needs no sequence numbers; an instance is told from an older one of the same id by its epoch (invariant 5).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::coordinator::Done;
use super::door::when_durable;
use super::machine::{Event, Producer};
use crate::core::Core;
use crate::embedded::{Embedded, when_committed};
use crate::engine::{Commit, CommitFuture, TransactionFuture, TransactionalProducer, Transactions};
use crate::error::Error;

impl Transactions for Embedded {
    fn transactional_producer(&self, id: &str) -> TransactionFuture<Box<dyn TransactionalProducer>> {
        let (core, id): (_, Arc<str>) = (self.core.clone(), id.into());
        let begun = self.init_producer(&id, self.core.config.transaction_timeout_max_ms, None);
        Box::pin(async move {
            let producer = begun.await?;
            let opened: Box<dyn TransactionalProducer> =
                Box::new(IdProducer { core, id, producer, open: Arc::default() });
            Ok(opened)
        })
    }
}

/// A producer of the embedded log.
struct IdProducer {
    core: Arc<Core>,
    id: Arc<str>,
    producer: Producer,
    /// Whether a transaction is open, for all that is known: an end counts when it is durable.
    open: Arc<AtomicBool>,
}

impl IdProducer {
    fn end(&self, commit: bool) -> Result<Option<Done>, Error> {
        if !self.open.load(Ordering::Acquire) {
            return Ok(None);
        }
        let fresh_id = self.core.new_producer_id();
        let event = Event::End { producer: self.producer, commit, bumps: false, fresh_id };
        self.core.transact(&self.id, event).map(|(_, done)| done)
    }
}

impl TransactionalProducer for IdProducer {
    fn write(&mut self, part: Commit) -> CommitFuture {
        let queued = self.core.transact_commit(&self.id, self.producer, part);
        if matches!(queued, Ok(Some(_))) {
            self.open.store(true, Ordering::Release);
        }
        when_committed(queued)
    }

    fn commit(&mut self) -> TransactionFuture<()> {
        let (ended, open) = (when_durable(self.end(true).map(|done| ((), done))), self.open.clone());
        Box::pin(async move {
            ended.await?;
            open.store(false, Ordering::Release);
            Ok(())
        })
    }
}

impl Drop for IdProducer {
    fn drop(&mut self) {
        // Where it cannot be aborted now, the next producer of the id does, or time.
        if let Err(error) = self.end(false) {
            tracing::debug!(transactional_id = %self.id, %error, "a transaction was left as it is");
        }
    }
}
