//! Sinks that stall, and a source that is held with them, for far longer than the database waits for a word of ours.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use towpath_tests::{Folder, Passage, PostgresOptions, Relay, ShopOptions, Worker};

use super::disk::{self, SmallDisk};
use crate::crash::{Scene, busy};

const WAL_SENDER_TIMEOUT: Duration = Duration::from_secs(3);
/// What the server's log says when it has lost patience, or a connection.
const COMPLAINTS: [&str; 4] = ["replication timeout", "terminating walsender", "Connection reset", "unexpected EOF"];

pub(super) async fn for_long(seed: u64) -> Result<()> {
    let folder = Folder::new("towpath-small-")?;
    let disk = match SmallDisk::over(folder.path(), disk::WORKERS)? {
        Ok(disk) => disk,
        Err(why) => {
            println!("skipped: a small file system cannot be mounted here ({why})");
            return folder.remove();
        }
    };
    let timeout = format!("wal_sender_timeout={}s", WAL_SENDER_TIMEOUT.as_secs());
    let postgres = PostgresOptions { settings: vec![timeout], ..PostgresOptions::default() };
    let shop = ShopOptions { pause: Duration::from_millis(20), ..busy(seed, 2_000) };
    let mut relays = Vec::new();
    let mut scene = Scene::open_through(shop, postgres, async |server| {
        let relay = Relay::to(server).await?;
        let address = relay.address();
        relays.push(relay);
        Ok(address)
    })
    .await?;
    let told = format!("TOWPATH_CRASH_SEED={seed}, everything is kept in {}", scene.path().display());
    scene.keep_data_in(folder.path());
    scene.begin().await?;
    let worker = Worker::start(scene.options()).await?;
    let outcome = hold(&scene, &relays, &disk, &worker).await;
    let status = worker.stop().await?;
    outcome.with_context(|| told.clone())?;
    ensure!(status.success(), "the worker ended with {status}; {told}");
    let report = scene.settle().await.with_context(|| told)?;
    println!("seed {seed}: {report}");
    drop(disk);
    folder.remove()
}

async fn hold(scene: &Scene, relays: &[Relay], disk: &SmallDisk, worker: &Worker) -> Result<()> {
    let [_, endpoint, store] = relays else { anyhow::bail!("three servers have a relay each") };
    scene.recovers().await.context("before anything stalls")?;
    // The sinks wait for answers that do not come; the log goes on without them, until its disk is full.
    endpoint.set(Passage::Held);
    store.set(Passage::Held);
    disk.fill()?;
    disk::is_named(scene, worker).await.context("holding the source")?;
    // Whatever the full disk has changed before, from here on the source only waits.
    let reader = scene.walsender().await?.context("nobody reads from the slot")?;
    let logged = scene.postgres().log().len();
    // There is nothing to wait for but the time after which the server would have lost patience thrice.
    tokio::time::sleep(3 * WAL_SENDER_TIMEOUT + Duration::from_secs(1)).await;
    let held = scene.walsender().await?;
    disk.clear()?;
    endpoint.set(Passage::Free);
    store.set(Passage::Free);
    scene.recovers().await.context("when everything goes on")?;
    let after = scene.walsender().await?;
    ensure!(
        (held, after) == (Some(reader), Some(reader)),
        "process {reader} read from the slot, then {held:?}, then {after:?}"
    );
    let log = scene.postgres().log();
    let log = log.get(logged..).unwrap_or_default();
    let complaints: Vec<_> = log.lines().filter(|line| COMPLAINTS.iter().any(|words| line.contains(words))).collect();
    ensure!(complaints.is_empty(), "the server complained: {complaints:#?}");
    Ok(())
}
