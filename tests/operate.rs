//! What an operator asks of a worker from outside: how a folder differs from it, to take the folder over, and whether all is in order.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use towpath_tests::{Folder, Worker, WorkerOptions, eventually, tail, towpath_binary};

use crate::capture::says_all;
use crate::runner::blocking;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("operate::a_folder_is_compared_and_applied", || blocking(compared_and_applied())),
        Trial::test("operate::a_doctor_names_what_is_wrong", || blocking(doctor())),
        Trial::test("operate::a_program_gives_secrets", || blocking(secrets())),
    ]
}

/// What a command says; it must end with this code.
fn said(code: i32, data: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(towpath_binary()?).args(arguments).arg("--data-dir").arg(data).output()?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.code() == Some(code), "{arguments:?} ended with {}: {said}", output.status);
    Ok(said)
}

fn source(folder: &Path, name: &str, topic: &str) -> Result<()> {
    let text = format!("connector.class: file-source\nfile: {}\ntopic: {topic}\n", folder.join("lines").display());
    Ok(std::fs::write(folder.join(format!("{name}.yaml")), text)?)
}

async fn compared_and_applied() -> Result<()> {
    let folder = Folder::new("towpath-operate-")?;
    let options = WorkerOptions::within(folder.path());
    std::fs::create_dir_all(&options.pipelines)?;
    source(&options.pipelines, "own", "a")?;
    let mut worker = Worker::start(&options).await?;
    let (data, wanted) = (&options.data_dir, folder.make("wanted")?);
    let path = wanted.display().to_string();
    let pipelines = options.pipelines.display().to_string();
    eventually("the folder to be applied", Duration::from_secs(60), || async {
        says_all(&said(0, data, &["diff", &pipelines])?, &["the worker runs what"])
    })
    .await?;

    source(&wanted, "one", "a")?;
    source(&wanted, "two", "b")?;
    let told = said(0, data, &["diff", &path])?;
    says_all(
        &told,
        &["+ one  new in one.yaml", "+ two  new in two.yaml", "- own  not in the folder; it stands in own.yaml"],
    )?;
    says_all(&said(0, data, &["apply", &path, "--dry-run"])?, &["2 changes to do"])?;
    says_all(&said(0, data, &["diff", &path])?, &["+ one"])?;
    says_all(&said(0, data, &["apply", &path])?, &["2 changes done"])?;
    says_all(&said(0, data, &["apply", &path, "--prune"])?, &["nothing to do"])?;

    source(&wanted, "one", "c")?;
    std::fs::remove_file(wanted.join("two.yaml"))?;
    says_all(
        &said(0, data, &["diff", &path])?,
        &["~ one  changed in one.yaml", "topic: a -> c", "- two  not in the folder; it was made over REST"],
    )?;
    let found: Value = serde_json::from_str(&said(0, data, &["diff", &path, "--json"])?)?;
    ensure!(found[1]["action"] == "remove" || found[0]["action"] == "remove", "{found}");
    // A folder with a mistake changes nothing.
    std::fs::write(wanted.join("bad.yaml"), "connector.class: file-source\ntpic: x\n")?;
    says_all(&said(2, data, &["apply", &path, "--prune"])?, &["config.missing_key", "bad.yaml"])?;
    says_all(&said(0, data, &["diff", &path])?, &["! bad  rejected in bad.yaml", "~ one"])?;
    std::fs::remove_file(wanted.join("bad.yaml"))?;
    says_all(&said(0, data, &["apply", &path, "--prune"])?, &["2 changes done"])?;
    let names = worker.rest().get("/connectors").await?;
    ensure!(names == serde_json::json!(["one", "own"]), "{names}");

    // What stands in the worker's own folder is changed there.
    source(&wanted, "own", "z")?;
    says_all(&said(2, data, &["apply", &path])?, &["own stands in own.yaml of the worker's own folder"])?;
    worker.process().must_run()?;
    worker.stop().await?;
    folder.remove()
}

async fn doctor() -> Result<()> {
    let folder = Folder::new("towpath-doctor-")?;
    let options = WorkerOptions::within(folder.path());
    std::fs::create_dir_all(&options.pipelines)?;
    let pipelines = options.pipelines.display().to_string();
    source(&options.pipelines, "lines", "lines")?;
    let told = said(0, &options.data_dir, &["doctor", &pipelines])?;
    says_all(&told, &["a sync takes", "has 1 connector", "none runs in"])?;
    // Nothing listens there, which is the environment's fault.
    let hook = "connector.class: http-sink\ntopics: lines\nhttp.url: http://127.0.0.1:1/\n";
    std::fs::write(options.pipelines.join("hook.yaml"), hook)?;
    let worker = Worker::start(&options).await?;
    worker.running("hook", Duration::from_secs(60)).await?;
    std::fs::write(options.pipelines.join("lines"), "one\n")?;
    eventually("the worker's trouble to be told", Duration::from_secs(120), || async {
        let told = said(0, &options.data_dir, &["doctor"])?;
        says_all(&told, &["doctor.connector", "hook is degraded", "towpath status hook"])
    })
    .await?;
    std::fs::write(options.pipelines.join("hook.yaml"), "connector.class: http-sink\n")?;
    let told = said(2, &options.data_dir, &["doctor", &pipelines])?;
    says_all(&told, &["error    pipelines", "config.missing_key"])?;
    worker.stop().await?;
    folder.remove()
}

async fn secrets() -> Result<()> {
    let folder = Folder::new("towpath-secrets-")?;
    let mut options = WorkerOptions::within(folder.path());
    std::fs::create_dir_all(&options.pipelines)?;
    let program = folder.join("vault");
    std::fs::write(&program, "#!/bin/sh\necho \"topic-$1\" | tr : -\n")?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    std::fs::write(options.pipelines.join("lines"), "one\n")?;
    source(&options.pipelines, "lines", "\"${exec:vault:of:lines}\"")?;
    let (pipelines, named) = (options.pipelines.display().to_string(), format!("vault={}", program.display()));
    let mut check = Command::new(towpath_binary()?);
    let unknown = check.args(["check", &pipelines]).output()?;
    ensure!(unknown.status.code() == Some(3), "{unknown:?}");
    let unknown = String::from_utf8_lossy(&unknown.stderr);
    says_all(&unknown, &["config.secret_command", "the command vault gave no secret: the worker knows no commands"])?;
    said(0, &options.data_dir, &["doctor", &pipelines, "--secret-command", &named])?;
    options.arguments.extend(["--secret-command".to_owned(), named]);
    let worker = Worker::start(&options).await?;
    eventually("the line in the topic that the program named", Duration::from_secs(60), || async {
        let records = tail(&options.data_dir, "topic-of-lines").await?;
        ensure!(records.len() == 1, "{} records", records.len());
        Ok(())
    })
    .await?;
    let config = worker.rest().get("/connectors/lines/config").await?;
    ensure!(config["topic"] == "${exec:vault:of:lines}", "{config}");
    worker.stop().await?;
    folder.remove()
}
