//! From bytes under a registered schema to data under Connect's.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use towpath_model::{Config, ConnectorError, Schema};

use super::settings::{Protobuf, Settings};
use super::{MAGIC, RegisteredSchema, SchemaRegistries, avro, json, protobuf, settled};
use crate::definition::protobuf::ProtobufSchema;
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
    Avro(Compiled<avro::Decoder>),
    /// What leads to Connect's data, or why there is nothing. Those who take JSON do without.
    Json(Result<Encoder, Fault>),
    /// A file of several messages: those whose data were met, by their places in it.
    Protobuf(Box<ProtobufSchema>, Protobuf, HashMap<Vec<i32>, Compiled<protobuf::Decoder>>),
}

/// Connect's schema, as text for the batch's dictionary, and how to come to its data and from there to JSON.
struct Compiled<D> {
    text: Arc<str>,
    decoder: D,
    json: Transcoder,
}

impl<D> Compiled<D> {
    fn new((schema, decoder): (Schema, D)) -> Self {
        let text = schema.to_json().to_string().into();
        Self { text, decoder, json: Transcoder::new(&schema, Options::default()) }
    }

    fn json(&mut self, datum: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::with_capacity(datum.len() * 2);
        self.json.write(datum, &mut out)?;
        Ok(out)
    }
}

impl Known {
    fn new(registered: &RegisteredSchema, settings: &Settings) -> Result<Self, Fault> {
        let definition = &registered.definition;
        let invalid = |reason: String| Fault::schema(format!("schema {} of the registry: {reason}", registered.id));
        let parsed = Parsed::new(definition.schema_type, &definition.text, &registered.referenced)
            .map_err(|error| invalid(error.to_string()))?;
        match (settings.language, parsed) {
            (SchemaType::Avro, Parsed::Avro(schema)) => {
                let compiled = avro::to_connect(&schema).map_err(|fault| invalid(fault.reason))?;
                Ok(Self(Input::Avro(Compiled::new(compiled))))
            }
            (SchemaType::Json, Parsed::Json(schema)) => {
                let schema = json::to_connect(&schema, settings.unrequired_optional);
                Ok(Self(Input::Json(schema.map(Encoder::of).map_err(|fault| invalid(fault.reason)))))
            }
            (SchemaType::Protobuf, Parsed::Protobuf(schema)) => {
                Ok(Self(Input::Protobuf(schema, settings.protobuf, HashMap::new())))
            }
            (language, parsed) => Err(invalid(format!(
                "it is of type {}, and this converter reads {language}. Name the converter of that type.",
                parsed.schema_type()
            ))),
        }
    }

    /// Connect's schema, and the datum under it.
    pub(crate) fn connect(&mut self, data: &[u8]) -> Result<(Arc<str>, Vec<u8>), Fault> {
        match &mut self.0 {
            Input::Avro(compiled) => Ok((compiled.text.clone(), compiled.decoder.decode(data)?)),
            Input::Protobuf(schema, settings, known) => {
                let (message, data) = message_of(schema, *settings, known, data)?;
                Ok((message.text.clone(), message.decoder.decode(data)?))
            }
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
            Input::Avro(compiled) => {
                let datum = compiled.decoder.decode(data)?;
                compiled.json(&datum)
            }
            Input::Protobuf(schema, settings, known) => {
                let (message, data) = message_of(schema, *settings, known, data)?;
                let datum = message.decoder.decode(data)?;
                message.json(&datum)
            }
            Input::Json(_) => {
                let (text, broken) = valid(data)?;
                Ok(if broken { unbroken(text) } else { text.as_bytes().to_vec() })
            }
        }
    }
}

/// The message that data are, compiled when it is met for the first time, and what follows its places.
fn message_of<'k, 'a>(
    schema: &ProtobufSchema,
    settings: Protobuf,
    known: &'k mut HashMap<Vec<i32>, Compiled<protobuf::Decoder>>,
    data: &'a [u8],
) -> Result<(&'k mut Compiled<protobuf::Decoder>, &'a [u8]), Fault> {
    let (places, data) = protobuf::read_places(data)?;
    let compiled = match known.entry(places) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(fresh) => {
            let message = schema.message_at(fresh.key()).ok_or_else(protobuf::no_message)?;
            fresh.insert(Compiled::new(protobuf::to_connect(schema, &message, settings)?))
        }
    };
    Ok((compiled, data))
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
