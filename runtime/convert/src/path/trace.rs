//! Leads records, failures and filtered records back through several steps to the batch that was given.

use towpath_model::Batch;

use super::watched::{Station, Watched};
use crate::draft::Rewritten;
use crate::fault::Fault;
use crate::{Converted, Failure, Stage};

/// Where each record of the current batch came from.
pub(crate) struct Trace<'a> {
    origins: Vec<u32>,
    filtered: u64,
    failures: Vec<Failure>,
    /// Records that somebody watches; mostly none.
    watched: Option<&'a mut Watched>,
}

impl<'a> Trace<'a> {
    pub(crate) fn new(records: usize, watched: Option<&'a mut Watched>) -> Self {
        Self { origins: (0..records as u32).collect(), filtered: 0, failures: Vec::new(), watched }
    }

    /// A step is over, and this is the current batch. Costs nothing where nobody watches.
    pub(crate) fn seen(&mut self, station: impl FnOnce() -> Station, batch: &Batch) {
        if let Some(watched) = &mut self.watched {
            watched.see(&station(), batch, &self.origins);
        }
    }

    /// The step under way works on the chosen records of the current batch alone.
    pub(crate) fn chosen(&mut self, chosen: &[bool]) {
        if let Some(watched) = &mut self.watched {
            watched.choose(chosen, &self.origins);
        }
    }

    /// The index in the batch that was given, for an index in the current batch.
    pub(crate) fn origin(&self, index: u32) -> u32 {
        self.origins.get(index as usize).copied().unwrap_or_default()
    }

    /// Notes a failure of a record of the current batch. Its copies, where a transform has made some, may go on.
    pub(crate) fn fail(&mut self, index: u32, stage: Stage, class: &str, fault: Fault) {
        let index = self.origin(index);
        let failure =
            Failure { index, stage, code: fault.code.into_owned(), reason: fault.reason, class: class.into() };
        if let Some(watched) = &mut self.watched {
            watched.fail(&failure);
        }
        self.failures.push(failure);
    }

    /// Records of the current batch went by a stated rule.
    pub(crate) fn filter(&mut self, count: u64) {
        self.filtered += count;
    }

    /// A step has made a new current batch.
    pub(crate) fn advance(&mut self, origins: &[u32]) {
        self.origins = origins.iter().map(|origin| self.origin(*origin)).collect();
    }

    /// Takes over what a step did, all but its records.
    pub(crate) fn take(&mut self, step: Rewritten, stage: Stage, class: &str) -> Batch {
        self.filter(step.filtered);
        for (index, fault) in step.failures {
            self.fail(index, stage, class, fault);
        }
        self.advance(&step.origins);
        step.records
    }

    /// The answer.
    pub(crate) fn finish(mut self, records: Batch) -> Converted {
        self.failures.sort_by_key(|failure| failure.index);
        Converted { records, origins: self.origins, filtered: self.filtered, failures: self.failures }
    }
}
