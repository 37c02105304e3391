//! Which plugins there are, as files come, change, break and go.

use towpath_model::{ConnectorKind, Plugins};

use crate::support::{Bench, Task, component};

#[tokio::test]
async fn classes_are_found_by_name_version_and_path() {
    let bench = Bench::new();
    std::fs::copy(component(), bench.folder.path().join("mine.wasm")).expect("copied");
    let by_name = bench.host.find("misbehaving").expect("by name");
    assert_eq!((by_name.spec().kind, by_name.digest().len()), (ConnectorKind::Source, 64));
    bench.host.find(&format!("misbehaving@{}", by_name.spec().version)).expect("by version");
    let by_path = bench.host.find("./mine.wasm").expect("by path");
    let mut task = Task::start(&*by_path, &[("mode", "ok")]).await;
    assert_eq!(task.said().await, "ok");
    assert_eq!(bench.host.all().len(), 1, "a class that is a path adds no plugin for others");
}

#[tokio::test]
async fn an_unknown_class_is_told_what_there_is_and_what_was_meant() {
    let bench = Bench::new();
    let unknown = bench.host.find("misbehavin").err().expect("unknown");
    assert_eq!(unknown.suggestion.as_deref(), Some("misbehaving"));
    assert!(unknown.available.iter().any(|name| name.starts_with("misbehaving@")), "{unknown}");
    let unknown =
        bench.host.find("io.debezium.connector.postgresql.PostgresConnector").err().expect("not installed here");
    assert_eq!(unknown.suggestion, None);
}

#[tokio::test]
async fn files_are_picked_up_replaced_and_removed_while_tasks_run() {
    let bench = Bench::new();
    let mut task = bench.task(&[("mode", "ok")]).await;
    let file = bench.folder.path().join("plugins/misbehaving.wasm");

    assert_eq!(bench.host.rescan(), towpath_host::Rescan::default(), "nothing has changed");

    let good = std::fs::read(&file).expect("readable");
    std::fs::write(&file, b"\0asm garbage").expect("broken");
    let broken = bench.host.rescan();
    assert_eq!((broken.changed, broken.faults.len()), (Vec::<String>::new(), 1));
    assert_eq!(broken.faults[0].code, "plugin.component");
    bench.host.find("misbehaving").expect("the last good one stays");

    std::fs::remove_file(&file).expect("removed");
    let gone = bench.host.rescan();
    assert_eq!((gone.changed, gone.faults), (vec!["misbehaving".to_owned()], Vec::new()));
    assert!(bench.host.find("misbehaving").is_err());
    assert_eq!(task.said().await, "ok", "a running task keeps its component");

    std::fs::write(bench.folder.path().join("plugins/again.wasm"), good).expect("written");
    assert_eq!(bench.host.rescan().changed, ["misbehaving"]);
    bench.host.find("misbehaving").expect("it is back");
}

#[tokio::test]
async fn a_config_is_validated_and_planned_by_the_component() {
    let bench = Bench::new();
    let plugin = bench.host.find("misbehaving").expect("there");
    let config = [("mode", "ok"), ("token", "for-the-host")].into_iter().collect();
    assert_eq!(plugin.validate(&config, &towpath_model::Redactor::default(), true).await.expect("checked"), []);
    let tasks = plugin.plan(&config, &towpath_model::Redactor::default(), 4).await.expect("planned");
    assert_eq!(tasks, [config], "what the guest does not see is still in its task's configuration");
}
