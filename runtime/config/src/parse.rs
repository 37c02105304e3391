//! YAML and JSON text into nodes with places. The one home of serde-saphyr: nothing of it is seen outside this file.
//!
//! Scalars keep the spelling they are written with (`1.10`, `no`, `0755`), because a configuration's values are texts. JSON
//! goes through the same parser, being YAML, so that its findings have places, too. Everything is bounded.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// The largest file that is read.
pub(crate) const FILE_BYTES_MAX: u64 = 4 << 20;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// A value, scalars as they are written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a map and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// Why a text cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unreadable {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// Reads all documents of a text; empty ones are left out.
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, Unreadable> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: 50_000,
            max_depth: 32,
            max_documents: 1_000,
            max_aliases: 1_000,
        },
        with_snippet: false,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
    };
    let documents: Result<Vec<Spanned<Raw>>, _> = serde_saphyr::from_str_multiple_with_options(text, options);
    match documents {
        Ok(documents) => Ok(documents.into_iter().map(|raw| node(raw, text)).collect()),
        Err(error) => Err(unreadable(&error, text)),
    }
}

fn unreadable(error: &serde_saphyr::Error, source: &str) -> Unreadable {
    let (mut line, mut column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
    let text = error.without_snippet().to_string();
    let message = text.split(" at line ").next().unwrap_or(&text).lines().next().unwrap_or_default();
    let duplicate = message.contains("duplicate");
    if message.contains("tab") {
        // The parser names the scalar that a tab runs into; the user looks for the tab.
        let tabbed = source.lines().zip(1..).find(|(text, number)| *number >= line && text.starts_with('\t'));
        (line, column) = tabbed.map_or((line, column), |(_, number)| (number, 1));
    }
    Unreadable {
        code: if duplicate { "config.duplicate_key" } else { "config.syntax" },
        message: match message.strip_prefix("duplicate mapping key: ") {
            Some(key) => format!("`{}` is set twice", key.split(", set ").next().unwrap_or(key)),
            None => message.trim_start_matches("error: ").trim_end_matches([':', ' ']).to_owned(),
        },
        line,
        column,
    }
}

/// A value as serde sees it. A plain scalar that YAML takes for a number or boolean is found again in the text.
enum Raw {
    Null,
    Text(String),
    Plain,
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

fn node(raw: Spanned<Raw>, text: &str) -> Node {
    let (line, column) = (raw.referenced.line(), raw.referenced.column());
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Text(text) => Value::Scalar(text),
        Raw::Plain => Value::Scalar(spelling(raw.defined, text)),
        Raw::List(items) => Value::List(items.into_iter().map(|item| node(item, text)).collect()),
        Raw::Map(entries) => {
            let entry = |(key, value): (Spanned<String>, Spanned<Raw>)| {
                let at = key.referenced;
                (Key { text: key.value, line: at.line(), column: at.column() }, node(value, text))
            };
            Value::Map(entries.into_iter().map(entry).collect())
        }
    };
    Node { value, line, column }
}

/// The characters of a plain scalar, as they stand in the text.
fn spelling(at: Location, text: &str) -> String {
    let span = at.span();
    let bytes = span.byte_offset().zip(span.byte_len());
    let bytes = bytes.and_then(|(start, length)| {
        let (start, length) = (usize::try_from(start).ok()?, usize::try_from(length).ok()?);
        text.get(start..start.checked_add(length)?)
    });
    let found = match bytes {
        Some(found) => found.to_owned(),
        None => {
            let (start, length) =
                (usize::try_from(span.offset()).unwrap_or(0), usize::try_from(span.len()).unwrap_or(0));
            text.chars().skip(start).take(length).collect()
        }
    };
    found.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(text: &str) -> String {
        let documents = parse(text).expect("readable");
        let Value::Map(entries) = &documents[0].value else { panic!("a map") };
        let Value::Scalar(scalar) = &entries[0].1.value else { panic!("a scalar: {entries:?}") };
        scalar.clone()
    }

    #[test]
    fn scalars_keep_their_spelling() {
        let cases = [
            ("a: 1.10", "1.10"),
            ("a: no", "no"),
            ("a: TRUE # yes", "TRUE"),
            ("a: 0755", "0755"),
            ("a: 1_000", "1_000"),
            ("a: .inf", ".inf"),
            ("a: -0", "-0"),
            ("a: 12345678901234567890123", "12345678901234567890123"),
            ("a: \"x\\ty\"", "x\ty"),
            ("a: 'it''s'", "it's"),
            ("a: |\n  two\n  lines\n", "two\nlines\n"),
            ("{\"a\": 1e3}", "1e3"),
            ("ü: &x 1.50\nb: *x", "1.50"),
            ("a: \"\"", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(scalar(text), expected, "{text}");
        }
        let documents = parse("ü: &x 1.50\nb: *x").expect("readable");
        let Value::Map(entries) = &documents[0].value else { panic!("a map") };
        assert_eq!((&entries[1].1.value, entries[1].1.line), (&Value::Scalar("1.50".into()), 2));
    }

    #[test]
    fn places_are_those_of_keys_and_values() {
        let documents = parse("a: 1\n---\nb:\n  c: [x,\n   y]\n").expect("readable");
        let Value::Map(entries) = &documents[1].value else { panic!("a map") };
        assert_eq!((entries[0].0.line, entries[0].0.column), (3, 1));
        let Value::Map(inner) = &entries[0].1.value else { panic!("a map") };
        assert_eq!((inner[0].0.text.as_str(), inner[0].0.line, inner[0].0.column), ("c", 4, 3));
        let Value::List(items) = &inner[0].1.value else { panic!("a list") };
        assert_eq!((items[1].line, items[1].column), (5, 4));
    }

    #[test]
    fn what_cannot_be_read_names_its_place() {
        for (text, code, line) in [
            ("a: 1\na: 2\n", "config.duplicate_key", 2),
            ("{\"a\": 1,\n \"a\": 2}", "config.duplicate_key", 2),
            ("a: 1\n\tb: 2\n", "config.syntax", 2),
            ("a: [1, 2\n", "config.syntax", 1),
            ("a: *nowhere\n", "config.syntax", 1),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!((error.code, error.line), (code, line), "{text}: {error:?}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (name, inner) in [("b", "a"), ("c", "b"), ("d", "c"), ("e", "d"), ("f", "e"), ("g", "f")] {
            let ten = vec![format!("*{inner}"); 10].join(", ");
            bomb.push_str(&format!("{name}: &{name} [{ten}]\n"));
        }
        assert!(parse(&bomb).is_err());
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&"- x\n".repeat(60_000)).is_err());
    }
}
