//! The S3 sink: records of the log as objects in S3, in what speaks its protocol, or in a folder; each offset exactly once.
//!
//! ```text
//! put ─► [partition] groups of open [object]s ─► encoder ([format]) ─► parts sent in the background ([store])
//! flush ─► what is due is completed, one group a partition ─► its end may be committed
//! ```
//!
//! Pure files decide, [`store`] is the only way out, and `component.rs` ties both to the guest's world. How no offset ends up
//! in two objects, whatever happens when, stands at the head of [`partition`].

#[cfg(target_family = "wasm")]
mod component;
mod config;
mod error;
mod format;
mod metrics;
mod name;
mod object;
mod partition;
mod place;
mod sink;
mod spec;
mod store;
#[cfg(test)]
mod tests;

pub use config::{Compression, Format, NullValues, Settings};
pub use error::Error;
pub use metrics::Counts;
pub use sink::S3Sink;
pub use spec::spec;
pub use store::{Store, StoreError, Upload};
