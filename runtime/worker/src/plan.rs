//! From a configuration to something that can be run: words, checks, plugins. The one checker is `config`'s; this file brings
//! it the plugins and the names that converters and transforms go by.

use towpath_config::{Examination, TransformWords, Vocabulary, examine, framework_keys, resolve};
use towpath_model::{Config, ConfigKey, ConnectorError, ConnectorKind, Gravity, Plugins, Spec};

use crate::answers::{PluginInfo, PluginKind, ValidatedKey, Validation};
use crate::config::Secrets;
use crate::error::{Error, Result};

/// The words that configurations may use with these plugins; for `check`, start-up, reload and REST alike.
pub fn vocabulary(plugins: &dyn Plugins) -> Vocabulary {
    let built_in = towpath_convert::transforms().into_iter();
    let mut transforms: Vec<TransformWords> = built_in
        .map(|transform| TransformWords { names: transform.names, keys: transform.keys, open_prefixes: Vec::new() })
        .collect();
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
        let transforms =
            towpath_convert::transforms().into_iter().filter_map(|transform| transform.names.into_iter().next());
        listed.extend(transforms.map(|class| built_in(class, PluginKind::Transformation)));
    }
    listed
}

/// All keys of a plugin: the framework's, then its own.
pub(crate) fn keys(spec: &Spec) -> Vec<ConfigKey> {
    framework_keys(spec.kind).into_iter().chain(spec.keys.iter().cloned()).collect()
}

/// Checks a configuration that came over REST, in the end with the plugin's own checks.
pub(crate) async fn validate(
    plugins: &dyn Plugins,
    secrets: &Secrets,
    class: &str,
    config: &Config,
) -> Result<Validation> {
    let included = config
        .get("connector.class")
        .ok_or_else(|| Error::UnknownClass { class: String::new(), available: available(plugins) })?;
    let plugin = plugins
        .find(included)
        .map_err(|unknown| Error::UnknownClass { class: unknown.class, available: unknown.available })?;
    let requested = plugins.find(class).map(|requested| requested.spec().name.clone());
    if class != included && requested.as_ref().ok() != Some(&plugin.spec().name) {
        return Err(Error::ClassMismatch { included: included.to_owned(), requested: class.to_owned() });
    }
    let spec = plugin.spec();
    let mut validation = validated(included, examine(config, Some(spec), &vocabulary(plugins)));
    if validation.error_count() > 0 {
        return Ok(validation);
    }
    let normalised = towpath_config::normalise(config, spec);
    let resolved = match resolve(&normalised, &secrets.api_policy, secrets.store.as_deref(), &*secrets.env) {
        Ok(resolved) => resolved,
        Err(faults) => {
            faults.into_iter().for_each(|fault| add_error(&mut validation, &fault.key, fault.reason));
            return Ok(validation);
        }
    };
    match plugin.validate(&resolved.config, true).await {
        Ok(faults) => {
            for fault in faults.into_iter().filter(|fault| fault.gravity != Gravity::Warning) {
                let reason = fault.reason.to_string();
                add_error(&mut validation, &fault.key, resolved.redactor.redact(&reason).into_owned());
            }
        }
        Err(ConnectorError::Config { key, reason }) => {
            add_error(&mut validation, &key, resolved.redactor.redact(&reason.to_string()).into_owned());
        }
        Err(error) => {
            let reason = resolved.redactor.redact(&error.to_string()).into_owned();
            add_error(&mut validation, "connector.class", reason);
        }
    }
    Ok(validation)
}

fn available(plugins: &dyn Plugins) -> Vec<String> {
    plugins.all().iter().map(|plugin| format!("{}@{}", plugin.spec().name, plugin.spec().version)).collect()
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
    let found = validation.keys.iter().position(|known| known.definition.name == key);
    let at = found.or_else(|| validation.keys.iter().position(|known| known.definition.name == "connector.class"));
    if let Some(known) = at.and_then(|at| validation.keys.get_mut(at)) {
        known.errors.push(if found.is_some() { reason } else { format!("{key}: {reason}") });
    }
}
