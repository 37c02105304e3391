//! What a user notices of the folder.

use std::path::Path;
use std::time::Duration;

use towpath_config::{Folder, Step};
use towpath_model::{ConnectorState, HealthLevel, TaskState};

use super::plugins::Poll;
use super::rig::{Rig, config, name};
use crate::{Applied, Owner, WorkerConfig};

const SOURCE: &str = "connector.class: source\nkey.converter: org.apache.kafka.connect.converters.ByteArrayConverter\n\
                      value.converter: org.apache.kafka.connect.converters.ByteArrayConverter\n";

async fn rig() -> Rig {
    Rig::with(WorkerConfig { folder: true, ..WorkerConfig::default() }).await
}

fn write(dir: &Path, file: &str, text: &str) {
    std::fs::write(dir.join(file), text).expect("writable");
}

async fn apply(rig: &Rig, dir: &Path) -> Applied {
    rig.handle.apply_folder(Folder::read(dir).expect("readable")).await.expect("applied")
}

async fn until_running(rig: &Rig, connector: &str) {
    rig.until("running", |rig| {
        rig.handle
            .status(&name(connector))
            .is_ok_and(|status| status.tasks.first().is_some_and(|task| task.state == TaskState::Running))
    })
    .await;
}

fn opened(rig: &Rig, task: &str) -> usize {
    rig.source().diary().iter().filter(|line| line.starts_with(&format!("open {task} "))).count()
}

#[tokio::test(start_paused = true)]
async fn files_come_change_and_go_and_only_their_connector_notices() {
    let (rig, dir) = (rig().await, tempfile::tempdir().expect("a folder"));
    write(dir.path(), "a.yaml", SOURCE);
    write(dir.path(), "b.yaml", SOURCE);
    assert_eq!(apply(&rig, dir.path()).await.steps.len(), 2);
    until_running(&rig, "a").await;
    until_running(&rig, "b").await;
    assert_eq!(rig.handle.connector(&name("a")).expect("known").owner, Owner::File { path: "a.yaml".into() });
    assert!(apply(&rig, dir.path()).await.steps.is_empty(), "nothing has changed");
    write(dir.path(), "a.yaml", &format!("{SOURCE}fake.mode: x\n"));
    apply(&rig, dir.path()).await;
    rig.until("opened again", |rig| opened(rig, "a-0") == 2).await;
    std::fs::remove_file(dir.path().join("a.yaml")).expect("removed");
    let steps = apply(&rig, dir.path()).await.steps;
    assert!(matches!(steps.as_slice(), [Step::Remove { name, .. }] if name == "a"), "{steps:?}");
    rig.until("gone", |rig| rig.handle.connectors() == [name("b")]).await;
    assert_eq!(opened(&rig, "b-0"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bad_file_keeps_the_last_good_configuration_and_says_where_it_is_wrong() {
    let (rig, dir) = (rig().await, tempfile::tempdir().expect("a folder"));
    write(dir.path(), "a.yaml", SOURCE);
    apply(&rig, dir.path()).await;
    until_running(&rig, "a").await;
    write(dir.path(), "a.yaml", &format!("{SOURCE}tasks.max: many\n"));
    let applied = apply(&rig, dir.path()).await;
    assert!(!applied.findings.is_empty());
    let status = rig.status("a");
    assert_eq!((status.state, status.health.level), (ConnectorState::Running, HealthLevel::Degraded));
    assert!(status.health.reason.starts_with("config rejected: a.yaml:4:"), "{}", status.health.reason);
    rig.source().poll(Poll::Records("t", vec!["k:1".into()], 1));
    rig.until("data flows", |rig| rig.log.values("t").len() == 1).await;
    assert_eq!(opened(&rig, "a-0"), 1);
    write(dir.path(), "a.yaml", SOURCE);
    apply(&rig, dir.path()).await;
    rig.until("well again", |rig| rig.status("a").health.level == HealthLevel::Ok).await;
    assert_eq!(opened(&rig, "a-0"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_went_while_the_worker_was_down_does_not_come_to_life_again() {
    let (rig, dir) = (rig().await, tempfile::tempdir().expect("a folder"));
    write(dir.path(), "a.yaml", SOURCE);
    write(dir.path(), "b.yaml", SOURCE);
    apply(&rig, dir.path()).await;
    until_running(&rig, "a").await;
    until_running(&rig, "b").await;
    rig.create("c", "source", &[]).await;
    let rig = rig.crash().await;
    std::fs::remove_file(dir.path().join("a.yaml")).expect("removed");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!((opened(&rig, "a-0"), opened(&rig, "b-0")), (1, 1), "files wait for the folder");
    until_running(&rig, "c").await;
    apply(&rig, dir.path()).await;
    until_running(&rig, "b").await;
    rig.until("gone", |rig| rig.handle.connectors() == [name("b"), name("c")]).await;
    assert_eq!(opened(&rig, "a-0"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_owned_connector_is_not_changed_over_rest_but_can_be_paused_and_that_persists() {
    let (rig, dir) = (rig().await, tempfile::tempdir().expect("a folder"));
    write(dir.path(), "a.yaml", SOURCE);
    apply(&rig, dir.path()).await;
    until_running(&rig, "a").await;
    let refused = rig.handle.put_config(name("a"), config("source", &[])).await.expect_err("owned by a file");
    assert_eq!((refused.http_status(), refused.to_string().contains("a.yaml")), (403, true));
    assert_eq!(rig.handle.delete(name("a")).await.expect_err("owned by a file").http_status(), 403);
    rig.handle.pause(name("a")).await.expect("paused");
    let rig = rig.crash().await;
    apply(&rig, dir.path()).await;
    rig.until("paused", |rig| rig.status("a").tasks.first().is_some_and(|task| task.state == TaskState::Paused)).await;
}

#[tokio::test(start_paused = true)]
async fn renaming_a_file_that_names_its_connector_changes_nothing() {
    let (rig, dir) = (rig().await, tempfile::tempdir().expect("a folder"));
    write(dir.path(), "a.yaml", &format!("name: orders\n{SOURCE}"));
    apply(&rig, dir.path()).await;
    until_running(&rig, "orders").await;
    std::fs::rename(dir.path().join("a.yaml"), dir.path().join("z.yaml")).expect("renamed");
    apply(&rig, dir.path()).await;
    assert_eq!(rig.handle.connector(&name("orders")).expect("known").owner, Owner::File { path: "z.yaml".into() });
    assert_eq!(opened(&rig, "orders-0"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_cannot_take_over_a_connector_made_over_rest() {
    let (rig, dir) = (rig().await, tempfile::tempdir().expect("a folder"));
    rig.create("a", "source", &[]).await;
    write(dir.path(), "a.yaml", SOURCE);
    let applied = apply(&rig, dir.path()).await;
    assert!(applied.findings.iter().any(|finding| finding.code == "worker.owned_by_api"));
    assert_eq!(rig.handle.connector(&name("a")).expect("known").owner, Owner::Api);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_changes_in_its_file_restarts_those_who_use_it() {
    let (rig, dir) = (rig().await, tempfile::tempdir().expect("a folder"));
    let secrets = tempfile::tempdir().expect("a folder");
    let file = secrets.path().join("db.properties");
    std::fs::write(&file, "password=one\n").expect("writable");
    write(dir.path(), "a.yaml", &format!("{SOURCE}fake.secret: ${{file:{}:password}}\n", file.display()));
    write(dir.path(), "b.yaml", SOURCE);
    apply(&rig, dir.path()).await;
    until_running(&rig, "a").await;
    until_running(&rig, "b").await;
    assert_eq!(rig.handle.secret_files(), std::slice::from_ref(&file));
    std::fs::write(&file, "password=two\n").expect("writable");
    apply(&rig, dir.path()).await;
    rig.until("opened again", |rig| opened(rig, "a-0") == 2).await;
    assert_eq!(opened(&rig, "b-0"), 1);
    let last = rig.source().contexts.lock().unwrap().last().expect("a task").config.clone();
    assert_eq!(last.get("fake.secret"), Some("two"));
}
