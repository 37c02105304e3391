//! Traces for whoever collects them by OpenTelemetry's protocol (OTLP over HTTP): the flags, and what tasks tell, in a bounded queue.
//!
//! ```text
//! tasks ─ Spans ─▶ queue (bounded; what is too much is dropped and counted) ─▶ send: batches ─▶ the collector
//! ```
//! Off unless an endpoint is named, here or by the variables that OpenTelemetry's own programs read. A collector that is away holds nobody up.

mod send;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry_otlp::{OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT};
use opentelemetry_sdk::trace::SpanData;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use towpath_worker::{Span, SpanContext, Spans};

use crate::failure::{Failure, Result};
use crate::storage;

/// Spans that wait to be sent.
const WAITING_MAX: usize = 4_096;
/// Where a collector takes traces.
const PATH: &str = "/v1/traces";

/// The flags.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The collector that is sent traces, as http://HOST:4318 [default: what OTEL_EXPORTER_OTLP_ENDPOINT says, or none].
    #[arg(long, env = "TOWPATH_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// How large a part of the batches is traced, from 0 to 1 [default: what OTEL_TRACES_SAMPLER_ARG says, or 1].
    #[arg(long, env = "TOWPATH_OTLP_SAMPLE_RATIO", value_name = "RATIO")]
    otlp_sample_ratio: Option<f64>,
}

/// Traces that are sent away.
pub(crate) struct Sending {
    queue: Arc<Queue>,
    sending: JoinHandle<()>,
}

/// What tasks tell, until it is sent.
struct Queue {
    /// None once nothing more is taken.
    sender: std::sync::Mutex<Option<mpsc::Sender<SpanData>>>,
    dropped: Arc<AtomicU64>,
    /// Traces whose last 63 bits are below this are kept.
    threshold: u64,
    /// The state of a generator of ids.
    ids: AtomicU64,
}

impl Options {
    /// Begins to send, where a collector is named.
    pub(crate) fn start(&self) -> Result<Option<Sending>> {
        let set = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
        if self.otlp_endpoint.is_none() && !set(OTEL_EXPORTER_OTLP_ENDPOINT) && !set(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)
        {
            return Ok(None);
        }
        let endpoint = self.otlp_endpoint.as_ref().map(|endpoint| match endpoint.trim_end_matches('/') {
            whole if whole.ends_with(PATH) => whole.to_owned(),
            base => format!("{base}{PATH}"),
        });
        let exporter = send::exporter(endpoint)?;
        let (sender, spans) = mpsc::channel(WAITING_MAX);
        let dropped = Arc::<AtomicU64>::default();
        let sending = tokio::spawn(send::run(exporter, spans, dropped.clone()));
        let queue = Queue {
            sender: std::sync::Mutex::new(Some(sender)),
            dropped,
            threshold: threshold(self.ratio()?),
            ids: AtomicU64::new(storage::seed()),
        };
        Ok(Some(Sending { queue: Arc::new(queue), sending }))
    }

    fn ratio(&self) -> Result<f64> {
        let of_environment = || std::env::var("OTEL_TRACES_SAMPLER_ARG").ok()?.trim().parse().ok();
        let ratio = self.otlp_sample_ratio.or_else(of_environment).unwrap_or(1.0);
        if (0.0..=1.0).contains(&ratio) {
            Ok(ratio)
        } else {
            Err(Failure::input(format!("{ratio} is no ratio from 0 to 1")))
        }
    }
}

impl Sending {
    /// Who is told of spans.
    pub(crate) fn spans(&self) -> Arc<dyn Spans> {
        Arc::clone(&self.queue) as _
    }

    /// Sends what is left, within a bounded time.
    pub(crate) async fn end(self) {
        self.queue.sender.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if self.sending.await.is_err() {
            tracing::warn!("what was left of the traces could not be sent");
        }
    }
}

impl Queue {
    /// Sixty-four bits that were not given before (SplitMix64).
    fn id(&self) -> u64 {
        let mut state = self.ids.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // No id is zero.
        (state ^ (state >> 31)).max(1)
    }
}

impl Spans for Queue {
    fn begin(&self, follows: bool) -> Option<SpanContext> {
        let (high, low) = (self.id(), self.id());
        let kept = follows || low >> 1 < self.threshold;
        kept.then(|| SpanContext { trace: (u128::from(high) << 64) | u128::from(low), span: self.id() })
    }

    fn child(&self, of: SpanContext) -> SpanContext {
        SpanContext { span: self.id(), ..of }
    }

    fn ended(&self, span: Span) {
        let sender = self.sender.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if sender.as_ref().is_none_or(|sender| sender.try_send(send::data(span)).is_err()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Below this are so many of the numbers of 63 bits.
fn threshold(ratio: f64) -> u64 {
    (ratio * (1u64 << 63) as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(ratio: f64) -> (Queue, mpsc::Receiver<SpanData>) {
        let (sender, spans) = mpsc::channel(2);
        let sender = std::sync::Mutex::new(Some(sender));
        let ids = AtomicU64::new(7);
        (Queue { sender, dropped: Arc::default(), threshold: threshold(ratio), ids }, spans)
    }

    #[test]
    fn as_many_traces_are_kept_as_were_asked_for_and_all_that_follow_others() {
        for (ratio, expected) in [(0.0, 0..=0), (0.25, 2_300..=2_700), (1.0, 10_000..=10_000)] {
            let (queue, _spans) = queue(ratio);
            let kept = (0..10_000).filter(|_| queue.begin(false).is_some()).count();
            assert!(expected.contains(&kept), "{kept} of 10,000 at {ratio}");
            assert!(queue.begin(true).is_some());
        }
    }

    #[test]
    fn what_is_too_much_is_dropped_and_counted() {
        let (queue, _spans) = queue(1.0);
        let context = queue.begin(false).expect("kept");
        let span = Span {
            context,
            parent: None,
            links: Vec::new(),
            kind: towpath_worker::SpanKind::Internal,
            name: "batch".to_owned(),
            start_ns: 1,
            end_ns: 2,
            attributes: Vec::new(),
            error: None,
        };
        (0..5).for_each(|_| queue.ended(span.clone()));
        assert_eq!(queue.dropped(), 3);
        assert_eq!(queue.child(context).trace, context.trace);
    }
}
