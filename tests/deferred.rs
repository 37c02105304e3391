//! Records that are put again later while others pass them: an endpoint that does not take those of some keys for a while, a worker that
//! is killed in between, and an operator who looks, edits, drops and hurries.

use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use towpath_tests::{Folder, Receiver, Worker, WorkerOptions, eventually, tail, towpath_binary};

use crate::runner::blocking;

const KEYS: usize = 100;
/// The endpoint does not take the first so many.
const FAILING: usize = 10;
const COMES_WITHIN: Duration = Duration::from_secs(180);
const SINK: &str = "
connector.class: http-sink
topics: events
http.url: ${url}
key.converter: org.apache.kafka.connect.storage.StringConverter
value.converter: org.apache.kafka.connect.storage.StringConverter
errors.retry.mode: defer
retry.backoff.ms: 100
errors.retry.delay.max.ms: 1000
";

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("deferred::others_pass_and_each_key_stays_in_order", || blocking(others_pass()))]
}

struct Scene {
    folder: Folder,
    options: WorkerOptions,
    receiver: Receiver,
    /// How many records each key has.
    made: usize,
}

async fn others_pass() -> Result<()> {
    let folder = Folder::new("towpath-deferred-")?;
    let options = WorkerOptions::within(folder.path());
    let receiver = Receiver::start().await?;
    std::fs::create_dir_all(&options.pipelines)?;
    std::fs::write(options.pipelines.join("hooks.yaml"), SINK.replace("${url}", &receiver.url()))?;
    receiver.refuse_with(503, |body| key(&String::from_utf8_lossy(body)).is_some_and(|key| key < FAILING));
    let mut scene = Scene { folder, options, receiver, made: 0 };
    let worker = Worker::start(&scene.options).await?;
    scene.towpath(&["topics", "create", "events", "--partitions", "3"], "")?;
    scene.produce(20)?;
    scene.others_come().await?;
    scene.are_listed(FAILING * 20).await?;
    let health = worker.rest().get("/v1/connectors/hooks").await?;
    ensure!(health.to_string().contains("wait to be put again"), "{health}");

    worker.kill().await?;
    let worker = Worker::start(&scene.options).await?;
    scene.produce(10)?;
    scene.others_come().await?;
    let listed = scene.are_listed(FAILING * 30).await?;
    let place = |key: usize, number: usize| -> Result<[String; 3]> { scene.place(&listed, key, number) };
    let (edited, dropped) = (place(0, 0)?, place(1, 0)?);
    let args = |verb: &'static str, place: &[String; 3]| {
        let words = ["retries".to_owned(), verb.to_owned(), "hooks".to_owned()];
        words.into_iter().chain(place.iter().cloned()).collect::<Vec<_>>()
    };
    let shown = scene.towpath(&args("show", &edited), "")?;
    ensure!(shown.contains("\"value\": \"k0 0\""), "{shown}");
    let mut edit = args("edit", &edited);
    edit.extend(["--value".to_owned(), "k0 mended".to_owned()]);
    scene.towpath(&edit, "")?;
    scene.towpath(&args("drop", &dropped), "")?;
    scene.are_listed(FAILING * 30 - 1).await?;

    scene.receiver.refuse_with(503, |_| false);
    scene.towpath(&["retries", "retry", "hooks", "--all"], "")?;
    let expected = |key: usize| {
        let values = (0..scene.made).map(|number| format!("k{key} {number}"));
        match key {
            0 => ["k0 mended".to_owned()].into_iter().chain(values.skip(1)).collect(),
            1 => values.skip(1).collect(),
            _ => values.collect::<Vec<_>>(),
        }
    };
    eventually("all to come", COMES_WITHIN, || async {
        for key in 0..KEYS {
            let come = scene.come(key);
            ensure!(come.len() == expected(key).len(), "{} of key {key} have come", come.len());
        }
        Ok(())
    })
    .await?;
    for key in 0..KEYS {
        ensure!(scene.come(key) == expected(key), "key {key}: {:?}", scene.come(key));
    }
    scene.are_listed(0).await?;
    let status = worker.stop().await?;
    ensure!(status.success(), "the worker ended with {status}");
    let logged = tail(&scene.options.data_dir, "events").await?;
    let values: HashSet<_> = logged.iter().map(|record| record.value.clone()).collect();
    ensure!((logged.len(), values.len()) == (KEYS * 30, KEYS * 30), "{} records are in the log", logged.len());
    scene.folder.remove()
}

impl Scene {
    /// So many more records of each key, in turn.
    fn produce(&mut self, rounds: usize) -> Result<()> {
        let mut lines = String::new();
        for number in self.made..self.made + rounds {
            for key in 0..KEYS {
                lines += &format!("k{key}|k{key} {number}\n");
            }
        }
        self.made += rounds;
        self.towpath(&["produce", "events", "--key-separator", "|"], &lines).map(drop)
    }

    /// The records of all keys that do not fail come, and none of the others.
    async fn others_come(&self) -> Result<()> {
        eventually("the others to come", COMES_WITHIN, || async {
            for key in FAILING..KEYS {
                let come = self.come(key);
                ensure!(come.len() == self.made, "{} of {} of key {key} have come", come.len(), self.made);
            }
            Ok(())
        })
        .await?;
        let early = (0..FAILING).find(|key| !self.come(*key).is_empty());
        ensure!(early.is_none(), "key {early:?} came although it is refused");
        Ok(())
    }

    /// So many wait.
    async fn are_listed(&self, count: usize) -> Result<Value> {
        eventually("the list of what waits", COMES_WITHIN, || async {
            let listed = self.towpath(&["retries", "list", "hooks", "--json"], "")?;
            let listed: Value = serde_json::from_str(&listed)?;
            ensure!(listed["total"] == count, "{} wait, not {count}", listed["total"]);
            Ok(listed)
        })
        .await
    }

    /// Where the record of a key stands in the log: offsets of a key rise, whatever the partition.
    fn place(&self, listed: &Value, key: usize, number: usize) -> Result<[String; 3]> {
        for record in listed["records"].as_array().context("records")? {
            let place = [&record["topic"], &record["partition"], &record["offset"]];
            let place = place.map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned));
            let words = ["retries", "show", "hooks"].into_iter().chain(place.iter().map(String::as_str));
            let shown: Value = serde_json::from_str(&self.towpath(&words.collect::<Vec<_>>(), "")?)?;
            if shown["value"] == format!("k{key} {number}") {
                return Ok(place);
            }
        }
        anyhow::bail!("k{key} {number} is not in the list")
    }

    /// What has come of a key, without what came again.
    fn come(&self, wanted: usize) -> Vec<String> {
        let (mut come, mut known) = (Vec::new(), BTreeMap::new());
        for body in self.receiver.accepted() {
            let text = String::from_utf8_lossy(&body).into_owned();
            if key(&text) == Some(wanted) && known.insert(text.clone(), ()).is_none() {
                come.push(text);
            }
        }
        come
    }

    /// What a command prints, which must end well.
    fn towpath<A: AsRef<std::ffi::OsStr>>(&self, arguments: &[A], input: &str) -> Result<String> {
        let mut command = Command::new(towpath_binary()?);
        command.args(arguments).arg("--data-dir").arg(&self.options.data_dir);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = command.spawn()?;
        running.stdin.take().context("its stdin")?.write_all(input.as_bytes())?;
        let output = running.wait_with_output()?;
        ensure!(output.status.success(), "{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The number of the key in a value such as `k17 5`.
fn key(value: &str) -> Option<usize> {
    value.trim_matches('"').strip_prefix('k')?.split(' ').next()?.parse().ok()
}
