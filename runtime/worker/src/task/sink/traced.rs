//! The trace of a sink's batch after fetch and convert: its puts, and the flush and commit that make it safe, which go back to the
//! batches concerned by links.

use std::time::Duration;

use towpath_model::{Batch, Coded, ConnectorError};

use super::fetch::Fetched;
use crate::spans::SpanContext;
use crate::task::Task;
use crate::task::traces::{COMMIT, FLUSH, Fault, LINKS_MAX, Load, PUT, Traced, Traces};

/// What of a sink's batches is traced and not over.
#[derive(Default)]
pub(super) struct Tracking {
    /// The batch that is being put.
    batch: Option<(Traced, Load)>,
    /// The put under way.
    put: Option<(Duration, Load)>,
    /// Batches that were put since the last flush.
    unflushed: Vec<SpanContext>,
    /// When the flush under way began.
    flush: Duration,
    /// The last flush, and when the commit after it began.
    commit: Option<(SpanContext, Duration)>,
}

impl Tracking {
    /// A batch is to be put. What is left of the one before is not.
    pub(super) fn begins(&mut self, task: &Task, traced: Option<Traced>, records: &Batch) {
        self.over(task);
        self.batch = traced.map(|traced| (traced, Load::of(records)));
    }

    /// What was fetched is not put: it is fetched again, by whoever has its partitions then.
    pub(super) fn drops(task: &Task, fetched: Fetched) {
        if let (Some(traced), Some(traces)) = (fetched.traced, &task.traces) {
            traces.over(traced, &Load::of(&fetched.records), None);
        }
    }

    /// A put begins.
    pub(super) fn puts(&mut self, task: &Task, records: &Batch) {
        let traces = task.traces.as_ref().filter(|_| self.batch.is_some() && !records.is_empty());
        self.put = traces.map(|traces| (traces.now(), Load::of(records)));
    }

    /// A put was answered.
    pub(super) fn was_put(&mut self, task: &Task, answer: Result<(), &ConnectorError>) {
        let (Some((began, load)), Some((traced, _)), Some(traces)) = (self.put.take(), &self.batch, &task.traces)
        else {
            return;
        };
        told(task, answer, |fault| traces.step(PUT, traced, began, &load, fault));
        // A put that failed as a whole leaves nothing to be flushed.
        let accepted = matches!(answer, Ok(()) | Err(ConnectorError::Records(_)));
        if accepted && self.unflushed.len() < LINKS_MAX && !self.unflushed.contains(&traced.context()) {
            self.unflushed.push(traced.context());
        }
    }

    /// Nothing is left of the batch to put.
    pub(super) fn over(&mut self, task: &Task) {
        if let (Some((traced, load)), Some(traces)) = (self.batch.take(), &task.traces) {
            traces.over(traced, &load, None);
        }
    }

    /// A flush begins.
    pub(super) fn flushes(&mut self, task: &Task) {
        self.flush = task.traces.as_ref().map(Traces::now).unwrap_or_default();
    }

    /// A flush was answered; it is told of where it makes traced batches safe.
    pub(super) fn was_flushed(&mut self, task: &Task, answer: Result<(), &ConnectorError>) {
        let Some(traces) = task.traces.as_ref().filter(|_| !self.unflushed.is_empty()) else { return };
        let Some(context) = traces.begins(true) else { return };
        // A flush that failed is repeated, for the same batches.
        let links = if answer.is_ok() { std::mem::take(&mut self.unflushed) } else { self.unflushed.clone() };
        told(task, answer, |fault| {
            traces.ended(FLUSH, (context, None, links), self.flush, &Load::default(), fault);
        });
        self.commit = answer.is_ok().then(|| (context, Duration::ZERO));
    }

    /// A commit begins.
    pub(super) fn commits(&mut self, task: &Task) {
        if let (Some((_, began)), Some(traces)) = (&mut self.commit, &task.traces) {
            *began = traces.now();
        }
    }

    /// A commit is over, or why not.
    pub(super) fn was_committed(&mut self, task: &Task, fault: Option<Fault<'_>>) {
        if let (Some((flush, began)), Some(traces)) = (self.commit.take(), &task.traces) {
            traces.ended(COMMIT, (traces.place(flush), Some(flush), Vec::new()), began, &Load::default(), fault);
        }
    }
}

/// The guest's answer as a fault, without secrets.
fn told(task: &Task, answer: Result<(), &ConnectorError>, tell: impl FnOnce(Option<Fault<'_>>)) {
    match answer {
        Ok(()) => tell(None),
        Err(error) => {
            let message = task.redactor.redact(&error.to_string()).into_owned();
            tell(Some(Fault { code: error.code(), message: &message }));
        }
    }
}
