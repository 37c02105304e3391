//! A disk that is full: the worker's own, and the database's. Both are small file systems in memory, which takes the right to mount.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use towpath_tests::{Folder, PostgresOptions, ShopOptions, Worker, eventually};

use crate::crash::{LARGE_ORDERS, Scene, busy};

const ENDS_WITHIN: Duration = Duration::from_secs(8);
const NAMED_WITHIN: Duration = Duration::from_secs(180);
/// Room for the log of a short run, and little more.
pub(super) const WORKERS: &str = "size=256m,mode=0700";
const DATABASES: &str = "size=400m,mode=0755";

/// A small file system, for as long as this lives.
pub(super) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it over a folder; none, with the reason, where that is not permitted.
    pub(super) fn over(folder: &Path, size: &str) -> Result<Result<Self, String>> {
        std::fs::create_dir_all(folder)?;
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(folder).output();
        Ok(match mount {
            Ok(output) if output.status.success() => Ok(Self(folder.to_owned())),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Takes all the room that is left.
    pub(super) fn fill(&self) -> Result<()> {
        let filler = std::fs::File::create(self.filler())?;
        let mut left = 1_u64 << 30;
        let mut at = 0;
        // Ever smaller pieces, until not even a page fits.
        while left >= 4096 {
            match rustix::fs::fallocate(&filler, rustix::fs::FallocateFlags::empty(), at, left) {
                Ok(()) => at += left,
                Err(_) => left /= 2,
            }
        }
        Ok(())
    }

    /// Gives the room back.
    pub(super) fn clear(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there is about to end.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

pub(super) async fn full(seed: u64) -> Result<()> {
    let shop = ShopOptions { pause: Duration::from_millis(20), ..busy(seed, 2_000) };
    let mut scene = Scene::open_through(shop, PostgresOptions::default(), async |server| Ok(server)).await?;
    let told = format!("TOWPATH_CRASH_SEED={seed}, everything is kept in {}", scene.path().display());
    let folder = Folder::new("towpath-small-")?;
    let workers = match SmallDisk::over(folder.path(), WORKERS)? {
        Ok(disk) => disk,
        Err(why) => {
            println!("skipped: a small file system cannot be mounted here ({why})");
            folder.remove()?;
            return scene.abandon();
        }
    };
    scene.keep_data_in(folder.path());
    scene.begin().await?;
    let worker = Worker::start(scene.options()).await?;
    let outcome = fill_and_clear(&workers, &scene, &worker).await;
    let status = worker.stop().await?;
    outcome.with_context(|| told.clone())?;
    ensure!(status.success(), "the worker ended with {status}; {told}");

    // It cannot start either, and says so; or it starts, and waits for room.
    workers.fill()?;
    let mut stuck = Worker::spawn(scene.options())?;
    let ended = stuck.wait(ENDS_WITHIN).await;
    workers.clear()?;
    if let Ok(status) = ended {
        let said = std::fs::read_to_string(&scene.options().output)?;
        ensure!(status.code() == Some(3), "the worker on a full disk ended with {status}; {told}");
        ensure!(said.contains("No space left on device"), "it does not say why; {told}");
    }
    drop(stuck);
    let report = scene.settle().await.with_context(|| told)?;
    println!("seed {seed}: {report}");
    drop(workers);
    folder.remove()
}

async fn fill_and_clear(disk: &SmallDisk, scene: &Scene, worker: &Worker) -> Result<()> {
    scene.recovers().await.context("with room")?;
    for size in [51, 52] {
        disk.fill()?;
        is_named(scene, worker).await?;
        // What is changed meanwhile is not taken, is said not to be, and is taken when there is room.
        let hooks = scene.options().pipelines.join("shop-hooks.yaml");
        let text = std::fs::read_to_string(&hooks)?;
        let text = text.lines().map(|line| match line.starts_with("batch.max.size") {
            true => format!("batch.max.size: {size}\n"),
            false => format!("{line}\n"),
        });
        let fresh = hooks.with_extension("new");
        std::fs::write(&fresh, text.collect::<String>())?;
        std::fs::rename(fresh, hooks)?;
        eventually("the change to be refused", NAMED_WITHIN, || async {
            let said = std::fs::read_to_string(&scene.options().output)?;
            let times = said.matches("the folder is not applied").count();
            ensure!(times >= size - 50, "it is said {times} times");
            Ok(())
        })
        .await?;
        disk.clear()?;
        scene.recovers().await.context("with room again")?;
        eventually("the change to be taken", NAMED_WITHIN, || async {
            let config = worker.rest().get("/connectors/shop-hooks/config").await?;
            ensure!(config.get("batch.max.size") == Some(&size.to_string().into()), "its configuration is {config}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Uses up what was set aside before the disk was full, until the source is held and says so.
pub(super) async fn is_named(scene: &Scene, worker: &Worker) -> Result<()> {
    eventually("the full disk to be named", NAMED_WITHIN, || async {
        scene.client().batch_execute(LARGE_ORDERS).await?;
        let said = worker.rest().get("/v1/connectors/shop-cdc").await?.to_string();
        said.contains("log.disk_full").then_some(()).ok_or_else(|| anyhow!("nothing is said of it in {said}"))
    })
    .await
}

/// The database's disk is full for a while: those who write to it wait, and the worker waits with them.
pub(super) async fn full_at_the_database(seed: u64) -> Result<()> {
    let folder = Folder::new("towpath-small-")?;
    let disk = match SmallDisk::over(folder.path(), DATABASES)? {
        Ok(disk) => disk,
        Err(why) => {
            println!("skipped: a small file system cannot be mounted here ({why})");
            return folder.remove();
        }
    };
    let settings = ["shared_buffers=16MB", "max_wal_size=64MB", "min_wal_size=32MB"].map(str::to_owned).to_vec();
    let postgres = PostgresOptions { parent: Some(folder.path().to_owned()), settings, ..PostgresOptions::default() };
    let shop = ShopOptions { pause: Duration::from_millis(20), ..busy(seed, 2_000) };
    let mut scene = Scene::open_through(shop, postgres, async |server| Ok(server)).await?;
    let told = format!("TOWPATH_CRASH_SEED={seed}, everything is kept in {}", scene.path().display());
    scene.begin().await?;
    let worker = Worker::start(scene.options()).await?;
    scene.recovers().await.with_context(|| told.clone())?;
    disk.fill()?;
    eventually("Postgres to complain", NAMED_WITHIN, || async {
        ensure!(scene.postgres().log().contains("No space left on device"), "its log says nothing of it");
        Ok(())
    })
    .await?;
    disk.clear()?;
    // Without room for its log the server may have given up altogether.
    eventually("the database to be up again", NAMED_WITHIN, || async {
        scene.postgres().ensure_running().await?;
        scene.postgres().connect("postgres").await.map(drop)
    })
    .await?;
    scene.recovers().await.with_context(|| told.clone())?;
    let status = worker.stop().await?;
    ensure!(status.success(), "the worker ended with {status}; {told}");
    let report = scene.settle().await.with_context(|| told)?;
    println!("seed {seed}: {report}");
    drop(disk);
    folder.remove()
}
