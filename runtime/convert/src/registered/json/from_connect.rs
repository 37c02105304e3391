//! Connect's schema as a JSON Schema: keywords, titles and Connect's own marks as JsonSchemaData writes them.

use serde_json::{Map, Value, json};
use towpath_model::{Schema, Type};

use super::{ENUM, INDEX, NAMESPACE, PARAMETERS, TYPE, VERSION, respelt};
use crate::fault::Fault;
use crate::json::{DECIMAL, Options, UNION};

/// The JSON Schema under which data of this schema are written; `closed` forbids properties that it does not name.
pub(in crate::registered) fn from_connect(schema: &Schema, options: Options, closed: bool) -> Result<Value, Fault> {
    Rendering { options, closed }.node(schema, None)
}

struct Rendering {
    options: Options,
    closed: bool,
}

impl Rendering {
    /// A schema; `index` is the place of the field that has it.
    fn node(&self, schema: &Schema, index: Option<usize>) -> Result<Value, Fault> {
        let mut node = match &schema.kind {
            Type::Struct(fields) if schema.name.as_deref() == Some(UNION) => {
                let null = schema.optional.then(|| json!({"type": "null"}));
                let branches = fields.iter().enumerate().map(|(index, field)| {
                    let mut branch = self.value(&field.schema)?;
                    branch.insert(INDEX.into(), index.into());
                    Ok(Value::Object(branch))
                });
                let branches = null.into_iter().map(Ok).chain(branches).collect::<Result<Vec<_>, Fault>>()?;
                Map::from_iter([("oneOf".to_owned(), Value::Array(branches))])
            }
            _ if schema.optional => {
                Map::from_iter([("oneOf".to_owned(), json!([{"type": "null"}, self.value(schema)?]))])
            }
            _ => self.value(schema)?,
        };
        if let Some(index) = index {
            node.insert(INDEX.into(), index.into());
        }
        Ok(Value::Object(node))
    }

    /// The schema of what is not null.
    fn value(&self, schema: &Schema) -> Result<Map<String, Value>, Fault> {
        let mut node = Map::new();
        if let Some(name) = &schema.name {
            node.insert("title".into(), name.as_ref().into());
        }
        if let Some(doc) = &schema.doc {
            node.insert("description".into(), doc.as_ref().into());
        }
        if let Some(default) = &schema.default {
            node.insert("default".into(), respelt(schema, default, self.options)?);
        }
        let connect_type = self.keywords(schema, &mut node)?;
        if let Some(connect_type) = connect_type {
            node.insert(TYPE.into(), connect_type.into());
        }
        if let Some(version) = schema.version {
            node.insert(VERSION.into(), version.into());
        }
        let parameters = schema.parameters.iter().filter(|(key, _)| !key.starts_with(NAMESPACE));
        let parameters: Map<_, _> = parameters.map(|(key, value)| (key.clone(), value.as_str().into())).collect();
        if !parameters.is_empty() {
            node.insert(PARAMETERS.into(), parameters.into());
        }
        Ok(node)
    }

    /// JSON Schema's own keywords, and what Connect calls the type where that says more.
    fn keywords(&self, schema: &Schema, node: &mut Map<String, Value>) -> Result<Option<&'static str>, Fault> {
        let (kind, connect_type) = match &schema.kind {
            Type::Int8 => ("integer", Some("int8")),
            Type::Int16 => ("integer", Some("int16")),
            Type::Int32 => ("integer", Some("int32")),
            Type::Int64 => ("integer", Some("int64")),
            Type::Float32 => ("number", Some("float32")),
            Type::Float64 => ("number", Some("float64")),
            Type::Boolean => ("boolean", None),
            Type::String if schema.parameters.contains_key(ENUM) => {
                let symbols = schema.parameters.keys().filter_map(|key| key.strip_prefix(ENUM)?.strip_prefix('.'));
                node.insert("enum".into(), symbols.map(Value::from).collect());
                return Ok(None);
            }
            Type::String => ("string", None),
            Type::Bytes if self.options.numeric_decimals && schema.name.as_deref() == Some(DECIMAL) => {
                ("number", Some("bytes"))
            }
            Type::Bytes => ("string", Some("bytes")),
            Type::Array(items) => {
                node.insert("type".into(), "array".into());
                node.insert("items".into(), self.node(items, None)?);
                return Ok(None);
            }
            Type::Map(keys, values) if matches!(keys.kind, Type::String) && !keys.optional => {
                node.insert("type".into(), "object".into());
                node.insert("additionalProperties".into(), self.node(values, None)?);
                return Ok(Some("map"));
            }
            Type::Map(keys, values) => {
                let entry = json!({"key": self.node(keys, Some(0))?, "value": self.node(values, Some(1))?});
                node.insert("type".into(), "array".into());
                node.insert("items".into(), json!({"type": "object", "properties": entry}));
                return Ok(Some("map"));
            }
            Type::Struct(fields) => {
                let properties = fields.iter().enumerate().map(|(index, field)| {
                    let schema = self.node(&field.schema, Some(index)).map_err(|fault| fault.in_field(&field.name))?;
                    Ok((field.name.to_string(), schema))
                });
                let properties: Map<_, _> = properties.collect::<Result<_, Fault>>()?;
                node.insert("type".into(), "object".into());
                node.insert("properties".into(), properties.into());
                if self.closed {
                    node.insert("additionalProperties".into(), false.into());
                }
                return Ok(None);
            }
        };
        node.insert("type".into(), kind.into());
        Ok(connect_type)
    }
}
