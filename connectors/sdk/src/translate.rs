//! Configurations, contexts and errors on their way over the boundary; batches are in `columns`, specs in `connector`.
//!
//! Every kind of error keeps what the host acts upon: when to come back, which records, which key.

use std::borrow::Cow;
use std::time::Duration;

use towpath_model::{Checkpoint, Config, ConnectorError, Fault, Gravity, Reason};

use crate::Context;
use crate::bindings::imports::towpath::connect::types as wit;

/// A configuration as it came from the host.
pub fn config_from_wit(config: wit::Config) -> Config {
    config.into_iter().collect()
}

pub(crate) fn config_to_wit(config: Config) -> wit::Config {
    config.0.into_iter().collect()
}

pub(crate) fn context_from_wit(context: wit::Context) -> Context {
    Context {
        connector: context.connector,
        task: context.task,
        config: config_from_wit(context.config),
        run_id: context.run_id,
        epoch: context.epoch,
        buffer_bytes_max: context.buffer_bytes_max,
    }
}

pub(crate) fn checkpoints_from_wit(checkpoints: Vec<wit::Checkpoint>) -> Vec<Checkpoint> {
    let from_wit = |wit::Checkpoint { partition, offset }| Checkpoint { partition, offset };
    checkpoints.into_iter().map(from_wit).collect()
}

pub(crate) fn checkpoints_to_wit(checkpoints: Vec<Checkpoint>) -> Vec<wit::Checkpoint> {
    let to_wit = |Checkpoint { partition, offset }| wit::Checkpoint { partition, offset };
    checkpoints.into_iter().map(to_wit).collect()
}

pub(crate) fn error_to_wit(error: ConnectorError) -> wit::Error {
    match error {
        ConnectorError::Retriable { reason, after } => {
            wit::Error::Retriable(wit::Retry { reason: reason_to_wit(reason), after_ms: after.map(millis) })
        }
        ConnectorError::Throttled { after } => wit::Error::Throttled(millis(after)),
        ConnectorError::Records(errors) => wit::Error::Records(
            errors
                .into_iter()
                .map(|error| wit::RecordError {
                    index: error.index,
                    code: error.code,
                    reason: error.reason,
                    retriable: error.retriable,
                })
                .collect(),
        ),
        ConnectorError::Config { key, reason } => {
            wit::Error::Config(wit::ConfigError { key, reason: reason_to_wit(reason) })
        }
        ConnectorError::Fatal { reason, .. } => wit::Error::Fatal(reason_to_wit(reason)),
    }
}

pub(crate) fn fault_to_wit(fault: Fault) -> wit::Fault {
    wit::Fault {
        key: fault.key,
        gravity: match fault.gravity {
            Gravity::Error => wit::Gravity::Error,
            Gravity::Passing => wit::Gravity::Passing,
            Gravity::Warning => wit::Gravity::Warning,
        },
        reason: reason_to_wit(fault.reason),
    }
}

fn reason_to_wit(reason: Reason) -> wit::Reason {
    let code = reason.code.map(Cow::into_owned);
    wit::Reason { code, message: reason.message, remedy: reason.remedy }
}

/// An error after which the task is of no use.
pub(crate) fn fatal(message: impl Into<String>) -> wit::Error {
    wit::Error::Fatal(reason_to_wit(Reason::new(message)))
}

/// The task of a call that may only follow `open`.
pub(crate) fn opened<T>(task: Option<&mut T>) -> Result<&mut T, wit::Error> {
    task.ok_or_else(|| fatal("the task was called before it was opened"))
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
