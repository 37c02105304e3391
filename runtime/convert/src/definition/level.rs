//! Compatibility levels: which of two schemas must be able to read the other's data, and how many earlier ones count.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Difference, Parsed};

/// The longest text of an earlier schema that is quoted in full.
const QUOTED_MAX: usize = 10_000;

/// What a new schema of a subject owes to those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum Level {
    None,
    #[default]
    Backward,
    BackwardTransitive,
    Forward,
    ForwardTransitive,
    Full,
    FullTransitive,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Backward,
        Self::BackwardTransitive,
        Self::Forward,
        Self::ForwardTransitive,
        Self::Full,
        Self::FullTransitive,
    ];

    /// The name in the registry's interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    /// Whether the new schema must read data of the old.
    fn backward(self) -> bool {
        matches!(self, Self::Backward | Self::BackwardTransitive | Self::Full | Self::FullTransitive)
    }

    /// Whether the old schema must read data of the new.
    fn forward(self) -> bool {
        matches!(self, Self::Forward | Self::ForwardTransitive | Self::Full | Self::FullTransitive)
    }

    /// Whether all earlier schemas count, and not the latest alone.
    fn transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(text)).ok_or(())
    }
}

/// A schema that a subject has already.
#[derive(Clone, Debug)]
pub struct Earlier {
    /// Its version.
    pub version: i32,
    /// The schema.
    pub schema: Parsed,
}

/// Why `schema` may not follow `earlier`, which is in order of versions; nothing where it may. Worded as the registry's clients know it.
pub fn incompatibilities(level: Level, schema: &Parsed, earlier: &[Earlier]) -> Vec<String> {
    let counted = if level.transitive() { earlier.len() } else { 1 };
    earlier
        .iter()
        .rev()
        .take(counted)
        .map(|earlier| against(level, schema, earlier))
        .find(|messages| !messages.is_empty())
        .unwrap_or_default()
}

fn against(level: Level, schema: &Parsed, earlier: &Earlier) -> Vec<String> {
    let mut messages = Vec::new();
    let readings = [
        (level.forward(), (&earlier.schema, "old"), (schema, "new")),
        (level.backward(), (schema, "new"), (&earlier.schema, "old")),
    ];
    for (_, (reader, reader_name), (writer, writer_name)) in readings.into_iter().filter(|(owed, ..)| *owed) {
        let Some(differences) = reader.cannot_read(writer) else {
            return vec!["Incompatible because of different schema type".to_owned()];
        };
        messages.extend(differences.iter().map(|difference| difference.told(reader_name, writer_name)));
    }
    if !messages.is_empty() {
        messages.push(format!("{{oldSchemaVersion: {}}}", earlier.version));
        let text = earlier.schema.canonical(false);
        let quoted: String = text.chars().take(QUOTED_MAX).collect();
        let (mark, dots) = if quoted.len() < text.len() { ("<truncated> ", "...") } else { ("", "") };
        messages.push(format!("{{oldSchema: {mark}'{quoted}{dots}'}}"));
    }
    messages
}

impl Difference {
    fn told(&self, reader: &str, writer: &str) -> String {
        let description = self.description.replace("{reader}", reader).replace("{writer}", writer);
        let detail = self.detail.as_ref().map_or_else(String::new, |detail| format!(", additionalInfo:'{detail}'"));
        format!("{{errorType:'{}', description:'{description}'{detail}}}", self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::super::SchemaType;
    use super::*;

    fn record(fields: &str) -> Parsed {
        let text = format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
        Parsed::new(SchemaType::Avro, &text, &[]).expect("a schema")
    }

    /// The seven levels over the two changes that tell them apart.
    #[test]
    fn each_level_allows_what_its_name_says() {
        let (plain, with_default, required) = (
            r#"{"name":"a","type":"int"}"#,
            r#"{"name":"a","type":"int"},{"name":"b","type":"int","default":0}"#,
            r#"{"name":"a","type":"int"},{"name":"b","type":"int"}"#,
        );
        let check = |level: Level, earlier: &[&str], next: &str, allowed: bool| {
            let versions = (1..).zip(earlier);
            let earlier: Vec<_> =
                versions.map(|(version, fields)| Earlier { version, schema: record(fields) }).collect();
            let messages = incompatibilities(level, &record(next), &earlier);
            assert_eq!(messages.is_empty(), allowed, "{level} {next}: {messages:?}");
        };
        // A field that is added without a default cannot be read from old data; new data can be read without it.
        for (level, allowed) in Level::ALL.into_iter().zip([true, false, false, true, true, false, false]) {
            check(level, &[plain], required, allowed);
        }
        // The other way round.
        for (level, allowed) in Level::ALL.into_iter().zip([true, true, true, false, false, false, false]) {
            check(level, &[required], plain, allowed);
        }
        // The latest allows it, the one before does not.
        for (level, allowed) in Level::ALL.into_iter().zip([true, true, false, true, true, true, false]) {
            check(level, &[plain, with_default], required, allowed);
        }
        assert!(incompatibilities(Level::FullTransitive, &record(plain), &[]).is_empty());
    }

    #[test]
    fn messages_name_the_reason_the_version_and_the_schema() {
        let earlier = [Earlier { version: 3, schema: record(r#"{"name":"a","type":"int"}"#) }];
        let next = record(r#"{"name":"a","type":"int"},{"name":"b","type":"int"}"#);
        assert_eq!(
            incompatibilities(Level::Backward, &next, &earlier),
            [
                "{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'b' at path '/fields/1' in the new schema has \
                 no default value and is missing in the old schema', additionalInfo:'b'}",
                "{oldSchemaVersion: 3}",
                r#"{oldSchema: '{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}'}"#,
            ]
        );
    }
}
