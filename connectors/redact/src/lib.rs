//! The redact transform: the values of chosen fields are replaced, and nothing else of a record changes by a byte.
//!
//! ```text
//! batch ─► [redact] ─► a datum under a Connect schema: [datum], or JSON text: [json] ─► batch
//! ```
//!
//! Fields are named by [`paths`](paths). A value that cannot be read is refused rather than let through: what was to be
//! hidden must not pass.

#[cfg(target_family = "wasm")]
mod component;
mod datum;
mod error;
mod json;
mod paths;
mod redact;
mod spec;

pub use error::Error;
pub use redact::Redact;
pub use spec::spec;
