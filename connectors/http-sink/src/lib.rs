//! The HTTP sink: records of the log as requests to an endpoint, at least once, in order per key.
//!
//! ```text
//! put ─► [packet]s: a record or a batch each, on the lane of its key ─► rounds of requests ([dispatch]) ─► [answer]s
//!     ─► records accepted, refused, or to be handed over again, with everything behind them on their key
//! ```
//!
//! Pure files decide, [`client`] is the only way out, and `component.rs` ties both to the guest's world. Credentials are
//! named here and added by the host; none passes through this crate.

mod answer;
mod client;
#[cfg(target_family = "wasm")]
mod component;
mod config;
mod dispatch;
mod error;
mod metrics;
mod packet;
mod queue;
mod sink;
mod spec;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use config::{Mode, NullValues, Settings};
pub use error::Error;
pub use metrics::Counts;
pub use sink::HttpSink;
pub use spec::spec;
