//! kill -9 at any moment: the worker is ended at random times, at every named point and in mid-snapshot, and nothing may be lost or repeated.
//!
//! `TOWPATH_CRASH_SEED` repeats a run's choices, `TOWPATH_CRASH_ROUNDS` sets how often the worker is killed (25 unless told
//! otherwise). A few dozen rounds share a shop; the next ones begin anew, with a snapshot. What must hold in the end is in
//! `oracles.rs`, where it happens is in `scene.rs`; `snapshot.rs` has a quiet table of its own.

mod oracles;
mod points;
mod scene;
mod snapshot;

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use towpath_tests::{ShopOptions, Signal, Worker};

use crate::runner::blocking;
pub(crate) use points::LARGE_ORDERS;
pub(crate) use scene::Scene;

const ROUNDS: u32 = 25;
/// After so many rounds a new shop opens, so that the snapshot is hit again.
const ROUNDS_A_SHOP: u32 = 25;
/// The larger steps of the large transactions in one shop of four.
const BULK_ROWS: u32 = 8_000;
/// So many shops may end with a server that cannot decode its own log.
const UNDECODABLE_MAX: u32 = 1;
const UNDECODABLE: &str = "postgres.decoding";
const ENDS_WITHIN: Duration = Duration::from_secs(20);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("crash::at_random_moments", || blocking(at_random_moments())),
        Trial::test("crash::at_every_named_point", || blocking(points::at_every_named_point(seed()))),
        Trial::test("crash::in_mid_snapshot", || {
            let (kills, rows) = if rounds() > ROUNDS { (8, 20_000) } else { (2, 6_000) };
            blocking(snapshot::killed_in_mid_snapshot(seed(), kills, rows))
        }),
    ]
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn rounds() -> u32 {
    number("TOWPATH_CRASH_ROUNDS").and_then(|rounds| u32::try_from(rounds).ok()).unwrap_or(ROUNDS)
}

pub(crate) fn seed() -> u64 {
    number("TOWPATH_CRASH_SEED").unwrap_or_else(|| rand::rng().random_range(1..1_000_000))
}

/// How busy the shop is while the worker is killed.
pub(crate) fn busy(seed: u64, orders: u32) -> ShopOptions {
    ShopOptions { seed, orders, writers: 3, pause: Duration::from_millis(4), large_rows: 800 }
}

async fn at_random_moments() -> Result<()> {
    let mut left = rounds();
    let mut seed = seed();
    let mut undecodable = 0;
    while left > 0 {
        let rounds = ROUNDS_A_SHOP.min(left);
        let told = format!("TOWPATH_CRASH_SEED={seed} TOWPATH_CRASH_ROUNDS={rounds}");
        match one_shop(seed, rounds).await {
            Ok(report) => {
                println!("seed {seed}: {rounds} kills; {report}");
                left -= rounds;
            }
            // It is rare, and of the server alone: no client can read on. Another shop takes its place.
            Err(error) if undecodable < UNDECODABLE_MAX && format!("{error:#}").contains(UNDECODABLE) => {
                undecodable += 1;
                println!("{told}: the server cannot decode its own log: {error:#}");
            }
            Err(error) => return Err(error.context(told)),
        }
        seed += 1;
    }
    Ok(())
}

/// Kills the worker `rounds` times while the shop is busy, then looks.
async fn one_shop(seed: u64, rounds: u32) -> Result<String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut options = busy(seed, rng.random_range(5_000..40_000));
    if seed.is_multiple_of(4) {
        options.large_rows = BULK_ROWS;
    }
    let mut scene = Scene::open(options).await?;
    scene.begin().await?;
    let path = scene.path().display().to_string();
    for round in 0..rounds {
        let mut worker = Worker::spawn(scene.options())?;
        // Mostly soon, so that start-up, recovery and snapshot are hit; sometimes after a while of steady work.
        let millis = if rng.random_bool(0.7) { rng.random_range(10..900) } else { rng.random_range(900..2500) };
        tokio::time::sleep(Duration::from_millis(millis)).await;
        worker.must_run().with_context(|| format!("round {round}, kept in {path}"))?;
        let status = worker.end(Signal::KILL, ENDS_WITHIN).await?;
        ensure!(
            status.signal() == Some(Signal::KILL.as_raw()),
            "the worker ended by itself in round {round}, with {status}"
        );
    }
    scene.settle().await.with_context(|| format!("everything is kept in {path}"))
}
