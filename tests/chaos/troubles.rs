//! Troubles that need no privileges: with the database, with the endpoint, with the store, and with the worker itself.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use towpath_tests::{Answer, Deadline, Passage, PostgresOptions, Relay, ShopOptions, Signal, Worker, eventually};

use crate::crash::{Scene, busy};

/// How often in a row what can be repeated is.
const TIMES: usize = 5;
/// So many transactions are a while.
const A_WHILE: u64 = 60;
const NOTICED_WITHIN: Duration = Duration::from_secs(180);

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
            for _ in 0..TIMES {
                let before = database.connections();
                let end =
                    "select pg_terminate_backend(pid) from pg_stat_activity where application_name ilike 'towpath%'";
                superuser.batch_execute(end).await?;
                connects_again(database, before).await?;
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
            let went_on = scene.business(A_WHILE).await;
            signal(&pids, Signal::CONT);
            went_on?;
        }
        DatabaseCut => cut(database).await?,
        DatabaseSilent => hold(database).await?,
        DatabaseSlow => slow_down(scene, database, 20_000).await?,
        DatabaseRefuses => refuse(&worker, database, "shop-cdc").await?,
        EndpointFails => hooks.answer_next([503, 500, 502, 408].map(Answer::Status)),
        EndpointThrottles => hooks.answer_next([Answer::Throttle(1), Answer::Throttle(1)]),
        EndpointTalksGarbage => hooks.answer_next([Answer::Garbage, Answer::Hangup, Answer::Garbage]),
        EndpointDown => {
            hooks.go_down();
            let noticed = retries(&worker, "shop-hooks").await;
            hooks.come_up();
            noticed?;
        }
        EndpointCut => cut(endpoint).await?,
        EndpointSilent => hold(endpoint).await?,
        StoreCut => cut(store).await?,
        StoreSilent => hold(store).await?,
        StoreSlow => slow_down(scene, store, 50_000).await?,
        StoreRefuses => refuse(&worker, store, "shop-lake").await?,
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

/// Breaks off in mid-message, and again as soon as there is a new connection.
async fn cut(relay: &Relay) -> Result<()> {
    for _ in 0..TIMES {
        let before = relay.connections();
        relay.cut();
        connects_again(relay, before).await?;
    }
    Ok(())
}

async fn connects_again(relay: &Relay, before: u64) -> Result<()> {
    eventually("a new connection", NOTICED_WITHIN, || async {
        ensure!(relay.connections() > before, "there is none");
        Ok(())
    })
    .await
}

/// Holds back what is sent, until something was sent.
async fn hold(relay: &Relay) -> Result<()> {
    let before = relay.held();
    relay.set(Passage::Held);
    let held = eventually("something to be held back", NOTICED_WITHIN, || async {
        ensure!(relay.held() > before, "nothing was sent");
        Ok(())
    })
    .await;
    relay.set(Passage::Free);
    held
}

async fn slow_down(scene: &Scene, relay: &Relay, bytes_a_second: u32) -> Result<()> {
    relay.set(Passage::Slow(bytes_a_second));
    let went_on = scene.business(A_WHILE).await;
    relay.set(Passage::Free);
    went_on
}

async fn refuse(worker: &Worker, relay: &Relay, connector: &str) -> Result<()> {
    relay.set(Passage::Refused);
    relay.cut();
    let noticed = retries(worker, connector).await;
    relay.set(Passage::Free);
    noticed
}

/// Waits until a connector says that it tries again.
async fn retries(worker: &Worker, connector: &str) -> Result<()> {
    eventually(&format!("{connector} to try again"), NOTICED_WITHIN, || async {
        let said = worker.rest().get(&format!("/v1/connectors/{connector}")).await?;
        let retry = said.pointer("/tasks/0/retry").filter(|retry| !retry.is_null());
        retry.map(drop).ok_or_else(|| anyhow!("nothing is wrong with it"))
    })
    .await
}

/// Whoever has gone in the meantime needs no signal.
fn signal(pids: &[i32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| rustix::process::Pid::from_raw(*pid)) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}
