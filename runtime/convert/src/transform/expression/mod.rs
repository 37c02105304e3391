//! Debezium's Filter and ContentBasedRouter: an expression decides about a record, or about its topic.
//!
//! Debezium hands expressions to a script engine of the JVM, which is not here and could do anything. They are written in CEL, the Common
//! Expression Language, instead: it ends, reaches nothing, and what people mostly write (`value.op == 'u' && value.after.id > 10`) is the
//! same to the letter. An expression for another engine is refused by name, with that advice, rather than guessed at.
//! Variables are Debezium's: key, value, keySchema, valueSchema, topic, header. Only those that an expression names are made.

mod binding;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use cel::{Context, Env, ExecutionError, Program, Value};
use regex::Regex;
use towpath_model::{Batch, ConfigKey, Encoding, Importance, Record, Run, Schema, ValueType};

use self::binding::Bindings;
use super::java_regex::whole;
use super::{Rewrite, Settings};
use crate::draft::{Draft, Rewritten};
use crate::error::Error;
use crate::fault::Fault;
use crate::keys::{default_key, key, optional_key};

const MODES: [&str; 3] = ["keep", "drop", "evaluate"];

/// The keys of a transform whose expression stands under `expression`.
fn keys(expression: &str, doc: &str) -> Vec<ConfigKey> {
    let text = ValueType::String;
    let mut nulls = default_key(
        "null.handling.mode",
        text,
        "keep",
        Importance::Low,
        "What becomes of records without a value: keep, drop, or evaluate the expression.",
    );
    nulls.valid_values = MODES.map(str::to_owned).to_vec();
    vec![
        optional_key(
            "topic.regex",
            text,
            Importance::Low,
            "Topics that the transform is for; it must match the whole name.",
        ),
        key("language", text, Importance::High, "Language of the expression: cel."),
        key(expression, text, Importance::High, doc),
        nulls,
    ]
}

pub(crate) fn filter_keys() -> Vec<ConfigKey> {
    keys(
        "condition",
        "Condition under which a record is kept; key, value, keySchema, valueSchema, topic and header are known.",
    )
}

pub(crate) fn router_keys() -> Vec<ConfigKey> {
    keys(
        "topic.expression",
        "The new topic, or null for the old one; key, value, keySchema, valueSchema, topic and header are known.",
    )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nulls {
    Keep,
    Drop,
    Evaluate,
}

/// What an expression says of a record.
enum Verdict {
    Keep,
    Drop,
    Route(Arc<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Condition,
    Topic,
}

/// An expression at work.
pub(crate) struct Scripted {
    wanted: Wanted,
    env: Arc<Env>,
    program: Program,
    bindings: Bindings,
    topics: Option<Regex>,
    known: HashMap<Arc<str>, bool>,
    nulls: Nulls,
}

impl Scripted {
    /// Debezium's Filter.
    pub(crate) fn filter(settings: &Settings<'_>) -> Result<Self, Error> {
        Self::new(settings, "condition", Wanted::Condition)
    }

    /// Debezium's ContentBasedRouter.
    pub(crate) fn router(settings: &Settings<'_>) -> Result<Self, Error> {
        Self::new(settings, "topic.expression", Wanted::Topic)
    }

    fn new(settings: &Settings<'_>, key: &str, wanted: Wanted) -> Result<Self, Error> {
        let language = settings.required("language")?.trim();
        if !language.eq_ignore_ascii_case("cel") {
            return Err(Error::language(settings.key("language"), language));
        }
        let env = Arc::new(Env::stdlib());
        let program = env.compile(settings.required(key)?).map_err(|error| {
            let first = error.to_string().lines().next().unwrap_or("malformed").trim().to_owned();
            Error::value(settings.key(key), format!("not an expression of CEL: {first}"))
        })?;
        let nulls = match settings.get("null.handling.mode").unwrap_or("keep").trim().to_ascii_lowercase().as_str() {
            "keep" => Nulls::Keep,
            "drop" => Nulls::Drop,
            "evaluate" => Nulls::Evaluate,
            _ => {
                let reason = format!("Value must be one of {}", MODES.join(", "));
                return Err(Error::value(settings.key("null.handling.mode"), reason));
            }
        };
        let pattern = settings.get("topic.regex").filter(|pattern| !pattern.is_empty());
        let topics = pattern.map(|pattern| whole(settings, "topic.regex", pattern)).transpose()?;
        let bindings = Bindings::of(&program);
        Ok(Self { wanted, env, program, bindings, topics, known: HashMap::new(), nulls })
    }

    fn is_for(&mut self, topic: &Arc<str>) -> bool {
        let Some(topics) = &self.topics else { return true };
        if self.known.len() >= 10_000 {
            self.known.clear();
        }
        *self.known.entry(topic.clone()).or_insert_with(|| topics.is_match(topic))
    }

    fn verdict(&mut self, batch: &Batch, record: &Record<'_>) -> Result<Verdict, Fault> {
        if !self.is_for(record.topic()) {
            return Ok(Verdict::Keep);
        }
        if self.nulls != Nulls::Evaluate && self.bindings.is_null(batch, record)? {
            return Ok(if self.nulls == Nulls::Keep { Verdict::Keep } else { Verdict::Drop });
        }
        let mut context = Context::with_env(self.env.clone());
        for (name, value) in self.bindings.values(batch, record)? {
            context.add_variable_from_value(name, value);
        }
        match (self.program.execute(&context).map_err(fault)?, self.wanted) {
            (Value::Bool(true), Wanted::Condition) | (Value::Null, Wanted::Topic) => Ok(Verdict::Keep),
            (Value::Bool(false), Wanted::Condition) => Ok(Verdict::Drop),
            (Value::String(topic), Wanted::Topic) if !topic.is_empty() => Ok(Verdict::Route(topic)),
            (other, Wanted::Condition) => {
                Err(Fault::transform(format!("the condition gives {} and no bool", other.type_of())))
            }
            (other, Wanted::Topic) => {
                Err(Fault::transform(format!("the expression gives {} and no topic", other.type_of())))
            }
        }
    }
}

/// Why an expression cannot be evaluated, without the values that it met.
fn fault(error: ExecutionError) -> Fault {
    let reason = match &error {
        ExecutionError::NoSuchKey(name) => format!("there is no {name}; has(…) asks for it first"),
        ExecutionError::UndeclaredReference(name) => {
            format!("there is no {name}; key, value, keySchema, valueSchema, topic and header are known")
        }
        ExecutionError::NoSuchOverload(_) | ExecutionError::UnexpectedType { .. } => error.to_string(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "it divides by zero".into(),
        _ => "an operation does not suit the types of its values".into(),
    };
    Fault::transform(format!("the expression cannot be evaluated: {reason}"))
}

impl Rewrite for Scripted {
    fn apply(&mut self, batch: &Batch) -> Rewritten {
        self.bindings.begin(batch);
        let mut draft = Draft::of(batch);
        for record in batch.records() {
            match self.verdict(batch, &record) {
                Ok(Verdict::Keep) => draft.keep(&record),
                Ok(Verdict::Drop) => draft.filter(),
                Ok(Verdict::Route(topic)) => {
                    let topic = draft.builder().topic(&topic);
                    let run = Run { topic, ..draft.run(&record) };
                    draft.begin(run, record.key.bytes, record.value.bytes);
                    draft.headers(&record);
                    draft.end(&record);
                }
                Err(fault) => draft.fail(&record, fault),
            }
        }
        draft.finish()
    }
}

/// Whether a payload is a null, with or without a schema.
fn is_null(schema: Option<&Schema>, encoding: Encoding, bytes: Option<&[u8]>) -> bool {
    match (bytes, encoding, schema) {
        (None, ..) => true,
        (Some(bytes), Encoding::Json, _) => bytes.trim_ascii() == b"null",
        (Some(bytes), Encoding::Connect, Some(schema)) => {
            schema.optional && towpath_model::datum::Reader::new(bytes).long() == Ok(schema.null_branch())
        }
        _ => false,
    }
}
