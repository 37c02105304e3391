//! The one checker, for `check`, start-up, reload and REST: what is wrong with a connector's configuration, and where.
//!
//! ```text
//! look:     keys, names, values, converters, transforms          the document alone
//! inspect:  references to secrets, then the plugins' own checks  with `connect` they look at the systems concerned
//! ```
//! A folder is applied after `look`, so that a server that does not answer never holds a reload up; a plan is made after both.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use towpath_config::{
    Answers, Document, Finding, Policy, ResolveError, Resolved, Severity, Vocabulary, check, normalise, out_of_reach,
};
use towpath_convert::{SinkPath, SourcePath, Unconnected, check_predicates, plugin_transforms};
use towpath_log::check_topic_name;
use towpath_model::{
    Coded, Config, ConnectorError, ConnectorKind, ConnectorName, Fault, Gravity, Kind, Plugin, Plugins, Reason,
    Redactor, Spec,
};

use crate::config::{Limits, Secrets};
use crate::creation::Creation;
use crate::plan::vocabulary;
use crate::settings::{SettingError, SinkSettings, TaskSettings, tasks_max};
use crate::store::retries_topic;

/// How far an inspection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// No further than this machine; a reference that leads nowhere here may well lead somewhere else.
    Offline,
    /// To the systems concerned, each connector for at most so long.
    Online(Duration),
}

/// What an inspection came to.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// The configuration with its references resolved, where all of them could be.
    pub resolved: Option<Resolved>,
    /// Where a plugin ended when it was asked and broke down.
    pub trace: Option<String>,
}

/// Checks configurations against the plugins there are at the moment.
pub struct Checker {
    plugins: Arc<dyn Plugins>,
    words: Vocabulary,
    secrets: Secrets,
    limits: Limits,
}

impl Checker {
    /// A checker that knows these plugins and follows references as `secrets` says.
    pub fn new(plugins: Arc<dyn Plugins>, secrets: Secrets, limits: Limits) -> Self {
        let words = vocabulary(plugins.as_ref());
        Self { plugins, words, secrets, limits }
    }

    /// What can be said of a document by itself.
    pub fn look(&self, document: &Document) -> Vec<Finding> {
        let plugin = self.plugin(document);
        let spec = plugin.as_ref().map(|plugin| plugin.spec());
        let mut findings = check(document, spec, &self.words);
        if let Some(spec) = spec.filter(|_| !findings.iter().any(is_refusal)) {
            let config = normalise(&document.config, spec);
            findings.extend(
                self.unusable(document, &config, spec).into_iter().map(|fault| placed(fault, document, Some(spec))),
            );
        }
        findings
    }

    /// What can be said of a document that [`look`](Self::look) did not refuse. Cancel safe: what was begun ends when dropped.
    pub async fn inspect(&self, document: &Document, policy: &Policy, reach: Reach) -> Inspection {
        let Some(plugin) = self.plugin(document) else { return Inspection::default() };
        let spec = plugin.spec();
        let place = |fault: Fault| placed(fault, document, Some(spec));
        let config = normalise(&document.config, spec);
        let resolved = match self.resolve(&config, spec, policy, reach).await {
            Ok(resolved) => resolved,
            Err(errors) => {
                let faults = errors.into_iter().map(|error| unresolved(error, reach));
                return Inspection { findings: faults.map(place).collect(), ..Inspection::default() };
            }
        };
        let (mut faults, mut traces) = (self.unusable(document, &resolved.config, spec), Vec::new());
        let forbidden = out_of_reach(&resolved.config, spec, policy).into_iter();
        faults.extend(forbidden.map(|error| Fault::error(error.key, Reason::coded(error.code, error.reason))));
        if faults.is_empty() {
            let answer = self.ask(plugin.as_ref(), &resolved.config, &resolved.redactor, reach).await;
            faults = answer.faults;
            traces.extend(answer.trace);
            for (prefix, transform, config) in self.transforms(&resolved.config) {
                let answer = self.ask(transform.as_ref(), &config, &resolved.redactor, reach).await;
                let named = |fault: Fault| Fault { key: format!("{prefix}{}", fault.key), ..fault };
                faults.extend(answer.faults.into_iter().map(named));
                traces.extend(answer.trace);
            }
        }
        let findings = faults.into_iter().map(|fault| place(hidden(fault, &resolved.redactor))).collect();
        let trace = traces.first().map(|trace| resolved.redactor.redact(trace).into_owned());
        Inspection { findings, resolved: Some(resolved), trace }
    }

    /// The configuration with its references resolved. Where nothing is reached, no command is asked either.
    async fn resolve(
        &self,
        config: &Config,
        spec: &Spec,
        policy: &Policy,
        reach: Reach,
    ) -> Result<Resolved, Vec<ResolveError>> {
        match reach {
            Reach::Online(_) => self.secrets.resolve(config, spec, policy).await,
            Reach::Offline => self.secrets.resolve_with(config, spec, policy, &Answers::new()),
        }
    }

    /// What the worker itself makes of a configuration before the plugin sees it. Values that are references are passed over.
    fn unusable(&self, document: &Document, config: &Config, spec: &Spec) -> Vec<Fault> {
        let setting = |error: SettingError| {
            let message = format!(
                "Invalid value {} for configuration {}: {}",
                shown(config, &error.key),
                error.key,
                error.reason
            );
            Fault::error(error.key, Reason::coded("config.invalid_value", message))
        };
        let mut faults = Vec::new();
        faults.extend(TaskSettings::new(config, &self.limits).err().map(setting));
        faults.extend(tasks_max(config).err().map(setting));
        faults.extend(Creation::new(config).err().map(setting));
        if spec.kind == ConnectorKind::Sink {
            match SinkSettings::new(config, &self.limits) {
                Ok(settings) => faults.extend(settings.defers.and_then(|_| cannot_defer(&document.name))),
                Err(error) => faults.push(setting(error)),
            }
        }
        let built_in = without_plugin_transforms(config);
        let path = match spec.kind {
            ConnectorKind::Sink => SinkPath::new(&built_in, &spec.accepts, HashMap::new(), &Unconnected).err(),
            _ => SourcePath::new(&built_in, HashMap::new(), &Unconnected).err(),
        };
        // Components are left out above, the conditions under which they are applied are not.
        let error = path.or_else(|| check_predicates(config).err());
        faults.extend(error.map(|error| Fault::error(error.key, Reason::coded(error.code, error.reason))));
        let is_reference = |key: &str| config.get(key).is_some_and(towpath_config::has_reference);
        faults.retain(|fault| !is_reference(&fault.key));
        faults
    }

    /// The plugin's own checks, with what became of them when they did not come to an end.
    async fn ask(&self, plugin: &dyn Plugin, config: &Config, redactor: &Redactor, reach: Reach) -> Answer {
        let answer = match reach {
            Reach::Offline => plugin.validate(config, redactor, false).await,
            Reach::Online(longest) => {
                match tokio::time::timeout(longest, plugin.validate(config, redactor, true)).await {
                    Ok(answer) => answer,
                    Err(_) => {
                        let message = format!("{} got no answer within {} s", plugin.spec().name, longest.as_secs());
                        let reason = Reason::coded("connector.unanswered", message);
                        let remedy = "Look whether the host is right, and whether a firewall drops packets on the way.";
                        return vec![Fault::passing(endpoint_key(plugin.spec()), reason.remedy(remedy))].into();
                    }
                }
            }
        };
        match answer {
            Ok(faults) => faults.into(),
            Err(ConnectorError::Config { key, reason }) => vec![Fault::error(key, reason)].into(),
            Err(error) => {
                let trace = match &error {
                    ConnectorError::Fatal { trace, .. } => trace.clone(),
                    _ => None,
                };
                let (gravity, message) = match error.kind() {
                    Kind::Retry => (Gravity::Passing, error.to_string()),
                    _ => (Gravity::Error, format!("validating failed: {error}")),
                };
                let reason = Reason::coded(error.code().to_owned(), message);
                Answer { faults: vec![Fault { key: "connector.class".to_owned(), gravity, reason }], trace }
            }
        }
    }

    /// The transforms that are plugins: the prefix of their keys, the plugin, their own settings.
    fn transforms(&self, config: &Config) -> Vec<(String, Arc<dyn Plugin>, Config)> {
        let listed = plugin_transforms(config).unwrap_or_default();
        let found = listed.into_iter().filter_map(|transform| {
            let plugin = self.plugins.find(&transform.class).ok()?;
            Some((format!("transforms.{}.", transform.alias), plugin, transform.config))
        });
        found.collect()
    }

    fn plugin(&self, document: &Document) -> Option<Arc<dyn Plugin>> {
        self.plugins.find(document.config.get("connector.class")?).ok()
    }
}

/// What a plugin says of a configuration.
struct Answer {
    faults: Vec<Fault>,
    /// The guest's backtrace, when the call ended with one.
    trace: Option<String>,
}

impl From<Vec<Fault>> for Answer {
    fn from(faults: Vec<Fault>) -> Self {
        Self { faults, trace: None }
    }
}

/// Whether a finding refuses a configuration for good.
pub(crate) fn is_refusal(finding: &Finding) -> bool {
    finding.severity == Severity::Error && !finding.passing
}

/// A fault of a document as a finding, at the place of its key, under whatever name that stands there.
pub(crate) fn placed(fault: Fault, document: &Document, spec: Option<&Spec>) -> Finding {
    let Fault { key, gravity, reason } = fault;
    let aliases = spec.and_then(|spec| spec.keys.iter().find(|known| known.name == key)).map(|known| &known.aliases);
    let written = aliases.into_iter().flatten().find(|alias| document.config.get(alias).is_some()).cloned();
    let path = written.unwrap_or(key);
    let severity = if gravity == Gravity::Warning { Severity::Warning } else { Severity::Error };
    let code = reason.code.unwrap_or(match gravity {
        Gravity::Error | Gravity::Warning => "connector.config".into(),
        Gravity::Passing => "connector.retriable".into(),
    });
    let mut finding =
        Finding::new(severity, code, reason.message).at(document.place(&path)).on(path).of(&document.name);
    finding.passing = gravity == Gravity::Passing;
    finding.suggestion = reason.remedy;
    finding
}

fn hidden(fault: Fault, redactor: &Redactor) -> Fault {
    let clean = |text: String| redactor.redact(&text).into_owned();
    let Reason { code, message, remedy } = fault.reason;
    Fault { reason: Reason { code, message: clean(message), remedy: remedy.map(clean) }, ..fault }
}

/// A file, a variable or what a command knows may well appear later, and need not be there where a folder is only checked.
fn unresolved(error: ResolveError, reach: Reach) -> Fault {
    let appears = matches!(error.code, "config.secret_missing" | "config.secret_unreadable" | "config.secret_command");
    let reason = Reason::coded(error.code, error.reason);
    match (appears, reach) {
        (true, Reach::Offline) => Fault::warning(error.key, reason),
        (true, Reach::Online(_)) => Fault::passing(error.key, reason),
        (false, _) => Fault::error(error.key, reason),
    }
}

fn without_plugin_transforms(config: &Config) -> Config {
    let Ok(plugins) = plugin_transforms(config) else { return config.clone() };
    let mut config = config.clone();
    let built_in: Vec<&str> =
        config.list("transforms").filter(|alias| !plugins.iter().any(|plugin| plugin.alias == *alias)).collect();
    let built_in = built_in.join(",");
    config.set("transforms", built_in);
    config
}

/// What waits to be put again has a topic of the connector's name, which not every name allows.
fn cannot_defer(connector: &str) -> Option<Fault> {
    let topic = retries_topic(&ConnectorName::new(connector));
    let error = check_topic_name(&topic).err()?;
    let message = format!(
        "Invalid value defer for configuration errors.retry.mode: what waits stands in a topic of the connector's name, which does not allow that: {error}"
    );
    Some(Fault::error("errors.retry.mode", Reason::coded("config.invalid_value", message)))
}

fn shown<'a>(config: &'a Config, key: &str) -> &'a str {
    config.get(key).unwrap_or("null")
}

/// The key of the system that a plugin connects to.
fn endpoint_key(spec: &Spec) -> String {
    let endpoint = spec.keys.iter().find(|key| key.endpoint.is_some());
    endpoint.map_or("connector.class", |key| key.name.as_str()).to_owned()
}
