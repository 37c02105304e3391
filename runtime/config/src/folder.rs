//! The folder of configuration files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Document, Error, Finding};

/// The folder of configuration files.
pub struct Folder;

/// What stands in the folder.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The connectors, sorted by name.
    pub documents: Vec<Document>,
    /// What was found while reading and, after [`check_with`](Self::check_with), while checking.
    pub findings: Vec<Finding>,
    /// SHA-256 of every configuration file in hexadecimal, by path relative to the folder.
    pub files: BTreeMap<PathBuf, String>,
    /// Text of every configuration file, for rendering findings.
    pub sources: BTreeMap<PathBuf, String>,
    /// Files of which a part could not be read: connectors last seen in them are kept.
    pub broken: Vec<PathBuf>,
}

impl Folder {
    /// Reads `*.yaml`, `*.yml` and `*.json` in `dir` (not below it). What is wrong with files is in the findings.
    ///
    /// # Errors
    /// When the folder itself cannot be read.
    pub fn read(dir: &Path) -> Result<Reading, Error> {
        let _ = dir;
        unimplemented!()
    }
}

impl Reading {
    /// Runs a check over every document, keeps what it finds, and marks documents with errors as rejected.
    pub fn check_with(&mut self, mut check: impl FnMut(&Document) -> Vec<Finding>) {
        let _ = &mut check;
        unimplemented!()
    }

    /// Whether any finding is an error.
    pub fn has_errors(&self) -> bool {
        unimplemented!()
    }

    /// All findings as text for people.
    pub fn render(&self) -> String {
        unimplemented!()
    }
}
