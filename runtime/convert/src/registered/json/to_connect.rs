//! A JSON Schema as Connect's: what Connect has marked in it becomes what it was, the rest what comes nearest.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;
use towpath_model::{Field, Schema, Type};

use super::{ENUM, INDEX, PARAMETERS, TYPE, VERSION, respelt};
use crate::definition::json::{Array, Beyond, Criterion, Id, JsonSchema, Node, Object, Shape};
use crate::fault::Fault;
use crate::json::{Options, UNION};

/// Deeper and larger than any schema of data. References multiply what they lead to.
const DEPTH_MAX: usize = 64;
const NODES_MAX: usize = 100_000;
/// What stands for null among the symbols of an enum.
const NULL_SYMBOL: &str = "<NULL>";

/// Connect's schema; with `unrequired_optional` properties that are not required are optional.
pub(in crate::registered) fn to_connect(schema: &JsonSchema, unrequired_optional: bool) -> Result<Schema, Fault> {
    Rendering { schema, unrequired_optional, open: Vec::new(), rendered: 0 }.node(schema.root(), false)
}

struct Rendering<'a> {
    schema: &'a JsonSchema,
    unrequired_optional: bool,
    /// Nodes that are being rendered: Connect's schemas have an end.
    open: Vec<Id>,
    rendered: usize,
}

impl Rendering<'_> {
    fn node(&mut self, id: Id, optional: bool) -> Result<Schema, Fault> {
        if self.open.contains(&id) {
            return Err(Fault::schema("a JSON Schema contains itself, for which Connect has no schema"));
        }
        self.rendered += 1;
        if self.open.len() == DEPTH_MAX || self.rendered > NODES_MAX {
            return Err(Fault::schema(format!(
                "a JSON Schema is deeper than {DEPTH_MAX} levels or comes to more than {NODES_MAX} parts"
            )));
        }
        self.open.push(id);
        let rendered = self.open_node(id, optional);
        self.open.pop();
        rendered
    }

    fn open_node(&mut self, id: Id, optional: bool) -> Result<Schema, Fault> {
        let node = self.schema.node(id);
        let connect_type = node.prop(TYPE);
        let rendered = match &node.shape {
            Shape::Boolean => Schema::new(Type::Boolean),
            Shape::Number { integer, .. } => Schema::new(number(connect_type, *integer)?),
            Shape::String { .. } if connect_type == Some("bytes") => Schema::new(Type::Bytes),
            Shape::String { .. } => Schema::new(Type::String),
            Shape::Const(value) => symbols(std::slice::from_ref(value)),
            Shape::Enum(values) => symbols(values),
            Shape::Array(array) => self.array(array, connect_type)?,
            Shape::Object(object) => self.object(object, connect_type)?,
            Shape::Combined(Criterion::All, branches) if branches.len() > 1 => self.all_of(branches)?,
            Shape::Combined(_, branches) => {
                let null = |id: &Id| matches!(self.schema.node(*id).shape, Shape::Null);
                let others: Vec<Id> = branches.iter().copied().filter(|branch| !null(branch)).collect();
                let optional = optional || others.len() < branches.len();
                match others.as_slice() {
                    [only] => return self.node(*only, optional),
                    _ => self.union(&others, optional)?,
                }
            }
            Shape::Anything | Shape::Nothing | Shape::Null | Shape::Not(_) | Shape::Conditional => {
                return Err(Fault::schema(
                    "a JSON Schema that names no type says nothing, and Connect has none for it",
                ));
            }
        };
        described(rendered, node, optional)
    }

    fn array(&mut self, array: &Array, connect_type: Option<&str>) -> Result<Schema, Fault> {
        let every = array.every.ok_or_else(|| Fault::schema("a JSON Schema of an array says nothing of its items"))?;
        if connect_type == Some("map")
            && let Shape::Object(entry) = &self.schema.node(every).shape
            && let (Some(key), Some(value)) = (entry.properties.get("key"), entry.properties.get("value"))
        {
            let (keys, values) = (self.node(*key, false)?, self.node(*value, false)?);
            return Ok(Schema::new(Type::Map(Arc::new(keys), Arc::new(values))));
        }
        Ok(Schema::new(Type::Array(Arc::new(self.node(every, false)?))))
    }

    fn object(&mut self, object: &Object, connect_type: Option<&str>) -> Result<Schema, Fault> {
        if connect_type == Some("map")
            && let Beyond::Of(values) = object.beyond
        {
            let values = self.node(values, false)?;
            return Ok(Schema::new(Type::Map(Arc::new(Schema::new(Type::String)), Arc::new(values))));
        }
        let mut properties: Vec<_> = object.properties.iter().map(|(name, id)| (name, *id)).enumerate().collect();
        let place = |place: usize, id: Id| {
            let index = self.schema.node(id).props.get(INDEX).and_then(Value::as_u64);
            index.and_then(|index| usize::try_from(index).ok()).unwrap_or(place)
        };
        properties.sort_by_key(|(index, (_, id))| place(*index, *id));
        self.fields(properties.into_iter().map(|(_, (name, id))| (name, (id, object.required.contains(name)))))
    }

    fn fields<'n>(&mut self, fields: impl Iterator<Item = (&'n Arc<str>, (Id, bool))>) -> Result<Schema, Fault> {
        let fields = fields.map(|(name, (id, required))| {
            let schema = self.node(id, self.unrequired_optional && !required).map_err(|fault| fault.in_field(name))?;
            Ok(Field { name: name.clone(), schema: Arc::new(schema) })
        });
        Ok(Schema::new(Type::Struct(fields.collect::<Result<_, Fault>>()?)))
    }

    /// Several schemas of which one holds are a struct of which one field is set.
    fn union(&mut self, branches: &[Id], optional: bool) -> Result<Schema, Fault> {
        let fields = branches.iter().enumerate().map(|(index, branch)| {
            let mut schema = self.node(*branch, true)?;
            // A field that is not set must read as such.
            schema.default = None;
            Ok(Field { name: format!("{UNION}.field.{index}").into(), schema: Arc::new(schema) })
        });
        let mut schema = Schema::new(Type::Struct(fields.collect::<Result<_, Fault>>()?));
        (schema.name, schema.optional) = (Some(UNION.into()), optional);
        Ok(schema)
    }

    /// Schemas that all hold: the properties of all of them, or else the one that says most.
    fn all_of(&mut self, branches: &[Id]) -> Result<Schema, Fault> {
        let mut properties = IndexMap::new();
        self.gather(branches, &mut properties, 0);
        if !properties.is_empty() {
            return self.fields(properties.iter().map(|(name, found)| (name, *found)));
        }
        let find =
            |wanted: fn(&Shape) -> bool| branches.iter().find(|id| wanted(&self.schema.node(**id).shape)).copied();
        let symbols = find(|shape| matches!(shape, Shape::Enum(_)));
        let text = find(|shape| matches!(shape, Shape::String { .. }));
        let number = find(|shape| matches!(shape, Shape::Number { .. }));
        let telling = find(|shape| matches!(shape, Shape::Combined(..)))
            .or(symbols.filter(|_| text.is_some()))
            .or(number)
            .or(text)
            .or(find(|shape| matches!(shape, Shape::Boolean | Shape::Array(_))));
        match telling {
            Some(branch) => self.node(branch, false),
            None => Err(Fault::schema("a JSON Schema combines what Connect has no schema for")),
        }
    }

    fn gather(&self, branches: &[Id], properties: &mut IndexMap<Arc<str>, (Id, bool)>, depth: usize) {
        for branch in branches.iter().filter(|_| depth < DEPTH_MAX) {
            match &self.schema.node(*branch).shape {
                Shape::Combined(Criterion::All, inner) => self.gather(inner, properties, depth + 1),
                Shape::Object(object) => {
                    let found = object
                        .properties
                        .iter()
                        .map(|(name, id)| (name.clone(), (*id, object.required.contains(name))));
                    properties.extend(found);
                }
                _ => {}
            }
        }
    }
}

fn number(connect_type: Option<&str>, integer: bool) -> Result<Type, Fault> {
    Ok(match connect_type {
        None if integer => Type::Int64,
        None => Type::Float64,
        Some("int8") => Type::Int8,
        Some("int16") => Type::Int16,
        Some("int32") => Type::Int32,
        Some("int64") => Type::Int64,
        Some("float32") => Type::Float32,
        Some("float64") => Type::Float64,
        Some("bytes") => Type::Bytes,
        Some(other) => return Err(Fault::schema(format!("a number has the {TYPE} {other:?}, which is none"))),
    })
}

fn symbols(values: &[Value]) -> Schema {
    values.iter().fold(Schema::new(Type::String).parameter(ENUM, ""), |schema, value| {
        let symbol = match value {
            Value::Null => NULL_SYMBOL.to_owned(),
            Value::String(symbol) => symbol.clone(),
            other => other.to_string(),
        };
        schema.parameter(&format!("{ENUM}.{symbol}"), symbol)
    })
}

/// A schema with what stands beside its type.
fn described(mut schema: Schema, node: &Node, optional: bool) -> Result<Schema, Fault> {
    schema.name = schema.name.or_else(|| node.prop("title").map(Arc::from));
    schema.doc = node.prop("description").map(Arc::from).or(schema.doc);
    let version = node.props.get(VERSION).and_then(Value::as_i64).and_then(|version| i32::try_from(version).ok());
    schema.version = version.or(schema.version);
    for (key, value) in node.props.get(PARAMETERS).and_then(Value::as_object).into_iter().flatten() {
        if let Some(value) = value.as_str() {
            schema.parameters.insert(key.clone(), value.to_owned());
        }
    }
    schema.optional |= optional;
    if let Some(default) = node.default.as_ref().filter(|default| !default.is_null()) {
        schema.default = Some(respelt(&schema, default, Options::default())?);
    }
    Ok(schema)
}
