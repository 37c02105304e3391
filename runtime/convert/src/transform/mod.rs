//! Transforms between connector and converter: Connect's and Debezium's own, and components.
//!
//! A transform takes a batch to a batch ([`Rewrite`]); it says where its records come from, which it dropped by a stated
//! rule, and which failed. A record that fails goes no further; all others do. What depends on a configuration or a schema alone is worked
//! out once: expressions are compiled when the chain is made, schemas when they are first seen.
//!
//! ```text
//! Chain ─▶ Condition (predicate) ─▶ Rewrite ─▶ …      Rewrite: topics and headers as columns, or OfPart ─▶ Reshape, payload by payload
//! ```

mod by_logical_table_router;
mod cast;
mod chain;
mod date_format;
mod drop_headers;
mod envelope;
mod event_router;
mod expression;
mod extract_field;
mod extract_new_record_state;
mod field_path;
mod filter;
mod flatten;
mod header_from;
mod hoist_field;
mod insert_field;
mod insert_header;
mod java_regex;
mod mask_field;
mod part;
mod predicate;
mod regex_router;
mod registry;
mod replace_field;
mod scalar;
mod set_schema_metadata;
mod structs;
#[cfg(test)]
mod tests;
mod timestamp_converter;
mod timestamp_router;
mod value_to_key;
mod values;

use std::collections::BTreeSet;

use towpath_model::{Batch, Config, ConfigKey, Importance, ValueType};

pub(crate) use self::chain::Chain;
pub(crate) use self::date_format::{DateFormat, Moment, days_before};
pub(crate) use self::part::Added;
pub(crate) use self::predicate::types as predicates;
use self::predicate::{Condition, Predicate};
use self::registry::built_in;
pub(crate) use self::registry::types;
pub(crate) use self::scalar::Temporal;
pub(crate) use self::values::{Literal, parse as literal, string as literal_string};
use crate::draft::Rewritten;
use crate::error::Error;
use crate::keys::default_key;

/// A transform of the configuration that is a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginTransform {
    /// Its alias in `transforms`.
    pub alias: String,
    /// Its class, to be found among the plugins.
    pub class: String,
    /// Its settings, with `transforms.<alias>.` taken off.
    pub config: Config,
}

/// A transform that is built in.
pub(crate) trait Rewrite: Send {
    /// Turns a batch into a batch.
    fn apply(&mut self, batch: &Batch) -> Rewritten;
}

/// The settings of one transform or predicate and where they stand, for errors.
pub(crate) struct Settings<'a> {
    family: &'static str,
    alias: &'a str,
    config: Config,
}

const NULLS: &str = "replace.null.with.default";

/// The key that many of Connect's transforms share.
fn nulls_key() -> ConfigKey {
    let doc = "Whether a null in a field that has a default is taken for that default.";
    default_key(NULLS, ValueType::Boolean, "true", Importance::Medium, doc)
}

impl<'a> Settings<'a> {
    pub(crate) fn new(family: &'static str, alias: &'a str, config: Config) -> Self {
        Self { family, alias, config }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.config.get(name)
    }

    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}.{}.{name}", self.family, self.alias)
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, Error> {
        self.get(name).ok_or_else(|| {
            let key = self.key(name);
            let reason = format!("Missing required configuration \"{name}\" which has no default value.");
            Error::value(key, reason)
        })
    }

    pub(crate) fn boolean(&self, name: &str, default: bool) -> Result<bool, Error> {
        match self.get(name).map(|value| value.trim().to_ascii_lowercase()).as_deref() {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(Error::value(self.key(name), "Expected value to be either true or false")),
        }
    }

    pub(crate) fn nulls_take_defaults(&self) -> Result<bool, Error> {
        self.boolean(NULLS, true)
    }

    pub(crate) fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.config.list(name)
    }

    /// A list that names nothing twice.
    pub(crate) fn distinct(&self, name: &str) -> Result<Vec<String>, Error> {
        let mut seen = BTreeSet::new();
        match self.list(name).find(|item| !seen.insert(*item)) {
            Some(twice) => Err(Error::value(self.key(name), format!("{twice} is listed twice"))),
            None => Ok(self.list(name).map(str::to_owned).collect()),
        }
    }

    /// A list that is not empty.
    pub(crate) fn some(&self, name: &str) -> Result<Vec<String>, Error> {
        self.required(name)?;
        let items: Vec<String> = self.list(name).map(str::to_owned).collect();
        if items.is_empty() { Err(Error::value(self.key(name), "Empty list")) } else { Ok(items) }
    }
}

/// What `transforms` lists: alias, type and settings, in order.
fn listed(config: &Config) -> Result<Vec<(Settings<'_>, String)>, Error> {
    let mut seen = BTreeSet::new();
    let settings = config.list("transforms").map(|alias| {
        let prefix = format!("transforms.{alias}.");
        if !seen.insert(alias) {
            return Err(Error::value("transforms", format!("{alias} is listed twice")));
        }
        let settings = Settings::new("transforms", alias, config.with_prefix(&prefix).collect());
        let class = settings.required("type")?.to_owned();
        Ok((settings, class))
    });
    settings.collect()
}

/// Whether the predicates, and the transforms that name them, can be used.
pub(crate) fn check_predicates(config: &Config) -> Result<(), Error> {
    for (settings, _) in listed(config)? {
        Condition::of(config, &settings)?;
    }
    config.list("predicates").try_for_each(|alias| Predicate::of(config, alias).map(|_| ()))
}

/// The transforms that are components. The condition under which one is applied is none of its own settings.
pub(crate) fn plugins(config: &Config) -> Result<Vec<PluginTransform>, Error> {
    let all = listed(config)?.into_iter().filter(|(_, class)| built_in(class).is_none());
    let plugin = |(settings, class): (Settings<'_>, String)| {
        let conditions = ["predicate", "negate"];
        let own = settings.config.iter().filter(|(key, _)| !conditions.contains(key));
        PluginTransform { alias: settings.alias.to_owned(), class, config: own.collect() }
    };
    Ok(all.map(plugin).collect())
}
