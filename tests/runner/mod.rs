//! Runs `cases/<name>/`: pipelines, SQL to begin with, and steps that act and look.
//!
//! ```text
//! cases/<name>/case.yaml      what it shows, and its steps in order (see step.rs)
//!              pipelines/     the folder of the worker; ${holes} are filled (see world.rs)
//!              given.sql      run in a fresh database before the first step
//!              …              whatever steps refer to: expected records, changed files
//! ```
//! A step that looks is repeated until it holds or its time is up, so that no case ever waits for a guess.

mod like;
mod look;
mod servers;
mod step;
mod world;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use libtest_mimic::{Failed, Trial};

pub(crate) use servers::Servers;
use step::Case;
use world::World;

/// One test for each folder in `cases/`.
pub(crate) fn trials(servers: &Arc<Servers>) -> Vec<Trial> {
    let cases = found(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases"), "case.yaml");
    let test = |(name, path): (String, PathBuf)| {
        let servers = servers.clone();
        Trial::test(format!("cases::{name}"), move || blocking(run(path, servers)))
    };
    cases.into_iter().map(test).collect()
}

/// The folders in `parent` that hold `file`, by name.
pub(crate) fn found(parent: &Path, file: &str) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut folders: Vec<(String, PathBuf)> = entries
        .filter(|entry| entry.path().join(file).is_file())
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect();
    folders.sort();
    folders
}

/// Runs a test to its end on a runtime of its own.
pub(crate) fn blocking(test: impl Future<Output = Result<()>>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(test).map_err(|error| Failed::from(format!("{error:#}")))
}

async fn run(folder: PathBuf, servers: Arc<Servers>) -> Result<()> {
    let text = std::fs::read_to_string(folder.join("case.yaml"))?;
    let case: Case = serde_saphyr::from_str(&text).context("reading case.yaml")?;
    let mut world = World::prepare(&folder, &servers).await?;
    for (number, step) in case.steps.iter().enumerate() {
        if let Err(error) = world.perform(step, &case).await {
            return Err(error.context(format!(
                "step {} of {} ({}); everything is kept in {}\n{}",
                number + 1,
                case.steps.len(),
                case.about,
                world.folder().display(),
                world.last_output()
            )));
        }
    }
    world.end().await
}
