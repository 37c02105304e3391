//! The settings under `transforms.<alias>.` and `predicates.<alias>.`, which Connect treats alike.

use std::collections::BTreeSet;

use towpath_model::{ConfigKey, Importance, ValueType, Width};

use super::{Examiner, TransformWords};
use crate::finding::Finding;
use crate::words::closest;

/// What an alias stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Transform,
    Predicate,
}

impl Family {
    /// The key that lists the aliases, and the first part of their settings.
    fn list(self) -> &'static str {
        match self {
            Self::Transform => "transforms",
            Self::Predicate => "predicates",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Transform => "transform",
            Self::Predicate => "predicate",
        }
    }

    /// Connect's words for it: in forms, in texts, in names of groups.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Transform => ("Transformation", "transformation", "Transforms"),
            Self::Predicate => ("Predicate", "predicate", "Predicates"),
        }
    }

    fn unknown(self) -> &'static str {
        match self {
            Self::Transform => "config.unknown_transform",
            Self::Predicate => "config.unknown_predicate",
        }
    }

    fn unlisted(self) -> &'static str {
        match self {
            Self::Transform => "config.unlisted_transform",
            Self::Predicate => "config.unlisted_predicate",
        }
    }
}

impl<'a> Examiner<'a> {
    pub(super) fn transforms(&mut self) {
        for family in [Family::Transform, Family::Predicate] {
            let mut seen = BTreeSet::new();
            for alias in self.config.list(family.list()).filter(|alias| seen.insert(*alias)) {
                self.stage(family, alias);
            }
            self.strays(family);
        }
        for alias in self.config.list("transforms") {
            self.condition(alias);
        }
    }

    /// Settings of what is not listed do nothing, which is seldom meant.
    fn strays(&mut self, family: Family) {
        let list = family.list();
        let aliases: BTreeSet<&str> = self.config.list(list).collect();
        let prefix = format!("{list}.");
        let stray: BTreeSet<&str> = self
            .config
            .with_prefix(&prefix)
            .filter_map(|(rest, _)| rest.split_once('.').map(|(alias, _)| alias))
            .filter(|alias| !aliases.contains(alias))
            .collect();
        for alias in stray {
            let path = self.config.iter().map(|(key, _)| key).find(|key| key.starts_with(&format!("{prefix}{alias}.")));
            let message = format!("the {} {alias} has settings and is not listed in `{list}`", family.noun());
            let mut finding = Finding::warning(family.unlisted(), message).on(path.unwrap_or_default());
            finding.suggestion = Some(match (closest(alias, aliases.iter().copied()), family) {
                (Some(meant), _) => format!("Did you mean `{meant}`?"),
                (None, Family::Transform) => {
                    format!("Add {alias} to `transforms`, in the place where it is to run.")
                }
                (None, Family::Predicate) => format!("Add {alias} to `predicates`."),
            });
            self.out.findings.push(finding);
        }
    }

    fn stage(&mut self, family: Family, alias: &str) {
        let (kind, noun, group) = family.names();
        let group = format!("{group}: {alias}");
        let prefix = format!("{}.{alias}.", family.list());
        let define = |order: i32, definition: ConfigKey| ConfigKey { order, group: Some(group.clone()), ..definition };
        let type_key = format!("{prefix}type");
        let class = plain(&type_key, ValueType::Class, Importance::High, format!("Class for the '{alias}' {noun}."));
        let display_name = format!("{kind} type for {alias}");
        self.key(define(0, ConfigKey { width: Width::Long, display_name, optional: false, ..class }), true);
        let version_key = format!("{prefix}plugin.version");
        let doc = format!("Version of the '{alias}' {noun}.");
        let version = plain(&version_key, ValueType::String, Importance::High, doc);
        let display_name = format!("{kind} version for {alias}");
        self.key(define(1, ConfigKey { width: Width::Long, display_name, ..version }), true);
        let mut order = 2;
        if family == Family::Transform {
            let doc = "The alias of a predicate used to determine whether to apply this transformation.";
            let name = format!("{prefix}predicate");
            self.key(define(2, plain(&name, ValueType::String, Importance::Medium, doc.into())), true);
            let doc = "Whether the configured predicate should be negated.";
            let name = format!("{prefix}negate");
            let negate = plain(&name, ValueType::Boolean, Importance::Medium, doc.into());
            self.key(define(3, ConfigKey { default: Some("false".into()), ..negate }), true);
            order = 4;
        }
        let Some(class) = self.config.get(&type_key) else { return };
        if class.ends_with(".wasm") && family == Family::Transform {
            // A component named by its path is looked at when it is loaded.
            let own = self.config.iter().map(|(key, _)| key).filter(|key| key.starts_with(&prefix));
            self.known.extend(own.map(str::to_owned));
            return;
        }
        let unversioned = class.split('@').next().unwrap_or(class);
        let named = |name: &String| name == class || name == unversioned;
        let words = self.words_of(family);
        let Some(found) = words.iter().find(|known| known.names.iter().any(named)) else {
            self.unknown_type(family, &type_key, class);
            return;
        };
        for (key, order) in found.keys.iter().zip(order..) {
            let name = format!("{prefix}{}", key.name);
            let aliases = key.aliases.iter().map(|other| format!("{prefix}{other}")).collect();
            self.key(define(order, ConfigKey { name, aliases, ..key.clone() }), true);
        }
        let is_open = |key: &str| found.open_prefixes.iter().any(|open| key[prefix.len()..].starts_with(open.as_str()));
        let unknown = self.config.iter().map(|(key, _)| key);
        let unknown = unknown.filter(|key| key.starts_with(&prefix) && !self.known.contains(*key) && !is_open(key));
        let findings = unknown.map(|key| {
            let message = format!("`{key}` is no key of the {} {class} and is ignored", family.noun());
            let mut finding = Finding::warning("config.unknown_key", message).on(key);
            let conditions = ["predicate", "negate"].into_iter().filter(|_| family == Family::Transform);
            let candidates = found.keys.iter().map(|known| known.name.as_str()).chain(conditions);
            finding.suggestion =
                closest(&key[prefix.len()..], candidates).map(|meant| format!("Did you mean `{prefix}{meant}`?"));
            finding
        });
        let findings: Vec<_> = findings.collect();
        self.out.findings.extend(findings);
    }

    /// A condition that is passed over would let records through that were not meant.
    fn condition(&mut self, alias: &str) {
        let (predicate, negate) = (format!("transforms.{alias}.predicate"), format!("transforms.{alias}.negate"));
        let Some(wanted) = self.config.get(&predicate) else {
            if self.config.get(&negate).is_some() {
                let message = format!(
                    "Config '{negate}' was provided but there is no config '{predicate}' defining a predicate to be negated."
                );
                self.refuse(&negate, Finding::error("config.invalid_value", message));
            }
            return;
        };
        if self.config.list("predicates").any(|listed| listed == wanted) {
            return;
        }
        let message = format!("`{predicate}` names the predicate {wanted}, which is not listed in `predicates`");
        let meant = closest(wanted, self.config.list("predicates"));
        let hint = match meant {
            Some(meant) => format!("Did you mean `{meant}`?"),
            None => format!("Add {wanted} to `predicates`, and its class as `predicates.{wanted}.type`."),
        };
        self.refuse(&predicate, Finding::error("config.unknown_predicate", message).suggest(hint));
    }

    fn words_of(&self, family: Family) -> &'a [TransformWords] {
        match family {
            Family::Transform => &self.words.transforms,
            Family::Predicate => &self.words.predicates,
        }
    }

    fn unknown_type(&mut self, family: Family, key: &str, class: &str) {
        let words = self.words_of(family);
        let names = words.iter().flat_map(|known| known.names.iter().map(String::as_str));
        let suggestion = match closest(class, names) {
            Some(meant) => format!("Did you mean `{meant}`?"),
            None => {
                let short: Vec<_> = words.iter().filter_map(|known| known.names.first()).cloned().collect();
                format!("There are: {}.", short.join(", "))
            }
        };
        let message = format!("Invalid value {class} for configuration {key}: Class {class} could not be found.");
        self.refuse(key, Finding::error(family.unknown(), message).suggest(suggestion));
    }

    /// Notes a fault of a key, for the findings and for Connect's answer.
    fn refuse(&mut self, key: &str, finding: Finding) {
        if let Some(report) = self.out.keys.iter_mut().find(|report| report.definition.name == key) {
            report.errors.push(finding.message.clone());
        }
        self.out.findings.push(finding.on(key));
    }
}

/// A key that may be left out.
fn plain(name: &str, value_type: ValueType, importance: Importance, doc: String) -> ConfigKey {
    ConfigKey {
        name: name.to_owned(),
        value_type,
        default: None,
        optional: true,
        importance,
        doc,
        group: None,
        order: 0,
        width: Width::None,
        display_name: name.to_owned(),
        dependents: Vec::new(),
        valid_values: Vec::new(),
        aliases: Vec::new(),
        secret: false,
        endpoint: None,
    }
}
