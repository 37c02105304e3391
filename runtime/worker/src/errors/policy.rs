//! The one table from (stage, kind, tolerance) to what is done. Invariant 3: delivered, dropped by a counted rule, or dead letter.
//!
//! | what failed | kind | tolerance none | all, with queue | all, without |
//! |---|---|---|---|---|
//! | one record in converter, transform, sink or log | Reject | fail the task | dead letter | skip, counted |
//! | one record that may pass when repeated | Retry | repeat it | repeat it | repeat it |
//! | a call of a transform | Retry | repeat within `errors.retry.timeout`, then fail | the same | the same |
//! | a call of a connector, the log, or the schema registry | Retry | repeat | repeat | repeat |
//! | a call | Invalid, Fail, Corrupt, Reject | fail the task | fail the task | fail the task |

use towpath_convert::REGISTRY_UNREACHABLE;
use towpath_model::{Coded as _, ConnectorError, Kind};

use crate::settings::{ErrorSettings, Tolerance};

/// Where something failed, in Connect's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Open,
    Poll,
    Convert(towpath_convert::Stage),
    /// A transform, for a batch as a whole.
    Transformation,
    /// Schemas that converters need.
    SchemaRegistry,
    Produce,
    Consume,
    Put,
    Flush,
    /// Positions given back to the source.
    SourceCommit,
    OffsetCommit,
}

impl Stage {
    /// Where the conversion of a batch as a whole failed.
    pub(crate) fn of_conversion(error: &ConnectorError) -> Self {
        if error.code() == REGISTRY_UNREACHABLE { Self::SchemaRegistry } else { Self::Transformation }
    }

    /// Who failed in the conversion of a batch.
    pub(crate) fn conversion(self) -> &'static str {
        if self == Self::SchemaRegistry { "the schema registry" } else { "a transform" }
    }

    /// The name in `__connect.errors.stage`, in retries and in lists of errors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "TASK_START",
            Self::Poll => "TASK_POLL",
            Self::Convert(stage) => stage.name(),
            Self::Transformation => "TRANSFORMATION",
            Self::SchemaRegistry => "SCHEMA_REGISTRY",
            Self::Produce => "KAFKA_PRODUCE",
            Self::Consume => "KAFKA_CONSUME",
            Self::Put => "TASK_PUT",
            Self::Flush => "TASK_FLUSH",
            Self::SourceCommit => "TASK_COMMIT",
            Self::OffsetCommit => "OFFSET_COMMIT",
        }
    }
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Repeat, after a pause.
    Retry,
    /// Drop the record and count it.
    Skip,
    /// Write the record to the dead letter queue.
    DeadLetter,
    /// Fail the task.
    Fail,
}

/// What becomes of one record that was refused.
pub(crate) fn on_refused_record(kind: Kind, settings: &ErrorSettings) -> Action {
    match (kind, settings.tolerance, &settings.dead_letter_topic) {
        (Kind::Retry, _, _) => Action::Retry,
        (Kind::Invalid | Kind::Fail | Kind::Corrupt, _, _) | (Kind::Reject, Tolerance::None, _) => Action::Fail,
        (Kind::Reject, Tolerance::All, Some(_)) => Action::DeadLetter,
        (Kind::Reject, Tolerance::All, None) => Action::Skip,
    }
}

/// What is done about a call that failed as a whole; `elapsed` is the time since it first failed.
pub(crate) fn on_failed_call(
    stage: Stage,
    kind: Kind,
    elapsed: std::time::Duration,
    settings: &ErrorSettings,
) -> Action {
    match (stage, kind) {
        (Stage::Transformation | Stage::Convert(_), Kind::Retry) => match settings.retry_timeout {
            Some(timeout) if elapsed >= timeout => Action::Fail,
            _ => Action::Retry,
        },
        (_, Kind::Retry) => Action::Retry,
        _ => Action::Fail,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings(tolerance: Tolerance, queue: bool) -> ErrorSettings {
        ErrorSettings {
            tolerance,
            retry_timeout: Some(Duration::from_secs(1)),
            log: false,
            dead_letter_topic: queue.then(|| "dlq".to_owned()),
            dead_letter_headers: false,
        }
    }

    #[test]
    fn the_table_holds_for_records() {
        let (none, all) = (Tolerance::None, Tolerance::All);
        let cases = [
            (Kind::Reject, none, true, Action::Fail),
            (Kind::Reject, none, false, Action::Fail),
            (Kind::Reject, all, true, Action::DeadLetter),
            (Kind::Reject, all, false, Action::Skip),
            (Kind::Retry, none, false, Action::Retry),
            (Kind::Retry, all, true, Action::Retry),
            (Kind::Fail, all, true, Action::Fail),
            (Kind::Invalid, all, true, Action::Fail),
            (Kind::Corrupt, all, false, Action::Fail),
        ];
        for (kind, tolerance, queue, expected) in cases {
            assert_eq!(
                on_refused_record(kind, &settings(tolerance, queue)),
                expected,
                "{kind:?} {tolerance:?} {queue}"
            );
        }
    }

    #[test]
    fn only_transforms_are_bound_by_the_retry_timeout() {
        let settings = settings(Tolerance::None, false);
        let after = |seconds, stage| on_failed_call(stage, Kind::Retry, Duration::from_secs(seconds), &settings);
        assert_eq!(after(0, Stage::Transformation), Action::Retry);
        assert_eq!(after(1, Stage::Transformation), Action::Fail);
        assert_eq!(after(9, Stage::Put), Action::Retry);
        assert_eq!(after(9, Stage::SchemaRegistry), Action::Retry);
        assert_eq!(on_failed_call(Stage::Poll, Kind::Fail, Duration::ZERO, &settings), Action::Fail);
    }
}
