//! How connectors and tasks fare, in the topic `connect-status`: Connect's keys and JSON, and one key of our own for each task
//! that holds its epoch and what it is retrying.
//!
//! Nobody waits for these records. The book holds the newest value of each key, so it is bounded by the number of tasks, and
//! one writer takes all of it in one commit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use towpath_log::{Commit, LogEngine, records};
use towpath_model::{ConnectorName, TaskId};

use crate::answers::RetryState;

/// The wait after the log has refused.
const RETRY: Duration = Duration::from_secs(1);

/// What is remembered of a task between its starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskMemory {
    /// The epoch of its last start.
    pub(crate) epoch: u64,
    /// What it was retrying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry: Option<RetryState>,
}

/// Connect's value for a connector or task.
#[derive(Debug, Serialize)]
struct Reported<'a> {
    state: &'a str,
    trace: Option<&'a str>,
    worker_id: &'a str,
    generation: u64,
}

/// Connect's value for a topic that a connector has used.
#[derive(Debug, Serialize)]
struct Used<'a> {
    topic: UsedTopic<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct UsedTopic<'a> {
    name: &'a str,
    connector: &'a str,
    task: u32,
    discover_timestamp: i64,
}

/// Status records that wait to be written.
#[derive(Debug)]
pub(crate) struct StatusBook {
    topic: String,
    worker_id: Arc<str>,
    pending: Mutex<IndexMap<String, Option<Vec<u8>>>>,
    changed: Notify,
    /// Whether the log refused the last time, which is said once.
    refused: AtomicBool,
}

impl StatusBook {
    pub(crate) fn new(topic: String, worker_id: Arc<str>) -> Self {
        Self { topic, worker_id, pending: Mutex::default(), changed: Notify::new(), refused: AtomicBool::default() }
    }

    /// The state of a connector.
    pub(crate) fn connector(&self, name: &ConnectorName, state: &str, trace: Option<&str>, generation: u64) {
        self.put(format!("status-connector-{name}"), Some(self.reported(state, trace, generation)));
    }

    /// The state of a task.
    pub(crate) fn task(&self, task: &TaskId, state: &str, trace: Option<&str>, generation: u64) {
        self.put(format!("status-task-{task}"), Some(self.reported(state, trace, generation)));
    }

    /// What is to be remembered of a task.
    pub(crate) fn remember(&self, task: &TaskId, epoch: u64, retry: Option<&RetryState>) {
        let memory = TaskMemory { epoch, retry: retry.cloned() };
        self.put(memory_key(task), serde_json::to_vec(&memory).ok());
    }

    /// A connector has begun to use a topic.
    pub(crate) fn topic_used(&self, topic: &str, task: &TaskId, now_ms: i64) {
        let TaskId { connector, task } = task;
        let used = UsedTopic { name: topic, connector: connector.as_str(), task: *task, discover_timestamp: now_ms };
        self.put(topic_key(topic, connector), serde_json::to_vec(&Used { topic: used }).ok());
    }

    /// A connector is no more, nor what it used.
    pub(crate) fn forget_topic(&self, topic: &str, connector: &ConnectorName) {
        self.put(topic_key(topic, connector), None);
    }

    /// A task is no more.
    pub(crate) fn forget_task(&self, task: &TaskId) {
        self.put(format!("status-task-{task}"), None);
    }

    /// A connector is no more. What its tasks remember stays: epochs never fall.
    pub(crate) fn forget_connector(&self, name: &ConnectorName) {
        self.put(format!("status-connector-{name}"), None);
    }

    /// Writes what there is whenever there is something, for ever. Dropping it loses what is still pending; call
    /// [`flush`](Self::flush) after.
    pub(crate) async fn write(&self, log: &dyn LogEngine) {
        loop {
            self.changed.notified().await;
            while !self.flush(log).await {
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Writes what there is; false when the log refused and it is still pending.
    pub(crate) async fn flush(&self, log: &dyn LogEngine) -> bool {
        let taken = std::mem::take(&mut *self.lock());
        if taken.is_empty() {
            return true;
        }
        let entries = taken.iter().map(|(key, value)| (key.as_bytes(), value.as_deref()));
        let commit = Commit { records: vec![records::batch(&self.topic, entries)], ..Commit::default() };
        let Err(error) = log.commit_atomic(commit).await else {
            self.refused.store(false, Ordering::Relaxed);
            return true;
        };
        if !self.refused.swap(true, Ordering::Relaxed) {
            tracing::warn!(topic = self.topic, %error, "status cannot be written and is kept until it can");
        }
        let mut pending = self.lock();
        for (key, value) in taken {
            // What has come since is newer.
            pending.entry(key).or_insert(value);
        }
        false
    }

    fn reported(&self, state: &str, trace: Option<&str>, generation: u64) -> Vec<u8> {
        let reported = Reported { state, trace, worker_id: &self.worker_id, generation };
        serde_json::to_vec(&reported).unwrap_or_default()
    }

    fn put(&self, key: String, value: Option<Vec<u8>>) {
        self.lock().insert(key, value);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, IndexMap<String, Option<Vec<u8>>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key under which a task is remembered.
fn memory_key(task: &TaskId) -> String {
    format!("towpath-task-{task}")
}

fn topic_key(topic: &str, connector: &ConnectorName) -> String {
    format!("status-topic-{topic}:connector-{connector}")
}

/// The connector, a topic, and whether it uses it, if the record is one of those. Names of topics hold no colon.
pub(crate) fn used_topic(key: &[u8], value: Option<&[u8]>) -> Option<(ConnectorName, Arc<str>, bool)> {
    let (topic, connector) = std::str::from_utf8(key).ok()?.strip_prefix("status-topic-")?.split_once(":connector-")?;
    Some((ConnectorName::new(connector), topic.into(), value.is_some()))
}

/// The task and what is remembered of it, if the record is one of those.
pub(crate) fn task_memory(key: &[u8], value: Option<&[u8]>) -> Option<(TaskId, TaskMemory)> {
    let name = std::str::from_utf8(key).ok()?.strip_prefix("towpath-task-")?;
    let (connector, task) = name.rsplit_once('-')?;
    let task = TaskId { connector: ConnectorName::new(connector), task: task.parse().ok()? };
    Some((task, serde_json::from_slice(value?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tasks_memory_is_read_back() {
        let book = StatusBook::new("connect-status".into(), "w:1".into());
        let task = TaskId { connector: ConnectorName::new("a-1"), task: 2 };
        let retry = RetryState {
            stage: "TASK_PUT".into(),
            attempt: 3,
            cause: "503".into(),
            code: "http.status".into(),
            since_ms: 1,
            next_ms: 2,
        };
        book.remember(&task, 9, Some(&retry));
        let pending = book.lock();
        let (key, value) = pending.first().expect("one record");
        let memory = TaskMemory { epoch: 9, retry: Some(retry) };
        assert_eq!(task_memory(key.as_bytes(), value.as_deref()), Some((task, memory)));
    }

    #[test]
    fn topics_are_remembered_as_connect_does() {
        let book = StatusBook::new("connect-status".into(), "w:1".into());
        let task = TaskId { connector: ConnectorName::new("a:b"), task: 2 };
        book.topic_used("shop.orders", &task, 7);
        let pending = book.lock();
        let (key, value) = pending.first().expect("one record");
        assert_eq!(key, "status-topic-shop.orders:connector-a:b");
        let value = value.as_deref();
        assert_eq!(
            value.map(String::from_utf8_lossy).as_deref(),
            Some(r#"{"topic":{"name":"shop.orders","connector":"a:b","task":2,"discoverTimestamp":7}}"#)
        );
        assert_eq!(used_topic(key.as_bytes(), value), Some((task.connector.clone(), "shop.orders".into(), true)));
        assert_eq!(used_topic(key.as_bytes(), None).map(|(.., used)| used), Some(false));
        assert_eq!(used_topic(b"status-connector-a", None), None);
    }

    #[test]
    fn states_are_reported_as_connect_does() {
        let book = StatusBook::new("connect-status".into(), "w:1".into());
        book.connector(&ConnectorName::new("a"), "RUNNING", None, 4);
        let pending = book.lock();
        let value = pending["status-connector-a"].clone().expect("a value");
        assert_eq!(value, br#"{"state":"RUNNING","trace":null,"worker_id":"w:1","generation":4}"#);
    }
}
