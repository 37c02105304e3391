//! Where converters find schemas: in this worker's registry, without HTTP, or in another one by its URL.

use std::sync::Arc;

use async_trait::async_trait;
use towpath_convert::definition::{Definition, SchemaType};
use towpath_convert::{RegisteredSchema, RegistryAddress, RegistryFault, SchemaRegistries, SchemaRegistry};

use crate::client::Client;
use crate::entry::Version;
use crate::fault::Fault;
use crate::register::Submitted;
use crate::registry::{Registry, find};
use crate::state::Which;

/// The registries that converters may name.
#[derive(Clone)]
pub struct Registries {
    own: Option<Registry>,
}

impl Registries {
    /// Those there are, with the worker's own where it has one.
    pub fn new(own: Option<Registry>) -> Self {
        Self { own }
    }
}

impl SchemaRegistries for Registries {
    fn at(&self, address: &RegistryAddress) -> Result<Arc<dyn SchemaRegistry>, String> {
        if !address.urls.is_empty() {
            return Ok(Arc::new(Client::new(address)?));
        }
        let none = "this worker runs without a schema registry (--registry none). Name one.";
        self.own.clone().map(|own| Arc::new(own) as _).ok_or_else(|| none.to_owned())
    }
}

#[async_trait]
impl SchemaRegistry for Registry {
    async fn register(&self, subject: &str, schema: &Definition, normalize: bool) -> Result<i32, RegistryFault> {
        let version = Self::register(self, subject, &submitted(schema), normalize).await.map_err(refused)?;
        Ok(version.id)
    }

    async fn look_up(&self, subject: &str, schema: &Definition, normalize: bool) -> Result<i32, RegistryFault> {
        let version = Self::look_up(self, subject, &submitted(schema), normalize, Which::Present).map_err(refused)?;
        Ok(version.id)
    }

    async fn latest(&self, subject: &str) -> Result<RegisteredSchema, RegistryFault> {
        let version = find(&self.state(), subject, "latest", Which::Present).cloned().map_err(refused)?;
        self.described(&version)
    }

    async fn by_id(&self, id: i32) -> Result<RegisteredSchema, RegistryFault> {
        let found = self.state().places(id, Which::All).next().cloned();
        let version = found.ok_or_else(|| refused(Fault::id_not_found(id)))?;
        self.described(&version)
    }
}

impl Registry {
    fn described(&self, version: &Version) -> Result<RegisteredSchema, RegistryFault> {
        let referenced = self.state().referenced(&version.references).map_err(RegistryFault::Refused)?;
        Ok(RegisteredSchema { id: version.id, definition: version.definition(), referenced })
    }
}

/// A schema as it is sent.
pub(crate) fn submitted(schema: &Definition) -> Submitted {
    let Definition { schema_type, text, references } = schema;
    Submitted {
        schema: Some(text.to_string()),
        schema_type: Some(*schema_type).filter(|kind| !SchemaType::is_default(kind)).map(|kind| kind.name().to_owned()),
        references: Some(references.clone()).filter(|references| !references.is_empty()),
        ..Submitted::default()
    }
}

/// The log's faults pass, all others are answers.
fn refused(fault: Fault) -> RegistryFault {
    if fault.code >= 50000 { RegistryFault::Unreachable(fault.message) } else { RegistryFault::Refused(fault.message) }
}
