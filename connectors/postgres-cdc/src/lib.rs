//! Change data capture from PostgreSQL, as Debezium gives it: a snapshot of the tables, then every change, exactly once.
//!
//! The path of a change: `wire` reads the server's bytes, `value` and `schema` say what a column becomes, `envelope` writes
//! the record, `snapshot` and `stream` drive the two phases, `task` joins them and reconnects, `component` puts it all
//! behind the SDK's trait. Everything but `component` is plain Rust over the small traits in `network` and `scratch`, and is tested natively
//! against a real server. Invariant 1: the server hears of a position only after the log has made it durable.

pub mod catalog;
pub mod component;
pub mod config;
pub mod envelope;
pub mod error;
pub mod network;
pub mod offset;
pub mod safety;
pub mod schema;
pub mod scratch;
pub mod setup;
pub mod snapshot;
pub mod stream;
pub mod task;
pub mod validate;
pub mod value;
pub mod wire;
