//! Predicates: which records a transform is meant for.
//!
//! A condition is worked out a batch at a time. Topics are matched once and remembered, so that neither a regular expression nor
//! the walk over headers is paid for records that need no look.

use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;
use towpath_model::datum::Reader;
use towpath_model::{Batch, Config, ConfigKey, Encoding, Importance, Payload, Record, Schema, ValueType};

use super::Settings;
use super::java_regex::whole;
use crate::TransformType;
use crate::error::Error;
use crate::keys::key;
use crate::shape::Shapes;

/// Topics whose answer is remembered.
const TOPICS_MAX: usize = 10_000;

/// The predicates that are built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    HasHeaderKey,
    RecordIsTombstone,
    TopicNameMatches,
}

impl Class {
    const ALL: [Self; 3] = [Self::HasHeaderKey, Self::RecordIsTombstone, Self::TopicNameMatches];

    fn names(self) -> [&'static str; 2] {
        match self {
            Self::HasHeaderKey => ["HasHeaderKey", "org.apache.kafka.connect.transforms.predicates.HasHeaderKey"],
            Self::RecordIsTombstone => {
                ["RecordIsTombstone", "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"]
            }
            Self::TopicNameMatches => {
                ["TopicNameMatches", "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"]
            }
        }
    }

    fn keys(self) -> Vec<ConfigKey> {
        let text = |name: &str, doc: &str| vec![key(name, ValueType::String, Importance::Medium, doc)];
        match self {
            Self::HasHeaderKey => text("name", "Name of the header that a record must have."),
            Self::RecordIsTombstone => Vec::new(),
            Self::TopicNameMatches => text("pattern", "Regular expression that the whole topic must match."),
        }
    }

    fn doc(self) -> &'static str {
        match self {
            Self::HasHeaderKey => "True for records that have a header of this name.",
            Self::RecordIsTombstone => "True for records whose value is null.",
            Self::TopicNameMatches => "True for records whose topic matches.",
        }
    }
}

/// The built-in predicates.
pub(crate) fn types() -> Vec<TransformType> {
    let describe = |class: Class| TransformType {
        names: class.names().map(str::to_owned).to_vec(),
        doc: class.doc().to_owned(),
        keys: class.keys(),
    };
    Class::ALL.into_iter().map(describe).collect()
}

/// What is asked of a record.
pub(super) enum Predicate {
    HasHeaderKey(Arc<str>),
    RecordIsTombstone(Shapes<Schema>),
    TopicNameMatches { pattern: Regex, known: HashMap<Arc<str>, bool> },
}

impl Predicate {
    /// The predicate of this alias.
    pub(super) fn of(config: &Config, alias: &str) -> Result<Self, Error> {
        let prefix = format!("predicates.{alias}.");
        let settings = Settings::new("predicates", alias, config.with_prefix(&prefix).collect());
        let name = settings.required("type")?;
        let class = Class::ALL.into_iter().find(|class| class.names().contains(&name));
        let class = class.ok_or_else(|| {
            let known: Vec<_> = Class::ALL.iter().map(|class| class.names()[0]).collect();
            Error::predicate(
                settings.key("type"),
                format!("no predicate is named {name}; there are: {}", known.join(", ")),
            )
        })?;
        let filled = |key: &str| match settings.required(key)? {
            "" => Err(Error::value(settings.key(key), "String must be non-empty")),
            value => Ok(value),
        };
        Ok(match class {
            Class::HasHeaderKey => Self::HasHeaderKey(filled("name")?.into()),
            Class::RecordIsTombstone => Self::RecordIsTombstone(Shapes::default()),
            Class::TopicNameMatches => {
                let pattern = whole(&settings, "pattern", filled("pattern")?)?;
                Self::TopicNameMatches { pattern, known: HashMap::new() }
            }
        })
    }
}

/// When a transform is applied.
pub(crate) struct Condition {
    predicate: Predicate,
    negate: bool,
}

/// The records of a batch that a transform is meant for.
pub(crate) enum Chosen {
    All,
    None,
    Some(Vec<bool>),
}

impl Condition {
    /// The condition of a transform, if it has one.
    pub(crate) fn of(config: &Config, transform: &Settings<'_>) -> Result<Option<Self>, Error> {
        let Some(alias) = transform.get("predicate") else {
            if transform.get("negate").is_some() {
                let (negate, predicate) = (transform.key("negate"), transform.key("predicate"));
                let reason = format!(
                    "Config '{negate}' was provided but there is no config '{predicate}' defining a predicate to be negated."
                );
                return Err(Error::value(negate, reason));
            }
            return Ok(None);
        };
        if !config.list("predicates").any(|listed| listed == alias) {
            let reason = format!("no predicate is named {alias}; list it in `predicates`");
            return Err(Error::predicate(transform.key("predicate"), reason));
        }
        let negate = transform.boolean("negate", false)?;
        Ok(Some(Self { predicate: Predicate::of(config, alias)?, negate }))
    }

    /// Which records of the batch are meant.
    pub(crate) fn choose(&mut self, batch: &Batch) -> Chosen {
        let negate = self.negate;
        match &mut self.predicate {
            Predicate::TopicNameMatches { pattern, known } => {
                let mut matches = |topic: &Arc<str>| {
                    if let Some(matches) = known.get(topic) {
                        return *matches;
                    }
                    if known.len() >= TOPICS_MAX {
                        known.clear();
                    }
                    let matches = pattern.is_match(topic);
                    known.insert(topic.clone(), matches);
                    matches
                };
                // A run shares its topic.
                let runs = batch.columns().runs.iter();
                let chosen = runs.flat_map(|run| {
                    let is_chosen = matches(batch.topic(run.topic)) != negate;
                    std::iter::repeat_n(is_chosen, run.records as usize)
                });
                Chosen::of(chosen.collect())
            }
            Predicate::HasHeaderKey(name) => {
                let columns = batch.columns();
                if columns.common_headers.iter().any(|header| header.name == *name) {
                    return Chosen::all(!negate);
                }
                if !columns.header_names.contains(name) {
                    return Chosen::all(negate);
                }
                let has = |record: Record<'_>| record.own_headers().any(|(own, _)| own == name);
                Chosen::of(batch.records().map(|record| has(record) != negate).collect())
            }
            Predicate::RecordIsTombstone(schemas) => {
                schemas.begin(batch);
                let mut null = |record: Record<'_>| {
                    let Payload { form, bytes: Some(bytes) } = record.value else { return true };
                    match form.encoding {
                        Encoding::Json => bytes.trim_ascii() == b"null",
                        Encoding::Bytes => false,
                        // A value whose schema cannot be read is a fault of the next step that reads it.
                        Encoding::Connect => schemas.get(batch, form.schema, Ok).is_ok_and(|schema| {
                            schema.optional && Reader::new(bytes).long() == Ok(schema.null_branch())
                        }),
                    }
                };
                Chosen::of(batch.records().map(|record| null(record) != negate).collect())
            }
        }
    }
}

impl Chosen {
    fn all(all: bool) -> Self {
        if all { Self::All } else { Self::None }
    }

    fn of(chosen: Vec<bool>) -> Self {
        match chosen.iter().filter(|is_chosen| **is_chosen).count() {
            0 => Self::None,
            count if count == chosen.len() => Self::All,
            _ => Self::Some(chosen),
        }
    }
}
