//! A document: one connector as the user wrote it, with the place of each key.

use std::collections::BTreeMap;
use std::path::PathBuf;

use towpath_model::Config;

/// Where a document stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The file, relative to the folder.
    pub file: PathBuf,
    /// Its place among the documents of the file, from 0.
    pub index: usize,
}

/// A position in a file, from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, relative to the folder; keys may come from `defaults.yaml`.
    pub file: PathBuf,
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

/// One connector as it is written, references unresolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The connector's name.
    pub name: String,
    /// Whether the document states the name itself; otherwise it is the file's stem.
    pub named: bool,
    /// The flat configuration, `name` included, defaults merged, references unresolved.
    pub config: Config,
    /// Where it stands. For a config that came over REST, the default.
    pub origin: Origin,
    /// Where the document begins.
    pub start: Place,
    /// Where each key stands.
    pub places: BTreeMap<String, Place>,
    /// Whether an error was found in it, so that it must not be applied.
    pub rejected: bool,
}
