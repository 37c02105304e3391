//! ByLogicalTableRouter: Debezium's way to let several tables share a topic. The topic is renamed, the key gets a field that says of which
//! table it is, and the schemas take the new topic's name. Values are not touched.

use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;
use towpath_model::datum::write_bytes;
use towpath_model::{
    Batch, ConfigKey, Encoding, Field, Form, Importance, Payload, Record, Run, Schema, Type, ValueType,
};

use super::java_regex::{Replacement, whole};
use super::{Rewrite, Settings, envelope, structs};
use crate::draft::{Draft, Rewritten};
use crate::error::Error;
use crate::fault::Fault;
use crate::json::ObjectWriter;
use crate::keys::{default_key, key, optional_key};
use crate::shape::Shapes;

/// Topics whose new names, and schemas whose new texts, are remembered.
const KNOWN_MAX: usize = 10_000;
const PURPOSE: &str = "Updating schema";
const ADJUSTMENTS: [(&str, Adjustment); 3] =
    [("none", Adjustment::None), ("avro", Adjustment::Avro), ("avro_unicode", Adjustment::AvroUnicode)];

pub(crate) fn keys() -> Vec<ConfigKey> {
    let text = ValueType::String;
    let mut adjustment = default_key(
        "schema.name.adjustment.mode",
        text,
        "none",
        Importance::Low,
        "What becomes of characters in names of schemas that Avro has no room for: none, avro (underscores) or avro_unicode (their codes).",
    );
    adjustment.valid_values = ADJUSTMENTS.map(|(name, _)| name.to_owned()).to_vec();
    vec![
        key(
            "topic.regex",
            text,
            Importance::Low,
            "Regular expression for the topics to route; it must match the whole name.",
        ),
        key("topic.replacement", text, Importance::Low, "The new topic; `$1` stands for what a group has matched."),
        default_key(
            "key.enforce.uniqueness",
            ValueType::Boolean,
            "true",
            Importance::Low,
            "Whether keys get a field that names the table, so that equal keys of two tables stay apart.",
        ),
        optional_key(
            "key.field.regex",
            text,
            Importance::Low,
            "Regular expression for the topic, of which that field is made.",
        ),
        default_key("key.field.name", text, "__dbz__physicalTableIdentifier", Importance::Low, "Name of that field."),
        optional_key(
            "key.field.replacement",
            text,
            Importance::Low,
            "What that field holds; the whole topic when not set.",
        ),
        adjustment,
        default_key(
            "logical.table.cache.size",
            ValueType::Int,
            "16",
            Importance::Low,
            "Accepted for Debezium's sake; names and schemas are kept in any case.",
        ),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Adjustment {
    None,
    Avro,
    AvroUnicode,
}

/// A topic's new name and the table's.
#[derive(Clone)]
struct Route {
    topic: Arc<str>,
    table: Arc<str>,
}

/// A schema's text, the topic that it is to be named after, and whether it is a key's.
type Rendered = (Arc<str>, Arc<str>, bool);

/// Routes tables.
pub(crate) struct ByLogicalTableRouter {
    topic: (Regex, Replacement),
    table: Option<(Regex, Replacement)>,
    /// The key's field, where there is to be one.
    field: Option<Arc<str>>,
    adjustment: Adjustment,
    routes: HashMap<Arc<str>, Option<Route>>,
    schemas: HashMap<Rendered, Option<Arc<str>>>,
    /// The schemas of keys, to tell nulls.
    keys: Shapes<Arc<Schema>>,
    scratch: Vec<u8>,
}

impl ByLogicalTableRouter {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        let pair = |regex_key: &str, replacement_key: &str, pattern: &str, replacement: &str| {
            let regex = whole(settings, regex_key, pattern)?;
            let replacement = Replacement::new(settings, replacement_key, replacement, &regex)?;
            Ok((regex, replacement))
        };
        let filled = |key: &str| match settings.required(key)? {
            "" => Err(Error::value(settings.key(key), "A value is required")),
            value => Ok(value),
        };
        let (pattern, replacement) = (filled("topic.regex")?, filled("topic.replacement")?);
        let topic = pair("topic.regex", "topic.replacement", pattern, replacement)?;
        let pattern = settings.get("key.field.regex").map(str::trim).filter(|pattern| !pattern.is_empty());
        let replacement = settings.get("key.field.replacement").map(str::trim).filter(|text| !text.is_empty());
        let table = match (pattern, replacement) {
            (None, _) => None,
            (Some(pattern), Some(replacement)) => {
                Some(pair("key.field.regex", "key.field.replacement", pattern, replacement)?)
            }
            (Some(_), None) => {
                let reason = "key.field.replacement must be non-empty if key.field.regex is set.";
                return Err(Error::value(settings.key("key.field.replacement"), reason));
            }
        };
        let mode = settings.get("schema.name.adjustment.mode").unwrap_or("none").trim();
        let adjustment = ADJUSTMENTS.iter().find(|(name, _)| name.eq_ignore_ascii_case(mode));
        let adjustment = adjustment.ok_or_else(|| {
            let known = ADJUSTMENTS.map(|(name, _)| name).join(", ");
            Error::value(settings.key("schema.name.adjustment.mode"), format!("Value must be one of {known}"))
        })?;
        let unique = settings.boolean("key.enforce.uniqueness", true)?;
        let field = settings.get("key.field.name").unwrap_or("__dbz__physicalTableIdentifier");
        Ok(Self {
            topic,
            table,
            field: unique.then(|| field.into()),
            adjustment: adjustment.1,
            routes: HashMap::new(),
            schemas: HashMap::new(),
            keys: Shapes::default(),
            scratch: Vec::new(),
        })
    }

    fn route(&mut self, topic: &Arc<str>) -> Option<Route> {
        if let Some(route) = self.routes.get(topic) {
            return route.clone();
        }
        let table = self.table.as_ref().and_then(|(regex, replacement)| replacement.replace(regex, topic));
        let table: Arc<str> = table.map_or_else(|| topic.clone(), Into::into);
        let renamed = self.topic.1.replace(&self.topic.0, topic).filter(|renamed| !renamed.is_empty());
        let route = renamed.map(|renamed| Route { topic: renamed.into(), table });
        if self.routes.len() >= KNOWN_MAX {
            self.routes.clear();
        }
        self.routes.insert(topic.clone(), route.clone());
        route
    }

    /// The text of a schema after the routing, remembered; none where it stays as it is.
    fn schema(
        &mut self,
        old: &Arc<str>,
        topic: &Arc<str>,
        of_key: bool,
        make: impl FnOnce(&Self, Schema) -> Result<Option<Schema>, Fault>,
    ) -> Result<Option<Arc<str>>, Fault> {
        let known = (old.clone(), topic.clone(), of_key);
        if let Some(schema) = self.schemas.get(&known) {
            return Ok(schema.clone());
        }
        let parsed = Schema::parse(old).map_err(|error| Fault::schema(error.to_string()))?;
        let made = make(self, parsed)?.map(|schema| structs::text(&schema));
        if self.schemas.len() >= KNOWN_MAX {
            self.schemas.clear();
        }
        self.schemas.insert(known, made.clone());
        Ok(made)
    }

    fn name(&self, topic: &str, suffix: &str) -> Option<Arc<str>> {
        Some(adjusted(&format!("{topic}.{suffix}"), self.adjustment).into())
    }

    /// Writes the key to the scratch; none for a null.
    fn key(
        &mut self,
        batch: &Batch,
        draft: &mut Draft,
        key: Payload<'_>,
        route: &Route,
    ) -> Result<Option<Form>, Fault> {
        self.scratch.clear();
        let Some(bytes) = key.bytes else { return Ok(None) };
        match key.form.encoding {
            Encoding::Json => {
                let text = std::str::from_utf8(bytes)?.trim();
                if text == "null" {
                    return Ok(None);
                }
                let entries = structs::entries(text, PURPOSE)?;
                let mut object = ObjectWriter::new(&mut self.scratch);
                entries.iter().for_each(|(name, value)| object.raw(name, value.get()));
                if let Some(field) = &self.field {
                    object.string(field, &route.table);
                }
                object.end();
                Ok(Some(Form::JSON))
            }
            Encoding::Connect => {
                let schema = self.keys.get(batch, key.form.schema, |schema| Ok(Arc::new(schema)))?;
                if structs::inner(schema, bytes)?.is_none() {
                    return Ok(None);
                }
                let old = batch.schema(key.form.schema.unwrap_or_default());
                let topic = &route.topic;
                let made = self.schema(old, topic, true, |router, schema| {
                    structs::require(&schema, PURPOSE)?;
                    let mut fields = schema.fields().to_vec();
                    if let Some(name) = &router.field {
                        fields.push(Field { name: name.clone(), schema: Arc::new(Schema::new(Type::String)) });
                    }
                    let named = Schema { name: router.name(topic, "Key"), optional: schema.optional, ..schema };
                    let optional = named.optional;
                    Ok(Some(Schema { optional, ..structs::with_fields(&named, fields)? }))
                })?;
                let made = made.ok_or_else(|| Fault::transform("the key has no schema"))?;
                self.scratch.extend_from_slice(bytes);
                if self.field.is_some() {
                    write_bytes(&mut self.scratch, route.table.as_bytes());
                }
                Ok(Some(Form::connect(draft.schema(&made))))
            }
            Encoding::Bytes => {
                Err(Fault::transform(format!("Only Struct objects supported for [{PURPOSE}], found: byte[]")))
            }
        }
    }

    fn push(&mut self, batch: &Batch, draft: &mut Draft, record: &Record<'_>, route: &Route) -> Result<(), Fault> {
        let key = self.key(batch, draft, record.key, route)?;
        let mut value = draft.form(record.value.form);
        if let (Some(_), Encoding::Connect, Some(index)) =
            (record.value.bytes, record.value.form.encoding, record.value.form.schema)
        {
            let topic = &route.topic;
            let renamed = self.schema(batch.schema(index), topic, false, |router, schema| {
                Ok(envelope::is_envelope(&schema).then(|| router.renamed(topic, schema)))
            })?;
            if let Some(renamed) = renamed {
                value = Form::connect(draft.schema(&renamed));
            }
        }
        let topic = draft.builder().topic(&route.topic);
        let run = draft.run(record);
        let run = Run { topic, key: key.unwrap_or(run.key), value, ..run };
        draft.begin(run, key.is_some().then_some(self.scratch.as_slice()), record.value.bytes);
        draft.headers(record);
        draft.end(record);
        Ok(())
    }

    /// An envelope of another topic. Both states of the row are under one schema, that of the state before.
    fn renamed(&self, topic: &str, schema: Schema) -> Schema {
        let row = envelope::field(&schema, "before").map(|(_, field)| {
            Arc::new(Schema { name: self.name(topic, "Value"), default: None, ..(*field.schema).clone() })
        });
        let fields = schema.fields().iter().map(|field| match (&*field.name, &row) {
            ("before" | "after", Some(row)) => Field { name: field.name.clone(), schema: row.clone() },
            _ => field.clone(),
        });
        let kind = Type::Struct(fields.collect());
        Schema { kind, name: self.name(topic, "Envelope"), default: None, ..schema }
    }
}

/// A name that Avro takes.
fn adjusted(name: &str, adjustment: Adjustment) -> String {
    let fits = |(index, character): (usize, char)| match character {
        'a'..='z' | 'A'..='Z' | '_' => true,
        '0'..='9' | '.' => index > 0,
        _ => false,
    };
    let replaced = |(index, character): (usize, char)| match adjustment {
        _ if fits((index, character)) => character.to_string(),
        Adjustment::None => character.to_string(),
        Adjustment::Avro => "_".to_owned(),
        Adjustment::AvroUnicode => format!("_u{:04x}", u32::from(character)),
    };
    name.chars().enumerate().map(replaced).collect()
}

impl Rewrite for ByLogicalTableRouter {
    fn apply(&mut self, batch: &Batch) -> Rewritten {
        self.keys.begin(batch);
        let mut draft = Draft::of(batch);
        for record in batch.records() {
            match self.route(record.topic()) {
                None => draft.keep(&record),
                Some(route) => {
                    if let Err(fault) = self.push(batch, &mut draft, &record, &route) {
                        draft.fail(&record, fault);
                    }
                }
            }
        }
        draft.finish()
    }
}
