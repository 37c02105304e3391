//! Traces at a collector of OpenTelemetry's protocol: the batch of a source, the record that names it, the batch of the sink that goes back to it.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use towpath_tests::{Folder, Receiver, Worker, WorkerOptions, eventually, tail};

use crate::capture::says_all;
use crate::runner::blocking;

const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("traces::source_and_sink_are_joined_by_the_record", || blocking(joined()))]
}

/// What the collector was sent, and under which name of a service.
fn spans(collector: &Receiver) -> Result<(Vec<Span>, Vec<String>)> {
    let (mut spans, mut services) = (Vec::new(), Vec::new());
    for request in collector.requests() {
        ensure!(request.path == "/v1/traces", "{}", request.path);
        for of_resource in ExportTraceServiceRequest::decode(request.body)?.resource_spans {
            let attributes = of_resource.resource.map(|resource| resource.attributes).unwrap_or_default();
            let named = attributes.into_iter().filter(|attribute| attribute.key == "service.name");
            services.extend(named.filter_map(|name| match name.value?.value? {
                Value::StringValue(name) => Some(name),
                _ => None,
            }));
            spans.extend(of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    Ok((spans, services))
}

fn named<'a>(spans: &'a [Span], name: &str) -> Result<&'a Span> {
    let names = || spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>();
    spans.iter().find(|span| span.name == name).with_context(|| format!("no {name} among {:?}", names()))
}

fn append(file: &Path, line: &str) -> Result<()> {
    Ok(writeln!(std::fs::OpenOptions::new().create(true).append(true).open(file)?, "{line}")?)
}

fn delivered(file: &Path, lines: usize) -> Result<()> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    ensure!(text.lines().count() == lines, "{text:?}");
    Ok(())
}

async fn joined() -> Result<()> {
    let folder = Folder::new("towpath-traces-")?;
    let mut options = WorkerOptions::within(folder.path());
    std::fs::create_dir_all(&options.pipelines)?;
    let (lines, taken) = (folder.join("lines"), folder.join("taken"));
    let source = format!("connector.class: file-source\ntopic: t\nfile: {}\n", lines.display());
    let sink = format!("connector.class: file-sink\ntopics: t\nfile: {}\n", taken.display());
    std::fs::write(options.pipelines.join("lines.yaml"), source)?;
    std::fs::write(options.pipelines.join("taken.yaml"), sink)?;
    let worker = Worker::start(&options).await?;
    append(&lines, "untraced")?;
    eventually("a line in the target", LIMIT, || async { delivered(&taken, 1) }).await?;
    worker.stop().await?;
    let untraced = tail(&options.data_dir, "t").await?;
    ensure!(untraced[0].headers == "[]", "{untraced:?}");

    let collector = Receiver::start().await?;
    options.arguments.extend(["--otlp-endpoint".to_owned(), collector.url()]);
    let worker = Worker::start(&options).await?;
    append(&lines, "traced")?;
    let (found, services) = eventually("all spans of the record", LIMIT, || async {
        let (found, services) = spans(&collector)?;
        named(&found, "commit")?;
        Ok((found, services))
    })
    .await?;
    ensure!(services.iter().all(|service| service == "towpath") && !services.is_empty(), "{services:?}");
    let (appended, source) = (named(&found, "append t")?, named(&found, "batch lines")?);
    ensure!(appended.kind == SpanKind::Producer as i32 && appended.parent_span_id == source.span_id, "{appended:?}");
    ensure!(named(&found, "poll t")?.trace_id == source.trace_id, "another trace");
    let has = |key: &str| appended.attributes.iter().any(|attribute| attribute.key == key);
    ensure!(has("messaging.system") && has("messaging.batch.message_count"), "{:?}", appended.attributes);
    let sink = named(&found, "batch taken")?;
    let linked =
        sink.links.iter().any(|link| (&link.trace_id, &link.span_id) == (&appended.trace_id, &appended.span_id));
    ensure!(linked, "{sink:?} has no link to {appended:?}");
    ensure!(named(&found, "put t")?.parent_span_id == sink.span_id, "another parent");
    ensure!(named(&found, "flush")?.links.iter().any(|link| link.span_id == sink.span_id), "no link to the batch");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let traced = tail(&options.data_dir, "t").await?;
    let header = format!("00-{}-{}-01", hex(&appended.trace_id), hex(&appended.span_id));
    ensure!(traced[1].headers.contains(&header), "{traced:?} does not carry {header}");

    collector.go_down();
    append(&lines, "alone")?;
    eventually("a line in the target without a collector", LIMIT, || async { delivered(&taken, 3) }).await?;
    eventually("dropped spans to be counted", LIMIT, || async {
        let metrics = worker.rest().get("/metrics").await?;
        let metrics = metrics.as_str().context("a page")?;
        let dropped = metrics.lines().find_map(|line| line.strip_prefix("towpath_spans_dropped_total "));
        ensure!(dropped.is_some_and(|count| count != "0"), "{dropped:?}");
        Ok(())
    })
    .await?;
    worker.stop().await?;
    let said = std::fs::read_to_string(&options.output)?;
    says_all(&said, &["the collector takes no traces"])?;
    ensure!(said.matches("the collector takes no traces").count() == 1, "told more than once:\n{said}");
    folder.remove()
}
