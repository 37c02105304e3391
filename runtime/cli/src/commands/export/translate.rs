//! From a connector of ours to one that a worker of Connect understands: Java's names, and no reference that only we resolve.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use towpath_config::{Answers, Finding, Policy, Providers, SecretStore, has_reference, resolve};
use towpath_convert::in_java;
use towpath_host::{Host, java_class};
use towpath_log::{Embedded, GroupOffsets as _};
use towpath_model::{Config, ConnectorKind, ConnectorName, Plugins as _, Spec, TopicPartition};
use towpath_worker::migration::Kept;

use crate::connect_cluster::group_id;
use crate::failure::{Failure, Result};
use crate::{migration_findings, storage};

/// How a secret of the worker's own store is referred to.
const STORED: &str = "${secret:";

/// A connector that goes.
pub(super) struct Going {
    pub(super) name: ConnectorName,
    /// As Connect is to have it.
    pub(super) kept: Kept,
    /// Where its sink stands in our offsets.
    pub(super) offsets: BTreeMap<TopicPartition, i64>,
    pub(super) is_sink: bool,
}

impl Going {
    /// One line for people.
    pub(super) fn line(&self) -> String {
        let stands = match self.is_sink {
            true => format!("sink  {} offsets", self.offsets.len()),
            false => format!("source  {} positions", self.kept.positions.len()),
        };
        format!("{}  {stands}", self.name)
    }
}

/// Translates connectors of one data directory.
pub(super) struct Translator {
    plugins: Arc<Host>,
    secrets: SecretStore,
}

impl Translator {
    pub(super) fn new(plugins: Arc<Host>, data_dir: &Path) -> Result<Self> {
        let secrets = SecretStore::open(&storage::secrets_file(data_dir)).map_err(Failure::environment)?;
        Ok(Self { plugins, secrets })
    }

    /// The connector as it goes, with where it stands.
    pub(super) fn going(
        &self,
        log: &Embedded,
        name: ConnectorName,
        mut kept: Kept,
        found: &mut Vec<Finding>,
    ) -> Result<Going> {
        let class = kept.config.get("connector.class").unwrap_or_default().to_owned();
        let plugin = self.plugins.find(&class).ok();
        let spec = plugin.as_ref().map(|plugin| plugin.spec());
        let is_sink = match spec {
            Some(spec) => spec.kind == ConnectorKind::Sink,
            None => kept.config.get("topics").or(kept.config.get("topics.regex")).is_some(),
        };
        let mut config = in_java(&kept.config);
        // What is named as in Java is left as it is.
        if !class.contains('.') || class.starts_with("./") {
            match spec.and_then(|spec| java_class(&spec.name)) {
                Some(java) => config.set("connector.class", java),
                None => found.push(migration_findings::no_java_class(name.as_str(), &class)),
            }
        }
        if let Some(spec) = spec {
            self.reveal(&name, &mut config, spec, found)?;
        }
        if config.iter().any(|(_, value)| has_reference(value)) {
            found.push(migration_findings::references(name.as_str()));
        }
        kept.config = config;
        let offsets = log.group_offsets(&format!("connect-{name}")).into_iter();
        let offsets = offsets.filter_map(|known| Some((known.partition, known.offset?))).collect();
        Ok(Going { name, kept, offsets, is_sink })
    }

    /// Puts secrets of the worker's own store in the place of references to them, for nobody else can follow these.
    fn reveal(&self, name: &ConnectorName, config: &mut Config, spec: &Spec, found: &mut Vec<Finding>) -> Result<()> {
        let stored: Vec<_> = config.iter().filter(|(_, value)| value.contains(STORED)).collect();
        let stored: Config = stored.into_iter().chain([("name", name.as_str())]).collect();
        if stored.iter().count() == 1 {
            return Ok(());
        }
        let answers = Answers::new();
        let providers = Providers { store: Some(&self.secrets), env: &|_| None, answers: &answers };
        let resolved = resolve(&stored, spec, &Policy::Trusted, providers);
        let resolved = resolved
            .map_err(|errors| Failure::input(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
        for (key, value) in resolved.config.iter() {
            config.set(key, value);
        }
        found.push(migration_findings::revealed(name.as_str()));
        Ok(())
    }
}

/// The group that a sink of Connect commits to.
pub(super) fn group_of(going: &Going) -> String {
    group_id(&going.name, &going.kept.config)
}
