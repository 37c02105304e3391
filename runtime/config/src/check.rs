//! The one checker, for `check`, start-up, reload and REST validate.

use towpath_model::{Config, ConfigKey, ConnectorKind, Spec};

use crate::{Document, Finding, Severity};

/// A transform that can be named in `transforms.<alias>.type`.
#[derive(Clone, Debug)]
pub struct TransformWords {
    /// All its names.
    pub names: Vec<String>,
    /// Its keys, without the prefix.
    pub keys: Vec<ConfigKey>,
    /// Prefixes of keys that are free.
    pub open_prefixes: Vec<String>,
}

/// The names that configurations may use, apart from the plugin's own keys.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// Names of converters.
    pub converters: Vec<String>,
    /// Names of header converters.
    pub header_converters: Vec<String>,
    /// Keys that converters read.
    pub converter_keys: Vec<ConfigKey>,
    /// Transforms, built in and plugins.
    pub transforms: Vec<TransformWords>,
    /// Connector classes, for did-you-mean.
    pub connectors: Vec<String>,
}

/// A key with its definition, value and errors: the raw material of Connect's ConfigInfos.
#[derive(Clone, Debug)]
pub struct KeyReport {
    /// The definition.
    pub definition: ConfigKey,
    /// The value, or the default; none for an unset key without one. Secrets are shown as they are written.
    pub value: Option<String>,
    /// Values that would be allowed.
    pub recommended: Vec<String>,
    /// What is wrong with it, in Kafka's words.
    pub errors: Vec<String>,
}

/// Everything there is to say about a configuration.
#[derive(Clone, Debug, Default)]
pub struct Examination {
    /// Groups in the order in which forms show them.
    pub groups: Vec<String>,
    /// All keys: the framework's, then the plugin's own.
    pub keys: Vec<KeyReport>,
    /// The findings, without places.
    pub findings: Vec<Finding>,
}

impl Examination {
    /// How many errors the keys have.
    pub fn error_count(&self) -> usize {
        self.keys.iter().map(|key| key.errors.len()).sum()
    }
}

/// Examines a configuration (references unresolved) against the framework's keys and, if the plugin is known, its own.
pub fn examine(config: &Config, spec: Option<&Spec>, words: &Vocabulary) -> Examination {
    let _ = (config, spec, words, Severity::Error);
    unimplemented!()
}

/// The findings of [`examine`] with the place of each in the document.
pub fn check(document: &Document, spec: Option<&Spec>, words: &Vocabulary) -> Vec<Finding> {
    let _ = (document, spec, words);
    unimplemented!()
}

/// The configuration with aliases replaced by the names that the plugin knows.
pub fn normalise(config: &Config, spec: &Spec) -> Config {
    let _ = (config, spec);
    unimplemented!()
}

/// The framework's own keys for connectors of this kind, in Connect's order.
pub fn framework_keys(kind: ConnectorKind) -> Vec<ConfigKey> {
    let _ = kind;
    unimplemented!()
}
