//! Every folder in `examples/` tells a story; here it is run to its end, as its README says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use towpath_tests::{Folder, Process, towpath_binary};

use crate::runner::{blocking, found};

const LIMIT: Duration = Duration::from_secs(300);

pub(crate) fn trials() -> Vec<Trial> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let stories = found(&folder, "run.sh");
    stories.into_iter().map(|(name, path)| Trial::test(format!("examples::{name}"), || blocking(run(path)))).collect()
}

async fn run(story: PathBuf) -> Result<()> {
    let folder = Folder::new("towpath-story-")?;
    let mut command = std::process::Command::new(story.join("run.sh"));
    command.arg("--ci").current_dir(&story);
    if let Some(programs) = towpath_binary()?.parent() {
        command.env("TOWPATH_PROGRAMS", programs);
    }
    let mut process = Process::start("run.sh", &mut command, &folder.join("output"))?;
    let status = process.wait(LIMIT).await?;
    ensure!(status.success(), "the story ended with {status}\n{}", process.last_output());
    folder.remove()
}
