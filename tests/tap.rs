//! `towpath tap`: records of a running source and a running sink on their way, with their transforms, and where those end that do not pass.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use towpath_tests::{Folder, Process, Worker, WorkerOptions, eventually, towpath_binary};

use crate::capture::says_all;
use crate::runner::blocking;

const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("tap::records_are_seen_before_and_after_each_step", || blocking(seen()))]
}

/// Reads words and makes numbers of them, which not all are; its filter's predicate holds for none.
const SOURCE: &str = "connector.class: file-source
topic: raw.words
value.converter: string
errors.tolerance: all
transforms: drop, route, number
transforms.drop: {type: Filter, predicate: x}
transforms.route: {type: RegexRouter, regex: 'raw\\.(.*)', replacement: $1}
transforms.number: {type: Cast$Value, spec: int32}
predicates: x
predicates.x: {type: TopicNameMatches, pattern: nothing}
";

/// Takes JSON, and hands on one field of it.
const SINK: &str = "connector.class: file-sink
topics: documents
value.converter: json
errors.tolerance: all
transforms: drop, pick
transforms.drop: {type: io.debezium.transforms.Filter, language: cel, condition: value.id != 2}
transforms.pick: {type: ExtractField$Value, field: id}
";

/// A tap under way.
struct Tapping {
    process: Process,
    output: PathBuf,
}

impl Tapping {
    /// Taps, and waits until the worker has let it in.
    async fn start(folder: &Folder, data: &Path, name: &str, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(towpath_binary()?);
        command.args(["tap", name, "--data-dir"]).arg(data).args(arguments);
        let output = folder.join(&format!("tap-of-{name}"));
        let tapping = Self { process: Process::start("towpath tap", &mut command, &output)?, output };
        eventually("the tap to be let in", LIMIT, || async { says_all(&tapping.said(), &["watching "]) }).await?;
        Ok(tapping)
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// What it says once it has ended by itself.
    async fn ended(mut self) -> Result<String> {
        let status = self.process.wait(LIMIT).await?;
        ensure!(status.success(), "{status}: {}", self.said());
        Ok(self.said())
    }
}

fn append(file: &Path, lines: &str) -> Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
    Ok(file.write_all(lines.as_bytes())?)
}

async fn seen() -> Result<()> {
    let folder = Folder::new("towpath-tap-")?;
    let options = WorkerOptions::within(folder.path());
    std::fs::create_dir_all(&options.pipelines)?;
    let (words, taken) = (folder.join("words"), folder.join("taken"));
    for (name, text, file) in [("words", SOURCE, &words), ("documents", SINK, &taken)] {
        let text = format!("{text}file: {}\n", file.display());
        std::fs::write(options.pipelines.join(format!("{name}.yaml")), text)?;
    }
    let worker = Worker::start(&options).await?;
    worker.running("words", LIMIT).await?;
    worker.running("documents", LIMIT).await?;
    let data = &options.data_dir;

    let tapping = Tapping::start(&folder, data, "words", &["--max", "2"]).await?;
    append(&words, "12\nword\n")?;
    let said = tapping.ended().await?;
    let expected = [
        "words-0  ",
        "  source     topic  raw.words\n",
        "             value  \"12\"  (string)\n",
        "  drop       left alone by its predicate\n",
        "  route      topic  words\n",
        "  number     value  12  (int32)\n",
        "  converter  value  the same without a schema\n",
        "  passed\n",
        "  failed\n",
        "[convert.transform]",
    ];
    says_all(&said, &expected)?;

    let tapping = Tapping::start(&folder, data, "documents", &["--max", "3", "--rate", "100"]).await?;
    produce(data, "documents", "{\"id\": 1}\n{\"id\": 2}\nno document\n")?;
    let said = tapping.ended().await?;
    let expected = [
        "  log        topic  documents\n             place  0:0\n",
        "             value  {\"id\": 1}\n",
        "  pick       value  1\n",
        "  drop       filtered\n",
        "  converter  failed: not JSON",
        "[convert.json]",
    ];
    says_all(&said, &expected)?;
    streams(&worker, &words).await?;
    worker.stop().await?;
    folder.remove()
}

fn produce(data: &Path, topic: &str, lines: &str) -> Result<()> {
    let mut command = Command::new(towpath_binary()?);
    command.args(["produce", topic, "--data-dir"]).arg(data).stdin(std::process::Stdio::piped());
    let mut producing = command.spawn()?;
    producing.stdin.take().context("its stdin")?.write_all(lines.as_bytes())?;
    ensure!(producing.wait()?.success(), "nothing was produced");
    Ok(())
}

/// Over REST: whole records, over a restart of the task, until the connector is no more.
async fn streams(worker: &Worker, words: &Path) -> Result<()> {
    let base = worker.rest().base();
    let client = towpath_tests::http_client()?;
    let mut answer = client.get(format!("{base}/v1/connectors/words/tap?task=0")).send().await?;
    ensure!(answer.status() == 200 && answer.headers()["content-type"] == "application/x-ndjson", "{answer:?}");
    append(words, "7\n")?;
    let tapped = next(&mut answer).await?;
    ensure!(tapped["outcome"] == "passed" && tapped["task"] == 0, "{tapped}");
    let first = &tapped["steps"][0];
    ensure!(first["step"] == "source" && first["records"][0]["value_schema"] == "string", "{first}");
    let last = &tapped["steps"][4];
    ensure!(last["step"] == "converter" && last["records"][0]["value"] == "7", "{last}");
    let (code, _) = worker.rest().send(reqwest::Method::POST, "/connectors/words/tasks/0/restart", None).await?;
    ensure!(code == 204, "{code}");
    worker.running("words", LIMIT).await?;
    append(words, "8\n")?;
    let tapped = next(&mut answer).await?;
    ensure!(tapped["steps"][4]["records"][0]["value"] == "8", "{tapped}");

    let (code, body) = worker.rest().send(reqwest::Method::GET, "/v1/connectors/nobody/tap", None).await?;
    ensure!(code == 404 && body == json!({"error_code": 404, "message": "Connector nobody not found"}), "{body}");
    Ok(())
}

/// The next record of a stream.
async fn next(answer: &mut reqwest::Response) -> Result<Value> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") || line.trim_ascii().is_empty() {
        let chunk = tokio::time::timeout(LIMIT, answer.chunk()).await??;
        line.extend_from_slice(&chunk.context("the stream has ended")?);
    }
    serde_json::from_slice(&line).with_context(|| String::from_utf8_lossy(&line).into_owned())
}
