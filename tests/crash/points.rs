//! Crashes at named points: the worker is told where to end itself, one point after the other, over the same data.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
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
const POINTS: [(&str, u32); 12] = [
    ("journal.before_write", 40),
    ("journal.before_fsync", 40),
    ("journal.after_fsync", 40),
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
/// Reached on the way to a good end at the latest, which is asked for.
const AT_THE_END: [(&str, u32); 2] = [("checkpoint.before_sync", 1), ("checkpoint.before_recycle", 1)];
/// As many orders as an object takes, with notes that make it far larger than a part.
pub(crate) const LARGE_ORDERS: &str = "insert into public.orders (id, writer, customer, qty, price, placed_at, note)
  select nextval('public.order_ids'), -1, 'a talkative one', 1, 0, now(),
         (select string_agg(md5(order_number::text || i), '') from generate_series(1, 1200) i)
  from generate_series(1, 400) order_number";
const HIT_WITHIN: Duration = Duration::from_secs(180);
const LARGE_ORDERS_AGAIN: Duration = Duration::from_secs(20);

pub(super) async fn at_every_named_point(seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut scene = Scene::open(busy(seed, 3_000)).await?;
    let path = scene.path().display().to_string();
    let told = || format!("TOWPATH_CRASH_SEED={seed}, everything is kept in {path}");
    let mut due = in_the_sources()?;
    let mut hit_once = async |scene: &Scene, (point, hits): (&str, u32), asked: bool| {
        let hit = rng.random_range(1..=hits);
        crash_at(scene, point, hit, asked).await.with_context(told)?;
        println!("hit {point}:{hit}");
        ensure!(due.remove(point), "{point} is nowhere in the sources, or was hit before");
        Ok(())
    };
    for point in AT_REST {
        hit_once(&scene, point, false).await?;
    }
    scene.begin().await?;
    for point in POINTS {
        hit_once(&scene, point, false).await?;
    }
    for point in AT_THE_END {
        hit_once(&scene, point, true).await?;
    }
    for point in WITH_LARGE_OBJECTS {
        hit_once(&scene, point, false).await?;
    }
    ensure!(due.is_empty(), "these points were never tried: {due:?}");
    let report = scene.settle().await.with_context(told)?;
    println!("seed {seed}: every point was hit; {report}");
    Ok(())
}

/// The points that the runtime's sources name.
fn in_the_sources() -> Result<BTreeSet<String>> {
    let (call, name) = (regex::Regex::new(r"crash_point\(([^;]*)\);")?, regex::Regex::new(r#""([a-z_.]+)""#)?);
    let mut points = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path)?;
                let names = call
                    .captures_iter(&text)
                    .flat_map(|call| name.captures_iter(call.get(1).map_or("", |given| given.as_str())));
                points.extend(names.map(|name| name[1].to_owned()));
            }
        }
    }
    Ok(points)
}

/// Runs a worker until it ends itself at `point`, at the given hit; one that is `asked` is told to end as soon as it runs.
async fn crash_at(scene: &Scene, point: &str, hit: u32, asked: bool) -> Result<()> {
    let mut options = scene.options().clone();
    options.environment.insert("TOWPATH_CRASH_POINT".to_owned(), format!("{point}:{hit}"));
    let mut worker = Worker::spawn(&options)?;
    let (addresses, mut asks) = (options.data_dir.join("addresses.json"), asked);
    let lost = Deadline::after(HIT_WITHIN);
    let is_large = WITH_LARGE_OBJECTS.iter().any(|(large, _)| *large == point);
    let mut large_orders = Deadline::after(Duration::ZERO);
    loop {
        // Where they come slowly, objects are closed by their age before they are large.
        if is_large && large_orders.is_over() {
            scene.client().batch_execute(LARGE_ORDERS).await.context("making large orders")?;
            large_orders = Deadline::after(LARGE_ORDERS_AGAIN);
        }
        if asks && addresses.exists() {
            worker.signal(Signal::TERM)?;
            asks = false;
        }
        if let Some(status) = worker.ended()? {
            let aborted = status.signal() == Some(Signal::ABORT.as_raw());
            ensure!(aborted, "the worker ended with {status} instead of at {point}:{hit}\n{}", worker.last_output());
            return Ok(());
        }
        if lost.is_over() {
            bail!("the worker never came to {point}:{hit}\n{}", worker.last_output());
        }
        // Other tables are written to, so that there is WAL which the source passes over.
        scene.client().batch_execute("create table if not exists public.elsewhere (x text); insert into public.elsewhere values (repeat('x', 5000))").await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
