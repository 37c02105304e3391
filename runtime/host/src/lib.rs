//! Runs connectors as WASM components, with nothing allowed that their configuration does not name.
//!
//! ```text
//!   plugins/     which components there are: embedded, in the plugins folder, named by path; compiled code on disk
//!   guest/       one running component: its store, its limits, the one way of calling into it, why it ended
//!   task/        the model's Source, Sink and Transform, call by call
//!   capability/  what a component may ask of the host: http, streams, object-store, scratch, telemetry; deny by default
//!   engine       wasmtime's settings, and the clock that interrupts guests
//! ```
//!
//! Only this crate knows wasmtime; `worker` sees the traits of `model`. What a guest gives back is checked where it arrives,
//! and secrets are taken out of whatever it says.

mod bindings;
mod capability;
mod columns;
mod config;
mod engine;
mod error;
mod guest;
mod plugins;
mod task;
mod translate;

pub use config::{EmbeddedComponent, HostConfig, Limits, Paged, Program};
pub use error::Error;
pub use plugins::{Host, Installed, PluginFault, Precompiled, Rescan, compile_within, java_class, precompile};
