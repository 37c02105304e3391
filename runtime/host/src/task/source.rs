//! A source task: every call of the model's trait becomes one call into the component.
//!
//! A component that divides its work is asked before each poll what comes next. Its readers then work beside it, and a poll
//! answers with whatever one of them has read; the task's own instance says which positions that makes. Records leave in the
//! order in which it heard of them (invariant 4).

use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use towpath_model::{Batch, Checkpoint, ConnectorError, Polled, Progress, Source};

use super::positions::check_positions;
use super::readers::{Readers, Size};
use crate::bindings::imports::towpath::connect::types;
use crate::bindings::shares::exports::towpath::connect::shares;
use crate::bindings::source::exports::towpath::connect::source as wit;
use crate::bindings::{shares as shares_part, source as source_part};
use crate::columns::batch_from_wit;
use crate::guest::{Instance, malformed};
use crate::translate::error_from_wit;

/// While readers work, the task is asked at least so often what comes next.
const TURN_WAIT: Duration = Duration::from_secs(5);

/// The exports of a source.
pub(crate) struct Exports {
    pub(crate) source: source_part::Part,
    /// Where it divides its work.
    pub(crate) shares: Option<shares_part::Part>,
}

/// A source component at work.
pub(crate) struct SourceTask {
    pub(crate) instance: Instance<Exports>,
    pub(crate) context: types::Context,
    /// Where it divides its work.
    pub(crate) readers: Option<Readers>,
}

/// What a component answered, with its errors in the model's words.
pub(super) fn answered<E: Send + Sync, R>(
    instance: &Instance<E>,
    answer: Result<R, types::Error>,
) -> Result<R, ConnectorError> {
    answer.map_err(|error| error_from_wit(error, &instance.scope().redactor))
}

impl SourceTask {
    fn call_max(&self) -> Duration {
        self.instance.scope().services.limits.call_max
    }

    fn answer<R>(&self, answer: Result<R, types::Error>) -> Result<R, ConnectorError> {
        answered(&self.instance, answer)
    }

    /// Checks what a guest gave back and ends the instance when it contradicts itself.
    fn polled(&mut self, polled: wit::Polled) -> Result<Polled, ConnectorError> {
        let records = match batch_from_wit(polled.records, &self.instance.scope().services.limits) {
            Ok(records) => records,
            Err(reason) => return self.instance.end(malformed("poll", reason)),
        };
        if polled.transaction_ends.iter().any(|end| *end as usize >= records.len()) {
            return self.instance.end(malformed("poll", "a transaction ends after a record that is not there"));
        }
        if let Err(reason) = check_positions(&polled.checkpoints) {
            return self.instance.end(malformed("poll", reason));
        }
        Ok(Polled {
            records,
            checkpoints: checkpoints_from_wit(polled.checkpoints),
            progress: match polled.progress {
                wit::Progress::More => Progress::More,
                wit::Progress::Idle => Progress::Idle,
                wit::Progress::Finished => Progress::Finished,
            },
            lag_ms: polled.lag_ms,
            lag_bytes: polled.lag_bytes,
            transaction_ends: polled.transaction_ends,
        })
    }

    /// Polls the task's own instance.
    async fn poll_task(&mut self, max_wait: Duration, size: Size) -> Result<Polled, ConnectorError> {
        let max_wait_ms = u32::try_from(max_wait.as_millis()).unwrap_or(u32::MAX);
        let limit = self.call_max().saturating_add(max_wait);
        let call = self.instance.call("poll", limit, move |exports, store| {
            exports.source.towpath_connect_source().call_poll(store, max_wait_ms, size.records, size.bytes).boxed()
        });
        let answer = call.await?;
        let polled = self.answer(answer)?;
        self.polled(polled)
    }

    /// Polls the task or a reader, as the task says.
    async fn poll_turns(&mut self, max_wait: Duration, size: Size) -> Result<Polled, ConnectorError> {
        let clock = self.instance.scope().services.clock.clone();
        let deadline = clock.monotonic().saturating_add(max_wait);
        loop {
            let (turn, at_work) = self.next_turn().await?;
            let left = deadline.saturating_sub(clock.monotonic());
            match turn {
                shares::Turn::Task => return self.poll_task(left, size).await,
                shares::Turn::Share(share) => {
                    let Some(readers) = &mut self.readers else { return Ok(nothing()) };
                    if readers.spare() == 0 {
                        return self.instance.end(malformed("next-turn", "a share where no reader is free"));
                    }
                    readers.begin(&self.context, share, size).await?;
                }
                shares::Turn::Wait if !at_work => {
                    return self.instance.end(malformed("next-turn", "it waits for readers, and none is at work"));
                }
                shares::Turn::Wait => match self.take_over(left.min(TURN_WAIT), size).await? {
                    Some(polled) => return Ok(polled),
                    None if left <= TURN_WAIT => return Ok(nothing()),
                    None => {}
                },
            }
        }
    }

    /// What the task wants next, and whether any reader is at work.
    async fn next_turn(&mut self) -> Result<(shares::Turn, bool), ConnectorError> {
        let (spare, at_work) = match &self.readers {
            Some(readers) => (readers.spare(), readers.at_work() > 0),
            None => (0, false),
        };
        let limit = self.call_max();
        let call = self.instance.call("next-turn", limit, move |exports, store| {
            async move {
                match &exports.shares {
                    Some(shares) => shares.towpath_connect_shares().call_next_turn(store, spare).await,
                    None => Ok(Ok(shares::Turn::Task)),
                }
            }
            .boxed()
        });
        let answer = call.await?;
        Ok((self.answer(answer)?, at_work))
    }

    /// What a reader has read, with the positions that the task makes of it; none when the wait ended before.
    async fn take_over(&mut self, max_wait: Duration, size: Size) -> Result<Option<Polled>, ConnectorError> {
        let interruption = self.instance.scope().interruption.clone();
        let Some(readers) = &mut self.readers else { return Ok(None) };
        let step = tokio::select! {
            biased;
            () = interruption.raised() => return Ok(Some(nothing())),
            step = readers.step() => step?,
            () = tokio::time::sleep(max_wait) => return Ok(None),
        };
        let checkpoints = self.fold(step.report).await?;
        if let Some(readers) = &mut self.readers {
            readers.go_on(step.reader, step.done, size);
        }
        // A share is no part of a transaction: each of its batches is complete in itself.
        let transaction_ends = step.records.len().checked_sub(1).and_then(|last| u32::try_from(last).ok());
        let transaction_ends = transaction_ends.into_iter().collect();
        Ok(Some(Polled { records: step.records, checkpoints, transaction_ends, ..nothing() }))
    }

    async fn fold(&mut self, report: Vec<u8>) -> Result<Vec<Checkpoint>, ConnectorError> {
        let limit = self.call_max();
        let call = self.instance.call("fold", limit, move |exports, store| {
            async move {
                match &exports.shares {
                    Some(shares) => shares.towpath_connect_shares().call_fold(store, &report).await,
                    None => Ok(Ok(Vec::new())),
                }
            }
            .boxed()
        });
        let answer = call.await?;
        self.answer(answer).map(checkpoints_from_wit)
    }

    /// After an error nothing that readers do counts any more.
    async fn recall(&mut self) {
        if let Some(readers) = &mut self.readers {
            readers.end().await;
        }
        let limit = self.call_max();
        let call = self.instance.call("recall", limit, |exports, store| {
            async move {
                match &exports.shares {
                    Some(shares) => shares.towpath_connect_shares().call_recall(store).await,
                    None => Ok(()),
                }
            }
            .boxed()
        });
        // An instance that died says so again at the next call.
        if let Err(error) = call.await {
            tracing::debug!(task = %self.instance.scope().label, %error, "taking back shares failed");
        }
    }
}

#[async_trait]
impl Source for SourceTask {
    async fn open(&mut self, offsets: Vec<Checkpoint>) -> Result<(), ConnectorError> {
        let (context, offsets, limit) = (self.context.clone(), checkpoints(&offsets), self.call_max());
        let call = self.instance.call("open", limit, move |exports, store| {
            async move { exports.source.towpath_connect_source().call_open(store, &context, &offsets).await }.boxed()
        });
        let answer = call.await?;
        self.answer(answer)
    }

    async fn poll(&mut self, max_wait: Duration, max_records: u32, max_bytes: u32) -> Result<Polled, ConnectorError> {
        let size = Size { records: max_records, bytes: max_bytes };
        if self.readers.is_none() {
            return self.poll_task(max_wait, size).await;
        }
        let polled = self.poll_turns(max_wait, size).await;
        if polled.is_err() {
            self.recall().await;
        }
        polled
    }

    async fn commit(&mut self, offsets: &[Checkpoint]) -> Result<(), ConnectorError> {
        let (offsets, limit) = (checkpoints(offsets), self.call_max());
        let call = self.instance.call("commit", limit, move |exports, store| {
            async move { exports.source.towpath_connect_source().call_commit(store, &offsets).await }.boxed()
        });
        let answer = call.await?;
        self.answer(answer)
    }

    async fn keep_alive(&mut self) -> Result<(), ConnectorError> {
        let limit = self.call_max();
        let call = self.instance.call("keep-alive", limit, |exports, store| {
            exports.source.towpath_connect_source().call_keep_alive(store).boxed()
        });
        let answer = call.await?;
        self.answer(answer)?;
        let kept = match &mut self.readers {
            Some(readers) => readers.keep_alive().await,
            None => Ok(()),
        };
        if kept.is_err() {
            self.recall().await;
        }
        kept
    }

    async fn close(&mut self) {
        if let Some(readers) = &mut self.readers {
            readers.close().await;
        }
        let limit = self.call_max();
        let call = self
            .instance
            .call("close", limit, |exports, store| exports.source.towpath_connect_source().call_close(store).boxed());
        if let Err(error) = call.await {
            tracing::debug!(task = %self.instance.scope().label, %error, "closing failed");
        }
    }
}

/// Positions in the words of the interface.
pub(crate) fn checkpoints(offsets: &[Checkpoint]) -> Vec<types::Checkpoint> {
    let to_wit =
        |offset: &Checkpoint| types::Checkpoint { partition: offset.partition.clone(), offset: offset.offset.clone() };
    offsets.iter().map(to_wit).collect()
}

fn checkpoints_from_wit(checkpoints: Vec<types::Checkpoint>) -> Vec<Checkpoint> {
    let from_wit = |types::Checkpoint { partition, offset }| Checkpoint { partition, offset };
    checkpoints.into_iter().map(from_wit).collect()
}

fn nothing() -> Polled {
    Polled {
        records: Batch::default(),
        checkpoints: Vec::new(),
        progress: Progress::More,
        lag_ms: None,
        lag_bytes: None,
        transaction_ends: Vec::new(),
    }
}
