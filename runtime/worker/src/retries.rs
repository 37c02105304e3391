//! What an operator does with records that wait to be put again: look at them, hurry, edit or drop them.
//!
//! All of it is written to the retry topic, which the tasks follow; whether the connector runs does not matter.

use std::collections::BTreeMap;
use std::sync::Arc;

use towpath_log::{Commit, Error as LogError};
use towpath_model::{Batch, ConnectorName};

use crate::answers::{DeferredRecord, RecordId, RetryState};
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::store::{Row, Rows, read_all_rows, read_given, read_row, retries_topic};

/// So many rows are written at a time: a commit is bounded.
const ROWS_MAX: usize = 10_000;

/// Where a record stands in the topic, and how it fares.
type Waiting = (i64, Option<RetryState>);

impl Handle {
    /// The records of a sink that wait to be put again, sorted by where they stand in the log.
    ///
    /// # Errors
    /// [`Error::NotFound`], and the log's.
    pub async fn deferred(&self, name: &ConnectorName) -> Result<Vec<DeferredRecord>> {
        let waiting = self.waiting(name).await?.into_iter();
        Ok(waiting.map(|(id, (_, retry))| DeferredRecord { id, retry }).collect())
    }

    /// One of them, as it was consumed or has been edited: a batch of one.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDeferred`], and the log's.
    pub async fn deferred_record(&self, name: &ConnectorName, id: &RecordId) -> Result<Batch> {
        let waiting = self.waiting(name).await?;
        let (at, _) = waiting.get(id).ok_or_else(|| Error::NotDeferred(id.clone()))?;
        let read = read_given(self.log.as_ref(), &retries_topic(name), &[(id.clone(), *at)], usize::MAX)
            .await
            .map_err(of_log)?;
        if read.is_empty() { Err(Error::NotDeferred(id.clone())) } else { Ok(read) }
    }

    /// Has one of them, or all, put again at once. Answers how many.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDeferred`], and the log's.
    pub async fn retry_deferred(&self, name: &ConnectorName, id: Option<&RecordId>) -> Result<usize> {
        self.write(name, id, |rows, id, retry, now_ms| {
            if let Some(retry) = retry {
                rows.fares(id, &RetryState { next_ms: now_ms, ..retry.clone() }, now_ms);
            }
        })
        .await
    }

    /// Drops one of them, or all: they are not delivered. Answers how many.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDeferred`], and the log's.
    pub async fn drop_deferred(&self, name: &ConnectorName, id: Option<&RecordId>) -> Result<usize> {
        self.write(name, id, |rows, id, _, now_ms| rows.gone(id, now_ms)).await
    }

    /// Gives one of them another value, none for null. Key and headers stay.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDeferred`], and the log's.
    pub async fn edit_deferred(&self, name: &ConnectorName, id: &RecordId, value: Option<&[u8]>) -> Result<()> {
        let record = self.deferred_record(name, id).await?;
        let now_ms = self.clock.now_ms();
        let mut rows = Rows::new(&retries_topic(name));
        if let Some(record) = record.records().next() {
            rows.edited(&record, id, value, now_ms);
        }
        self.commit(rows).await
    }

    async fn write(
        &self,
        name: &ConnectorName,
        id: Option<&RecordId>,
        row: impl Fn(&mut Rows, &RecordId, Option<&RetryState>, i64),
    ) -> Result<usize> {
        let mut waiting = self.waiting(name).await?;
        if let Some(id) = id {
            waiting.retain(|waiting, _| waiting == id);
            if waiting.is_empty() {
                return Err(Error::NotDeferred(id.clone()));
            }
        }
        let now_ms = self.clock.now_ms();
        let waiting: Vec<_> = waiting.into_iter().collect();
        for some in waiting.chunks(ROWS_MAX) {
            let mut rows = Rows::new(&retries_topic(name));
            some.iter().for_each(|(id, (_, retry))| row(&mut rows, id, retry.as_ref(), now_ms));
            self.commit(rows).await?;
        }
        Ok(waiting.len())
    }

    async fn commit(&self, mut rows: Rows) -> Result<()> {
        let records = Vec::from_iter(rows.take());
        self.log.commit_atomic(Commit { records, ..Commit::default() }).await.map_err(of_log)?;
        Ok(())
    }

    /// Reads the topic from its start to its present end.
    async fn waiting(&self, name: &ConnectorName) -> Result<BTreeMap<RecordId, Waiting>> {
        self.connector(name)?;
        let topic = retries_topic(name);
        let (mut waiting, mut fares) = (BTreeMap::new(), BTreeMap::new());
        if self.log.topic(&topic).is_none() {
            return Ok(BTreeMap::new());
        }
        let take_in = |rows: &Batch| {
            for record in rows.records() {
                let (Some((id, row)), Some(at)) = (read_row(&record), record.offset) else { continue };
                match row {
                    Row::Waits(_) => drop(waiting.insert(id, at)),
                    Row::Gone => drop(waiting.remove(&id)),
                    Row::Fares(retry) => drop(fares.insert(id, retry)),
                    Row::Forgotten => drop(fares.remove(&id)),
                }
            }
        };
        read_all_rows(self.log.as_ref(), &topic, 0, take_in).await.map_err(of_log)?;
        Ok(waiting
            .into_iter()
            .map(|(id, at)| {
                let retry = fares.remove(&id);
                (id, (at, retry))
            })
            .collect())
    }
}

pub(crate) fn of_log(error: LogError) -> Error {
    Error::Log(Arc::new(error))
}
