//! For authors of connectors: a connector is a plain trait over Towpath's nouns, and a macro makes a component of it.
//!
//! Implement [`Source`], [`Sink`] or [`Transform`] and hand the type to [`export_source!`], [`export_sink!`] or
//! [`export_transform!`] in a crate of types `cdylib` and `rlib`. `cargo build --target wasm32-wasip2` gives the component;
//! natively the macros expand to nothing, so that all logic is tested as any other Rust. A source that can divide its work among
//! several instances of itself implements [`SharedSource`] too and is exported by [`export_shared_source!`].
//! What the host does for a connector is one module each: [`http`], [`streams`], [`object_store`], [`scratch`], [`files`], [`log`],
//! [`metrics`], [`control`]. Their functions work inside a component only; keep decisions apart from them. [`settings`] reads a
//! configuration and tells all its faults at once.

extern crate self as towpath_sdk;

pub mod control;
pub mod files;
pub mod http;
pub mod log;
pub mod metrics;
pub mod object_store;
pub mod scratch;
pub mod settings;
pub mod streams;

mod columns;
#[doc(hidden)]
pub mod connector;
mod definition;
mod shares;
mod sink;
mod source;
mod transform;
mod translate;

#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod component {
    //! What the export macros refer to.
    pub use crate::connector;
    pub use crate::shares::exports as shares;
    pub use crate::sink::exports as sink;
    pub use crate::source::exports as source;
    pub use crate::transform::exports as transform;
}

pub use definition::{KeyDefinition, SpecBuilder, key, spec};
pub use shares::{Part, Reader, ShareProgress, SharedSource, Turn};
pub use sink::Sink;
pub use source::Source;
pub use towpath_model as model;
pub use transform::Transform;

use towpath_model::Config;

/// Where a task runs and for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The connector's name.
    pub connector: String,
    /// The task's number, from zero.
    pub task: u32,
    /// The task's configuration, defaults filled in. Secrets that the host uses in the connector's stead are absent.
    pub config: Config,
    /// A UUID that is new for every start of the task.
    pub run_id: String,
    /// Grows with every start of the task.
    pub epoch: u64,
    /// The most bytes that the task should hold in buffers of its own.
    pub buffer_bytes_max: u64,
}
