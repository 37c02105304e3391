//! The one checker, for `check`, start-up, reload and REST validate.
//!
//! [`examine`] looks at a flat configuration and speaks Kafka's words, key by key; [`check`] gives its findings places in a
//! document. References to secrets are not resolved here: a value that holds one is taken to be of the right type.

mod framework;
mod transforms;
mod values;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use towpath_model::{Config, ConfigKey, ConnectorKind, Spec, ValueType, passwords};

pub use self::framework::framework_keys;
pub(crate) use self::framework::own_keys;
use crate::finding::{Finding, without_passwords};
use crate::secrets::has_reference;
use crate::words::closest;
use crate::{Document, Severity};

/// A transform or predicate that can be named in `transforms.<alias>.type` or `predicates.<alias>.type`.
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
    /// Predicates.
    pub predicates: Vec<TransformWords>,
    /// Connector classes, for did-you-mean.
    pub connectors: Vec<String>,
}

/// A key with its definition, value and errors: the raw material of Connect's ConfigInfos.
#[derive(Clone, Debug)]
pub struct KeyReport {
    /// The definition.
    pub definition: ConfigKey,
    /// The value, or the default; none for an unset key without one. Literal secrets are hidden, references are shown.
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

/// Prefixes under which any key is taken: settings of clients and of topics to create.
const OPEN_PREFIXES: [&str; 4] = ["topic.creation.", "producer.override.", "consumer.override.", "admin.override."];

/// Examines a configuration (references unresolved) against the framework's keys and, if the plugin is known, its own.
pub fn examine(config: &Config, spec: Option<&Spec>, words: &Vocabulary) -> Examination {
    let mut examiner = Examiner { config, words, spec, known: BTreeSet::new(), out: Examination::default() };
    let kind = spec.map_or_else(|| guessed_kind(config), |spec| spec.kind);
    examiner.class(spec);
    for key in framework_keys(kind) {
        examiner.key(key, true);
    }
    examiner.transforms();
    if kind == ConnectorKind::Sink {
        examiner.topics();
    }
    examiner.boundary();
    for key in spec.map(|spec| spec.keys.as_slice()).unwrap_or_default() {
        if !examiner.known.contains(&key.name) {
            examiner.key(key.clone(), true);
        }
    }
    // Ours are no part of Connect's answers, which clients compare field by field. A plugin may define one of them better.
    for key in own_keys(kind).into_iter().chain(words.converter_keys.iter().cloned()) {
        if !examiner.known.contains(&key.name) {
            examiner.key(key, false);
        }
    }
    if spec.is_some() {
        examiner.unknown_keys();
    }
    examiner.finish()
}

/// The findings of [`examine`] with the place of each in the document.
pub fn check(document: &Document, spec: Option<&Spec>, words: &Vocabulary) -> Vec<Finding> {
    let examination = examine(&document.config, spec, words);
    let from_defaults = |finding: &Finding| {
        finding.code == "config.unknown_key"
            && document.places.get(&finding.path).is_some_and(|place| place.file != document.origin.file)
    };
    // What several files share need not suit each of them.
    let own = examination.findings.into_iter().filter(|finding| !from_defaults(finding));
    own.map(|finding| {
        let place = document.place(&finding.path).clone();
        finding.at(&place).of(&document.name)
    })
    .collect()
}

/// The configuration with aliases replaced by the names that the plugin knows.
pub fn normalise(config: &Config, spec: &Spec) -> Config {
    let mut normal = config.clone();
    for key in &spec.keys {
        for alias in &key.aliases {
            if let Some(value) = normal.0.remove(alias) {
                normal.0.entry(key.name.clone()).or_insert(value);
            }
        }
    }
    normal
}

fn guessed_kind(config: &Config) -> ConnectorKind {
    let sink = config.get("topics").is_some() || config.get("topics.regex").is_some();
    if sink { ConnectorKind::Sink } else { ConnectorKind::Source }
}

struct Examiner<'a> {
    config: &'a Config,
    words: &'a Vocabulary,
    spec: Option<&'a Spec>,
    /// Every key and alias that means something.
    known: BTreeSet<String>,
    out: Examination,
}

impl Examiner<'_> {
    fn class(&mut self, spec: Option<&Spec>) {
        let finding = match (self.config.get("connector.class"), spec) {
            // That the key is missing is said where all keys are looked at.
            (None, _) => return,
            (Some(class), None) => {
                let finding = Finding::error("config.unknown_class", format!("no connector is named {class}"));
                match closest(class, self.words.connectors.iter().map(String::as_str)) {
                    Some(meant) => finding.suggest(format!("Did you mean `{meant}`?")),
                    None => finding.suggest(format!("There are: {}.", self.words.connectors.join(", "))),
                }
            }
            (Some(class), Some(spec)) if spec.kind == ConnectorKind::Transform => {
                let message = format!("{class} is a transform and no connector");
                Finding::error("config.unknown_class", message).suggest("Name it under `transforms.<alias>.type`.")
            }
            _ => return,
        };
        self.out.findings.push(finding.on("connector.class"));
    }

    /// Looks at one key; `reported` says whether it is part of Connect's answer.
    fn key(&mut self, definition: ConfigKey, reported: bool) {
        self.known.insert(definition.name.clone());
        self.known.extend(definition.aliases.iter().cloned());
        let given: Vec<(&str, &str)> = std::iter::once(&definition.name)
            .chain(&definition.aliases)
            .filter_map(|name| self.config.get(name).map(|value| (name.as_str(), value)))
            .collect();
        let (path, value) =
            given.first().copied().map_or((definition.name.as_str(), None), |(path, value)| (path, Some(value)));
        let mut errors = Vec::new();
        let mut findings = Vec::new();
        if let Some((second, _)) = given.get(1) {
            let message = format!("`{second}` is another name of `{path}`, which is set, too");
            findings.push(Finding::error("config.duplicate_key", message).on(*second).suggest("Keep one of the two."));
        }
        match value {
            None if definition.required() => {
                let message =
                    format!("Missing required configuration \"{}\" which has no default value.", definition.name);
                let mut finding = Finding::error("config.missing_key", message.clone()).on(definition.name.clone());
                finding.suggestion = self.misspelt(&definition.name);
                findings.push(finding);
                errors.push(message);
            }
            Some(value) if !has_reference(value) => {
                if let Some(error) =
                    values::fault(&definition, value).or_else(|| self.class_fault(&definition.name, value))
                {
                    let mut finding = Finding::error(error.code, error.message.clone()).on(path);
                    finding.suggestion = error.suggestion;
                    findings.push(finding);
                    errors.push(error.message);
                }
            }
            _ => {}
        }
        let is_hidden = |value: &str| {
            let secret = definition.secret || definition.value_type == ValueType::Password;
            secret && !value.is_empty() && !has_reference(value)
        };
        if value.is_some_and(is_hidden) {
            let message = format!("the value of `{path}` is a secret and stands here for all to read");
            let variable = path.to_uppercase().replace(|character: char| !character.is_ascii_alphanumeric(), "_");
            let hint = format!("Write \"${{env:{variable}}}\" or \"${{file:/path:key}}\" and keep the value there.");
            findings.push(Finding::warning("config.literal_secret", message).on(path).suggest(hint));
        }
        let in_url = |value: &str| !has_reference(value) && passwords(value).next().is_some();
        if value.is_some_and(in_url) {
            let message = format!("the URL in `{path}` holds a password, which stands here for all to read");
            let hint = "Write \"${env:NAME}\" or \"${file:/path:key}\" in its place and keep the value there.";
            findings.push(Finding::warning("config.literal_secret", message).on(path).suggest(hint));
        }
        let shown = value.map(|value| if is_hidden(value) { "[hidden]".to_owned() } else { without_passwords(value) });
        let value = shown.or_else(|| definition.default.clone());
        self.out.findings.append(&mut findings);
        if reported {
            self.note_group(definition.group.as_deref());
            let recommended = definition.valid_values.clone();
            self.out.keys.push(KeyReport { definition, value, recommended, errors });
        }
    }

    fn note_group(&mut self, group: Option<&str>) {
        if let Some(group) = group.filter(|group| !self.out.groups.iter().any(|known| known == group)) {
            self.out.groups.push(group.to_owned());
        }
    }

    /// A key of the configuration that is probably the missing one.
    fn misspelt(&self, missing: &str) -> Option<String> {
        let known = |key: &str| {
            self.known.contains(key) || self.spec.is_some_and(|spec| spec.keys.iter().any(|own| own.name == key))
        };
        let candidates = self.config.iter().map(|(key, _)| key).filter(|key| !known(key));
        closest(missing, candidates).map(|typed| format!("There is `{typed}`; was `{missing}` meant?"))
    }

    fn class_fault(&self, key: &str, value: &str) -> Option<values::Fault> {
        let known = match key {
            "key.converter" | "value.converter" => &self.words.converters,
            "header.converter" => &self.words.header_converters,
            _ => return None,
        };
        if known.is_empty() || known.iter().any(|name| name == value) {
            return None;
        }
        let suggestion = match closest(value, known.iter().map(String::as_str)) {
            Some(meant) => format!("Did you mean `{meant}`?"),
            None => format!("There are: {}.", known.join(", ")),
        };
        let message = format!("Invalid value {value} for configuration {key}: Class {value} could not be found.");
        Some(values::Fault { code: "config.unknown_converter", message, suggestion: Some(suggestion) })
    }

    fn topics(&mut self) {
        let set = |key: &str| self.config.get(key).is_some_and(|value| !value.trim().is_empty());
        let message = match (set("topics"), set("topics.regex")) {
            (false, false) => "Must configure one of topics or topics.regex",
            (true, true) => "topics and topics.regex are mutually exclusive options, but both are set.",
            _ => return,
        };
        // Connect lists the fault at both keys.
        for key in
            self.out.keys.iter_mut().filter(|key| matches!(key.definition.name.as_str(), "topics" | "topics.regex"))
        {
            key.errors.push(message.to_owned());
        }
        let mut finding = Finding::error("config.topics", message).on("topics");
        finding.suggestion = self.misspelt("topics").or_else(|| self.misspelt("topics.regex"));
        self.out.findings.push(finding);
    }

    /// Only some sources say where transactions end.
    fn boundary(&mut self) {
        const KEY: &str = "transaction.boundary";
        let asked = self.config.get(KEY).is_some_and(|value| value.eq_ignore_ascii_case("connector"));
        let Some(spec) = self.spec.filter(|spec| asked && spec.kind == ConnectorKind::Source) else { return };
        if spec.defines_transactions {
            return;
        }
        let message = "The connector does not support connector-defined transaction boundaries with the given configuration. \
            Please reconfigure it to use a different transaction boundary definition.";
        if let Some(key) = self.out.keys.iter_mut().find(|key| key.definition.name == KEY) {
            key.errors.push(message.to_owned());
        }
        let finding = Finding::error("config.invalid_value", message).on(KEY);
        self.out.findings.push(finding.suggest("Use `poll`, or `interval` for larger ones."));
    }

    fn unknown_keys(&mut self) {
        let open: Vec<&str> = OPEN_PREFIXES
            .into_iter()
            .chain(self.spec.into_iter().flat_map(|spec| spec.open_prefixes.iter().map(String::as_str)))
            .collect();
        let unknown = self.config.iter().map(|(key, _)| key).filter(|key| {
            !self.known.contains(*key)
                && !key.starts_with("transforms.")
                && !key.starts_with("predicates.")
                && !open.iter().any(|prefix| key.starts_with(prefix))
        });
        let plugin = self.spec.map_or("the connector", |spec| spec.name.as_str());
        let findings: Vec<_> = unknown
            .map(|key| {
                let mut finding =
                    Finding::warning("config.unknown_key", format!("`{key}` is no key of {plugin} and is ignored"))
                        .on(key);
                finding.suggestion =
                    closest(key, self.known.iter().map(String::as_str)).map(|meant| format!("Did you mean `{meant}`?"));
                finding
            })
            .collect();
        self.out.findings.extend(findings);
    }

    fn finish(mut self) -> Examination {
        // One finding for a key and code is enough, whoever found it.
        let mut seen: BTreeMap<(String, Cow<'static, str>), ()> = BTreeMap::new();
        self.out.findings.retain(|finding| seen.insert((finding.path.clone(), finding.code.clone()), ()).is_none());
        self.out.findings.sort_by_key(|finding| match finding.severity {
            Severity::Error => 0,
            Severity::Warning => 1,
            Severity::Note => 2,
        });
        self.out
    }
}
