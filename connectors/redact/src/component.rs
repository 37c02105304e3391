//! The glue to the guest's world. No decisions.

use towpath_model::{Batch, Config, ConnectorError, Fault, Spec, Transformed};
use towpath_sdk::Transform;

use crate::{Error, Redact};

struct Step(Redact);

impl Transform for Step {
    fn spec() -> Spec {
        crate::spec()
    }

    fn validate(config: &Config, _connect: bool) -> Result<Vec<Fault>, ConnectorError> {
        Ok(Redact::new(config).err().map(|fault| Fault::error(key_of(&fault), fault.to_string())).into_iter().collect())
    }

    fn open(config: Config) -> Result<Self, ConnectorError> {
        Redact::new(&config).map(Self).map_err(|fault| ConnectorError::config(key_of(&fault), fault.to_string()))
    }

    fn apply(&mut self, records: Batch) -> Result<Transformed, ConnectorError> {
        self.0.apply(records)
    }
}

fn key_of(fault: &Error) -> String {
    match fault {
        Error::Setting { key, .. } => (*key).to_owned(),
        _ => String::new(),
    }
}

towpath_sdk::export_transform!(Step);
