//! A sink task: every call of the model's trait becomes one call into the component.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use towpath_model::{Batch, ConnectorError, Flushed, LateError, Position, Redactor, Sink, TopicPartition};

use crate::bindings::imports::towpath::connect::types;
use crate::bindings::sink::Part;
use crate::bindings::sink::exports::towpath::connect::sink as wit;
use crate::columns::batch_to_wit;
use crate::guest::{Instance, clean, code, malformed};
use crate::translate::error_from_wit;

/// What may be stored with an offset. The sinks that need the most keep a line for each open partition of a path.
const METADATA_BYTES_MAX: usize = 512 << 10;

/// A sink component at work.
pub(crate) struct SinkTask {
    pub(crate) instance: Instance<Part>,
    pub(crate) context: types::Context,
}

impl SinkTask {
    fn call_max(&self) -> Duration {
        self.instance.scope().services.limits.call_max
    }

    fn answer<R>(&self, answer: Result<R, types::Error>) -> Result<R, ConnectorError> {
        answer.map_err(|error| error_from_wit(error, &self.instance.scope().redactor))
    }
}

#[async_trait]
impl Sink for SinkTask {
    async fn open(&mut self) -> Result<(), ConnectorError> {
        let (context, limit) = (self.context.clone(), self.call_max());
        let call = self.instance.call("open", limit, move |exports, store| {
            async move { exports.towpath_connect_sink().call_open(store, &context).await }.boxed()
        });
        let answer = call.await?;
        self.answer(answer)
    }

    async fn assigned(&mut self, positions: &[Position]) -> Result<(), ConnectorError> {
        let (positions, limit) = (positions_to_wit(positions), self.call_max());
        let call = self.instance.call("assigned", limit, move |exports, store| {
            async move { exports.towpath_connect_sink().call_assigned(store, &positions).await }.boxed()
        });
        let answer = call.await?;
        self.answer(answer)
    }

    async fn revoked(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectorError> {
        let to_wit = |partition: &TopicPartition| wit::TopicPartition {
            topic: partition.topic.to_string(),
            partition: partition.partition,
        };
        let (partitions, limit): (Vec<_>, _) = (partitions.iter().map(to_wit).collect(), self.call_max());
        let call = self.instance.call("revoked", limit, move |exports, store| {
            async move { exports.towpath_connect_sink().call_revoked(store, &partitions).await }.boxed()
        });
        let answer = call.await?;
        self.answer(answer)
    }

    async fn put(&mut self, records: &Batch) -> Result<(), ConnectorError> {
        let (count, limit) = (records.len(), self.call_max());
        let records = batch_to_wit(records);
        let call = self.instance.call("put", limit, move |exports, store| {
            async move { exports.towpath_connect_sink().call_put(store, &records).await }.boxed()
        });
        let answer = call.await?;
        if let Err(types::Error::Records(errors)) = &answer {
            let mut indexes: Vec<usize> = errors.iter().map(|error| error.index as usize).collect();
            indexes.sort_unstable();
            let sound =
                indexes.last().is_some_and(|last| *last < count) && indexes.windows(2).all(|two| two[0] < two[1]);
            if !sound {
                let reason = "it refuses a record that is not in the batch, or one twice, or none";
                return self.instance.end(malformed("put", reason));
            }
        }
        self.answer(answer)
    }

    async fn flush(&mut self, handed_over: &[Position]) -> Result<Flushed, ConnectorError> {
        let (positions, limit) = (positions_to_wit(handed_over), self.call_max());
        let call = self.instance.call("flush", limit, move |exports, store| {
            async move { exports.towpath_connect_sink().call_flush(store, &positions).await }.boxed()
        });
        let answer = call.await?;
        let flushed = self.answer(answer)?;
        let flushed = flushed_from_wit(flushed, &self.instance.scope().redactor);
        // Invariant 1: a sink cannot acknowledge what it was never given.
        let ahead = |position: &&Position| {
            let same = |known: &&Position| known.topic == position.topic && known.partition == position.partition;
            handed_over.iter().find(same).is_some_and(|known| position.offset > known.offset)
        };
        let offsets =
            flushed.offsets.iter().chain(&flushed.rewinds).map(|position| (&position.topic, position.partition));
        let mut told = offsets.chain(flushed.late_errors.iter().map(|late| (&late.topic, late.partition)));
        let is_own = |(topic, partition): &(&Arc<str>, i32)| {
            handed_over.iter().any(|known| known.topic == **topic && known.partition == *partition)
        };
        if let Some((topic, partition)) = told.find(|place| !is_own(place)) {
            let reason = format!("it speaks of {topic}-{partition}, which is not a partition of its own");
            return self.instance.end(malformed("flush", reason));
        }
        if let Some(position) = flushed.offsets.iter().find(|position| position.metadata.len() > METADATA_BYTES_MAX) {
            let reason = format!("its metadata for {}-{} is too long to be stored", position.topic, position.partition);
            return self.instance.end(malformed("flush", reason));
        }
        if let Some(position) = flushed.offsets.iter().find(ahead) {
            let reason = format!(
                "it calls {}-{} durable up to {}, which it was not given",
                position.topic, position.partition, position.offset
            );
            return self.instance.end(malformed("flush", reason));
        }
        Ok(flushed)
    }

    async fn next_flush(&mut self) -> Result<Option<Duration>, ConnectorError> {
        let limit = self.call_max();
        let call = self
            .instance
            .call("next-flush", limit, |exports, store| exports.towpath_connect_sink().call_next_flush(store).boxed());
        Ok(call.await?.map(Duration::from_millis))
    }

    async fn close(&mut self) {
        let limit = self.call_max();
        let call = self
            .instance
            .call("close", limit, |exports, store| exports.towpath_connect_sink().call_close(store).boxed());
        if let Err(error) = call.await {
            tracing::debug!(task = %self.instance.scope().label, %error, "closing failed");
        }
    }
}

fn flushed_from_wit(flushed: wit::Flushed, redactor: &Redactor) -> Flushed {
    let positions = |positions: Vec<wit::Position>| {
        positions
            .into_iter()
            .map(|position| Position {
                topic: position.topic.into(),
                partition: position.partition,
                offset: position.offset,
                metadata: position.metadata,
            })
            .collect()
    };
    let late_error = |error: wit::LateError| LateError {
        topic: error.topic.into(),
        partition: error.partition,
        offset: error.offset,
        code: code(error.code, "connector.record"),
        reason: clean(redactor, &error.reason),
        retriable: error.retriable,
    };
    Flushed {
        offsets: positions(flushed.offsets),
        late_errors: flushed.late_errors.into_iter().map(late_error).collect(),
        rewinds: positions(flushed.rewinds),
    }
}

fn positions_to_wit(positions: &[Position]) -> Vec<wit::Position> {
    positions
        .iter()
        .map(|position| wit::Position {
            topic: position.topic.to_string(),
            partition: position.partition,
            offset: position.offset,
            metadata: position.metadata.clone(),
        })
        .collect()
}
