//! From bytes under a registered schema to data under Connect's.

use std::collections::HashMap;
use std::sync::Arc;

use towpath_model::{Config, ConnectorError, Schema};

use super::avro::{self, Decoder};
use super::settings::Settings;
use super::{MAGIC, RegisteredSchema, SchemaRegistries, settled};
use crate::definition::Parsed;
use crate::error::Error;
use crate::fault::Fault;
use crate::json::{Options, Transcoder};

/// More ids than any topic holds at a time; when it is passed, all are forgotten and asked for anew.
const KNOWN_MAX: usize = 4096;

/// Reads data behind the ids of their schemas.
pub(crate) struct RegisteredParser {
    settings: Settings,
    known: HashMap<i32, Known>,
    /// Ids of the batch at hand that lead nowhere.
    refused: HashMap<i32, Fault>,
}

/// A schema that was asked for.
pub(crate) struct Known {
    decoder: Decoder,
    /// The Connect schema's text, for the batch's dictionary.
    pub(crate) text: Arc<str>,
    json: Transcoder,
}

impl Known {
    fn new(registered: &RegisteredSchema) -> Result<Self, Fault> {
        let definition = &registered.definition;
        let invalid = |reason: String| Fault::schema(format!("schema {} of the registry: {reason}", registered.id));
        let parsed = Parsed::new(definition.schema_type, &definition.text, &registered.referenced)
            .map_err(|error| invalid(error.to_string()))?;
        let Parsed::Avro(schema) = parsed else {
            return Err(invalid(format!("it is in {}, which this converter does not read", parsed.schema_type())));
        };
        let (schema, decoder): (Schema, Decoder) = avro::to_connect(&schema).map_err(|fault| invalid(fault.reason))?;
        let text = schema.to_json().to_string().into();
        Ok(Self { decoder, text, json: Transcoder::new(&schema, Options::default()) })
    }

    /// The datum under Connect's schema.
    pub(crate) fn datum(&self, data: &[u8]) -> Result<Vec<u8>, Fault> {
        self.decoder.decode(data)
    }

    /// The same as JSON.
    pub(crate) fn json(&mut self, data: &[u8]) -> Result<Vec<u8>, Fault> {
        let datum = self.decoder.decode(data)?;
        let mut out = Vec::with_capacity(datum.len() * 2);
        self.json.write(&datum, &mut out)?;
        Ok(out)
    }
}

impl RegisteredParser {
    pub(crate) fn new(config: &Config, prefix: &str, registries: &dyn SchemaRegistries) -> Result<Self, Error> {
        let settings = Settings::new(config, prefix, registries)?;
        Ok(Self { settings, known: HashMap::new(), refused: HashMap::new() })
    }

    /// A batch begins: the ids in it that are not known.
    pub(crate) fn missing<'a>(&mut self, payloads: impl Iterator<Item = Option<&'a [u8]>>) -> Vec<i32> {
        self.refused.clear();
        if self.known.len() > KNOWN_MAX {
            self.known.clear();
        }
        let mut missing = Vec::new();
        let mut last = None;
        for (id, _) in payloads.flatten().filter_map(|bytes| taken_apart(bytes).ok()) {
            if last.replace(id) != Some(id) && !self.known.contains_key(&id) && !missing.contains(&id) {
                missing.push(id);
            }
        }
        missing
    }

    /// Asks for schemas.
    ///
    /// # Errors
    /// When the registry does not answer. Ids that lead nowhere are told of record by record.
    pub(crate) async fn learn(&mut self, ids: Vec<i32>) -> Result<(), ConnectorError> {
        for id in ids {
            let found = settled(self.settings.registry.by_id(id).await)?;
            match found.and_then(|registered| Known::new(&registered)) {
                Ok(known) => drop(self.known.insert(id, known)),
                Err(fault) => drop(self.refused.insert(id, fault)),
            }
        }
        Ok(())
    }

    /// The schema and the data of a payload of the batch that was prepared.
    pub(crate) fn read<'a>(&mut self, bytes: &'a [u8]) -> Result<(&mut Known, &'a [u8]), Fault> {
        let (id, data) = taken_apart(bytes)?;
        if let Some(fault) = self.refused.get(&id) {
            return Err(fault.clone());
        }
        let known = self.known.get_mut(&id).ok_or_else(|| Fault::registry(format!("schema {id} was not asked for")))?;
        Ok((known, data))
    }
}

/// The id, and what follows it.
fn taken_apart(bytes: &[u8]) -> Result<(i32, &[u8]), Fault> {
    match bytes {
        [MAGIC, a, b, c, d, data @ ..] => Ok((i32::from_be_bytes([*a, *b, *c, *d]), data)),
        _ => Err(Fault::form(
            "the bytes do not begin with a zero and the id of a schema: they were not written through a schema registry",
        )),
    }
}
