//! A source task: every call of the model's trait becomes one call into the component.

use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use towpath_model::{Checkpoint, ConnectorError, Polled, Progress, Source};

use crate::bindings::imports::towpath::connect::types;
use crate::bindings::source::Part;
use crate::bindings::source::exports::towpath::connect::source as wit;
use crate::columns::batch_from_wit;
use crate::guest::{Instance, malformed};
use crate::translate::error_from_wit;

/// A source component at work.
pub(crate) struct SourceTask {
    pub(crate) instance: Instance<Part>,
    pub(crate) context: types::Context,
}

impl SourceTask {
    fn call_max(&self) -> Duration {
        self.instance.scope().services.limits.call_max
    }

    fn answer<R>(&self, answer: Result<R, types::Error>) -> Result<R, ConnectorError> {
        answer.map_err(|error| error_from_wit(error, &self.instance.scope().redactor))
    }

    /// Checks what a guest gave back and ends the instance when it contradicts itself.
    fn polled(&mut self, polled: wit::Polled) -> Result<Polled, ConnectorError> {
        let bytes_max = self.instance.scope().services.limits.batch_bytes_max;
        let records = match batch_from_wit(polled.records, bytes_max) {
            Ok(records) => records,
            Err(reason) => return self.instance.end(malformed("poll", reason)),
        };
        if polled.transaction_ends.iter().any(|end| *end as usize >= records.len()) {
            return self.instance.end(malformed("poll", "a transaction ends after a record that is not there"));
        }
        Ok(Polled {
            records,
            checkpoints: polled
                .checkpoints
                .into_iter()
                .map(|checkpoint| Checkpoint { partition: checkpoint.partition, offset: checkpoint.offset })
                .collect(),
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
}

#[async_trait]
impl Source for SourceTask {
    async fn open(&mut self, offsets: Vec<Checkpoint>) -> Result<(), ConnectorError> {
        let (context, offsets, limit) = (self.context.clone(), checkpoints(&offsets), self.call_max());
        let call = self.instance.call("open", limit, move |exports, store| {
            async move { exports.towpath_connect_source().call_open(store, &context, &offsets).await }.boxed()
        });
        let answer = call.await?;
        self.answer(answer)
    }

    async fn poll(&mut self, max_wait: Duration, max_records: u32, max_bytes: u32) -> Result<Polled, ConnectorError> {
        let max_wait_ms = u32::try_from(max_wait.as_millis()).unwrap_or(u32::MAX);
        let limit = self.call_max().saturating_add(max_wait);
        let call = self.instance.call("poll", limit, move |exports, store| {
            exports.towpath_connect_source().call_poll(store, max_wait_ms, max_records, max_bytes).boxed()
        });
        let answer = call.await?;
        let polled = self.answer(answer)?;
        self.polled(polled)
    }

    async fn commit(&mut self, offsets: &[Checkpoint]) -> Result<(), ConnectorError> {
        let (offsets, limit) = (checkpoints(offsets), self.call_max());
        let call = self.instance.call("commit", limit, move |exports, store| {
            async move { exports.towpath_connect_source().call_commit(store, &offsets).await }.boxed()
        });
        let answer = call.await?;
        self.answer(answer)
    }

    async fn keep_alive(&mut self) -> Result<(), ConnectorError> {
        let limit = self.call_max();
        let call = self.instance.call("keep-alive", limit, |exports, store| {
            exports.towpath_connect_source().call_keep_alive(store).boxed()
        });
        let answer = call.await?;
        self.answer(answer)
    }

    async fn alter_offsets(&mut self, offsets: &[Checkpoint]) -> Result<(), ConnectorError> {
        let (offsets, limit) = (checkpoints(offsets), self.call_max());
        let call = self.instance.call("alter-offsets", limit, move |exports, store| {
            async move { exports.towpath_connect_source().call_alter_offsets(store, &offsets).await }.boxed()
        });
        let answer = call.await?;
        self.answer(answer)
    }

    async fn close(&mut self) {
        let limit = self.call_max();
        let call = self
            .instance
            .call("close", limit, |exports, store| exports.towpath_connect_source().call_close(store).boxed());
        if let Err(error) = call.await {
            tracing::debug!(task = %self.instance.scope().label, %error, "closing failed");
        }
    }
}

fn checkpoints(offsets: &[Checkpoint]) -> Vec<wit::Checkpoint> {
    offsets
        .iter()
        .map(|offset| wit::Checkpoint { partition: offset.partition.clone(), offset: offset.offset.clone() })
        .collect()
}
