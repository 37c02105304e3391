//! From a configuration to something that can be run: words, checks, plugins. The one checker is `config`'s; this file brings
//! it the plugins and the names that converters and transforms go by.

use std::time::Duration;

use towpath_config::{
    Document, Examination, Finding, Policy, Severity, TransformWords, Vocabulary, examine, framework_keys,
};
use towpath_convert::TransformType;
use towpath_model::{Config, ConfigKey, ConnectorKind, Plugins, Spec};

use crate::answers::{PluginInfo, PluginKind, ValidatedKey, Validation};
use crate::checker::{Checker, Reach, is_refusal};
use crate::error::{Error, Result};

/// The words that configurations may use with these plugins; for `check`, start-up, reload and REST alike.
pub fn vocabulary(plugins: &dyn Plugins) -> Vocabulary {
    let words = |built_in: Vec<TransformType>| {
        let words = |built_in: TransformType| TransformWords {
            names: built_in.names,
            keys: built_in.keys,
            open_prefixes: Vec::new(),
        };
        built_in.into_iter().map(words).collect::<Vec<_>>()
    };
    let mut transforms = words(towpath_convert::transforms());
    let mut connectors = Vec::new();
    for plugin in plugins.all() {
        let spec = plugin.spec();
        match spec.kind {
            ConnectorKind::Transform => transforms.push(TransformWords {
                names: vec![spec.name.clone()],
                keys: spec.keys.clone(),
                open_prefixes: spec.open_prefixes.clone(),
            }),
            ConnectorKind::Source | ConnectorKind::Sink => connectors.push(spec.name.clone()),
        }
    }
    Vocabulary {
        converters: towpath_convert::converters(),
        header_converters: towpath_convert::header_converters(),
        converter_keys: towpath_convert::keys(),
        transforms,
        predicates: words(towpath_convert::predicates()),
        connectors,
    }
}

/// The plugins as Connect lists them.
pub(crate) fn listed(plugins: &dyn Plugins, connectors_only: bool) -> Vec<PluginInfo> {
    let mut listed = Vec::new();
    for plugin in plugins.all() {
        let spec = plugin.spec();
        let kind = match spec.kind {
            ConnectorKind::Source => PluginKind::Source,
            ConnectorKind::Sink => PluginKind::Sink,
            ConnectorKind::Transform => PluginKind::Transformation,
        };
        if connectors_only && kind == PluginKind::Transformation {
            continue;
        }
        let (version, digest) = (Some(spec.version.clone()), Some(plugin.digest().to_owned()));
        listed.push(PluginInfo { class: spec.name.clone(), kind, version, digest });
    }
    if !connectors_only {
        let built_in = |class: String, kind| PluginInfo { class, kind, version: None, digest: None };
        listed.extend(towpath_convert::converters().into_iter().map(|class| built_in(class, PluginKind::Converter)));
        let header_converters = towpath_convert::header_converters().into_iter();
        listed.extend(header_converters.map(|class| built_in(class, PluginKind::HeaderConverter)));
        for (types, kind) in [
            (towpath_convert::transforms(), PluginKind::Transformation),
            (towpath_convert::predicates(), PluginKind::Predicate),
        ] {
            let names = types.into_iter().filter_map(|known| known.names.into_iter().next());
            listed.extend(names.map(|class| built_in(class, kind)));
        }
    }
    listed
}

/// All keys of a plugin: the framework's, then its own.
pub(crate) fn keys(spec: &Spec) -> Vec<ConfigKey> {
    framework_keys(spec.kind).into_iter().chain(spec.keys.iter().cloned()).collect()
}

/// How long a request waits for what the systems concerned say of a configuration.
const INSPECTION_MAX: Duration = Duration::from_secs(15);

/// Checks a configuration that came over REST, in the end with the plugin's own checks.
pub(crate) async fn validate(
    checker: &Checker,
    plugins: &dyn Plugins,
    policy: &Policy,
    class: &str,
    config: &Config,
) -> Result<Validation> {
    let included = config.get("connector.class").ok_or_else(|| {
        Error::BadRequest("Connector config contains no connector type: set connector.class".to_owned())
    })?;
    let plugin = plugins
        .find(included)
        .map_err(|unknown| Error::UnknownClass { class: unknown.class, available: unknown.available })?;
    let requested = plugins.find(class).map(|requested| requested.spec().name.clone());
    if class != included && requested.as_ref().ok() != Some(&plugin.spec().name) {
        return Err(Error::ClassMismatch { included: included.to_owned(), requested: class.to_owned() });
    }
    let mut validation = validated(included, examine(config, Some(plugin.spec()), &vocabulary(plugins)));
    for finding in findings(checker, policy, config).await {
        let known = validation.errors().any(|error| error == finding.message);
        if finding.severity == Severity::Error && !known {
            let hint = finding.suggestion.map(|hint| format!(". {hint}")).unwrap_or_default();
            add_error(&mut validation, &finding.path, format!("{}{hint}", finding.message));
        }
    }
    Ok(validation)
}

/// Everything that is wrong with a configuration that came over REST.
pub(crate) async fn findings(checker: &Checker, policy: &Policy, config: &Config) -> Vec<Finding> {
    let document = Document::of_config(config.get("name").unwrap_or_default(), config.clone());
    let mut findings = checker.look(&document);
    if !findings.iter().any(is_refusal) {
        findings.extend(checker.inspect(&document, policy, Reach::Online(INSPECTION_MAX)).await.findings);
    }
    findings
}

fn validated(class: &str, examination: Examination) -> Validation {
    let keys = examination.keys.into_iter().map(|key| ValidatedKey {
        definition: key.definition,
        value: key.value,
        errors: key.errors,
        recommended: key.recommended,
        visible: true,
    });
    Validation { class: class.to_owned(), groups: examination.groups, keys: keys.collect() }
}

fn add_error(validation: &mut Validation, key: &str, reason: String) {
    let named = |known: &ValidatedKey| {
        known.definition.name == key || known.definition.aliases.iter().any(|alias| alias == key)
    };
    let found = validation.keys.iter().position(named);
    let at = found.or_else(|| validation.keys.iter().position(|known| known.definition.name == "connector.class"));
    if let Some(known) = at.and_then(|at| validation.keys.get_mut(at)) {
        known.errors.push(if found.is_some() || key.is_empty() { reason } else { format!("{key}: {reason}") });
    }
}
