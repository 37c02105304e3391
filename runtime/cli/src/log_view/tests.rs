//! What `tail` shows of a log, also of one that no worker has open.

use std::path::Path;

use towpath_log::{Appends as _, Commit, NewTopic, Topics as _};
use towpath_model::{BatchBuilder, Form, Run, SystemClock};
use towpath_rest::{Beginning, Tail, TailOptions, TailProgress, write_record};

use super::*;
use crate::storage;

async fn log_with_records(data_dir: &Path, records: i64) {
    let log = storage::open(data_dir, Arc::new(SystemClock::default()), &[]).await.unwrap();
    let topic = NewTopic { name: "shop.orders".to_owned(), partitions: Some(2), ..NewTopic::default() };
    log.create_topic(topic).await.unwrap();
    let mut batch = BatchBuilder::default();
    let topic = batch.topic("shop.orders");
    for number in 0..records {
        let partition = i32::try_from(number % 2).unwrap();
        batch.run(Run { records: 0, topic, origin: topic, partition, key: Form::BYTES, value: Form::BYTES });
        batch.key(Some(format!("k{number}").as_bytes()));
        batch.value((number != 3).then_some(b"{\"n\":\"\xc3\xa9\"}".as_slice()));
        batch.header("source", Form::BYTES, Some(b"\xff"));
        batch.end(Some(1_000 + number), None);
    }
    log.commit_atomic(Commit { records: vec![batch.build()], ..Commit::default() }).await.unwrap();
    log.close().await.unwrap();
}

/// `partition:offset` of what a tail shows, until it ends or falls quiet.
async fn shown(log: &Arc<dyn Log>, from: Beginning, max: Option<u64>, exit: bool) -> Vec<String> {
    let mut tail =
        Tail::start(Arc::clone(log), "shop.orders".to_owned(), TailOptions { from, max, exit }).await.unwrap();
    let mut shown = Vec::new();
    loop {
        let each = |record: &towpath_model::Record<'_>| {
            shown.push(format!("{}:{}", record.run.partition, record.offset.unwrap()));
        };
        match tail.next(Duration::from_millis(10), each).await.unwrap() {
            TailProgress::Records => {}
            TailProgress::Quiet | TailProgress::Ended => break,
        }
    }
    shown.sort();
    shown
}

#[tokio::test]
async fn a_stopped_log_is_read_from_anywhere_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    log_with_records(dir.path(), 6).await;
    let log = storage::open_to_read(dir.path()).await.unwrap();
    let check = async |from, max, exit, expected: &[&str]| {
        assert_eq!(shown(&log, from, max, exit).await, expected, "{from} {max:?} {exit}");
    };
    check(Beginning::Earliest, None, true, &["0:0", "0:1", "0:2", "1:0", "1:1", "1:2"]).await;
    check(Beginning::Earliest, None, false, &["0:0", "0:1", "0:2", "1:0", "1:1", "1:2"]).await;
    check(Beginning::Latest, None, true, &[]).await;
    check(Beginning::Offset(2), None, true, &["0:2", "1:2"]).await;
    check(Beginning::Offset(99), None, true, &[]).await;
    check(Beginning::Last(1), None, true, &["0:2", "1:2"]).await;
    check(Beginning::Time(1_003), None, true, &["0:2", "1:1", "1:2"]).await;
    assert_eq!(shown(&log, Beginning::Earliest, Some(4), true).await.len(), 4);
    assert_eq!(log.ends("nope").unwrap_err().to_string(), "topic nope does not exist");
}

#[tokio::test]
async fn a_record_is_shown_as_it_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    log_with_records(dir.path(), 4).await;
    let log = storage::open_to_read(dir.path()).await.unwrap();
    let options = TailOptions { from: Beginning::Offset(1), max: None, exit: true };
    let mut tail = Tail::start(log, "shop.orders".to_owned(), options).await.unwrap();
    let mut lines = Vec::new();
    while tail.next(Duration::from_millis(10), |record| write_record(&mut lines, record)).await.unwrap()
        != TailProgress::Ended
    {}
    assert_eq!(
        String::from_utf8(lines).unwrap(),
        concat!(
            r#"{"topic":"shop.orders","partition":0,"offset":1,"timestamp":1002,"key":"k2","value":"{\"n\":\"é\"}","headers":[{"key":"source","value":{"base64":"/w=="}}]}"#,
            "\n",
            r#"{"topic":"shop.orders","partition":1,"offset":1,"timestamp":1003,"key":"k3","value":null,"headers":[{"key":"source","value":{"base64":"/w=="}}]}"#,
            "\n",
        )
    );
}
