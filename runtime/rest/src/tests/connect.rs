//! Connect's rows, each against a worker that runs: status and body, as in Kafka Connect 4.3.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use towpath_log::{Embedded, LogConfig, OsVfs};
use towpath_model::{Clock, SystemClock};
use towpath_worker::{Handle, Worker, WorkerConfig};

use super::fakes::FakePlugins;
use super::*;
use crate::log::{Log, LogFault, LogNumbers, TopicDescription, TopicPartitionEnds};
use crate::loggers::{Level, LoggerLevel};
use crate::server::Served;

/// A worker with a log of its own, and a server before it.
struct Running {
    server: Router,
    worker: Handle,
    stop: watch::Sender<bool>,
    working: JoinHandle<towpath_worker::Result<()>>,
    _data: tempfile::TempDir,
}

impl Running {
    async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let config = LogConfig::new(data.path());
        let log = Arc::new(Embedded::open(config, Arc::new(OsVfs), Arc::clone(&clock), 7).unwrap());
        let worker = Worker::new(WorkerConfig::default(), log, Arc::new(FakePlugins::default()), Arc::clone(&clock), 7);
        let handle = worker.handle();
        let (stop, stopping) = watch::channel(false);
        let working = tokio::spawn(worker.run(stopping));
        handle.ready().wait_for(|ready| *ready).await.unwrap();
        let served = Served {
            worker: handle.clone(),
            log: Arc::new(NoLog),
            kafka: Arc::new(Echo),
            loggers: Arc::new(OneLogger(Mutex::new(INFO))),
            cluster_id: "towpath-test".to_owned(),
            worker_id: "127.0.0.1:8083".to_owned(),
            started_ms: 0,
            clock,
        };
        Self { server: server(Stage::of(Some(Arc::new(served)))), worker: handle, stop, working, _data: data }
    }

    /// Asks and expects.
    async fn check(&self, line: &str, status: u16, body: Value) -> Answer {
        let answer = ask(&self.server, request(line)).await;
        assert_eq!((answer.status, &answer.body), (status, &body), "{line}");
        answer
    }

    /// Asks and expects an error with this message.
    async fn refused(&self, line: &str, status: u16, message: &str) {
        self.check(line, status, json!({ "error_code": status, "message": message })).await;
    }

    async fn get(&self, path: &str) -> Answer {
        ask(&self.server, request(&format!("GET {path}"))).await
    }

    /// Waits until a path answers as expected, woken by every change of the worker.
    async fn until(&self, path: &str, holds: impl Fn(&Answer) -> bool) -> Answer {
        let mut changes = self.worker.changes();
        let waiting = async {
            loop {
                let answer = self.get(path).await;
                if holds(&answer) {
                    return answer;
                }
                changes.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(Duration::from_secs(30), waiting).await {
            Ok(answer) => answer,
            Err(_) => panic!("{path} stays at {}", self.get(path).await.body),
        }
    }

    /// Waits until a connector and its tasks are in these states.
    async fn settled(&self, name: &str, connector: &str, tasks: &[&str]) -> Value {
        let path = format!("/connectors/{name}/status");
        let states = |body: &Value| -> Vec<Value> {
            body["tasks"].as_array().into_iter().flatten().map(|task| task["state"].clone()).collect()
        };
        self.until(&path, |answer| answer.body["connector"]["state"] == connector && states(&answer.body) == tasks)
            .await
            .body
    }

    async fn end(self) {
        self.stop.send_replace(true);
        self.working.await.unwrap().unwrap();
    }
}

/// A broker that answers with what it is asked.
struct Echo;

#[async_trait::async_trait]
impl crate::Kafka for Echo {
    async fn call(&self, request: bytes::Bytes) -> Result<bytes::Bytes, String> {
        if request.is_empty() { Err("it is empty".to_owned()) } else { Ok(request) }
    }

    async fn numbers(&self) -> Vec<crate::Family> {
        let samples = vec![(vec![("listener", "PLAINTEXT".to_owned())], 2.0)];
        vec![crate::Family { name: "towpath_kafka_connections", counter: false, help: "Open connections.", samples }]
    }
}

#[tokio::test]
async fn the_broker_is_asked_in_bytes_and_counted_with_the_rest() {
    let worker = Running::start().await;
    let ask_broker = async |media: &str, body: &'static [u8]| {
        let request = Request::builder().method("POST").uri("/v1/kafka").header("content-type", media);
        let request = request.header("content-length", body.len());
        let response = worker.server.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        (status, axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap())
    };
    assert_eq!(ask_broker("application/octet-stream", b"\0\x12").await, (200, bytes::Bytes::from_static(b"\0\x12")));
    assert_eq!(ask_broker("application/octet-stream", b"").await.0, 400);
    assert_eq!(ask_broker("application/json", b"{}").await.0, 415, "a form or a page cannot ask");
    let metrics = worker.server.clone().oneshot(request("GET /metrics")).await.unwrap();
    let metrics = axum::body::to_bytes(metrics.into_body(), 1 << 20).await.unwrap();
    let metrics = String::from_utf8_lossy(&metrics).into_owned();
    assert!(metrics.contains("towpath_kafka_connections{listener=\"PLAINTEXT\"} 2\n"), "{metrics}");
    worker.end().await;
}

const INFO: LoggerLevel = LoggerLevel { level: Level::Info, last_modified: None };

struct OneLogger(Mutex<LoggerLevel>);

impl crate::Loggers for OneLogger {
    fn all(&self) -> indexmap::IndexMap<String, LoggerLevel> {
        [("root".to_owned(), *self.0.lock().unwrap())].into_iter().collect()
    }

    fn set(&self, logger: &str, level: Level, _: i64) -> Vec<String> {
        let mut known = self.0.lock().unwrap();
        let before = std::mem::replace(&mut *known, LoggerLevel { level, last_modified: Some(5) });
        if before.level == level { vec![] } else { vec![logger.to_owned()] }
    }
}

#[tokio::test]
async fn loggers_are_shown_and_changed_in_connects_words() {
    let worker = Running::start().await;
    worker.check("GET /admin/loggers", 200, json!({ "root": { "level": "INFO", "last_modified": null } })).await;
    worker.check("GET /admin/loggers/root", 200, json!({ "level": "INFO", "last_modified": null })).await;
    worker.refused("GET /admin/loggers/nope", 404, "Logger nope not found.").await;
    worker.check(r#"PUT /admin/loggers/root {"level":"debug"}"#, 200, json!(["root"])).await;
    worker.check(r#"PUT /admin/loggers/root?scope=worker {"level":"DEBUG"}"#, 200, json!([])).await;
    worker.check(r#"PUT /admin/loggers/root?scope=cluster {"level":"FATAL"}"#, 204, json!(null)).await;
    worker.check("GET /admin/loggers/root/", 200, json!({ "level": "FATAL", "last_modified": 5 })).await;
    worker.refused(r#"PUT /admin/loggers/root {"level":"zzz"}"#, 404, "invalid log level 'zzz'.").await;
    let missing = "Desired 'level' parameter was not specified in request.";
    worker.refused("PUT /admin/loggers/root {}", 400, missing).await;
    worker.refused(r#"PUT /admin/loggers/root {"level":7}"#, 400, missing).await;
    worker.end().await;
}

/// The tests here ask for no records.
struct NoLog;

#[async_trait::async_trait]
impl Log for NoLog {
    fn topics(&self) -> Vec<TopicDescription> {
        Vec::new()
    }

    fn ends(&self, topic: &str) -> Result<Vec<TopicPartitionEnds>, LogFault> {
        Err(LogFault::UnknownTopic(topic.to_owned()))
    }

    async fn offsets_at(&self, topic: &str, _: i64) -> Result<Vec<i64>, LogFault> {
        Err(LogFault::UnknownTopic(topic.to_owned()))
    }

    async fn read(
        &self,
        topic: &str,
        _: &mut [Option<i64>],
        _: usize,
        _: Duration,
    ) -> Result<Vec<towpath_model::Batch>, LogFault> {
        Err(LogFault::UnknownTopic(topic.to_owned()))
    }

    fn numbers(&self) -> LogNumbers {
        LogNumbers::default()
    }

    fn failure(&self) -> Option<String> {
        None
    }
}

const CREATE: &str =
    r#"POST /connectors {"name":"s1","config":{"connector.class":"fake-source","path":"/a","tasks.max":2}}"#;

#[tokio::test]
async fn the_server_says_who_it_is() {
    let running = Running::start().await;
    let commit = concat!("towpath-", env!("CARGO_PKG_VERSION"));
    running
        .check("GET /", 200, json!({ "version": "4.3.1", "commit": commit, "kafka_cluster_id": "towpath-test" }))
        .await;
    let message = "Worker has completed startup and is ready to handle requests.";
    running.check("GET /health", 200, json!({ "status": "healthy", "message": message })).await;
    running.check("GET /readyz", 200, json!("ok\n")).await;
    let answer = running.get("/connectors").await;
    assert_eq!(answer.headers["content-type"], "application/json");
    running.end().await;
}

#[tokio::test]
async fn a_connector_is_created_read_and_deleted() {
    let running = Running::start().await;
    running.check("GET /connectors", 200, json!([])).await;
    let config = json!({ "connector.class": "fake-source", "name": "s1", "path": "/a", "tasks.max": "2" });
    let created = json!({ "name": "s1", "config": config, "tasks": [], "type": "source" });
    let answer = running.check(CREATE, 201, created).await;
    assert_eq!(answer.headers["location"], "http://localhost:8083/connectors/s1");
    running.refused(CREATE, 409, "Connector s1 already exists").await;

    let status = running.settled("s1", "RUNNING", &["RUNNING", "RUNNING"]).await;
    let task = |id: u32| json!({ "id": id, "state": "RUNNING", "worker_id": "127.0.0.1:8083", "version": "1.2.0" });
    let connector = json!({ "state": "RUNNING", "worker_id": "127.0.0.1:8083", "version": "1.2.0" });
    assert_eq!(status, json!({ "name": "s1", "connector": connector, "tasks": [task(0), task(1)], "type": "source" }));

    let tasks = json!([{ "connector": "s1", "task": 0 }, { "connector": "s1", "task": 1 }]);
    let info = json!({ "name": "s1", "config": config, "tasks": tasks, "type": "source" });
    running.check("GET /connectors", 200, json!(["s1"])).await;
    running.check("GET /connectors/", 200, json!(["s1"])).await;
    running.check("GET /connectors/s1", 200, info.clone()).await;
    running.check("GET /connectors/s1/", 200, info.clone()).await;
    running.check("GET /connectors/s1/config", 200, config).await;
    running.check("GET /connectors/s1/tasks/1/status", 200, task(1)).await;
    running.check("GET /connectors?expand=info", 200, json!({ "s1": { "info": info } })).await;
    let both = json!({ "s1": { "info": info, "status": status } });
    running.check("GET /connectors?expand=status&expand=info", 200, both).await;
    running.check("GET /connectors?expand=nonsense", 200, json!({ "s1": {} })).await;
    running.check("GET /connectors/s1/offsets", 200, json!({ "offsets": [] })).await;
    running.check("GET /connectors/s1/topics", 200, json!({ "s1": { "topics": [] } })).await;

    let tasks = running.get("/connectors/s1/tasks").await;
    assert_eq!(tasks.status, 200);
    assert_eq!(tasks.body[1]["id"], json!({ "connector": "s1", "task": 1 }));
    assert_eq!(tasks.body[1]["config"]["task.class"], "fake-source");
    assert_eq!(tasks.body[1]["config"]["path"], "/a");

    running.check("DELETE /connectors/s1", 204, Value::Null).await;
    running.refused("DELETE /connectors/s1", 404, "Connector s1 not found").await;
    running.check("GET /connectors", 200, json!([])).await;
    running.end().await;
}

#[tokio::test]
async fn configurations_are_put_and_patched() {
    let running = Running::start().await;
    let put = r#"PUT /connectors/sp%20ace/config {"connector.class":"fake-sink","path":"/a","topics":"t","rows":5}"#;
    let config = json!({ "connector.class": "fake-sink", "name": "sp ace", "path": "/a", "rows": "5", "topics": "t" });
    let info = json!({ "name": "sp ace", "config": config, "tasks": [], "type": "sink" });
    let answer = running.check(put, 201, info).await;
    assert_eq!(answer.headers["location"], "http://localhost:8083/connectors/sp%20ace");
    running.settled("sp%20ace", "RUNNING", &["RUNNING"]).await;

    let put = r#"PUT /connectors/sp%20ace/config {"connector.class":"fake-sink","path":"/b","topics":"t","rows":"5"}"#;
    let answer = ask(&running.server, request(put)).await;
    assert_eq!((answer.status, &answer.body["config"]["path"]), (200, &json!("/b")));

    let patch = r#"PATCH /connectors/sp%20ace/config {"rows":null,"path":"/c"}"#;
    let answer = ask(&running.server, request(patch)).await;
    let config = json!({ "connector.class": "fake-sink", "name": "sp ace", "path": "/c", "topics": "t" });
    assert_eq!((answer.status, &answer.body["config"]), (200, &config));
    running.refused(r#"PATCH /connectors/nope/config {"path":"/c"}"#, 404, "Connector nope not found").await;
    running.end().await;
}

#[tokio::test]
async fn a_name_may_hold_what_a_path_must_encode() {
    let running = Running::start().await;
    let create = r#"POST /connectors {"name":"a/b %2F?","config":{"connector.class":"fake-source","path":"/a"}}"#;
    let answer = ask(&running.server, request(create)).await;
    assert_eq!(answer.headers["location"], "http://localhost:8083/connectors/a%2Fb%20%252F%3F");
    let path = "a%2fb%20%252F%3F";
    running.settled(path, "RUNNING", &["RUNNING"]).await;
    assert_eq!(running.get(&format!("/connectors/{path}")).await.body["name"], "a/b %2F?");
    running.check(&format!("PUT /connectors/{path}/pause"), 202, json!(null)).await;
    running.settled(path, "PAUSED", &["PAUSED"]).await;
    running.check(&format!("DELETE /connectors/{path}"), 204, json!(null)).await;
    running.end().await;
}

#[tokio::test]
async fn verbs_have_the_codes_that_operators_check() {
    let running = Running::start().await;
    ask(&running.server, request(CREATE)).await;
    running.settled("s1", "RUNNING", &["RUNNING", "RUNNING"]).await;
    for _ in 0..2 {
        running.check("PUT /connectors/s1/pause", 202, Value::Null).await;
        running.settled("s1", "PAUSED", &["PAUSED", "PAUSED"]).await;
    }
    running.check("PUT /connectors/s1/resume", 202, Value::Null).await;
    running.settled("s1", "RUNNING", &["RUNNING", "RUNNING"]).await;
    running.check("POST /connectors/s1/restart", 204, Value::Null).await;
    running.settled("s1", "RUNNING", &["RUNNING", "RUNNING"]).await;
    let planned = ask(&running.server, request("POST /connectors/s1/restart?includeTasks=True&onlyFailed=false")).await;
    assert_eq!((planned.status, &planned.body["name"]), (202, &json!("s1")));
    assert_eq!(planned.body["tasks"][0]["state"], "RESTARTING");
    running.settled("s1", "RUNNING", &["RUNNING", "RUNNING"]).await;
    running.check("POST /connectors/s1/tasks/0/restart", 204, Value::Null).await;
    running.settled("s1", "RUNNING", &["RUNNING", "RUNNING"]).await;
    for _ in 0..2 {
        running.check("PUT /connectors/s1/stop", 204, Value::Null).await;
        running.settled("s1", "STOPPED", &[]).await;
    }
    running.check("GET /connectors/s1/tasks", 200, json!([])).await;
    running.end().await;
}

#[tokio::test]
async fn a_connector_may_begin_stopped_or_paused() {
    let running = Running::start().await;
    let create = |name: &str, state: &str| {
        format!(
            r#"POST /connectors {{"name":"{name}","config":{{"connector.class":"fake-source","path":"/a"}},"initial_state":"{state}"}}"#
        )
    };
    assert_eq!(ask(&running.server, request(&create("s1", "stopped"))).await.status, 201);
    running.settled("s1", "STOPPED", &[]).await;
    assert_eq!(ask(&running.server, request(&create("s2", "PAUSED"))).await.status, 201);
    running.settled("s2", "PAUSED", &["PAUSED"]).await;
    let message = "The field initial_state is \"maybe\", but must be one of RUNNING, PAUSED, STOPPED";
    running.refused(&create("s3", "maybe"), 400, message).await;
    running.end().await;
}

#[tokio::test]
async fn offsets_of_a_stopped_connector_are_altered_and_reset() {
    let running = Running::start().await;
    ask(&running.server, request(CREATE)).await;
    let position = json!({ "partition": { "server": "a" }, "offset": { "lsn": 7 } });
    let alter = format!("PATCH /connectors/s1/offsets {}", json!({ "offsets": [position] }));
    let stop_first = "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the \
                      specified connector by issuing a 'PUT' request to the '/connectors/s1/stop' endpoint";
    running.refused(&alter, 400, stop_first).await;
    running.refused("DELETE /connectors/s1/offsets", 400, stop_first).await;
    running.check("PUT /connectors/s1/stop", 204, Value::Null).await;
    let altered = json!({ "message": "The offsets for this connector have been altered successfully" });
    running.check(&alter, 200, altered).await;
    running.check("GET /connectors/s1/offsets", 200, json!({ "offsets": [position] })).await;
    let none = "Partitions / offsets need to be provided for an alter offsets request";
    running.refused("PATCH /connectors/s1/offsets {}", 400, none).await;
    let reset = json!({ "message": "The offsets for this connector have been reset successfully" });
    running.check("DELETE /connectors/s1/offsets", 200, reset).await;
    running.check("GET /connectors/s1/offsets", 200, json!({ "offsets": [] })).await;
    running.refused("DELETE /connectors/nope/offsets", 404, "Connector nope not found").await;
    running.end().await;
}

#[tokio::test]
async fn a_failed_task_carries_its_trace_and_leaves_the_connector_running() {
    let running = Running::start().await;
    let create = r#"POST /connectors {"name":"s1","config":{"connector.class":"fake-source","path":"/a","fail":"the disk is on fire"}}"#;
    ask(&running.server, request(create)).await;
    let status = running.settled("s1", "RUNNING", &["FAILED"]).await;
    let trace = status["tasks"][0]["trace"].as_str().unwrap();
    assert!(trace.lines().next().unwrap().contains("the disk is on fire"), "{trace}");
    assert_eq!(status["connector"].get("trace"), None);
    let ours = running.get("/v1/status").await;
    assert_eq!(ours.body["connectors"][0]["health"]["level"], "failed");
    let metrics = running.get("/metrics").await;
    let text = metrics.body.as_str().unwrap();
    assert!(text.contains("towpath_connector_health{connector=\"s1\"} 3\n"), "{text}");
    assert!(text.contains("towpath_task_state{connector=\"s1\",task=\"0\",state=\"failed\"} 1\n"), "{text}");
    running.end().await;
}

#[tokio::test]
async fn what_is_unknown_is_told_in_connects_words() {
    let running = Running::start().await;
    for path in ["", "/config", "/tasks", "/offsets"] {
        running.refused(&format!("GET /connectors/nope{path}"), 404, "Connector nope not found").await;
    }
    running.refused("GET /connectors/nope/status", 404, "No status found for connector nope").await;
    running.refused("GET /connectors/nope/tasks/3/status", 404, "No status found for task nope-3").await;
    running.refused("GET /connectors/nope/tasks/x/status", 404, "HTTP 404 Not Found").await;
    for verb in ["pause", "resume", "stop"] {
        running.refused(&format!("PUT /connectors/nope/{verb}"), 404, "Unknown connector nope").await;
    }
    running.refused("POST /connectors/nope/restart", 404, "Unknown connector: nope").await;
    running.refused("POST /connectors/nope/restart?includeTasks=true", 404, "Unknown connector: nope").await;
    running.check("GET /connectors/nope/topics", 200, json!({ "nope": { "topics": [] } })).await;
    running.check("PUT /connectors/nope/topics/reset", 202, json!(null)).await;
    running.refused("GET /connector-plugins/nope/config", 404, "Unknown plugin nope.").await;
    ask(&running.server, request(CREATE)).await;
    running.refused("POST /connectors/s1/tasks/9/restart", 404, "Unknown task: s1-9").await;
    running.refused("GET /connectors/s1/tasks/9/status", 404, "No status found for task s1-9").await;
    running.refused("GET /v1/connectors/nope/tap", 404, "Connector nope not found").await;
    for (query, reason) in [
        ("rate=0", "rate must be from 1 to 1000 records a second, but is 0"),
        ("max=x", "max must be a number, but is \"x\""),
        ("task=-1", "task must be a number, but is \"-1\""),
    ] {
        running.refused(&format!("GET /v1/connectors/s1/tap?{query}"), 400, reason).await;
    }
    running.refused("GET /v1/topics/nope", 404, "topic nope does not exist").await;
    running.refused("GET /v1/topics/nope/records", 404, "topic nope does not exist").await;
    running.end().await;
}

#[tokio::test]
async fn a_faulty_configuration_is_refused_with_every_fault() {
    let running = Running::start().await;
    let invalid = |faults: &[&str]| {
        format!(
            "Connector configuration is invalid and contains the following {} error(s):\n{}\nYou can also find the above list of \
             errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`",
            faults.len(),
            faults.join("\n")
        )
    };
    let missing = "Missing required configuration \"path\" which has no default value.";
    let number = "Invalid value many for configuration rows: Not a number of type INT";
    running
        .refused(
            r#"POST /connectors {"name":"s1","config":{"connector.class":"fake-source","rows":"many"}}"#,
            400,
            &invalid(&[missing, number]),
        )
        .await;
    running.refused(r#"PUT /connectors/s1/config {"connector.class":"fake-source"}"#, 400, &invalid(&[missing])).await;
    let mismatch = "Connector name configuration (a) doesn't match connector name in the URL (b)";
    running
        .refused(r#"PUT /connectors/b/config {"name":"a","connector.class":"fake-source","path":"/a"}"#, 400, mismatch)
        .await;
    let topics = "Must configure one of topics or topics.regex";
    running
        .refused(
            r#"PUT /connectors/b/config {"connector.class":"fake-sink","path":"/a"}"#,
            400,
            &invalid(&[topics, topics]),
        )
        .await;
    let answer =
        ask(&running.server, request(r#"POST /connectors {"name":"s1","config":{"connector.class":"nope"}}"#)).await;
    let message = answer.body["message"].as_str().unwrap();
    assert_eq!(answer.status, 400);
    assert!(
        message.contains(
            "Failed to find any class that implements Connector and which name matches nope, available connectors are: "
        ),
        "{message}"
    );
    running.check("GET /connectors", 200, json!([])).await;
    running.end().await;
}

#[tokio::test]
async fn clients_name_plugins_and_never_files_of_this_machine() {
    let running = Running::start().await;
    let check =
        async |line: &str, status: u16| assert_eq!(ask(&running.server, request(line)).await.status, status, "{line}");
    check(r#"POST /connectors {"name":"a","config":{"connector.class":"./mine.wasm"}}"#, 400).await;
    check(r#"PUT /connectors/a/config {"connector.class":"/etc/mine.wasm"}"#, 400).await;
    let transform = r#"{"connector.class":"fake-source","path":"/a","transforms":"t","transforms.t.type":"../t.wasm"}"#;
    check(&format!("PUT /connectors/a/config {transform}"), 400).await;
    check(r#"PATCH /connectors/a/config {"connector.class":"mine.wasm"}"#, 400).await;
    check(r#"PUT /connector-plugins/a/config/validate {"connector.class":"mine.wasm"}"#, 400).await;
    check(r#"PUT /connector-plugins/mine.wasm/config/validate {"connector.class":"fake-source"}"#, 404).await;
    check("GET /connector-plugins/mine.wasm/config", 404).await;
    running.end().await;
}

#[tokio::test]
async fn bodies_that_are_no_request_are_located() {
    let running = Running::start().await;
    let check = async |line: &str, parts: &[&str]| {
        let answer = ask(&running.server, request(line)).await;
        assert_eq!((answer.status, &answer.body["error_code"]), (400, &json!(400)), "{line}");
        let message = answer.body["message"].as_str().unwrap();
        assert!(parts.iter().all(|part| message.contains(part)), "{line}: {message}");
    };
    check(r#"POST /connectors {"name":"a""#, &["line 1 column"]).await;
    check(r#"POST /connectors {"name":"a"}"#, &["lacks the field config"]).await;
    check(r#"POST /connectors {"name":"a","config":{},"extra":1}"#, &["unknown field `extra`", "line 1 column"]).await;
    check("POST /connectors", &["needs a body"]).await;
    check("PUT /connectors/a/config", &["needs a body"]).await;
    check("PUT /connectors/a/config null", &["must be a JSON object"]).await;
    check("PUT /connectors/a/config []", &["must be a JSON object", "a list"]).await;
    check(r#"PUT /connectors/a/config {"k":{"n":1}}"#, &["configuration k", "an object"]).await;
    let large = format!(r#"PUT /connectors/a/config {{"k":"{}"}}"#, "x".repeat(5000));
    let answer = ask(&running.server, request(&large)).await;
    assert_eq!((answer.status, &answer.body["error_code"]), (413, &json!(413)));
    running.end().await;
}

#[tokio::test]
async fn plugins_are_listed_described_and_tried() {
    let running = Running::start().await;
    let plugin = |class: &str, kind: &str| json!({ "class": class, "type": kind, "version": "1.2.0" });
    let connectors = json!([plugin("fake-sink", "sink"), plugin("fake-source", "source")]);
    running.check("GET /connector-plugins", 200, connectors.clone()).await;
    running.check("GET /connector-plugins?connectorsOnly=TRUE", 200, connectors).await;
    let all = running.get("/connector-plugins?connectorsOnly=false").await.body;
    let kinds: Vec<&str> = all.as_array().unwrap().iter().map(|plugin| plugin["type"].as_str().unwrap()).collect();
    for kind in ["source", "sink", "converter", "header_converter", "transformation"] {
        assert!(kinds.contains(&kind), "{kind} is missing in {all}");
    }

    let keys = running.get("/connector-plugins/fake-source/config").await;
    let names: Vec<&str> = keys.body.as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(&names[..4], ["name", "connector.class", "connector.plugin.version", "tasks.max"]);
    let rows = keys.body.as_array().unwrap().iter().find(|key| key["name"] == "rows").unwrap();
    assert_eq!(
        *rows,
        json!({
            "name": "rows", "type": "INT", "required": false, "default_value": "100", "importance": "HIGH",
            "documentation": "What rows does.", "group": "Fake", "order_in_group": 1, "order": 1, "width": "SHORT",
            "display_name": "rows", "dependents": [],
        })
    );
    assert_eq!(running.get("/connector-plugins/fake-source/config?version=1.2.0").await.status, 200);
    assert_eq!(running.get("/connector-plugins/fake-source/config?version=latest").await.status, 200);
    let message = "Plugin fake-source not found that matches the version range [9.9.9], available versions: [1.2.0]";
    running.refused("GET /connector-plugins/fake-source/config?version=9.9.9", 400, message).await;
    let message = "Invalid version specification: newest";
    running.refused("GET /connector-plugins/fake-source/config?version=newest", 400, message).await;
    running.end().await;
}

#[tokio::test]
async fn validate_answers_200_also_with_faults() {
    let running = Running::start().await;
    let validate = r#"PUT /connector-plugins/fake-source/config/validate {"connector.class":"fake-source","name":"x","rows":"many"}"#;
    let answer = ask(&running.server, request(validate)).await;
    assert_eq!(
        (answer.status, &answer.body["name"], &answer.body["error_count"]),
        (200, &json!("fake-source"), &json!(2))
    );
    let find = |body: &Value, name: &str| {
        let configs = body["configs"].as_array().unwrap();
        configs.iter().find(|config| config["definition"]["name"] == name).unwrap()["value"].clone()
    };
    let rows = json!({
        "name": "rows", "value": "many", "recommended_values": [],
        "errors": ["Invalid value many for configuration rows: Not a number of type INT"], "visible": true,
    });
    assert_eq!(find(&answer.body, "rows"), rows);

    let validate = r#"PUT /connector-plugins/fake-source/config/validate {"connector.class":"fake-source","name":"x","path":"/refused"}"#;
    let answer = ask(&running.server, request(validate)).await;
    assert_eq!((answer.status, &find(&answer.body, "path")["errors"]), (200, &json!(["nothing is there"])));

    let mismatch = r#"PUT /connector-plugins/fake-sink/config/validate {"connector.class":"fake-source","path":"/a"}"#;
    running.refused(mismatch, 400, "Included connector type fake-source does not match request type fake-sink").await;
    let unknown = r#"PUT /connector-plugins/nope/config/validate {"connector.class":"nope"}"#;
    assert_eq!(ask(&running.server, request(unknown)).await.status, 400);
    running.end().await;
}
