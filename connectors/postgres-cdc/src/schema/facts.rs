//! What is known of a table before its records can be written, and what is learnt when a row does not fit.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::wire::ReplicaIdentity;

/// What the catalog or a relation message says of a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnFacts {
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_oid: u32,
    /// What modifies the type, or -1.
    pub modifier: i32,
    /// Whether it may be null.
    pub optional: bool,
    /// How many dimensions an array is declared with.
    pub dimensions: u16,
    /// The expression of its default.
    pub default: Option<String>,
    /// Whether elements of an array may be null where Debezium's schema has no room for that.
    pub elements_optional: bool,
    /// Whether an enum holds labels that even the catalog does not know, such as ones that were renamed.
    pub labels_open: bool,
    /// Its place in tuples.
    pub place: usize,
}

/// What the catalog or a relation message says of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFacts {
    /// Its oid.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it puts into the log of old rows.
    pub identity: ReplicaIdentity,
    /// Its columns.
    pub columns: Vec<ColumnFacts>,
    /// The names of its key's columns, in the key's order.
    pub key: Vec<String>,
    /// Whether the key is one that is checked late, so that the stream does not tell of it.
    pub key_deferrable: bool,
}

/// The key of a table's records: the primary key, unless the changes of rows do not carry it because the replica identity
/// is another index. Then it is that index's columns, which they do carry.
pub fn choose_key(identity: ReplicaIdentity, primary: Vec<String>, index: Vec<String>) -> Vec<String> {
    let carried = primary.iter().all(|name| index.contains(name));
    let use_index = identity == ReplicaIdentity::Index && (primary.is_empty() || !carried);
    if use_index { index } else { primary }
}

/// A value for which a table's schema has no room, though another version of the schema would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// `schema.table`.
    pub table: String,
    /// The column.
    pub column: String,
    /// What does not fit.
    pub kind: MisfitKind,
}

/// What does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MisfitKind {
    /// A null where none may be.
    Null,
    /// A null among elements that cannot be null.
    NullElement,
    /// A label that the enum did not have when it was looked up.
    Label,
    /// An array of this many dimensions.
    Dimensions(u16),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} holds ", self.table, self.column)?;
        match self.kind {
            MisfitKind::Null => {
                write!(f, "null, or a number that cannot be represented, though it is declared NOT NULL")
            }
            MisfitKind::NullElement => write!(f, "null among the elements of an array"),
            MisfitKind::Label => write!(f, "an enum's label that is new"),
            MisfitKind::Dimensions(count) => write!(f, "an array of {count} dimensions, which it does not declare"),
        }
    }
}

impl TableFacts {
    /// The facts by which the schema has room for whatever these or others of the same table have room for.
    #[must_use]
    pub fn widened(&self, other: &Self) -> Self {
        let mut facts = self.clone();
        for column in &mut facts.columns {
            if let Some(other) = other.columns.iter().find(|other| other.name == column.name) {
                column.optional |= other.optional;
                column.elements_optional |= other.elements_optional;
                column.labels_open |= other.labels_open;
                column.dimensions = column.dimensions.max(other.dimensions);
            }
        }
        facts
    }

    /// The facts by which the schema has room for the misfit. A label is looked up in the catalog first: `labels_learnt` says
    /// whether that found new ones.
    #[must_use]
    pub fn with_room_for(&self, misfit: &Misfit, labels_learnt: bool) -> Self {
        let mut facts = self.clone();
        if let Some(column) = facts.columns.iter_mut().find(|column| column.name == misfit.column) {
            match misfit.kind {
                MisfitKind::Null => column.optional = true,
                MisfitKind::NullElement => column.elements_optional = true,
                MisfitKind::Label => column.labels_open = !labels_learnt,
                MisfitKind::Dimensions(count) => column.dimensions = count,
            }
        }
        facts
    }
}
