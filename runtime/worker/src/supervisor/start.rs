//! Planning: from a stored configuration to configurations of tasks, with references resolved at the last moment.

use std::sync::Arc;

use towpath_config::{Policy, Redactor, Severity, examine, normalise, resolve};
use towpath_model::{Coded, Config, ConnectorError, ConnectorKind, Gravity, Kind, Plugin, Plugins};

use super::machine::Fault;
use crate::answers::Owner;
use crate::config::{Limits, Secrets};
use crate::plan::vocabulary;
use crate::settings::{SettingError, SinkSettings, TaskSettings, tasks_max};
use crate::store::Stored;

/// What a connector's tasks are started with.
pub(super) struct Planned {
    pub(super) plugin: Arc<dyn Plugin>,
    /// Resolved.
    pub(super) tasks: Vec<Config>,
    /// With references in place of secrets.
    pub(super) shown: Vec<Config>,
    pub(super) redactor: Redactor,
    /// The connector's configuration, resolved: when it resolves to something else, the plan is out of date.
    pub(super) resolved: Config,
    /// Files that secrets were read from.
    pub(super) files: Vec<std::path::PathBuf>,
}

/// A connector's configuration with its references resolved.
pub(super) fn resolved(
    stored: &Stored,
    spec: &towpath_model::Spec,
    secrets: &Secrets,
) -> Result<towpath_config::Resolved, Fault> {
    let policy = match stored.owner.owner {
        Owner::File { .. } => &Policy::Trusted,
        Owner::Api => &secrets.api_policy,
    };
    let normalised = normalise(&stored.config, spec);
    resolve(&normalised, policy, secrets.store.as_deref(), &*secrets.env).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(|fault| format!("{fault} [{}]", fault.code)).collect();
        // A file with a secret may well appear later.
        Fault { trace: faults.join("\n"), restart: true }
    })
}

/// Plans a connector.
pub(super) async fn plan(
    stored: &Stored,
    plugins: &dyn Plugins,
    secrets: &Secrets,
    limits: &Limits,
) -> Result<Planned, Fault> {
    let class = stored.config.get("connector.class").unwrap_or_default();
    let plugin = plugins.find(class).map_err(|error| {
        let hint = error.suggestion.as_ref().map(|name| format!(". Did you mean {name}?")).unwrap_or_default();
        fault(format!("{error}{hint}"), "worker.unknown_plugin")
    })?;
    let spec = plugin.spec();
    let examination = examine(&stored.config, Some(spec), &vocabulary(plugins));
    let errors = examination.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let errors: Vec<_> = errors.map(|finding| finding.message.clone()).collect();
    if !errors.is_empty() {
        return Err(fault(errors.join("\n"), "worker.invalid_config"));
    }
    let resolved = resolved(stored, spec, secrets)?;
    let setting = |error: SettingError| fault(error.to_string(), "worker.invalid_config");
    TaskSettings::new(&resolved.config, limits).map_err(setting)?;
    if spec.kind == ConnectorKind::Sink {
        SinkSettings::new(&resolved.config, limits).map_err(setting)?;
    }
    let most = tasks_max(&resolved.config).map_err(setting)?;
    match plugin.validate(&resolved.config, true).await {
        Ok(mut faults) => {
            faults.retain(|fault| fault.gravity == Gravity::Error);
            if !faults.is_empty() {
                let said = |fault: &towpath_model::Fault| {
                    format!("{}: {}", fault.key, resolved.redactor.redact(&fault.reason.to_string()))
                };
                let faults: Vec<_> = faults.iter().map(said).collect();
                return Err(fault(faults.join("\n"), "worker.invalid_config"));
            }
        }
        Err(error) if error.kind() == Kind::Fail => return Err(call_fault("validating", &error, &resolved.redactor)),
        // A system that cannot be reached now is no fault of the configuration; the task will wait for it.
        Err(_) => {}
    }
    let planned = plugin.plan(&resolved.config, most).await;
    let planned = planned.map_err(|error| call_fault("planning", &error, &resolved.redactor))?;
    if planned.len() > most as usize {
        let text = format!("the connector planned {} tasks where tasks.max is {most}", planned.len());
        return Err(fault(text, "worker.too_many_tasks"));
    }
    let tasks: Vec<Config> = planned.into_iter().map(|task| overlaid(&resolved.config, task)).collect();
    let shown = tasks.iter().map(|task| without_secrets(task, stored, &resolved.config, &resolved.redactor)).collect();
    Ok(Planned { plugin, tasks, shown, redactor: resolved.redactor, resolved: resolved.config, files: resolved.files })
}

/// A task sees its connector's settings, and its own on top.
fn overlaid(connector: &Config, task: Config) -> Config {
    let mut config = connector.clone();
    config.0.extend(task.0);
    config
}

/// The configuration with references put back where they resolved to what stands there, and secrets taken out elsewhere.
fn without_secrets(task: &Config, stored: &Stored, resolved: &Config, redactor: &Redactor) -> Config {
    let shown = task.iter().map(|(key, value)| match (stored.config.get(key), resolved.get(key)) {
        (Some(written), Some(known)) if known == value => (key.to_owned(), written.to_owned()),
        _ => (key.to_owned(), redactor.redact(value).into_owned()),
    });
    shown.collect()
}

fn call_fault(doing: &str, error: &ConnectorError, redactor: &Redactor) -> Fault {
    let detail = match error {
        ConnectorError::Fatal { trace: Some(trace), .. } => format!("\n{}", redactor.redact(trace)),
        _ => String::new(),
    };
    let trace = format!("{doing} failed: {} [{}]{detail}", redactor.redact(&error.to_string()), error.code());
    Fault { trace, restart: error.kind() == Kind::Retry }
}

fn fault(text: String, code: &str) -> Fault {
    Fault { trace: format!("{text} [{code}]"), restart: false }
}
