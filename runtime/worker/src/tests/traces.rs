//! What a tracer hears of the batches of a source and a sink, and what their records carry.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use towpath_model::ConnectorError;

use super::plugins::{Poll, Put};
use super::rig::{Rig, name};
use crate::WorkerConfig;
use crate::spans::{AttributeValue, Span, SpanContext, Spans};

/// Keeps what it is told; keeps new traces only where told to.
#[derive(Default)]
struct Heard {
    spans: Mutex<Vec<Span>>,
    ids: AtomicU64,
    keeps: bool,
}

impl Spans for Heard {
    fn begin(&self, follows: bool) -> Option<SpanContext> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed) + 1;
        (self.keeps || follows).then_some(SpanContext { trace: u128::from(id), span: id })
    }

    fn child(&self, of: SpanContext) -> SpanContext {
        SpanContext { span: self.ids.fetch_add(1, Ordering::Relaxed) + 1, ..of }
    }

    fn ended(&self, span: Span) {
        self.spans.lock().unwrap().push(span);
    }

    fn dropped(&self) -> u64 {
        0
    }
}

impl Heard {
    /// The spans of this name, in the order of their ends.
    fn named(&self, name: &str) -> Vec<Span> {
        self.spans.lock().unwrap().iter().filter(|span| span.name == name).cloned().collect()
    }
}

async fn rig(keeps: bool) -> (Rig, Arc<Heard>) {
    let heard = Arc::new(Heard { keeps, ..Heard::default() });
    let rig = Rig::with(WorkerConfig { spans: Some(heard.clone()), ..WorkerConfig::default() }).await;
    (rig, heard)
}

fn records(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| format!("k:{value}")).collect()
}

fn attribute<'a>(span: &'a Span, name: &str) -> Option<&'a AttributeValue> {
    span.attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_a_source_is_a_trace_that_its_records_name() {
    let (rig, heard) = rig(true).await;
    rig.source().poll(Poll::Records("t", records(&["1", "2"]), 1));
    rig.create("s", "source", &[]).await;
    rig.until("the batch", |_| heard.named("batch s").len() == 1).await;
    let root = heard.named("batch s").remove(0);
    let append = heard.named("append t").remove(0);
    for step in ["poll t", "convert t", "append t"] {
        let steps = heard.named(step);
        assert_eq!(steps.len(), 1, "{step}");
        assert_eq!((steps[0].parent, steps[0].context.trace), (Some(root.context), root.context.trace), "{step}");
        assert!(root.start_ns <= steps[0].start_ns && steps[0].end_ns <= root.end_ns, "{step}");
    }
    assert_eq!(attribute(&append, "messaging.batch.message_count"), Some(&AttributeValue::Number(2)));
    assert_eq!(attribute(&append, "messaging.destination.name"), Some(&AttributeValue::Text("t".into())));
    for record in rig.log.records("t") {
        assert_eq!(record.headers, [("traceparent".to_owned(), append.context.to_header())]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_kept_leaves_nothing_in_records() {
    let (rig, heard) = rig(false).await;
    rig.source().poll(Poll::Records("t", records(&["1"]), 1));
    rig.create("s", "source", &[]).await;
    rig.create("k", "sink", &[]).await;
    rig.until("delivered", |rig| rig.sink().delivered().len() == 1).await;
    assert!(rig.log.records("t").iter().all(|record| record.headers.is_empty()));
    assert!(heard.spans.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_a_sink_goes_back_to_those_that_wrote_its_records() {
    let (rig, heard) = rig(true).await;
    rig.sink().puts.lock().unwrap().push_back(Put::Fail(ConnectorError::retriable("503 from hooks.internal")));
    rig.source().poll(Poll::Records("t", records(&["1"]), 1));
    rig.create("s", "source", &[]).await;
    rig.create("k", "sink", &[]).await;
    rig.until("a commit", |rig| rig.log.committed("connect-k", "t", 0).is_some() && !heard.named("commit").is_empty())
        .await;
    let append = heard.named("append t").remove(0);
    let root = heard.named("batch k").remove(0);
    assert_eq!((root.links.as_slice(), root.parent), (&[append.context][..], None));
    let puts = heard.named("put t");
    let failed: Vec<_> = puts.iter().map(|put| (put.parent, put.error.is_some())).collect();
    assert_eq!(failed, [(Some(root.context), true), (Some(root.context), false)]);
    assert_eq!(attribute(&puts[1], "messaging.consumer.group.name"), Some(&AttributeValue::Text("connect-k".into())));
    assert_eq!(attribute(&puts[1], "messaging.destination.partition.id"), Some(&AttributeValue::Text("0".into())));
    for step in ["fetch t", "convert t"] {
        assert!(heard.named(step).iter().any(|span| span.parent == Some(root.context)), "{step}");
    }
    let (flush, commit) = (heard.named("flush").remove(0), heard.named("commit").remove(0));
    assert_eq!((flush.links.as_slice(), commit.parent), (&[root.context][..], Some(flush.context)));
    assert_eq!(rig.handle.spans_dropped(), Some(0));
    rig.handle.delete(name("k")).await.expect("deleted");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_cannot_be_converted_says_why() {
    let (rig, heard) = rig(true).await;
    rig.log.create("t", 1);
    rig.log.produce("t", 0, vec!["no json".to_owned()]);
    rig.create("k", "sink", &[("value.converter", "json")]).await;
    rig.until("the batch", |_| !heard.named("batch k").is_empty()).await;
    let convert = heard.named("convert t").remove(0);
    assert_eq!(attribute(&convert, "error.type"), Some(&AttributeValue::Text("convert.json".into())));
    assert!(convert.error.is_some());
}
