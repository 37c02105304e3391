//! RegexRouter: renames topics. Works on the dictionary of a batch, so it costs nothing for each record.

use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;
use towpath_model::{Batch, ConfigKey, Importance, ValueType};

use super::java_regex::{Replacement, whole};
use super::{Rewrite, Settings};
use crate::draft::Rewritten;
use crate::error::Error;
use crate::keys::key;

/// Topics whose new names are remembered.
const NAMES_MAX: usize = 10_000;

pub(crate) fn keys() -> Vec<ConfigKey> {
    vec![
        key("regex", ValueType::String, Importance::High, "Regular expression that the whole topic must match."),
        key(
            "replacement",
            ValueType::String,
            Importance::High,
            "The new topic; `$1` and `${name}` stand for what a group has matched.",
        ),
    ]
}

/// Renames topics.
pub(crate) struct RegexRouter {
    regex: Regex,
    replacement: Replacement,
    names: HashMap<Arc<str>, Arc<str>>,
}

impl RegexRouter {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        let regex = whole(settings, "regex", settings.required("regex")?)?;
        let replacement = Replacement::new(settings, "replacement", settings.required("replacement")?, &regex)?;
        Ok(Self { regex, replacement, names: HashMap::new() })
    }

    fn rename(&mut self, topic: &Arc<str>) -> Arc<str> {
        if let Some(name) = self.names.get(topic) {
            return name.clone();
        }
        let renamed = self.replacement.replace(&self.regex, topic).map_or_else(|| topic.clone(), Into::into);
        if self.names.len() >= NAMES_MAX {
            self.names.clear();
        }
        self.names.insert(topic.clone(), renamed.clone());
        renamed
    }
}

impl Rewrite for RegexRouter {
    fn apply(&mut self, batch: &Batch) -> Rewritten {
        let mut columns = batch.clone().into_columns();
        let mut moved: HashMap<u32, u32> = HashMap::new();
        for index in 0..columns.topics.len() {
            let Some(topic) = columns.topics.get(index).cloned() else { continue };
            let renamed = self.rename(&topic);
            if renamed != topic {
                // The old name stays in the dictionary: a sink commits offsets under it.
                moved.insert(index as u32, columns.topics.len() as u32);
                columns.topics.push(renamed);
            }
        }
        for run in &mut columns.runs {
            run.topic = moved.get(&run.topic).copied().unwrap_or(run.topic);
        }
        Rewritten::unchanged(Batch::new(columns).expect("a renamed topic is in the dictionary"))
    }
}
