//! What a folder says beside what a worker runs, for `diff` and `apply`. The steps are those by which a worker that follows the folder
//! would get there; here the worker may be another one, and its connectors may have been made over REST.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use towpath_config::{Applied, Document, Finding, Reading, Step, has_reference, plan};
use towpath_model::{Config, Plugins, Redactor};
use towpath_rest::v1::Overview;

use crate::client::Client;
use crate::failure::Result;

/// A connector as a worker runs it.
pub(crate) struct Running {
    pub(crate) config: Config,
    /// The file of the worker's own folder that it stands in; none for one made over REST.
    pub(crate) file: Option<String>,
}

/// All connectors of a worker, by name.
pub(crate) type Runs = BTreeMap<String, Running>;

#[derive(Deserialize)]
struct Expanded {
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    config: BTreeMap<String, String>,
}

/// One connector that is not as the folder has it.
#[derive(Serialize)]
pub(crate) struct Difference {
    pub(crate) action: Action,
    pub(crate) connector: String,
    /// Where the folder has it.
    pub(crate) file: Option<PathBuf>,
    /// The keys that differ, without secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) keys: Vec<KeyChange>,
    /// Why it is rejected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) findings: Vec<Finding>,
    /// What it would be given.
    #[serde(skip)]
    pub(crate) document: Option<Document>,
}

/// What would have to be done to the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Create,
    Change,
    Remove,
    Reject,
}

/// The two values of a key.
#[derive(Serialize)]
pub(crate) struct KeyChange {
    key: String,
    running: Option<String>,
    folder: Option<String>,
}

/// Asks a worker what it runs.
pub(crate) async fn running(client: &Client) -> Result<Runs> {
    let expanded: BTreeMap<String, Expanded> = client.get("/connectors?expand=info").await?;
    let overview: Overview = client.get("/v1/status").await?;
    let mut files: BTreeMap<_, _> =
        overview.connectors.into_iter().map(|connector| (connector.name, connector.file)).collect();
    let connector = |(name, expanded): (String, Expanded)| {
        let file = files.remove(&name).flatten();
        (name, Running { config: Config(expanded.info.config), file })
    };
    Ok(expanded.into_iter().map(connector).collect())
}

/// The differences, in the order in which to settle them.
pub(crate) fn differences(reading: &Reading, runs: &Runs, plugins: &dyn Plugins) -> Vec<Difference> {
    let documents: BTreeMap<&str, &Document> =
        reading.documents.iter().map(|document| (document.name.as_str(), document)).collect();
    let applied: Vec<Applied> = runs
        .iter()
        .map(|(name, running)| {
            let document = documents.get(name.as_str());
            let origin = document.map(|document| document.origin.clone()).unwrap_or_default();
            Applied { name: name.clone(), config: comparable(name, running, document.copied()), origin }
        })
        .collect();
    let difference = |step| match step {
        Step::Remove { name, .. } => Some(Difference::new(Action::Remove, name, None)),
        Step::Create { document, .. } => {
            let difference = Difference::new(Action::Create, document.name.clone(), Some(&document));
            Some(Difference { document: Some(document), ..difference })
        }
        Step::Change { document, keys } => {
            let running = runs.get(&document.name).map(|running| &running.config);
            let keys = changes(&keys, running, &document.config, plugins);
            let difference = Difference::new(Action::Change, document.name.clone(), Some(&document));
            Some(Difference { keys, document: Some(document), ..difference })
        }
        Step::Reject { name, file, findings } => {
            let difference = Difference::new(Action::Reject, name, None);
            Some(Difference { file: Some(file), findings, ..difference })
        }
        Step::Move { .. } => None,
    };
    plan(&applied, reading).into_iter().filter_map(difference).collect()
}

/// What runs, with the literal that a document has for a secret in the place of the reference by which the worker keeps it: which value
/// lies there, a worker tells nobody.
fn comparable(name: &str, running: &Running, document: Option<&Document>) -> Config {
    let mut config = running.config.clone();
    let Some(document) = document else { return config };
    for (key, value) in &mut config.0 {
        let literal = document.config.get(key).filter(|literal| !has_reference(literal));
        if let Some(literal) = literal.filter(|_| value.contains(&format!("${{secret:{name}:"))) {
            literal.clone_into(value);
        }
    }
    config
}

fn changes(keys: &[String], running: Option<&Config>, folder: &Config, plugins: &dyn Plugins) -> Vec<KeyChange> {
    let mut redactor = Redactor::default();
    let configs = running.into_iter().chain([folder]);
    for config in configs.clone() {
        if let Some(Ok(plugin)) = config.get("connector.class").map(|class| plugins.find(class)) {
            redactor.add_secrets(plugin.spec(), config);
        }
    }
    let shown = |config: &Config, key: &str| config.get(key).map(|value| redactor.redact(value).into_owned());
    let change = |key: &String| KeyChange {
        key: key.clone(),
        running: running.and_then(|running| shown(running, key)),
        folder: shown(folder, key),
    };
    keys.iter().map(change).collect()
}

impl Difference {
    fn new(action: Action, connector: String, document: Option<&Document>) -> Self {
        let file = document.map(|document| document.origin.file.clone());
        Self { action, connector, file, keys: Vec::new(), findings: Vec::new(), document: None }
    }

    /// The difference in lines: what is to be done, then each key.
    pub(crate) fn lines(&self, runs: &Runs) -> Vec<String> {
        let file = self.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
        let owner = || match runs.get(&self.connector).and_then(|running| running.file.as_ref()) {
            Some(file) => format!("stands in {file} of the worker's folder"),
            None => "was made over REST".to_owned(),
        };
        let (sign, told) = match self.action {
            Action::Create => ('+', format!("new in {file}")),
            Action::Change => ('~', format!("changed in {file}")),
            Action::Remove => ('-', format!("not in the folder; it {}", owner())),
            Action::Reject => ('!', format!("rejected in {file}: what runs goes on")),
        };
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
        let keys = self
            .keys
            .iter()
            .map(|change| format!("    {}: {} -> {}", change.key, value(&change.running), value(&change.folder)));
        let findings = self
            .findings
            .iter()
            .map(|finding| format!("    {}[{}]: {}", finding.severity.name(), finding.code, finding.message));
        std::iter::once(format!("{sign} {}  {told}", self.connector)).chain(keys).chain(findings).collect()
    }
}
