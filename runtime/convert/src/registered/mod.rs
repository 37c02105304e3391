//! Converters whose schemas lie in a schema registry: bytes of a topic are a zero, the schema's id in four bytes, and the data.
//!
//! ```text
//! source: batch ─▶ prepare (ids of new schemas) ─▶ write, record by record        sink: batch ─▶ prepare (new ids) ─▶ read
//! ```
//! The registry is asked once for each topic and schema, or for each id, never for a record. Who it is that answers, this crate does not
//! know: it asks [`SchemaRegistry`], and whoever wires the worker fulfils that.

mod avro;
mod json;
mod parser;
mod protobuf;
mod settings;
mod subject;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use towpath_model::{ConnectorError, Reason, Secret};

pub(crate) use self::parser::RegisteredParser;
pub(crate) use self::settings::keys;
pub(crate) use self::writer::RegisteredWriter;
use crate::definition::{Definition, Referenced};
use crate::fault::Fault;

/// The code of a conversion that waits for the registry.
pub const REGISTRY_UNREACHABLE: &str = "convert.registry_unreachable";

/// What stands before the id.
const MAGIC: u8 = 0;

/// Names of Connect's logical types.
const DATE: &str = "org.apache.kafka.connect.data.Date";
const TIME: &str = "org.apache.kafka.connect.data.Time";
const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";

/// A schema that is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredSchema {
    /// Its id.
    pub id: i32,
    /// The schema.
    pub definition: Definition,
    /// The texts behind its references, each after those that it refers to itself.
    pub referenced: Vec<Referenced>,
}

/// Why a registry did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryFault {
    /// It did not answer, or cannot now. Asking again may help.
    #[error("the schema registry did not answer: {0}")]
    Unreachable(String),
    /// It refused: a schema that may not follow those before it, an id that it does not know, rights.
    #[error("{0}")]
    Refused(String),
}

/// What converters ask of a schema registry.
#[async_trait]
pub trait SchemaRegistry: Send + Sync {
    /// The id of a schema under a subject; registers it first where it is not there.
    async fn register(&self, subject: &str, schema: &Definition, normalize: bool) -> Result<i32, RegistryFault>;
    /// The id of a schema under a subject, if it is registered.
    async fn look_up(&self, subject: &str, schema: &Definition, normalize: bool) -> Result<i32, RegistryFault>;
    /// The latest schema of a subject.
    async fn latest(&self, subject: &str) -> Result<RegisteredSchema, RegistryFault>;
    /// The schema with this id.
    async fn by_id(&self, id: i32) -> Result<RegisteredSchema, RegistryFault>;
}

/// Where a registry is, as a converter's configuration says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryAddress {
    /// Its URLs, to be tried in turn; none for the registry of this worker.
    pub urls: Vec<String>,
    /// User and password.
    pub user: Option<(String, Secret)>,
}

/// Leads from addresses to registries, without asking them anything yet.
pub trait SchemaRegistries: Send + Sync {
    /// The registry at this address.
    ///
    /// # Errors
    /// What is wrong with the address, in a sentence.
    fn at(&self, address: &RegistryAddress) -> Result<Arc<dyn SchemaRegistry>, String>;
}

/// Registries that nobody has connected: configurations can be checked with them, records that need schemas cannot be converted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unconnected;

impl SchemaRegistries for Unconnected {
    fn at(&self, _: &RegistryAddress) -> Result<Arc<dyn SchemaRegistry>, String> {
        Ok(Arc::new(*self))
    }
}

impl Unconnected {
    fn fault() -> RegistryFault {
        RegistryFault::Refused("there is none here, but only in a worker that runs".to_owned())
    }
}

#[async_trait]
impl SchemaRegistry for Unconnected {
    async fn register(&self, _: &str, _: &Definition, _: bool) -> Result<i32, RegistryFault> {
        Err(Self::fault())
    }

    async fn look_up(&self, _: &str, _: &Definition, _: bool) -> Result<i32, RegistryFault> {
        Err(Self::fault())
    }

    async fn latest(&self, _: &str) -> Result<RegisteredSchema, RegistryFault> {
        Err(Self::fault())
    }

    async fn by_id(&self, _: i32) -> Result<RegisteredSchema, RegistryFault> {
        Err(Self::fault())
    }
}

/// What becomes of an answer: a refusal concerns the records of that schema, silence the whole batch, which is tried again.
fn settled<T>(answer: Result<T, RegistryFault>) -> Result<Result<T, Fault>, ConnectorError> {
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(RegistryFault::Refused(reason)) => Ok(Err(Fault::registry(reason))),
        Err(fault @ RegistryFault::Unreachable(_)) => {
            Err(ConnectorError::retriable(Reason::coded(REGISTRY_UNREACHABLE, fault.to_string())))
        }
    }
}

/// A name of letters, digits and underscores, as Confluent's converters make it: encoded as in a URL's form, then underscores.
fn scrubbed(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(byte.into()),
            b'_' | b'.' | b'-' | b'*' | b' ' => out.push('_'),
            byte => out.push_str(&format!("_{byte:02X}")),
        }
    }
    if out.starts_with(|first: char| first.is_ascii_digit()) {
        out.insert(0, 'x');
    }
    out
}
