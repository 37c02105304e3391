//! What the driver does with records that are put again later, where that is wanted: sets them apart, tells what became of them, and sees
//! to it that both are written.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;
use towpath_model::{Batch, Coded, ConnectorError, Kind, LateError, RecordError};

use super::deferred::{Cause, id_of, same_lane};
use super::driver::Driver;
use super::outcome::{consumed_again, lost, not_given};
use crate::answers::RecordId;
use crate::errors::Stage;
use crate::store::read_given;
use crate::task::Failure;

/// A flush comes so soon when something is to be written to the retry topic.
const WRITE_DEFERRED_WITHIN: Duration = Duration::from_millis(100);

/// What is deferred of a batch that failed as a whole.
#[derive(Default)]
pub(super) struct Apart {
    pub(super) failed: Vec<RecordError>,
    /// The others are put again at once.
    pub(super) others: Vec<u32>,
}

impl Driver {
    /// Which records of a batch that failed as a whole are deferred, if any are: all of one that was deferred before, and of another the
    /// first, with those of its key, once it has failed often enough.
    pub(super) fn set_apart(&mut self, error: &ConnectorError) -> Option<Apart> {
        let deferring = self.deferring.as_mut().filter(|_| error.kind() == Kind::Retry)?;
        let consumed = self.delivery.chunk_consumed();
        let first = consumed.first()?;
        let is_deferred = self.delivery.is_deferred();
        if !is_deferred && (matches!(error, ConnectorError::Throttled { .. }) || !deferring.failed_as_a_whole()) {
            return None;
        }
        let mut apart = Apart::default();
        for (index, record) in (0..).zip(&consumed) {
            if is_deferred || same_lane(first, record) {
                let (code, reason) = (error.code().to_owned(), error.to_string());
                apart.failed.push(RecordError { index, code, reason, retriable: true });
            } else {
                apart.others.push(index);
            }
        }
        Some(apart)
    }

    /// Records of the chunk that may pass when repeated wait for that while others pass them. Answers those that have been tried
    /// often enough.
    pub(super) fn defer(
        &mut self,
        passing: Vec<RecordError>,
        after: Option<Duration>,
    ) -> Result<Vec<RecordError>, Failure> {
        let Some(deferring) = &mut self.deferring else { return Ok(passing) };
        if passing.is_empty() {
            deferring.went_through();
            return Ok(passing);
        }
        let now_ms = self.task.shared.clock.now_ms();
        let consumed = self.delivery.chunk_consumed();
        let mut given_up = Vec::new();
        for (number, error) in passing.into_iter().enumerate() {
            let record = consumed.get(error.index as usize).ok_or_else(not_given)?;
            let reason = &*self.task.redactor.redact(&error.reason);
            let cause = Cause { code: &error.code, reason, after };
            let waits = match self.delivery.is_deferred() {
                true => deferring.failed_again(&id_of(record), cause, now_ms),
                false => deferring.defer(record, cause, now_ms),
            };
            if number == 0 {
                let place = record.offset.unwrap_or(-1);
                let message = format!(
                    "record at topic {}, partition {}, offset {place}: {reason}",
                    record.origin(),
                    record.run.partition
                );
                self.task.note_error(Stage::Put.name(), &error.code, message);
            }
            if waits {
                self.task.meters.retries.add(1);
            } else {
                given_up.push(error);
            }
        }
        Ok(given_up)
    }

    /// The guest has taken all of the chunk but for these.
    pub(super) fn taken(&mut self, failed: &HashSet<u32>) {
        let Some(deferring) = self.deferring.as_mut().filter(|_| self.delivery.is_deferred()) else { return };
        let consumed = self.delivery.chunk_consumed();
        let taken = (0..).zip(&consumed).filter(|(index, _)| !failed.contains(index));
        deferring.handed(taken.map(|(_, record)| id_of(record)).collect());
    }

    /// As [`defer`](Self::defer), of a record that an earlier put took. Answers false when it has been tried often enough.
    pub(super) async fn defer_late(&mut self, late: &LateError) -> Result<bool, Failure> {
        let (batch, was_deferred) = self.consumed_late(late).await?;
        let record = batch.records().find(|record| record.offset == Some(late.offset)).ok_or_else(|| lost(late))?;
        let Some(deferring) = &mut self.deferring else { return Ok(false) };
        let now_ms = self.task.shared.clock.now_ms();
        let reason = self.task.redactor.redact(&late.reason);
        let cause = Cause { code: &late.code, reason: &reason, after: None };
        self.task.meters.retries.add(1);
        Ok(match was_deferred {
            true => deferring.failed_again(&id_of(&record), cause, now_ms),
            false => deferring.defer(&record, cause, now_ms),
        })
    }

    /// A record that an earlier put took, as consumed, and whether it is one that was deferred.
    pub(super) fn consumed_late(
        &self,
        late: &LateError,
    ) -> impl Future<Output = Result<(Batch, bool), Failure>> + Send + 'static {
        let log = self.task.shared.log.clone();
        let id = RecordId { topic: late.topic.clone(), partition: late.partition, offset: late.offset };
        let place =
            self.deferring.as_ref().and_then(|deferring| Some((deferring.topic().to_owned(), deferring.place(&id)?)));
        async move {
            match place {
                Some((topic, at)) => {
                    let read = read_given(log.as_ref(), &topic, &[(id, at)], usize::MAX).await;
                    Ok((read.map_err(|error| Failure::log("reading a deferred record again", &error))?, true))
                }
                None => Ok((consumed_again(log.as_ref(), &id.partition(), id.offset).await?, false)),
            }
        }
    }

    /// Sees to it that what was decided of deferred records is soon written.
    pub(super) fn seal_deferred(&mut self) {
        let Some(deferring) = &mut self.deferring else { return };
        self.task.meters.deferrals.add(deferring.seal());
        self.task.meters.deferred(deferring.len());
        if deferring.is_unwritten() {
            let at = Instant::now() + WRITE_DEFERRED_WITHIN;
            self.flush_at = Some(self.flush_at.map_or(at, |before| before.min(at)));
        }
    }
}
