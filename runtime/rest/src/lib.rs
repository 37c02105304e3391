//! Kafka Connect's REST interface, and ours beside it: `/v1`, metrics, health.
//!
//! ```text
//! connections ─▶ guard (token, Host, Origin, media types) ─▶ routes ─▶ connect, plugins, health, metrics, v1 ─▶ worker's handle
//!                                                              │
//!                                                              └▶ openapi: what each handler says of itself, as one document
//! ```
//! Paths, codes, bodies and messages are those of Connect 4.x; what Connect does not have stands under `/v1` and never inside
//! Connect's bodies. Nothing is kept here: every answer comes from the worker's [`Handle`](towpath_worker::Handle) or from the
//! [`Log`] that `cli` hands in. The server answers from its first moment, with 503 until it is [opened](Opening::open).

mod beginning;
mod body;
mod config;
mod connect;
mod entities;
mod error;
mod fault;
mod guard;
mod health;
mod kafka;
mod log;
mod loggers;
mod metrics;
mod openapi;
mod plugins;
mod prometheus;
mod records;
mod server;
pub mod v1;

pub use beginning::Beginning;
pub use config::Config;
pub use connect::percent_encoded;
pub use error::Error;
pub use kafka::{Family, Kafka};
pub use log::{
    FsyncLatency, HeldPartition, Log, LogFault, LogNumbers, TopicDescription, TopicPartitionEnds, TransactionNumbers,
};
pub use loggers::{Level, LoggerLevel, Loggers};
pub use records::{Progress as TailProgress, Tail, TailOptions, write_record};
pub use server::{Opening, Served, Server};

#[cfg(test)]
mod tests;
