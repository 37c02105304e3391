//! Steps that look: at topics, requests and objects, and everywhere for what must not be there.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use serde_json::{Map, Value, json};
use towpath_tests::{objects, tail};

use super::like::like;
use super::step::{Expected, Items, LookAtLog, LookAtObjects, LookAtRequests};
use super::world::World;

/// The records of a topic, each with `partition, offset, key, value, headers`; JSON is shown as such.
pub(super) async fn at_log(world: &World, log: &LookAtLog) -> Result<()> {
    let records = tail(world.data_dir(), &world.holes.fill(&log.topic)).await?;
    let shown = records.iter().map(|record| {
        json!({
            "partition": record.partition,
            "offset": record.offset,
            "key": record.key.as_deref().map(parsed),
            "value": record.value.as_deref().map(parsed),
            "headers": headers(&record.headers),
        })
    });
    check(world, &shown.collect::<Vec<_>>(), &log.items)
}

/// The accepted requests, each with `method, path, headers, body`.
#[allow(clippy::unused_async, reason = "looks are awaited alike")]
pub(super) async fn at_requests(world: &World, look: &LookAtRequests) -> Result<()> {
    let requests = world.receiver.requests();
    let path = look.path.as_deref().unwrap_or_default();
    let accepted = requests.iter().filter(|request| request.accepted && request.path.starts_with(path));
    let shown = accepted.map(|request| {
        let headers =
            request.headers.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())));
        json!({
            "method": request.method,
            "path": request.path,
            "headers": headers.collect::<BTreeMap<_, _>>(),
            "body": parsed(&String::from_utf8_lossy(&request.body)),
        })
    });
    check(world, &shown.collect::<Vec<_>>(), &look.items)
}

/// The lines of all objects, in the order of topic, partition and offset.
#[allow(clippy::unused_async, reason = "looks are awaited alike")]
pub(super) async fn at_objects(world: &World, look: &LookAtObjects) -> Result<()> {
    let bucket = match look.bucket.as_str() {
        "s3" => world.s3.root().join("lake"),
        folder => Path::new(world.holes.get("lake").unwrap_or_default()).join(folder),
    };
    let found = objects(&bucket, &look.prefix)?;
    let lines = found.iter().flat_map(|object| &object.lines).map(|line| parsed(line));
    check(world, &lines.collect::<Vec<_>>(), &look.items)
}

/// Fails if one of the texts is anywhere a reader could find it.
pub(super) async fn nowhere(world: &World, texts: &[String]) -> Result<()> {
    let mut places: Vec<(String, Vec<u8>)> =
        vec![("what the worker printed".to_owned(), std::fs::read(world.printed())?)];
    gather(world.data_dir(), &mut places)?;
    let rest = world.worker()?.rest();
    let mut paths: Vec<String> =
        ["/", "/connectors?expand=info&expand=status", "/metrics", "/health", "/v1/status"].map(str::to_owned).to_vec();
    for name in rest.get("/connectors").await?.as_array().into_iter().flatten().filter_map(Value::as_str) {
        for part in ["", "/config", "/status", "/tasks"] {
            paths.push(format!("/connectors/{name}{part}"));
        }
        paths.push(format!("/v1/connectors/{name}"));
    }
    for path in paths {
        let answer = rest.send(reqwest::Method::GET, &path, None).await?.1.to_string();
        places.push((format!("the answer to GET {path}"), answer.into_bytes()));
    }
    for text in texts {
        for (place, bytes) in &places {
            let is_there = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            ensure!(!is_there, "{place} contains {text:?}");
        }
    }
    Ok(())
}

fn gather(folder: &Path, places: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // The one place for secrets, which its owner alone may read.
        if entry.file_name() == "secrets.json" {
            let mode = std::os::unix::fs::PermissionsExt::mode(&entry.metadata()?.permissions());
            ensure!(mode & 0o077 == 0, "others may read {}", entry.path().display());
        } else if entry.file_type()?.is_dir() {
            gather(&entry.path(), places)?;
        } else {
            places.push((entry.path().display().to_string(), std::fs::read(entry.path())?));
        }
    }
    Ok(())
}

fn check(world: &World, found: &[Value], items: &Items) -> Result<()> {
    let shown = || found.iter().rev().take(3).map(Value::to_string).collect::<Vec<_>>().join("\n");
    if let Some(count) = items.count {
        ensure!(found.len() == count, "there are {} instead of {count}, the last:\n{}", found.len(), shown());
    }
    if let Some(least) = items.at_least {
        ensure!(found.len() >= least, "there are only {} of {least}, the last:\n{}", found.len(), shown());
    }
    match &items.like {
        Some(Expected::List(list)) => like(&Value::Array(list.clone()), &Value::Array(found.to_vec()))?,
        Some(Expected::File(name)) => {
            let lines = world.file(name)?;
            let expected = lines.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
            like(&Value::Array(expected), &Value::Array(found.to_vec()))?;
        }
        None => {}
    }
    for wanted in &items.with {
        ensure!(found.iter().any(|item| like(wanted, item).is_ok()), "none is like {wanted}, the last:\n{}", shown());
    }
    for unwanted in &items.without {
        if let Some(item) = found.iter().find(|item| like(unwanted, item).is_ok()) {
            bail!("one is like {unwanted}: {item}");
        }
    }
    Ok(())
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Headers as an object: of those with the same name, the last.
fn headers(printed: &str) -> Value {
    let parsed: Value = serde_json::from_str(printed).unwrap_or_default();
    let pairs = parsed.as_array().into_iter().flatten().filter_map(|header| {
        Some((header.get("key")?.as_str()?.to_owned(), header.get("value").cloned().unwrap_or_default()))
    });
    Value::Object(pairs.collect::<Map<_, _>>())
}
