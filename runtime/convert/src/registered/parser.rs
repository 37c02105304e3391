//! From bytes under a registered schema to data under Connect's.

use std::collections::HashMap;
use std::sync::Arc;

use towpath_model::{Config, ConnectorError};

use super::avro::Decoder;
use super::settings::Settings;
use super::{MAGIC, RegisteredSchema, SchemaRegistries, avro, json, settled};
use crate::definition::{Parsed, SchemaType};
use crate::error::Error;
use crate::fault::Fault;
use crate::json::{Encoder, Options, Transcoder, unbroken, valid};

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
pub(crate) struct Known(Input);

/// How data under a schema are read.
enum Input {
    /// Connect's schema, as text for the batch's dictionary, and how to come to its data and from there to JSON.
    Avro { text: Arc<str>, decoder: Decoder, json: Transcoder },
    /// What leads to Connect's data, or why there is nothing. Those who take JSON do without.
    Json(Result<Encoder, Fault>),
}

impl Known {
    fn new(registered: &RegisteredSchema, settings: &Settings) -> Result<Self, Fault> {
        let definition = &registered.definition;
        let invalid = |reason: String| Fault::schema(format!("schema {} of the registry: {reason}", registered.id));
        let parsed = Parsed::new(definition.schema_type, &definition.text, &registered.referenced)
            .map_err(|error| invalid(error.to_string()))?;
        match (settings.language, parsed) {
            (SchemaType::Avro, Parsed::Avro(schema)) => {
                let (schema, decoder) = avro::to_connect(&schema).map_err(|fault| invalid(fault.reason))?;
                let text = schema.to_json().to_string().into();
                Ok(Self(Input::Avro { text, decoder, json: Transcoder::new(&schema, Options::default()) }))
            }
            (SchemaType::Json, Parsed::Json(schema)) => {
                let schema = json::to_connect(&schema, settings.unrequired_optional);
                Ok(Self(Input::Json(schema.map(Encoder::of).map_err(|fault| invalid(fault.reason)))))
            }
            (language, parsed) => Err(invalid(format!(
                "it is of type {}, and this converter reads {language}. Name the converter of that type.",
                parsed.schema_type()
            ))),
        }
    }

    /// Connect's schema, and the datum under it.
    pub(crate) fn connect(&self, data: &[u8]) -> Result<(Arc<str>, Vec<u8>), Fault> {
        match &self.0 {
            Input::Avro { text, decoder, .. } => Ok((text.clone(), decoder.decode(data)?)),
            Input::Json(Ok(encoder)) => {
                let mut datum = Vec::with_capacity(data.len());
                let document =
                    serde_json::from_slice(data).map_err(|error| Fault::json(format!("not JSON: {error}")))?;
                encoder.write(document, &mut datum)?;
                Ok((encoder.text.clone(), datum))
            }
            Input::Json(Err(fault)) => Err(fault.clone()),
        }
    }

    /// The same as JSON. What is JSON already stays as it is, on one line.
    pub(crate) fn json(&mut self, data: &[u8]) -> Result<Vec<u8>, Fault> {
        match &mut self.0 {
            Input::Avro { decoder, json, .. } => {
                let datum = decoder.decode(data)?;
                let mut out = Vec::with_capacity(datum.len() * 2);
                json.write(&datum, &mut out)?;
                Ok(out)
            }
            Input::Json(_) => {
                let (text, broken) = valid(data)?;
                Ok(if broken { unbroken(text) } else { text.as_bytes().to_vec() })
            }
        }
    }
}

impl RegisteredParser {
    pub(crate) fn new(
        config: &Config,
        prefix: &str,
        language: SchemaType,
        registries: &dyn SchemaRegistries,
    ) -> Result<Self, Error> {
        let settings = Settings::new(config, prefix, language, registries)?;
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
            match found.and_then(|registered| Known::new(&registered, &self.settings)) {
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
