//! A wire that is unplugged, and one that falls silent, between the worker and all that it works with.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use towpath_tests::{Passage, PostgresOptions, Relay, ShopOptions, Worker, eventually};

use super::wire::Wire;
use crate::crash::{Scene, busy};

/// A peer that is gone without a word is given up after 30 s; what is sent to it goes out every 10 s at the latest.
const NOTICED_WITHIN: Duration = Duration::from_secs(180);
/// So many transactions end while it is unplugged.
const UNPLUGGED: u64 = 100;

pub(super) async fn cut_or_silent(seed: u64) -> Result<()> {
    let mut wire = match Wire::lay()? {
        Ok(wire) => wire,
        Err(why) => {
            println!("skipped: a network namespace is not permitted here ({why})");
            return Ok(());
        }
    };
    let shop = ShopOptions { pause: Duration::from_millis(50), ..busy(seed, 2_000) };
    let mut relays = Vec::new();
    let mut scene = Scene::open_through(shop, PostgresOptions::default(), async |server| {
        let relay = Relay::to(server).await?;
        let address = wire.to(relay.address()).await?;
        relays.push(relay);
        Ok(address)
    })
    .await?;
    scene.begin().await?;
    let told = format!("TOWPATH_CRASH_SEED={seed}, everything is kept in {}", scene.path().display());
    let worker = Worker::start(scene.options()).await?;
    let outcome = break_it(&wire, &relays, &scene, &worker).await;
    let status = worker.stop().await?;
    outcome.with_context(|| told.clone())?;
    ensure!(status.success(), "the worker ended with {status}; {told}");
    let report = scene.settle().await.with_context(|| told)?;
    println!("seed {seed}: {report}");
    Ok(())
}

async fn break_it(wire: &Wire, relays: &[Relay], scene: &Scene, worker: &Worker) -> Result<()> {
    scene.recovers().await.context("over a whole wire")?;
    wire.unplug()?;
    scene.business(UNPLUGGED).await?;
    wire.plug_in()?;
    scene.recovers().await.context("plugged in again")?;

    // The sinks have something to wait for when it falls silent: an idle one would have nothing to notice.
    let [_, endpoint, store] = relays else { anyhow::bail!("three servers have a relay each") };
    endpoint.set(Passage::Held);
    store.set(Passage::Held);
    scene.captures().await.context("with the sinks held")?;
    wire.silence()?;
    endpoint.set(Passage::Free);
    store.set(Passage::Free);
    eventually("all three to notice the silence", NOTICED_WITHIN, || async {
        let overview = worker.rest().get("/v1/status").await?;
        let connectors = overview.get("connectors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for connector in connectors {
            let retry = connector.pointer("/tasks/0/retry").filter(|retry| !retry.is_null());
            retry.ok_or_else(|| anyhow!("nothing is wrong with {}", connector.get("name").unwrap_or(&Value::Null)))?;
        }
        ensure!(connectors.len() == 3, "{} connectors", connectors.len());
        Ok(())
    })
    .await?;
    wire.end_silence()?;
    scene.recovers().await.context("after the silence")
}
