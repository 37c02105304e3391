//! What a task tells of its batches, where somebody traces: the steps of each, with records, bytes, topic and partition.
//!
//! Nothing here is touched without tracing. A batch that is not kept costs one question.

use std::sync::Arc;
use std::time::Duration;

use towpath_model::{Batch, Clock, Columns, CommonHeader, Form, TaskId};

use super::{Failure, Halt};
use crate::spans::{AttributeValue, Span, SpanContext, SpanKind, Spans, TRACEPARENT};

/// The most spans that one links to.
pub(super) const LINKS_MAX: usize = 32;

/// What a step is called, and what it is to others.
#[derive(Clone, Copy)]
pub(super) struct Step {
    name: &'static str,
    /// The kind of operation, where the conventions know one.
    operation: Option<&'static str>,
    kind: SpanKind,
}

pub(super) const POLL: Step = Step { name: "poll", operation: None, kind: SpanKind::Client };
pub(super) const CONVERT: Step = Step { name: "convert", operation: None, kind: SpanKind::Internal };
pub(super) const APPEND: Step = Step { name: "append", operation: Some("send"), kind: SpanKind::Producer };
pub(super) const FETCH: Step = Step { name: "fetch", operation: Some("receive"), kind: SpanKind::Client };
pub(super) const PUT: Step = Step { name: "put", operation: Some("process"), kind: SpanKind::Consumer };
pub(super) const FLUSH: Step = Step { name: "flush", operation: None, kind: SpanKind::Client };
pub(super) const COMMIT: Step = Step { name: "commit", operation: Some("settle"), kind: SpanKind::Client };
const BATCH: Step = Step { name: "batch", operation: None, kind: SpanKind::Internal };

/// What a step had in its hands.
#[derive(Clone, Default)]
pub(super) struct Load {
    records: usize,
    bytes: usize,
    topic: Option<Arc<str>>,
    partition: Option<i32>,
}

impl Load {
    /// A batch; its topic and partition where there is one.
    pub(super) fn of(batch: &Batch) -> Self {
        let runs = &batch.columns().runs;
        let topic = runs.first().filter(|first| runs.iter().all(|run| run.topic == first.topic));
        let is_place = |first: &&towpath_model::Run| runs.iter().all(|run| run.partition == first.partition);
        let partition = topic.filter(is_place).map(|run| run.partition).filter(|partition| *partition >= 0);
        Self {
            records: batch.len(),
            bytes: batch.payload_bytes(),
            topic: topic.map(|run| batch.topic(run.topic).clone()),
            partition,
        }
    }
}

/// Why a step failed.
pub(super) struct Fault<'a> {
    pub(super) code: &'a str,
    pub(super) message: &'a str,
}

impl<'a> Fault<'a> {
    /// A step that was halted; being told to stop is no fault.
    pub(super) fn of(halt: &'a Halt) -> Option<Self> {
        match halt {
            Halt::Abandoned => None,
            Halt::Failed(Failure { code, message, .. }) => Some(Self { code, message }),
        }
    }
}

/// A batch that is traced.
#[derive(Clone, Debug)]
pub(super) struct Traced {
    root: SpanContext,
    began: Duration,
    links: Vec<SpanContext>,
}

impl Traced {
    /// Where it stands.
    pub(super) fn context(&self) -> SpanContext {
        self.root
    }
}

/// Tells of the batches of one task.
pub(crate) struct Traces {
    spans: Arc<dyn Spans>,
    clock: Arc<dyn Clock>,
    /// The clock's zero, in nanoseconds since the epoch.
    origin_ns: u64,
    task: TaskId,
    /// The consumer group of a sink.
    group: Option<String>,
}

impl Traces {
    pub(crate) fn new(spans: Arc<dyn Spans>, clock: Arc<dyn Clock>, task: TaskId, group: Option<String>) -> Self {
        let since_epoch = Duration::from_millis(u64::try_from(clock.now_ms()).unwrap_or(0));
        let origin_ns = nanos(since_epoch.saturating_sub(clock.monotonic()));
        Self { spans, clock, origin_ns, task, group }
    }

    /// The time, for [`Self::step`].
    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// A batch has come whose way began at this time, if it is to be traced.
    pub(super) fn batch(&self, began: Duration, (links, kept): (Vec<SpanContext>, bool)) -> Option<Traced> {
        Some(Traced { root: self.spans.begin(kept)?, began, links })
    }

    /// A place for a trace of its own.
    pub(super) fn begins(&self, follows: bool) -> Option<SpanContext> {
        self.spans.begin(follows)
    }

    /// A place for a step of a batch.
    pub(super) fn place(&self, of: SpanContext) -> SpanContext {
        self.spans.child(of)
    }

    /// A step of a batch is over.
    pub(super) fn step(&self, step: Step, of: &Traced, began: Duration, load: &Load, fault: Option<Fault<'_>>) {
        self.ended(step, (self.place(of.root), Some(of.root), Vec::new()), began, load, fault);
    }

    /// A batch is over.
    pub(super) fn over(&self, batch: Traced, load: &Load, fault: Option<Fault<'_>>) {
        self.ended(BATCH, (batch.root, None, batch.links), batch.began, load, fault);
    }

    /// A step with a place of its own is over.
    pub(super) fn ended(
        &self,
        step: Step,
        (context, parent, links): (SpanContext, Option<SpanContext>, Vec<SpanContext>),
        began: Duration,
        load: &Load,
        fault: Option<Fault<'_>>,
    ) {
        let name = match (step.name, &load.topic) {
            ("batch", _) => format!("batch {}", self.task.connector),
            (name, Some(topic)) => format!("{name} {topic}"),
            (name, None) => name.to_owned(),
        };
        let at = |time: Duration| self.origin_ns.saturating_add(nanos(time));
        self.spans.ended(Span {
            context,
            parent,
            links,
            kind: step.kind,
            name,
            start_ns: at(began),
            end_ns: at(self.now()),
            attributes: self.attributes(step, load, fault.as_ref()),
            error: fault.map(|fault| fault.message.to_owned()),
        });
    }

    fn attributes(&self, step: Step, load: &Load, fault: Option<&Fault<'_>>) -> Vec<(&'static str, AttributeValue)> {
        let text = |text: &str| AttributeValue::Text(text.to_owned());
        let number = |number: usize| AttributeValue::Number(i64::try_from(number).unwrap_or(i64::MAX));
        let mut attributes = vec![
            ("messaging.system", text("kafka")),
            ("messaging.operation.name", text(step.name)),
            ("messaging.client.id", text(&self.task.to_string())),
            ("towpath.connector", text(self.task.connector.as_str())),
            ("towpath.task", AttributeValue::Number(i64::from(self.task.task))),
        ];
        attributes.extend(step.operation.map(|operation| ("messaging.operation.type", text(operation))));
        attributes.extend(self.group.as_ref().map(|group| ("messaging.consumer.group.name", text(group))));
        if load.records > 0 {
            attributes.push(("messaging.batch.message_count", number(load.records)));
            attributes.push(("towpath.batch.bytes", number(load.bytes)));
        }
        attributes.extend(load.topic.as_ref().map(|topic| ("messaging.destination.name", text(topic))));
        let partition = load.partition.map(|partition| partition.to_string());
        attributes
            .extend(partition.map(|partition| ("messaging.destination.partition.id", AttributeValue::Text(partition))));
        attributes.extend(fault.map(|fault| ("error.type", text(fault.code))));
        attributes
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The records with the context of the span that writes them, where they carry none. Nothing is copied but where some do.
pub(super) fn stamped(records: Batch, context: SpanContext) -> Batch {
    let carries = |name: &Arc<str>| &**name == TRACEPARENT;
    let columns = records.columns();
    let header = CommonHeader {
        name: TRACEPARENT.into(),
        form: Form::BYTES,
        value: Some(context.to_header().into_bytes().into()),
    };
    if columns.common_headers.iter().any(|header| carries(&header.name)) {
        return records;
    }
    if !columns.header_names.iter().any(carries) {
        let mut columns: Columns = records.into_columns();
        columns.common_headers.push(header);
        return Batch::new(columns).expect("a further common header keeps a batch sound");
    }
    crate::batch::with_header(&records, &header)
}

/// The contexts that records carry, each once and at most so many, and whether one of their traces is kept.
pub(super) fn carried(records: &Batch) -> (Vec<SpanContext>, bool) {
    let carries = |name: &Arc<str>| &**name == TRACEPARENT;
    let columns = records.columns();
    let (mut contexts, mut kept) = (Vec::new(), false);
    if !columns.header_names.iter().any(carries) && !columns.common_headers.iter().any(|header| carries(&header.name)) {
        return (contexts, kept);
    }
    let headers = records.records().flat_map(|record| record.headers());
    for (_, payload) in headers.filter(|(name, _)| carries(name)) {
        let Some((context, is_kept)) = payload.bytes.and_then(SpanContext::of_header) else { continue };
        // Neighbours were mostly written together.
        if contexts.last() == Some(&context) || contexts.contains(&context) {
            continue;
        }
        if contexts.len() == LINKS_MAX {
            break;
        }
        kept |= is_kept;
        contexts.push(context);
    }
    (contexts, kept)
}
