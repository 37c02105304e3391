//! The readers of a source task: further instances of its component, each at work on one share.
//!
//! A reader makes one step at a time, on any thread of the worker: it reads until it has something, and goes on only when
//! that was taken over. So there are never more batches under way than readers, however slow the log is. Whom a share goes
//! to and when is `source`'s matter.

use std::collections::VecDeque;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::task::{JoinError, JoinSet};
use towpath_model::{Batch, ConnectorError};

use super::source::answered;
use crate::bindings::imports::towpath::connect::types;
use crate::bindings::shares::Part;
use crate::bindings::shares::exports::towpath::connect::shares as wit;
use crate::columns::batch_from_wit;
use crate::guest::{Instance, malformed};

/// The longest that a reader waits for its source before it is asked again.
const READ_WAIT: Duration = Duration::from_secs(5);

/// Makes the instance of one more reader, whose number is given.
pub(crate) type MakeReader =
    Box<dyn Fn(u32) -> BoxFuture<'static, Result<Instance<Part>, ConnectorError>> + Send + Sync>;

/// How much a reader may return at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) records: u32,
    pub(crate) bytes: u32,
}

/// What a reader has read since its last step.
pub(crate) struct Step {
    pub(crate) reader: Box<Reader>,
    pub(crate) records: Batch,
    pub(crate) report: Vec<u8>,
    pub(crate) done: bool,
}

/// The readers of one task. Dropping them ends them.
pub(crate) struct Readers {
    make: MakeReader,
    max: usize,
    made: u32,
    free: Vec<Box<Reader>>,
    reading: JoinSet<Result<Step, ConnectorError>>,
    /// Steps that are complete and not yet taken over.
    ready: VecDeque<Result<Step, ConnectorError>>,
}

impl Readers {
    /// No readers yet, and never more than `max`.
    pub(crate) fn new(make: MakeReader, max: usize) -> Self {
        Self { make, max, made: 0, free: Vec::new(), reading: JoinSet::new(), ready: VecDeque::new() }
    }

    /// How many are at work.
    pub(crate) fn at_work(&self) -> usize {
        self.reading.len() + self.ready.len()
    }

    /// How many more could be at work.
    pub(crate) fn spare(&self) -> u32 {
        u32::try_from(self.max.saturating_sub(self.at_work())).unwrap_or(u32::MAX)
    }

    /// Gives a share to a free reader, or to a new one.
    ///
    /// # Errors
    /// When none can be made.
    pub(crate) async fn begin(
        &mut self,
        context: &types::Context,
        share: Vec<u8>,
        size: Size,
    ) -> Result<(), ConnectorError> {
        let mut reader = match self.free.pop() {
            Some(reader) => reader,
            None => {
                self.made = self.made.wrapping_add(1);
                let mut reader = Box::new(Reader { instance: (self.make)(self.made).await? });
                reader.open(context).await?;
                reader
            }
        };
        self.reading.spawn(async move {
            reader.begin(share).await?;
            reader.read(size).await
        });
        Ok(())
    }

    /// The next complete step. Cancel safe.
    pub(crate) async fn step(&mut self) -> Result<Step, ConnectorError> {
        match self.ready.pop_front() {
            Some(step) => step,
            None => match self.reading.join_next().await {
                Some(joined) => joined.unwrap_or_else(broken),
                None => std::future::pending().await,
            },
        }
    }

    /// Lets a reader go on after its step was taken over.
    pub(crate) fn go_on(&mut self, reader: Box<Reader>, done: bool, size: Size) {
        if done {
            self.free.push(reader);
        } else {
            self.reading.spawn(async move { reader.read(size).await });
        }
    }

    /// Keeps the connections of those alive that are not called.
    ///
    /// # Errors
    /// When one is lost.
    pub(crate) async fn keep_alive(&mut self) -> Result<(), ConnectorError> {
        while let Some(joined) = self.reading.try_join_next() {
            self.ready.push_back(joined.unwrap_or_else(broken));
        }
        let waiting = self.ready.iter_mut().filter_map(|step| Some(&mut step.as_mut().ok()?.reader));
        for reader in self.free.iter_mut().chain(waiting) {
            reader.keep_alive().await?;
        }
        Ok(())
    }

    /// Ends all of them where they are.
    pub(crate) async fn end(&mut self) {
        self.reading.shutdown().await;
        self.ready.clear();
        self.free.clear();
    }

    /// Closes those that are free and ends the others.
    pub(crate) async fn close(&mut self) {
        for reader in &mut self.free {
            reader.close().await;
        }
        self.end().await;
    }
}

fn broken(error: JoinError) -> Result<Step, ConnectorError> {
    Err(ConnectorError::fatal(format!("a reader ended by a panic of the worker: {error}")))
}

/// One reader.
pub(crate) struct Reader {
    instance: Instance<Part>,
}

impl Reader {
    fn call_max(&self) -> Duration {
        self.instance.scope().services.limits.call_max
    }

    async fn open(&mut self, context: &types::Context) -> Result<(), ConnectorError> {
        let (context, limit) = (context.clone(), self.call_max());
        let call = self.instance.call("open-reader", limit, move |exports, store| {
            async move { exports.towpath_connect_shares().call_open_reader(store, &context).await }.boxed()
        });
        let answer = call.await?;
        answered(&self.instance, answer)
    }

    async fn begin(&mut self, share: Vec<u8>) -> Result<(), ConnectorError> {
        let limit = self.call_max();
        let call = self.instance.call("begin", limit, move |exports, store| {
            async move { exports.towpath_connect_shares().call_begin(store, &share).await }.boxed()
        });
        let answer = call.await?;
        answered(&self.instance, answer)
    }

    /// Reads until there is something to take over.
    async fn read(mut self: Box<Self>, size: Size) -> Result<Step, ConnectorError> {
        let wait_ms = u32::try_from(READ_WAIT.as_millis()).unwrap_or(u32::MAX);
        let limit = self.call_max().saturating_add(READ_WAIT);
        loop {
            let call = self.instance.call("read", limit, move |exports, store| {
                exports.towpath_connect_shares().call_read(store, wait_ms, size.records, size.bytes).boxed()
            });
            let answer = call.await?;
            let part = answered(&self.instance, answer)?;
            let records = match batch_from_wit(part.records, &self.instance.scope().services.limits) {
                Ok(records) => records,
                Err(reason) => return self.instance.end(malformed("read", reason)),
            };
            let done = part.progress == wit::Progress::Done;
            if done || !records.is_empty() {
                return Ok(Step { reader: self, records, report: part.report, done });
            }
        }
    }

    async fn keep_alive(&mut self) -> Result<(), ConnectorError> {
        let limit = self.call_max();
        let call = self.instance.call("keep-reader-alive", limit, |exports, store| {
            exports.towpath_connect_shares().call_keep_reader_alive(store).boxed()
        });
        let answer = call.await?;
        answered(&self.instance, answer)
    }

    async fn close(&mut self) {
        let limit = self.call_max();
        let call = self.instance.call("close-reader", limit, |exports, store| {
            exports.towpath_connect_shares().call_close_reader(store).boxed()
        });
        if let Err(error) = call.await {
            tracing::debug!(task = %self.instance.scope().label, %error, "closing failed");
        }
    }
}
