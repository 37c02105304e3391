//! Files in the plugins folder that are no plugins, and files of the code cache that somebody has touched.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use towpath_tests::Worker;

use super::scene::{Scene, component};
use crate::runner::Servers;

const SOURCE: &str = "towpath_test_guests.wasm";

pub(super) async fn are_refused_or_made_anew(servers: &Servers) -> Result<()> {
    let mut scene = Scene::open(servers, "hostile_files", &[SOURCE], &["--task-compute-ms", "1000"]).await?;
    let plugins = scene.options.pipelines.join("plugins");
    scene.write("ticks", "connector.class: misbehaving\nmode: tick\n")?;
    runs(&mut scene, "ticks").await?;

    let good = std::fs::read(component(SOURCE)?)?;
    let half = good.get(..good.len() / 2).unwrap_or_default();
    put(&plugins, "truncated.wasm", half)?;
    put(&plugins, "text.wasm", b"#!/bin/sh\necho hello\n")?;
    put(&plugins, "empty.wasm", b"")?;
    // A core module, whole and sound, but no component.
    put(&plugins, "module.wasm", b"\0asm\x01\0\0\0")?;
    put(&plugins, "endless.wasm", &std::fs::read(component("examples/endless_description.wasm")?)?)?;
    let huge = std::fs::File::create(plugins.join(".huge"))?;
    huge.set_len(1 << 30)?;
    std::fs::rename(plugins.join(".huge"), plugins.join("huge.wasm"))?;
    std::fs::create_dir(plugins.join("folder.wasm"))?;
    std::os::unix::fs::symlink("/dev/zero", plugins.join("zero.wasm"))?;
    std::os::unix::fs::symlink(plugins.join("nothing"), plugins.join("dangling.wasm"))?;
    let fifo = std::process::Command::new("mkfifo").arg(plugins.join("pipe.wasm")).status()?;
    ensure!(fifo.success(), "mkfifo failed");
    let faults = [
        ("truncated.wasm", "plugin.component"),
        ("text.wasm", "plugin.component"),
        ("empty.wasm", "plugin.component"),
        ("module.wasm", "plugin.component"),
        ("endless.wasm", "plugin.component"),
        ("huge.wasm", "plugin.file"),
        ("folder.wasm", "plugin.file"),
        ("zero.wasm", "plugin.file"),
        ("pipe.wasm", "plugin.file"),
        ("dangling.wasm", "host.io"),
    ];
    scene
        .rows_arrive_until("each broken file to be told of", async |scene| {
            let printed = scene.printed()?;
            for (file, code) in faults {
                let told = printed.lines().any(|line| line.contains(file) && line.contains(code));
                ensure!(told, "nothing is said of {file} with {code}:\n{printed}");
            }
            Ok(())
        })
        .await?;
    let peak = scene.usage()?.memory_bytes_peak;
    ensure!(peak < 1 << 30, "the worker took {} MiB", peak >> 20);
    runs(&mut scene, "ticks").await?;

    // While it runs, its own file is spoilt: the last good one stays. Then another good one takes its place.
    put(&plugins, SOURCE, half)?;
    scene
        .rows_arrive_until("the spoilt file to be told of", async |scene| {
            ensure!(scene.printed()?.lines().any(|line| line.contains(SOURCE) && line.contains("plugin.component")));
            Ok(())
        })
        .await?;
    runs(&mut scene, "ticks").await?;
    put(&plugins, SOURCE, &good)?;
    for (file, _) in faults {
        let path = plugins.join(file);
        if path.is_dir() { std::fs::remove_dir(path)? } else { std::fs::remove_file(path)? }
    }
    runs(&mut scene, "ticks").await?;

    tampered(scene).await
}

/// Every file of the code cache is edited while the worker is down, as somebody would who wants his own code to be run.
async fn tampered(mut scene: Scene) -> Result<()> {
    let cache = scene.options.data_dir.join("cache");
    let files = files(&cache)?;
    let overview = scene.worker()?.rest().get("/v1/connectors/ticks").await?;
    let digest = overview.get("digest").and_then(serde_json::Value::as_str).context("the plugin has a digest")?;
    let code = format!("{digest}.cwasm");
    ensure!(files.iter().any(|path| path.ends_with(&code)), "there is no {code} in {}", cache.display());
    scene.stop_worker().await?;
    for path in files.iter().filter(|path| path.file_name().is_some_and(|name| name != "key")) {
        let mut bytes = std::fs::read(path)?;
        let middle = bytes.len() / 2;
        *bytes.get_mut(middle).context("a file of the cache is not empty")? ^= 0x55;
        std::fs::write(path, bytes)?;
    }
    scene.start_worker().await?;
    runs(&mut scene, "ticks").await?;
    let printed = scene.printed()?;
    let told = printed.lines().any(|line| line.contains(&code) && line.contains("was changed since"));
    ensure!(told, "nothing is said of the edited {code}:\n{printed}");

    // A folder that others can write to is refused altogether, with what mends it.
    scene.stop_worker().await?;
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o777))?;
    let mut refused = Worker::spawn(&scene.options)?;
    let status = refused.wait(std::time::Duration::from_secs(30)).await?;
    ensure!(status.code() == Some(3), "the worker ended with {status}");
    ensure!(scene.printed()?.contains("chmod go-w"), "{}", scene.printed()?);
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o700))?;
    scene.start_worker().await?;
    runs(&mut scene, "ticks").await?;
    scene.close().await
}

/// A component that takes more to be compiled than it may harms nobody else.
pub(super) async fn are_compiled_within_bounds(servers: &Servers) -> Result<()> {
    let flags = ["--compile-memory-mb", "16"];
    let mut scene = Scene::open(servers, "hostile_compile", &[], &flags).await?;
    let plugins = scene.options.pipelines.join("plugins");
    put(&plugins, SOURCE, &std::fs::read(component(SOURCE)?)?)?;
    scene
        .rows_arrive_until("the component to be refused", async |scene| {
            let printed = scene.printed()?;
            let told = printed.lines().any(|line| line.contains(SOURCE) && line.contains("plugin.compile_limit"));
            ensure!(told, "nothing is said of it:\n{printed}");
            Ok(())
        })
        .await?;
    scene.close().await
}

/// The connector runs, and rows of the healthy pipeline arrive.
async fn runs(scene: &mut Scene, name: &str) -> Result<()> {
    let running = async |scene: &Scene| {
        let (state, trace) = scene.state(name).await?;
        ensure!(state == "RUNNING", "{name} is {state}: {trace}");
        Ok(())
    };
    scene.rows_arrive_until(&format!("{name} to run"), running).await
}

/// Files appear by rename, as deployments leave them.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let fresh = folder.join(format!(".{name}.new"));
    std::fs::write(&fresh, bytes)?;
    Ok(std::fs::rename(fresh, folder.join(name))?)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}
