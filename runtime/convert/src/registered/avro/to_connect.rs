//! An Avro schema as Connect's, with the steps that lead from data of one to data of the other.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use towpath_model::{Schema, Type};

use super::decode::{Decoder, Step};
use super::{AvroShape, DEFAULT_NAME, ENUM, MAP_ENTRY, UNION};
use crate::definition::avro::{Field, Kind, Named, Node, Shape};
use crate::fault::Fault;
use crate::json::DECIMAL;
use crate::registered::{DATE, TIME, TIMESTAMP};

/// Connect's schema, and how to come to its data.
pub(in crate::registered) fn to_connect(shape: &AvroShape) -> Result<(Schema, Decoder), Fault> {
    let mut rendering = Rendering { shape, open: Vec::new() };
    let (schema, step) = rendering.node(&shape.root, None)?;
    Ok((schema, Decoder(step)))
}

struct Rendering<'a> {
    shape: &'a AvroShape,
    /// Records that are being rendered: Connect's schemas have an end.
    open: Vec<&'a str>,
}

impl<'a> Rendering<'a> {
    /// A type, with the default of the field that has it.
    fn node(&mut self, node: &'a Node, default: Option<&Value>) -> Result<(Schema, Step), Fault> {
        let Kind::Union(branches) = &node.kind else { return self.value(node, default, false) };
        let is_null = |branch: &&Node| matches!(branch.kind, Kind::Null);
        let null = branches.iter().position(|branch| is_null(&branch));
        match (branches.as_slice(), null) {
            ([only], None) => {
                let (schema, step) = self.value(only, default, false)?;
                Ok((schema, Step::Only(Box::new(step))))
            }
            ([first, second], Some(null)) => {
                let (schema, step) = self.value(if null == 0 { second } else { first }, default, true)?;
                let null_out = schema.null_branch();
                Ok((schema, Step::Optional { null: null as i64, null_out, value: Box::new(step) }))
            }
            _ => self.union(branches, null.is_some()),
        }
    }

    /// A union of several types is a struct of which one field is set.
    fn union(&mut self, branches: &'a [Node], optional: bool) -> Result<(Schema, Step), Fault> {
        let (mut fields, mut steps) = (Vec::new(), Vec::new());
        for branch in branches {
            let name = match &branch.kind {
                Kind::Null => {
                    steps.push(None);
                    continue;
                }
                Kind::Named(name) => self.named(name)?.short_name(),
                other => other.name(),
            };
            let (mut schema, step) = self.value(branch, None, true)?;
            // A field that is not set must read as such.
            schema.default = None;
            fields.push(towpath_model::Field { name: name.into(), schema: Arc::new(schema) });
            steps.push(Some(step));
        }
        let mut schema = Schema::new(Type::Struct(fields));
        (schema.name, schema.optional) = (Some(UNION.into()), optional);
        let null_out = optional.then(|| schema.null_branch());
        Ok((schema, Step::Union { branches: steps, null_out }))
    }

    /// Any type but a union.
    fn value(&mut self, node: &'a Node, default: Option<&Value>, optional: bool) -> Result<(Schema, Step), Fault> {
        let logical = node.prop("logicalType");
        let (mut schema, step) = match &node.kind {
            Kind::Named(name) => return self.of_named(name, default, optional),
            Kind::Int => {
                let schema = match (logical, node.prop("connect.type")) {
                    (Some("date"), _) => Schema::new(Type::Int32).named(DATE, 1),
                    (Some("time-millis"), _) => Schema::new(Type::Int32).named(TIME, 1),
                    (_, Some("int8")) => Schema::new(Type::Int8),
                    (_, Some("int16")) => Schema::new(Type::Int16),
                    _ => Schema::new(Type::Int32),
                };
                (schema, Step::Number)
            }
            Kind::Long if logical == Some("timestamp-millis") => {
                (Schema::new(Type::Int64).named(TIMESTAMP, 1), Step::Number)
            }
            Kind::Long => (Schema::new(Type::Int64), Step::Number),
            Kind::Float => (Schema::new(Type::Float32), Step::Float),
            Kind::Double => (Schema::new(Type::Float64), Step::Double),
            Kind::Boolean => (Schema::new(Type::Boolean), Step::Boolean),
            Kind::String => (Schema::new(Type::String), Step::String),
            Kind::Bytes => (bytes(&node.props), Step::Bytes),
            Kind::Array(items) => self.array(items)?,
            Kind::Map(values) => {
                let (values, step) = self.node(values, None)?;
                let keys = Arc::new(Schema::new(Type::String));
                (Schema::new(Type::Map(keys, Arc::new(values))), Step::Map(Box::new(step)))
            }
            Kind::Null | Kind::Union(_) => {
                return Err(Fault::schema("a type that is null alone says nothing, and Connect has none for it"));
            }
        };
        describe(&mut schema, &node.props, None);
        schema.optional = optional;
        schema.default = default_of(&schema, default, &node.props);
        Ok((schema, step))
    }

    fn array(&mut self, items: &'a Node) -> Result<(Schema, Step), Fault> {
        // A map whose keys are no strings is an array of entries.
        if let Kind::Named(name) = &items.kind
            && let Named { shape: Shape::Record { fields, .. }, props, .. } = self.named(name)?
            && let [key, value] = fields.as_slice()
            && (name.as_ref() == MAP_ENTRY
                || props.get("connect.internal.type").and_then(Value::as_str) == Some("MapEntry"))
        {
            let (keys, key) = self.node(&key.node, None)?;
            let (values, value) = self.node(&value.node, None)?;
            let schema = Schema::new(Type::Map(Arc::new(keys), Arc::new(values)));
            return Ok((schema, Step::Array(Box::new(Step::Record(vec![key, value])))));
        }
        let (items, step) = self.node(items, None)?;
        Ok((Schema::new(Type::Array(Arc::new(items))), Step::Array(Box::new(step))))
    }

    fn of_named(&mut self, name: &'a str, default: Option<&Value>, optional: bool) -> Result<(Schema, Step), Fault> {
        let named = self.named(name)?;
        let (mut schema, step, own_name) = match &named.shape {
            Shape::Record { fields, .. } => {
                if self.open.contains(&name) {
                    return Err(Fault::schema(format!("{name} contains itself, for which Connect has no schema")));
                }
                self.open.push(name);
                let rendered: Result<Vec<_>, Fault> = fields.iter().map(|field| self.field(field)).collect();
                self.open.pop();
                let (fields, steps) = rendered?.into_iter().unzip();
                (Schema::new(Type::Struct(fields)), Step::Record(steps), Some(name))
            }
            Shape::Enum { symbols, .. } => {
                let schema = Schema::new(Type::String).parameter(ENUM, name);
                let with =
                    |schema: Schema, symbol: &Arc<str>| schema.parameter(&format!("{ENUM}.{symbol}"), symbol.as_ref());
                (symbols.iter().fold(schema, with), Step::Symbol(symbols.clone()), Some(name))
            }
            Shape::Fixed(size) => {
                let schema = bytes(&named.props).parameter("connect.fixed.size", size.to_string());
                let own_name = schema.name.is_none().then_some(name);
                (schema, Step::Fixed(*size), own_name)
            }
        };
        describe(&mut schema, &named.props, own_name);
        schema.optional = optional;
        schema.default = default_of(&schema, default, &named.props);
        Ok((schema, step))
    }

    fn field(&mut self, field: &'a Field) -> Result<(towpath_model::Field, Step), Fault> {
        let (schema, step) =
            self.node(&field.node, field.default.as_ref()).map_err(|fault| fault.in_field(&field.name))?;
        Ok((towpath_model::Field { name: field.name.clone(), schema: Arc::new(schema) }, step))
    }

    fn named(&self, name: &str) -> Result<&'a Named, Fault> {
        self.shape.type_of(name).ok_or_else(|| Fault::schema(format!("{name} is not defined")))
    }
}

/// Bytes, or the decimal that they are.
fn bytes(props: &Map<String, Value>) -> Schema {
    let number = |key: &str| props.get(key).and_then(Value::as_i64);
    if props.get("logicalType").and_then(Value::as_str) != Some("decimal") {
        return Schema::new(Type::Bytes);
    }
    let scale = number("scale").unwrap_or(0);
    let schema = Schema::new(Type::Bytes).named(DECIMAL, 1).parameter("scale", scale.to_string());
    match number("precision").filter(|precision| *precision != 64) {
        Some(precision) => schema.parameter("connect.decimal.precision", precision.to_string()),
        None => schema,
    }
}

/// Takes over Connect's metadata. A type's own name counts unless there is one of Connect's, or it stands for none.
fn describe(schema: &mut Schema, props: &Map<String, Value>, own_name: Option<&str>) {
    let text = |key: &str| props.get(key).and_then(Value::as_str);
    if let Some(doc) = text("connect.doc") {
        schema.doc = Some(doc.into());
    }
    if let Some(version) = props.get("connect.version").and_then(Value::as_i64) {
        schema.version = i32::try_from(version).ok();
    }
    for (key, value) in props.get("connect.parameters").and_then(Value::as_object).into_iter().flatten() {
        if let Some(value) = value.as_str() {
            schema.parameters.insert(key.clone(), value.to_owned());
        }
    }
    let name = text("connect.name").or(own_name.filter(|name| !name.starts_with(DEFAULT_NAME)));
    if let Some(name) = name {
        schema.name = Some(name.into());
    }
}

/// The default of the field, or else Connect's own, in JsonConverter's form. Null is none.
fn default_of(schema: &Schema, of_field: Option<&Value>, props: &Map<String, Value>) -> Option<Value> {
    let default = of_field.or_else(|| props.get("connect.default")).filter(|default| !default.is_null())?;
    converted(schema, default)
}

fn converted(schema: &Schema, default: &Value) -> Option<Value> {
    Some(match (&schema.kind, default) {
        (_, Value::Null) => Value::Null,
        (Type::Bytes, Value::String(text)) => {
            let bytes: Option<Vec<u8>> =
                text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect();
            STANDARD.encode(bytes?).into()
        }
        (Type::Array(items), Value::Array(values)) => {
            values.iter().map(|value| converted(items, value)).collect::<Option<Vec<_>>>()?.into()
        }
        (Type::Map(_, values), Value::Object(entries)) => {
            let entries = entries.iter().map(|(key, value)| Some((key.clone(), converted(values, value)?)));
            Value::Object(entries.collect::<Option<_>>()?)
        }
        (Type::Struct(fields), Value::Object(entries)) => {
            let entries = fields.iter().map(|field| {
                let value = match entries.get(field.name.as_ref()) {
                    Some(given) => converted(&field.schema, given)?,
                    None => field.schema.default.clone().unwrap_or_default(),
                };
                Some((field.name.to_string(), value))
            });
            Value::Object(entries.collect::<Option<_>>()?)
        }
        (Type::Array(_) | Type::Map(..) | Type::Struct(_), _) => return None,
        (_, value) => value.clone(),
    })
}
