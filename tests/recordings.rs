//! Kept workloads with what Debezium made of them: each is run again, and Towpath must make the same of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use towpath_tests::{Folder, Process};

use crate::runner::{blocking, found};

const LIMIT: Duration = Duration::from_secs(180);

/// One for each folder of `differential/recordings`.
pub(crate) fn trials() -> Vec<Trial> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("differential/recordings");
    let recordings = found(&folder, "recording.json").into_iter();
    recordings.map(|(name, path)| Trial::test(format!("recordings::{name}"), || blocking(replay(path)))).collect()
}

async fn replay(recording: PathBuf) -> Result<()> {
    let folder = Folder::new("towpath-recording-")?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_towpath-differential"));
    command.arg("replay").arg(&recording);
    let mut process = Process::start("the replay", &mut command, &folder.join("output"))?;
    let status = process.wait(LIMIT).await?;
    ensure!(status.success(), "the replay ended with {status}\n{}", process.last_output());
    folder.remove()
}
