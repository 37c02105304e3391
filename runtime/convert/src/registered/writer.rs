//! From a connector's forms to bytes under a registered schema.

use std::collections::HashMap;
use std::sync::Arc;

use towpath_model::{Batch, Config, ConnectorError, Encoding, Form, Schema};

use super::settings::Settings;
use super::{MAGIC, SchemaRegistries, avro, json, protobuf, settled};
use crate::converter::{BYTES_SCHEMA, some};
use crate::definition::{Definition, Parsed, SchemaType};
use crate::error::Error;
use crate::fault::Fault;
use crate::json::Transcoder;

/// More topics and schemas than any path uses at a time; when it is passed, all are forgotten and asked for anew.
const KNOWN_MAX: usize = 4096;

/// Writes data behind the ids of their schemas.
pub(crate) struct RegisteredWriter {
    settings: Settings,
    registered: Vec<Registered>,
    /// Which of them belongs to a topic and a schema.
    known: HashMap<(Arc<str>, Arc<str>), usize>,
    /// What the batch that was prepared refers to, by the indexes of topic and schema.
    of_batch: Vec<(Place, Result<usize, Fault>)>,
    /// Where the last record's stands in there.
    last: usize,
    bytes_schema: Arc<str>,
}

/// The indexes of a topic and a schema in a batch; none stands for plain bytes.
type Place = (u32, Option<u32>);

struct Registered {
    prefix: [u8; 5],
    output: Output,
}

/// How data are written.
enum Output {
    /// As they are, which is Avro, once they are found to be data of their schema.
    Avro(Schema),
    Json(Transcoder),
    /// Behind the places of the message in its file.
    Protobuf(Vec<u8>, protobuf::Encoder),
}

/// A Connect schema in the registry's language.
struct Rendered {
    schema: Schema,
    parsed: Parsed,
    /// The name of what its data are.
    name: Option<String>,
}

impl RegisteredWriter {
    pub(crate) fn new(
        config: &Config,
        prefix: &str,
        language: SchemaType,
        registries: &dyn SchemaRegistries,
    ) -> Result<Self, Error> {
        Ok(Self {
            settings: Settings::new(config, prefix, language, registries)?,
            registered: Vec::new(),
            known: HashMap::new(),
            of_batch: Vec::new(),
            last: 0,
            bytes_schema: BYTES_SCHEMA.into(),
        })
    }

    /// Sees to it that all schemas of a batch have ids.
    ///
    /// # Errors
    /// When the registry does not answer. What it refuses is told of record by record.
    pub(crate) async fn prepare(&mut self, batch: &Batch, forms: Vec<(u32, Form)>) -> Result<(), ConnectorError> {
        (self.last, self.of_batch) = (0, Vec::new());
        if self.known.len() > KNOWN_MAX {
            self.known.clear();
            self.registered.clear();
        }
        for (topic, form) in forms {
            let place = (topic, form.schema);
            if form.encoding == Encoding::Json || self.of_batch.iter().any(|(known, _)| *known == place) {
                continue;
            }
            let text = form.schema.map_or_else(|| self.bytes_schema.clone(), |schema| batch.schema(schema).clone());
            let key = (batch.topic(topic).clone(), text);
            let registered = match self.known.get(&key) {
                Some(known) => Ok(*known),
                None => self.register(&key.0, &key.1).await?.map(|fresh| {
                    self.registered.push(fresh);
                    self.known.insert(key, self.registered.len() - 1);
                    self.registered.len() - 1
                }),
            };
            self.of_batch.push((place, registered));
        }
        Ok(())
    }

    async fn register(&self, topic: &str, text: &str) -> Result<Result<Registered, Fault>, ConnectorError> {
        let rendered = match self.rendered(text) {
            Ok(rendered) => rendered,
            Err(fault) => return Ok(Err(fault)),
        };
        let parsed = &rendered.parsed;
        let Settings { registry, is_key, strategy, normalizes, .. } = &self.settings;
        let Some(subject) = strategy.subject(topic, *is_key, rendered.name.as_deref()) else {
            let reason =
                "the subject is to be named after a record, and the data are no record. Use TopicNameStrategy.";
            return Ok(Err(Fault::schema(reason)));
        };
        let definition = Definition {
            schema_type: parsed.schema_type(),
            text: parsed.canonical(false).into(),
            references: Vec::new(),
        };
        let (id, latest) = if self.settings.takes_latest {
            let latest = settled(registry.latest(&subject).await)?;
            let parsed = latest.as_ref().map_err(Clone::clone).and_then(|latest| {
                Parsed::new(latest.definition.schema_type, &latest.definition.text, &latest.referenced)
                    .map_err(|invalid| Fault::schema(invalid.to_string()))
            });
            match parsed {
                Ok(parsed) => (latest.map(|latest| latest.id), Some(parsed)),
                Err(fault) => (Err(fault), None),
            }
        } else if self.settings.registers {
            (settled(registry.register(&subject, &definition, *normalizes).await)?, None)
        } else {
            (settled(registry.look_up(&subject, &definition, *normalizes).await)?, None)
        };
        Ok(id.and_then(|id| {
            let [a, b, c, d] = id.to_be_bytes();
            let output = self.output(rendered, latest).ok_or_else(|| {
                Fault::schema(format!("the latest schema of subject {subject} has another shape than the data"))
            })?;
            Ok(Registered { prefix: [MAGIC, a, b, c, d], output: output? })
        }))
    }

    /// A Connect schema in the registry's language.
    fn rendered(&self, text: &str) -> Result<Rendered, Fault> {
        let schema = Schema::parse(text).map_err(|error| Fault::schema(error.to_string()))?;
        let settings = &self.settings;
        let read = |language, text: &str| {
            Parsed::new(language, text, &[]).map_err(|invalid| Fault::schema(invalid.to_string()))
        };
        let (parsed, name) = match settings.language {
            SchemaType::Avro => {
                let shape = avro::from_connect(&schema, settings.scrubs_names, settings.connect_meta)?;
                (Parsed::Avro(Box::new(shape)), None)
            }
            SchemaType::Json => {
                let rendered = json::from_connect(&schema, settings.json, !settings.additional_properties)?;
                (read(SchemaType::Json, &rendered.to_string())?, None)
            }
            SchemaType::Protobuf => {
                let rendered = protobuf::from_connect(&schema, settings.protobuf, settings.scrubs_names)?;
                (read(SchemaType::Protobuf, &rendered.text)?, Some(rendered.message))
            }
        };
        let name = name.or_else(|| parsed.name().map(str::to_owned));
        Ok(Rendered { schema, parsed, name })
    }

    /// How data are written, where need be under a schema that somebody else has registered; none where they have another shape.
    fn output(&self, rendered: Rendered, latest: Option<Parsed>) -> Option<Result<Output, Fault>> {
        let Rendered { schema, parsed, name } = rendered;
        let latest_fits = latest.as_ref().is_none_or(|latest| fits(&parsed, latest));
        match latest.unwrap_or(parsed) {
            Parsed::Protobuf(file) if self.settings.language == SchemaType::Protobuf => {
                let named = name.and_then(|name| file.message(&name));
                let message = named.or_else(|| file.message_at(&[0]))?;
                let mut places = Vec::new();
                protobuf::write_places(&file.places_of(&message)?, &mut places);
                let encoder = protobuf::Encoder::new(&schema, &message, self.settings.scrubs_names);
                Some(encoder.map(|encoder| Output::Protobuf(places, encoder)))
            }
            _ if !latest_fits => None,
            Parsed::Avro(_) => Some(Ok(Output::Avro(schema))),
            Parsed::Json(_) => Some(Ok(Output::Json(Transcoder::new(&schema, self.settings.json)))),
            Parsed::Protobuf(_) => None,
        }
    }

    /// Appends the bytes of a payload of the batch that was prepared.
    #[inline]
    pub(crate) fn write(&mut self, topic: u32, form: Form, bytes: &[u8], out: &mut Vec<u8>) -> Result<bool, Fault> {
        if form.encoding == Encoding::Json {
            return Err(Fault::form(
                "JSON without a schema cannot be written under one. Use the json converter, or a transform that gives it a schema.",
            ));
        }
        let place = (topic, form.schema);
        if self.of_batch.get(self.last).is_none_or(|(known, _)| *known != place) {
            let found = self.of_batch.iter().position(|(known, _)| *known == place);
            self.last = found.ok_or_else(|| Fault::schema("a datum has no schema"))?;
        }
        let registered = match &self.of_batch.get(self.last) {
            Some((_, Ok(registered))) => self.registered.get_mut(*registered),
            Some((_, Err(fault))) => return Err(fault.clone()),
            None => None,
        };
        let registered = registered.ok_or_else(|| Fault::schema("a datum has no schema"))?;
        let start = out.len();
        out.extend_from_slice(&registered.prefix);
        match (&mut registered.output, form.encoding) {
            (Output::Avro(schema), Encoding::Connect) => {
                avro::check(schema, bytes)?;
                out.extend_from_slice(bytes);
            }
            (Output::Avro(_), _) => out.extend_from_slice(&some(bytes)),
            (Output::Json(transcoder), Encoding::Connect) => transcoder.write(bytes, out)?,
            (Output::Json(transcoder), _) => transcoder.write(&some(bytes), out)?,
            (Output::Protobuf(places, encoder), encoding) => {
                out.extend_from_slice(places);
                let plain = if encoding == Encoding::Connect { Vec::new() } else { some(bytes) };
                let datum = if encoding == Encoding::Connect { bytes } else { plain.as_slice() };
                if !encoder.write(datum, out)? {
                    out.truncate(start);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Whether data of a schema can be written under one that is registered.
fn fits(schema: &Parsed, registered: &Parsed) -> bool {
    match (schema, registered) {
        (Parsed::Avro(schema), Parsed::Avro(registered)) => avro::same_encoding(schema, registered),
        _ => registered.cannot_read(schema).is_some_and(|differences| differences.is_empty()),
    }
}
