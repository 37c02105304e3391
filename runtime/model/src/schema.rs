//! Kafka Connect's schemas, and the JSON form in which they travel: that of Connect's JsonConverter.

use std::sync::Arc;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A Connect schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// The type.
    pub kind: Type,
    /// Whether null is allowed.
    pub optional: bool,
    /// Its name, which for logical types says how to read the value.
    pub name: Option<Arc<str>>,
    /// Its version.
    pub version: Option<i32>,
    /// What it is for.
    pub doc: Option<Arc<str>>,
    /// Parameters of a logical type.
    pub parameters: IndexMap<String, String>,
    /// The default, in the form that JsonConverter gives values of this schema.
    pub default: Option<Value>,
}

/// The type of a schema.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Type {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    String,
    Bytes,
    Array(Arc<Schema>),
    Map(Arc<Schema>, Arc<Schema>),
    Struct(Vec<Field>),
}

/// A field of a struct.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: Arc<str>,
    /// Its schema.
    pub schema: Arc<Schema>,
}

/// The text is not a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("schema is malformed at {path}: {reason}")]
pub struct SchemaError {
    /// Where, as `$.fields[3].type`.
    pub path: String,
    /// What is wrong.
    pub reason: String,
}

impl Schema {
    /// A required schema of this type.
    pub fn new(kind: Type) -> Self {
        Self { kind, optional: false, name: None, version: None, doc: None, parameters: IndexMap::new(), default: None }
    }

    /// The same, with null allowed.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The same, named.
    #[must_use]
    pub fn named(mut self, name: &str, version: i32) -> Self {
        self.name = Some(name.into());
        self.version = Some(version);
        self
    }

    /// The same, with a parameter.
    #[must_use]
    pub fn parameter(mut self, key: &str, value: impl Into<String>) -> Self {
        self.parameters.insert(key.into(), value.into());
        self
    }

    /// The same, with a default.
    #[must_use]
    pub fn default(mut self, value: Value) -> Self {
        self.default = Some(value);
        self
    }

    /// For an optional schema: the branch number that stands for null in a datum. The value has the other one.
    pub fn null_branch(&self) -> i64 {
        i64::from(self.default.is_some())
    }

    /// The fields of a struct; none for other types.
    pub fn fields(&self) -> &[Field] {
        match &self.kind {
            Type::Struct(fields) => fields,
            _ => &[],
        }
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// When the text is not JSON or not a schema.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| SchemaError { path: "$".into(), reason: error.to_string() })?;
        let mut schema = Self::from_json(&value)?;
        if schema.has_default_fraction()
            && let Ok(spelt) = serde_json::from_str(text)
        {
            schema.respell(&spelt);
        }
        Ok(schema)
    }

    /// Whether a default somewhere in it is a floating-point number.
    fn has_default_fraction(&self) -> bool {
        match &self.kind {
            Type::Float32 | Type::Float64 => self.default.is_some(),
            Type::Array(items) => items.has_default_fraction(),
            Type::Map(keys, values) => keys.has_default_fraction() || values.has_default_fraction(),
            Type::Struct(fields) => fields.iter().any(|field| field.schema.has_default_fraction()),
            _ => false,
        }
    }

    /// Reads such defaults again from their digits: serde_json reads long ones only nearly.
    fn respell(&mut self, spelt: &Spelt<'_>) {
        let inner = |schema: &mut Arc<Self>, spelt: Option<&Spelt<'_>>| {
            if let Some((schema, spelt)) = Arc::get_mut(schema).zip(spelt) {
                schema.respell(spelt);
            }
        };
        match &mut self.kind {
            Type::Float32 | Type::Float64 => {
                if let Some(number) = spelt.default.and_then(|digits| digits.get().parse::<f64>().ok()) {
                    self.default = Some(number.into());
                }
            }
            Type::Array(items) => inner(items, spelt.items.as_deref()),
            Type::Map(keys, values) => {
                inner(keys, spelt.keys.as_deref());
                inner(values, spelt.values.as_deref());
            }
            Type::Struct(fields) => {
                for (field, spelt) in fields.iter_mut().zip(&spelt.fields) {
                    inner(&mut field.schema, Some(spelt));
                }
            }
            _ => {}
        }
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// When it is not a schema.
    pub fn from_json(value: &Value) -> Result<Self, SchemaError> {
        from_json(value, "$")
    }

    /// The JSON form, with keys in JsonConverter's order.
    pub fn to_json(&self) -> Value {
        Value::Object(self.to_object(None))
    }

    fn to_object(&self, field: Option<&str>) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("type".into(), self.kind.name().into());
        match &self.kind {
            Type::Array(items) => {
                object.insert("items".into(), items.to_json());
            }
            Type::Map(keys, values) => {
                object.insert("keys".into(), keys.to_json());
                object.insert("values".into(), values.to_json());
            }
            Type::Struct(fields) => {
                let fields = fields.iter().map(|field| Value::Object(field.schema.to_object(Some(&field.name))));
                object.insert("fields".into(), fields.collect());
            }
            _ => {}
        }
        object.insert("optional".into(), self.optional.into());
        if let Some(name) = &self.name {
            object.insert("name".into(), name.as_ref().into());
        }
        if let Some(version) = self.version {
            object.insert("version".into(), version.into());
        }
        if let Some(doc) = &self.doc {
            object.insert("doc".into(), doc.as_ref().into());
        }
        if !self.parameters.is_empty() {
            let parameters = self.parameters.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
            object.insert("parameters".into(), Value::Object(parameters));
        }
        if let Some(default) = &self.default {
            object.insert("default".into(), default.clone());
        }
        if let Some(field) = field {
            object.insert("field".into(), field.into());
        }
        object
    }
}

impl Type {
    /// The name in the JSON form.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float32 => "float",
            Self::Float64 => "double",
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Array(_) => "array",
            Self::Map(..) => "map",
            Self::Struct(_) => "struct",
        }
    }
}

/// The defaults of a schema as they are spelt.
#[derive(Deserialize)]
struct Spelt<'a> {
    #[serde(borrow, default)]
    default: Option<&'a RawValue>,
    #[serde(borrow, default)]
    items: Option<Box<Spelt<'a>>>,
    #[serde(borrow, default)]
    keys: Option<Box<Spelt<'a>>>,
    #[serde(borrow, default)]
    values: Option<Box<Spelt<'a>>>,
    #[serde(borrow, default)]
    fields: Vec<Spelt<'a>>,
}

fn from_json(value: &Value, path: &str) -> Result<Schema, SchemaError> {
    let fault = |at: &str, reason: &str| SchemaError { path: format!("{path}{at}"), reason: reason.into() };
    let object = value.as_object().ok_or_else(|| fault("", "expected an object"))?;
    let nested = |key: &str| {
        let inner = object.get(key).ok_or_else(|| fault("", &format!("`{key}` is missing")))?;
        from_json(inner, &format!("{path}.{key}")).map(Arc::new)
    };
    let text = |key: &str| match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(fault(&format!(".{key}"), "expected a string")),
    };
    let kind = match text("type")?.ok_or_else(|| fault("", "`type` is missing"))? {
        "int8" => Type::Int8,
        "int16" => Type::Int16,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "float" | "float32" => Type::Float32,
        "double" | "float64" => Type::Float64,
        "boolean" => Type::Boolean,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "array" => Type::Array(nested("items")?),
        "map" => Type::Map(nested("keys")?, nested("values")?),
        "struct" => {
            let fields =
                object.get("fields").and_then(Value::as_array).ok_or_else(|| fault("", "`fields` is missing"))?;
            Type::Struct(
                fields
                    .iter()
                    .enumerate()
                    .map(|(i, f)| field(f, &format!("{path}.fields[{i}]")))
                    .collect::<Result<_, _>>()?,
            )
        }
        other => return Err(fault(".type", &format!("`{other}` is no type of Connect"))),
    };
    let parameters = match object.get("parameters") {
        None | Some(Value::Null) => IndexMap::new(),
        Some(Value::Object(map)) => map
            .iter()
            .map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect(),
        Some(_) => return Err(fault(".parameters", "expected an object")),
    };
    Ok(Schema {
        kind,
        optional: object.get("optional").and_then(Value::as_bool).unwrap_or(false),
        name: text("name")?.map(Into::into),
        version: object.get("version").and_then(Value::as_i64).and_then(|version| i32::try_from(version).ok()),
        doc: text("doc")?.map(Into::into),
        parameters,
        default: object.get("default").filter(|value| !value.is_null()).cloned(),
    })
}

fn field(value: &Value, path: &str) -> Result<Field, SchemaError> {
    let name = value.get("field").and_then(Value::as_str);
    let name = name.ok_or_else(|| SchemaError { path: path.into(), reason: "`field` is missing".into() })?;
    Ok(Field { name: name.into(), schema: Arc::new(from_json(value, path)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_form_round_trips_in_key_order() {
        let text = concat!(
            r#"{"type":"struct","fields":[{"type":"int32","optional":false,"default":0,"field":"id"},"#,
            r#"{"type":"array","items":{"type":"string","optional":true},"optional":true,"field":"tags"},"#,
            r#"{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"#,
            r#""parameters":{"scale":"2"},"field":"price"},"#,
            r#"{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"double","optional":false},"#,
            r#""optional":false,"field":"rates"}],"optional":false,"name":"shop.Value"}"#
        );
        let schema = Schema::parse(text).expect("a schema");
        assert_eq!(schema.to_json().to_string(), text);
        assert_eq!(schema.fields()[0].schema.null_branch(), 1);
        assert_eq!(schema.fields()[1].schema.null_branch(), 0);
    }

    #[test]
    fn defaults_are_read_to_the_last_digit() {
        let text = r#"{"type":"struct","fields":[{"type":"double","optional":false,"default":9155753147537.365,"field":"d"}],"optional":false}"#;
        let schema = Schema::parse(text).expect("a schema");
        assert_eq!(schema.fields()[0].schema.default, Some(9_155_753_147_537.365.into()));
        assert_eq!(schema.to_json().to_string(), text);
    }

    #[test]
    fn a_fault_names_its_place() {
        let error = Schema::parse(r#"{"type":"struct","fields":[{"type":"map","keys":{"type":"uint8"},"field":"f"}]}"#);
        assert_eq!(error.expect_err("no type").path, "$.fields[0].keys.type");
    }
}
