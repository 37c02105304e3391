//! Troubles that need no privileges: with the database, with the endpoint, with the store, and with the worker itself.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use towpath_tests::{Answer, Deadline, Passage, PostgresOptions, Relay, ShopOptions, Signal, Worker};

use crate::crash::{Scene, busy};

const MOMENT: Duration = Duration::from_millis(150);
const WHILE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    BackendsEnded,
    ServerRestarted,
    ServerStoppedAtOnce,
    ServerCrashed,
    ServerFrozen,
    DatabaseCut,
    DatabaseSilent,
    DatabaseSlow,
    DatabaseRefuses,
    EndpointFails,
    EndpointThrottles,
    EndpointTalksGarbage,
    EndpointDown,
    EndpointCut,
    EndpointSilent,
    StoreCut,
    StoreSilent,
    StoreSlow,
    StoreRefuses,
    WorkerKilled,
    WorkerRestarted,
}

use Trouble::*;

const ALL: [Trouble; 21] = [
    BackendsEnded,
    ServerRestarted,
    ServerStoppedAtOnce,
    ServerCrashed,
    ServerFrozen,
    DatabaseCut,
    DatabaseSilent,
    DatabaseSlow,
    DatabaseRefuses,
    EndpointFails,
    EndpointThrottles,
    EndpointTalksGarbage,
    EndpointDown,
    EndpointCut,
    EndpointSilent,
    StoreCut,
    StoreSilent,
    StoreSlow,
    StoreRefuses,
    WorkerKilled,
    WorkerRestarted,
];

/// Each trouble once, in an order that the seed makes.
pub(super) async fn each_once(seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut order = ALL;
    for place in (1..order.len()).rev() {
        order.swap(place, rng.random_range(0..=place));
    }
    meet(seed, order.into_iter(), None).await
}

/// Troubles at random for so long.
pub(super) async fn at_random(seed: u64, time: Duration) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut next = move || ALL.get(rng.random_range(0..ALL.len())).copied();
    meet(seed, std::iter::from_fn(&mut next), Some(Deadline::after(time))).await
}

async fn meet(seed: u64, troubles: impl Iterator<Item = Trouble>, until: Option<Deadline>) -> Result<()> {
    let mut relays = Vec::new();
    let shop = ShopOptions { pause: Duration::from_millis(20), ..busy(seed, 2_000) };
    let mut scene = Scene::open_through(shop, PostgresOptions::default(), async |server| {
        let relay = Relay::to(server).await?;
        let address = relay.address();
        relays.push(relay);
        Ok(address)
    })
    .await?;
    scene.begin().await?;
    let told = format!("TOWPATH_CRASH_SEED={seed}, everything is kept in {}", scene.path().display());
    let mut worker = Worker::start(scene.options()).await?;
    let mut met = 0;
    for trouble in troubles.take_while(|_| until.is_none_or(|until| !until.is_over())) {
        met += 1;
        worker = make(trouble, &scene, &relays, worker).await.with_context(|| format!("{trouble:?}; {told}"))?;
        worker.process().must_run().with_context(|| format!("after {trouble:?}; {told}"))?;
        scene.recovers().await.with_context(|| format!("after {trouble:?}; {told}"))?;
    }
    let status = worker.stop().await?;
    ensure!(status.success(), "the worker ended with {status}; {told}");
    let report = scene.settle().await.with_context(|| told.clone())?;
    println!("seed {seed}: {met} troubles; {report}");
    Ok(())
}

async fn make(trouble: Trouble, scene: &Scene, relays: &[Relay], worker: Worker) -> Result<Worker> {
    let [database, endpoint, store] = relays else { anyhow::bail!("three servers have a relay each") };
    let hooks = scene.receiver();
    match trouble {
        BackendsEnded => {
            let superuser = scene.postgres().connect_as_superuser("postgres").await?;
            for _ in 0..8 {
                let end =
                    "select pg_terminate_backend(pid) from pg_stat_activity where application_name ilike 'towpath%'";
                superuser.batch_execute(end).await?;
                tokio::time::sleep(MOMENT).await;
            }
        }
        ServerRestarted => scene.postgres().restart(Signal::INT).await?,
        ServerStoppedAtOnce => scene.postgres().restart(Signal::QUIT).await?,
        ServerCrashed => scene.postgres().restart(Signal::KILL).await?,
        ServerFrozen => {
            let superuser = scene.postgres().connect_as_superuser("postgres").await?;
            let ours = "select pid from pg_stat_activity where application_name ilike 'towpath%'";
            let pids: Vec<i32> = superuser.query(ours, &[]).await?.iter().map(|row| row.get(0)).collect();
            signal(&pids, Signal::STOP);
            tokio::time::sleep(WHILE).await;
            signal(&pids, Signal::CONT);
        }
        DatabaseCut => cut(database).await,
        DatabaseSilent => for_a_while(database, Passage::Held).await,
        DatabaseSlow => for_a_while(database, Passage::Slow(20_000)).await,
        DatabaseRefuses => for_a_while(database, Passage::Refused).await,
        EndpointFails => hooks.answer_next([503, 500, 502, 408].map(Answer::Status)),
        EndpointThrottles => hooks.answer_next([Answer::Throttle(1), Answer::Throttle(1)]),
        EndpointTalksGarbage => hooks.answer_next([Answer::Garbage, Answer::Hangup, Answer::Garbage]),
        EndpointDown => {
            hooks.go_down();
            tokio::time::sleep(WHILE).await;
            hooks.come_up();
        }
        EndpointCut => cut(endpoint).await,
        EndpointSilent => for_a_while(endpoint, Passage::Held).await,
        StoreCut => cut(store).await,
        StoreSilent => for_a_while(store, Passage::Held).await,
        StoreSlow => for_a_while(store, Passage::Slow(50_000)).await,
        StoreRefuses => for_a_while(store, Passage::Refused).await,
        WorkerKilled => {
            worker.kill().await?;
            return Worker::start(scene.options()).await;
        }
        WorkerRestarted => {
            let status = worker.stop().await?;
            ensure!(status.success(), "the worker ended with {status}");
            return Worker::start(scene.options()).await;
        }
    }
    Ok(worker)
}

/// Breaks off in mid-message, again and again.
async fn cut(relay: &Relay) {
    for _ in 0..8 {
        relay.cut();
        tokio::time::sleep(MOMENT).await;
    }
}

async fn for_a_while(relay: &Relay, passage: Passage) {
    relay.set(passage);
    if passage == Passage::Refused {
        relay.cut();
    }
    tokio::time::sleep(WHILE).await;
    relay.set(Passage::Free);
}

/// Whoever has gone in the meantime needs no signal.
fn signal(pids: &[i32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| rustix::process::Pid::from_raw(*pid)) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}
