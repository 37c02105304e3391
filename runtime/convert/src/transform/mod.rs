//! The chain of transforms between connector and converter, built in ones and components in one order.
//!
//! A transform takes a batch to a batch ([`Rewrite`]); it says where its records come from, which it dropped by a stated
//! rule, and which failed. A record that fails goes no further; all others do.

mod extract_new_record_state;
mod insert_field;
mod regex_router;
mod structs;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use towpath_model::{Batch, Config, ConfigKey, ConnectorError, RecordError, Transform};

use self::extract_new_record_state::ExtractNewRecordState;
use self::insert_field::{InsertField, Part};
use self::regex_router::RegexRouter;
use crate::draft::{Draft, Rewritten};
use crate::error::Error;
use crate::fault::Fault;
use crate::path::Trace;
use crate::{Stage, TransformType};

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

type Make = fn(&Settings<'_>) -> Result<Box<dyn Rewrite>, Error>;

/// The settings of one transform and where they stand, for errors.
pub(crate) struct Settings<'a> {
    alias: &'a str,
    config: Config,
}

impl Settings<'_> {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.config.get(name)
    }

    pub(crate) fn key(&self, name: &str) -> String {
        format!("transforms.{}.{name}", self.alias)
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, Error> {
        self.get(name).ok_or_else(|| {
            let key = self.key(name);
            let reason = format!("Missing required configuration \"{name}\" which has no default value.");
            Error::value(key, reason)
        })
    }
}

struct BuiltIn {
    names: &'static [&'static str],
    keys: fn() -> Vec<ConfigKey>,
    make: Make,
}

const BUILT_IN: [BuiltIn; 4] = [
    BuiltIn {
        names: &["ExtractNewRecordState", "io.debezium.transforms.ExtractNewRecordState"],
        keys: extract_new_record_state::keys,
        make: |settings| Ok(Box::new(ExtractNewRecordState::new(settings)?)),
    },
    BuiltIn {
        names: &["RegexRouter", "org.apache.kafka.connect.transforms.RegexRouter"],
        keys: regex_router::keys,
        make: |settings| Ok(Box::new(RegexRouter::new(settings)?)),
    },
    BuiltIn {
        names: &["InsertField$Value", "InsertField", "org.apache.kafka.connect.transforms.InsertField$Value"],
        keys: insert_field::keys,
        make: |settings| Ok(Box::new(InsertField::new(settings, Part::Value)?)),
    },
    BuiltIn {
        names: &["InsertField$Key", "org.apache.kafka.connect.transforms.InsertField$Key"],
        keys: insert_field::keys,
        make: |settings| Ok(Box::new(InsertField::new(settings, Part::Key)?)),
    },
];

/// The built-in transforms.
pub(crate) fn types() -> Vec<TransformType> {
    let describe = |built_in: &BuiltIn| TransformType {
        names: built_in.names.iter().map(|name| (*name).to_owned()).collect(),
        keys: (built_in.keys)(),
    };
    BUILT_IN.iter().map(describe).collect()
}

/// What `transforms` lists: alias, type and settings, in order.
fn listed(config: &Config) -> Result<Vec<(Settings<'_>, String)>, Error> {
    let mut seen = BTreeSet::new();
    let settings = config.list("transforms").map(|alias| {
        let prefix = format!("transforms.{alias}.");
        if !seen.insert(alias) {
            return Err(Error::value("transforms", format!("{alias} is listed twice")));
        }
        let own = config.with_prefix(&prefix).collect::<Config>();
        let settings = Settings { alias, config: own };
        if let Some(key) = ["predicate", "negate"].into_iter().find(|key| settings.get(key).is_some()) {
            return Err(Error::value(settings.key(key), "predicates are not known to this version"));
        }
        let class = settings.required("type")?.to_owned();
        Ok((settings, class))
    });
    settings.collect()
}

fn built_in(class: &str) -> Option<&'static BuiltIn> {
    BUILT_IN.iter().find(|built_in| built_in.names.contains(&class))
}

/// The transforms that are components.
pub(crate) fn plugins(config: &Config) -> Result<Vec<PluginTransform>, Error> {
    let all = listed(config)?.into_iter().filter(|(_, class)| built_in(class).is_none());
    Ok(all
        .map(|(settings, class)| PluginTransform { alias: settings.alias.to_owned(), class, config: settings.config })
        .collect())
}

enum Step {
    BuiltIn { class: String, transform: Box<dyn Rewrite> },
    Plugin { class: String, transform: Box<dyn Transform> },
}

/// All transforms of a connector, in their order.
pub(crate) struct Chain {
    steps: Vec<Step>,
}

impl Chain {
    pub(crate) fn new(config: &Config, mut plugins: HashMap<String, Box<dyn Transform>>) -> Result<Self, Error> {
        let step = |(settings, class): (Settings<'_>, String)| match built_in(&class) {
            Some(built_in) => Ok(Step::BuiltIn { transform: (built_in.make)(&settings)?, class }),
            None => match plugins.remove(settings.alias) {
                Some(transform) => Ok(Step::Plugin { transform, class }),
                None => Err(Error::class(settings.key("type"), format!("no transform is named {class}"))),
            },
        };
        Ok(Self { steps: listed(config)?.into_iter().map(step).collect::<Result<_, _>>()? })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Runs the batch through all steps; none when there are none.
    pub(crate) async fn apply(&mut self, batch: &Batch, trace: &mut Trace) -> Result<Option<Batch>, ConnectorError> {
        let mut current: Option<Batch> = None;
        for step in &mut self.steps {
            let input = current.as_ref().unwrap_or(batch);
            if input.is_empty() {
                break;
            }
            let (class, rewritten) = match step {
                Step::BuiltIn { class, transform } => (class, transform.apply(input)),
                Step::Plugin { class, transform } => (class, apply_plugin(transform.as_mut(), input).await?),
            };
            current = Some(trace.take(rewritten, Stage::Transformation, class));
        }
        Ok(current)
    }
}

/// Hands a batch to a component. Records that it refuses are taken out and the others handed over again.
async fn apply_plugin(transform: &mut dyn Transform, batch: &Batch) -> Result<Rewritten, ConnectorError> {
    let mut failures = Vec::new();
    // Which record of `batch` each record of `rest` is; none when `rest` is still all of it.
    let mut rest: Option<Rewritten> = None;
    loop {
        let input = rest.as_ref().map_or(batch, |rest| &rest.records);
        let index_in_batch = |index: u32| match &rest {
            Some(rest) => rest.origins.get(index as usize).copied().unwrap_or_default(),
            None => index,
        };
        if input.is_empty() {
            return Ok(Rewritten { failures, ..Rewritten::default() });
        }
        match transform.apply(input).await {
            Ok(transformed) => {
                let sound = transformed.origins.len() == transformed.records.len()
                    && transformed.origins.is_sorted()
                    && transformed.origins.last().is_none_or(|last| (*last as usize) < input.len());
                if !sound {
                    return Err(ConnectorError::fatal("the transform's origins do not fit its records"));
                }
                let mut distinct = transformed.origins.clone();
                distinct.dedup();
                let filtered = (input.len() - distinct.len()) as u64;
                let origins = transformed.origins.iter().map(|origin| index_in_batch(*origin)).collect();
                return Ok(Rewritten { records: transformed.records, origins, filtered, failures });
            }
            Err(ConnectorError::Records(refused)) if !refused.is_empty() => {
                let refused: HashMap<u32, RecordError> =
                    refused.into_iter().map(|error| (error.index, error)).collect();
                let mut draft = Draft::of(input);
                let mut kept = Vec::new();
                for record in input.records() {
                    let index = record.index as u32;
                    match refused.get(&index) {
                        Some(error) => {
                            let fault = Fault { code: error.code.clone().into(), reason: error.reason.clone() };
                            failures.push((index_in_batch(index), fault));
                        }
                        None => {
                            kept.push(index_in_batch(index));
                            draft.keep(&record);
                        }
                    }
                }
                if kept.len() == input.len() {
                    return Err(ConnectorError::fatal("the transform refused records that it was not given"));
                }
                rest = Some(Rewritten { records: draft.finish().records, origins: kept, ..Rewritten::default() });
            }
            Err(error) => return Err(error),
        }
    }
}
