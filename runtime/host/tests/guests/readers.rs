//! A source that divides its work: its readers' records come through the task's polls, each with the position that the task
//! makes of it, and whatever ends a reader leaves the task able to go on.

use std::collections::BTreeMap;
use std::time::Duration;

use tempfile::TempDir;
use towpath_model::{Checkpoint, Coded, ConnectorError, Plugins, Polled, Progress};

use crate::support::{Task, built, host};

/// A host with the counting component alone.
fn bench() -> (TempDir, std::sync::Arc<towpath_host::Host>) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("plugins")).expect("made");
    std::fs::copy(built("towpath-test-dividing"), folder.path().join("plugins/counting.wasm")).expect("copied");
    let host = host(folder.path());
    (folder, host)
}

async fn task(host: &towpath_host::Host, mode: &str, shares: &str, readers: &str) -> Task {
    let plugin = host.find("counting").expect("the plugin is there");
    let settings = [("shares", shares), ("share.size", "1000"), ("readers", readers), ("mode", mode)];
    Task::start(&*plugin, &settings).await
}

async fn poll(task: &mut Task) -> Result<Polled, ConnectorError> {
    task.source.poll(Duration::from_secs(60), 100, 1 << 20).await
}

/// What a log would hold.
#[derive(Default)]
struct Log {
    numbers: Vec<u64>,
    ends: usize,
    positions: BTreeMap<String, String>,
    positions_with_records: usize,
}

impl Log {
    fn take(&mut self, polled: &Polled) {
        for record in polled.records.records() {
            let text = String::from_utf8_lossy(record.value.bytes.unwrap_or_default()).into_owned();
            match text.parse() {
                Ok(number) => self.numbers.push(number),
                Err(_) => self.ends += 1,
            }
        }
        for Checkpoint { partition, offset } in &polled.checkpoints {
            self.positions_with_records += usize::from(!polled.records.is_empty());
            self.positions.insert(partition.clone(), offset.clone().unwrap_or_default());
        }
    }

    /// Every number once, and then the end.
    fn assert_whole(mut self, count: u64) {
        assert_eq!(self.ends, 1);
        self.numbers.sort_unstable();
        assert!(self.numbers.iter().copied().eq(0..count), "{} numbers instead of {count}", self.numbers.len());
    }
}

async fn drain(task: &mut Task, log: &mut Log) {
    loop {
        let polled = poll(task).await.expect("a poll");
        log.take(&polled);
        if polled.progress == Progress::Finished {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_share_is_read_once_whoever_reads_it() {
    let (_folder, host) = bench();
    for readers in ["1", "3", "16"] {
        let mut task = task(&host, "ok", "20", readers).await;
        let mut log = Log::default();
        drain(&mut task, &mut log).await;
        assert_eq!(log.positions_with_records, 200, "each part of 100 numbers has its position");
        log.assert_whole(20_000);
        task.source.close().await;
    }
}

#[tokio::test]
async fn readers_do_not_run_ahead_of_a_log_that_takes_nothing() {
    let (_folder, host) = bench();
    let mut task = task(&host, "ok", "4", "4").await;
    let mut log = Log::default();
    log.take(&poll(&mut task).await.expect("a poll"));
    // However long nobody polls, no reader goes further than the part that waits for a poll.
    for _ in 0..2_000 {
        tokio::task::yield_now().await;
    }
    task.source.keep_alive().await.expect("kept alive");
    let busy = task.telemetry.usage.lock().expect("unpoisoned").1;
    for _ in 0..2_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(task.telemetry.usage.lock().expect("unpoisoned").1, busy, "a reader went on by itself");
    drain(&mut task, &mut log).await;
    log.assert_whole(4_000);
}

#[tokio::test]
async fn a_reader_that_fails_in_passing_costs_nothing() {
    let (_folder, host) = bench();
    for readers in ["1", "2"] {
        let mut task = task(&host, "fail-once", "4", readers).await;
        let (mut log, mut failures) = (Log::default(), 0);
        loop {
            match poll(&mut task).await {
                Ok(polled) => {
                    log.take(&polled);
                    if polled.progress == Progress::Finished {
                        break;
                    }
                }
                Err(ConnectorError::Retriable { reason, .. }) => {
                    assert_eq!(reason.message, "the line broke");
                    failures += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(failures, 1);
        log.assert_whole(4_000);
    }
}

#[tokio::test]
async fn a_reader_that_panics_is_the_tasks_error_and_what_was_read_stays() {
    let (_folder, host) = bench();
    let mut broken = task(&host, "panic", "4", "2").await;
    let mut log = Log::default();
    let fault = loop {
        match poll(&mut broken).await {
            Ok(polled) => log.take(&polled),
            Err(fault) => break fault,
        }
    };
    assert!(fault.code() == "guest.panic" && fault.to_string().contains("too much"), "{fault:?}");
    // A new task goes on from the positions.
    let mut next = task(&host, "ok", "4", "2").await;
    let stored = log.positions.iter();
    let stored =
        stored.map(|(partition, offset)| Checkpoint { partition: partition.clone(), offset: Some(offset.clone()) });
    next.source.open(stored.collect()).await.expect("it opens");
    drain(&mut next, &mut log).await;
    log.assert_whole(4_000);
}

#[tokio::test]
async fn an_interrupt_ends_the_wait_for_readers_and_keeps_them() {
    let (_folder, host) = bench();
    let mut task = task(&host, "stuck", "2", "2").await;
    task.interrupt.raise();
    let polled = poll(&mut task).await.expect("a poll");
    assert!(polled.records.is_empty() && polled.progress == Progress::More);
    let soon = Duration::from_millis(20);
    let polled = task.source.poll(soon, 100, 1 << 20).await.expect("a poll");
    assert!(polled.records.is_empty(), "the wait is over after the time given");
    // Readers in the middle of something do not hold up the end.
    tokio::time::timeout(Duration::from_secs(2), task.source.close()).await.expect("closed soon");
}

#[tokio::test]
async fn a_task_that_deals_wrongly_is_ended_and_told_why() {
    let (_folder, host) = bench();
    for (mode, words) in [("wait-for-nobody", "none is at work"), ("greedy", "no reader is free")] {
        let mut task = task(&host, mode, "100", "2").await;
        let fault = poll(&mut task).await.expect_err("refused");
        assert!(fault.code() == "guest.malformed" && fault.to_string().contains(words), "{mode}: {fault:?}");
    }
}

#[tokio::test]
async fn what_readers_use_is_part_of_what_the_task_uses() {
    let (_folder, host) = bench();
    let mut alone = task(&host, "ok", "0", "1").await;
    drain(&mut alone, &mut Log::default()).await;
    let memory = |task: &Task| task.telemetry.usage.lock().expect("unpoisoned").0;
    let one = memory(&alone);
    let mut shared = task(&host, "ok", "8", "4").await;
    poll(&mut shared).await.expect("a poll");
    poll(&mut shared).await.expect("a poll");
    assert!(memory(&shared) > one * 2, "{} with readers, {one} without", memory(&shared));
}
