//! JSON Schema: its texts, what their references lead to, and Confluent's rules of compatibility.
//!
//! A text is read into nodes, one for each schema in it, with references followed: a node that is referred to from several places is one node,
//! and a schema may contain itself. As in Confluent's registry a schema is of one kind (a string, an object, a combination …); one whose
//! keywords are of several kinds is a combination of them all. Drafts 4 to 7 are read alike; where `$schema` names 2019-09 or 2020-12, their
//! keywords count.
//!
//! ```text
//! text + referenced texts ─▶ places (what URIs lead to) ─▶ load ─▶ nodes ─▶ compatibility
//! ```

mod compatibility;
mod keywords;
mod load;
mod places;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fancy_regex::Regex;
use indexmap::IndexMap;
use serde_json::{Map, Value};

pub(crate) use self::compatibility::cannot_read;
use super::{Invalid, Referenced};

/// A JSON Schema.
#[derive(Clone, Debug)]
pub struct JsonSchema {
    text: Value,
    nodes: Vec<Node>,
    root: Id,
}

/// The place of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id(usize);

/// A schema, or one that is inside of another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) shape: Shape,
    pub(crate) default: Option<Value>,
    /// What is no keyword and means something to Connect: title, description, and what it has written itself, such as `connect.type`.
    pub(crate) props: Map<String, Value>,
}

/// What kind of schema it is.
#[derive(Clone, Debug, Default)]
pub(crate) enum Shape {
    /// `true`, or no keyword that says anything.
    #[default]
    Anything,
    /// `false`.
    Nothing,
    Null,
    Boolean,
    String {
        limits: Limits,
        pattern: Option<String>,
    },
    Number {
        integer: bool,
        limits: Limits,
        multiple_of: Option<f64>,
    },
    Array(Box<Array>),
    Object(Box<Object>),
    Const(Value),
    Enum(Vec<Value>),
    Not(Id),
    /// `if`, `then`, `else`, which the rules of compatibility pass over.
    Conditional,
    Combined(Criterion, Vec<Id>),
}

/// Keywords that limit a size, by their names.
pub(crate) type Limits = BTreeMap<&'static str, f64>;

/// How many of a combination's schemas must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Criterion {
    All,
    Any,
    One,
}

/// What an array holds.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    pub(crate) limits: Limits,
    pub(crate) unique: bool,
    /// The schema of every item.
    pub(crate) every: Option<Id>,
    /// The schemas of the first items.
    pub(crate) first: Vec<Id>,
    /// What may follow them.
    pub(crate) beyond: Beyond,
    pub(crate) unevaluated: Option<Id>,
}

/// What an object holds.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) limits: Limits,
    pub(crate) properties: IndexMap<Arc<str>, Id>,
    pub(crate) required: BTreeSet<Arc<str>>,
    pub(crate) patterns: Vec<(Regex, Id)>,
    /// What further properties may be.
    pub(crate) beyond: Beyond,
    pub(crate) unevaluated: Option<Id>,
    /// Properties that must be there where another one is.
    pub(crate) needs: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Schemas that must hold where a property is there.
    pub(crate) demands: BTreeMap<Arc<str>, Id>,
}

/// What may stand beyond what is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beyond {
    Anything,
    Nothing,
    Of(Id),
}

impl JsonSchema {
    /// Reads a schema.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(crate) fn parse(text: &str, referenced: &[Referenced]) -> Result<Self, Invalid> {
        load::load(text, referenced)
    }

    /// The text without white space.
    pub(crate) fn canonical(&self) -> String {
        self.text.to_string()
    }

    /// The text with keywords in order of their names.
    pub(crate) fn normalized(&self) -> String {
        sorted(&self.text).to_string()
    }

    /// The title, which stands for a name.
    pub(crate) fn name(&self) -> Option<&str> {
        self.text.get("title").and_then(Value::as_str)
    }

    /// The whole schema.
    pub(crate) fn root(&self) -> Id {
        self.root
    }

    /// A node of this schema.
    pub(crate) fn node(&self, id: Id) -> &Node {
        self.nodes.get(id.0).expect("ids are given by the schema they belong to")
    }
}

impl Node {
    /// A text that stands beside the keywords.
    pub(crate) fn prop(&self, name: &str) -> Option<&str> {
        self.props.get(name).and_then(Value::as_str)
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let entries: BTreeMap<_, _> = entries.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
