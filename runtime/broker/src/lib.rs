//! The Kafka protocol over the embedded log: any Kafka client reads and writes it through here.
//!
//! ```text
//! server ─> listener ─> connection ─> frames ─> api (which key, which version) ─┬─> api/<one file per API> ─> log
//!           (TLS)       session (sasl)          shield (hostile bytes)          └─> group (machine, coordinator) ─> log
//! ```
//! Record batches are passed through as they are: heads and checksums are judged by the log, records are never taken apart here.
//! Nothing is kept here that must survive: offsets of groups and the state of producers lie in the log.

pub mod admin;
mod api;
mod call;
mod codes;
mod config;
mod connection;
mod error;
mod fetch_sessions;
mod frames;
mod group;
mod lag;
mod listener;
mod metrics;
mod node;
mod pattern;
mod sasl;
mod server;
mod session;
mod shield;
#[cfg(test)]
mod tests;
mod topic_ids;

pub use config::{Config, Limits, TlsFiles};
pub use error::Error;
pub use group::{MigrationPolicy, ResidentGroup, ResidentMember, Residents};
pub use lag::Lag;
pub use listener::{Certificate, ListenerConfig, Protocol};
pub use metrics::{BrokerMetrics, RequestMetrics};
pub use sasl::{Mechanism, RestAccess, Users};
pub use server::{Broker, Handle};
