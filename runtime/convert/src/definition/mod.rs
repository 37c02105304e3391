//! Schemas as a registry keeps them, in a language of their own: what they say, and whether one can read what another has written.
//!
//! Pure: texts in, answers out. Where a schema refers to others, whoever asks hands their texts in. How records look under such a schema
//! is the converters' affair.
//!
//! ```text
//! text + referenced texts ─▶ Parsed ─▶ canonical text, by which schemas are the same
//!                              └────▶ compatible with those before it, at a level
//! ```

pub(crate) mod avro;
pub(crate) mod json;
mod level;
pub(crate) mod protobuf;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::avro::AvroSchema;
use self::json::JsonSchema;
pub use self::level::{Earlier, Level, incompatibilities};
use self::protobuf::ProtobufSchema;

/// The language of a schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SchemaType {
    /// Avro, which is meant where nothing is said.
    #[default]
    Avro,
    /// JSON Schema.
    Json,
    /// Protobuf.
    Protobuf,
}

impl SchemaType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Json, Self::Protobuf, Self::Avro];

    /// The name in the registry's interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::Json => "JSON",
            Self::Protobuf => "PROTOBUF",
        }
    }

    /// The form that a text of this language is in, by the name that clients have for it; none for the one that is kept.
    pub fn format_of(self, text: &str) -> Option<&'static str> {
        Some("serialized").filter(|_| self == Self::Protobuf && protobuf::is_serialized(text))
    }

    /// Whether it is the one that is meant where nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for SchemaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SchemaType {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(())
    }
}

/// One schema's word for another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    /// The name that the text uses: a full name in Avro, a URI in JSON Schema, an import in Protobuf.
    pub name: String,
    /// The subject that holds it.
    pub subject: String,
    /// The version in that subject; -1 for the latest.
    pub version: i32,
}

/// A schema as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Definition {
    /// Its language.
    pub schema_type: SchemaType,
    /// Its text.
    pub text: Arc<str>,
    /// What it refers to.
    pub references: Vec<Reference>,
}

/// The text behind a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referenced {
    /// The name by which it is referred to.
    pub name: String,
    /// Its text.
    pub text: Arc<str>,
}

/// The text is no schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub(crate) String);

impl Invalid {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// A schema that is understood.
#[derive(Clone, Debug)]
pub enum Parsed {
    /// In Avro.
    Avro(Box<AvroSchema>),
    /// In JSON Schema.
    Json(Box<JsonSchema>),
    /// In Protobuf.
    Protobuf(Box<ProtobufSchema>),
}

impl Parsed {
    /// Reads a schema; `referenced` holds what it refers to, directly or through others, each after those that it refers to itself.
    ///
    /// # Errors
    /// What is wrong with the text, in a sentence.
    pub fn new(schema_type: SchemaType, text: &str, referenced: &[Referenced]) -> Result<Self, Invalid> {
        match schema_type {
            SchemaType::Avro => Ok(Self::Avro(Box::new(AvroSchema::parse(text, referenced)?))),
            SchemaType::Json => Ok(Self::Json(Box::new(JsonSchema::parse(text, referenced)?))),
            SchemaType::Protobuf => Ok(Self::Protobuf(Box::new(ProtobufSchema::parse(text, referenced)?))),
        }
    }

    /// Its language.
    pub fn schema_type(&self) -> SchemaType {
        match self {
            Self::Avro(_) => SchemaType::Avro,
            Self::Json(_) => SchemaType::Json,
            Self::Protobuf(_) => SchemaType::Protobuf,
        }
    }

    /// The text by which schemas are the same: what does not matter is written in one way. With `normalize`, order does not matter
    /// either where the language gives it no meaning.
    pub fn canonical(&self, normalize: bool) -> String {
        match self {
            Self::Avro(schema) if normalize => schema.normalized(),
            Self::Avro(schema) => schema.canonical(),
            Self::Json(schema) if normalize => schema.normalized(),
            Self::Json(schema) => schema.canonical(),
            Self::Protobuf(schema) if normalize => schema.normalized(),
            Self::Protobuf(schema) => schema.canonical(),
        }
    }

    /// The text in another form, by the name that clients have for it; none where the language has no such form.
    pub fn formatted(&self, format: &str) -> Option<String> {
        match (self, format) {
            (Self::Protobuf(schema), "serialized") => Some(schema.serialized()),
            _ => None,
        }
    }

    /// The name of what it describes, where it has one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Avro(schema) => schema.name(),
            Self::Json(schema) => schema.name(),
            Self::Protobuf(schema) => schema.name(),
        }
    }

    /// Why data written under `writer` cannot be read under this schema; nothing where it can, none where the languages differ.
    pub(crate) fn cannot_read(&self, writer: &Self) -> Option<Vec<Difference>> {
        match (self, writer) {
            (Self::Avro(reader), Self::Avro(writer)) => Some(avro::cannot_read(reader, writer)),
            (Self::Json(reader), Self::Json(writer)) => Some(json::cannot_read(reader, writer)),
            (Self::Protobuf(reader), Self::Protobuf(writer)) => Some(protobuf::cannot_read(reader, writer)),
            _ => None,
        }
    }
}

/// One reason why a schema cannot read what another one wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Its kind, as the registry's clients know it.
    pub(crate) kind: &'static str,
    /// A sentence, in which `{reader}` and `{writer}` stand for the two.
    pub(crate) description: String,
    /// The name, type or symbols concerned.
    pub(crate) detail: Option<String>,
}
