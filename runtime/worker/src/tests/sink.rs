//! What a user notices of sink tasks.

use std::time::Duration;

use towpath_log::{Error as LogError, Topics};
use towpath_model::{ConnectorError, Flushed, HealthLevel, LateError, Position, TaskState};

use super::plugins::Put;
use super::rig::{Rig, config, name};

fn values(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|value| format!("v{value}")).collect()
}

async fn rig_with(partitions: i32) -> Rig {
    let rig = Rig::new().await;
    rig.log.create("t", partitions);
    rig
}

fn committed(rig: &Rig, partition: i32) -> Option<i64> {
    rig.log.committed("connect-s", "t", partition).map(|(offset, _)| offset)
}

fn put_again(rig: &Rig, put: Put) {
    rig.sink().puts.lock().unwrap().push_back(put);
}

async fn failed(rig: &Rig) -> String {
    rig.until("failed", |rig| rig.status("s").tasks.iter().any(|task| task.state == TaskState::Failed)).await;
    let status = rig.status("s");
    status.tasks.iter().find_map(|task| task.trace.clone()).expect("a trace")
}

#[tokio::test(start_paused = true)]
async fn records_are_delivered_in_order_and_offsets_follow() {
    let rig = rig_with(1).await;
    rig.log.produce("t", 0, values(0..5));
    rig.create("s", "sink", &[]).await;
    rig.until("offset 5", |rig| committed(rig, 0) == Some(5)).await;
    rig.log.produce("t", 0, values(5..9));
    rig.until("offset 9", |rig| committed(rig, 0) == Some(9)).await;
    assert_eq!(rig.sink().delivered(), values(0..9));
    let metrics = rig.status("s").tasks[0].metrics.clone();
    assert_eq!((metrics.records_total, metrics.partitions[0].lag), (9, 0));
    assert_eq!(rig.handle.offsets(&name("s")).expect("known")[0].offset, serde_json::json!({"kafka_offset": 9}));
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_delivery_goes_on_at_the_committed_offset() {
    let rig = rig_with(1).await;
    rig.log.produce("t", 0, values(0..5));
    rig.create("s", "sink", &[]).await;
    rig.until("offset 5", |rig| committed(rig, 0) == Some(5)).await;
    let rig = rig.crash().await;
    rig.log.produce("t", 0, values(5..7));
    rig.until("offset 7", |rig| committed(rig, 0) == Some(7)).await;
    assert_eq!(rig.sink().delivered(), values(0..7));
}

#[tokio::test(start_paused = true)]
async fn what_a_sink_only_holds_is_delivered_again_after_a_crash_with_its_metadata() {
    let rig = rig_with(1).await;
    *rig.sink().buffers.lock().unwrap() = true;
    rig.log.produce("t", 0, values(0..4));
    rig.create("s", "sink", &[]).await;
    rig.until("put", |rig| rig.sink().delivered().len() == 4).await;
    let position = Position { topic: "t".into(), partition: 0, offset: 2, metadata: "open=1".into() };
    rig.sink().flushes.lock().unwrap().push_back(Ok(Flushed { offsets: vec![position], ..Flushed::default() }));
    rig.until("offset 2", |rig| rig.log.committed("connect-s", "t", 0) == Some((2, "open=1".into()))).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(committed(&rig, 0), Some(2), "the guest holds the rest");
    let rig = rig.crash().await;
    rig.until_written(&rig.sink(), "assigned t-0 at 2 open=1").await;
    rig.until("put again", |rig| rig.sink().delivered().len() == 6).await;
    assert_eq!(rig.sink().delivered()[4..], values(2..4));
}

#[tokio::test(start_paused = true)]
async fn a_failing_target_is_retried_shown_and_nothing_is_lost() {
    let rig = rig_with(1).await;
    for _ in 0..4 {
        put_again(&rig, Put::Fail(ConnectorError::retriable("503 from hooks.internal")));
    }
    rig.log.produce("t", 0, values(0..3));
    rig.create("s", "sink", &[]).await;
    rig.until("a retry in status", |rig| {
        rig.status("s").tasks.first().is_some_and(|task| task.retry.as_ref().is_some_and(|retry| retry.attempt == 3))
    })
    .await;
    let status = rig.status("s");
    assert_eq!((status.health.level, status.tasks[0].state), (HealthLevel::Degraded, TaskState::Running));
    assert!(status.health.reason.starts_with("attempt 4, next in"), "{}", status.health.reason);
    rig.until("offset 3", |rig| committed(rig, 0) == Some(3)).await;
    assert_eq!(rig.sink().delivered(), values(0..3));
    rig.until("health", |rig| rig.status("s").health.level == HealthLevel::Ok).await;
    assert_eq!(rig.status("s").tasks[0].metrics.retries_total, 4);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_makes_room_first_has_no_trouble_and_gets_its_flush() {
    let rig = rig_with(1).await;
    for _ in 0..4 {
        put_again(&rig, Put::Fail(ConnectorError::Throttled { after: Duration::from_millis(10) }));
    }
    rig.log.produce("t", 0, values(0..3));
    rig.create("s", "sink", &[]).await;
    rig.until("offset 3", |rig| committed(rig, 0) == Some(3)).await;
    assert_eq!(rig.sink().delivered(), values(0..3));
    let status = rig.status("s");
    assert_eq!((status.health.level, status.tasks[0].metrics.retries_total), (HealthLevel::Ok, 0));
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_a_sink_is_resumed_after_a_crash() {
    let rig = rig_with(1).await;
    for _ in 0..200 {
        put_again(&rig, Put::Fail(ConnectorError::retriable("503")));
    }
    rig.log.produce("t", 0, values(0..3));
    rig.create("s", "sink", &[]).await;
    let attempt =
        |rig: &Rig| rig.status("s").tasks.first().and_then(|task| task.retry.clone()).map_or(0, |retry| retry.attempt);
    rig.until("ten attempts", |rig| attempt(rig) >= 10).await;
    let before = rig.status("s").tasks[0].retry.clone().expect("a retry");
    let puts = rig.sink().diary().len();
    let rig = rig.crash().await;
    rig.until("the retry again", |rig| attempt(rig) >= 10).await;
    assert_eq!(rig.status("s").tasks[0].retry, Some(before.clone()));
    rig.until("another put", |rig| rig.sink().diary().iter().skip(puts).any(|line| line.starts_with("put"))).await;
    assert!(rig.clock.now_ms() >= before.next_ms, "the wait was not cut short by the crash");
}

#[tokio::test(start_paused = true)]
async fn only_the_records_that_were_refused_are_put_again() {
    let rig = rig_with(1).await;
    put_again(&rig, Put::Refuse(vec!["v1", "v3"], true));
    put_again(&rig, Put::Refuse(vec!["v3"], true));
    rig.log.produce("t", 0, values(0..5));
    rig.create("s", "sink", &[]).await;
    rig.until("offset 5", |rig| committed(rig, 0) == Some(5)).await;
    let puts: Vec<_> = rig.sink().diary().into_iter().filter(|line| line.starts_with("put")).collect();
    assert_eq!(puts, ["put v0 v1 v2 v3 v4", "put v1 v3", "put v3"]);
    assert_eq!(rig.status("s").tasks[0].metrics.records_total, 5);
}

#[tokio::test(start_paused = true)]
async fn while_a_record_is_retried_no_offset_goes_past_it() {
    let rig = rig_with(1).await;
    for _ in 0..8 {
        put_again(&rig, Put::Refuse(vec!["v2"], true));
    }
    rig.log.produce("t", 0, values(0..5));
    rig.create("s", "sink", &[("offset.flush.interval.ms", "10")]).await;
    rig.until("offset 2", |rig| committed(rig, 0) == Some(2)).await;
    assert!(rig.status("s").tasks[0].retry.is_some());
    rig.until("offset 5", |rig| committed(rig, 0) == Some(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_record_fails_the_task_and_is_named() {
    let rig = rig_with(1).await;
    put_again(&rig, Put::Refuse(vec!["v2"], false));
    rig.log.produce("t", 0, values(0..5));
    rig.create("s", "sink", &[]).await;
    let trace = failed(&rig).await;
    assert_eq!(
        trace,
        "record at topic t, partition 0, offset 2 was refused by sink (TASK_PUT): 503 for v2 [http.status]"
    );
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(rig.status("s").tasks[0].state, TaskState::Failed, "a poison record is not restarted into");
}

#[tokio::test(start_paused = true)]
async fn dead_letters_and_the_offset_that_passes_them_are_one_commit() {
    let rig = rig_with(1).await;
    put_again(&rig, Put::Refuse(vec!["v2"], false));
    rig.log.produce("t", 0, values(0..5));
    let queue = [
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dlq"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
    ];
    rig.create("s", "sink", &queue).await;
    rig.until("offset 5", |rig| committed(rig, 0) == Some(5)).await;
    let dead = rig.log.records("dlq");
    assert_eq!(dead[0].value.as_deref(), Some("v2"));
    let expected = [
        ("topic", "t"),
        ("partition", "0"),
        ("offset", "2"),
        ("connector.name", "s"),
        ("task.id", "0"),
        ("stage", "TASK_PUT"),
        ("class.name", "sink"),
        ("exception.class.name", "http.status"),
        ("exception.message", "503 for v2"),
        ("exception.stacktrace", "http.status: 503 for v2"),
    ];
    let expected: Vec<_> =
        expected.iter().map(|(name, value)| (format!("__connect.errors.{name}"), (*value).to_owned())).collect();
    assert_eq!(dead[0].headers, expected);
    let with_letter: Vec<_> = rig
        .log
        .commits()
        .into_iter()
        .filter(|commit| {
            commit.records.iter().any(|batch| batch.columns().topics.iter().any(|topic| &**topic == "dlq"))
        })
        .collect();
    assert_eq!(with_letter.len(), 1);
    assert_eq!(with_letter[0].group_offsets[0].offset, Some(5));
    let metrics = rig.status("s").tasks[0].metrics.clone();
    assert_eq!((metrics.dead_letters_total, metrics.errors_total), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_a_tolerated_record_is_skipped_and_counted() {
    let rig = rig_with(1).await;
    put_again(&rig, Put::Refuse(vec!["v0", "v1", "v2"], false));
    rig.log.produce("t", 0, values(0..3));
    rig.create("s", "sink", &[("errors.tolerance", "all")]).await;
    rig.until("offset 3", |rig| committed(rig, 0) == Some(3)).await;
    assert_eq!(rig.status("s").tasks[0].metrics.skipped_total, 3);
    assert_eq!(rig.handle.errors(&name("s")).expect("known")[0].stage, "TASK_PUT");
}

#[tokio::test(start_paused = true)]
async fn records_that_a_converter_refuses_follow_the_rules_with_their_original_bytes() {
    let rig = rig_with(1).await;
    rig.log.produce("t", 0, ["{}".to_owned(), "{broken".to_owned(), "[1]".to_owned()]);
    let json = ("value.converter", "org.apache.kafka.connect.json.JsonConverter");
    let plain = ("value.converter.schemas.enable", "false");
    rig.create("s", "sink", &[json, plain]).await;
    let trace = failed(&rig).await;
    assert!(trace.starts_with("record at topic t, partition 0, offset 1 was refused by "), "{trace}");
    assert!(trace.contains("(VALUE_CONVERTER)"), "{trace}");
    let queue = [json, plain, ("errors.tolerance", "all"), ("errors.deadletterqueue.topic.name", "dlq")];
    rig.handle.put_config(name("s"), config("sink", &queue)).await.expect("sound");
    rig.until("offset 3", |rig| committed(rig, 0) == Some(3)).await;
    assert_eq!(rig.log.values("dlq"), ["{broken"]);
    assert_eq!(rig.sink().delivered(), ["{}", "[1]"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_filtered_away_still_commits_its_offsets() {
    let rig = rig_with(1).await;
    rig.log.produce("t", 0, ["a:drop".to_owned(), "b:drop".to_owned()]);
    rig.create("s", "sink", &[("transforms", "f"), ("transforms.f.type", "sieve")]).await;
    rig.until("offset 2", |rig| committed(rig, 0) == Some(2)).await;
    assert!(rig.sink().delivered().is_empty());
    assert_eq!(rig.status("s").tasks[0].metrics.filtered_total, 2);
}

#[tokio::test(start_paused = true)]
async fn topics_that_match_are_picked_up_live_and_deleted_ones_are_let_go() {
    let rig = Rig::new().await;
    rig.create("s", "sink", &[("topics.regex", "shop\\..*")]).await;
    rig.until("running", |rig| rig.status("s").tasks.first().is_some_and(|task| task.state == TaskState::Running))
        .await;
    rig.log.create("shop.orders", 1);
    rig.log.create("other", 1);
    rig.log.produce("shop.orders", 0, values(0..2));
    rig.until("records", |rig| rig.sink().delivered() == values(0..2)).await;
    rig.log.create("shop.items", 1);
    rig.log.produce("shop.items", 0, values(2..4));
    rig.until("more records", |rig| rig.sink().delivered() == values(0..4)).await;
    rig.log.delete_topic("shop.orders").await.expect("deleted");
    rig.until_written(&rig.sink(), "revoked shop.orders-0").await;
    rig.log.produce("shop.items", 0, values(4..5));
    rig.until("goes on", |rig| rig.sink().delivered() == values(0..5)).await;
}

#[tokio::test(start_paused = true)]
async fn an_assignment_that_failed_is_told_again() {
    let rig = rig_with(1).await;
    rig.log.produce("t", 0, values(0..2));
    rig.sink().assigns.lock().unwrap().extend((0..2).map(|_| ConnectorError::retriable("bucket is away")));
    rig.create("s", "sink", &[]).await;
    rig.until_written(&rig.sink(), "assigned t-0 at 0").await;
    rig.until("offset 2", |rig| committed(rig, 0) == Some(2)).await;
    assert!(rig.status("s").tasks[0].retry.is_none());
}

#[tokio::test(start_paused = true)]
async fn partitions_are_spread_over_tasks() {
    let rig = rig_with(6).await;
    (0..6).for_each(|partition| rig.log.produce("t", partition, [format!("v{partition}")]));
    rig.create("s", "sink", &[("tasks.max", "3")]).await;
    rig.until("all committed", |rig| (0..6).all(|partition| committed(rig, partition) == Some(1))).await;
    let status = rig.status("s");
    let spread: Vec<_> = status.tasks.iter().map(|task| task.metrics.partitions.len()).collect();
    assert_eq!(spread, [2, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn an_offset_that_retention_has_removed_fails_unless_told_otherwise_and_is_counted() {
    let rig = rig_with(1).await;
    rig.log.produce("t", 0, values(0..5));
    rig.create("s", "sink", &[]).await;
    rig.until("offset 5", |rig| committed(rig, 0) == Some(5)).await;
    rig.handle.stop(name("s")).await.expect("stopped");
    rig.until_written(&rig.sink(), "close s-0").await;
    rig.log.produce("t", 0, values(5..10));
    rig.log.truncate("t", 0, 8);
    rig.handle.resume(name("s")).await.expect("resumed");
    let trace = failed(&rig).await;
    assert!(trace.contains("offset 5 of t-0 is outside 8..10"), "{trace}");
    assert!(trace.contains("offset.out.of.range"), "{trace}");
    rig.handle.put_config(name("s"), config("sink", &[("offset.out.of.range", "earliest")])).await.expect("sound");
    rig.until("offset 10", |rig| committed(rig, 0) == Some(10)).await;
    assert_eq!(rig.sink().delivered()[5..], values(8..10));
    let status = rig.status("s");
    assert_eq!(status.tasks[0].metrics.offsets_out_of_range_total, 1);
    assert_eq!(status.health.level, HealthLevel::Degraded);
}

#[tokio::test(start_paused = true)]
async fn a_new_sink_starts_where_it_is_told_to() {
    let rig = rig_with(1).await;
    rig.log.produce("t", 0, values(0..5));
    rig.create("s", "sink", &[("consumer.override.auto.offset.reset", "latest")]).await;
    rig.until_written(&rig.sink(), "assigned t-0 at 5").await;
    rig.log.produce("t", 0, values(5..6));
    rig.until("records", |rig| rig.sink().delivered() == values(5..6)).await;
}

#[tokio::test(start_paused = true)]
async fn batches_keep_to_their_bounds() {
    let rig = rig_with(1).await;
    rig.log.produce("t", 0, values(0..10));
    rig.create("s", "sink", &[("consumer.override.max.poll.records", "4")]).await;
    rig.until("offset 10", |rig| committed(rig, 0) == Some(10)).await;
    let puts: Vec<_> = rig.sink().diary().into_iter().filter(|line| line.starts_with("put")).collect();
    assert_eq!(puts, ["put v0 v1 v2 v3", "put v4 v5 v6 v7", "put v8 v9"]);
    assert_eq!(rig.status("s").tasks[0].metrics.batch_records_max, 4);
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_more_only_as_long_as_its_age_allows() {
    let rig = rig_with(1).await;
    rig.create("s", "sink", &[("batch.linger.ms", "1000")]).await;
    rig.until_written(&rig.sink(), "assigned t-0 at 0").await;
    for value in 0..3 {
        rig.log.produce("t", 0, values(value..value + 1));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    rig.until("records", |rig| rig.sink().delivered().len() == 3).await;
    let puts = rig.sink().diary().into_iter().filter(|line| line.starts_with("put")).count();
    assert_eq!(puts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_fails_late_goes_to_the_queue_with_the_offset() {
    let rig = rig_with(1).await;
    let late = LateError {
        topic: "t".into(),
        partition: 0,
        offset: 1,
        code: "http.status".into(),
        reason: "400 for v1".into(),
        retriable: false,
    };
    let offsets = vec![Position { topic: "t".into(), partition: 0, offset: 3, metadata: String::new() }];
    let flushed = |late_errors| Ok(Flushed { offsets: offsets.clone(), late_errors, ..Flushed::default() });
    rig.log.produce("t", 0, values(0..3));
    rig.sink().flushes.lock().unwrap().extend([flushed(vec![late])]);
    rig.create("s", "sink", &[("errors.tolerance", "all"), ("errors.deadletterqueue.topic.name", "dlq")]).await;
    rig.until("offset 3", |rig| committed(rig, 0) == Some(3)).await;
    assert_eq!(rig.log.values("dlq"), ["v1"]);
}

#[tokio::test(start_paused = true)]
async fn a_rewind_reads_again_from_there() {
    let rig = rig_with(1).await;
    rig.log.produce("t", 0, values(0..4));
    let rewind = Position { topic: "t".into(), partition: 0, offset: 1, metadata: String::new() };
    *rig.sink().buffers.lock().unwrap() = true;
    rig.create("s", "sink", &[]).await;
    rig.until("put", |rig| rig.sink().delivered().len() == 4).await;
    rig.sink().flushes.lock().unwrap().push_back(Ok(Flushed { rewinds: vec![rewind], ..Flushed::default() }));
    rig.until("put again", |rig| rig.sink().delivered().len() == 7).await;
    assert_eq!(rig.sink().delivered()[4..], values(1..4));
    *rig.sink().buffers.lock().unwrap() = false;
    rig.until("offset 4", |rig| committed(rig, 0) == Some(4)).await;
}

#[tokio::test(start_paused = true)]
async fn offsets_wait_for_a_full_disk_and_are_not_lost() {
    let rig = rig_with(1).await;
    rig.log.produce("t", 0, values(0..3));
    rig.log.fail((0..3).map(|_| LogError::DiskFull("/data".into())));
    rig.create("s", "sink", &[]).await;
    rig.until("offset 3", |rig| committed(rig, 0) == Some(3)).await;
    assert_eq!(rig.sink().delivered(), values(0..3));
}

#[tokio::test(start_paused = true)]
async fn pause_stops_delivery_and_an_orderly_end_flushes() {
    let mut rig = rig_with(1).await;
    rig.create("s", "sink", &[]).await;
    rig.until_written(&rig.sink(), "assigned t-0 at 0").await;
    rig.handle.pause(name("s")).await.expect("paused");
    rig.until("paused", |rig| rig.status("s").tasks[0].state == TaskState::Paused).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.log.produce("t", 0, values(0..3));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(rig.sink().delivered().is_empty());
    rig.handle.resume(name("s")).await.expect("resumed");
    rig.until("records", |rig| rig.sink().delivered().len() == 3).await;
    rig.stop().await;
    assert_eq!(committed(&rig, 0), Some(3));
    assert_eq!(rig.sink().diary().last().map(String::as_str), Some("close s-0"));
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_target_that_is_away() {
    let mut rig = rig_with(1).await;
    for _ in 0..1_000 {
        put_again(&rig, Put::Fail(ConnectorError::retriable("connection refused")));
    }
    rig.log.produce("t", 0, values(0..3));
    rig.create("s", "sink", &[]).await;
    rig.until("a long retry", |rig| {
        rig.status("s").tasks.first().is_some_and(|task| task.retry.as_ref().is_some_and(|retry| retry.attempt > 9))
    })
    .await;
    let began = tokio::time::Instant::now();
    rig.stop().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(committed(&rig, 0).unwrap_or(0), 0, "no offset passes what was not delivered");
}

#[tokio::test(start_paused = true)]
async fn a_put_that_never_ends_is_a_stall_that_is_seen() {
    let rig = rig_with(1).await;
    rig.log.produce("t", 0, values(0..3));
    put_again(&rig, Put::Hang);
    rig.create("s", "sink", &[]).await;
    rig.until("stalled", |rig| rig.status("s").health.level == HealthLevel::Stalled).await;
    let status = rig.status("s");
    assert_eq!(status.tasks[0].state, TaskState::Running);
    assert!(status.health.reason.starts_with("there is data, and nothing has moved for "), "{}", status.health.reason);
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept() {
    let rig = rig_with(1).await;
    rig.log.produce("t", 0, values(0..50));
    let began = tokio::time::Instant::now();
    rig.create("s", "sink", &[("rate.limit.records", "10")]).await;
    rig.until("offset 50", |rig| committed(rig, 0) == Some(50)).await;
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(8), "{took:?}");
}
