//! Copies a batch record by record while something about it changes: some records go, forms and payloads are replaced.
//!
//! Dictionaries are taken over once a batch, so that indexes are translated and never looked up by text.

use std::sync::Arc;

use towpath_model::{Batch, BatchBuilder, CommonHeader, Form, Record, Run};

use crate::fault::Fault;
use crate::transform::Added;

/// A batch after one step, before origins are traced back to the first.
#[derive(Default)]
pub(crate) struct Rewritten {
    pub(crate) records: Batch,
    /// For each record the index in the step's input; never decreasing.
    pub(crate) origins: Vec<u32>,
    pub(crate) filtered: u64,
    pub(crate) failures: Vec<(u32, Fault)>,
}

impl Rewritten {
    /// Nothing was done.
    pub(crate) fn unchanged(records: Batch) -> Self {
        let origins = (0..records.len() as u32).collect();
        Self { records, origins, ..Self::default() }
    }
}

/// A new batch that is made from another one.
pub(crate) struct Draft {
    builder: BatchBuilder,
    topics: Vec<u32>,
    schemas: Vec<u32>,
    known: Vec<(Arc<str>, u32)>,
    origins: Vec<u32>,
    filtered: u64,
    failures: Vec<(u32, Fault)>,
}

impl Draft {
    /// Begins with the dictionaries and common headers of `batch`.
    pub(crate) fn of(batch: &Batch) -> Self {
        let mut builder = BatchBuilder::default();
        let columns = batch.columns();
        let topics = columns.topics.iter().map(|topic| builder.topic(topic)).collect();
        let schemas: Vec<u32> = columns.schemas.iter().map(|schema| builder.schema(schema)).collect();
        for header in &columns.common_headers {
            let form = translated(&schemas, header.form);
            builder.common_header(CommonHeader { form, ..header.clone() });
        }
        Self {
            builder,
            topics,
            schemas,
            known: Vec::new(),
            origins: Vec::with_capacity(batch.len()),
            filtered: 0,
            failures: Vec::new(),
        }
    }

    /// Begins without schemas and common headers: every form will be plain.
    pub(crate) fn plain(batch: &Batch) -> Self {
        let mut builder = BatchBuilder::default();
        let topics = batch.columns().topics.iter().map(|topic| builder.topic(topic)).collect();
        Self {
            builder,
            topics,
            schemas: Vec::new(),
            known: Vec::new(),
            origins: Vec::with_capacity(batch.len()),
            filtered: 0,
            failures: Vec::new(),
        }
    }

    /// The builder, for headers.
    pub(crate) fn builder(&mut self) -> &mut BatchBuilder {
        &mut self.builder
    }

    /// The index of a new schema. Found by address where it can be, so that a long text is seldom hashed.
    pub(crate) fn schema(&mut self, text: &Arc<str>) -> u32 {
        if let Some((_, index)) = self.known.iter().find(|(known, _)| Arc::ptr_eq(known, text)) {
            return *index;
        }
        let index = self.builder.schema(text);
        if self.known.len() < 64 {
            self.known.push((text.clone(), index));
        }
        index
    }

    /// A form of the batch this draft is made of.
    pub(crate) fn form(&self, form: Form) -> Form {
        translated(&self.schemas, form)
    }

    /// The run of a record, translated.
    pub(crate) fn run(&self, record: &Record<'_>) -> Run {
        let run = record.run;
        let topic = |index: u32| self.topics.get(index as usize).copied().unwrap_or_default();
        Run {
            records: 0,
            topic: topic(run.topic),
            origin: topic(run.origin),
            partition: run.partition,
            key: self.form(run.key),
            value: self.form(run.value),
        }
    }

    /// Writes run, key and value of a record; headers may follow, then [`end`](Self::end).
    #[inline]
    pub(crate) fn begin(&mut self, run: Run, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.builder.run(run);
        self.builder.key(key);
        self.builder.value(value);
    }

    /// Copies the record's own headers.
    pub(crate) fn headers(&mut self, record: &Record<'_>) {
        for (name, payload) in record.own_headers() {
            let form = self.form(payload.form);
            self.builder.header(name, form, payload.bytes);
        }
    }

    /// Adds a header to the record.
    pub(crate) fn add_header(&mut self, header: &Added) {
        let form = match &header.schema {
            Some(schema) => Form::connect(self.schema(schema)),
            None => Form::JSON,
        };
        self.builder.header(&header.name, form, header.value.as_deref());
    }

    /// Ends the record.
    pub(crate) fn end(&mut self, record: &Record<'_>) {
        self.end_at(record, record.timestamp);
    }

    /// Ends the record, with another timestamp. A batch has timestamps for all records or for none.
    pub(crate) fn end_at(&mut self, record: &Record<'_>, timestamp: Option<i64>) {
        self.builder.end(timestamp, record.offset);
        self.origins.push(record.index as u32);
    }

    /// Copies a record as it is.
    pub(crate) fn keep(&mut self, record: &Record<'_>) {
        let run = self.run(record);
        self.begin(run, record.key.bytes, record.value.bytes);
        self.headers(record);
        self.end(record);
    }

    /// Leaves a record out, by a stated rule.
    pub(crate) fn filter(&mut self) {
        self.filtered += 1;
    }

    /// Leaves a record out, because it failed.
    pub(crate) fn fail(&mut self, record: &Record<'_>, fault: Fault) {
        self.failures.push((record.index as u32, fault));
    }

    /// The batch.
    pub(crate) fn finish(self) -> Rewritten {
        Rewritten {
            records: self.builder.build(),
            origins: self.origins,
            filtered: self.filtered,
            failures: self.failures,
        }
    }
}

fn translated(schemas: &[u32], form: Form) -> Form {
    match form.schema {
        Some(index) => Form { schema: schemas.get(index as usize).copied(), ..form },
        None => form,
    }
}
