//! Records through a connector's transforms and nothing else: no log, no connector. For `towpath test`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use towpath_convert::{Converted, Rehearsal, plugin_transforms};
use towpath_model::{
    Batch, Config, ConnectorError, ConnectorName, Metric, Plugins, Redactor, TaskContext, TaskId, Telemetry,
};

/// The most bytes that a component may hold in buffers of its own.
const BUFFER_BYTES_MAX: u64 = 64 << 20;

/// Why transforms cannot be tried out.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// A setting of a converter or transform cannot be used.
    #[error(transparent)]
    Setting(#[from] towpath_convert::Error),
    /// A transform that is a component is not there.
    #[error("{key}: {reason}")]
    Missing {
        /// The key that names it.
        key: String,
        /// What there is.
        reason: String,
    },
    /// A transform that is a component failed.
    #[error(transparent)]
    Transform(#[from] ConnectorError),
}

/// What the transforms of `config` (resolved) make of records, through its converters before and after.
///
/// # Errors
/// When the transforms cannot be made, or a component fails as a whole. Failures of single records are in the answer.
pub async fn rehearse(
    plugins: &dyn Plugins,
    config: &Config,
    redactor: &Redactor,
    records: &Batch,
) -> Result<Converted, RehearsalError> {
    let mut components = HashMap::new();
    for wanted in plugin_transforms(config)? {
        let missing =
            |reason: String| RehearsalError::Missing { key: format!("transforms.{}.type", wanted.alias), reason };
        let plugin = plugins.find(&wanted.class).map_err(|unknown| missing(unknown.to_string()))?;
        let context = TaskContext {
            task: TaskId { connector: ConnectorName::new(config.get("name").unwrap_or("test")), task: 0 },
            config: wanted.config,
            run_id: "test".into(),
            epoch: 0,
            redactor: redactor.clone(),
            buffer_bytes_max: BUFFER_BYTES_MAX,
            telemetry: Arc::new(Unheard),
        };
        components.insert(wanted.alias, plugin.transform(context).await?);
    }
    Ok(Rehearsal::new(config, components)?.convert(records).await?)
}

/// Nobody listens.
struct Unheard;

impl Telemetry for Unheard {
    fn metrics(&self, _: Vec<Metric>) {}
    fn request_reconfiguration(&self, _: String) {}
    fn usage(&self, _: u64, _: Duration) {}
}
