//! What a user notices of `errors.retry.mode=defer`.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use towpath_model::HealthLevel;

use super::rig::Rig;

const DEFER: (&str, &str) = ("errors.retry.mode", "defer");
const RETRIES: &str = "connect-retries-s";

async fn rig(down: &[&str], settings: &[(&str, &str)]) -> Rig {
    let rig = Rig::new().await;
    rig.log.create("t", 1);
    set_down(&rig, down);
    let settings: Vec<_> = [DEFER].into_iter().chain(settings.iter().copied()).collect();
    rig.create("s", "sink", &settings).await;
    rig
}

fn set_down(rig: &Rig, keys: &[&str]) {
    *rig.sink().down.lock().unwrap() = keys.iter().map(|key| (*key).to_owned()).collect();
}

async fn committed(rig: &Rig, offset: i64) {
    let found = |rig: &Rig| rig.log.committed("connect-s", "t", 0).map(|(offset, _)| offset);
    rig.until(&format!("offset {offset}"), |rig| found(rig) == Some(offset)).await;
}

fn deferred(rig: &Rig) -> u64 {
    rig.status("s").tasks.iter().map(|task| task.metrics.deferred).sum()
}

/// What was delivered of a key, in order.
fn of(rig: &Rig, key: &str) -> Vec<String> {
    let is_of = |value: &String| value.split(':').next() == Some(key);
    rig.sink().delivered().into_iter().filter(is_of).collect()
}

async fn delivered(rig: &Rig, key: &str, values: &[&str]) {
    rig.until(&format!("{values:?}"), |rig| of(rig, key).len() >= values.len()).await;
    assert_eq!(of(rig, key), values);
}

/// Nothing waits, in the log either.
async fn nothing_waits(rig: &Rig) {
    rig.until("nothing waits", |rig| deferred(rig) == 0).await;
    let left: Vec<_> = rig.log.compacted(RETRIES).into_iter().filter(|(_, value)| value.is_some()).collect();
    assert_eq!(left, []);
}

#[tokio::test(start_paused = true)]
async fn others_pass_a_record_that_waits_and_its_key_stays_in_order() {
    let rig = rig(&["a"], &[]).await;
    rig.log.produce_keyed("t", &["a:1", "b:1", "a:2", "c:1"]);
    committed(&rig, 4).await;
    assert_eq!((of(&rig, "a"), of(&rig, "b"), of(&rig, "c")), (vec![], vec!["b:1".into()], vec!["c:1".into()]));
    rig.until("both wait", |rig| deferred(rig) == 2).await;
    rig.log.produce_keyed("t", &["a:3", "b:2"]);
    committed(&rig, 6).await;
    assert_eq!((deferred(&rig), of(&rig, "b").len()), (3, 2));
    rig.until("health", |rig| rig.status("s").health.level == HealthLevel::Degraded).await;
    assert_eq!(rig.status("s").health.reason, "3 records wait to be put again");
    let error = &rig.handle.errors(&super::rig::name("s")).expect("known")[0];
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("http.status", "record at topic t, partition 0, offset 0: 503")
    );

    set_down(&rig, &[]);
    delivered(&rig, "a", &["a:1", "a:2", "a:3"]).await;
    nothing_waits(&rig).await;
    let metrics = rig.status("s").tasks[0].metrics.clone();
    assert_eq!((metrics.records_total, metrics.deferred_total), (6, 3));
    rig.until("health", |rig| rig.status("s").health.level == HealthLevel::Ok).await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_survives_a_crash_and_is_delivered_once() {
    let rig = rig(&["a"], &[]).await;
    rig.log.produce_keyed("t", &["a:1", "b:1", "a:2"]);
    committed(&rig, 3).await;
    let rig = rig.crash().await;
    rig.until("both wait", |rig| deferred(rig) == 2).await;
    rig.log.produce_keyed("t", &["a:3", "b:2"]);
    committed(&rig, 5).await;
    set_down(&rig, &[]);
    delivered(&rig, "a", &["a:1", "a:2", "a:3"]).await;
    nothing_waits(&rig).await;
    delivered(&rig, "b", &["b:1", "b:2"]).await;
}

#[tokio::test(start_paused = true)]
async fn records_without_a_key_wait_alone() {
    let rig = rig(&[], &[]).await;
    rig.sink().puts.lock().unwrap().push_back(super::plugins::Put::Refuse(vec!["x"], true));
    rig.log.produce_keyed("t", &["x", "y", "z"]);
    committed(&rig, 3).await;
    rig.until("delivered", |rig| rig.sink().delivered().len() == 3).await;
    assert_eq!(rig.sink().delivered(), ["y", "z", "x"]);
    nothing_waits(&rig).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_one_failing_key_does_not_hold_up_the_others_for_ever() {
    let rig = rig(&["a"], &[]).await;
    rig.log.produce_keyed("t", &["a:1"]);
    rig.until_written(&rig.sink(), "put a:1").await;
    rig.log.produce_keyed("t", &["b:1"]);
    delivered(&rig, "b", &["b:1"]).await;
    committed(&rig, 2).await;
    assert_eq!(deferred(&rig), 1);
    set_down(&rig, &[]);
    delivered(&rig, "a", &["a:1"]).await;
    nothing_waits(&rig).await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_down_altogether_blocks_at_the_bound() {
    let rig = rig(&["a", "b", "c"], &[("errors.retry.deferred.max", "1")]).await;
    rig.log.produce_keyed("t", &["a:1", "b:1", "a:2", "c:1"]);
    rig.until("one key waits", |rig| deferred(rig) == 2).await;
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;
    assert_eq!(deferred(&rig), 2, "b and c hold up the partition, as there is no room");
    set_down(&rig, &[]);
    delivered(&rig, "a", &["a:1", "a:2"]).await;
    delivered(&rig, "b", &["b:1"]).await;
    delivered(&rig, "c", &["c:1"]).await;
    nothing_waits(&rig).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_tried_often_enough_is_a_dead_letter_and_frees_its_key() {
    let settings = [
        ("max.retries", "3"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dlq"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
    ];
    let rig = rig(&["a"], &settings).await;
    rig.log.produce_keyed("t", &["a:1", "b:1", "a:2"]);
    committed(&rig, 3).await;
    rig.until("a dead letter", |rig| rig.log.values("dlq").len() == 2).await;
    assert_eq!(rig.log.values("dlq"), ["a:1", "a:2"]);
    let letter = rig.log.records("dlq").remove(0);
    assert_eq!(letter.key.as_deref(), Some("a"));
    assert!(letter.headers.contains(&("__connect.errors.offset".into(), "0".into())), "{:?}", letter.headers);
    nothing_waits(&rig).await;
    set_down(&rig, &[]);
    rig.log.produce_keyed("t", &["a:3"]);
    delivered(&rig, "a", &["a:3"]).await;
}

#[tokio::test(start_paused = true)]
async fn without_the_mode_what_waits_is_put_all_the_same() {
    let rig = rig(&["a"], &[]).await;
    rig.log.produce_keyed("t", &["a:1", "b:1"]);
    committed(&rig, 2).await;
    let block = super::rig::config("sink", &[("errors.retry.mode", "block")]);
    rig.handle.put_config(super::rig::name("s"), block).await.expect("sound");
    rig.log.produce_keyed("t", &["a:2", "b:2"]);
    delivered(&rig, "b", &["b:1", "b:2"]).await;
    set_down(&rig, &[]);
    delivered(&rig, "a", &["a:1", "a:2"]).await;
    nothing_waits(&rig).await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_beyond_the_committed_offset_passes_nothing_over() {
    // Both records of a are written with the offset that passes the first; b:1 between them, for which there is no room, holds that up.
    let rig = rig(&["a", "b"], &[("errors.retry.deferred.max", "1")]).await;
    rig.log.produce_keyed("t", &["a:1", "b:1", "a:2"]);
    rig.until("a waits", |rig| deferred(rig) == 2).await;
    rig.until("committed before b", |rig| rig.log.committed("connect-s", "t", 0).is_some_and(|(at, _)| at == 1)).await;
    // By now a is due, so that the next worker begins with it.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    set_down(&rig, &[]);
    let rig = rig.crash().await;
    delivered(&rig, "b", &["b:1"]).await;
    rig.until("a comes", |rig| of(rig, "a").len() >= 2).await;
    // After a crash a record may come again.
    assert_eq!(of(&rig, "a")[..2], ["a:1", "a:2"]);
    nothing_waits(&rig).await;
}

/// Keys go down and up, the worker dies, records come: in the end each has come, and first comings are in order.
#[tokio::test(start_paused = true)]
async fn whatever_happens_each_key_comes_in_order_and_nothing_is_lost() {
    for round in 0..400 {
        let seed = std::env::var("TOWPATH_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| rand::rng().random_range(0..u64::MAX));
        println!("round {round}, TOWPATH_SEED={seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let most = random.random_range(2..30).to_string();
        let mut rig = rig(&[], &[("errors.retry.deferred.max", &most), ("batch.max.records", "7")]).await;
        let keys = ["a", "b", "c", "d", "e"];
        let mut made: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for _ in 0..random.random_range(10..40) {
            match random.random_range(0..10) {
                0 => rig = rig.crash().await,
                1 => rig = rig.restart().await,
                2 | 3 => {
                    let down: Vec<&str> = keys.into_iter().filter(|_| random.random_bool(0.4)).collect();
                    set_down(&rig, &down);
                }
                4 => tokio::time::sleep(std::time::Duration::from_millis(random.random_range(0..5_000))).await,
                _ => {
                    for _ in 0..random.random_range(1..12) {
                        let key = keys[random.random_range(0..keys.len())];
                        let values = made.entry(key).or_default();
                        values.push(format!("{key}:{}", values.len()));
                        rig.log.produce_keyed("t", &[values.last().expect("pushed")]);
                    }
                }
            }
        }
        set_down(&rig, &[]);
        let all: i64 = made.values().map(|values| values.len() as i64).sum();
        if all > 0 {
            committed(&rig, all).await;
        }
        nothing_waits(&rig).await;
        for (key, values) in &made {
            let mut first = of(&rig, key);
            let mut seen = std::collections::HashSet::new();
            first.retain(|value| seen.insert(value.clone()));
            assert_eq!(first, *values, "seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_replayed_once_in_their_place() {
    let settings = [
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dlq"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
    ];
    for mode in ["defer", "block"] {
        let rig = rig(&[], &[&settings[..], &[("errors.retry.mode", mode)]].concat()).await;
        rig.sink().puts.lock().unwrap().push_back(super::plugins::Put::Refuse(vec!["a:1"], false));
        rig.log.produce_keyed("t", &["a:1", "b:1"]);
        rig.until("a dead letter", |rig| rig.log.values("dlq").len() == 1).await;
        let name = super::rig::name("s");
        let replayed = rig.handle.replay_dead_letters(&name).await.expect("replayed");
        assert_eq!((replayed.records, replayed.skipped), (1, 0), "{mode}");
        delivered(&rig, "a", &["a:1"]).await;
        nothing_waits(&rig).await;
        let replayed = rig.handle.replay_dead_letters(&name).await.expect("replayed");
        assert_eq!(replayed.records, 0, "{mode}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_edits_drops_and_hurries() {
    let rig = rig(&["a", "b"], &[("retry.backoff.ms", "60000")]).await;
    rig.log.produce_keyed("t", &["a:1", "b:1", "c:1", "b:2"]);
    committed(&rig, 4).await;
    let name = super::rig::name("s");
    let waiting = rig.handle.deferred(&name).await.expect("known");
    assert_eq!(waiting.iter().map(|record| record.id.offset).collect::<Vec<_>>(), [0, 1, 3]);
    rig.handle.edit_deferred(&name, &waiting[0].id, Some(b"a:mended")).await.expect("edited");
    assert_eq!(rig.handle.drop_deferred(&name, Some(&waiting[1].id)).await.expect("dropped"), 1);
    let refused = rig.handle.drop_deferred(&name, Some(&waiting[1].id)).await.expect_err("it is gone");
    assert_eq!(refused.to_string(), "No record at topic t, partition 0, offset 1 waits to be put again");
    set_down(&rig, &[]);
    let began = tokio::time::Instant::now();
    assert_eq!(rig.handle.retry_deferred(&name, None).await.expect("hurried"), 2);
    delivered(&rig, "a", &["a:mended"]).await;
    delivered(&rig, "b", &["b:2"]).await;
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    nothing_waits(&rig).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_of_any_size_can_wait() {
    let rig = rig(&["a"], &[]).await;
    rig.log.alter("t", "max.message.bytes", "4000000");
    let large = format!("a:{}", "x".repeat(3_000_000));
    rig.log.produce_keyed("t", &[&large, "b:1", "a:2"]);
    committed(&rig, 3).await;
    set_down(&rig, &[]);
    delivered(&rig, "a", &[&large, "a:2"]).await;
    nothing_waits(&rig).await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_at_once_is_bounded_and_in_order() {
    let rig = rig(&["a"], &[("batch.max.bytes", "3")]).await;
    rig.log.produce_keyed("t", &["a:1", "b:1", "a:2", "a:3"]);
    committed(&rig, 4).await;
    set_down(&rig, &[]);
    delivered(&rig, "a", &["a:1", "a:2", "a:3"]).await;
    nothing_waits(&rig).await;
    for value in ["a:1", "a:2", "a:3"] {
        assert!(rig.sink().diary().contains(&format!("put {value}")), "{:#?}", rig.sink().diary());
    }
}
