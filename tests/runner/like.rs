//! Comparing what is with what a case expects, which says only what matters.
//!
//! An object must have the expected fields and may have more; a list must have exactly the expected elements. A string `*` stands
//! for anything but null, and one that begins with `~` is a pattern.

use anyhow::{Context, Result, bail, ensure};
use regex::Regex;
use serde_json::Value;

/// Fails, naming the place, if `actual` is not what is expected.
pub(crate) fn like(expected: &Value, actual: &Value) -> Result<()> {
    compare(expected, actual, "")
}

fn compare(expected: &Value, actual: &Value, place: &str) -> Result<()> {
    match (expected, actual) {
        (Value::Object(fields), Value::Object(others)) => {
            for (name, expected) in fields {
                let place = format!("{place}/{name}");
                let Some(actual) = others.get(name) else { bail!("{place} is missing in {actual}") };
                compare(expected, actual, &place)?;
            }
            Ok(())
        }
        (Value::Array(items), Value::Array(others)) => {
            for (index, (expected, actual)) in items.iter().zip(others).enumerate() {
                compare(expected, actual, &format!("{place}/{index}"))?;
            }
            let (wanted, found) = (items.len(), others.len());
            ensure!(wanted == found, "{place} has {found} elements instead of {wanted}: {actual}");
            Ok(())
        }
        (Value::String(text), _) if text == "*" => {
            ensure!(!actual.is_null(), "{place} is null");
            Ok(())
        }
        (Value::String(text), _) if text.starts_with('~') => {
            let pattern =
                Regex::new(text.trim_start_matches('~')).with_context(|| format!("the pattern at {place}"))?;
            let shown = actual.as_str().map_or_else(|| actual.to_string(), str::to_owned);
            ensure!(pattern.is_match(&shown), "{place} is {shown:?}, which does not match {pattern}");
            Ok(())
        }
        _ => {
            let same = expected == actual || expected.as_f64().is_some_and(|number| actual.as_f64() == Some(number));
            ensure!(same, "{place} is {actual} instead of {expected}");
            Ok(())
        }
    }
}

/// Fails if a text lacks a pattern of `has` or matches one of `lacks`.
pub(crate) fn mentions(text: &str, has: &[String], lacks: &[String]) -> Result<()> {
    for pattern in has {
        ensure!(Regex::new(pattern)?.is_match(text), "nothing matches {pattern:?} in:\n{}", shortened(text));
    }
    for pattern in lacks {
        ensure!(!Regex::new(pattern)?.is_match(text), "{pattern:?} matches in:\n{}", shortened(text));
    }
    Ok(())
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 4000;
    let from = text.len().saturating_sub(SHOWN);
    let from = (from..text.len()).find(|index| text.is_char_boundary(*index)).unwrap_or(from);
    text.get(from..).unwrap_or_default().to_owned()
}
