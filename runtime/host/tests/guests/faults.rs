//! Components that panic, hang, hoard, overflow, exit or lie.

use std::time::Duration;

use towpath_model::{Coded, ConnectorError};

use crate::support::{Bench, Task};

/// The code, message and trace of a fatal error.
async fn fault_of(task: &mut Task) -> (String, String, Option<String>) {
    let error = task.say().await.expect_err("an error");
    let code = error.code().to_owned();
    match error {
        ConnectorError::Fatal { reason, trace } => (code, reason.message, trace),
        other => panic!("expected a fatal error, got {other:?}"),
    }
}

#[tokio::test]
async fn each_fault_ends_its_own_task_while_the_one_beside_it_goes_on() {
    let bench = Bench::new();
    let mut beside = bench.task(&[("mode", "ok")]).await;
    for (mode, code, words) in [
        ("panic@poll", "guest.panic", "no such table"),
        ("loop@poll", "guest.time", "without handing control back"),
        ("hoard@poll", "guest.memory", "33554432"),
        ("stack-overflow@poll", "guest.trap", "stack"),
        ("exit@poll", "guest.exit", "exited by itself, with an error"),
        ("lie-length-beyond", "guest.malformed", "do not add up to the arena"),
    ] {
        let mut task = bench.task(&[("mode", mode)]).await;
        let (fault, answers) = tokio::join!(fault_of(&mut task), async {
            let mut answers = 0;
            for _ in 0..50 {
                assert_eq!(beside.said().await, "ok");
                answers += 1;
                tokio::task::yield_now().await;
            }
            answers
        });
        assert_eq!(answers, 50);
        assert_eq!(fault.0, code, "{mode}: {}", fault.1);
        assert!(fault.1.contains(words), "{mode}: {}", fault.1);
        let again = fault_of(&mut task).await;
        assert_eq!(again.0, code, "{mode}: the task is dead and says why again");
    }
    assert_eq!(beside.said().await, "ok");
}

#[tokio::test]
async fn a_task_answers_within_milliseconds_while_another_hangs_on_the_same_thread() {
    let bench = Bench::new();
    let mut beside = bench.task(&[("mode", "ok")]).await;
    beside.said().await;
    let mut hanging = bench.task(&[("mode", "loop@poll")]).await;
    let slowest = tokio::select! {
        biased;
        fault = fault_of(&mut hanging) => panic!("the loop ended first: {fault:?}"),
        slowest = async {
            let mut slowest = Duration::ZERO;
            for _ in 0..10 {
                let started = tokio::time::Instant::now();
                beside.said().await;
                slowest = slowest.max(started.elapsed());
                tokio::task::yield_now().await;
            }
            slowest
        } => slowest,
    };
    assert!(slowest < Duration::from_millis(200), "{slowest:?}");
}

#[tokio::test]
async fn a_panic_comes_with_a_backtrace_and_without_secrets() {
    let bench = Bench::new();
    let mut task = bench.task(&[("mode", "panic@poll"), ("password", "hunter2-hunter2")]).await;
    let (_, message, trace) = fault_of(&mut task).await;
    assert!(message.contains("no such table, said [hidden]"), "{message}");
    let trace = trace.expect("a trace");
    assert!(trace.contains("misbehaving") || trace.contains("poll"), "{trace}");
    assert!(!message.contains("hunter2") && !trace.contains("hunter2"));
}

#[tokio::test]
async fn an_error_that_a_component_reports_has_no_secrets_and_leaves_it_alive() {
    let bench = Bench::new();
    let mut task = bench.task(&[("mode", "error"), ("password", "hunter2-hunter2")]).await;
    for _ in 0..2 {
        let (code, message, _) = fault_of(&mut task).await;
        assert_eq!((code.as_str(), message.as_str()), ("connector.fatal", "refused by [hidden]"));
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_ends_the_task() {
    let bench = Bench::new();
    let mut task = bench.task(&[("mode", "wait")]).await;
    tokio::select! {
        biased;
        _ = task.say() => panic!("it waits for a minute"),
        () = async {} => {}
    }
    assert_eq!(fault_of(&mut task).await.0, "guest.cancelled");
}

#[tokio::test]
async fn an_interrupt_ends_the_wait_under_way_or_the_next_one() {
    let bench = Bench::new();
    let mut task = bench.task(&[("mode", "wait")]).await;
    task.interrupt.raise();
    assert_eq!(task.said().await, "interrupted");
    let interrupt = task.interrupt.clone();
    let (said, ()) = tokio::join!(task.said(), async { interrupt.raise() });
    assert_eq!(said, "interrupted");
}
