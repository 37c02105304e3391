//! Crashes at named points: the worker is told where to end itself, one point after the other, over the same data.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;
use towpath_tests::{Deadline, Worker};

use super::busy;
use super::scene::Scene;

/// Reached while nobody writes to the captured tables: the source has only its position to move.
const AT_REST: [(&str, u32); 1] = [("source.idle_advance", 2)];
/// Reached while the shop is busy, with how many hits may pass before the one that counts.
const POINTS: [(&str, u32); 14] = [
    ("journal.before_write", 40),
    ("journal.before_fsync", 40),
    ("journal.after_fsync", 40),
    ("checkpoint.before_sync", 1),
    ("checkpoint.before_recycle", 1),
    ("source.before_commit", 20),
    ("source.after_commit", 20),
    ("scratch.before_append", 4),
    ("scratch.after_read", 4),
    ("sink.after_put", 10),
    ("object.before_put", 2),
    ("object.after_put", 2),
    ("sink.before_offset_commit", 5),
    ("sink.after_offset_commit", 5),
];
/// Reached when objects are so large that they go up in parts.
const WITH_LARGE_OBJECTS: [(&str, u32); 2] = [("object.before_complete", 1), ("object.after_complete", 1)];
/// As many orders as an object takes, with notes that make it far larger than a part.
pub(crate) const LARGE_ORDERS: &str = "insert into public.orders (id, writer, customer, qty, price, placed_at, note)
  select nextval('public.order_ids'), -1, 'a talkative one', 1, 0, now(),
         (select string_agg(md5(order_number::text || i), '') from generate_series(1, 1200) i)
  from generate_series(1, 400) order_number";
const HIT_WITHIN: Duration = Duration::from_secs(25);
/// A point that lies on the way to a good end is reached by asking for one.
const ASKED_TO_END_AFTER: Duration = Duration::from_secs(6);

pub(super) async fn at_every_named_point(seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut scene = Scene::open(busy(seed, 3_000)).await?;
    let path = scene.path().display().to_string();
    let told = || format!("TOWPATH_CRASH_SEED={seed}, everything is kept in {path}");
    for (point, hits) in AT_REST {
        crash_at(&scene, point, rng.random_range(1..=hits)).await.with_context(told)?;
    }
    scene.begin().await?;
    for (point, hits) in POINTS {
        crash_at(&scene, point, rng.random_range(1..=hits)).await.with_context(told)?;
    }
    for (point, hits) in WITH_LARGE_OBJECTS {
        scene.client().batch_execute(LARGE_ORDERS).await.context("making large orders")?;
        crash_at(&scene, point, rng.random_range(1..=hits)).await.with_context(told)?;
    }
    let report = scene.settle().await.with_context(told)?;
    println!("seed {seed}: {} points; {report}", AT_REST.len() + POINTS.len() + WITH_LARGE_OBJECTS.len());
    Ok(())
}

/// Runs a worker until it ends itself at `point`, at the given hit.
async fn crash_at(scene: &Scene, point: &str, hit: u32) -> Result<()> {
    let mut options = scene.options().clone();
    options.environment.insert("TOWPATH_CRASH_POINT".to_owned(), format!("{point}:{hit}"));
    let mut worker = Worker::spawn(&options)?;
    let (asked, lost) = (Deadline::after(ASKED_TO_END_AFTER), Deadline::after(HIT_WITHIN));
    let mut was_asked = false;
    loop {
        if let Some(status) = worker.ended()? {
            let aborted = status.signal() == Some(Signal::ABORT.as_raw());
            ensure!(aborted, "the worker ended with {status} instead of at {point}:{hit}\n{}", worker.last_output());
            return Ok(());
        }
        if asked.is_over() && !was_asked {
            worker.signal(Signal::TERM)?;
            was_asked = true;
        }
        if lost.is_over() {
            bail!("the worker never came to {point}:{hit}\n{}", worker.last_output());
        }
        // Other tables are written to, so that there is WAL which the source passes over.
        scene.client().batch_execute("create table if not exists public.elsewhere (x text); insert into public.elsewhere values (repeat('x', 5000))").await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
