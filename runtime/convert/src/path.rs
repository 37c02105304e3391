//! The two paths, source and sink.

use std::collections::HashMap;

use towpath_model::{Batch, Config, ConnectorError, Encoding, Transform};

use crate::{Converted, Error};

/// A transform of the configuration that is a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginTransform {
    /// Its alias in `transforms`.
    pub alias: String,
    /// Its class, to be found among the plugins.
    pub class: String,
    /// Its settings, with `transforms.<alias>.` taken off.
    pub config: Config,
}

/// The transforms of `config` whose type is not built in, in their order. The worker instantiates them.
///
/// # Errors
/// When an alias has no type.
pub fn plugin_transforms(config: &Config) -> Result<Vec<PluginTransform>, Error> {
    let _ = config;
    unimplemented!()
}

/// From a source connector to the log: transforms, then converters.
pub struct SourcePath {}

impl SourcePath {
    /// Makes the path that `config` (resolved) describes; `plugins` holds the transforms of [`plugin_transforms`] by alias.
    ///
    /// # Errors
    /// When a converter or transform is unknown or its settings are at fault.
    pub fn new(config: &Config, plugins: HashMap<String, Box<dyn Transform>>) -> Result<Self, Error> {
        let _ = (config, plugins);
        unimplemented!()
    }

    /// Converts a batch; every form in the answer is bytes. Repeating the call with the same batch is harmless.
    ///
    /// # Errors
    /// Those of plugin transforms for the batch as a whole. Failures of single records are in the answer.
    pub async fn convert(&mut self, records: &Batch) -> Result<Converted, ConnectorError> {
        let _ = records;
        unimplemented!()
    }
}

/// From the log to a sink connector: converters, then transforms.
pub struct SinkPath {}

impl SinkPath {
    /// Makes the path that `config` (resolved) describes, towards a sink that takes the encodings `accepts`.
    ///
    /// # Errors
    /// When a converter or transform is unknown or its settings are at fault.
    pub fn new(config: &Config, accepts: &[Encoding], plugins: HashMap<String, Box<dyn Transform>>) -> Result<Self, Error> {
        let _ = (config, accepts, plugins);
        unimplemented!()
    }

    /// Converts a batch of bytes into forms that the sink accepts. Repeating the call with the same batch is harmless.
    ///
    /// # Errors
    /// Those of plugin transforms for the batch as a whole. Failures of single records are in the answer.
    pub async fn convert(&mut self, records: &Batch) -> Result<Converted, ConnectorError> {
        let _ = records;
        unimplemented!()
    }
}
