//! Takes secrets out of texts: logs, errors, panics, answers.

use std::borrow::Cow;

use towpath_model::{Config, Spec};

/// Shorter values are too common in ordinary text to be searched for.
const LENGTH_MIN: usize = 4;

/// Replaces secret values in texts. Values of fewer than four characters are not searched for.
#[derive(Clone, Default)]
pub struct Redactor {
    /// The longest first, so that a secret within another one does not break it up.
    secrets: Vec<String>,
}

impl Redactor {
    /// Adds a value, and the form it has inside JSON.
    pub fn add(&mut self, value: &str) {
        let escaped = serde_json::Value::from(value).to_string();
        let escaped = escaped.get(1..escaped.len().saturating_sub(1)).unwrap_or_default();
        for form in [value.trim(), escaped] {
            if form.chars().count() >= LENGTH_MIN && !self.secrets.iter().any(|known| known == form) {
                self.secrets.push(form.to_owned());
            }
        }
        self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// Adds the values of a resolved configuration's secret keys, references or not.
    pub fn add_secrets(&mut self, config: &Config, spec: &Spec) {
        let names =
            spec.keys.iter().filter(|key| key.secret).flat_map(|key| std::iter::once(&key.name).chain(&key.aliases));
        for value in names.filter_map(|name| config.get(name)) {
            self.add(value);
        }
    }

    /// The text without secrets.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), "[hidden]"));
            }
        }
        text
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}
