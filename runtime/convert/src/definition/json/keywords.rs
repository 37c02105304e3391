//! The keywords of one schema as they are written: each is read as what it must be, or its place is named.

use fancy_regex::Regex;
use serde_json::{Map, Value};

use crate::definition::Invalid;

/// The keywords of a schema, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Keywords<'a, 'p> {
    pub(super) object: &'a Map<String, Value>,
    pub(super) path: &'p str,
}

type Result<T> = std::result::Result<T, Invalid>;

impl<'a> Keywords<'a, '_> {
    /// Whether one of these is there.
    pub(super) fn has(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.object.contains_key(*key))
    }

    pub(super) fn wrong(&self, key: &str, what: &str) -> Invalid {
        Invalid::new(format!("{}: {what}", self.at(key)))
    }

    /// Where a keyword stands.
    pub(super) fn at(&self, key: &str) -> String {
        format!("{}/{key}", self.path)
    }

    fn read<T>(&self, key: &str, what: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.object.get(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.wrong(key, &format!("expected {what}")))
    }

    pub(super) fn boolean(&self, key: &str) -> Result<Option<bool>> {
        self.read(key, "true or false", Value::as_bool)
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        self.read(key, "a number", Value::as_f64)
    }

    /// A whole number, however it is spelt.
    pub(super) fn count(&self, key: &str) -> Result<Option<f64>> {
        let whole = |number: &f64| *number >= 0.0 && number.fract() == 0.0;
        self.read(key, "a whole number that is not negative", |value| value.as_f64().filter(whole))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.read(key, "a text", Value::as_str)
    }

    pub(super) fn list(&self, key: &str) -> Result<Option<&'a Vec<Value>>> {
        self.read(key, "a list", Value::as_array)
    }

    pub(super) fn map(&self, key: &str) -> Result<Option<&'a Map<String, Value>>> {
        self.read(key, "an object", Value::as_object)
    }

    /// Texts, or a single one where that is allowed.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<&'a str>> {
        let texts = |value: &'a Value| value.as_array()?.iter().map(Value::as_str).collect();
        Ok(self.read(key, "a list of texts", texts)?.unwrap_or_default())
    }

    /// A regular expression; `place` is where it stands.
    pub(super) fn pattern(pattern: &str, place: &str) -> Result<Regex> {
        Regex::new(pattern)
            .map_err(|error| Invalid::new(format!("{place}: {pattern:?} is no regular expression: {error}")))
    }
}
