//! A document: one connector as the user wrote it, with the place of each key.
//!
//! Nesting is sugar: nested keys join with dots, lists of scalars with commas. Connect's `{"name": …, "config": {…}}` is
//! the same thing in another dress.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use towpath_model::Config;

use crate::finding::Finding;
use crate::parse::{Key, Node, Value};

/// Where a document stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The file, relative to the folder.
    pub file: PathBuf,
    /// Its place among the documents of the file, from 0.
    pub index: usize,
}

/// A position in a file, from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, relative to the folder; keys may come from `defaults.yaml`.
    pub file: PathBuf,
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

/// One connector as it is written, references unresolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The connector's name.
    pub name: String,
    /// Whether the document states the name itself; otherwise it is the file's stem.
    pub named: bool,
    /// The flat configuration, `name` included, defaults merged, references unresolved.
    pub config: Config,
    /// Where it stands. For a config that came over REST, the default.
    pub origin: Origin,
    /// Where the document begins.
    pub start: Place,
    /// Where each key stands.
    pub places: BTreeMap<String, Place>,
    /// Whether an error was found in it, so that it must not be applied.
    pub rejected: bool,
}

impl Document {
    /// A document that was not read from a file.
    pub fn of_config(name: &str, config: Config) -> Self {
        Self { name: name.to_owned(), named: true, config, ..Self::default() }
    }

    /// The place of a key, or of the document where the key is not in it.
    pub fn place(&self, key: &str) -> &Place {
        self.places.get(key).unwrap_or(&self.start)
    }
}

/// A map of a file, flattened.
#[derive(Debug, Default)]
pub(crate) struct Flat {
    pub(crate) config: Config,
    pub(crate) places: BTreeMap<String, Place>,
    pub(crate) findings: Vec<Finding>,
}

impl Flat {
    /// Flattens a document; what stands beside `config` in Connect's form is taken care of.
    pub(crate) fn of(node: &Node, file: &Path) -> Self {
        let mut flat = Self::default();
        let Value::Map(entries) = &node.value else {
            let place = Place { file: file.to_owned(), line: node.line, column: node.column };
            flat.findings.push(
                Finding::error("config.not_a_map", "a connector is a map of keys and values, and this is none")
                    .at(&place),
            );
            return flat;
        };
        let wrapped = entries.iter().find(|(key, node)| key.text == "config" && matches!(node.value, Value::Map(_)));
        let beside = |key: &Key| matches!(key.text.as_str(), "name" | "config" | "initial_state");
        match wrapped {
            Some((_, Node { value: Value::Map(inner), .. })) if entries.iter().all(|(key, _)| beside(key)) => {
                for (key, node) in entries.iter().filter(|(key, _)| key.text == "name") {
                    flat.enter("", key, node, file);
                }
                let named = flat.config.get("name").map(str::to_owned);
                for (key, node) in inner {
                    // Connect wants a name that is given twice to be the same one.
                    let same = matches!((&node.value, &named), (Value::Scalar(text), Some(name)) if text == name);
                    if !(key.text == "name" && same) {
                        flat.enter("", key, node, file);
                    }
                }
            }
            _ => entries.iter().for_each(|(key, node)| flat.enter("", key, node, file)),
        }
        flat
    }

    fn enter(&mut self, prefix: &str, key: &Key, node: &Node, file: &Path) {
        let place = Place { file: file.to_owned(), line: key.line, column: key.column };
        if key.text.is_empty() {
            self.findings.push(Finding::error("config.empty_key", "a key is empty").at(&place));
            return;
        }
        let path = if prefix.is_empty() { key.text.clone() } else { format!("{prefix}.{}", key.text) };
        match &node.value {
            Value::Map(entries) => entries.iter().for_each(|(key, node)| self.enter(&path, key, node, file)),
            Value::Scalar(text) => self.set(path, text.clone(), place),
            Value::Null => self.findings.push(
                Finding::warning("config.no_value", format!("`{path}` has no value, so it is not set"))
                    .on(path)
                    .at(&place)
                    .suggest("Write \"\" for an empty text, or take the line out."),
            ),
            Value::List(items) => {
                if let Some(list) = self.list(&path, items, file) {
                    self.set(path, list, place);
                }
            }
        }
    }

    fn list(&mut self, path: &str, items: &[Node], file: &Path) -> Option<String> {
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            let place = Place { file: file.to_owned(), line: item.line, column: item.column };
            match &item.value {
                Value::Scalar(text) if text.contains(',') => {
                    let finding =
                        Finding::error("config.comma_in_list", format!("an item of `{path}` has a comma in it"));
                    let hint = "Commas divide the items of a list. Write the whole list as one text if that is meant.";
                    self.findings.push(finding.on(path).at(&place).suggest(hint));
                    return None;
                }
                Value::Scalar(text) => texts.push(text.as_str()),
                _ => {
                    let message = format!("`{path}` is a list of something else than texts and numbers");
                    let hint = "Lists hold plain values; nested settings are maps, whose keys join with dots.";
                    self.findings.push(Finding::error("config.nested_list", message).on(path).at(&place).suggest(hint));
                    return None;
                }
            }
        }
        Some(texts.join(","))
    }

    fn set(&mut self, path: String, value: String, place: Place) {
        if let Some(first) = self.places.get(&path) {
            let message = format!("`{path}` is set twice, first on line {}", first.line);
            let hint = "Nested keys join with dots, so `a: {b: …}` and `a.b: …` are the same key.";
            self.findings.push(Finding::error("config.duplicate_key", message).on(path).at(&place).suggest(hint));
            return;
        }
        self.config.set(path.clone(), value);
        self.places.insert(path, place);
    }
}
