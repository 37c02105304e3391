//! Converters: one payload between a connector's form and a topic's bytes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use towpath_model::datum::{Reader, write_bytes, write_long};
use towpath_model::{Batch, Config, ConnectorError, Encoding, Form, Payload, Schema, Type};

use crate::definition::SchemaType;
use crate::error::Error;
use crate::fault::Fault;
use crate::json::{self, Encoder, Envelope, Options, Transcoder};
use crate::number::Number;
use crate::registered::{RegisteredParser, RegisteredWriter, SchemaRegistries};
use crate::shape::Shapes;
use crate::text;
use crate::transform::{Literal, literal, literal_string};

/// `{"type":"string","optional":true}`: what a plain text is under.
pub(crate) const TEXT_SCHEMA: &str = r#"{"type":"string","optional":true}"#;
/// `{"type":"bytes","optional":true}`: what plain bytes are under.
pub(crate) const BYTES_SCHEMA: &str = r#"{"type":"bytes","optional":true}"#;
/// Schemas of envelopes that are kept compiled.
const ENVELOPES_MAX: usize = 1024;

/// The converters that are built in, each with the names it answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Json,
    String,
    Bytes,
    Simple,
    Avro,
    JsonSchema,
    Protobuf,
    Number(Number),
}

impl Class {
    /// Short name, then Java class.
    pub(crate) fn names(self) -> [&'static str; 2] {
        match self {
            Self::Json => ["json", "org.apache.kafka.connect.json.JsonConverter"],
            Self::String => ["string", "org.apache.kafka.connect.storage.StringConverter"],
            Self::Bytes => ["bytes", "org.apache.kafka.connect.converters.ByteArrayConverter"],
            Self::Simple => ["simple", "org.apache.kafka.connect.storage.SimpleHeaderConverter"],
            Self::Avro => ["avro", "io.confluent.connect.avro.AvroConverter"],
            Self::JsonSchema => ["json-schema", "io.confluent.connect.json.JsonSchemaConverter"],
            Self::Protobuf => ["protobuf", "io.confluent.connect.protobuf.ProtobufConverter"],
            Self::Number(number) => number.names(),
        }
    }

    /// Its Java class.
    pub(crate) fn java(self) -> &'static str {
        self.names()[1]
    }

    /// The language of its schemas, where they lie in a schema registry.
    pub(crate) fn language(self) -> Option<SchemaType> {
        match self {
            Self::Avro => Some(SchemaType::Avro),
            Self::JsonSchema => Some(SchemaType::Json),
            Self::Protobuf => Some(SchemaType::Protobuf),
            Self::Json | Self::String | Self::Bytes | Self::Simple | Self::Number(_) => None,
        }
    }

    /// The class that `config` names under `key`, or `default`.
    pub(crate) fn of(config: &Config, key: &str, allowed: &[Self], default: Self) -> Result<Self, Error> {
        let Some(name) = config.get(key) else { return Ok(default) };
        allowed.iter().copied().find(|class| class.names().contains(&name)).ok_or_else(|| {
            let known: Vec<_> = allowed.iter().flat_map(|class| class.names()).collect();
            Error::class(key, format!("no converter is named {name}; there are: {}", known.join(", ")))
        })
    }
}

/// Converters for keys and values.
pub(crate) const CONVERTERS: [Class; 12] =
    with_numbers([Class::Json, Class::String, Class::Bytes, Class::Avro, Class::JsonSchema, Class::Protobuf]);
/// Converters for headers.
pub(crate) const HEADER_CONVERTERS: [Class; 10] =
    with_numbers([Class::Simple, Class::Json, Class::String, Class::Bytes]);

/// These and those of single numbers.
const fn with_numbers<const N: usize, const M: usize>(others: [Class; N]) -> [Class; M] {
    let (mut all, mut at) = ([Class::Bytes; M], 0);
    while at < M {
        all[at] = if at < N { others[at] } else { Class::Number(Number::ALL[at - N]) };
        at += 1;
    }
    all
}

/// The settings of JsonConverter under `prefix`, such as `value.converter`.
///
/// Under its Java name `schemas.enable` is true when not set, as in Connect; under the short name, and where no converter
/// is named at all, it is false.
pub(crate) fn json_options(config: &Config, prefix: &str) -> Result<Options, Error> {
    let java = config.get(prefix) == Some(Class::Json.java());
    let boolean = |name: &str, default: bool| {
        let key = format!("{prefix}.{name}");
        match config.get(&key).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(Error::value(key, "expected true or false")),
        }
    };
    let format = format!("{prefix}.decimal.format");
    let numeric_decimals = match config.get(&format).map(str::to_ascii_uppercase).as_deref() {
        None | Some("BASE64") => false,
        Some("NUMERIC") => true,
        Some(_) => return Err(Error::value(format, "expected BASE64 or NUMERIC")),
    };
    Ok(Options {
        schemas: boolean("schemas.enable", java)?,
        numeric_decimals,
        nulls_take_defaults: boolean("replace.null.with.default", true)?,
        by_json_schema: false,
    })
}

/// From a connector's forms to bytes.
pub(crate) struct Writer {
    pub(crate) class: Class,
    options: Options,
    transcoders: Shapes<Transcoder>,
    schemas: Shapes<Schema>,
    registered: Option<RegisteredWriter>,
}

impl Writer {
    /// The converter that `config` names under `prefix`.
    pub(crate) fn new(
        config: &Config,
        prefix: &str,
        (allowed, default): (&[Class], Class),
        registries: &dyn SchemaRegistries,
    ) -> Result<Self, Error> {
        let class = Class::of(config, prefix, allowed, default)?;
        let registered =
            class.language().map(|language| RegisteredWriter::new(config, prefix, language, registries)).transpose()?;
        let options = json_options(config, prefix)?;
        Ok(Self { class, options, transcoders: Shapes::default(), schemas: Shapes::default(), registered })
    }

    /// Asks for what the payloads of a batch need, where it lies outside; `forms` are topics and forms in it.
    ///
    /// # Errors
    /// When it cannot be had now.
    pub(crate) async fn prepare(&mut self, batch: &Batch, forms: Vec<(u32, Form)>) -> Result<(), ConnectorError> {
        match &mut self.registered {
            Some(registered) => registered.prepare(batch, forms).await,
            None => Ok(()),
        }
    }

    /// A new batch begins.
    pub(crate) fn begin(&mut self, batch: &Batch) {
        self.transcoders.begin(batch);
        self.schemas.begin(batch);
    }

    /// Appends the bytes of a payload of a record for the topic with this index. A null is no payload at all, whatever its schema: a
    /// tombstone stays one.
    #[inline]
    pub(crate) fn write(
        &mut self,
        batch: &Batch,
        topic: u32,
        payload: Payload<'_>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Fault> {
        let Some(bytes) = payload.bytes else { return Ok(false) };
        match (self.class, payload.form.encoding) {
            (Class::Avro | Class::JsonSchema | Class::Protobuf, _) => {
                let registered = self.registered.as_mut().ok_or_else(|| Fault::registry("there is none"))?;
                registered.write(topic, payload.form, bytes, out)
            }
            (Class::Json, Encoding::Connect) => {
                let options = self.options;
                let compile = |schema| Ok(Transcoder::new(&schema, options));
                self.transcoders.get(batch, payload.form.schema, compile)?.write(bytes, out)?;
                Ok(true)
            }
            (Class::Json, Encoding::Json) if self.options.schemas => {
                out.extend_from_slice(b"{\"schema\":null,\"payload\":");
                out.extend_from_slice(bytes);
                out.push(b'}');
                Ok(true)
            }
            (Class::Json, Encoding::Bytes) => {
                if self.options.schemas {
                    out.extend_from_slice(b"{\"schema\":{\"type\":\"bytes\",\"optional\":true},\"payload\":");
                    json::write_base64(out, bytes);
                    out.push(b'}');
                } else {
                    json::write_base64(out, bytes);
                }
                Ok(true)
            }
            (Class::Number(number), Encoding::Connect) => {
                number.write(self.schemas.get(batch, payload.form.schema, Ok)?, bytes, out)
            }
            (Class::Number(number), Encoding::Json) => number.write_json(bytes, out),
            (Class::Number(number), Encoding::Bytes) => Err(number.refused("plain bytes")),
            (Class::Bytes, Encoding::Connect) => {
                let schema = self.schemas.get(batch, payload.form.schema, Ok)?;
                write_plain_bytes(schema, bytes, out)
            }
            (Class::String, Encoding::Connect) => {
                let schema = self.schemas.get(batch, payload.form.schema, Ok)?;
                text::write(schema, bytes, text::Style::Java, out)
            }
            (Class::Simple, Encoding::Connect) => {
                let schema = self.schemas.get(batch, payload.form.schema, Ok)?;
                text::write(schema, bytes, text::Style::Values, out)
            }
            (Class::String | Class::Simple | Class::Bytes, Encoding::Json) if bytes == b"null" => Ok(false),
            (Class::String | Class::Simple, Encoding::Json) => {
                text::write_json(bytes, out);
                Ok(true)
            }
            (_, Encoding::Bytes | Encoding::Json) => {
                out.extend_from_slice(bytes);
                Ok(true)
            }
        }
    }
}

pub(crate) fn write_plain_bytes(schema: &Schema, datum: &[u8], out: &mut Vec<u8>) -> Result<bool, Fault> {
    if !matches!(schema.kind, Type::Bytes) {
        let reason = format!("Invalid schema type for ByteArrayConverter: {}", schema.kind.name().to_uppercase());
        return Err(Fault::schema(reason));
    }
    let mut reader = Reader::new(datum);
    if schema.optional && reader.long()? == schema.null_branch() {
        return Ok(false);
    }
    if schema.name.as_deref() == Some(json::DECIMAL) {
        return Err(Fault::schema("the bytes of a decimal say nothing without its scale"));
    }
    out.extend_from_slice(reader.bytes()?);
    Ok(true)
}

/// What bytes of a topic have become.
pub(crate) struct Read<'a> {
    pub(crate) encoding: Encoding,
    /// The schema, for [`Encoding::Connect`].
    pub(crate) schema: Option<Arc<str>>,
    pub(crate) bytes: Option<Cow<'a, [u8]>>,
}

impl<'a> Read<'a> {
    fn plain(encoding: Encoding, bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { encoding, schema: None, bytes: Some(bytes.into()) }
    }

    fn connect(schema: Arc<str>, datum: Vec<u8>) -> Self {
        Self { encoding: Encoding::Connect, schema: Some(schema), bytes: Some(datum.into()) }
    }
}

/// From bytes to the forms that the next step takes.
pub(crate) struct Parser {
    pub(crate) class: Class,
    options: Options,
    accepts: Vec<Encoding>,
    encoders: HashMap<Box<str>, Option<Arc<Encoder>>>,
    text_schema: Arc<str>,
    bytes_schema: Arc<str>,
    /// What single numbers become for those who take JSON.
    number_json: Option<Transcoder>,
    registered: Option<RegisteredParser>,
}

impl Parser {
    /// The converter that `config` names under `prefix`, towards a step that takes the encodings `accepts`.
    pub(crate) fn new(
        config: &Config,
        prefix: &str,
        (allowed, default): (&[Class], Class),
        accepts: &[Encoding],
        registries: &dyn SchemaRegistries,
    ) -> Result<Self, Error> {
        let class = Class::of(config, prefix, allowed, default)?;
        let registered =
            class.language().map(|language| RegisteredParser::new(config, prefix, language, registries)).transpose()?;
        Ok(Self {
            class,
            options: json_options(config, prefix)?,
            accepts: accepts.to_vec(),
            encoders: HashMap::new(),
            text_schema: match class {
                Class::Number(number) => number.schema().into(),
                _ => TEXT_SCHEMA.into(),
            },
            bytes_schema: BYTES_SCHEMA.into(),
            number_json: match class {
                Class::Number(number) => {
                    let schema = Schema::parse(number.schema()).ok();
                    schema.map(|schema| Transcoder::new(&schema, Options::default()))
                }
                _ => None,
            },
            registered,
        })
    }

    /// A batch begins: which schemas of its payloads have to be asked for.
    pub(crate) fn missing<'a>(&mut self, payloads: impl Iterator<Item = Option<&'a [u8]>>) -> Vec<i32> {
        self.registered.as_mut().map(|registered| registered.missing(payloads)).unwrap_or_default()
    }

    /// Asks for schemas.
    ///
    /// # Errors
    /// When they cannot be had now.
    pub(crate) async fn learn(&mut self, ids: Vec<i32>) -> Result<(), ConnectorError> {
        match &mut self.registered {
            Some(registered) => registered.learn(ids).await,
            None => Ok(()),
        }
    }

    /// A null, in a form that is taken.
    fn null<'a>(&self) -> Read<'a> {
        let plain = self.plain();
        let schema = plain.is_none().then(|| self.text_schema.clone());
        Read { encoding: plain.unwrap_or(Encoding::Connect), schema, bytes: None }
    }

    /// Reads bytes of a topic.
    pub(crate) fn read<'a>(&mut self, bytes: Option<&'a [u8]>) -> Result<Read<'a>, Fault> {
        let Some(bytes) = bytes else { return Ok(self.null()) };
        match self.class {
            Class::Json if self.options.schemas => self.read_envelope(bytes),
            Class::Json => {
                let (text, broken) = json::valid(bytes)?;
                self.read_json(text, broken)
            }
            Class::Simple if self.takes(Encoding::Connect) => Ok(self.read_literal(bytes)),
            Class::String | Class::Simple => self.read_text(bytes),
            Class::Number(number) => self.read_number(number, bytes),
            Class::Bytes => Ok(self.read_bytes(bytes)),
            Class::Avro | Class::JsonSchema | Class::Protobuf => self.read_registered(bytes),
        }
    }

    fn read_registered<'a>(&mut self, bytes: &[u8]) -> Result<Read<'a>, Fault> {
        let plain = self.plain().filter(|_| !self.takes(Encoding::Connect));
        let registered = self.registered.as_mut().ok_or_else(|| Fault::registry("there is none"))?;
        let (known, data) = registered.read(bytes)?;
        let Some(encoding) = plain else {
            let (schema, datum) = known.connect(data)?;
            return Ok(Read::connect(schema, datum));
        };
        let json = known.json(data)?;
        Ok(if json == b"null" { self.null() } else { Read::plain(encoding, json) })
    }

    fn takes(&self, encoding: Encoding) -> bool {
        self.accepts.contains(&encoding)
    }

    /// The encoding of a null, where it has no schema.
    pub(crate) fn plain(&self) -> Option<Encoding> {
        [Encoding::Json, Encoding::Bytes].into_iter().find(|encoding| self.takes(*encoding))
    }

    /// The encoding of all payloads, when these bytes pass as they are.
    #[inline]
    pub(crate) fn passes(&self, bytes: &[u8]) -> Option<Encoding> {
        match self.class {
            Class::Json if self.options.schemas => None,
            Class::Json => json::valid(bytes).ok().filter(|(_, broken)| !broken).and_then(|_| self.plain()),
            Class::Avro | Class::JsonSchema | Class::Protobuf | Class::Number(_) => None,
            _ if !self.takes(Encoding::Bytes) => None,
            Class::String | Class::Simple if self.takes(Encoding::Connect) => None,
            Class::String | Class::Simple => std::str::from_utf8(bytes).ok().map(|_| Encoding::Bytes),
            Class::Bytes => Some(Encoding::Bytes),
        }
    }

    fn read_json<'a>(&self, text: &'a str, broken: bool) -> Result<Read<'a>, Fault> {
        let encoding = match () {
            () if self.takes(Encoding::Json) => Encoding::Json,
            () if self.takes(Encoding::Bytes) => Encoding::Bytes,
            () => return Err(Fault::form("the sink takes only data with a schema, and this JSON has none")),
        };
        let bytes = if broken { Cow::Owned(json::unbroken(text)) } else { text.as_bytes().into() };
        Ok(Read::plain(encoding, bytes))
    }

    fn read_envelope<'a>(&mut self, bytes: &'a [u8]) -> Result<Read<'a>, Fault> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Fault::json(format!("not JSON: not UTF-8 at byte {}", error.valid_up_to())))?;
        let envelope = Envelope::read(text)?;
        if !self.takes(Encoding::Connect) {
            if envelope.payload.get() == "null" {
                return Ok(self.null());
            }
            let text = envelope.payload.get();
            return self.read_json(text, json::line_broken(text));
        }
        let Some(encoder) = self.encoder(envelope.schema.get())? else {
            let text = envelope.payload.get();
            return self.read_json(text, json::line_broken(text));
        };
        let mut datum = Vec::with_capacity(envelope.payload.get().len());
        encoder.write(envelope.payload, &mut datum)?;
        Ok(Read::connect(encoder.text.clone(), datum))
    }

    fn encoder(&mut self, schema: &str) -> Result<Option<Arc<Encoder>>, Fault> {
        if let Some(known) = self.encoders.get(schema) {
            return Ok(known.clone());
        }
        let fresh = Encoder::new(schema, self.options)?.map(Arc::new);
        if self.encoders.len() >= ENVELOPES_MAX {
            self.encoders.clear();
        }
        self.encoders.insert(schema.into(), fresh.clone());
        Ok(fresh)
    }

    fn read_text<'a>(&self, bytes: &'a [u8]) -> Result<Read<'a>, Fault> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Fault::form(format!("not a text: not UTF-8 at byte {}", error.valid_up_to())))?;
        Ok(match () {
            () if self.takes(Encoding::Connect) => Read::connect(self.text_schema.clone(), some(text.as_bytes())),
            () if self.takes(Encoding::Bytes) => Read::plain(Encoding::Bytes, text.as_bytes()),
            () => {
                let mut out = Vec::with_capacity(text.len() + 2);
                json::write_string(&mut out, text.as_bytes())?;
                Read::plain(Encoding::Json, out)
            }
        })
    }

    /// What a header says by its text: a number, a point in time, a list; bytes where it is no text.
    fn read_literal<'a>(&self, bytes: &[u8]) -> Read<'a> {
        let text = std::str::from_utf8(bytes);
        match text.map(|text| if text.is_empty() { Some(literal_string(text)) } else { literal(text) }) {
            Ok(Some(Literal { schema, datum })) => Read::connect(schema, datum),
            Ok(None) => self.null(),
            Err(_) => Read::connect(self.bytes_schema.clone(), some(bytes)),
        }
    }

    fn read_number<'a>(&mut self, number: Number, bytes: &[u8]) -> Result<Read<'a>, Fault> {
        let datum = number.read(bytes)?;
        let encoding = self.plain().filter(|_| !self.takes(Encoding::Connect));
        let (Some(encoding), Some(transcoder)) = (encoding, &mut self.number_json) else {
            return Ok(Read::connect(self.text_schema.clone(), datum));
        };
        let mut json = Vec::new();
        transcoder.write(&datum, &mut json)?;
        Ok(Read::plain(encoding, json))
    }

    fn read_bytes<'a>(&self, bytes: &'a [u8]) -> Read<'a> {
        match () {
            () if self.takes(Encoding::Bytes) => Read::plain(Encoding::Bytes, bytes),
            () if self.takes(Encoding::Connect) => Read::connect(self.bytes_schema.clone(), some(bytes)),
            () => {
                let mut out = Vec::with_capacity(bytes.len() * 4 / 3 + 4);
                json::write_base64(&mut out, bytes);
                Read::plain(Encoding::Json, out)
            }
        }
    }
}

/// The datum of a value that is there, under an optional schema without default.
pub(crate) fn some(bytes: &[u8]) -> Vec<u8> {
    let mut datum = Vec::with_capacity(bytes.len() + 4);
    write_long(&mut datum, 1);
    write_bytes(&mut datum, bytes);
    datum
}
