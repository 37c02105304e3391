//! The settings of these converters, under Confluent's names.

use std::sync::Arc;

use towpath_model::{Config, ConfigKey, Importance, Secret, ValueType};

use super::subject::Strategy;
use super::{RegistryAddress, SchemaRegistries, SchemaRegistry};
use crate::converter::{Class, json_options};
use crate::definition::SchemaType;
use crate::error::Error;
use crate::json::Options;
use crate::keys::{default_key, optional_key};

/// Settings of one converter, with the registry that it asks.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) registry: Arc<dyn SchemaRegistry>,
    pub(super) language: SchemaType,
    pub(super) is_key: bool,
    pub(super) strategy: Strategy,
    pub(super) registers: bool,
    pub(super) takes_latest: bool,
    pub(super) normalizes: bool,
    pub(super) scrubs_names: bool,
    /// Whether names, versions and parameters of Connect's stand in the schema.
    pub(super) connect_meta: bool,
    /// How data are written under a JSON Schema.
    pub(super) json: Options,
    /// Whether objects may have properties that their JSON Schema does not name.
    pub(super) additional_properties: bool,
    /// Whether properties that a JSON Schema does not require are optional in Connect's.
    pub(super) unrequired_optional: bool,
    pub(super) protobuf: Protobuf,
}

/// How Connect's schemas and those of Protobuf are taken for each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Protobuf {
    /// Whether names of Connect's schemas have the package.
    pub(super) full_names: bool,
    /// Whether what may be null is marked `optional`, and nothing else may be null.
    pub(super) optional_nullables: bool,
    /// Whether scalars that may be null are messages of Google's that hold one.
    pub(super) wrapped_nullables: bool,
    /// Whether such a message is the scalar where it is all there is.
    pub(super) wrapped_roots: bool,
    /// Whether enums are numbers, and not the names of their values.
    pub(super) enums_as_numbers: bool,
    /// Whether the field of a oneof is named with its place.
    pub(super) numbered_unions: bool,
}

impl Settings {
    /// The settings under `prefix`, such as `value.converter`.
    pub(super) fn new(
        config: &Config,
        prefix: &str,
        language: SchemaType,
        registries: &dyn SchemaRegistries,
    ) -> Result<Self, Error> {
        let is_key = prefix == "key.converter";
        let [_, java] = Class::Protobuf.names();
        let name = |setting: &str| format!("{prefix}.{setting}");
        let boolean = |setting: &str, default: bool| {
            let key = name(setting);
            match config.get(&key).map(str::to_ascii_lowercase).as_deref() {
                None => Ok(default),
                Some("true") => Ok(true),
                Some("false") => Ok(false),
                Some(_) => Err(Error::value(key, "expected true or false")),
            }
        };
        let strategy = name(if is_key { "key.subject.name.strategy" } else { "value.subject.name.strategy" });
        let strategy = match config.get(&strategy) {
            None => Strategy::default(),
            Some(given) => Strategy::named(given)
                .ok_or_else(|| Error::value(strategy, format!("there are: {}", Strategy::NAMES.join(", "))))?,
        };
        let url = name("schema.registry.url");
        let urls: Vec<String> = config.list(&url).map(str::to_owned).collect();
        // A reference to a secret is no URL yet.
        let is_url = |url: &String| ["http://", "https://", "${"].iter().any(|start| url.starts_with(start));
        if !urls.iter().all(is_url) {
            return Err(Error::value(url, "expected URLs that begin with http:// or https://"));
        }
        let address = RegistryAddress { urls, user: user(config, prefix)? };
        let registry = registries.at(&address).map_err(|reason| Error::value(url, reason))?;
        Ok(Self {
            registry,
            language,
            is_key,
            strategy,
            registers: boolean("auto.register.schemas", true)?,
            takes_latest: boolean("use.latest.version", false)?,
            normalizes: boolean("normalize.schemas", false)?,
            scrubs_names: boolean("scrub.invalid.names", false)?,
            connect_meta: boolean("connect.meta.data", true)?,
            json: Options {
                schemas: false,
                nulls_take_defaults: !boolean("ignore.default.for.nullables", false)?,
                by_json_schema: true,
                ..json_options(config, prefix)?
            },
            additional_properties: boolean("object.additional.properties", true)?,
            unrequired_optional: boolean("use.optional.for.nonrequired", false)?,
            protobuf: Protobuf {
                full_names: boolean("enhanced.protobuf.schema.support", false)?,
                // Without, a null comes back as zero, which Confluent's converter puts up with.
                optional_nullables: boolean("optional.for.nullables", config.get(prefix) != Some(java))?,
                wrapped_nullables: boolean("wrapper.for.nullables", false)?,
                wrapped_roots: boolean("wrapper.for.raw.primitives", true)?,
                enums_as_numbers: boolean("int.for.enums", false)?,
                numbered_unions: boolean("generate.index.for.unions", true)?,
            },
        })
    }
}

/// User and password, where the configuration says that they stand beside the URL; those inside of it are part of it.
fn user(config: &Config, prefix: &str) -> Result<Option<(String, Secret)>, Error> {
    let source = format!("{prefix}.basic.auth.credentials.source");
    match config.get(&source) {
        None | Some("URL") => return Ok(None),
        Some("USER_INFO") => {}
        Some(_) => return Err(Error::value(source, "expected USER_INFO or URL")),
    }
    let key = format!("{prefix}.basic.auth.user.info");
    let given = config.get(&key).and_then(|given| given.split_once(':'));
    let (user, password) = given.ok_or_else(|| Error::value(key, "expected user:password"))?;
    Ok(Some((user.to_owned(), Secret::new(password))))
}

/// The keys of these converters, with their prefixes.
pub(crate) fn keys() -> Vec<ConfigKey> {
    use Importance::{High, Low, Medium};
    use ValueType::{Boolean, List, String as Text};
    let of = |prefix: &str, part: &str| {
        let name = |setting: &str| format!("{prefix}.{setting}");
        let mut source = default_key(
            &name("basic.auth.credentials.source"),
            Text,
            "URL",
            Medium,
            "Where user and password for the registry stand: in its URL, or in basic.auth.user.info.",
        );
        source.valid_values = ["URL", "USER_INFO"].map(str::to_owned).to_vec();
        let user = optional_key(
            &name("basic.auth.user.info"),
            Text,
            Medium,
            "User and password for the registry, as user:password.",
        );
        vec![
            optional_key(
                &name("schema.registry.url"),
                List,
                High,
                "URLs of the schema registry, tried in turn. When not set, the registry of the worker itself.",
            ),
            source,
            ConfigKey { secret: true, ..user },
            default_key(
                &name("auto.register.schemas"),
                Boolean,
                "true",
                Medium,
                "Whether a schema that the registry does not have is registered; otherwise its records fail.",
            ),
            default_key(
                &name("use.latest.version"),
                Boolean,
                "false",
                Low,
                "Whether records are written under the latest schema of the subject, which must have the same shape.",
            ),
            default_key(
                &name("normalize.schemas"),
                Boolean,
                "false",
                Low,
                "Whether schemas are registered in their normal form.",
            ),
            default_key(
                &name(&format!("{part}.subject.name.strategy")),
                Text,
                Strategy::NAMES[0],
                Medium,
                "How subjects are named: TopicNameStrategy, RecordNameStrategy or TopicRecordNameStrategy.",
            ),
            default_key(
                &name("scrub.invalid.names"),
                Boolean,
                "false",
                Low,
                "Whether characters that Avro, or Protobuf, does not allow in names are replaced.",
            ),
            default_key(
                &name("connect.meta.data"),
                Boolean,
                "true",
                Low,
                "Whether Connect's names, versions and parameters stand in the schema.",
            ),
            default_key(
                &name("object.additional.properties"),
                Boolean,
                "true",
                Medium,
                "Whether a JSON Schema allows properties that it does not name.",
            ),
            default_key(
                &name("use.optional.for.nonrequired"),
                Boolean,
                "false",
                Medium,
                "Whether properties that a JSON Schema does not require may be missing. Otherwise a record without one fails.",
            ),
            default_key(
                &name("ignore.default.for.nullables"),
                Boolean,
                "false",
                Low,
                "Whether a null whose schema has a default is written as null under a JSON Schema, and not as that default.",
            ),
        ]
    };
    [
        of("key.converter", "key"),
        of("value.converter", "value"),
        protobuf_keys("key.converter"),
        protobuf_keys("value.converter"),
    ]
    .concat()
}

fn protobuf_keys(prefix: &str) -> Vec<ConfigKey> {
    use Importance::{Low, Medium};
    use ValueType::Boolean;
    let name = |setting: &str| format!("{prefix}.{setting}");
    vec![
        optional_key(
            &name("optional.for.nullables"),
            Boolean,
            Medium,
            "Whether Protobuf marks what may be null as optional. Otherwise a null of a scalar comes back as zero, or as an empty \
             text. When not set, true for protobuf and false for io.confluent.connect.protobuf.ProtobufConverter.",
        ),
        default_key(
            &name("wrapper.for.nullables"),
            Boolean,
            "false",
            Medium,
            "Whether scalars that may be null are google.protobuf.StringValue and the like.",
        ),
        default_key(
            &name("wrapper.for.raw.primitives"),
            Boolean,
            "true",
            Low,
            "Whether a record that is a google.protobuf.StringValue, or the like, is read as the value in it.",
        ),
        default_key(
            &name("enhanced.protobuf.schema.support"),
            Boolean,
            "false",
            Low,
            "Whether names of schemas that are read have the package of their Protobuf file.",
        ),
        default_key(
            &name("int.for.enums"),
            Boolean,
            "false",
            Low,
            "Whether enums of Protobuf are read as numbers, and not as the names of their values.",
        ),
        default_key(
            &name("generate.index.for.unions"),
            Boolean,
            "true",
            Low,
            "Whether the field that a oneof is read into is named with its place, such as payer_0.",
        ),
    ]
}
