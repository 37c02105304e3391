//! What a newcomer reads, line by line.

use towpath_model::{Health, TargetState, TaskState};
use towpath_rest::v1::TaskOverview;
use towpath_worker::RetryState;

use super::*;

fn connector(name: &str, kind: ConnectorKind, class: &str) -> ConnectorOverview {
    ConnectorOverview {
        name: name.to_owned(),
        kind: Some(kind),
        class: class.to_owned(),
        version: None,
        digest: None,
        state: ConnectorState::Running,
        target: TargetState::Started,
        health: Health { level: HealthLevel::Ok, reason: String::new(), since_ms: 0 },
        file: None,
        rejected: None,
        notes: Vec::new(),
        trace: None,
        records_total: 0,
        records_per_second: 0.0,
        bytes_per_second: 0.0,
        lag_records: None,
        lag_ms: None,
        lag_bytes: None,
        dead_letters_total: 0,
        snapshot: None,
        tasks: vec![task()],
        errors: Vec::new(),
    }
}

fn task() -> TaskOverview {
    TaskOverview {
        id: 0,
        state: TaskState::Running,
        health: Health { level: HealthLevel::Ok, reason: String::new(), since_ms: 0 },
        trace: None,
        retry: None,
        records_total: 0,
        records_per_second: 0.0,
        retries_total: 0,
        errors_total: 0,
        skipped_total: 0,
        filtered_total: 0,
        dead_letters_total: 0,
        deferred: 0,
        restarts_total: 0,
        guest_memory_bytes: 0,
        guest_busy_ms: 0,
        last_progress_ms: None,
        partitions: Vec::new(),
        connector: std::collections::BTreeMap::new(),
    }
}

fn lines(connectors: Vec<ConnectorOverview>) -> Vec<String> {
    let worker = Overview {
        version: "0.1.0".to_owned(),
        worker_id: "127.0.0.1:8083".to_owned(),
        started_ms: 0,
        now_ms: 10_000,
        log_failure: None,
        connectors,
    };
    overview(&worker, false)
}

#[test]
fn columns_line_up_and_the_cause_comes_last() {
    let source = ConnectorOverview {
        records_per_second: 31_204.4,
        lag_ms: Some(0),
        ..connector("orders-cdc", ConnectorKind::Source, "postgres-cdc")
    };
    let mut sink =
        ConnectorOverview { lag_records: Some(1_204), ..connector("orders-hooks", ConnectorKind::Sink, "http-sink") };
    sink.health.level = HealthLevel::Degraded;
    sink.tasks[0].retry = Some(RetryState {
        stage: "TASK_PUT".to_owned(),
        attempt: 3,
        cause: "503 from hooks.internal\nand more".to_owned(),
        code: "connector.retriable".to_owned(),
        since_ms: 0,
        next_ms: 13_500,
    });
    assert_eq!(
        lines(vec![source, sink]),
        [
            "  orders-cdc    source  postgres-cdc  RUNNING  31,204 rec/s      lag 0",
            "  orders-hooks  sink    http-sink     RUNNING       0 rec/s  lag 1,204  degraded: attempt 3, next in 4 s, 503 from hooks.internal",
        ]
    );
}

#[test]
fn a_failed_task_shows_though_the_connector_is_running() {
    let mut failed = connector("a", ConnectorKind::Sink, "s3-sink");
    failed.tasks[0].state = TaskState::Failed;
    failed.tasks[0].trace = Some("bucket shop does not exist\n  at put".to_owned());
    failed.health.level = HealthLevel::Failed;
    assert_eq!(lines(vec![failed]), ["  a  sink  s3-sink  FAILED  0 rec/s  failed: bucket shop does not exist"]);
}

#[test]
fn a_snapshot_tells_how_far_it_is() {
    let snapshot = Some(Snapshot { rows_done: 1_200_000, rows_total: 3_000_000, seconds_left: Some(125) });
    let source = ConnectorOverview { snapshot, ..connector("a", ConnectorKind::Source, "postgres-cdc") };
    assert!(lines(vec![source])[0].ends_with("snapshot 40 %, 1,200,000 of about 3,000,000 rows, 2 min 5 s left"));
}

#[test]
fn a_finished_snapshot_is_no_news() {
    let snapshot = Some(Snapshot { rows_done: 3, rows_total: 3, seconds_left: None });
    let source = ConnectorOverview { snapshot, ..connector("a", ConnectorKind::Source, "postgres-cdc") };
    assert_eq!(lines(vec![source]), ["  a  source  postgres-cdc  RUNNING  0 rec/s"]);
}

#[test]
fn a_rejected_file_is_told_once() {
    let mut sink = connector("a", ConnectorKind::Sink, "s3-sink");
    sink.rejected = Some("a.yaml:3:1: no".to_owned());
    sink.health =
        Health { level: HealthLevel::Degraded, reason: "config rejected: a.yaml:3:1: no".to_owned(), since_ms: 0 };
    assert_eq!(lines(vec![sink]), ["  a  sink  s3-sink  RUNNING  0 rec/s  degraded: config rejected: a.yaml:3:1: no"]);
}

#[test]
fn an_empty_worker_names_the_next_step() {
    assert!(lines(Vec::new())[0].contains("put a .yaml file into the folder"));
}

#[test]
fn numbers_read_well() {
    assert_eq!(grouped(0), "0");
    assert_eq!(grouped(999), "999");
    assert_eq!(grouped(1_000), "1,000");
    assert_eq!(grouped(12_345_678), "12,345,678");
    assert_eq!(span(400), "400 ms");
    assert_eq!(span(3_840_000), "1 h 4 min");
    assert_eq!(size(13_002_342), "12.4 MiB");
}
