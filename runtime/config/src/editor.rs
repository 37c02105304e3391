//! A JSON Schema of pipeline files, with which editors complete keys, show what they mean and mark wrong values.
//!
//! A key may be written with its dots or nested, at any dot, so it stands at each place where it may begin. What is said here is for
//! editors: it leaves out what depends on other keys, and lets through what `check` refuses.
//! The dialect is JSON Schema's 2020-12 (<https://json-schema.org/draft/2020-12>).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use towpath_model::{ConfigKey, ConnectorKind, Spec, ValueType};

use crate::check::{framework_keys, own_keys};

/// The schema of a pipeline file for these plugins.
pub fn editor_schema(specs: &[&Spec]) -> Value {
    let connectors = specs.iter().filter(|spec| spec.kind != ConnectorKind::Transform);
    let names: Vec<&str> = connectors.clone().map(|spec| spec.name.as_str()).collect();
    let cases = connectors.clone().map(|spec| {
        let class = json!({ "properties": { "connector.class": { "pattern": format!("^{}(@.*)?$", regex::escape(&spec.name)) } } });
        json!({ "if": class, "then": { "$ref": format!("#/$defs/{}", spec.name) } })
    });
    let definitions = connectors.clone().map(|spec| (spec.name.clone(), connector(spec)));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A Towpath pipeline",
        "description": "One connector of a YAML file; several are parted by lines of three dashes.",
        "type": "object",
        "properties": {
            "name": { "type": "string", "description": "The connector's name; the file's when it is missing." },
            "connector.class": {
                "description": "The plugin, as `name` or `name@version`; a Java class name of Connect's is understood, too.",
                "anyOf": [{ "enum": names }, { "type": "string" }],
            },
        },
        "allOf": cases.collect::<Vec<_>>(),
        "$defs": definitions.collect::<Map<_, _>>(),
    })
}

fn connector(spec: &Spec) -> Value {
    let mut root = Node::default();
    let keys = framework_keys(spec.kind).into_iter().chain(own_keys(spec.kind)).chain(spec.keys.iter().cloned());
    // `name` and the class have been said.
    for key in keys.filter(|key| key.name != "name" && key.name != "connector.class") {
        for name in key.aliases.iter().chain([&key.name]) {
            root.insert(name, value(&key));
        }
    }
    root.object(Some(&spec.doc))
}

/// Keys by the words between their dots.
#[derive(Default)]
struct Node {
    value: Option<Value>,
    below: BTreeMap<String, Node>,
}

impl Node {
    fn insert(&mut self, name: &str, value: Value) {
        match name.split_once('.') {
            Some((word, rest)) => self.below.entry(word.to_owned()).or_default().insert(rest, value),
            None => self.below.entry(name.to_owned()).or_default().value = Some(value),
        }
    }

    /// An object with what lies below, however it is written.
    fn object(&self, doc: Option<&str>) -> Value {
        let mut properties = Map::new();
        for (word, node) in &self.below {
            let nested = (!node.below.is_empty()).then(|| node.object(None));
            let here = match (&node.value, nested) {
                (Some(value), Some(nested)) => Some(json!({ "anyOf": [value, nested] })),
                (Some(value), None) => Some(value.clone()),
                (None, nested) => nested,
            };
            properties.extend(here.map(|here| (word.clone(), here)));
            for (rest, value) in node.leaves() {
                properties.insert(format!("{word}.{rest}"), value.clone());
            }
        }
        let mut object = json!({ "type": "object", "properties": properties });
        if let (Some(doc), Some(fields)) = (doc, object.as_object_mut()) {
            fields.insert("description".to_owned(), doc.into());
        }
        object
    }

    /// What lies below, by dotted names.
    fn leaves(&self) -> Vec<(String, &Value)> {
        let mut leaves = Vec::new();
        for (word, node) in &self.below {
            leaves.extend(node.value.as_ref().map(|value| (word.clone(), value)));
            leaves.extend(node.leaves().into_iter().map(|(rest, value)| (format!("{word}.{rest}"), value)));
        }
        leaves
    }
}

/// What the value of a key may be. A reference such as `${env:NAME}` stands for any.
fn value(key: &ConfigKey) -> Value {
    let reference = json!({ "type": "string", "pattern": r"\$\{" });
    let number = json!({ "type": "string", "pattern": r"^\s*-?[0-9.]+([eE][-+]?[0-9]+)?\s*$" });
    let mut kinds = match key.value_type {
        _ if !key.valid_values.is_empty() => vec![json!({ "enum": key.valid_values }), reference],
        ValueType::Boolean => vec![json!({ "type": "boolean" }), json!({ "enum": ["true", "false"] }), reference],
        ValueType::Int | ValueType::Short | ValueType::Long => vec![json!({ "type": "integer" }), number, reference],
        ValueType::Double => vec![json!({ "type": "number" }), number, reference],
        ValueType::List => vec![json!({ "type": "array" }), json!({ "type": ["string", "number"] })],
        _ => vec![json!({ "type": ["string", "number", "boolean"] })],
    };
    let mut schema = Map::from_iter([("description".to_owned(), Value::from(key.doc.as_str()))]);
    if let Some(default) = key.default.as_ref().filter(|default| !default.is_empty() && !key.secret) {
        schema.insert("default".to_owned(), default.as_str().into());
    }
    if kinds.len() == 1
        && let Some(Value::Object(kind)) = kinds.pop()
    {
        schema.extend(kind);
    } else {
        schema.insert("anyOf".to_owned(), kinds.into());
    }
    Value::Object(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_wherever_it_may_begin() {
        let mut root = Node::default();
        for name in ["topics", "topics.regex", "database.ssl.mode"] {
            root.insert(name, json!(name));
        }
        let object = root.object(None);
        let at = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        assert_eq!(at("/properties/topics.regex"), Some("topics.regex"));
        assert_eq!(at("/properties/topics/anyOf/0"), Some("topics"));
        assert_eq!(at("/properties/topics/anyOf/1/properties/regex"), Some("topics.regex"));
        assert_eq!(at("/properties/database.ssl.mode"), Some("database.ssl.mode"));
        assert_eq!(at("/properties/database/properties/ssl.mode"), Some("database.ssl.mode"));
        assert_eq!(at("/properties/database/properties/ssl/properties/mode"), Some("database.ssl.mode"));
    }

    #[test]
    fn a_secret_shows_no_default_and_allowed_values_are_listed() {
        let keys = framework_keys(ConnectorKind::Sink);
        let tolerance = keys.iter().find(|key| key.name == "errors.tolerance").expect("known");
        let schema = value(tolerance);
        assert_eq!(schema["anyOf"][0]["enum"], json!(["none", "all"]));
        assert_eq!(schema["default"], "none");
        let secret = value(&ConfigKey { secret: true, ..tolerance.clone() });
        assert_eq!(secret.get("default"), None);
    }
}
