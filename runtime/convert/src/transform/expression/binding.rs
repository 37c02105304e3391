//! Records as values of CEL: structs and objects are maps, points in time their numbers, decimals floating-point numbers.

use std::collections::HashMap;
use std::sync::Arc;

use cel::{Program, Value};
use towpath_model::datum::Reader;
use towpath_model::{Batch, Encoding, Payload, Record, Schema, Type};

use super::is_null;
use crate::fault::Fault;
use crate::json;
use crate::shape::Shapes;
use crate::transform::structs;

const NAMES: [&str; 6] = ["key", "value", "keySchema", "valueSchema", "topic", "header"];

/// The variables that an expression names.
pub(super) struct Bindings {
    named: Vec<&'static str>,
    schemas: Shapes<Arc<Schema>>,
}

impl Bindings {
    pub(super) fn of(program: &Program) -> Self {
        let references = program.references();
        let named = NAMES.into_iter().filter(|name| references.has_variable(name)).collect();
        Self { named, schemas: Shapes::default() }
    }

    /// A new batch begins.
    pub(super) fn begin(&mut self, batch: &Batch) {
        self.schemas.begin(batch);
    }

    pub(super) fn is_null(&mut self, batch: &Batch, record: &Record<'_>) -> Result<bool, Fault> {
        let schema = self.schema(batch, record.value)?;
        Ok(is_null(schema.as_deref(), record.value.form.encoding, record.value.bytes))
    }

    /// The variables of a record.
    pub(super) fn values(&mut self, batch: &Batch, record: &Record<'_>) -> Result<Vec<(&'static str, Value)>, Fault> {
        let named = self.named.clone();
        let value = |name: &'static str| {
            let value = match name {
                "key" => self.payload(batch, record.key)?,
                "value" => self.payload(batch, record.value)?,
                "keySchema" => self.schema(batch, record.key)?.map_or(Value::Null, |schema| described(&schema)),
                "valueSchema" => self.schema(batch, record.value)?.map_or(Value::Null, |schema| described(&schema)),
                "topic" => Value::from(&**record.topic()),
                _ => {
                    let mut headers: HashMap<String, Value> = HashMap::new();
                    for (name, payload) in record.headers() {
                        let schema = self.schema(batch, payload)?.map_or(Value::Null, |schema| described(&schema));
                        let value = self.payload(batch, payload)?;
                        let header = HashMap::from([("value".to_owned(), value), ("schema".to_owned(), schema)]);
                        headers.insert(name.to_string(), Value::from(header));
                    }
                    Value::from(headers)
                }
            };
            Ok((name, value))
        };
        named.into_iter().map(value).collect()
    }

    fn schema(&mut self, batch: &Batch, payload: Payload<'_>) -> Result<Option<Arc<Schema>>, Fault> {
        match (payload.bytes, payload.form.encoding) {
            (Some(_), Encoding::Connect) => {
                let schema = self.schemas.get(batch, payload.form.schema, |schema| Ok(Arc::new(schema)))?;
                Ok(Some(schema.clone()))
            }
            _ => Ok(None),
        }
    }

    fn payload(&mut self, batch: &Batch, payload: Payload<'_>) -> Result<Value, Fault> {
        let Some(bytes) = payload.bytes else { return Ok(Value::Null) };
        match (payload.form.encoding, self.schema(batch, payload)?) {
            (Encoding::Connect, Some(schema)) => datum(&schema, &mut Reader::new(bytes)),
            (Encoding::Json, _) => {
                let value = serde_json::from_slice(bytes).map_err(|error| Fault::json(format!("not JSON: {error}")))?;
                Ok(document(value))
            }
            _ => Ok(Value::Bytes(Arc::new(bytes.to_vec()))),
        }
    }
}

/// What an expression may ask of a schema.
fn described(schema: &Schema) -> Value {
    let text = |text: &Option<Arc<str>>| text.as_deref().map_or(Value::Null, Value::from);
    Value::from(HashMap::from([
        ("name".to_owned(), text(&schema.name)),
        ("doc".to_owned(), text(&schema.doc)),
        ("version".to_owned(), schema.version.map_or(Value::Null, |version| Value::Int(version.into()))),
        ("type".to_owned(), Value::from(schema.kind.name())),
        ("optional".to_owned(), Value::Bool(schema.optional)),
    ]))
}

fn datum(schema: &Schema, reader: &mut Reader<'_>) -> Result<Value, Fault> {
    if schema.optional && reader.long()? == schema.null_branch() {
        return match structs::default_datum(schema)? {
            Some(default) => datum(schema, &mut Reader::new(&default)),
            None => Ok(Value::Null),
        };
    }
    Ok(match &schema.kind {
        Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => Value::Int(reader.long()?),
        Type::Float32 => Value::Float(reader.float()?.into()),
        Type::Float64 => Value::Float(reader.double()?),
        Type::Boolean => Value::Bool(reader.boolean()?),
        Type::String => Value::from(reader.string()?),
        Type::Bytes if schema.name.as_deref() == Some(json::DECIMAL) => {
            let text = json::decimal_text(reader.bytes()?, json::decimal_scale(schema));
            Value::Float(text.parse().unwrap_or(f64::NAN))
        }
        Type::Bytes => Value::Bytes(Arc::new(reader.bytes()?.to_vec())),
        Type::Array(items) => {
            let mut list = Vec::new();
            blocks(reader, |reader| {
                list.push(datum(items, reader)?);
                Ok(())
            })?;
            Value::from(list)
        }
        Type::Map(keys, values) => {
            let mut map = HashMap::new();
            blocks(reader, |reader| {
                let key = match datum(keys, reader)? {
                    Value::String(text) => text.to_string(),
                    Value::Int(number) => number.to_string(),
                    Value::Bool(value) => value.to_string(),
                    _ => return Err(Fault::transform("a map's keys are neither texts nor numbers")),
                };
                map.insert(key, datum(values, reader)?);
                Ok(())
            })?;
            Value::from(map)
        }
        Type::Struct(fields) => {
            let fields = fields.iter().map(|field| Ok((field.name.to_string(), datum(&field.schema, reader)?)));
            Value::from(fields.collect::<Result<HashMap<_, _>, Fault>>()?)
        }
    })
}

fn blocks(reader: &mut Reader<'_>, mut item: impl FnMut(&mut Reader<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
    loop {
        let count = reader.block()?;
        if count == 0 {
            return Ok(());
        }
        (0..count).try_for_each(|_| item(reader))?;
    }
}

fn document(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::UInt(number),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text),
        serde_json::Value::Array(items) => Value::from(items.into_iter().map(document).collect::<Vec<_>>()),
        serde_json::Value::Object(entries) => {
            Value::from(entries.into_iter().map(|(key, value)| (key, document(value))).collect::<HashMap<_, _>>())
        }
    }
}
