//! The schema registry: Confluent's REST interface, over schemas that are kept in the compacted topic `_schemas` of the log.
//!
//! ```text
//! Door ─▶ api (paths, bodies, codes) ─▶ Registry (decides) ─▶ Entry ─▶ _schemas ─▶ State (what is read)
//! ```
//! Every change is decided by [`Registry`], one after another, is durable in the topic before it is seen, and is then applied to
//! the state, just as the topic is at a start. Keys and values are Confluent's, so that the topic can be mirrored from and to theirs.
//! Converters find schemas here without HTTP, and in other registries by [`Registries`].
//! What a schema means and whether it may follow another is `convert`'s to say.

mod api;
mod client;
mod config;
mod entry;
mod error;
mod fault;
mod metrics;
mod register;
mod registry;
mod server;
mod source;
mod state;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use error::Error;
pub use metrics::RegistryMetrics;
pub use registry::Registry;
pub use server::Server;
pub use source::Registries;

/// The topic that holds the schemas, under the name that registries use.
pub const TOPIC: &str = "_schemas";
