//! Mistakes in configurations: `findings/<mistake>/` holds the files, `expected.txt` what `towpath check` says of them.
//!
//! Each is said in the same words by `check`, at start-up, at a reload, and by REST where a configuration comes that way. To add one, make
//! a folder with files and run this with `TOWPATH_UPDATE=1`; read what it wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Map, Value, json};
use towpath_tests::{Folder, Rest, Worker, WorkerOptions, eventually, towpath_binary};

use crate::runner::{blocking, found};

const WITHIN: Duration = Duration::from_secs(120);
/// What only files can get wrong, or what REST does not tell: whether a file is there that it may not name.
const OF_FILES: [&str; 13] = [
    "config.comma_in_list",
    "config.defaults",
    "config.duplicate_name",
    "config.empty_file",
    "config.empty_key",
    "config.name_missing",
    "config.nested_list",
    "config.no_value",
    "config.not_a_map",
    "config.secret_unreadable",
    "config.syntax",
    "config.too_large",
    "config.unreadable",
];

/// One test for each folder in `findings/`.
pub(crate) fn trials() -> Vec<Trial> {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).join("findings");
    let folders = ["orders.yaml", "orders.json", "a.yaml"].into_iter().flat_map(|file| found(&parent, file));
    let folders: BTreeMap<String, PathBuf> = folders.collect();
    let test = |(name, path): (String, PathBuf)| Trial::test(format!("findings::{name}"), move || blocking(run(path)));
    folders.into_iter().map(test).collect()
}

async fn run(mistake: PathBuf) -> Result<()> {
    let own = Folder::new("towpath-findings-")?;
    let mut options = WorkerOptions::within(own.path());
    options.arguments = ["--api-env", "*", "--api-paths", "/", "--log-format", "json"].map(str::to_owned).to_vec();
    options.environment.insert("XDG_CACHE_HOME".to_owned(), own.make("cache")?.display().to_string());
    std::fs::create_dir_all(&options.pipelines)?;

    let worker = Worker::start(&options).await?;
    copy(&mistake, &options.pipelines)?;
    as_expected(&mistake, &options)?;
    let found = checked(&options)?;
    said(&options, 0, &found).await.context("at a reload")?;
    if let Some(config) = as_sent(&mistake, &found)? {
        over_rest(worker.rest(), &config, &found).await.context("over REST")?;
    }
    worker.stop().await?;

    let before = std::fs::read_to_string(&options.output)?.len();
    let worker = Worker::start(&options).await?;
    said(&options, before, &found).await.context("at start-up")?;
    worker.stop().await?;
    own.remove()
}

/// The text for people, to the letter.
fn as_expected(mistake: &Path, options: &WorkerOptions) -> Result<()> {
    let output = towpath(options).output()?;
    let code = output.status.code().unwrap_or_default();
    let printed = format!(
        "{}{}exit code {code}\n",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    let path = mistake.join("expected.txt");
    if std::env::var_os("TOWPATH_UPDATE").is_some() {
        std::fs::write(&path, &printed)?;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    ensure!(printed == expected, "check says:\n{printed}instead of:\n{expected}");
    Ok(())
}

fn towpath(options: &WorkerOptions) -> Command {
    let mut command = Command::new(towpath_binary().unwrap_or_default());
    command.arg("check").arg(&options.pipelines).envs(&options.environment);
    command
}

/// What `check` finds, each as its code, place and words.
fn checked(options: &WorkerOptions) -> Result<Vec<Value>> {
    let output = towpath(options).arg("--json").output()?;
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    Ok(findings)
}

/// The parts that the log of a worker shows, too.
fn placed(finding: &Value) -> String {
    let text = |name: &str| finding.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| finding.get(name).and_then(Value::as_u64).unwrap_or_default();
    json!([
        text("code"),
        text("connector"),
        text("file"),
        number("line"),
        number("column"),
        text("path"),
        text("message"),
        text("suggestion")
    ])
    .to_string()
}

/// Waits until the worker has said exactly what was found.
async fn said(options: &WorkerOptions, before: usize, found: &[Value]) -> Result<()> {
    let wanted: BTreeSet<String> = found.iter().map(placed).collect();
    eventually("the same findings", WITHIN, || async {
        let printed = std::fs::read_to_string(&options.output)?;
        let events = printed.get(before..).unwrap_or_default().lines();
        let events = events.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let said: BTreeSet<String> =
            events.filter(|event| event.get("column").is_some()).map(|event| placed(&event)).collect();
        if said == wanted { Ok(()) } else { Err(anyhow!("{said:#?} instead of {wanted:#?}")) }
    })
    .await
}

/// The configuration as it would be sent to REST; none where the mistake is one that only files can hold.
fn as_sent(mistake: &Path, found: &[Value]) -> Result<Option<Map<String, Value>>> {
    let of_files = |finding: &Value| {
        let code = finding.get("code").and_then(Value::as_str).unwrap_or_default();
        // A key that is set twice in one text is no map that could be sent.
        let twice = code == "config.duplicate_key" && finding.to_string().contains("is set twice");
        OF_FILES.contains(&code) || twice
    };
    if found.iter().any(of_files) {
        return Ok(None);
    }
    let file = ["orders.yaml", "orders.json"].map(|name| mistake.join(name)).into_iter().find(|path| path.exists());
    let Some(file) = file else { return Ok(None) };
    let read: Value = serde_saphyr::from_str(&std::fs::read_to_string(file)?)?;
    let mut flat = Map::new();
    flatten("", read.get("config").unwrap_or(&read), &mut flat);
    flat.entry("name").or_insert_with(|| json!("orders"));
    Ok(Some(flat))
}

fn flatten(path: &str, value: &Value, into: &mut Map<String, Value>) {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, into);
            }
        }
        Value::Array(items) => {
            let joined = items.iter().map(text).collect::<Vec<_>>().join(",");
            into.insert(path.to_owned(), Value::String(joined));
        }
        scalar => drop(into.insert(path.to_owned(), Value::String(text(scalar)))),
    }
}

/// Our own answer has the same findings, and each error stands at a key of Connect's answer.
async fn over_rest(rest: &Rest, config: &Map<String, Value>, found: &[Value]) -> Result<()> {
    let body = Value::Object(config.clone());
    let words = |finding: &Value| {
        let text = |name: &str| finding.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        [text("code"), text("severity"), text("path"), text("message"), text("suggestion")]
    };
    let (code, answer) = rest.send(Method::PUT, "/v1/validate", Some(&body)).await?;
    ensure!(code == 200, "PUT /v1/validate answered {code}: {answer}");
    let told: BTreeSet<_> = answer.as_array().into_iter().flatten().map(words).collect();
    let wanted: BTreeSet<_> = found.iter().map(words).collect();
    ensure!(told == wanted, "{told:#?} instead of {wanted:#?}");

    let class = config.get("connector.class").and_then(Value::as_str).unwrap_or("none");
    let path = format!("/connector-plugins/{class}/config/validate");
    let (code, answer) = rest.send(Method::PUT, &path, Some(&body)).await?;
    if code != 200 {
        // Connect has no answer for a class that it does not know.
        ensure!(found.iter().any(|finding| words(finding)[2] == "connector.class"), "{path} answered {code}: {answer}");
        return Ok(());
    }
    let listed = answer.to_string();
    for finding in found.iter().filter(|finding| words(finding)[1] == "error") {
        let message = Value::String(words(finding)[3].clone()).to_string();
        let message = message.trim_matches('"');
        ensure!(listed.contains(message), "{message} is not in {listed}");
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from)?.flatten() {
        if entry.file_name() != "expected.txt" {
            // Whole at once, as an editor writes it.
            let beside = to.join(".new");
            std::fs::copy(entry.path(), &beside)?;
            std::fs::rename(&beside, to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
