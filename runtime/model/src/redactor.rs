//! Takes secrets out of texts: logs, errors, panics, answers.
//!
//! A secret is looked for as it is, and in the forms in which programs print it: inside JSON or a quoted text, inside a URL, and line by
//! line where it has several. A very short one is replaced only where it stands as a word, so that not every text is garbled.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use crate::{Config, Spec, ValueType};

/// What stands where a secret stood.
const HIDDEN: &str = "[hidden]";
/// Shorter values are replaced only where they are words.
const LENGTH_MIN: usize = 4;
/// Lines of a secret with several that are at least so long are secrets themselves.
const LINE_MIN: usize = 12;

/// Replaces secret values in texts.
#[derive(Clone, Default)]
pub struct Redactor {
    /// The longest first, so that a secret within another one does not break it up.
    secrets: Arc<Vec<String>>,
}

impl Redactor {
    /// Adds a value in all the forms in which it may show.
    pub fn add(&mut self, value: &str) {
        let value = value.trim();
        let quoted = serde_json::Value::from(value).to_string();
        let quoted = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned();
        let mut forms = vec![value.to_owned(), quoted, in_url(value)];
        if value.contains('\n') {
            let lines =
                value.lines().map(str::trim).filter(|line| line.len() >= LINE_MIN && !line.starts_with("-----"));
            forms.extend(lines.map(str::to_owned));
        }
        let secrets = Arc::make_mut(&mut self.secrets);
        for form in forms {
            if !form.is_empty() && !secrets.contains(&form) {
                secrets.push(form);
            }
        }
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// Adds what is secret in a resolved configuration: the values of secret keys, what the host proves itself with in the
    /// connector's stead, and passwords inside URLs wherever they stand.
    pub fn add_secrets(&mut self, spec: &Spec, config: &Config) {
        let marked = spec.keys.iter().filter(|key| key.secret || key.value_type == ValueType::Password);
        let named = marked.flat_map(|key| std::iter::once(&key.name).chain(&key.aliases)).map(String::as_str);
        let proofs = spec.credentials.iter().map(|credential| credential.scheme.secret_key());
        named.chain(proofs).filter_map(|name| config.get(name)).for_each(|value| self.add(value));
        for (_, value) in config.iter() {
            passwords(value).for_each(|range| self.add(value.get(range).unwrap_or_default()));
        }
    }

    /// The text without secrets.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in self.secrets.iter() {
            if text.contains(secret.as_str()) {
                let is_word = secret.chars().count() < LENGTH_MIN;
                text = Cow::Owned(if is_word { without_word(&text, secret) } else { text.replace(secret, HIDDEN) });
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

/// Where passwords stand in the URLs of a text: `scheme://user:password@host`.
pub fn passwords(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices("://").filter_map(|(at, separator)| {
        let start = at + separator.len();
        let rest = text.get(start..)?;
        let end = rest.find(|character: char| {
            matches!(character, '/' | '?' | '#' | ',' | '"' | '\'') || character.is_whitespace()
        });
        let authority = rest.get(..end.unwrap_or(rest.len()))?;
        let (user, _host) = authority.rsplit_once('@')?;
        let colon = user.find(':')?;
        (colon + 1 < user.len()).then_some(start + colon + 1..start + user.len())
    })
}

fn without_word(text: &str, word: &str) -> String {
    let is_part = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(word) {
        let ends_before = out.chars().next_back().filter(|_| before.is_empty()).or(before.chars().next_back());
        out.push_str(before);
        out.push_str(if is_part(ends_before) || is_part(after.chars().next()) { word } else { HIDDEN });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The value as it stands in a URL.
fn in_url(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(secrets: &[&str], text: &str, expected: &str) {
        let mut redactor = Redactor::default();
        secrets.iter().for_each(|secret| redactor.add(secret));
        assert_eq!(redactor.redact(text), expected);
    }

    #[test]
    fn the_longer_secret_goes_first() {
        check(&["pass", "password1"], "password1 pass", "[hidden] [hidden]");
    }

    #[test]
    fn a_secret_is_known_inside_json_and_urls() {
        check(&["p\"w/ü1"], r#"{"p":"p\"w/ü1"} http://u:p%22w%2F%C3%BC1@h"#, r#"{"p":"[hidden]"} http://u:[hidden]@h"#);
    }

    #[test]
    fn a_short_secret_is_hidden_where_it_is_a_word() {
        check(&["ab"], "ab, cab, about, 'ab' (ab)", "[hidden], cab, about, '[hidden]' ([hidden])");
        check(&["1"], "11 of 1: 1", "11 of [hidden]: [hidden]");
        check(&[""], "nothing", "nothing");
    }

    #[test]
    fn passwords_in_urls_are_found() {
        let text = "see https://u:p:w@h:1/x@y, http://h:80/, http://u@h and tcp://a:b@c";
        let found: Vec<_> = passwords(text).map(|range| &text[range]).collect();
        assert_eq!(found, ["p:w", "b"]);
    }

    #[test]
    fn each_long_line_of_a_secret_is_one() {
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nshort\n-----END KEY-----";
        check(
            &[key],
            "cannot read MIIEvQIBADANBgkq in -----BEGIN KEY-----",
            "cannot read [hidden] in -----BEGIN KEY-----",
        );
    }
}
