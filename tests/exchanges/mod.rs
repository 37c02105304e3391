//! Requests to a real Kafka Connect worker with its answers, kept; the same requests must get the same answers here, apart from what
//! `differences.yaml` lists with a reason.
//!
//! `make exchanges` asks Kafka Connect anew and writes `connect.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use libtest_mimic::Trial;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use towpath_tests::{Folder, Peers, PeersOptions, Rest, Worker, WorkerOptions, eventually, http_client};

use crate::runner::blocking;

const LIMIT: Duration = Duration::from_secs(180);

/// What is kept of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Answer {
    status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    body: Value,
}

/// A request and its answer.
#[derive(Debug, Serialize, Deserialize)]
struct Exchange {
    ask: String,
    answer: Answer,
}

/// Where our answer is another, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    /// The request, or how several begin.
    ask: String,
    why: String,
    /// Our status, where it is another.
    status: Option<u16>,
    /// Our message, where it is another.
    message: Option<String>,
    /// What else of the answer is not compared.
    #[serde(default)]
    body: bool,
    #[serde(default)]
    content_type: bool,
}

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("exchanges::with_kafka_connect", || blocking(with_kafka_connect()))]
}

async fn with_kafka_connect() -> Result<()> {
    let kept = folder().join("connect.json");
    if std::env::var_os("TOWPATH_RECORD").is_some() {
        let peers = Peers::start(&PeersOptions::default()).await?;
        let answers = play(peers.rest()).await?;
        let mut text = serde_json::to_string_pretty(&answers)?;
        text.push('\n');
        std::fs::write(&kept, text)?;
        peers.stop().await?;
    }
    let theirs: Vec<Exchange> = serde_json::from_str(&std::fs::read_to_string(&kept)?)?;
    let differences = std::fs::read_to_string(folder().join("differences.yaml"))?;
    let differences: Vec<Difference> = serde_saphyr::from_str(&differences)?;

    let folder = Folder::new("towpath-exchanges-")?;
    let options = WorkerOptions::within(&folder.join(""));
    std::fs::create_dir_all(&options.pipelines)?;
    let worker = Worker::start(&options).await?;
    let ours = play(worker.rest()).await?;
    ensure!(ours.len() == theirs.len(), "the script has changed: run `make exchanges`");
    let mut unlike = Vec::new();
    let mut used = vec![false; differences.len()];
    for (theirs, ours) in theirs.iter().zip(&ours) {
        ensure!(theirs.ask == ours.ask, "the script has changed at {}: run `make exchanges`", ours.ask);
        let listed = differences.iter().position(|difference| ours.ask.starts_with(&difference.ask));
        let mut wanted = theirs.answer.clone();
        if let Some(at) = listed {
            used[at] |= theirs.answer != ours.answer;
            differences[at].apply(&mut wanted, &ours.answer);
        }
        if wanted != ours.answer {
            unlike.push(format!("{}\n    wanted {}\n    got    {}", ours.ask, shown(&wanted), shown(&ours.answer)));
        }
    }
    ensure!(unlike.is_empty(), "{} of {} answers are others:\n{}", unlike.len(), ours.len(), unlike.join("\n"));
    let stale = differences.iter().zip(used).find(|(_, used)| !used);
    ensure!(stale.is_none(), "listed as a difference, and none: {stale:?}");
    ensure!(worker.stop().await?.success(), "the worker ended badly");
    folder.remove()
}

impl Difference {
    /// Makes of their answer what ours is to be.
    fn apply(&self, wanted: &mut Answer, ours: &Answer) {
        assert!(!self.why.is_empty(), "{} differs for no reason", self.ask);
        if let Some(status) = self.status {
            wanted.status = status;
            wanted.body["error_code"] = status.into();
        }
        if let Some(message) = &self.message {
            wanted.body = json!({ "error_code": wanted.status, "message": message });
        }
        if self.body {
            wanted.body = ours.body.clone();
        }
        if self.content_type {
            wanted.content_type = ours.content_type.clone();
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("exchanges")
}

fn shown(answer: &Answer) -> String {
    serde_json::to_string(answer).unwrap_or_default()
}

/// Plays the script before a worker.
async fn play(rest: &Rest) -> Result<Vec<Exchange>> {
    let files = Folder::new("towpath-exchanges-files-")?;
    let dir = files.join("").canonicalize()?.display().to_string().trim_end_matches('/').to_owned();
    std::fs::write(Path::new(&dir).join("in"), "one\ntwo\n")?;
    let script = std::fs::read_to_string(folder().join("script.txt"))?;
    let mut exchanges = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(wait) = line.strip_prefix("until ") {
            until(rest, wait).await?;
            continue;
        }
        let answer = ask(rest, &line.replace("${dir}", &dir)).await.with_context(|| line.to_owned())?;
        let answer = serde_json::to_string(&answer)?.replace(&dir, "${dir}");
        exchanges.push(Exchange { ask: line.to_owned(), answer: serde_json::from_str(&answer)? });
    }
    files.remove()?;
    Ok(exchanges)
}

async fn until(rest: &Rest, wait: &str) -> Result<()> {
    let mut words = wait.split_whitespace();
    let name = words.next().context("a connector")?;
    let wanted: Vec<&str> = words.collect();
    eventually(wait, LIMIT, || async {
        let (states, status) = rest.states(name).await?;
        let fits = match wanted.as_slice() {
            [connector, "…"] => states.first().is_some_and(|state| state == connector),
            wanted => states == wanted,
        };
        if fits { Ok(()) } else { Err(anyhow!("its status is {status}")) }
    })
    .await
}

async fn ask(rest: &Rest, line: &str) -> Result<Answer> {
    let (method, left) = line.split_once(' ').context("a method")?;
    let (path, mut left) = left.split_once(' ').unwrap_or((left, ""));
    let mut request = http_client()?.request(Method::from_bytes(method.as_bytes())?, format!("{}{path}", rest.base()));
    let mut typed = false;
    let header = left.strip_prefix('[').and_then(|left| left.split_once(']'));
    if let Some(((name, value), after)) = header.and_then(|(header, after)| Some((header.split_once(": ")?, after))) {
        typed = name.eq_ignore_ascii_case("content-type");
        request = request.header(name, value);
        left = after.trim_start();
    }
    if !left.is_empty() {
        request = if typed { request } else { request.header(CONTENT_TYPE, "application/json") };
        request = request.body(left.to_owned());
    }
    // A worker that is busy with a change of its connectors says so, and clients ask again.
    let answer = eventually(line, LIMIT, || async {
        let response = request.try_clone().context("a body that can be sent again")?.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        if status == 409 && !text.contains("already exists") {
            return Err(anyhow!("{text}"));
        }
        Ok(Answer::new(status, &headers, &text, rest.base()))
    });
    answer.await
}

impl Answer {
    fn new(status: u16, headers: &HeaderMap, text: &str, base: &str) -> Self {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut body = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
        normalise(&mut body);
        let location = header(LOCATION).map(|location| location.replace(base, "BASE"));
        let content_type = header(CONTENT_TYPE).filter(|_| !text.is_empty());
        Self { status, content_type, location, body }
    }
}

/// Puts a word in place of what is another at every run, and of a validation leaves what is wrong.
fn normalise(body: &mut Value) {
    match body {
        Value::Object(fields) if fields.contains_key("error_count") => {
            let configs = fields.remove("configs").unwrap_or_default();
            let wrong: BTreeMap<&str, &Value> = configs
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|config| Some((config["value"]["name"].as_str()?, &config["value"]["errors"])))
                .filter(|(_, errors)| errors.as_array().is_some_and(|errors| !errors.is_empty()))
                .collect();
            let wrong = json!(wrong);
            fields.remove("groups");
            fields.insert("wrong".to_owned(), wrong);
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    "worker_id" | "version" | "commit" | "kafka_cluster_id" if value.is_string() => *value = json!("…"),
                    "last_modified" if value.is_number() => *value = json!("…"),
                    _ => normalise(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalise),
        _ => {}
    }
}
