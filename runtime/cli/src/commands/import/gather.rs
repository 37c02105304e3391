//! From what a Connect cluster keeps of its connectors to what they are to be here, with everything there is to say of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use towpath_config::{Answers, Document, Finding, Origin, PipelineFiles, Policy, Providers, normalise, resolve};
use towpath_host::Host;
use towpath_model::{Config, ConnectorKind, ConnectorName, Plugin, Plugins as _, TargetState};
use towpath_worker::migration::{Arrival, Kept};
use towpath_worker::{Checker, Limits, Reach, Secrets};

use crate::connect_cluster::ConnectCluster;
use crate::failure::{Failure, Result};
use crate::migration_findings;

/// The converters that a connector takes from its worker where it names none.
const INHERITED: [&str; 2] = ["key.converter", "value.converter"];

/// A connector that is taken over.
pub(super) struct Coming {
    pub(super) arrival: Arrival,
    pub(super) is_sink: bool,
    /// Its configuration with its worker's converters.
    pub(super) config: Config,
    /// The topics that it has used.
    pub(super) topics: Vec<Arc<str>>,
}

impl Coming {
    /// One line for people.
    pub(super) fn line(&self) -> String {
        let Arrival { name, file, target, positions, offsets, .. } = &self.arrival;
        let (kind, stands) = match self.is_sink {
            true => ("sink", format!("{} offsets", offsets.len())),
            false => ("source", format!("{} positions", positions.len())),
        };
        let state = match target {
            TargetState::Started => "RUNNING",
            TargetState::Paused => "PAUSED",
            TargetState::Stopped => "STOPPED",
        };
        format!("{name}  {kind}  {stands}  {state}  {file}")
    }
}

/// Gathers them.
pub(super) struct Gatherer<'a> {
    pub(super) cluster: &'a mut ConnectCluster,
    pub(super) plugins: Arc<Host>,
    pub(super) files: PipelineFiles,
    pub(super) findings: Vec<Finding>,
}

impl Gatherer<'_> {
    /// The connectors with these names, or all.
    pub(super) async fn connectors(&mut self, names: &[String]) -> Result<Vec<Coming>> {
        self.cluster.require_topics().await?;
        let read = self.cluster.read().await?;
        self.findings.extend(read.unread.iter().map(migration_findings::unread));
        let mut kept = read.connectors;
        if let Some(unknown) = names.iter().find(|name| !kept.contains_key(&ConnectorName::new(name.as_str()))) {
            let there: Vec<_> = kept.keys().map(ConnectorName::as_str).collect();
            return Err(Failure::input(format!("there is no connector {unknown}; there are: {}", there.join(", "))));
        }
        kept.retain(|name, _| names.is_empty() || names.iter().any(|wanted| wanted == name.as_str()));
        let lives = self.cluster.lives().await?;
        let mut coming = Vec::with_capacity(kept.len());
        for (name, kept) in kept {
            coming.push(self.connector(name, kept, lives).await?);
        }
        Ok(coming)
    }

    async fn connector(&mut self, name: ConnectorName, kept: Kept, lives: bool) -> Result<Coming> {
        let plugin = self.plugins.find(kept.config.get("connector.class").unwrap_or_default()).ok();
        let config = self.with_converters(&name, &kept.config);
        let is_sink = match &plugin {
            Some(plugin) => plugin.spec().kind == ConnectorKind::Sink,
            None => ["topics", "topics.regex"].iter().any(|key| config.get(key).is_some()),
        };
        let mut offsets = BTreeMap::new();
        let mut consumed = false;
        if is_sink {
            let group = self.cluster.group_of(&name, &config).await?;
            (consumed, offsets) = (group.members > 0, group.committed);
        }
        if consumed || lives && kept.target != TargetState::Stopped {
            self.findings.push(migration_findings::running(name.as_str()));
        }
        let (file, stored) = self.files.add(name.as_str(), &config, plugin.as_ref().map(|plugin| plugin.spec()));
        let file = file.display().to_string();
        self.check(&name, &config, &file).await;
        let positions = if is_sink { Vec::new() } else { kept.positions };
        let arrival = Arrival { name, config: stored, file, target: kept.target, positions, offsets };
        if let Some(plugin) = &plugin {
            self.check_positions(plugin.as_ref(), &config, &arrival).await;
        }
        Ok(Coming { arrival, is_sink, config, topics: kept.topics.into_iter().collect() })
    }

    /// A connector that names no converter has its worker's, with the worker's settings of it.
    fn with_converters(&mut self, name: &ConnectorName, config: &Config) -> Config {
        let mut whole = config.clone();
        for key in INHERITED {
            if config.get(key).is_none() && self.cluster.converters.get(key).is_none() {
                self.findings.push(migration_findings::unknown_converter(name.as_str(), key));
            }
        }
        for (key, value) in self.cluster.converters.iter() {
            let mut parts = key.splitn(3, '.');
            let converter: Vec<_> = parts.by_ref().take(2).collect();
            if config.get(&converter.join(".")).is_none() {
                whole.set(key, value);
            }
        }
        whole
    }

    /// What a worker would say of it here.
    async fn check(&mut self, name: &ConnectorName, config: &Config, file: &str) {
        let checker = Checker::new(Arc::clone(&self.plugins) as _, Secrets::default(), Limits::default());
        let mut config = config.clone();
        config.set("name", name.as_str());
        let mut document = Document::of_config(name.as_str(), config);
        document.origin = Origin { file: file.into(), index: 0 };
        document.start.file = file.into();
        let mut found = checker.look(&document);
        if !found.iter().any(|finding| finding.severity == towpath_config::Severity::Error) {
            found.extend(checker.inspect(&document, &Policy::Trusted, Reach::Offline).await.findings);
        }
        self.findings.extend(found);
    }

    /// Whether its plugin can go on from where it stands.
    async fn check_positions(&mut self, plugin: &dyn Plugin, config: &Config, arrival: &Arrival) {
        if arrival.positions.is_empty() {
            return;
        }
        let config = normalise(config, plugin.spec());
        let env = |name: &str| std::env::var(name).ok();
        let answers = Answers::new();
        let providers = Providers { store: None, env: &env, answers: &answers };
        // References that lead nowhere have been found by the checker.
        let Ok(resolved) = resolve(&config, plugin.spec(), &Policy::Trusted, providers) else { return };
        if let Err(error) = plugin.alter_offsets(&resolved.config, &resolved.redactor, &arrival.positions).await {
            let reason = resolved.redactor.redact(&error.to_string()).into_owned();
            self.findings.push(migration_findings::refused_offsets(arrival.name.as_str(), &reason));
        }
    }
}
