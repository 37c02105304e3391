//! Configuration from the user's files to what the worker runs: the folder, findings, secrets, the plan of what changed.
//!
//! ```text
//! files ─ Folder::read ─▶ Reading ─ Reading::check_with(check) ─▶ plan(applied, reading) ─▶ steps ─▶ worker
//!                            ▲                                                                │
//!                         Watch (something changed)                    secrets::resolve just before a task starts
//! ```
//! Nothing here knows plugins or runs anything: the worker brings the [`Spec`](towpath_model::Spec)s and a [`Vocabulary`].

mod check;
mod document;
mod editor;
mod error;
mod finding;
mod folder;
mod parse;
mod plan;
mod reach;
mod secrets;
#[cfg(test)]
mod tests;
mod watch;
mod words;
mod written;

pub use check::{Examination, KeyReport, TransformWords, Vocabulary, check, examine, framework_keys, normalise};
pub use document::{Document, Origin, Place};
pub use editor::editor_schema;
pub use error::Error;
pub use finding::{Finding, Severity};
pub use folder::{Folder, Reading};
pub use plan::{Applied, Step, plan};
pub use reach::{Files, out_of_reach};
pub use secrets::{
    Answers, Policy, Providers, Question, ResolveError, Resolved, SecretStore, has_reference, properties, questions,
    resolve, withhold_literals,
};
pub use watch::{Watch, WatchOptions};
pub use written::PipelineFiles;
