//! `GET /metrics`: the numbers of connectors, tasks, log and Kafka listener for Prometheus.
//!
//! Seconds and bytes throughout; counters end in `_total`. Labels are those that Connect's own metrics carry as `connector` and
//! `task`, so dashboards need only new names.

#![allow(clippy::unused_async, reason = "axum's handlers are async also where they do not wait")]

use std::collections::BTreeMap;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use towpath_model::{ConnectorState, HealthLevel, TaskState};
use towpath_worker::{ConnectorStatus, TaskMetrics, TaskStatus};

use crate::kafka;
use crate::log::{HeldPartition, LogNumbers, TransactionNumbers};
use crate::openapi::Refused;
use crate::prometheus::{self, Page, Type, metric_name};
use crate::server::App;

/// Gives the numbers of connectors, tasks, log and Kafka listener.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "worker",
    responses(
        (status = 200, description = "The text format of Prometheus", body = String, content_type = "text/plain"),
        Refused,
    ),
)]
pub(crate) async fn metrics(App(served): App) -> Response {
    let mut page = Page::default();
    let statuses = served.worker.statuses();
    connectors(&mut page, &statuses);
    tasks(&mut page, &statuses);
    partitions(&mut page, &statuses);
    connectors_own(&mut page, &statuses);
    let numbers = served.log.numbers();
    log(&mut page, &numbers);
    transactions(&mut page, &numbers.transactions);
    kafka::write(&mut page, &served.kafka.numbers().await);
    if let Some(dropped) = served.worker.spans_dropped() {
        let help = "Spans that no collector of traces has taken.";
        page.family("towpath_spans_dropped_total", Type::Counter, help);
        page.sample("towpath_spans_dropped_total", &[], dropped as f64);
    }
    process(&mut page, served.started_ms);
    ([(CONTENT_TYPE, prometheus::CONTENT_TYPE)], page.finish()).into_response()
}

fn connectors(page: &mut Page, statuses: &[ConnectorStatus]) {
    page.family("towpath_connector_info", Type::Gauge, "Always 1; the labels say what runs.");
    for status in statuses {
        let version = status.version.as_deref().unwrap_or_default();
        let labels = [("connector", status.name.as_str()), ("class", &status.class), ("version", version)];
        page.sample("towpath_connector_info", &labels, 1.0);
    }
    page.family(
        "towpath_connector_state",
        Type::Gauge,
        "1 for the reported state of the connector, as the label says.",
    );
    for status in statuses {
        let labels = [("connector", status.name.as_str()), ("state", connector_state(status.state))];
        page.sample("towpath_connector_state", &labels, 1.0);
    }
    page.family("towpath_connector_health", Type::Gauge, "Whether data moves: 0 ok, 1 degraded, 2 stalled, 3 failed.");
    for status in statuses {
        page.sample("towpath_connector_health", &[("connector", status.name.as_str())], health(status.health.level));
    }
    page.family(
        "towpath_connector_config_rejected",
        Type::Gauge,
        "1 while the connector's file is refused and its last good configuration goes on.",
    );
    for status in statuses {
        let rejected = f64::from(u8::from(status.rejected.is_some()));
        page.sample("towpath_connector_config_rejected", &[("connector", status.name.as_str())], rejected);
    }
}

type Read = fn(&TaskMetrics) -> Option<f64>;

/// The families with one sample a task.
#[rustfmt::skip]
const TASK_FAMILIES: &[(&str, Type, &str, Read)] = &[
    ("towpath_task_records_total", Type::Counter, "Records durable in the log (source) or in the target (sink).", |m| count(m.records_total)),
    ("towpath_task_bytes_total", Type::Counter, "Bytes of their keys, values and headers.", |m| count(m.bytes_total)),
    ("towpath_task_records_per_second", Type::Gauge, "Records a second over the last seconds.", |m| Some(m.records_per_second)),
    ("towpath_task_bytes_per_second", Type::Gauge, "Bytes a second over the last seconds.", |m| Some(m.bytes_per_second)),
    ("towpath_task_batches_total", Type::Counter, "Batches polled or put.", |m| count(m.batches_total)),
    ("towpath_task_batch_records_total", Type::Counter, "Records in all batches; over batches this is the mean batch size.", |m| count(m.batch_records_total)),
    ("towpath_task_batch_records_max", Type::Gauge, "Records in the largest batch.", |m| count(m.batch_records_max)),
    ("towpath_task_retries_total", Type::Counter, "Attempts beyond the first.", |m| count(m.retries_total)),
    ("towpath_task_record_errors_total", Type::Counter, "Records refused by converter, transform, connector or log.", |m| count(m.errors_total)),
    ("towpath_task_records_skipped_total", Type::Counter, "Records dropped by errors.tolerance=all without a dead letter queue.", |m| count(m.skipped_total)),
    ("towpath_task_records_filtered_total", Type::Counter, "Records dropped by transforms.", |m| count(m.filtered_total)),
    ("towpath_task_dead_letters_total", Type::Counter, "Records written to the dead letter queue.", |m| count(m.dead_letters_total)),
    ("towpath_task_records_deferred_total", Type::Counter, "Records set apart, to be put again while others pass them.", |m| count(m.deferred_total)),
    ("towpath_task_records_deferred", Type::Gauge, "Records that wait to be put again.", |m| count(m.deferred)),
    ("towpath_task_offsets_out_of_range_total", Type::Counter, "Times that a committed offset lay outside of what the log still holds.", |m| count(m.offsets_out_of_range_total)),
    ("towpath_task_commits_total", Type::Counter, "Commits of offsets.", |m| count(m.commits_total)),
    ("towpath_task_commit_seconds_total", Type::Counter, "Time from handing a commit to the log until it was durable, summed.", |m| Some(seconds(m.commit_micros_total, 1e6))),
    ("towpath_task_restarts_total", Type::Counter, "Starts of the task beyond the first.", |m| count(m.restarts_total)),
    ("towpath_task_guest_memory_bytes", Type::Gauge, "Memory of the component.", |m| count(m.guest_memory_bytes)),
    ("towpath_task_guest_busy_seconds_total", Type::Counter, "Time spent in the component.", |m| Some(seconds(m.guest_busy_ms, 1e3))),
    ("towpath_task_source_lag_seconds", Type::Gauge, "How far the source is behind in time, where known.", |m| Some(seconds(m.source_lag_ms?, 1e3))),
    ("towpath_task_source_lag_bytes", Type::Gauge, "How far the source is behind in bytes, where known.", |m| count(m.source_lag_bytes?)),
    ("towpath_task_snapshot_rows_done", Type::Gauge, "Rows read by the snapshot.", |m| count(m.snapshot?.rows_done)),
    ("towpath_task_snapshot_rows_expected", Type::Gauge, "Rows expected of the snapshot; an estimate.", |m| count(m.snapshot?.rows_total)),
    ("towpath_task_last_progress_timestamp_seconds", Type::Gauge, "When data last moved.", |m| Some(seconds(u64::try_from(m.last_progress_ms?).ok()?, 1e3))),
];

fn tasks(page: &mut Page, statuses: &[ConnectorStatus]) {
    page.family("towpath_task_state", Type::Gauge, "1 for the reported state of the task, as the label says.");
    each_task(statuses, |connector, number, task| {
        let labels = [("connector", connector), ("task", number), ("state", task_state(task.state))];
        page.sample("towpath_task_state", &labels, 1.0);
    });
    page.family(
        "towpath_task_retry_attempt",
        Type::Gauge,
        "How often the step now retried has failed; 0 when none is.",
    );
    each_task(statuses, |connector, number, task| {
        let attempt = task.retry.as_ref().map_or(0, |retry| retry.attempt);
        page.sample("towpath_task_retry_attempt", &[("connector", connector), ("task", number)], f64::from(attempt));
    });
    for (name, kind, help, read) in TASK_FAMILIES {
        page.family(name, *kind, help);
        each_task(statuses, |connector, number, task| {
            if let Some(value) = read(&task.metrics) {
                page.sample(name, &[("connector", connector), ("task", number)], value);
            }
        });
    }
}

fn partitions(page: &mut Page, statuses: &[ConnectorStatus]) {
    type ReadPartition = fn(&towpath_worker::PartitionProgress) -> Option<i64>;
    let families: [(&str, &str, ReadPartition); 3] = [
        ("towpath_sink_lag_records", "Records of the partition that the sink has not yet delivered.", |p| Some(p.lag)),
        ("towpath_sink_committed_offset", "The next offset that the sink delivers.", |p| p.committed),
        ("towpath_sink_high_watermark", "The offset after the partition's last durable record.", |p| {
            Some(p.high_watermark)
        }),
    ];
    for (name, help, read) in families {
        page.family(name, Type::Gauge, help);
        each_task(statuses, |connector, number, task| {
            for progress in &task.metrics.partitions {
                let partition = progress.partition.to_string();
                let labels =
                    [("connector", connector), ("task", number), ("topic", &progress.topic), ("partition", &partition)];
                if let Some(value) = read(progress) {
                    page.sample(name, &labels, value as f64);
                }
            }
        });
    }
}

/// What connectors report themselves, gathered by name so that each family stands together.
fn connectors_own(page: &mut Page, statuses: &[ConnectorStatus]) {
    let mut families: BTreeMap<String, Vec<(String, String, f64)>> = BTreeMap::new();
    each_task(statuses, |connector, number, task| {
        for (name, value) in &task.metrics.connector {
            let samples = families.entry(metric_name("towpath_plugin_", name)).or_default();
            samples.push((connector.to_owned(), number.to_owned(), *value));
        }
    });
    for (name, samples) in families {
        page.family(&name, Type::Untyped, "Reported by the connector itself.");
        for (connector, task, value) in samples {
            page.sample(&name, &[("connector", &connector), ("task", &task)], value);
        }
    }
}

fn log(page: &mut Page, numbers: &LogNumbers) {
    let mut plain = |name: &str, kind: Type, help: &str, value: Option<u64>| {
        if let Some(value) = value {
            page.family(name, kind, help);
            page.sample(name, &[], value as f64);
        }
    };
    plain("towpath_log_disk_bytes", Type::Gauge, "Bytes of the log on disk.", numbers.disk_bytes);
    plain("towpath_log_journal_bytes", Type::Gauge, "Bytes of the journal on disk.", numbers.journal_bytes);
    plain("towpath_log_commits_total", Type::Counter, "Commits that became durable.", Some(numbers.commits_total));
    plain("towpath_log_records_total", Type::Counter, "Records appended.", Some(numbers.records_total));
    plain("towpath_log_bytes_total", Type::Counter, "Bytes appended.", Some(numbers.bytes_total));

    let name = "towpath_log_topic_disk_bytes";
    page.family(name, Type::Gauge, "Bytes of a topic's segments on disk.");
    for (topic, bytes) in &numbers.topic_disk_bytes {
        page.sample(name, &[("topic", topic)], *bytes as f64);
    }

    let name = "towpath_log_fsync_seconds";
    page.family(name, Type::Histogram, "How long the journal's fsyncs took.");
    for (bound, count) in &numbers.fsync.buckets {
        page.sample("towpath_log_fsync_seconds_bucket", &[("le", &bound.to_string())], *count as f64);
    }
    page.sample("towpath_log_fsync_seconds_bucket", &[("le", "+Inf")], numbers.fsync.count as f64);
    page.sample("towpath_log_fsync_seconds_sum", &[], numbers.fsync.seconds_sum);
    page.sample("towpath_log_fsync_seconds_count", &[], numbers.fsync.count as f64);
}

fn transactions(page: &mut Page, numbers: &TransactionNumbers) {
    page.family("towpath_transactions_open", Type::Gauge, "Transactions of Kafka clients that are open.");
    page.sample("towpath_transactions_open", &[], numbers.open as f64);
    let name = "towpath_transactions_total";
    page.family(name, Type::Counter, "Transactions that have ended, by result: committed, aborted, timed_out.");
    for (result, count) in &numbers.ended {
        page.sample(name, &[("result", result)], *count as f64);
    }
    type Read = fn(&HeldPartition) -> f64;
    let families: [(&str, &str, Read); 2] = [
        (
            "towpath_partition_oldest_transaction_seconds",
            "How long the oldest open transaction in the partition has been open.",
            |held| held.oldest_seconds,
        ),
        (
            "towpath_partition_last_stable_offset_lag_records",
            "Records between the last stable offset and the high watermark: what open transactions hold up.",
            |held| held.lag as f64,
        ),
    ];
    for (name, help, read) in families {
        page.family(name, Type::Gauge, help);
        for held in &numbers.held {
            let partition = held.partition.to_string();
            page.sample(name, &[("topic", &held.topic), ("partition", &partition)], read(held));
        }
    }
}

fn process(page: &mut Page, started_ms: i64) {
    page.family("process_start_time_seconds", Type::Gauge, "When the process started.");
    page.sample("process_start_time_seconds", &[], started_ms as f64 / 1e3);
    // Linux tells the resident set in pages of 4 KiB; elsewhere the file is missing and so is the metric.
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    if let Some(pages) = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()) {
        page.family("process_resident_memory_bytes", Type::Gauge, "Resident memory.");
        page.sample("process_resident_memory_bytes", &[], (pages * 4096) as f64);
    }
}

fn each_task(statuses: &[ConnectorStatus], mut each: impl FnMut(&str, &str, &TaskStatus)) {
    for status in statuses {
        for task in &status.tasks {
            each(status.name.as_str(), &task.id.task.to_string(), task);
        }
    }
}

fn connector_state(state: ConnectorState) -> &'static str {
    match state {
        ConnectorState::Unassigned => "unassigned",
        ConnectorState::Running => "running",
        ConnectorState::Paused => "paused",
        ConnectorState::Stopped => "stopped",
        ConnectorState::Failed => "failed",
        ConnectorState::Restarting => "restarting",
    }
}

fn task_state(state: TaskState) -> &'static str {
    match state {
        TaskState::Unassigned => "unassigned",
        TaskState::Running => "running",
        TaskState::Paused => "paused",
        TaskState::Failed => "failed",
        TaskState::Restarting => "restarting",
    }
}

fn health(level: HealthLevel) -> f64 {
    match level {
        HealthLevel::Ok => 0.0,
        HealthLevel::Degraded => 1.0,
        HealthLevel::Stalled => 2.0,
        HealthLevel::Failed => 3.0,
    }
}

#[allow(clippy::unnecessary_wraps, reason = "families read options, as some numbers are not always known")]
fn count(value: u64) -> Option<f64> {
    Some(value as f64)
}

fn seconds(value: u64, per_second: f64) -> f64 {
    value as f64 / per_second
}
