//! What a component may ask of the host. Each capability is one file, and this list is all there is.
//!
//! Every one answers only for the endpoints that the task's own configuration names ([`Allowed`]) and only when the
//! component's spec declares that it uses the capability; anything else is denied, with the key that would permit it.

pub(crate) mod allowed;
pub(crate) mod files;
pub(crate) mod held;
pub(crate) mod http;
pub(crate) mod object_store;
pub(crate) mod scratch;
pub(crate) mod streams;
pub(crate) mod telemetry;

use std::sync::{Arc, OnceLock};

use towpath_model::{Capability, Clock};
use wasmtime::component::{HasSelf, Linker};

pub(crate) use allowed::Allowed;
pub(crate) use held::Held;

use crate::bindings::imports::towpath::connect as wit;
use crate::config::Limits;
use crate::guest::Guest;

/// What the capabilities of all tasks share.
pub(crate) struct Services {
    /// What every task is held to.
    pub(crate) limits: Limits,
    /// Whether link-local and metadata addresses may be reached.
    pub(crate) allow_link_local: bool,
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
    /// One pool of connections for all tasks, made when first needed.
    pub(crate) http: OnceLock<reqwest::Client>,
    /// Stores in memory, by bucket.
    pub(crate) memory: object_store::MemoryStores,
}

/// Offers everything to components that link against `linker`.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wit::http::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    wit::streams::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    wit::object_store::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    wit::scratch::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    wit::files::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    wit::logging::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    wit::metrics::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    wit::control::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    Ok(())
}

/// Whether the component said that it uses the capability.
pub(crate) fn require(guest: &Guest, capability: Capability) -> Result<(), String> {
    if guest.scope.capabilities.contains(&capability) {
        return Ok(());
    }
    let name = match capability {
        Capability::Http => "http",
        Capability::Streams => "streams",
        Capability::ObjectStore => "object-store",
        Capability::Scratch => "scratch",
        Capability::Files => "files",
    };
    Err(format!("the component's spec does not declare the capability {name}"))
}
