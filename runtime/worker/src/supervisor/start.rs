//! Planning: from a stored configuration to configurations of tasks, with references resolved at the last moment.

use std::sync::Arc;
use std::time::Duration;

use towpath_config::{Answers, Document, Finding, Resolved, Severity, normalise};
use towpath_model::{Coded, Config, ConnectorError, Gravity, Kind, Plugin, Plugins, Reason, Redactor, Spec};

use super::machine::Fault;
use crate::checker::{Checker, Reach, is_refusal, placed};
use crate::config::{Limits, Secrets};
use crate::settings::tasks_max;
use crate::store::Stored;

/// How long the plugins of a connector may look at the systems concerned before a task is started all the same.
const INSPECTION_MAX: Duration = Duration::from_secs(10);

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
    /// What commands had answered.
    pub(super) answers: Answers,
}

/// Why there is no plan: what the machine acts upon, and what users are told.
pub(super) struct Unplanned {
    pub(super) fault: Fault,
    pub(super) findings: Vec<Finding>,
}

impl Unplanned {
    /// A fault of the worker itself.
    pub(super) fn internal(message: &str) -> Self {
        let finding = Finding::new(Severity::Error, "worker.internal", message);
        Self { fault: Fault { trace: line(&finding), restart: true }, findings: vec![finding] }
    }

    /// The same with a guest's backtrace below.
    fn traced(mut self, trace: Option<&str>) -> Self {
        if let Some(trace) = trace {
            self.fault.trace.push('\n');
            self.fault.trace.push_str(trace);
        }
        self
    }
}

/// What a connector's configuration resolves to now, if all of its references lead somewhere. Commands are asked for a plan alone.
pub(super) fn resolved(stored: &Stored, planned: &Planned, secrets: &Secrets) -> Option<Resolved> {
    let spec = planned.plugin.spec();
    let normalised = normalise(&stored.config, spec);
    secrets.resolve_with(&normalised, spec, secrets.policy(&stored.owner.owner), &planned.answers).ok()
}

/// Plans a connector, whose configuration and its places are in `document`. The findings are what is noteworthy though there is a plan.
pub(super) async fn plan(
    document: &Document,
    stored: &Stored,
    plugins: &Arc<dyn Plugins>,
    secrets: &Secrets,
    limits: &Limits,
) -> Result<(Planned, Vec<Finding>), Unplanned> {
    let refused = |faults: Vec<towpath_model::Fault>, spec: Option<&Spec>| {
        unplanned(faults.into_iter().map(|fault| placed(fault, document, spec)).collect())
    };
    let class = stored.config.get("connector.class").unwrap_or_default();
    let plugin = plugins.find(class).map_err(|error| {
        let mut reason = Reason::coded("worker.unknown_plugin", error.to_string());
        reason.remedy = error.suggestion.map(|name| format!("Did you mean `{name}`?"));
        refused(vec![towpath_model::Fault::error("connector.class", reason)], None)
    })?;
    let spec = plugin.spec();
    let checker = Checker::new(plugins.clone(), secrets.clone(), limits.clone());
    let mut findings = checker.look(document);
    if findings.iter().any(is_refusal) {
        return Err(unplanned(findings));
    }
    // What was found in a file by itself has been told when it was read.
    findings.clear();
    let inspection =
        checker.inspect(document, secrets.policy(&stored.owner.owner), Reach::Online(INSPECTION_MAX)).await;
    findings.extend(inspection.findings);
    let Some(resolved) = inspection.resolved.filter(|_| !findings.iter().any(is_refusal)) else {
        return Err(unplanned(findings).traced(inspection.trace.as_deref()));
    };
    let most = tasks_max(&resolved.config).unwrap_or(1);
    let planned = plugin.plan(&resolved.config, &resolved.redactor, most).await;
    let planned = planned.map_err(|error| call_failed(&error, &resolved.redactor, document, spec))?;
    if planned.len() > most as usize {
        let text = format!("the connector planned {} tasks where tasks.max is {most}", planned.len());
        let fault = towpath_model::Fault::error("tasks.max", Reason::coded("worker.too_many_tasks", text));
        return Err(refused(vec![fault], Some(spec)));
    }
    let tasks: Vec<Config> = planned.into_iter().map(|task| overlaid(&resolved.config, task)).collect();
    let shown = tasks.iter().map(|task| without_secrets(task, stored, &resolved.config, &resolved.redactor)).collect();
    let Resolved { config: resolved, redactor, files, answers } = resolved;
    Ok((Planned { plugin, tasks, shown, redactor, resolved, files, answers }, findings))
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

/// The plugin could not divide the work.
fn call_failed(error: &ConnectorError, redactor: &Redactor, document: &Document, spec: &Spec) -> Unplanned {
    let (key, trace) = match error {
        ConnectorError::Config { key, .. } => (key.as_str(), None),
        ConnectorError::Fatal { trace, .. } => ("connector.class", trace.as_ref()),
        _ => ("connector.class", None),
    };
    let text = format!("planning failed: {}", redactor.redact(&error.to_string()));
    let gravity = if error.kind() == Kind::Retry { Gravity::Passing } else { Gravity::Error };
    let reason = Reason::coded(error.code().to_owned(), text);
    let fault = towpath_model::Fault { key: key.to_owned(), gravity, reason };
    let trace = trace.map(|trace| redactor.redact(trace));
    unplanned(vec![placed(fault, document, Some(spec))]).traced(trace.as_deref())
}

/// What refuses the plan comes first, so that the first line of the trace says why.
fn unplanned(mut findings: Vec<Finding>) -> Unplanned {
    findings.sort_by_key(|finding| (finding.severity, finding.passing));
    let restart = !findings.iter().any(is_refusal);
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let lines: Vec<_> = errors.map(line).collect();
    Unplanned { fault: Fault { trace: lines.join("\n"), restart }, findings }
}

fn line(finding: &Finding) -> String {
    let Finding { code, path, message, .. } = finding;
    let hint = finding.suggestion.as_ref().map(|hint| format!(". {hint}")).unwrap_or_default();
    let key = if path.is_empty() || message.contains(path.as_str()) { String::new() } else { format!("{path}: ") };
    format!("{key}{message}{hint} [{code}]")
}
