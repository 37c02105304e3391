//! The trace of a source's batch: poll, convert, append. Its records carry the context of the last.

use std::sync::Arc;
use std::time::Duration;

use towpath_model::{Batch, Polled};

use super::Ready;
use super::convert::Converter;
use crate::spans::SpanContext;
use crate::task::traces::{APPEND, CONVERT, Fault, Load, POLL, Traced, stamped};
use crate::task::{Halt, Task};

/// A traced batch whose records are to be appended, and the place of the span that does it.
pub(super) struct Appending {
    traced: Traced,
    context: SpanContext,
}

/// Traced batches that are being appended.
pub(super) struct Appends {
    task: Arc<Task>,
    began: Duration,
    batches: Vec<(Appending, Load)>,
}

/// A batch was polled; where it is to be traced, that is told.
pub(super) fn polled(task: &Task, records: &Batch, began: Duration) -> Option<Traced> {
    let traces = task.traces.as_ref().filter(|_| !records.is_empty())?;
    let traced = traces.batch(began, (Vec::new(), false))?;
    traces.step(POLL, &traced, began, &Load::of(records), None);
    Some(traced)
}

impl Converter {
    /// Converts a batch, and tells of it where it is traced.
    pub(super) async fn convert_traced(&mut self, polled: Polled, traced: Option<Traced>) -> Result<Ready, Halt> {
        let task = self.task().clone();
        let (Some(traced), Some(traces)) = (traced, &task.traces) else { return self.convert(polled).await };
        let (began, load) = (traces.now(), Load::of(&polled.records));
        match self.convert(polled).await {
            Ok(mut ready) => {
                traces.step(CONVERT, &traced, began, &Load::of(&ready.records), None);
                let context = traces.place(traced.context());
                ready.records = stamped(ready.records, context);
                ready.traced = Some(Appending { traced, context });
                Ok(ready)
            }
            Err(halt) => {
                traces.step(CONVERT, &traced, began, &load, Fault::of(&halt));
                traces.over(traced, &load, Fault::of(&halt));
                Err(halt)
            }
        }
    }
}

/// The traced ones among batches that are about to be appended.
pub(super) fn take(task: &Arc<Task>, batches: &mut [Ready]) -> Option<Appends> {
    let traces = task.traces.as_ref()?;
    let traced = batches.iter_mut().filter_map(|batch| Some((batch.traced.take()?, Load::of(&batch.records))));
    Some(Appends { task: task.clone(), began: traces.now(), batches: traced.collect() })
}

impl Appends {
    /// They are in the log, or why not.
    pub(super) fn end(self, halt: Option<&Halt>) {
        let Some(traces) = &self.task.traces else { return };
        for (Appending { traced, context }, load) in self.batches {
            let place = (context, Some(traced.context()), Vec::new());
            traces.ended(APPEND, place, self.began, &load, halt.and_then(Fault::of));
            traces.over(traced, &load, halt.and_then(Fault::of));
        }
    }
}
