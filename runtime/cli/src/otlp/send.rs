//! Takes spans from the queue and sends them in batches, for as long as there are any. What a collector does not take is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use opentelemetry::trace::{self, Link, SpanId, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::sync::mpsc;
use towpath_worker::{AttributeValue, Span, SpanContext, SpanKind};

use crate::failure::{Failure, Result};

/// Spans of one request.
const BATCH_MAX: usize = 512;
/// How long spans gather.
const GATHER: Duration = Duration::from_secs(1);
/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long what is left at the end may take.
const END_MAX: Duration = Duration::from_secs(3);

/// Sends to this endpoint, or to what OpenTelemetry's variables say.
pub(super) fn exporter(endpoint: Option<String>) -> Result<SpanExporter> {
    // Refused only where one is installed already, which is then as good.
    _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(Failure::ours)?;
    let mut builder = SpanExporter::builder().with_http().with_http_client(Client(client));
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let mut exporter = builder.build().map_err(|error| Failure::input(format!("traces cannot be sent: {error}")))?;
    let mut resource = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name("towpath");
    }
    exporter
        .set_resource(&resource.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))).build());
    Ok(exporter)
}

/// Sends until the queue is closed and empty, or what is left takes too long.
pub(super) async fn run(exporter: SpanExporter, mut spans: mpsc::Receiver<SpanData>, dropped: Arc<AtomicU64>) {
    let mut away = false;
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while spans.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let gathered = tokio::time::Instant::now() + GATHER;
        while batch.len() < BATCH_MAX {
            let room = BATCH_MAX - batch.len();
            match tokio::time::timeout_at(gathered, spans.recv_many(&mut batch, room)).await {
                Ok(more) if more > 0 => {}
                _ => break,
            }
        }
        let count = batch.len();
        let limit = if spans.is_closed() { END_MAX } else { TIMEOUT * 2 };
        let sent = tokio::time::timeout(limit, exporter.export(std::mem::take(&mut batch))).await;
        let failed = match sent {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("it does not answer".to_owned()),
        };
        match failed {
            None if std::mem::take(&mut away) => tracing::info!("the collector takes traces again"),
            None => {}
            Some(reason) => {
                dropped.fetch_add(count as u64, Ordering::Relaxed);
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!("the collector takes no traces, which are dropped until it does: {reason}");
                }
                if spans.is_closed() {
                    return;
                }
            }
        }
    }
}

/// A span in the terms of the exporter.
pub(super) fn data(span: Span) -> SpanData {
    let attributes = span.attributes.into_iter().map(|(key, value)| {
        let value = match value {
            AttributeValue::Text(text) => Value::from(text),
            AttributeValue::Number(number) => Value::from(number),
        };
        KeyValue::new(key, value)
    });
    let mut links = SpanLinks::default();
    links.links = span.links.into_iter().map(|link| Link::with_context(context(link, true))).collect();
    SpanData {
        span_context: context(span.context, false),
        parent_span_id: span.parent.map_or(SpanId::INVALID, |parent| SpanId::from(parent.span)),
        parent_span_is_remote: false,
        span_kind: match span.kind {
            SpanKind::Internal => trace::SpanKind::Internal,
            SpanKind::Producer => trace::SpanKind::Producer,
            SpanKind::Consumer => trace::SpanKind::Consumer,
            SpanKind::Client => trace::SpanKind::Client,
        },
        name: span.name.into(),
        start_time: UNIX_EPOCH + Duration::from_nanos(span.start_ns),
        end_time: UNIX_EPOCH + Duration::from_nanos(span.end_ns),
        attributes: attributes.collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links,
        status: span.error.map_or(Status::Unset, Status::error),
        instrumentation_scope: InstrumentationScope::builder("towpath").build(),
    }
}

fn context(context: SpanContext, is_remote: bool) -> trace::SpanContext {
    let (trace, span) = (TraceId::from(context.trace), SpanId::from(context.span));
    trace::SpanContext::new(trace, span, TraceFlags::SAMPLED, is_remote, TraceState::default())
}

/// The client that everything here uses, for the exporter.
#[derive(Debug)]
struct Client(reqwest::Client);

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut answer = self.0.execute(request.try_into()?).await?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            *headers = std::mem::take(answer.headers_mut());
        }
        Ok(response.body(answer.bytes().await?)?)
    }
}
