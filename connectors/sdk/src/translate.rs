//! Configurations, contexts and errors on their way over the boundary; batches are in `columns`, specs in `connector`.
//!
//! Every kind of error keeps what the host acts upon: when to come back, which records, which key.

use std::time::Duration;

use towpath_model::{Config, ConnectorError};

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

pub(crate) fn error_to_wit(error: ConnectorError) -> wit::Error {
    match error {
        ConnectorError::Retriable { message, after } => {
            wit::Error::Retriable(wit::Retry { message, after_ms: after.map(millis) })
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
        ConnectorError::Config { key, reason } => wit::Error::Config(wit::ConfigError { key, reason }),
        ConnectorError::Fatal { message, .. } => wit::Error::Fatal(message),
    }
}

/// The task of a call that may only follow `open`.
pub(crate) fn opened<T>(task: Option<&mut T>) -> Result<&mut T, wit::Error> {
    task.ok_or_else(|| wit::Error::Fatal("the task was called before it was opened".into()))
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
