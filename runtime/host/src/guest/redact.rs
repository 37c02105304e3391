//! Takes the values of secrets out of whatever a guest says: log lines, panics, errors, backtraces.

use std::sync::Arc;

use towpath_model::{Config, Spec, ValueType};

/// Values shorter than this are left: replacing single letters would hide nothing and garble everything.
const SHORTEST: usize = 4;
const HIDDEN: &str = "[hidden]";

/// The secrets of one task.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    secrets: Arc<[String]>,
}

impl Redactor {
    pub(crate) fn new(spec: &Spec, config: &Config) -> Self {
        let marked = spec.keys.iter().filter(|key| key.secret || key.value_type == ValueType::Password);
        let names = marked.flat_map(|key| std::iter::once(&key.name).chain(&key.aliases)).map(String::as_str);
        let named = spec.credentials.iter().flat_map(|credential| super::secret_keys(&credential.scheme));
        let mut secrets: Vec<String> = names
            .chain(named)
            .filter_map(|name| config.get(name))
            .filter(|value| value.len() >= SHORTEST)
            .map(str::to_owned)
            .collect();
        // A secret that contains another one must go first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self { secrets: secrets.into() }
    }

    /// The text without secrets.
    pub(crate) fn clean(&self, text: String) -> String {
        self.secrets.iter().fold(text, |text, secret| {
            if text.contains(secret.as_str()) { text.replace(secret.as_str(), HIDDEN) } else { text }
        })
    }
}
