//! The settings under `transforms.<alias>.`.

use std::collections::BTreeSet;

use towpath_model::{ConfigKey, Importance, ValueType, Width};

use super::Examiner;
use crate::finding::Finding;
use crate::words::closest;

impl Examiner<'_> {
    pub(super) fn transforms(&mut self) {
        let aliases: BTreeSet<&str> = self.config.list("transforms").collect();
        for alias in self.config.list("transforms") {
            self.transform(alias);
        }
        // Settings of a transform that is not listed do nothing, which is seldom meant.
        let stray: BTreeSet<&str> = self
            .config
            .with_prefix("transforms.")
            .filter_map(|(rest, _)| rest.split_once('.').map(|(alias, _)| alias))
            .filter(|alias| !aliases.contains(alias))
            .collect();
        for alias in stray {
            let path =
                self.config.iter().map(|(key, _)| key).find(|key| key.starts_with(&format!("transforms.{alias}.")));
            let message = format!("the transform {alias} has settings and is not listed in `transforms`");
            let mut finding = Finding::warning("config.unlisted_transform", message).on(path.unwrap_or_default());
            finding.suggestion = Some(match closest(alias, aliases.iter().copied()) {
                Some(meant) => format!("Did you mean `{meant}`?"),
                None => format!("Add {alias} to `transforms`, in the place where it is to run."),
            });
            self.out.findings.push(finding);
        }
        if let Some(predicates) = self.config.get("predicates").filter(|list| !list.trim().is_empty()) {
            let message = format!("predicates ({predicates}) are not known to this version");
            self.out.findings.push(Finding::error("config.predicates", message).on("predicates"));
        }
    }

    fn transform(&mut self, alias: &str) {
        let type_key = format!("transforms.{alias}.type");
        let definition = ConfigKey {
            name: type_key.clone(),
            value_type: ValueType::Class,
            default: None,
            optional: false,
            importance: Importance::High,
            doc: format!("Class for the '{alias}' transformation."),
            group: Some(format!("Transforms: {alias}")),
            order: 0,
            width: Width::Long,
            display_name: format!("Transformation type for {alias}"),
            dependents: Vec::new(),
            valid_values: Vec::new(),
            aliases: Vec::new(),
            secret: false,
            endpoint: None,
        };
        self.key(definition, true);
        let Some(class) = self.config.get(&type_key) else { return };
        if class.ends_with(".wasm") {
            // A component named by its path is looked at when it is loaded.
            let own =
                self.config.iter().map(|(key, _)| key).filter(|key| key.starts_with(&format!("transforms.{alias}.")));
            self.known.extend(own.map(str::to_owned));
            return;
        }
        let unversioned = class.split('@').next().unwrap_or(class);
        let named = |name: &String| name == class || name == unversioned;
        let Some(transform) = self.words.transforms.iter().find(|transform| transform.names.iter().any(named)) else {
            self.unknown_transform(&type_key, class);
            return;
        };
        let prefix = format!("transforms.{alias}.");
        for key in &transform.keys {
            let name = format!("{prefix}{}", key.name);
            let aliases = key.aliases.iter().map(|other| format!("{prefix}{other}")).collect();
            self.key(ConfigKey { name, aliases, group: Some(format!("Transforms: {alias}")), ..key.clone() }, true);
        }
        let unknown: Vec<&str> = self
            .config
            .iter()
            .map(|(key, _)| key)
            .filter(|key| key.starts_with(&prefix) && !self.known.contains(*key))
            .filter(|key| !transform.open_prefixes.iter().any(|open| key[prefix.len()..].starts_with(open.as_str())))
            .collect();
        for key in unknown {
            // A condition that is passed over would let records through that were not meant: that is no warning.
            let is_condition = matches!(&key[prefix.len()..], "predicate" | "negate");
            let finding = if is_condition {
                Finding::error("config.predicates", format!("`{key}`: predicates are not known to this version"))
            } else {
                Finding::warning(
                    "config.unknown_key",
                    format!("`{key}` is no key of the transform {class} and is ignored"),
                )
            };
            let mut finding = finding.on(key);
            let candidates = transform.keys.iter().map(|known| known.name.as_str());
            finding.suggestion = closest(&key[prefix.len()..], candidates)
                .filter(|_| !is_condition)
                .map(|meant| format!("Did you mean `{prefix}{meant}`?"));
            self.out.findings.push(finding);
        }
    }

    fn unknown_transform(&mut self, key: &str, class: &str) {
        let names = || self.words.transforms.iter().flat_map(|transform| transform.names.iter().map(String::as_str));
        let suggestion = match closest(class, names()) {
            Some(meant) => format!("Did you mean `{meant}`?"),
            None => {
                let short: Vec<_> =
                    self.words.transforms.iter().filter_map(|transform| transform.names.first()).cloned().collect();
                format!("There are: {}.", short.join(", "))
            }
        };
        let message = format!("Invalid value {class} for configuration {key}: Class {class} could not be found.");
        if let Some(report) = self.out.keys.iter_mut().find(|report| report.definition.name == key) {
            report.errors.push(message.clone());
        }
        self.out.findings.push(Finding::error("config.unknown_transform", message).on(key).suggest(suggestion));
    }
}
