//! The end of a sink task: offsets of its group, with the dead letters that they pass, in one commit.

use std::sync::Arc;

use tokio::sync::watch;
use towpath_log::{Commit, Error as LogError, GroupOffset};
use towpath_model::{Batch, Kind, crash_point};

use crate::creation::{Creation, KnownTopics};
use crate::errors::Stage;
use crate::settings::TaskSettings;
use crate::store::ensure_retries;
use crate::task::retry::Retrying;
use crate::task::{Failure, Halt, Task, Wanted, pause};

/// Commits offsets, one commit at a time.
pub(super) struct Committer {
    task: Arc<Task>,
    settings: TaskSettings,
    creation: Creation,
    known: KnownTopics,
    retrying: Retrying,
    wanted: watch::Receiver<Wanted>,
}

impl Committer {
    pub(super) fn new(task: &Arc<Task>, settings: &TaskSettings) -> Result<Self, Failure> {
        let creation = Creation::new(&task.config).map_err(|error| Failure::config(&error.key, &error.reason))?;
        Ok(Self {
            creation,
            known: KnownTopics::default(),
            retrying: Retrying::new(task, settings.retry, &[Stage::OffsetCommit]),
            wanted: task.wanted.clone(),
            settings: settings.clone(),
            task: task.clone(),
        })
    }

    /// Invariant 5: offsets, dead letters and rows of the retry topic become durable together or not at all.
    pub(super) async fn commit(
        &mut self,
        offsets: Vec<GroupOffset>,
        letters: Vec<Batch>,
        retries: Vec<Batch>,
    ) -> Result<Vec<GroupOffset>, Halt> {
        loop {
            match self.attempt(&offsets, &letters, &retries).await {
                Ok(()) => break,
                Err(error) if error.kind() == Kind::Retry || matches!(error, LogError::UnknownTopic(_)) => {
                    self.known.forget();
                    let failure = || Failure::log("committing offsets", &error);
                    let delay = self.retrying.failed(Stage::OffsetCommit, error.code(), error.to_string(), None);
                    pause(&mut self.wanted, delay.ok_or_else(failure)?).await?;
                }
                Err(error) => return Err(Failure::log("committing offsets", &error).into()),
            }
        }
        self.retrying.worked();
        Ok(offsets)
    }

    async fn attempt(&mut self, offsets: &[GroupOffset], letters: &[Batch], retries: &[Batch]) -> Result<(), LogError> {
        let log = &self.task.shared.log;
        for topic in letters.iter().flat_map(|batch| &batch.columns().topics) {
            if !self.known.knows(topic) {
                self.known.ensure(log.as_ref(), &self.creation, topic).await?;
            }
        }
        if !retries.is_empty() {
            ensure_retries(log.as_ref(), &self.task.id.connector).await?;
        }
        crash_point("sink.before_offset_commit");
        let clock = &self.task.shared.clock;
        let began = clock.monotonic();
        let commit = Commit {
            records: letters.iter().chain(retries).cloned().collect(),
            group_offsets: offsets.to_vec(),
            compression: self.settings.compression,
        };
        log.commit_atomic(commit).await?;
        crash_point("sink.after_offset_commit");
        let meters = &self.task.meters;
        meters.commits.add(1);
        let took = clock.monotonic().saturating_sub(began);
        meters.commit_micros.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        meters.dead_letters.add(letters.iter().map(Batch::len).sum::<usize>() as u64);
        Ok(())
    }
}
