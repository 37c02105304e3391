//! Tasks made of components: the model's traits, each call one call into the guest.

mod positions;
mod readers;
mod sink;
mod source;
mod transform;
mod usage;

pub(crate) use readers::{MakeReader, Readers};
pub(crate) use sink::SinkTask;
pub(crate) use source::{Exports as SourceExports, SourceTask, checkpoints};
pub(crate) use transform::TransformStep;
pub(crate) use usage::Usage;

use towpath_model::{Config, TaskContext};

use crate::bindings::imports::towpath::connect::types;
use crate::translate::config_to_wit;

/// What a guest is told of its task. `visible` is its configuration without what the host withholds.
pub(crate) fn context_to_wit(context: &TaskContext, visible: &Config) -> types::Context {
    types::Context {
        connector: context.task.connector.to_string(),
        task: context.task.task,
        config: config_to_wit(visible),
        run_id: context.run_id.clone(),
        epoch: context.epoch,
        buffer_bytes_max: context.buffer_bytes_max,
    }
}
