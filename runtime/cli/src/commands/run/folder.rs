//! Keeps the worker at what the folder says: reads, lets the worker apply, tells what came of it; again at every change.
//!
//! A folder that cannot be read, or a worker that refuses, changes nothing: what runs goes on, and the next change is looked at anew.
//! Each finding is told when it appears, not at every reload.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use towpath_config::{Finding, Folder, Severity, Step, Watch, WatchOptions};
use towpath_worker::{Applied, Handle};

use crate::failure::{Failure, Result};
use crate::screen::Screen;

/// After so long what the worker could not take is given to it again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Follows the folder.
pub(super) struct FolderFollower {
    dir: PathBuf,
    worker: Handle,
    screen: Arc<Screen>,
    changes: mpsc::Receiver<()>,
    _watch: Watch,
    told: Vec<Finding>,
    /// What was found of connectors when they were planned, as far as it has been told.
    told_of_plans: Vec<Finding>,
    sources: BTreeMap<PathBuf, String>,
    /// When the folder is applied again although nothing has changed.
    again_at: Option<Instant>,
}

impl FolderFollower {
    /// Begins to watch; nothing is read yet, so that no change after the first reading is missed.
    pub(super) fn start(dir: &Path, worker: Handle, screen: Arc<Screen>) -> Result<Self> {
        let (changed, changes) = mpsc::channel(1);
        let tell = move || {
            // One waiting change stands for any number of them.
            _ = changed.try_send(());
        };
        let watch = Watch::start(dir, WatchOptions::default(), tell);
        let watch = watch.map_err(Failure::environment)?;
        Ok(Self {
            dir: dir.to_owned(),
            worker,
            screen,
            changes,
            _watch: watch,
            told: Vec::new(),
            told_of_plans: Vec::new(),
            sources: BTreeMap::new(),
            again_at: None,
        })
    }

    /// Applies the folder as it is. Says whether a file was refused.
    pub(super) async fn apply(&mut self) -> Result<bool> {
        self.again_at = None;
        let dir = self.dir.clone();
        let reading = tokio::task::spawn_blocking(move || Folder::read(&dir)).await.map_err(Failure::ours)?;
        let reading = match reading {
            Ok(reading) => reading,
            Err(error) => {
                tracing::error!(error = %Failure::environment(error), "the folder cannot be read; what runs goes on");
                return Ok(true);
            }
        };
        self.sources.clone_from(&reading.sources);
        let applied = match self.worker.apply_folder(reading).await {
            Ok(applied) => applied,
            Err(error) => {
                // A worker that has ended is heard of elsewhere; any other goes on with what runs.
                let code = error.code();
                tracing::error!(code, %error, "the folder is not applied and is tried again; what runs goes on");
                self.again_at = Some(Instant::now() + AGAIN_AFTER);
                return Ok(false);
            }
        };
        let refused = applied.findings.iter().any(|finding| finding.severity == Severity::Error);
        self.tell(applied);
        Ok(refused)
    }

    /// Applies every change, until the worker takes none any more.
    pub(super) async fn follow(&mut self) -> Failure {
        let mut plans = self.worker.changes();
        plans.mark_changed();
        loop {
            tokio::select! {
                // The watcher lives as long as this; should its thread end all the same, the folder stays as it was applied.
                Some(()) = self.changes.recv() => {
                    if let Err(failure) = self.apply().await {
                        return failure;
                    }
                }
                () = sleep_until(self.again_at.unwrap_or_else(Instant::now)), if self.again_at.is_some() => {
                    if let Err(failure) = self.apply().await {
                        return failure;
                    }
                }
                Ok(()) = plans.changed() => self.tell_plans(),
                else => std::future::pending::<()>().await,
            }
        }
    }

    fn tell(&mut self, applied: Applied) {
        applied
            .findings
            .iter()
            .filter(|finding| !self.told.contains(finding))
            .for_each(|finding| self.tell_finding(finding));
        self.told = applied.findings;
        applied.steps.iter().for_each(tell_step);
    }

    /// What planning the connectors has found, which takes as long as the systems concerned take to answer.
    fn tell_plans(&mut self) {
        let found: Vec<_> = self.worker.statuses().into_iter().flat_map(|status| status.findings).collect();
        found
            .iter()
            .filter(|finding| !self.told_of_plans.contains(finding))
            .for_each(|finding| self.tell_finding(finding));
        self.told_of_plans = found;
    }

    /// People get the text with the line at fault; machines get an event with its place in fields.
    fn tell_finding(&self, finding: &Finding) {
        if std::io::stderr().is_terminal() {
            let source = finding.file.as_ref().and_then(|file| self.sources.get(file)).map(String::as_str);
            let mut text = finding.render(source);
            if !text.ends_with('\n') {
                text.push('\n');
            }
            return self.screen.print_above(text.as_bytes());
        }
        let file = finding.file.as_deref().unwrap_or(Path::new("")).display();
        let Finding { code, line, column, path, message, .. } = finding;
        let connector = finding.connector.as_deref().unwrap_or_default();
        let suggestion = finding.suggestion.as_deref().unwrap_or_default();
        match finding.severity {
            // The connector starts all the same, and waits.
            Severity::Error if finding.passing => {
                tracing::warn!(%code, connector, %file, line, column, path, suggestion, "{message}");
            }
            Severity::Error => tracing::error!(%code, connector, %file, line, column, path, suggestion, "{message}"),
            Severity::Warning => tracing::warn!(%code, connector, %file, line, column, path, suggestion, "{message}"),
            Severity::Note => tracing::info!(%code, connector, %file, line, column, path, suggestion, "{message}"),
        }
    }
}

/// What the worker does not say itself while it applies.
fn tell_step(step: &Step) {
    match step {
        Step::Create { document, .. } => {
            tracing::info!(connector = document.name, file = %document.origin.file.display(), "connector is new");
        }
        Step::Move { name, from, to } => {
            let (from, to) = (from.file.display(), to.file.display());
            tracing::info!(connector = name, %from, %to, "connector stands in another file; nothing else changes");
        }
        Step::Change { .. } | Step::Remove { .. } | Step::Reject { .. } => {}
    }
}
