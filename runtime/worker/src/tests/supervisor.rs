//! What a user notices of the supervisor.

use std::collections::BTreeMap;
use std::time::Duration;

use towpath_model::{ConnectorError, ConnectorState, HealthLevel, TargetState, TaskId, TaskState};

use super::plugins::{Poll, key};
use super::rig::{Rig, config, name};
use crate::{Error, InternalTopics, Owner, WorkerConfig};

fn is_running(rig: &Rig, connector: &str) -> bool {
    let status = rig.status(connector);
    status.state == ConnectorState::Running && status.tasks.iter().all(|task| task.state == TaskState::Running)
}

async fn until_running(rig: &Rig, connector: &str) {
    rig.until("running", |rig| is_running(rig, connector)).await;
}

fn lines(rig: &Rig, start: &str) -> usize {
    rig.source().diary().iter().filter(|line| line.starts_with(start)).count()
}

#[tokio::test(start_paused = true)]
async fn what_is_created_is_listed_described_and_stored_as_connect_does() {
    let rig = Rig::new().await;
    rig.create("s", "source", &[("tasks.max", "2")]).await;
    until_running(&rig, "s").await;
    assert_eq!(rig.handle.connectors(), [name("s")]);
    let info = rig.handle.connector(&name("s")).expect("known");
    assert_eq!((info.config.get("name"), info.owner, info.tasks.len()), (Some("s"), Owner::Api, 2));
    let stored = rig.log.compacted("connect-configs");
    assert!(
        stored["connector-s"]
            .as_ref()
            .is_some_and(|value| value.starts_with(r#"{"properties":{"connector.class":"source""#))
    );
    assert_eq!(stored["target-state-s"].as_deref(), Some(r#"{"state":"STARTED","state.v2":"STARTED"}"#));
    assert_eq!(stored["commit-s"].as_deref(), Some(r#"{"tasks":2}"#));
    rig.until("status in the log", |rig| {
        let status = rig.log.compacted("connect-status");
        status.get("status-task-s-1").is_some_and(|value| value.as_ref().is_some_and(|value| value.contains("RUNNING")))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn refusals_have_connects_words_and_codes() {
    let rig = Rig::new().await;
    rig.create("s", "source", &[]).await;
    let check = |error: Error, status: u16, text: &str| {
        assert_eq!(error.http_status(), status, "{error}");
        assert!(error.to_string().starts_with(text), "{error}");
    };
    let create = |connector: &str, config| rig.handle.create(name(connector), config, TargetState::Started);
    check(create("s", config("source", &[])).await.expect_err("there"), 409, "Connector s already exists");
    check(rig.handle.connector(&name("x")).expect_err("unknown"), 404, "Connector x not found");
    check(rig.handle.status(&name("x")).expect_err("unknown"), 404, "No status found for connector x");
    check(rig.handle.pause(name("x")).await.expect_err("unknown"), 404, "Unknown connector x");
    check(rig.handle.restart(name("x"), true, false).await.expect_err("unknown"), 404, "Unknown connector: x");
    let task = TaskId { connector: name("s"), task: 9 };
    check(rig.handle.restart_task(task.clone()).await.expect_err("unknown"), 404, "Unknown task: s-9");
    check(rig.handle.task_status(&task).expect_err("unknown"), 404, "No status found for task s-9");
    check(rig.handle.delete(name("x")).await.expect_err("unknown"), 404, "Connector x not found");
    let other = create("a", config("source", &[("name", "b")])).await;
    let text = "Connector name configuration (b) doesn't match connector name in the URL (a)";
    check(other.expect_err("mismatch"), 400, text);
    let class = create("a", config("nonesuch", &[])).await;
    check(
        class.expect_err("no class"),
        400,
        "Failed to find any class that implements Connector and which name matches nonesuch",
    );
    let bad = create("a", config("source", &[("tasks.max", "many")])).await;
    let text = "Connector configuration is invalid and contains the following 1 error(s):\nInvalid value many for configuration tasks.max";
    check(bad.expect_err("bad"), 400, text);
    let wrong = create("a", config("source", &[("fake.mode", "wrong")])).await;
    let text = "Connector configuration is invalid and contains the following 1 error(s):\nthis mode is wrong\n";
    check(wrong.expect_err("wrong"), 400, text);
    assert_eq!(rig.handle.connectors(), [name("s")]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_comes_back_with_everything_that_was_wanted() {
    let rig = Rig::new().await;
    rig.create("a", "source", &[]).await;
    rig.create("b", "source", &[]).await;
    rig.create("c", "source", &[]).await;
    rig.handle.pause(name("b")).await.expect("paused");
    rig.handle.stop(name("c")).await.expect("stopped");
    until_running(&rig, "a").await;
    for rig in [rig.crash().await.restart().await] {
        until_running(&rig, "a").await;
        rig.until("paused", |rig| rig.status("b").tasks.first().is_some_and(|task| task.state == TaskState::Paused))
            .await;
        assert_eq!(rig.status("b").state, ConnectorState::Paused);
        assert_eq!((rig.status("c").state, rig.status("c").tasks.len()), (ConnectorState::Stopped, 0));
        assert_eq!(rig.status("c").health.level, HealthLevel::Ok);
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_configuration_restarts_only_its_connector_and_an_equal_one_nothing() {
    let rig = Rig::new().await;
    rig.create("a", "source", &[]).await;
    rig.create("b", "source", &[]).await;
    until_running(&rig, "a").await;
    until_running(&rig, "b").await;
    let put = rig.handle.put_config(name("a"), config("source", &[("fake.mode", "x")])).await.expect("sound");
    assert!(!put.created);
    rig.until("opened again", |rig| lines(rig, "open a-0") == 2).await;
    until_running(&rig, "a").await;
    assert_eq!((lines(&rig, "close a-0"), lines(&rig, "open b-0")), (1, 1));
    rig.handle.put_config(name("a"), config("source", &[("fake.mode", "x")])).await.expect("sound");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(lines(&rig, "open a-0"), 2);
    let patch = BTreeMap::from([("fake.mode".to_owned(), None), ("tasks.max".to_owned(), Some("2".to_owned()))]);
    let info = rig.handle.patch_config(name("a"), patch).await.expect("sound");
    assert_eq!((info.config.get("fake.mode"), info.config.get("tasks.max")), (None, Some("2")));
    rig.until("two tasks", |rig| rig.status("a").tasks.len() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn deleting_drains_and_keeps_offsets_and_the_name_is_free_again() {
    let rig = Rig::new().await;
    rig.source().poll(Poll::Records("t", vec!["k:1".into()], 5));
    rig.create("s", "source", &[]).await;
    rig.until_written(&rig.source(), r#"commit {"lsn":5}"#).await;
    rig.handle.delete(name("s")).await.expect("deleted");
    assert!(rig.handle.connectors().is_empty());
    assert_eq!(rig.source().diary().last().map(String::as_str), Some("close s-0"));
    assert_eq!(rig.log.compacted("connect-configs")["connector-s"], None);
    rig.create("s", "source", &[]).await;
    rig.until_written(&rig.source(), r#"open s-0 at {"lsn":5}"#).await;
    let rig = rig.crash().await;
    assert_eq!(rig.handle.connectors(), [name("s")]);
}

#[tokio::test(start_paused = true)]
async fn what_was_meant_for_a_deleted_connector_does_not_meet_the_next_of_its_name() {
    let rig = Rig::new().await;
    rig.create("s", "source", &[]).await;
    until_running(&rig, "s").await;
    rig.handle.delete(name("s")).await.expect("deleted");
    rig.create("s", "source", &[]).await;
    until_running(&rig, "s").await;
    // The grace of the first one's task is over by then.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(is_running(&rig, "s"), "{:?}", rig.status("s"));
    assert_eq!((lines(&rig, "open s-0"), lines(&rig, "close s-0")), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_was_overtaken_changes_nothing() {
    let rig = Rig::new().await;
    rig.create("s", "source", &[("fake.mode", "slow"), ("tasks.max", "3")]).await;
    rig.handle.put_config(name("s"), config("source", &[("fake.mode", "quick")])).await.expect("sound");
    until_running(&rig, "s").await;
    rig.until("both plans", |rig| lines(rig, "plan") == 2).await;
    rig.handle.restart_task(TaskId { connector: name("s"), task: 0 }).await.expect("restarted");
    rig.until("opened again", |rig| lines(rig, "open s-0") == 2).await;
    let last = rig.source().contexts.lock().unwrap().last().map(|context| context.config.clone());
    assert_eq!(last.expect("a start").get("fake.mode"), Some("quick"));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_keeps_failing_waits_longer_each_time_and_has_a_budget() {
    let mut worker = WorkerConfig::default();
    worker.restarts.budget = 3;
    worker.restarts.delay_max = Duration::from_secs(8);
    let rig = Rig::with(worker).await;
    (0..4).for_each(|_| rig.source().poll(Poll::Panic));
    rig.create("s", "source", &[]).await;
    rig.until("failed for good", |rig| {
        rig.status("s").tasks.first().is_some_and(|task| task.state == TaskState::Failed)
    })
    .await;
    assert_eq!(lines(&rig, "open s-0"), 4);
    assert_eq!(rig.status("s").health.level, HealthLevel::Failed);
    let rig = &rig;
    let planned = rig.handle.restart(name("s"), true, true).await.expect("restarted");
    assert_eq!((planned.state, planned.tasks[0].state), (ConnectorState::Running, TaskState::Restarting));
    rig.until("running", |rig| is_running(rig, "s")).await;
    assert_eq!(lines(rig, "open s-0"), 5);
    assert_eq!(rig.status("s").tasks[0].metrics.restarts_total, 4);
}

#[tokio::test(start_paused = true)]
async fn a_system_that_is_away_at_the_start_is_waited_for() {
    let rig = Rig::new().await;
    let refused = || ConnectorError::retriable("connection refused by db:5432");
    rig.source().opens.lock().unwrap().extend((0..5).map(|_| refused()));
    rig.create("s", "source", &[]).await;
    rig.until("shown", |rig| rig.status("s").health.reason.contains("connection refused")).await;
    assert_eq!(rig.status("s").tasks[0].state, TaskState::Unassigned, "it is not running yet");
    until_running(&rig, "s").await;
    rig.until("well", |rig| rig.status("s").health.level == HealthLevel::Ok).await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_without_tasks_says_so() {
    let rig = Rig::new().await;
    *rig.source().tasks.lock().unwrap() = Some(0);
    rig.create("s", "source", &[]).await;
    rig.until("running", |rig| rig.status("s").state == ConnectorState::Running).await;
    let health = rig.status("s").health;
    assert_eq!(
        (health.level, health.reason.as_str()),
        (HealthLevel::Stalled, "the plan has no tasks: there is nothing to do")
    );
}

#[tokio::test(start_paused = true)]
async fn more_tasks_than_allowed_fail_the_connector() {
    let rig = Rig::new().await;
    *rig.source().tasks.lock().unwrap() = Some(3);
    rig.create("s", "source", &[]).await;
    rig.until("failed", |rig| rig.status("s").state == ConnectorState::Failed).await;
    let trace = rig.status("s").trace.expect("a trace");
    assert_eq!(trace, "the connector planned 3 tasks where tasks.max is 1 [worker.too_many_tasks]");
}

#[tokio::test(start_paused = true)]
async fn a_replaced_plugin_restarts_those_that_pin_no_version_and_only_if_it_accepts_them() {
    let rig = Rig::new().await;
    rig.create("free", "source", &[("fake.mode", "x")]).await;
    rig.create("pinned", "source@1.0.0", &[]).await;
    until_running(&rig, "free").await;
    until_running(&rig, "pinned").await;
    rig.plugins.replace("source", "source-2", vec![]);
    rig.handle.plugins_changed().await.expect("told");
    rig.until("opened again", |rig| lines(rig, "open free-0") == 2).await;
    until_running(&rig, "free").await;
    assert_eq!(rig.status("free").digest.as_deref(), Some("source-2"));
    assert_eq!(lines(&rig, "open pinned-0"), 1);
    let required = towpath_model::ConfigKey { optional: false, ..key("fake.needed", false) };
    rig.plugins.replace("source", "source-3", vec![required]);
    rig.handle.plugins_changed().await.expect("told");
    rig.until("a note", |rig| !rig.status("free").notes.is_empty()).await;
    assert!(rig.status("free").notes[0].contains("fake.needed"), "{:?}", rig.status("free").notes);
    assert_eq!((is_running(&rig, "free"), lines(&rig, "open free-0")), (true, 2));
}

#[tokio::test(start_paused = true)]
async fn secrets_are_resolved_for_the_task_and_shown_to_nobody() {
    let mut worker = WorkerConfig::default();
    worker.secrets.api_policy = towpath_config::Policy::Allowed {
        env: vec!["DB_*".into()],
        paths: vec![],
        commands: vec![],
        files: towpath_config::Files::default(),
    };
    worker.secrets.env = std::sync::Arc::new(|name| (name == "DB_PASSWORD").then(|| "hunter22".to_owned()));
    let rig = Rig::with(worker).await;
    rig.source().poll(Poll::Fail(ConnectorError::fatal("login with hunter22 was refused")));
    rig.create("s", "source", &[("fake.secret", "${env:DB_PASSWORD}")]).await;
    rig.until("failed", |rig| rig.status("s").tasks.first().is_some_and(|task| task.state == TaskState::Failed)).await;
    let context = rig.source().contexts.lock().unwrap()[0].config.clone();
    assert_eq!(context.get("fake.secret"), Some("hunter22"));
    let shown = rig.handle.task_configs(&name("s")).expect("known")[0].1.clone();
    assert_eq!(shown.get("fake.secret"), Some("${env:DB_PASSWORD}"));
    let everything = format!("{:?}{:?}", rig.handle.statuses(), rig.handle.errors(&name("s")));
    assert!(!everything.contains("hunter22"), "{everything}");
    let logged = format!("{:?}{:?}", rig.log.compacted("connect-configs"), rig.log.compacted("connect-status"));
    assert!(!logged.contains("hunter22"), "{logged}");
}

#[tokio::test(start_paused = true)]
async fn the_workers_topics_can_have_other_names() {
    let topics =
        InternalTopics { configs: "my-configs".into(), offsets: "my-offsets".into(), ..InternalTopics::default() };
    let rig = Rig::with(WorkerConfig { topics, ..WorkerConfig::default() }).await;
    rig.source().poll(Poll::Advance(3));
    rig.create("s", "source", &[]).await;
    rig.until_written(&rig.source(), r#"commit {"lsn":3}"#).await;
    assert!(rig.log.compacted("my-configs").contains_key("connector-s"));
    assert_eq!(rig.log.compacted("my-offsets").len(), 1);
    assert!(rig.log.records("connect-configs").is_empty());
}

#[tokio::test(start_paused = true)]
async fn validation_reports_every_key_with_its_faults() {
    let rig = Rig::new().await;
    let settings = config("source", &[("tasks.max", "many"), ("name", "v")]);
    let validation = rig.handle.validate("source", settings).await.expect("a class");
    assert_eq!(validation.error_count(), 1);
    let tasks_max = validation.keys.iter().find(|key| key.definition.name == "tasks.max").expect("known");
    assert_eq!(tasks_max.value.as_deref(), Some("many"));
    assert!(validation.keys.iter().any(|key| key.definition.name == "fake.mode"));
    let other = rig.handle.validate("sink", config("source", &[])).await.expect_err("mismatch");
    assert_eq!(other.to_string(), "Included connector type source does not match request type sink");
    assert_eq!(rig.handle.plugins(true).len(), 2);
    assert!(rig.handle.plugins(false).len() > 6);
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_does_not_stop_is_cut_off_after_a_grace() {
    let rig = Rig::new().await;
    rig.source().poll(Poll::Hang);
    rig.create("s", "source", &[]).await;
    until_running(&rig, "s").await;
    let began = tokio::time::Instant::now();
    rig.handle.delete(name("s")).await.expect("deleted");
    assert!(rig.handle.connectors().is_empty());
    assert!(
        began.elapsed() >= Duration::from_secs(20) && began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
    rig.create("s", "source", &[]).await;
    until_running(&rig, "s").await;
}
