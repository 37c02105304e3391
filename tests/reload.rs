//! A folder of many pipelines that changes while data flows: what did not change goes on, what did starts once, and no record is lost or
//! doubled.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use towpath_tests::{Folder, Rest, Worker, WorkerOptions, eventually, tail};

use crate::runner::blocking;

const SOURCES: usize = 150;
const SINKS: usize = 50;
const WITHIN: Duration = Duration::from_secs(180);

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("reload::of_200_connectors_while_data_flows", || blocking(while_data_flows()))]
}

async fn while_data_flows() -> Result<()> {
    let folder = Folder::new("towpath-reload-")?;
    let options = WorkerOptions::within(folder.path());
    let (given, taken) = (folder.make("in")?, folder.make("out")?);
    std::fs::create_dir_all(&options.pipelines)?;
    let sources: Vec<String> = (0..SOURCES).map(|number| format!("source-{number}")).collect();
    let sinks: Vec<String> = (0..SINKS).map(|number| format!("sink-{number}")).collect();
    let write = |name: &str, class: &str, file: &Path, more: &str| {
        let text = format!("connector.class: {class}\nfile: {}\nvalue.converter: string\n{more}", file.display());
        std::fs::write(options.pipelines.join(format!("{name}.yaml")), text)
    };
    for name in &sources {
        std::fs::write(given.join(name), "")?;
        write(name, "file-source", &given.join(name), "topic: lines\n")?;
    }
    for name in &sinks {
        write(name, "file-sink", &taken.join(name), "topics: lines\n")?;
    }
    let worker = Worker::start(&options).await?;
    for name in sources.iter().chain(&sinks) {
        worker.running(name, WITHIN).await?;
    }
    let flow = Flow::begin(given.clone(), sources.clone());
    moved(worker.rest(), &sources, &starts(worker.rest()).await?).await?;

    let before = starts(worker.rest()).await?;
    let changed: Vec<&String> = sources.iter().step_by(30).chain(sinks.iter().step_by(25)).collect();
    for name in &changed {
        let (class, file, topic) = match name.starts_with("source") {
            true => ("file-source", given.join(name), "topic: lines\nbatch.size: 7\n"),
            false => ("file-sink", taken.join(name), "topics: lines\nretry.backoff.ms: 200\n"),
        };
        write(name, class, &file, topic)?;
    }
    let gone = sinks.last().context("there are sinks")?;
    std::fs::remove_file(options.pipelines.join(format!("{gone}.yaml")))?;
    write("late", "file-sink", &taken.join("late"), "topics: lines\n")?;
    worker.running("late", WITHIN).await?;
    let expected: BTreeMap<_, _> = before
        .iter()
        .map(|(name, (starts, _))| (name.as_str(), starts + u64::from(changed.contains(&name))))
        .filter(|(name, _)| name != gone)
        .chain([("late", 0)])
        .collect();
    eventually("the changed ones to start again", WITHIN, || async {
        let now = starts(worker.rest()).await?;
        let now: BTreeMap<_, _> = now.iter().map(|(name, (starts, _))| (name.as_str(), *starts)).collect();
        ensure!(now == expected, "starts beyond the first: {now:?}");
        Ok(())
    })
    .await?;
    moved(worker.rest(), &sources, &starts(worker.rest()).await?).await?;

    let lines = flow.end()?;
    eventually("all sinks to have all lines", WITHIN, || async {
        for name in sinks.iter().filter(|name| *name != gone).chain([&"late".to_owned()]) {
            let written = std::fs::read_to_string(taken.join(name))?.lines().count();
            ensure!(written >= lines * SOURCES, "{name} has {written} lines of {}", lines * SOURCES);
        }
        Ok(())
    })
    .await?;
    let after = starts(worker.rest()).await?;
    for (name, starts) in expected {
        let now = after.get(name).map(|(starts, _)| *starts);
        ensure!(now == Some(starts), "{name} started {now:?} times beyond the first, not {starts}");
    }
    ensure!(worker.stop().await?.success(), "the worker ended badly");
    let mut logged: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for record in tail(&options.data_dir, "lines").await? {
        let value = record.value.context("a line")?;
        let (name, number) = value.split_once(' ').with_context(|| format!("{value} is no line of ours"))?;
        logged.entry(name.to_owned()).or_default().push(number.parse()?);
    }
    for name in &sources {
        let found = logged.remove(name).unwrap_or_default();
        ensure!(
            found == (0..lines).collect::<Vec<_>>(),
            "{name}: {} lines in the log, {lines} were written",
            found.len()
        );
    }
    folder.remove()
}

/// Of each connector, how often it has started beyond the first time, and how many records it has moved.
async fn starts(rest: &Rest) -> Result<BTreeMap<String, (u64, u64)>> {
    let overview = rest.get("/v1/status").await?;
    let of = |connector: &Value| {
        let number = |key: &str| connector.pointer(&format!("/tasks/0/{key}")).and_then(Value::as_u64);
        let name = connector.get("name").and_then(Value::as_str)?.to_owned();
        Some((name, (number("restarts_total")?, number("records_total")?)))
    };
    Ok(overview.get("connectors").and_then(Value::as_array).into_iter().flatten().filter_map(of).collect())
}

/// Waits until each of these has moved more records than it had.
async fn moved(rest: &Rest, names: &[String], since: &BTreeMap<String, (u64, u64)>) -> Result<()> {
    eventually("records to move", WITHIN, || async {
        let now = starts(rest).await?;
        for name in names {
            let count = |of: &BTreeMap<String, (u64, u64)>| of.get(name).map_or(0, |(_, records)| *records);
            ensure!(count(&now) > count(since), "{name} has moved {} records", count(&now));
        }
        Ok(())
    })
    .await
}

/// Appends a line to every file, again and again.
struct Flow {
    ends: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<usize>>,
}

impl Flow {
    fn begin(folder: std::path::PathBuf, names: Vec<String>) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let seen = ends.clone();
        let thread = std::thread::spawn(move || {
            let mut lines = 0;
            while !seen.load(Ordering::Relaxed) {
                for name in &names {
                    let mut file = OpenOptions::new().append(true).open(folder.join(name))?;
                    writeln!(file, "{name} {lines}")?;
                }
                lines += 1;
                // The pace of the lines, so that the last of them do not take long to come.
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(lines)
        });
        Self { ends, thread }
    }

    /// How many lines each file has.
    fn end(self) -> Result<usize> {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the writer has panicked"))?
    }
}
