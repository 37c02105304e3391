//! The Kafka protocol over the embedded log: any Kafka client reads and writes it through here.
//!
//! ```text
//! server ─> connection ─> frames ─> api (which key, which version) ─┬─> api/<one file per API> ─> log
//!                                    shield (hostile bytes)         └─> group (machine, coordinator) ─> log
//! ```
//! Record batches are passed through as they are: heads and checksums are judged by the log, records are never taken apart here.
//! Nothing is kept here that must survive: offsets of groups and the state of producers lie in the log.

mod api;
mod call;
mod codes;
mod config;
mod connection;
mod error;
mod frames;
mod group;
mod node;
mod server;
mod shield;
#[cfg(test)]
mod tests;
mod topic_ids;

pub use config::{Config, Limits};
pub use error::Error;
pub use server::{Broker, Handle};
