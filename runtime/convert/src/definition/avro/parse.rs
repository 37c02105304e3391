//! Reading a schema, with the checks that Java's library makes: names, duplicates, unions, symbols, defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{AvroSchema, Field, Kind, Named, Node, Shape, is_name, split};
use crate::definition::{Invalid, Referenced};

/// What means something beside a type and is no property.
const RESERVED: [&str; 10] =
    ["type", "name", "namespace", "doc", "aliases", "fields", "symbols", "size", "items", "values"];
const FIELD_RESERVED: [&str; 6] = ["name", "type", "doc", "default", "order", "aliases"];

pub(super) fn parse(text: &str, referenced: &[Referenced]) -> Result<AvroSchema, Invalid> {
    let mut parser = Parser::default();
    for other in referenced {
        parser.root(&other.text).map_err(|error| Invalid::new(format!("reference {}: {error}", other.name)))?;
    }
    let borrowed: BTreeSet<Arc<str>> = parser.named.keys().cloned().collect();
    let root = parser.root(text)?;
    let schema = AvroSchema { root, named: parser.named, borrowed };
    check_defaults(&schema)?;
    Ok(schema)
}

#[derive(Default)]
struct Parser {
    named: BTreeMap<Arc<str>, Named>,
    /// Names whose types are being read.
    open: BTreeSet<Arc<str>>,
}

impl Parser {
    fn root(&mut self, text: &str) -> Result<Node, Invalid> {
        // A bare name is taken, as it is by Java's library.
        let bare = || is_name(text.trim()).then(|| Value::from(text.trim()));
        let value = serde_json::from_str(text).ok().or_else(bare);
        let value = match value {
            Some(value) => value,
            None => serde_json::from_str::<Value>(text).map_err(|error| Invalid::new(format!("not JSON: {error}")))?,
        };
        self.node(&value, None)
    }

    fn node(&mut self, value: &Value, space: Option<&str>) -> Result<Node, Invalid> {
        match value {
            Value::String(name) => self.word(name, space),
            Value::Array(branches) => self.union(branches, space),
            Value::Object(object) => self.object(object, space),
            _ => Err(Invalid::new(format!("Schema not yet supported: {value}"))),
        }
    }

    fn word(&self, name: &str, space: Option<&str>) -> Result<Node, Invalid> {
        if let Some(kind) = Kind::primitive(name) {
            return Ok(Node::plain(kind));
        }
        let qualified = qualified(name, space);
        let known = [qualified.as_ref(), name].into_iter().find_map(|name| {
            self.named.get_key_value(name).map(|(name, _)| name).or_else(|| self.open.get(name)).cloned()
        });
        let undefined = || Invalid::new(format!("Undefined schema: {qualified}"));
        known.map(|name| Node::plain(Kind::Named(name))).ok_or_else(undefined)
    }

    fn union(&mut self, branches: &[Value], space: Option<&str>) -> Result<Node, Invalid> {
        let mut nodes = Vec::with_capacity(branches.len());
        let mut seen = BTreeSet::new();
        for branch in branches {
            let node = self.node(branch, space)?;
            let name = match &node.kind {
                Kind::Union(_) => return Err(Invalid::new("Nested union")),
                Kind::Named(name) => name.to_string(),
                other => other.name().to_owned(),
            };
            if !seen.insert(name.clone()) {
                return Err(Invalid::new(format!("Duplicate in union: {name}")));
            }
            nodes.push(node);
        }
        Ok(Node::plain(Kind::Union(nodes)))
    }

    fn object(&mut self, object: &Map<String, Value>, space: Option<&str>) -> Result<Node, Invalid> {
        let kind = object.get("type").and_then(Value::as_str);
        let kind = kind.ok_or_else(|| Invalid::new(format!("No type: {}", Value::Object(object.clone()))))?;
        let inner = |key: &str| {
            object
                .get(key)
                .ok_or_else(|| Invalid::new(format!("{kind} has no {key}: {}", Value::Object(object.clone()))))
        };
        let kind = match kind {
            "record" | "error" | "enum" | "fixed" => return self.define(kind, object, space),
            "array" => Kind::Array(Box::new(self.node(inner("items")?, space)?)),
            "map" => Kind::Map(Box::new(self.node(inner("values")?, space)?)),
            name => match Kind::primitive(name) {
                Some(kind) => kind,
                None => return self.word(name, space),
            },
        };
        Ok(Node { kind, props: props(object, &RESERVED, "") })
    }

    fn define(&mut self, kind: &str, object: &Map<String, Value>, space: Option<&str>) -> Result<Node, Invalid> {
        let name = text(object, "name").ok_or_else(|| Invalid::new(format!("No name in schema: {kind}")))?;
        let name = match object.get("namespace").and_then(Value::as_str) {
            _ if name.contains('.') => name.trim_start_matches('.').into(),
            Some("") => name.into(),
            Some(own) => format!("{own}.{name}").into(),
            None => qualified(name, space),
        };
        if let Some(part) = name.split('.').find(|part| !is_name(part)) {
            return Err(Invalid::new(format!("Illegal character or initial character in name: {part:?} of {name}")));
        }
        if Kind::primitive(&name).is_some() {
            return Err(Invalid::new(format!("Schemas may not be named after primitives: {name}")));
        }
        if self.named.contains_key(&name) || self.open.contains(&name) {
            return Err(Invalid::new(format!("Can't redefine: {name}")));
        }
        let own_space = split(&name).0;
        let shape = match kind {
            "record" | "error" => {
                self.open.insert(name.clone());
                let fields = self.fields(object, &name);
                self.open.remove(&name);
                Shape::Record { fields: fields?, error: kind == "error" }
            }
            "enum" => enumeration(object, &name)?,
            _ => {
                let size = object.get("size").and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
                Shape::Fixed(size.ok_or_else(|| Invalid::new(format!("Invalid or no size: {name}")))?)
            }
        };
        let aliases = distinct(names(object, "aliases")?.iter().map(|alias| qualified(alias, own_space)));
        let also = if kind == "enum" { "default" } else { "" };
        let doc = text(object, "doc").map(str::to_owned);
        let named = Named { name: name.clone(), doc, aliases, shape, props: props(object, &RESERVED, also) };
        self.named.insert(name.clone(), named);
        Ok(Node::plain(Kind::Named(name)))
    }

    fn fields(&mut self, object: &Map<String, Value>, record: &Arc<str>) -> Result<Vec<Field>, Invalid> {
        let fields = object.get("fields").and_then(Value::as_array);
        let fields = fields.ok_or_else(|| Invalid::new(format!("Record has no fields: {record}")))?;
        let mut seen = BTreeSet::new();
        fields.iter().map(|value| self.field(value, record, &mut seen)).collect()
    }

    fn field(&mut self, value: &Value, record: &str, seen: &mut BTreeSet<String>) -> Result<Field, Invalid> {
        let object =
            value.as_object().ok_or_else(|| Invalid::new(format!("{record}: a field is no object: {value}")))?;
        let name = text(object, "name").ok_or_else(|| Invalid::new(format!("{record}: No field name")))?;
        if !is_name(name) {
            return Err(Invalid::new(format!("{record}: Illegal character or initial character in name: {name:?}")));
        }
        if !seen.insert(name.to_owned()) {
            return Err(Invalid::new(format!("Duplicate field {name} in record {record}")));
        }
        let node = object.get("type").ok_or_else(|| Invalid::new(format!("{record}.{name}: No field type")))?;
        let node =
            self.node(node, split(record).0).map_err(|error| Invalid::new(format!("{record}.{name}: {error}")))?;
        let order = match text(object, "order").map(str::to_ascii_lowercase) {
            None => None,
            Some(order) if ["ascending", "descending", "ignore"].contains(&order.as_str()) => Some(order),
            Some(order) => return Err(Invalid::new(format!("{record}.{name}: no order is named {order}"))),
        };
        Ok(Field {
            name: name.into(),
            doc: text(object, "doc").map(str::to_owned),
            default: object.get("default").cloned(),
            aliases: distinct(names(object, "aliases")?.into_iter().map(Into::into)),
            order,
            node,
            props: props(object, &FIELD_RESERVED, ""),
        })
    }
}

fn enumeration(object: &Map<String, Value>, name: &str) -> Result<Shape, Invalid> {
    let mut symbols: Vec<Arc<str>> = Vec::new();
    if !object.get("symbols").is_some_and(Value::is_array) {
        return Err(Invalid::new(format!("Enum has no symbols: {name}")));
    }
    for symbol in names(object, "symbols")? {
        if !is_name(symbol) {
            return Err(Invalid::new(format!("{name}: Illegal character or initial character in name: {symbol:?}")));
        }
        if symbols.iter().any(|known| known.as_ref() == symbol) {
            return Err(Invalid::new(format!("{name}: Duplicate enum symbol: {symbol}")));
        }
        symbols.push(symbol.into());
    }
    let default = text(object, "default").map(Arc::from);
    if let Some(default) = default.as_ref().filter(|default| !symbols.contains(default)) {
        return Err(Invalid::new(format!("The Enum Default: {default} is not in the enum symbol set of {name}")));
    }
    Ok(Shape::Enum { symbols, default })
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

fn names<'a>(object: &'a Map<String, Value>, key: &str) -> Result<Vec<&'a str>, Invalid> {
    let Some(value) = object.get(key) else { return Ok(Vec::new()) };
    let names = value.as_array().map(|names| names.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    names.flatten().ok_or_else(|| Invalid::new(format!("{key} is not an array of strings: {value}")))
}

/// Each once, where it stands first.
fn distinct(names: impl Iterator<Item = Arc<str>>) -> Vec<Arc<str>> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(name.clone())).collect()
}

fn props(object: &Map<String, Value>, reserved: &[&str], also: &str) -> Map<String, Value> {
    let free = object.iter().filter(|(key, _)| !reserved.contains(&key.as_str()) && key.as_str() != also);
    free.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn qualified(name: &str, space: Option<&str>) -> Arc<str> {
    match space {
        Some(space) if !name.contains('.') => format!("{space}.{name}").into(),
        _ => name.trim_start_matches('.').into(),
    }
}

/// Defaults must be values of their fields. Those of borrowed types were checked where they were defined.
fn check_defaults(schema: &AvroSchema) -> Result<(), Invalid> {
    let own = schema.named.values().filter(|named| !schema.borrowed.contains(&named.name));
    for named in own {
        let Shape::Record { fields, .. } = &named.shape else { continue };
        for field in fields {
            let Some(default) = &field.default else { continue };
            if !fits(schema, &field.node, default, 0) {
                let reason = format!("Invalid default for field {}: {default} not a value of its type", field.name);
                return Err(Invalid::new(format!("{}: {reason}", named.name)));
            }
        }
    }
    Ok(())
}

/// How deep a default may refer into types that contain themselves.
const DEPTH_MAX: usize = 64;

fn fits(schema: &AvroSchema, node: &Node, value: &Value, depth: usize) -> bool {
    let deeper = |node: &Node, value: &Value| fits(schema, node, value, depth + 1);
    if depth > DEPTH_MAX {
        return false;
    }
    match &node.kind {
        Kind::Null => value.is_null(),
        Kind::Boolean => value.is_boolean(),
        Kind::Int => value.as_i64().is_some_and(|value| i32::try_from(value).is_ok()),
        Kind::Long => value.is_i64(),
        Kind::Float | Kind::Double => value.is_number(),
        Kind::Bytes | Kind::String => value.is_string(),
        Kind::Array(items) => value.as_array().is_some_and(|values| values.iter().all(|value| deeper(items, value))),
        Kind::Map(values) => {
            value.as_object().is_some_and(|entries| entries.values().all(|value| deeper(values, value)))
        }
        Kind::Union(branches) => branches.iter().any(|branch| deeper(branch, value)),
        Kind::Named(name) => match schema.type_of(name).map(|named| &named.shape) {
            Some(Shape::Record { fields, .. }) => value.as_object().is_some_and(|entries| {
                let given = |field: &Field| entries.get(field.name.as_ref()).or(field.default.as_ref()).cloned();
                fields.iter().all(|field| given(field).is_some_and(|value| deeper(&field.node, &value)))
            }),
            _ => value.is_string(),
        },
    }
}
