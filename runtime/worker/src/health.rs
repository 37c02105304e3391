//! Health from progress: whether data moves, and if not, why. Pure.
//!
//! Connect's states say that a task exists. Health says what a user wants to know, and since when it is so.

use std::time::Duration;

use towpath_model::{ConnectorState, Health, HealthLevel, TargetState, TaskState};

use crate::answers::RetryState;

/// What is known of a task when its health is asked for.
#[derive(Clone, Debug)]
pub(crate) struct TaskView<'a> {
    pub(crate) state: TaskState,
    pub(crate) trace: Option<&'a str>,
    pub(crate) retry: Option<&'a RetryState>,
    /// Since when there is data that does not move.
    pub(crate) waiting_since_ms: Option<i64>,
    /// Refused records in the last minute.
    pub(crate) recent_errors: usize,
    /// Whether the committed offset lay outside of the log.
    pub(crate) out_of_range: u64,
    /// Records that wait to be put again while others pass them.
    pub(crate) deferred: u64,
}

/// What is known of a connector apart from its tasks.
#[derive(Clone, Debug)]
pub(crate) struct ConnectorView<'a> {
    pub(crate) target: TargetState,
    pub(crate) state: ConnectorState,
    pub(crate) trace: Option<&'a str>,
    pub(crate) rejected: Option<&'a str>,
}

/// A level with its reason.
pub(crate) type Assessment = (HealthLevel, String);

/// How well a task is.
pub(crate) fn of_task(view: &TaskView<'_>, now_ms: i64, stall_after: Duration) -> Assessment {
    let stall_ms = i64::try_from(stall_after.as_millis()).unwrap_or(i64::MAX);
    if view.state == TaskState::Failed {
        return (HealthLevel::Failed, first_line(view.trace).to_owned());
    }
    if let Some(retry) = view.retry {
        let wait = Duration::from_millis(u64::try_from(retry.next_ms - now_ms).unwrap_or(0));
        let text = format!("attempt {}, next in {}, {}", retry.attempt + 1, seconds(wait), retry.cause);
        let level = if now_ms - retry.since_ms >= stall_ms { HealthLevel::Stalled } else { HealthLevel::Degraded };
        return (level, text);
    }
    if let Some(since) = view.waiting_since_ms
        && view.state == TaskState::Running
        && now_ms - since >= stall_ms
    {
        let waited = Duration::from_millis(u64::try_from(now_ms - since).unwrap_or(0));
        return (HealthLevel::Stalled, format!("there is data, and nothing has moved for {}", seconds(waited)));
    }
    if view.deferred > 0 {
        return (HealthLevel::Degraded, format!("{} records wait to be put again", view.deferred));
    }
    if view.recent_errors > 0 {
        return (HealthLevel::Degraded, format!("{} records were refused in the last minute", view.recent_errors));
    }
    if view.out_of_range > 0 {
        return (HealthLevel::Degraded, "a committed offset was no longer in the log and was reset".to_owned());
    }
    match view.state {
        TaskState::Restarting => (HealthLevel::Degraded, format!("restarting after: {}", first_line(view.trace))),
        _ => (HealthLevel::Ok, String::new()),
    }
}

/// How well a connector is: as badly as its worst part.
pub(crate) fn of_connector(view: &ConnectorView<'_>, tasks: &[(u32, Assessment)]) -> Assessment {
    if view.state == ConnectorState::Failed {
        return (HealthLevel::Failed, first_line(view.trace).to_owned());
    }
    let worst = tasks.iter().max_by_key(|(task, (level, _))| (*level, std::cmp::Reverse(*task)));
    let worst = worst.map(|(task, (level, reason))| {
        let reason =
            if tasks.len() > 1 && !reason.is_empty() { format!("task {task}: {reason}") } else { reason.clone() };
        (*level, reason)
    });
    let worst = worst.unwrap_or((HealthLevel::Ok, String::new()));
    match view.rejected {
        Some(rejected) if worst.0 < HealthLevel::Degraded => {
            (HealthLevel::Degraded, format!("config rejected: {rejected}"))
        }
        _ if worst.0 == HealthLevel::Ok && view.target == TargetState::Started && tasks.is_empty() => {
            match view.state {
                ConnectorState::Running => {
                    (HealthLevel::Stalled, "the plan has no tasks: there is nothing to do".to_owned())
                }
                _ => (HealthLevel::Ok, "starting".to_owned()),
            }
        }
        _ => worst,
    }
}

/// Keeps `since` while the level stays, and takes over the newest reason.
pub(crate) fn update(health: &mut Health, (level, reason): Assessment, now_ms: i64) {
    if health.level != level {
        health.level = level;
        health.since_ms = now_ms;
    }
    health.reason = reason;
}

fn first_line(trace: Option<&str>) -> &str {
    trace.and_then(|trace| trace.lines().next()).unwrap_or("unknown cause")
}

fn seconds(duration: Duration) -> String {
    match duration.as_millis() {
        0..1_000 => format!("{} ms", duration.as_millis()),
        1_000..120_000 => format!("{} s", duration.as_secs()),
        _ => format!("{} min", duration.as_secs() / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(60);

    fn running() -> TaskView<'static> {
        TaskView {
            state: TaskState::Running,
            trace: None,
            retry: None,
            waiting_since_ms: None,
            recent_errors: 0,
            out_of_range: 0,
            deferred: 0,
        }
    }

    #[test]
    fn a_running_task_with_data_that_does_not_move_is_stalled() {
        let view = TaskView { waiting_since_ms: Some(1_000), ..running() };
        assert_eq!(of_task(&view, 60_999, STALL).0, HealthLevel::Ok);
        assert_eq!(
            of_task(&view, 61_000, STALL),
            (HealthLevel::Stalled, "there is data, and nothing has moved for 60 s".to_owned())
        );
        assert_eq!(of_task(&TaskView { state: TaskState::Paused, ..view }, 61_000, STALL).0, HealthLevel::Ok);
    }

    #[test]
    fn a_retry_is_degraded_at_first_and_stalled_when_it_lasts() {
        let retry = RetryState {
            stage: "TASK_PUT".into(),
            attempt: 2,
            cause: "503 from hooks.internal".into(),
            code: "http.status".into(),
            since_ms: 0,
            next_ms: 14_000,
        };
        let view = TaskView { retry: Some(&retry), ..running() };
        let expected = (HealthLevel::Degraded, "attempt 3, next in 4 s, 503 from hooks.internal".to_owned());
        assert_eq!(of_task(&view, 10_000, STALL), expected);
        assert_eq!(of_task(&view, 60_000, STALL).0, HealthLevel::Stalled);
    }

    #[test]
    fn a_connector_is_as_well_as_its_worst_task_and_says_which() {
        let view = ConnectorView {
            target: TargetState::Started,
            state: ConnectorState::Running,
            trace: None,
            rejected: Some("orders.yaml:3:1: unknown key"),
        };
        let fine = (HealthLevel::Ok, String::new());
        let failed = (HealthLevel::Failed, "wrong password".to_owned());
        let tasks = [(0, fine.clone()), (1, failed)];
        assert_eq!(of_connector(&view, &tasks), (HealthLevel::Failed, "task 1: wrong password".to_owned()));
        let rejected = (HealthLevel::Degraded, "config rejected: orders.yaml:3:1: unknown key".to_owned());
        assert_eq!(of_connector(&view, &[(0, fine)]), rejected);
        assert_eq!(of_connector(&ConnectorView { rejected: None, ..view }, &[]).0, HealthLevel::Stalled);
    }

    #[test]
    fn since_is_kept_while_the_level_stays() {
        let mut health = Health { level: HealthLevel::Ok, reason: String::new(), since_ms: 1 };
        update(&mut health, (HealthLevel::Degraded, "a".into()), 5);
        update(&mut health, (HealthLevel::Degraded, "b".into()), 9);
        assert_eq!((health.since_ms, health.reason.as_str()), (5, "b"));
    }
}
