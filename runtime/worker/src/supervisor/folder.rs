//! The folder: makes the connectors that files own be what the files say, one step at a time.
//!
//! A bad file keeps the last good configuration and is shown as rejected. A removed file stops its connector and keeps its
//! offsets. Files removed while the worker was down are found by comparing with what the log says, at the first application.

use std::path::PathBuf;

use towpath_config::{
    Applied as Running, Document, Finding, Origin, Reading, Severity, Step, examine, plan, withhold_literals,
};
use towpath_log::Commit;
use towpath_model::{ConnectorKind, ConnectorName, Spec, TargetState};

use super::connector::with_name;
use super::driver::Supervisor;
use super::machine::Event;
use super::start;
use crate::answers::Owner;
use crate::checker::Checker;
use crate::error::Result;
use crate::folder::Applied;
use crate::plan::vocabulary;
use crate::store::{Ownership, Stored};

impl Supervisor {
    /// Applies a reading of the folder.
    pub(super) async fn apply(&mut self, mut reading: Reading) -> Result<Applied> {
        let (secrets, limits) = (self.config.secrets.clone(), self.config.limits.clone());
        let checker = Checker::new(self.shared.plugins.clone(), secrets, limits);
        reading.check_with(|document| checker.look(document));
        self.refuse_names_of_the_api(&mut reading);
        self.withhold_literals(&mut reading);
        let accepted = reading.documents.iter().filter(|document| !document.rejected);
        self.documents =
            accepted.map(|document| (ConnectorName::new(document.name.as_str()), document.clone())).collect();
        let steps = plan(&self.running(), &reading);
        let rejected = self.connectors.values_mut();
        let rejected: Vec<_> = rejected.filter_map(|known| known.rejected.take().map(|_| known.name.clone())).collect();
        for step in &steps {
            self.step(step).await?;
        }
        rejected.iter().for_each(|name| self.publish(name));
        self.let_go();
        self.resolve_again();
        Ok(Applied { steps, findings: reading.findings })
    }

    /// The connectors that files own, as they run.
    fn running(&self) -> Vec<Running> {
        let of_file = self.connectors.values().filter(|connector| !connector.deleting).filter_map(|connector| {
            let Owner::File { path } = &connector.stored.owner.owner else { return None };
            let origin = Origin { file: PathBuf::from(path), index: connector.stored.owner.index };
            let (name, config) = (connector.name.to_string(), connector.stored.config.clone());
            Some(Running { name, config, origin })
        });
        of_file.collect()
    }

    /// Secrets that stand in files are kept where others are: what is stored and shown refers to them.
    fn withhold_literals(&self, reading: &mut Reading) {
        let Some(store) = &self.config.secrets.store else { return };
        let mut findings = Vec::new();
        for document in reading.documents.iter_mut().filter(|document| !document.rejected) {
            let class = document.config.get("connector.class").unwrap_or_default();
            let Ok(plugin) = self.shared.plugins.find(class) else { continue };
            if let Err(error) = withhold_literals(&document.name, &mut document.config, plugin.spec(), store) {
                // Applied as it is, the secret would be written to the log in clear.
                document.rejected = true;
                let finding = Finding::new(Severity::Error, "config.secret_store", chain(&error));
                findings.push(finding.at(&document.start).of(&document.name));
            }
        }
        reading.findings.extend(findings);
    }

    /// A file cannot take over a connector that was made over REST.
    fn refuse_names_of_the_api(&self, reading: &mut Reading) {
        let mut findings = Vec::new();
        for document in &mut reading.documents {
            let known = self.connectors.get(&ConnectorName::new(document.name.as_str()));
            if known.is_some_and(|known| !known.deleting && known.stored.owner.owner == Owner::Api) {
                document.rejected = true;
                let message =
                    format!("connector {} was created over REST and is not the folder's to change", document.name);
                let finding = Finding::new(Severity::Error, "worker.owned_by_api", message);
                let hint = "Delete it over REST first, or give this one another name.";
                findings.push(finding.at(&document.start).of(&document.name).suggest(hint));
            }
        }
        reading.findings.extend(findings);
    }

    async fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Remove { name, file } => self.removed(&ConnectorName::new(name.as_str()), file).await,
            Step::Create { document, renamed_from } => {
                if let Some(before) = renamed_from {
                    tracing::warn!(
                        connector = document.name,
                        before,
                        "a renamed file is a new connector and starts anew"
                    );
                }
                self.put_document(document).await
            }
            Step::Change { document, keys } => {
                tracing::info!(connector = document.name, ?keys, "configuration changed");
                self.put_document(document).await
            }
            Step::Move { name, to, .. } => {
                let name = ConnectorName::new(name.as_str());
                let Some(connector) = self.connectors.get_mut(&name) else { return Ok(()) };
                connector.stored.owner = ownership(to);
                let stored = connector.stored.clone();
                self.configs.put(&name, &stored, Commit::default()).await?;
                self.publish(&name);
                Ok(())
            }
            Step::Reject { name, findings, .. } => {
                let name = ConnectorName::new(name.as_str());
                let first = findings.iter().find(|finding| finding.severity == Severity::Error).or(findings.first());
                let reason = first.map(described).unwrap_or_default();
                tracing::error!(connector = %name, "config rejected: {reason}");
                if let Some(connector) = self.connectors.get_mut(&name) {
                    connector.rejected = Some(reason);
                    self.publish(&name);
                }
                Ok(())
            }
        }
    }

    async fn put_document(&mut self, document: &Document) -> Result<()> {
        let name = ConnectorName::new(document.name.as_str());
        let known = self.connectors.get(&name).filter(|connector| !connector.deleting);
        let (target, tasks) =
            known.map_or((TargetState::Started, 0), |known| (known.machine.target(), known.stored.tasks));
        let config = with_name(&document.config, &name);
        self.configure(&name, Stored { config, owner: ownership(&document.origin), target, tasks }, None).await
    }

    async fn removed(&mut self, name: &ConnectorName, file: &std::path::Path) -> Result<()> {
        let Some(connector) = self.connectors.get(name) else { return Ok(()) };
        let kind = connector.plugin.as_ref().map(|plugin| plugin.spec().kind);
        if kind == Some(ConnectorKind::Source) {
            tracing::warn!(
                connector = %name, file = %file.display(),
                "its file is gone: the connector stops and its offsets stay. What it keeps in the source system stays as well: \
                 a replication slot goes on retaining WAL until it is dropped"
            );
        } else {
            tracing::info!(connector = %name, file = %file.display(), "its file is gone: the connector stops and its offsets stay");
        }
        self.delete(name).await
    }

    /// Starts what was held back until now and is still wanted.
    fn let_go(&mut self) {
        let held = self
            .connectors
            .values_mut()
            .filter_map(|connector| std::mem::take(&mut connector.held).then(|| connector.name.clone()));
        for name in held.collect::<Vec<_>>() {
            self.on(&name, Event::Configured);
        }
    }

    /// Secrets may have changed: connectors whose configuration now resolves to something else are planned anew.
    fn resolve_again(&mut self) {
        let mut changed = Vec::new();
        for connector in self.connectors.values().filter(|connector| !connector.deleting && !connector.is_stopped()) {
            let Some(planned) = &connector.planned else { continue };
            let resolved = start::resolved(&connector.stored, planned, &self.config.secrets);
            // A secret that cannot be read at the moment is no reason to stop what runs.
            if resolved.is_some_and(|resolved| resolved.config != planned.resolved) && connector.machine.is_planned() {
                changed.push(connector.name.clone());
            }
        }
        for name in changed {
            tracing::info!(connector = %name, "a secret changed");
            self.on(&name, Event::Configured);
        }
    }

    /// A plugin was added or replaced: connectors that pin no version take it, if it accepts their configuration.
    pub(super) fn plugins_changed(&mut self) {
        let words = vocabulary(self.shared.plugins.as_ref());
        let names: Vec<_> = self.connectors.keys().cloned().collect();
        for name in names {
            let Some(connector) = self.connectors.get_mut(&name) else { continue };
            let class = connector.stored.config.get("connector.class").unwrap_or_default();
            let Ok(plugin) = self.shared.plugins.find(class) else { continue };
            let known = connector.plugin.as_ref().map(|known| known.digest().to_owned());
            if connector.deleting || connector.pins_its_plugin() || known.as_deref() == Some(plugin.digest()) {
                continue;
            }
            match refusal(connector.stored.config.clone(), plugin.spec(), &words) {
                Some(reason) => {
                    connector.notes =
                        vec![format!("plugin {} {} refuses it: {reason}", plugin.spec().name, plugin.spec().version)];
                    self.publish(&name);
                }
                None => {
                    connector.plugin = Some(plugin);
                    connector.notes.clear();
                    self.on(&name, Event::Configured);
                }
            }
        }
    }
}

fn refusal(config: towpath_model::Config, spec: &Spec, words: &towpath_config::Vocabulary) -> Option<String> {
    let examination = examine(&config, Some(spec), words);
    let error = examination.findings.into_iter().find(|finding| finding.severity == Severity::Error)?;
    Some(error.message)
}

/// An error with its cause.
fn chain(error: &towpath_config::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn ownership(origin: &Origin) -> Ownership {
    Ownership { owner: Owner::File { path: origin.file.to_string_lossy().into_owned() }, index: origin.index }
}

fn described(finding: &Finding) -> String {
    let file = finding.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
    let hint = finding.suggestion.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{file}:{}:{}: {}{hint}", finding.line, finding.column, finding.message)
}
