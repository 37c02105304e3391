//! Avro: its schemas as Java's library reads and writes them, and its rules of schema resolution.
//!
//! The texts are what ids hang on, so they are written exactly as Java's `Schema.toString` writes them, properties included, which
//! readers of the format elsewhere drop or reorder.

mod compatibility;
mod parse;
mod print;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

pub(crate) use self::compatibility::cannot_read;
use super::{Invalid, Referenced};

/// A schema in Avro. Types with names stand beside it, so that they may refer to themselves.
#[derive(Clone, Debug)]
pub struct AvroSchema {
    pub(crate) root: Node,
    pub(crate) named: BTreeMap<Arc<str>, Named>,
    /// Names that are defined by schemas which this one refers to.
    borrowed: BTreeSet<Arc<str>>,
}

/// A type, where it is used.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// What stands beside the type, such as `logicalType` and `connect.name`.
    pub(crate) props: Map<String, Value>,
}

/// Avro's types.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(Box<Node>),
    Map(Box<Node>),
    Union(Vec<Node>),
    /// A record, enum or fixed, by its full name.
    Named(Arc<str>),
}

/// A type that has a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Named {
    pub(crate) name: Arc<str>,
    pub(crate) doc: Option<String>,
    /// Full names.
    pub(crate) aliases: Vec<Arc<str>>,
    pub(crate) shape: Shape,
    pub(crate) props: Map<String, Value>,
}

/// What a named type is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    Record { fields: Vec<Field>, error: bool },
    Enum { symbols: Vec<Arc<str>>, default: Option<Arc<str>> },
    Fixed(usize),
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: Arc<str>,
    pub(crate) doc: Option<String>,
    pub(crate) default: Option<Value>,
    pub(crate) aliases: Vec<Arc<str>>,
    pub(crate) order: Option<String>,
    pub(crate) node: Node,
    pub(crate) props: Map<String, Value>,
}

impl AvroSchema {
    /// Reads a schema.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str, referenced: &[Referenced]) -> Result<Self, Invalid> {
        parse::parse(text, referenced)
    }

    /// A schema that was built, under types that were built with it.
    pub(crate) fn built(root: Node, named: BTreeMap<Arc<str>, Named>) -> Self {
        Self { root, named, borrowed: BTreeSet::new() }
    }

    /// The text as Java's `Schema.toString` writes it.
    pub(crate) fn canonical(&self) -> String {
        print::canonical(self)
    }

    /// The text with properties sorted and names in full.
    pub(crate) fn normalized(&self) -> String {
        print::normalized(self)
    }

    /// The full name of its type, where it has one.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.root.kind {
            Kind::Named(name) => Some(name),
            _ => None,
        }
    }

    /// The type behind a name. Parsing has seen to it that there is one.
    pub(crate) fn type_of(&self, name: &str) -> Option<&Named> {
        self.named.get(name)
    }
}

impl Node {
    pub(crate) fn plain(kind: Kind) -> Self {
        Self { kind, props: Map::new() }
    }

    /// The text of a property.
    pub(crate) fn prop(&self, name: &str) -> Option<&str> {
        self.props.get(name).and_then(Value::as_str)
    }
}

impl Kind {
    /// The primitive type of this name.
    fn primitive(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "string" => Self::String,
            _ => return None,
        })
    }

    /// The name of a type without a name of its own.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Named(_) => "named",
        }
    }
}

impl Named {
    /// `record`, `error`, `enum` or `fixed`.
    pub(crate) fn kind(&self) -> &'static str {
        match self.shape {
            Shape::Record { error: false, .. } => "record",
            Shape::Record { error: true, .. } => "error",
            Shape::Enum { .. } => "enum",
            Shape::Fixed(_) => "fixed",
        }
    }

    /// The name without its namespace.
    pub(crate) fn short_name(&self) -> &str {
        split(&self.name).1
    }
}

/// Namespace and name.
pub(crate) fn split(full: &str) -> (Option<&str>, &str) {
    match full.rsplit_once('.') {
        Some((space, name)) => (Some(space).filter(|space| !space.is_empty()), name),
        None => (None, full),
    }
}

/// Whether Avro allows a name: of a field, a symbol, or one part of a full name.
pub(crate) fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|next| next.is_ascii_alphanumeric() || next == '_')
}
