//! Writing a schema: as Java's `Schema.toString` does, and in the registry's normal form.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{AvroSchema, Field, Kind, Named, Node, Shape, split};
use crate::json::write_value;

pub(super) fn canonical(schema: &AvroSchema) -> String {
    written(Printer { schema, normal: false, known: schema.borrowed.clone() })
}

pub(super) fn normalized(schema: &AvroSchema) -> String {
    written(Printer { schema, normal: true, known: schema.borrowed.clone() })
}

fn written(mut printer: Printer<'_>) -> String {
    let value = printer.node(&printer.schema.root, None);
    let mut out = Vec::new();
    write_value(&mut out, &value);
    String::from_utf8(out).expect("JSON made of texts is text")
}

struct Printer<'a> {
    schema: &'a AvroSchema,
    /// The normal form: names in full and first, properties sorted.
    normal: bool,
    /// Names that stand already for their types.
    known: BTreeSet<Arc<str>>,
}

impl<'a> Printer<'a> {
    fn node(&mut self, node: &'a Node, space: Option<&str>) -> Value {
        let mut object = Map::new();
        match &node.kind {
            Kind::Named(name) => return self.named(name, space),
            Kind::Union(branches) => return branches.iter().map(|branch| self.node(branch, space)).collect(),
            Kind::Array(items) => {
                object.insert("type".into(), "array".into());
                object.insert("items".into(), self.node(items, space));
            }
            Kind::Map(values) => {
                object.insert("type".into(), "map".into());
                object.insert("values".into(), self.node(values, space));
            }
            primitive if node.props.is_empty() => return primitive.name().into(),
            primitive => drop(object.insert("type".into(), primitive.name().into())),
        }
        self.props(&mut object, &node.props);
        Value::Object(object)
    }

    fn named(&mut self, name: &Arc<str>, space: Option<&str>) -> Value {
        let Some(named) = self.schema.type_of(name).filter(|_| !self.known.contains(name)) else {
            return self.reference(name, space).into();
        };
        self.known.insert(name.clone());
        let (own_space, short) = split(name);
        let mut object = Map::new();
        if self.normal {
            object.insert("name".into(), name.as_ref().into());
            object.insert("type".into(), named.kind().into());
        } else {
            object.insert("type".into(), named.kind().into());
            object.insert("name".into(), short.into());
            match own_space {
                own if own == space => {}
                own => drop(object.insert("namespace".into(), own.unwrap_or_default().into())),
            }
            if let Some(doc) = &named.doc {
                object.insert("doc".into(), doc.as_str().into());
            }
        }
        match &named.shape {
            Shape::Record { fields, .. } => {
                let fields = fields.iter().map(|field| self.field(field, own_space)).collect();
                object.insert("fields".into(), fields);
            }
            Shape::Enum { symbols, .. } => {
                object.insert("symbols".into(), symbols.iter().map(|symbol| Value::from(symbol.as_ref())).collect());
            }
            Shape::Fixed(size) => drop(object.insert("size".into(), (*size).into())),
        }
        if self.normal {
            self.details(&mut object, named);
            self.props(&mut object, &named.props);
        } else {
            if let Shape::Enum { default: Some(default), .. } = &named.shape {
                object.insert("default".into(), default.as_ref().into());
            }
            self.props(&mut object, &named.props);
            aliases(&mut object, named.aliases.iter().map(|alias| self.reference(alias, own_space)));
        }
        Value::Object(object)
    }

    /// What the normal form has after the shape.
    fn details(&self, object: &mut Map<String, Value>, named: &Named) {
        if let Some(doc) = named.doc.as_deref().filter(|doc| !doc.is_empty()) {
            object.insert("doc".into(), doc.into());
        }
        let sorted: BTreeSet<&str> = named.aliases.iter().map(AsRef::as_ref).collect();
        aliases(object, sorted.into_iter());
        if let Shape::Enum { default: Some(default), .. } = &named.shape {
            object.insert("default".into(), default.as_ref().into());
        }
    }

    fn field(&mut self, field: &'a Field, space: Option<&str>) -> Value {
        let mut object = Map::new();
        object.insert("name".into(), field.name.as_ref().into());
        object.insert("type".into(), self.node(&field.node, space));
        let order = |object: &mut Map<String, Value>, default: Option<&str>| {
            if let Some(order) = field.order.as_deref().filter(|order| *order != "ascending").or(default) {
                object.insert("order".into(), order.into());
            }
        };
        let default = |object: &mut Map<String, Value>| {
            if let Some(default) = &field.default {
                object.insert("default".into(), default.clone());
            }
        };
        if self.normal {
            order(&mut object, Some("ASCENDING"));
        }
        if let Some(doc) = &field.doc {
            object.insert("doc".into(), doc.as_str().into());
        }
        if self.normal {
            let sorted: BTreeSet<&str> = field.aliases.iter().map(AsRef::as_ref).collect();
            aliases(&mut object, sorted.into_iter());
            default(&mut object);
        } else {
            default(&mut object);
            order(&mut object, None);
            aliases(&mut object, field.aliases.iter().map(AsRef::as_ref));
        }
        self.props(&mut object, &field.props);
        Value::Object(object)
    }

    fn props(&self, object: &mut Map<String, Value>, props: &Map<String, Value>) {
        let mut props: Vec<_> = props.iter().collect();
        if self.normal {
            props.sort_by_key(|(key, _)| *key);
        }
        object.extend(props.into_iter().map(|(key, value)| (key.clone(), value.clone())));
    }

    /// A name where its type is known: short in its own namespace, unless it could be taken for a primitive.
    fn reference<'n>(&self, name: &'n str, space: Option<&str>) -> &'n str {
        let (own, short) = split(name);
        if !self.normal && own == space && Kind::primitive(short).is_none() { short } else { name }
    }
}

fn aliases<'n>(object: &mut Map<String, Value>, aliases: impl Iterator<Item = &'n str>) {
    let aliases: Vec<Value> = aliases.map(Value::from).collect();
    if !aliases.is_empty() {
        object.insert("aliases".into(), aliases.into());
    }
}
