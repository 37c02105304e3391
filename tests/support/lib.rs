//! What the tests, the benchmarks and the examples stand on: real servers, started privately and cleaned up.
//!
//! A [`Postgres`] cluster, an HTTP [`Receiver`] that misbehaves on request, an [`S3Server`], and the [`Worker`] process under
//! test; [`Peers`] are Kafka, Connect and Debezium, to compare it with. [`tail`] reads what the log holds, [`Table`] rebuilds
//! tables from change events and compares them with their source, and [`Shop`] writes a random workload of which it can say
//! afterwards which events it must have caused.
//! Nothing here knows the inside of the runtime: it is used as a user would use it.

mod audit;
mod broker;
mod folder;
mod kafka;
mod objects;
mod peers;
mod pipelines;
mod postgres;
mod process;
mod receiver;
mod relay;
mod s3;
mod shop;
mod table;
mod tail;
mod usage;
mod wait;
mod worker;

pub use audit::{Audit, Change};
pub use broker::Broker;
pub use folder::Folder;
pub use kafka::Kafka;
pub use objects::{Object, objects};
pub use peers::{Peers, PeersOptions};
pub use pipelines::{Holes, copy_pipelines};
pub use postgres::{Login, PASSWORD, Postgres, PostgresOptions, USER};
pub use process::{Process, Signal};
pub use receiver::{Answer, Receiver, Request};
pub use relay::{Passage, Relay};
pub use s3::{ACCESS_KEY, S3Server, SECRET_KEY};
pub use shop::{Shop, ShopOptions};
pub use table::{Table, canonical};
pub use tail::{LogRecord, tail};
pub use usage::Usage;
pub use wait::{Deadline, eventually};
pub use worker::{Rest, Worker, WorkerOptions, http_client, http_client_that_trusts, towpath_binary, towpath_log};
