//! From a connector's forms to bytes under a registered schema.

use std::collections::HashMap;
use std::sync::Arc;

use towpath_model::{Batch, Config, ConnectorError, Encoding, Form, Schema};

use super::settings::Settings;
use super::{MAGIC, SchemaRegistries, avro, json, settled};
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
        let (parsed, output) = match self.rendered(text) {
            Ok(rendered) => rendered,
            Err(fault) => return Ok(Err(fault)),
        };
        let Settings { registry, is_key, strategy, normalizes, .. } = &self.settings;
        let Some(subject) = strategy.subject(topic, *is_key, parsed.name()) else {
            let reason =
                "the subject is to be named after a record, and the data are no record. Use TopicNameStrategy.";
            return Ok(Err(Fault::schema(reason)));
        };
        let definition = Definition {
            schema_type: parsed.schema_type(),
            text: parsed.canonical(false).into(),
            references: Vec::new(),
        };
        let id = if self.settings.takes_latest {
            settled(registry.latest(&subject).await)?.and_then(|latest| {
                let known = Parsed::new(latest.definition.schema_type, &latest.definition.text, &latest.referenced);
                match known.map_err(|invalid| Fault::schema(invalid.to_string()))? {
                    known if fits(&parsed, &known) => Ok(latest.id),
                    _ => Err(Fault::schema(format!(
                        "the latest schema of subject {subject} has another shape than the data"
                    ))),
                }
            })
        } else if self.settings.registers {
            settled(registry.register(&subject, &definition, *normalizes).await)?
        } else {
            settled(registry.look_up(&subject, &definition, *normalizes).await)?
        };
        Ok(id.map(|id| {
            let [a, b, c, d] = id.to_be_bytes();
            Registered { prefix: [MAGIC, a, b, c, d], output }
        }))
    }

    /// A Connect schema in the registry's language, and how data are written under it.
    fn rendered(&self, text: &str) -> Result<(Parsed, Output), Fault> {
        let schema = Schema::parse(text).map_err(|error| Fault::schema(error.to_string()))?;
        let settings = &self.settings;
        match settings.language {
            SchemaType::Avro => {
                let shape = avro::from_connect(&schema, settings.scrubs_names, settings.connect_meta)?;
                Ok((Parsed::Avro(Box::new(shape)), Output::Avro(schema)))
            }
            SchemaType::Json => {
                let rendered = json::from_connect(&schema, settings.json, !settings.additional_properties)?;
                let parsed = Parsed::new(SchemaType::Json, &rendered.to_string(), &[]);
                let parsed = parsed.map_err(|invalid| Fault::schema(invalid.to_string()))?;
                Ok((parsed, Output::Json(Transcoder::new(&schema, settings.json))))
            }
            SchemaType::Protobuf => Err(Fault::schema("no converter writes Protobuf")),
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
        out.extend_from_slice(&registered.prefix);
        match (&mut registered.output, form.encoding) {
            (Output::Avro(schema), Encoding::Connect) => {
                avro::check(schema, bytes)?;
                out.extend_from_slice(bytes);
            }
            (Output::Avro(_), _) => out.extend_from_slice(&some(bytes)),
            (Output::Json(transcoder), Encoding::Connect) => transcoder.write(bytes, out)?,
            (Output::Json(transcoder), _) => transcoder.write(&some(bytes), out)?,
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
