//! From a row that is inserted to the moment at which it can be read in the log, and at which it is at an HTTP endpoint.
//!
//! The row carries the time at which Postgres made it, so that Postgres's own commit, with its fsync, is part of the number. The same
//! moment is compared with when the row comes out of a reader that follows the topic.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use tokio::time::Instant;
use towpath_tests::{Receiver, Worker, http_client};

use crate::Arguments;
use crate::report::{Report, Target, percentile};
use crate::stage::{ROW, Stage, TOPIC, count, reach};

const WRITERS: u64 = 4;
const WARM_UP: Duration = Duration::from_secs(2);
const RUNNING_WITHIN: Duration = Duration::from_secs(60);

type Samples = Arc<Mutex<Vec<(i64, i64)>>>;

pub(crate) async fn measure(arguments: &Arguments, report: &mut Report, rate: u64) -> Result<()> {
    let stage = Stage::open(10).await?;
    let receiver = Receiver::start().await?;
    let at_endpoint = Samples::default();
    let samples = at_endpoint.clone();
    receiver.on_accepted(move |request| {
        if let Some(sent) = sent_us(&request.body) {
            samples.lock().unwrap_or_else(PoisonError::into_inner).push((sent, now_us()));
        }
    });
    stage.capture("")?;
    let hooks = format!("connector.class: http-sink\ntopics: {TOPIC}\nhttp.url: {}/items\n", receiver.url());
    stage.pipeline("hooks.yaml", &hooks)?;
    let worker = stage.worker().await?;
    for connector in ["items-cdc", "hooks"] {
        worker.running(connector, RUNNING_WITHIN).await?;
    }
    reach("the first rows", 10, || count(worker.rest(), TOPIC)).await?;

    let in_log = Samples::default();
    let reader = tokio::spawn(follow(worker.rest().base().to_owned(), in_log.clone()));
    let begun_us = now_us();
    let written = write(&stage, rate, Duration::from_secs(arguments.seconds)).await?;
    reach("all rows", written + 10, || count(worker.rest(), TOPIC)).await?;
    reach("all requests", written, || async { Ok(receiver.count()) }).await?;
    reader.abort();

    let from = begun_us + i64::try_from(WARM_UP.as_micros())?;
    let achieved = written as f64 / arguments.seconds as f64;
    let quick = rate <= 500;
    let (p50, p99) = percentiles(&in_log, from)?;
    let target = Target::at_most(if quick { 0.8 } else { 1.0 }, p50);
    report.alone(
        &format!("latency at {rate} rows/s, row made to in the log"),
        format!("p50 {p50:.2} ms, p99 {p99:.2} ms ({achieved:.0} rows/s)"),
        target.and(Target::at_most(if quick { 4.0 } else { 8.0 }, p99)),
    );
    let (p50, p99) = percentiles(&at_endpoint, from)?;
    report.alone(
        &format!("latency at {rate} rows/s, row made to at an HTTP endpoint"),
        format!("p50 {p50:.2} ms, p99 {p99:.2} ms ({achieved:.0} rows/s)"),
        Target::at_most(if quick { 1.5 } else { 2.0 }, p50),
    );
    worker_stops(worker).await?;
    stage.close().await
}

async fn worker_stops(worker: Worker) -> Result<()> {
    let status = worker.stop().await?;
    ensure!(status.success(), "the worker ended with {status}");
    Ok(())
}

/// Half and 99 % of the milliseconds.
fn percentiles(samples: &Samples, from: i64) -> Result<(f64, f64)> {
    let samples = samples.lock().unwrap_or_else(PoisonError::into_inner);
    let mut millis: Vec<f64> =
        samples.iter().filter(|(sent, _)| *sent >= from).map(|(sent, seen)| (seen - sent) as f64 / 1e3).collect();
    ensure!(!millis.is_empty(), "nothing was seen");
    millis.sort_by(f64::total_cmp);
    Ok((percentile(&millis, 0.5), percentile(&millis, 0.99)))
}

/// Inserts single rows in transactions of their own, at an even pace, and gives how many.
async fn write(stage: &Stage, rate: u64, time: Duration) -> Result<u64> {
    stage.client.batch_execute("create sequence if not exists ids start 100000").await?;
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        let client = stage.postgres.connect("bench").await?;
        let insert =
            client.prepare(&format!("insert into items select {ROW} from (select nextval('ids') i) s")).await?;
        writers.push(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(rate / WRITERS)?);
            let begun = Instant::now();
            let mut written = 0;
            while begun.elapsed() < time {
                ticks.tick().await;
                written += client.execute(&insert, &[]).await?;
            }
            anyhow::Ok(written)
        }));
    }
    let mut written = 0;
    for writer in writers {
        written += writer.await??;
    }
    Ok(written)
}

/// Notes when each new record of the topic comes out of the worker.
async fn follow(base: String, samples: Samples) -> Result<()> {
    let response = http_client()?.get(format!("{base}/v1/topics/{TOPIC}/records?from=latest")).send().await?;
    let mut response = response.error_for_status()?;
    let mut rest = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let now = now_us();
        rest.extend_from_slice(&chunk);
        let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut samples = samples.lock().unwrap_or_else(PoisonError::into_inner);
        for line in rest.drain(..whole).collect::<Vec<_>>().split(|byte| *byte == b'\n') {
            samples.extend(sent_us(line).map(|sent| (sent, now)));
        }
    }
    Err(anyhow!("the topic ended")).context("following the topic")
}

/// The digits after `sent_us` in a row, whether or not its quotes are escaped.
fn sent_us(text: &[u8]) -> Option<i64> {
    const NAME: &[u8] = b"sent_us";
    // The row before the change comes first and is null here; the last mention is the row after.
    let at = text.windows(NAME.len()).rposition(|window| window == NAME)?;
    let digits = text
        .get(at + NAME.len()..)?
        .iter()
        .skip_while(|byte| !byte.is_ascii_digit())
        .take_while(|byte| byte.is_ascii_digit());
    let mut number: Option<i64> = None;
    for digit in digits {
        number = Some(number.unwrap_or(0) * 10 + i64::from(digit - b'0'));
    }
    number
}

/// The machine's clock in microseconds, which Postgres in the same machine reads, too.
#[allow(clippy::disallowed_methods, reason = "what is measured is real time, finer than the clock of the worker")]
fn now_us() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
