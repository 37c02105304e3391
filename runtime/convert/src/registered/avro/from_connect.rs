//! Connect's schema as Avro: names and properties as AvroData writes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use towpath_model::{Schema, Type};

use super::{AvroShape, DEFAULT_NAME, MAP_ENTRY};
use crate::definition::avro::{Field, Kind, Named, Node, Shape, is_name};
use crate::fault::Fault;
use crate::json::{DECIMAL, decimal_scale};
use crate::registered::{DATE, TIME, TIMESTAMP, scrubbed};

/// What a decimal's precision is where nobody said it.
const PRECISION_DEFAULT: i64 = 64;

/// The Avro schema under which data of this schema are stored.
pub(in crate::registered) fn from_connect(schema: &Schema, scrubs: bool, meta: bool) -> Result<AvroShape, Fault> {
    let mut rendering = Rendering { scrubs, meta, named: BTreeMap::new(), nameless: 0 };
    let root = rendering.node(schema)?;
    Ok(AvroShape::built(root, rendering.named))
}

struct Rendering {
    scrubs: bool,
    meta: bool,
    named: BTreeMap<Arc<str>, Named>,
    /// How many records without a name there were.
    nameless: usize,
}

impl Rendering {
    fn node(&mut self, schema: &Schema) -> Result<Node, Fault> {
        let value = self.value(schema)?;
        if !schema.optional {
            return Ok(value);
        }
        let null = Node::plain(Kind::Null);
        let branches = if schema.null_branch() == 0 { vec![null, value] } else { vec![value, null] };
        Ok(Node::plain(Kind::Union(branches)))
    }

    /// The type without null.
    fn value(&mut self, schema: &Schema) -> Result<Node, Fault> {
        let mut props = Map::new();
        let kind = match &schema.kind {
            Type::Struct(fields) => return self.record(schema, fields),
            Type::Int8 | Type::Int16 | Type::Int32 => Kind::Int,
            Type::Int64 => Kind::Long,
            Type::Float32 => Kind::Float,
            Type::Float64 => Kind::Double,
            Type::Boolean => Kind::Boolean,
            Type::String => Kind::String,
            Type::Bytes => {
                if schema.name.as_deref() == Some(DECIMAL) {
                    let precision =
                        schema.parameters.get("connect.decimal.precision").and_then(|text| text.parse().ok());
                    props.insert("scale".into(), decimal_scale(schema).into());
                    props.insert("precision".into(), precision.unwrap_or(PRECISION_DEFAULT).into());
                }
                Kind::Bytes
            }
            Type::Array(items) => Kind::Array(Box::new(self.node(items)?)),
            Type::Map(keys, values) if matches!(keys.kind, Type::String) && !keys.optional => {
                Kind::Map(Box::new(self.node(values)?))
            }
            Type::Map(keys, values) => Kind::Array(Box::new(self.entry(schema, keys, values)?)),
        };
        self.describe(schema, &mut props);
        Ok(Node { kind, props })
    }

    /// The record of an entry, where Avro's own maps do not take the key.
    fn entry(&mut self, map: &Schema, keys: &Arc<Schema>, values: &Arc<Schema>) -> Result<Node, Fault> {
        let name = self.full_name(map.name.as_deref().unwrap_or(MAP_ENTRY))?;
        let field =
            |name: &str, schema: &Arc<Schema>| towpath_model::Field { name: name.into(), schema: schema.clone() };
        let fields = self.fields(&[field("key", keys), field("value", values)])?;
        let mut props = Map::new();
        if map.name.is_some() {
            props.insert("connect.internal.type".into(), "MapEntry".into());
        }
        self.define(Named {
            name,
            doc: None,
            aliases: Vec::new(),
            shape: Shape::Record { fields, error: false },
            props,
        })
    }

    fn record(&mut self, schema: &Schema, fields: &[towpath_model::Field]) -> Result<Node, Fault> {
        let name = match schema.name.as_deref() {
            Some(name) => self.full_name(name)?,
            None => {
                self.nameless += 1;
                let number = Some(self.nameless).filter(|number| *number > 1).map(|number| number.to_string());
                format!("{DEFAULT_NAME}{}", number.unwrap_or_default()).into()
            }
        };
        let fields = self.fields(fields)?;
        let mut props = Map::new();
        self.describe(schema, &mut props);
        self.define(Named {
            name,
            doc: None,
            aliases: Vec::new(),
            shape: Shape::Record { fields, error: false },
            props,
        })
    }

    fn define(&mut self, named: Named) -> Result<Node, Fault> {
        let name = named.name.clone();
        match self.named.get(&name) {
            Some(known) if *known != named => Err(Fault::schema(format!(
                "two schemas that differ are both named {name}, which Avro does not allow. Rename one of them."
            ))),
            Some(_) => Ok(Node::plain(Kind::Named(name))),
            None => {
                self.named.insert(name.clone(), named);
                Ok(Node::plain(Kind::Named(name)))
            }
        }
    }

    fn fields(&mut self, fields: &[towpath_model::Field]) -> Result<Vec<Field>, Fault> {
        fields.iter().map(|field| self.field(field).map_err(|fault| fault.in_field(&field.name))).collect()
    }

    fn field(&mut self, field: &towpath_model::Field) -> Result<Field, Fault> {
        let schema = &field.schema;
        let default = schema.default.as_ref().map(|default| default_of(schema, default));
        Ok(Field {
            name: self.part(&field.name)?.into(),
            doc: None,
            default: default.or(schema.optional.then_some(Value::Null)),
            aliases: Vec::new(),
            order: None,
            node: self.node(schema)?,
            props: Map::new(),
        })
    }

    /// Connect's metadata, in AvroData's order.
    fn describe(&self, schema: &Schema, props: &mut Map<String, Value>) {
        let mut set = |name: &str, value: Value| drop(props.insert(name.to_owned(), value));
        let name = schema.name.as_deref();
        if self.meta {
            if let Some(doc) = &schema.doc {
                set("connect.doc", doc.as_ref().into());
            }
            if let Some(version) = schema.version {
                set("connect.version", version.into());
            }
            if !schema.parameters.is_empty() {
                let parameters = schema.parameters.iter().map(|(key, value)| (key.clone(), value.as_str().into()));
                set("connect.parameters", Value::Object(parameters.collect()));
            }
            if let Some(default) = &schema.default {
                set("connect.default", default_of(schema, default));
            }
            if let Some(name) = name {
                set("connect.name", name.into());
            }
            match schema.kind {
                Type::Int8 => set("connect.type", "int8".into()),
                Type::Int16 => set("connect.type", "int16".into()),
                _ => {}
            }
        }
        let logical = match name {
            Some(DECIMAL) => "decimal",
            Some(TIME) => "time-millis",
            Some(TIMESTAMP) => "timestamp-millis",
            Some(DATE) => "date",
            _ => return,
        };
        set("logicalType", logical.into());
    }

    fn full_name(&self, name: &str) -> Result<Arc<str>, Fault> {
        let parts: Vec<String> = name.split('.').map(|part| self.part(part)).collect::<Result<_, _>>()?;
        Ok(parts.join(".").into())
    }

    /// One part of a name.
    fn part(&self, part: &str) -> Result<String, Fault> {
        match () {
            () if is_name(part) => Ok(part.to_owned()),
            () if self.scrubs && !part.is_empty() => Ok(scrubbed(part)),
            () => Err(Fault::schema(format!(
                "{part:?} is no name that Avro allows. Set scrub.invalid.names=true of the converter, or rename it."
            ))),
        }
    }
}

/// A default in Avro's JSON: bytes are texts whose characters are the bytes.
fn default_of(schema: &Schema, default: &Value) -> Value {
    match (&schema.kind, default) {
        (Type::Bytes, Value::String(text)) => {
            let bytes = STANDARD.decode(text).unwrap_or_default();
            bytes.into_iter().map(char::from).collect::<String>().into()
        }
        (Type::Array(items), Value::Array(values)) => values.iter().map(|value| default_of(items, value)).collect(),
        (Type::Map(_, values), Value::Object(entries)) => {
            Value::Object(entries.iter().map(|(key, value)| (key.clone(), default_of(values, value))).collect())
        }
        (Type::Map(keys, values), Value::Array(pairs)) => pairs
            .iter()
            .filter_map(|pair| pair.as_array().and_then(|pair| pair.first().zip(pair.get(1))))
            .map(|(key, value)| serde_json::json!({"key": default_of(keys, key), "value": default_of(values, value)}))
            .collect(),
        (Type::Struct(fields), Value::Object(entries)) => Value::Object(
            fields
                .iter()
                .map(|field| {
                    let value = entries.get(field.name.as_ref()).unwrap_or(&Value::Null);
                    (field.name.to_string(), default_of(&field.schema, value))
                })
                .collect(),
        ),
        (_, value) => value.clone(),
    }
}
