//! Which deeds are done, and what must come of each.

use std::time::Duration;

use anyhow::{Result, ensure};
use towpath_tests::{Receiver, eventually, tail};

use super::scene::{COMPONENTS, Scene};
use crate::runner::Servers;

/// Low, so that they are met soon; high enough for the healthy pipeline on a busy machine.
const FLAGS: [&str; 8] =
    ["--task-memory-mb", "48", "--task-compute-ms", "1000", "--task-call-seconds", "6", "--task-scratch-mb", "8"];
/// A component has 48 MiB and there are many of them; each of a dozen deeds asks for far more than this.
const WORKER_BYTES_MAX: u64 = 1 << 30;
const PRINTED_BYTES_MAX: usize = 4 << 20;
const TRACE_BYTES_MAX: usize = 64 << 10;
const QUIET_WITHIN: Duration = Duration::from_secs(120);

/// The hostile sink takes records as they are.
const BYTES: &str = "key.converter: org.apache.kafka.connect.converters.ByteArrayConverter\n\
    value.converter: org.apache.kafka.connect.converters.ByteArrayConverter\n";

/// Mode, code and some words of what is shown of it.
type Deed = (&'static str, &'static str, &'static str);

const SOURCES: [Deed; 50] = [
    ("loop@validate", "guest.time", "validating failed"),
    ("panic@plan", "guest.panic", "planning failed: the component panicked: no such table, said"),
    ("loop@open", "guest.time", "opening the connector failed"),
    ("loop@poll", "guest.time", "polling failed"),
    ("loop@commit", "guest.time", "acknowledging positions failed"),
    ("hoard@open", "guest.memory", "its limit is 50331648"),
    ("hoard@poll", "guest.memory", "its limit is 50331648"),
    ("hoard@commit", "guest.memory", "its limit is 50331648"),
    ("stack-overflow@poll", "guest.trap", "stack"),
    ("panic@open", "guest.panic", "no such table"),
    ("panic@poll", "guest.panic", "no such table"),
    ("panic@commit", "guest.panic", "no such table"),
    ("exit@poll", "guest.exit", "exited by itself"),
    ("sleep@open", "guest.time", "did not return from `open` within 6000 ms"),
    ("wait-for-ever@open", "guest.time", "did not return from `open` within 6000 ms"),
    ("wait-and-spin@open", "guest.time", "opening the connector failed"),
    ("leak-handles@poll", "guest.handles", "more connections, files"),
    ("forge-handle@poll", "guest.trap", "handle"),
    ("use-after-drop@poll", "guest.trap", "handle"),
    ("fill-scratch@poll", "connector.fatal", "would grow beyond 8388608 bytes"),
    ("huge-error@poll", "connector.fatal", "bytes in all"),
    ("huge-config-error@poll", "connector.config", "bytes in all"),
    ("plan-many", "guest.malformed", "2 tasks where 1 to 1"),
    ("plan-none", "guest.malformed", "0 tasks"),
    ("lie-length-beyond", "guest.malformed", "do not add up to the arena"),
    ("lie-length-negative", "guest.malformed", "below -1"),
    ("lie-length-missing", "guest.malformed", "value lengths"),
    ("lie-run-count", "guest.malformed", "the runs do not add up"),
    ("lie-runs-overflow", "guest.malformed", "the runs do not add up"),
    ("lie-topic", "guest.malformed", "unknown topic"),
    ("lie-schema", "guest.malformed", "unknown schema"),
    ("lie-header-count", "guest.malformed", "header counts"),
    ("lie-header-name", "guest.malformed", "unknown name"),
    ("lie-ends", "guest.malformed", "a transaction ends after"),
    ("lie-partition", "guest.malformed", "partition"),
    ("lie-million-headers", "log.record_too_large", "larger"),
    ("lie-million-records", "guest.malformed", "2000000 records, 1048576 are allowed"),
    ("lie-not-utf8", "guest.trap", "utf-8"),
    ("lie-beyond-memory", "guest.trap", "list"),
    ("lie-same-bytes", "guest.trap", "exhausted"),
    ("lie-internal-topic", "worker.internal_topic", "connect-configs"),
    ("lie-odd-topic", "log.", "escaped"),
    ("lie-topic-flood", "worker.too_many_topics", "10000 topics"),
    ("lie-position-no-json", "guest.malformed", "no JSON object"),
    ("lie-position-breaks-out", "guest.malformed", "no JSON object"),
    ("lie-position-huge", "guest.malformed", "65536 are allowed"),
    ("lie-position-flood", "guest.malformed", "100000 positions"),
    ("dial-elsewhere", "connector.fatal", "is not an endpoint of this task's configuration"),
    ("metadata-address", "connector.fatal", "only the operator"),
    ("store-elsewhere", "connector.fatal", "is not an endpoint of this task's configuration"),
];

const SINKS: [Deed; 17] = [
    ("loop@open", "guest.time", "opening the connector failed"),
    ("loop@assigned", "guest.time", "taking over partitions failed"),
    ("loop@put", "guest.time", "putting records failed"),
    ("loop@flush", "guest.time", "flushing failed"),
    ("loop@next-flush", "guest.time", "taking over partitions failed"),
    ("hoard@put", "guest.memory", "its limit is 50331648"),
    ("panic@put", "guest.panic", "no such table"),
    ("panic@flush", "guest.panic", "no such table"),
    ("exit@assigned", "guest.exit", "exited by itself"),
    ("refuse-others", "guest.malformed", "refuses a record"),
    ("refuse-twice", "guest.malformed", "refuses a record"),
    ("refuse-none", "guest.malformed", "refuses a record"),
    ("refuse-loudly", "connector.record", "was refused by hostile-sink"),
    ("vouch-for-more", "guest.malformed", "which it was not given"),
    ("vouch-for-others", "guest.malformed", "connect-configs-0"),
    ("late-error-elsewhere", "guest.malformed", "connect-configs-0"),
    ("long-metadata", "guest.malformed", "too long"),
];

const TRANSFORMS: [Deed; 7] = [
    ("loop@open", "guest.time", "opening a transform failed"),
    ("loop@apply", "guest.time", "a transform failed"),
    ("hoard@apply", "guest.memory", "its limit is 50331648"),
    ("panic@apply", "guest.panic", "no such table"),
    ("huge-error@apply", "connector.fatal", "bytes in all"),
    ("no-origins", "guest.malformed", "the origins do not fit"),
    ("far-origins", "guest.malformed", "the origins do not fit"),
];

/// Deeds that harm nobody when they are held within bounds: the task goes on.
const BORNE: [&str; 7] = [
    "log-flood@poll",
    "print-flood@poll",
    "long-line@poll",
    "metric-flood@poll",
    "wish-flood@poll",
    "hasty",
    "hasty-idle",
];
const BORNE_BY_SINKS: [&str; 2] = ["flush-for-ever", "metric-flood@flush"];

/// Everything at once, beside the healthy pipeline.
pub(super) async fn fail_alone(servers: &Servers) -> Result<()> {
    let mut scene = Scene::open(servers, "hostile", &COMPONENTS, &FLAGS).await?;
    scene.row_arrives().await?;
    let elsewhere = Receiver::start().await?;
    let mut expected = Vec::new();
    let mut borne = Vec::new();
    let own = "password: hunter2-hunter2\ninsist: \"yes\"\nhttp.url: http://169.254.169.254/latest/\nstore.url: file:///nowhere\n";
    for (mode, code, words) in SOURCES {
        let insists = mode.ends_with("elsewhere") || mode.ends_with("address");
        let own = if insists { own } else { "password: hunter2-hunter2\n" };
        let text = format!("connector.class: misbehaving\nmode: {mode}\ntarget: {}\n{own}", elsewhere.url());
        expected.push((add(&scene, "source", mode, &text)?, code, words));
    }
    for (mode, code, words) in SINKS {
        let text = format!(
            "connector.class: hostile-sink\ntopics: shop.public.orders\n{BYTES}mode: {mode}\npassword: hunter2-hunter2\n"
        );
        expected.push((add(&scene, "sink", mode, &text)?, code, words));
    }
    for (mode, code, words) in TRANSFORMS {
        let text = format!(
            "connector.class: misbehaving\nmode: tick\ntransforms: t\ntransforms.t.type: hostile-transform\ntransforms.t.mode: {mode}\n"
        );
        expected.push((add(&scene, "transform", mode, &text)?, code, words));
    }
    for mode in BORNE {
        borne.push(add(&scene, "borne", mode, &format!("connector.class: misbehaving\nmode: {mode}\n"))?);
    }
    for mode in BORNE_BY_SINKS {
        let text = format!("connector.class: hostile-sink\ntopics: shop.public.orders\n{BYTES}mode: {mode}\n");
        borne.push(add(&scene, "borne-sink", mode, &text)?);
    }

    let settled = async |scene: &Scene| {
        for (name, code, words) in &expected {
            let (state, trace) = scene.state(name).await?;
            ensure!(state == "FAILED", "{name} is {state}");
            ensure!(trace.contains(&format!("[{code}")) && trace.contains(words), "{name} has the trace {trace}");
        }
        for name in &borne {
            let (state, trace) = scene.state(name).await?;
            ensure!(state == "RUNNING", "{name} is {state}: {trace}");
        }
        Ok(())
    };
    scene.rows_arrive_until("every deed to come to its end", settled).await?;
    look(&scene, &expected).await?;
    ensure!(elsewhere.count() == 0, "somebody got out");

    // A guest that hangs when it is told to close holds nobody up.
    let name = add(&scene, "source", "loop@close", "connector.class: misbehaving\nmode: loop@close\n")?;
    scene
        .rows_arrive_until("a task to run", async |scene| {
            let (state, trace) = scene.state(&name).await?;
            ensure!(state == "RUNNING", "{state} {trace}");
            Ok(())
        })
        .await?;
    scene.worker()?.rest().put(&format!("/connectors/{name}/stop")).await?;
    scene
        .rows_arrive_until("the task to stop", async |scene| {
            let (state, trace) = scene.state(&name).await?;
            ensure!(state == "STOPPED", "{state} {trace}");
            Ok(())
        })
        .await?;
    scene.close().await
}

fn add(scene: &Scene, kind: &str, mode: &str, text: &str) -> Result<String> {
    let name = format!("{kind}-{}", mode.replace('@', "-in-"));
    scene.write(&name, text)?;
    Ok(name)
}

/// After all that: what is shown is whole and bounded, no secret is in it, and the worker has come to rest.
async fn look(scene: &Scene, expected: &[(String, &str, &str)]) -> Result<()> {
    for (name, code, _) in expected {
        let (_, trace) = scene.state(name).await?;
        ensure!(trace.len() < TRACE_BYTES_MAX, "the trace of {name} has {} bytes", trace.len());
        ensure!(!trace.contains("hunter2"), "the trace of {name} tells a secret: {trace}");
        let traps = ["guest.panic", "guest.trap", "guest.memory", "guest.exit"].contains(code);
        ensure!(
            !traps || trace.contains("wasm backtrace") || !name.contains("-in-"),
            "{name} has no backtrace: {trace}"
        );
        let (status, own) =
            scene.worker()?.rest().send(reqwest::Method::GET, &format!("/v1/connectors/{name}"), None).await?;
        ensure!(status == 200 && own.to_string().contains(code), "/v1/connectors/{name} does not tell {code}: {own}");
    }
    let printed = scene.printed()?;
    ensure!(printed.len() < PRINTED_BYTES_MAX, "the worker printed {} bytes", printed.len());
    ensure!(!printed.contains("hunter2"), "the worker printed a secret");
    let metrics = scene.worker()?.rest().get("/metrics").await?;
    let flooded = metrics.as_str().unwrap_or_default().matches("metric_").count();
    ensure!(flooded < 2_000, "{flooded} metrics of a flood are kept");
    let own = tail(&scene.options.data_dir, "connect-configs").await?;
    let is_own = |key: &str| {
        ["connector-", "task-", "commit-", "target-state-", "owner-", "towpath-"]
            .iter()
            .any(|prefix| key.starts_with(prefix))
    };
    let alien = own.iter().find(|record| !record.key.as_deref().is_some_and(is_own));
    ensure!(alien.is_none(), "somebody else wrote into the worker's own topic: {alien:?}");
    let peak = scene.usage()?.memory_bytes_peak;
    ensure!(peak < WORKER_BYTES_MAX, "the worker took {} MiB", peak >> 20);

    // What burns after its task has failed would burn for ever: wait until nothing does.
    let rest = Duration::from_millis(500);
    let burning = eventually("the processor to come to rest", QUIET_WITHIN, || async {
        let before = scene.usage()?.processor;
        tokio::time::sleep(rest).await;
        let busy = scene.usage()?.processor.saturating_sub(before);
        ensure!(busy < rest / 2, "{} ms of {} ms", busy.as_millis(), rest.as_millis());
        Ok(())
    });
    burning.await?;
    println!("{} deeds; the worker took {} MiB at most", expected.len(), peak >> 20);
    Ok(())
}
