//! Plans, supervises and runs tasks over a [`LogEngine`](towpath_log::LogEngine) and [`Plugins`](towpath_model::Plugins);
//! it knows neither WASM nor files nor HTTP.
//!
//! ```text
//! REST, CLI, folder ─ Handle ─▶ supervisor (machine + driver) ─▶ tasks: source, sink (machine + driver each)
//!                       ▲             │ writes                        │ records and offsets, whole or absent
//!                       └── board ◀───┴───────────── meters ◀─────────┴─▶ the log
//! ```
//! Invariants: 1 to 5 and 7 of the architecture are kept here; the code that keeps one cites its number.

mod answers;
mod backoff;
mod batch;
mod board;
mod checker;
mod config;
mod creation;
mod error;
mod errors;
mod folder;
mod handle;
mod health;
mod meters;
pub mod migration;
mod plan;
mod positions;
mod rehearsal;
mod replay;
mod retries;
mod settings;
mod spans;
mod store;
mod supervisor;
mod tap;
mod task;
#[cfg(test)]
mod tests;
mod worker;

pub use answers::{
    ConnectorInfo, ConnectorStatus, DeferredRecord, ErrorEntry, Initial, OffsetEntry, Owner, PartitionProgress,
    PluginInfo, PluginKind, Put, RecordId, Replayed, RetryState, SnapshotProgress, TaskMetrics, TaskStatus,
    ValidatedKey, Validation,
};
pub use checker::{Checker, Inspection, Reach};
pub use config::{Environment, InternalTopics, Limits, Restarts, SecretCommands, Secrets, WorkerConfig};
pub use error::{Error, Result};
pub use folder::Applied;
pub use handle::Handle;
pub use plan::vocabulary;
pub use rehearsal::{RehearsalError, rehearse};
pub use spans::{AttributeValue, Span, SpanContext, SpanKind, Spans};
pub use tap::{Held, Tap, TapOptions, Tapped};
pub use towpath_convert::{Content, Outcome, Passage, Seen, Station, Stop};
pub use worker::Worker;
