//! What a user notices of source tasks.

use std::time::Duration;

use towpath_log::Error as LogError;
use towpath_model::{ConnectorError, HealthLevel, TaskState};

use super::plugins::{Poll, position};
use super::rig::{Rig, config, name};

fn values(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|value| format!("k:{value}")).collect()
}

#[tokio::test(start_paused = true)]
async fn records_and_offsets_are_one_commit_and_the_guest_hears_of_it_after() {
    let rig = Rig::new().await;
    rig.source().poll(Poll::Records("t", values(0..3), 7));
    rig.create("s", "source", &[]).await;
    rig.until_written(&rig.source(), r#"commit {"lsn":7}"#).await;
    assert_eq!(rig.log.values("t"), values(0..3));
    let commit =
        rig.log.commits().into_iter().find(|commit| {
            commit.records.iter().any(|batch| batch.columns().topics.iter().any(|topic| &**topic == "t"))
        });
    let topics: Vec<_> =
        commit.expect("a commit").records.iter().flat_map(|batch| batch.columns().topics.clone()).collect();
    assert_eq!(topics, ["t".into(), "connect-offsets".into()]);
    let key = r#"["s",{"server":"fake"}]"#.to_owned();
    assert_eq!(rig.log.compacted("connect-offsets")[&key].as_deref(), Some(r#"{"lsn":7}"#));
    let metrics = rig.status("s").tasks[0].metrics.clone();
    assert_eq!((metrics.records_total, metrics.batches_total, metrics.commits_total), (3, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn with_an_interval_what_comes_in_it_is_one_commit() {
    let rig = Rig::new().await;
    let began = tokio::time::Instant::now();
    let interval = [("transaction.boundary", "interval"), ("transaction.boundary.interval.ms", "60000")];
    rig.create("s", "source", &interval).await;
    for batch in 0..3 {
        rig.source().poll(Poll::Records("t", values(batch..batch + 1), batch));
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert!(rig.log.values("t").is_empty());
    rig.until_written(&rig.source(), r#"commit {"lsn":2}"#).await;
    assert!(began.elapsed() >= Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!(rig.log.values("t"), values(0..3));
    assert_eq!(rig.status("s").tasks[0].metrics.commits_total, 1);
}

#[tokio::test(start_paused = true)]
async fn topics_are_remembered_until_they_are_reset_and_come_back_with_use() {
    let rig = Rig::new().await;
    rig.source().poll(Poll::Records("t", values(0..1), 1));
    rig.source().poll(Poll::Records("u", values(1..2), 2));
    rig.create("s", "source", &[]).await;
    rig.create("sink", "sink", &[("topics", "t,u")]).await;
    let topics = |rig: &Rig, connector| rig.handle.topics(&name(connector));
    for connector in ["s", "sink"] {
        rig.until("both topics", |rig| topics(rig, connector) == ["t".into(), "u".into()]).await;
        rig.handle.reset_topics(name(connector)).await.expect("reset");
        assert!(topics(&rig, connector).is_empty());
    }
    rig.source().poll(Poll::Records("u", values(2..3), 3));
    for connector in ["s", "sink"] {
        rig.until("the topic in use", |rig| topics(rig, connector) == ["u".into()]).await;
    }
    let rig = rig.crash().await;
    rig.until("what was remembered", |rig| topics(rig, "s") == ["u".into()]).await;
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_waits_is_interrupted_to_hear_of_durable_positions() {
    let rig = Rig::new().await;
    rig.create("s", "source", &[]).await;
    rig.until_written(&rig.source(), "open s-0 at ").await;
    let began = tokio::time::Instant::now();
    rig.source().poll(Poll::Records("t", values(0..1), 1));
    rig.until_written(&rig.source(), r#"commit {"lsn":1}"#).await;
    assert!(rig.source().diary().contains(&"interrupted".to_owned()));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_idle_advance_is_durable_before_the_source_is_told() {
    let rig = Rig::new().await;
    rig.log.delay(Duration::from_secs(5));
    rig.source().poll(Poll::Advance(9));
    rig.create("s", "source", &[]).await;
    rig.until_written(&rig.source(), r#"commit {"lsn":9}"#).await;
    assert_eq!(rig.handle.offsets(&name("s")).expect("known")[0].offset, serde_json::json!({"lsn": 9}));
    assert!(rig.log.records("t").is_empty());
}

#[tokio::test(start_paused = true)]
async fn polling_goes_on_while_the_log_writes_until_enough_waits_and_then_connections_are_kept_alive() {
    let mut worker = crate::WorkerConfig::default();
    worker.limits.batch_bytes = 200;
    worker.limits.keep_alive = Duration::from_secs(5);
    let rig = Rig::with(worker).await;
    rig.create("s", "source", &[]).await;
    rig.until_written(&rig.source(), "open s-0 at ").await;
    rig.log.delay(Duration::from_secs(60));
    for batch in 0..20 {
        rig.source().poll(Poll::Records("t", values(batch..batch + 1), batch));
    }
    rig.until_written(&rig.source(), "keep alive").await;
    let left = rig.source().polls.lock().unwrap().len();
    assert!((1..18).contains(&left), "{left} polls are left: the guest was polled ahead, but not without end");
    rig.log.delay(Duration::ZERO);
    rig.until("all records", |rig| rig.log.values("t") == values(0..20)).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_the_source_opens_at_what_is_durable() {
    let rig = Rig::new().await;
    rig.source().poll(Poll::Records("t", values(0..3), 3));
    rig.create("s", "source", &[]).await;
    rig.until("records", |rig| rig.log.values("t").len() == 3).await;
    let rig = rig.crash().await;
    rig.until_written(&rig.source(), r#"open s-0 at {"lsn":3}"#).await;
    let epochs: Vec<_> = rig.source().contexts.lock().unwrap().iter().map(|context| context.epoch).collect();
    assert!(epochs.is_sorted_by(|before, after| before < after), "{epochs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_waited_for_and_nothing_is_lost_or_reordered() {
    let rig = Rig::new().await;
    rig.log.fail((0..5).map(|_| LogError::DiskFull("/data".into())));
    for batch in 0..10 {
        rig.source().poll(Poll::Records("t", values(batch * 2..batch * 2 + 2), batch));
    }
    rig.create("s", "source", &[]).await;
    rig.until("a retry in status", |rig| {
        let status = rig.status("s");
        status.tasks.first().is_some_and(|task| task.retry.as_ref().is_some_and(|retry| retry.attempt >= 3))
    })
    .await;
    let status = rig.status("s");
    assert_eq!(status.health.level, HealthLevel::Degraded);
    assert!(status.health.reason.contains("the disk of the log is full"), "{}", status.health.reason);
    rig.until("all records", |rig| rig.log.values("t") == values(0..20)).await;
    rig.until("health", |rig| rig.status("s").health.level == HealthLevel::Ok).await;
}

#[tokio::test(start_paused = true)]
async fn a_passing_error_of_a_poll_is_repeated_and_shown() {
    let rig = Rig::new().await;
    for _ in 0..4 {
        rig.source().poll(Poll::Fail(ConnectorError::retriable("connection refused by db:5432")));
    }
    rig.create("s", "source", &[]).await;
    rig.until("a retry in status", |rig| {
        rig.status("s").tasks.first().is_some_and(|task| task.retry.as_ref().is_some_and(|retry| retry.attempt == 3))
    })
    .await;
    let retry = rig.status("s").tasks[0].retry.clone().expect("a retry");
    assert_eq!((retry.stage.as_str(), retry.code.as_str()), ("TASK_POLL", "connector.retriable"));
    assert!(retry.cause.contains("connection refused"), "{}", retry.cause);
    rig.source().poll(Poll::Records("t", values(0..1), 1));
    rig.until("records", |rig| rig.log.values("t").len() == 1).await;
    rig.until("no retry", |rig| rig.status("s").tasks[0].retry.is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_resumed_after_a_restart() {
    let rig = Rig::new().await;
    for _ in 0..200 {
        rig.source().poll(Poll::Fail(ConnectorError::retriable("connection refused")));
    }
    rig.create("s", "source", &[]).await;
    let attempt =
        |rig: &Rig| rig.status("s").tasks.first().and_then(|task| task.retry.clone()).map_or(0, |retry| retry.attempt);
    rig.until("ten attempts", |rig| attempt(rig) >= 10).await;
    let before = rig.status("s").tasks[0].retry.clone().expect("a retry");
    let rig = rig.crash().await;
    rig.until("the retry again", |rig| attempt(rig) >= 10).await;
    let after = rig.status("s").tasks[0].retry.clone().expect("a retry");
    assert_eq!((after.attempt, after.since_ms, after.next_ms), (before.attempt, before.since_ms, before.next_ms));
    rig.until("the next attempt", |rig| attempt(rig) > 10).await;
    assert!(rig.clock.now_ms() >= before.next_ms);
}

#[tokio::test(start_paused = true)]
async fn a_fatal_error_fails_the_task_with_its_reason_and_it_stays_so() {
    let rig = Rig::new().await;
    rig.source().poll(Poll::Fail(ConnectorError::fatal("password authentication failed for user cdc")));
    rig.create("s", "source", &[]).await;
    rig.until("failed", |rig| rig.status("s").tasks.first().is_some_and(|task| task.state == TaskState::Failed)).await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let status = rig.status("s");
    assert_eq!(status.tasks[0].state, TaskState::Failed);
    assert_eq!(status.health.level, HealthLevel::Failed);
    let trace = status.tasks[0].trace.clone().expect("a trace");
    assert_eq!(trace, "polling failed: password authentication failed for user cdc [connector.fatal]");
    rig.handle.restart_task(status.tasks[0].id.clone()).await.expect("restarted");
    rig.source().poll(Poll::Records("t", values(0..1), 1));
    rig.until("records", |rig| rig.log.values("t").len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_task_alone_and_the_task_starts_again() {
    let rig = Rig::new().await;
    rig.source().poll(Poll::Panic);
    rig.create("s", "source", &[]).await;
    rig.until("restarting", |rig| {
        rig.status("s").tasks.first().is_some_and(|task| task.state == TaskState::Restarting)
    })
    .await;
    rig.source().poll(Poll::Records("t", values(0..1), 1));
    rig.until("records", |rig| rig.log.values("t").len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_too_large_follows_the_rules() {
    let large = || vec!["k:0".to_owned(), format!("k:{}", "x".repeat(5_000)), "k:2".to_owned()];
    let limit = ("topic.creation.default.max.message.bytes", "1000");
    let rig = Rig::new().await;
    rig.source().poll(Poll::Records("t", large(), 1));
    rig.create("s", "source", &[limit]).await;
    rig.until("failed", |rig| rig.status("s").tasks.first().is_some_and(|task| task.state == TaskState::Failed)).await;
    let trace = rig.status("s").tasks[0].trace.clone().expect("a trace");
    let text = r#"record 1 of the batch for topic t up to source position [[{"server":"fake"},{"lsn":1}]] was refused by log (KAFKA_PRODUCE)"#;
    assert!(trace.starts_with(text), "{trace}");
    assert!(rig.log.values("t").is_empty(), "the batch is whole or absent");

    let queue = [
        limit,
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dlq"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
        ("topic.creation.groups", "dlq"),
        ("topic.creation.dlq.include", "dlq"),
        ("topic.creation.dlq.max.message.bytes", "100000"),
    ];
    rig.source().poll(Poll::Records("t", large(), 1));
    rig.handle.put_config(name("s"), config("source", &queue)).await.expect("sound");
    rig.until_written(&rig.source(), r#"commit {"lsn":1}"#).await;
    assert_eq!(rig.log.values("t"), ["k:0", "k:2"]);
    let dead = rig.log.records("dlq");
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].value.as_ref().map(String::len), Some(5_002));
    let header = |name: &str| dead[0].headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(header("__connect.errors.stage"), Some("KAFKA_PRODUCE"));
    assert_eq!(header("__connect.errors.exception.class.name"), Some("log.record_too_large"));
    let source = position(1);
    let expected = format!("[[{},{}]]", source.partition, source.offset.expect("set"));
    assert_eq!(header("__connect.errors.source.position"), Some(expected.as_str()));
    let metrics = rig.status("s").tasks[0].metrics.clone();
    assert_eq!((metrics.dead_letters_total, metrics.errors_total), (1, 1));
    assert_eq!(rig.status("s").health.level, HealthLevel::Degraded);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_filtered_away_still_moves_the_offset() {
    let rig = Rig::new().await;
    rig.source().poll(Poll::Records("t", vec!["k:drop".into()], 4));
    rig.create("s", "source", &[("transforms", "f"), ("transforms.f.type", "sieve")]).await;
    rig.until_written(&rig.source(), r#"commit {"lsn":4}"#).await;
    assert!(rig.log.values("t").is_empty());
    assert_eq!(rig.status("s").tasks[0].metrics.filtered_total, 1);
}

#[tokio::test(start_paused = true)]
async fn a_transform_is_repeated_for_as_long_as_the_configuration_says() {
    let rig = Rig::new().await;
    let fail = |times| {
        rig.plugins
            .script("sieve")
            .opens
            .lock()
            .unwrap()
            .extend((0..times).map(|_| ConnectorError::retriable("lookup service is away")))
    };
    fail(2);
    rig.source().poll(Poll::Records("t", values(0..1), 1));
    let transform = [("transforms", "f"), ("transforms.f.type", "sieve"), ("errors.retry.timeout", "60000")];
    rig.create("s", "source", &transform).await;
    rig.until("records", |rig| rig.log.values("t").len() == 1).await;
    fail(1_000);
    rig.source().poll(Poll::Records("t", values(1..2), 2));
    rig.until("failed", |rig| rig.status("s").tasks.first().is_some_and(|task| task.state == TaskState::Failed)).await;
    assert!(rig.status("s").tasks[0].trace.as_ref().is_some_and(|trace| trace.contains("lookup service is away")));
    assert_eq!(rig.log.values("t").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn pause_keeps_the_guest_and_moves_nothing_and_stop_closes_it() {
    let rig = Rig::new().await;
    rig.create("s", "source", &[]).await;
    rig.until_written(&rig.source(), "open s-0 at ").await;
    rig.handle.pause(name("s")).await.expect("paused");
    rig.until_written(&rig.source(), "interrupted").await;
    rig.source().poll(Poll::Records("t", values(0..1), 1));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(rig.log.values("t").is_empty());
    assert_eq!(rig.status("s").tasks[0].state, TaskState::Paused);
    assert!(rig.source().diary().contains(&"keep alive".to_owned()), "connections are kept");
    rig.handle.resume(name("s")).await.expect("resumed");
    rig.until("records", |rig| rig.log.values("t").len() == 1).await;
    rig.handle.stop(name("s")).await.expect("stopped");
    rig.until_written(&rig.source(), "close s-0").await;
    rig.until("no tasks", |rig| rig.status("s").tasks.is_empty()).await;
    let opened = rig.source().diary().iter().filter(|line| line.starts_with("open")).count();
    assert_eq!(opened, 1);
}

#[tokio::test(start_paused = true)]
async fn an_orderly_end_drains_what_was_polled() {
    let mut rig = Rig::new().await;
    rig.log.delay(Duration::from_secs(2));
    rig.source().poll(Poll::Records("t", values(0..3), 3));
    rig.create("s", "source", &[]).await;
    rig.until_written(&rig.source(), "open s-0 at ").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.stop().await;
    assert_eq!(rig.log.values("t"), values(0..3));
    let diary = rig.source().diary();
    let ends: Vec<_> = diary.iter().rev().take(2).rev().map(String::as_str).collect();
    assert_eq!(ends, [r#"commit {"lsn":3}"#, "close s-0"]);
}

#[tokio::test(start_paused = true)]
async fn a_finished_source_is_well_and_is_not_polled_again() {
    let rig = Rig::new().await;
    rig.source().poll(Poll::Records("t", values(0..1), 1));
    rig.source().poll(Poll::Finish);
    rig.create("s", "source", &[]).await;
    rig.until_written(&rig.source(), r#"commit {"lsn":1}"#).await;
    rig.source().poll(Poll::Fail(ConnectorError::fatal("polled after its end")));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(rig.status("s").tasks[0].state, TaskState::Running);
    assert_eq!(rig.status("s").health.level, HealthLevel::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept() {
    let rig = Rig::new().await;
    rig.log.create("t", 1);
    for batch in 0..5u64 {
        rig.source().poll(Poll::Records("t", (0..10).map(|value| format!("{batch}:{value}")).collect(), batch));
    }
    let began = tokio::time::Instant::now();
    rig.create("s", "source", &[("rate.limit.records", "10")]).await;
    rig.until("all", |rig| rig.log.values("t").len() == 50).await;
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(8), "{took:?}");
}
