//! The two paths. A source's records pass transforms, then converters; a sink's pass converters, then transforms.
//!
//! ```text
//! source: connector forms ─▶ Chain ─▶ Outward ─▶ bytes          sink: bytes ─▶ Inward ─▶ Chain ─▶ Fit ─▶ accepted forms
//! ```
//! Each stage turns a batch into a batch; [`Trace`] leads what comes out back to what went in, and shows records that are watched on the way.

mod fit;
mod inward;
mod outward;
#[cfg(test)]
mod tests;
mod trace;
mod watched;

use std::collections::HashMap;

use towpath_model::{Batch, Config, ConnectorError, Encoding, Transform};

use self::fit::Fit;
use self::inward::Inward;
use self::outward::Outward;
pub(crate) use self::trace::Trace;
pub use self::watched::{Content, Outcome, Passage, Seen, Station, Stop, Watched};
use crate::converter::{CONVERTERS, Class};
use crate::registered::{SchemaRegistries, Unconnected};
use crate::transform::{Chain, PluginTransform};
use crate::{Converted, Error};

/// The transforms of `config` whose type is not built in, in their order. The worker instantiates them.
///
/// # Errors
/// When an alias has no type.
pub fn plugin_transforms(config: &Config) -> Result<Vec<PluginTransform>, Error> {
    crate::transform::plugins(config)
}

/// Whether the predicates of `config`, and the transforms that name them, can be used.
///
/// # Errors
/// The first setting that cannot.
pub fn check_predicates(config: &Config) -> Result<(), Error> {
    crate::transform::check_predicates(config)
}

/// From a source connector to the log: transforms, then converters.
pub struct SourcePath {
    chain: Chain,
    outward: Outward,
}

impl SourcePath {
    /// Makes the path that `config` (resolved) describes; `plugins` holds the transforms of [`plugin_transforms`] by alias.
    ///
    /// # Errors
    /// When a converter or transform is unknown or its settings are at fault.
    pub fn new(
        config: &Config,
        plugins: HashMap<String, Box<dyn Transform>>,
        registries: &dyn SchemaRegistries,
    ) -> Result<Self, Error> {
        Ok(Self { chain: Chain::new(config, plugins)?, outward: Outward::new(config, registries)? })
    }

    /// Converts a batch; every form in the answer is bytes. Repeating the call with the same batch is harmless.
    ///
    /// # Errors
    /// Those of plugin transforms and of the schema registry for the batch as a whole. Failures of single records are in the answer.
    pub async fn convert(&mut self, records: &Batch) -> Result<Converted, ConnectorError> {
        self.convert_watched(records, None).await
    }

    /// The same, while somebody watches some of the records.
    ///
    /// # Errors
    /// Those of [`convert`](Self::convert); what is watched then ends where the batch stood.
    pub async fn convert_watched(
        &mut self,
        records: &Batch,
        watched: Option<&mut Watched>,
    ) -> Result<Converted, ConnectorError> {
        let mut trace = Trace::new(records.len(), watched);
        trace.seen(|| Station::Source, records);
        let transformed = self.chain.apply(records, &mut trace).await?;
        let transformed = transformed.as_ref().unwrap_or(records);
        self.outward.prepare(transformed).await?;
        let written = self.outward.apply(transformed, &mut trace);
        trace.seen(|| Station::Converter, &written);
        Ok(trace.finish(written))
    }
}

/// From a topic to a topic: converters, transforms, converters. What the transforms of a source or a sink do, without either.
pub struct Rehearsal {
    inward: Inward,
    chain: Chain,
    outward: Outward,
}

impl Rehearsal {
    /// Makes the path that `config` (resolved) describes; `plugins` holds the transforms of [`plugin_transforms`] by alias. Where a
    /// converter keeps its schemas in a registry, which is not there, records are read and written as JSON.
    ///
    /// # Errors
    /// When a converter or transform is unknown or its settings are at fault.
    pub fn new(config: &Config, plugins: HashMap<String, Box<dyn Transform>>) -> Result<Self, Error> {
        let (config, registries) = (&without_registry(config)?, &Unconnected);
        let inward = Inward::new(config, &[Encoding::Connect, Encoding::Json, Encoding::Bytes], registries)?;
        Ok(Self { inward, chain: Chain::new(config, plugins)?, outward: Outward::new(config, registries)? })
    }

    /// Converts a batch of bytes into bytes.
    ///
    /// # Errors
    /// Those of plugin transforms for the batch as a whole. Failures of single records are in the answer.
    pub async fn convert(&mut self, records: &Batch) -> Result<Converted, ConnectorError> {
        let mut trace = Trace::new(records.len(), None);
        let read = self.inward.apply(records, &mut trace);
        let transformed = self.chain.apply(&read, &mut trace).await?.unwrap_or(read);
        let written = self.outward.apply(&transformed, &mut trace);
        Ok(trace.finish(written))
    }
}

fn without_registry(config: &Config) -> Result<Config, Error> {
    let mut plain = config.clone();
    for key in ["key.converter", "value.converter"] {
        if Class::of(config, key, &CONVERTERS, Class::Json)?.language().is_some() {
            plain.0.remove(key);
        }
    }
    Ok(plain)
}

/// From the log to a sink connector: converters, then transforms.
pub struct SinkPath {
    inward: Inward,
    chain: Chain,
    fit: Option<Fit>,
}

impl SinkPath {
    /// Makes the path that `config` (resolved) describes, towards a sink that takes the encodings `accepts`.
    ///
    /// # Errors
    /// When a converter or transform is unknown or its settings are at fault.
    pub fn new(
        config: &Config,
        accepts: &[Encoding],
        plugins: HashMap<String, Box<dyn Transform>>,
        registries: &dyn SchemaRegistries,
    ) -> Result<Self, Error> {
        let chain = Chain::new(config, plugins)?;
        if chain.is_empty() {
            return Ok(Self { inward: Inward::new(config, accepts, registries)?, chain, fit: None });
        }
        let inward = Inward::new(config, &[Encoding::Connect, Encoding::Json, Encoding::Bytes], registries)?;
        Ok(Self { inward, chain, fit: Some(Fit::new(accepts)) })
    }

    /// Converts a batch of bytes into forms that the sink accepts. Repeating the call with the same batch is harmless.
    ///
    /// A JSON document that is spread over lines is put on one, for sinks that write one a line; otherwise JSON passes as it is.
    ///
    /// # Errors
    /// Those of plugin transforms and of the schema registry for the batch as a whole. Failures of single records are in the answer.
    pub async fn convert(&mut self, records: &Batch) -> Result<Converted, ConnectorError> {
        self.convert_watched(records, None).await
    }

    /// The same, while somebody watches some of the records.
    ///
    /// # Errors
    /// Those of [`convert`](Self::convert); what is watched then ends where the batch stood.
    pub async fn convert_watched(
        &mut self,
        records: &Batch,
        watched: Option<&mut Watched>,
    ) -> Result<Converted, ConnectorError> {
        let mut trace = Trace::new(records.len(), watched);
        trace.seen(|| Station::Log, records);
        self.inward.prepare(records).await?;
        let read = self.inward.apply(records, &mut trace);
        trace.seen(|| Station::Converter, &read);
        let Some(fit) = &mut self.fit else { return Ok(trace.finish(read)) };
        let transformed = self.chain.apply(&read, &mut trace).await?.unwrap_or(read);
        let fitting = fit.apply(transformed, &mut trace);
        trace.seen(|| Station::Sink, &fitting);
        Ok(trace.finish(fitting))
    }
}
