//! A chain of repetitions: backoff, what status shows, and what the log remembers so that a restart goes on where it was.

use std::sync::Arc;
use std::time::Duration;

use towpath_model::{Clock, TaskId};

use crate::answers::RetryState;
use crate::backoff::Backoff;
use crate::errors::Stage;
use crate::meters::Meters;
use crate::settings::RetrySettings;
use crate::store::StatusBook;

use super::Task;

/// Repetitions of one kind of call of a task.
pub(super) struct Retrying {
    task: TaskId,
    epoch: u64,
    clock: Arc<dyn Clock>,
    meters: Arc<Meters>,
    status: Arc<StatusBook>,
    backoff: Backoff,
    delay_max: Duration,
    state: Option<RetryState>,
}

impl Retrying {
    /// Begins with what an earlier start was retrying at one of these stages.
    pub(super) fn new(task: &Task, settings: RetrySettings, stages: &[Stage]) -> Self {
        let resumed = task.resume.clone().filter(|state| stages.iter().any(|stage| stage.name() == state.stage));
        let mut backoff = Backoff::new(settings, task.seed ^ stages.len() as u64);
        if let Some(state) = &resumed {
            backoff.resume(state.attempt);
            task.meters.set_retry(Some(state.clone()));
        }
        Self {
            task: task.id.clone(),
            epoch: task.epoch,
            clock: task.shared.clock.clone(),
            meters: task.meters.clone(),
            status: task.shared.status.clone(),
            backoff,
            delay_max: settings.delay_max,
            state: resumed,
        }
    }

    /// How long the first call still has to wait, because an earlier start was told so.
    pub(super) fn resumed_wait(&self) -> Option<Duration> {
        left(self.state.as_ref()?.next_ms, self.clock.now_ms(), self.delay_max)
    }

    /// Time since the first failure of the chain.
    pub(super) fn elapsed(&self) -> Duration {
        let since = self.state.as_ref().map_or(0, |state| self.clock.now_ms() - state.since_ms);
        Duration::from_millis(u64::try_from(since).unwrap_or(0))
    }

    /// One more failure: how long to wait, or none when the repetitions are used up.
    pub(super) fn failed(
        &mut self,
        stage: Stage,
        code: &str,
        cause: String,
        after: Option<Duration>,
    ) -> Option<Duration> {
        let delay = self.backoff.next(after)?;
        let now_ms = self.clock.now_ms();
        let since_ms = self.state.as_ref().map_or(now_ms, |state| state.since_ms);
        let next_ms = now_ms.saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
        let attempt = self.backoff.attempt();
        tracing::warn!(task = %self.task, stage = stage.name(), code, attempt, delay_ms = delay.as_millis() as u64, "{cause}");
        let state =
            RetryState { stage: stage.name().to_owned(), attempt, cause, code: code.to_owned(), since_ms, next_ms };
        self.meters.retries.add(1);
        self.meters.set_retry(Some(state.clone()));
        self.status.remember(&self.task, self.epoch, Some(&state));
        self.state = Some(state);
        Some(delay)
    }

    /// Whether this is the stage that is being repeated.
    pub(super) fn is_at(&self, stage: Stage) -> bool {
        self.state.as_ref().is_some_and(|state| state.stage == stage.name())
    }

    /// It worked.
    pub(super) fn worked(&mut self) {
        if self.state.take().is_some() {
            self.backoff.reset();
            self.meters.set_retry(None);
            self.status.remember(&self.task, self.epoch, None);
        }
    }
}

/// What is left of a wait that an earlier start began. The clock may have been set back since: no wait is longer than waits get.
fn left(next_ms: i64, now_ms: i64, most: Duration) -> Option<Duration> {
    let left = u64::try_from(next_ms.saturating_sub(now_ms)).ok().filter(|left| *left > 0)?;
    Some(Duration::from_millis(left).min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_resumed_and_a_clock_that_was_set_back_does_not_stretch_it() {
        let left = |next_ms, now_ms| left(next_ms, now_ms, Duration::from_secs(60)).map(|left| left.as_millis());
        assert_eq!(left(5_000, 2_000), Some(3_000));
        assert_eq!((left(5_000, 5_000), left(5_000, 9_000)), (None, None));
        assert_eq!(left(400 * 86_400_000, 0), Some(60_000));
    }
}
