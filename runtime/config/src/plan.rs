//! What must happen so that the worker runs what the folder says.

use std::path::PathBuf;

use towpath_model::Config;

use crate::{Document, Finding, Origin, Reading};

/// A file-owned connector as it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its name.
    pub name: String,
    /// Its configuration, references unresolved.
    pub config: Config,
    /// Where it was read from.
    pub origin: Origin,
}

/// One step of a plan. Steps come in the order in which to carry them out.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Stop this connector and keep its offsets.
    Remove {
        /// Its name.
        name: String,
        /// The file it was in.
        file: PathBuf,
    },
    /// Start this connector.
    Create {
        /// It.
        document: Document,
        /// The connector whose file seems to have been renamed to this one: it is removed, this one starts anew.
        renamed_from: Option<String>,
    },
    /// Give this connector another configuration.
    Change {
        /// It.
        document: Document,
        /// The keys that differ.
        keys: Vec<String>,
    },
    /// The connector stands in another file now; nothing else changes.
    Move {
        /// Its name.
        name: String,
        /// Where it was.
        from: Origin,
        /// Where it is.
        to: Origin,
    },
    /// Keep the last good configuration, if there is one, and show "config rejected".
    Reject {
        /// The connector.
        name: String,
        /// The file at fault.
        file: PathBuf,
        /// Why.
        findings: Vec<Finding>,
    },
}

/// The steps from what runs to what the folder says.
pub fn plan(previous: &[Applied], reading: &Reading) -> Vec<Step> {
    let _ = (previous, reading);
    unimplemented!()
}
