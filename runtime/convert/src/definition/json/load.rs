//! Reading a text into nodes. Schemas wait in a queue and do not nest on the stack, so that no chain of references is too long.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ptr;
use std::sync::Arc;

use serde_json::Value;

use super::keywords::Keywords;
use super::places::{Place, Places};
use super::{Array, Beyond, Criterion, Id, JsonSchema, Limits, Node, Object, Shape};
use crate::definition::{Invalid, Referenced};

const TYPES: [&str; 7] = ["null", "boolean", "string", "integer", "number", "array", "object"];
const COMBINATIONS: [(&str, Criterion); 3] =
    [("allOf", Criterion::All), ("anyOf", Criterion::Any), ("oneOf", Criterion::One)];
/// Keywords by which a schema refers to another one; those of newer drafts stand beside others.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
const LENGTHS: [&str; 2] = ["minLength", "maxLength"];
const SIZES: [&str; 2] = ["minItems", "maxItems"];
const CONTAINED: [&str; 2] = ["minContains", "maxContains"];
const COUNTS: [&str; 2] = ["minProperties", "maxProperties"];

/// Keywords that speak of one type, and so make a schema one of that type where it names none.
const OF_TYPE: [(&str, &[&str]); 4] = [
    (
        "array",
        &[
            "items",
            "prefixItems",
            "additionalItems",
            "unevaluatedItems",
            "minItems",
            "maxItems",
            "uniqueItems",
            "contains",
            "minContains",
            "maxContains",
        ],
    ),
    (
        "object",
        &[
            "properties",
            "required",
            "patternProperties",
            "propertyNames",
            "additionalProperties",
            "unevaluatedProperties",
            "dependencies",
            "dependentRequired",
            "dependentSchemas",
            "minProperties",
            "maxProperties",
        ],
    ),
    ("number", &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
    ("string", &["minLength", "maxLength", "pattern", "format"]),
];

type Result<T> = std::result::Result<T, Invalid>;

/// Reads a text under those that it refers to.
pub(super) fn load(text: &str, referenced: &[Referenced]) -> Result<JsonSchema> {
    let root = read(text)?;
    let others: Vec<Value> = referenced
        .iter()
        .map(|other| read(&other.text).map_err(|error| Invalid::new(format!("reference {}: {error}", other.name))))
        .collect::<Result<_>>()?;
    let names = referenced.iter().map(|other| other.name.as_str());
    let (first, places) = Places::new(&root, names.zip(&others));
    let mut loader = Loader { places, ids: HashMap::new(), nodes: Vec::new(), waiting: VecDeque::new() };
    let id = loader.schema(first, "#")?;
    while let Some(waiting) = loader.waiting.pop_front() {
        let node = loader.node(waiting.place, &waiting.path)?;
        loader.set(waiting.id, node);
    }
    let nodes = loader.nodes;
    Ok(JsonSchema { text: root, nodes, root: id })
}

fn read(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| Invalid::new(format!("not JSON: {error}")))
}

struct Loader<'a> {
    places: Places<'a>,
    /// The nodes of schemas, by their addresses.
    ids: HashMap<*const Value, Id>,
    nodes: Vec<Node>,
    waiting: VecDeque<Waiting<'a>>,
}

/// A schema whose node has a place and is not read yet.
struct Waiting<'a> {
    place: Place<'a>,
    id: Id,
    path: String,
}

impl<'a> Loader<'a> {
    fn add(&mut self, node: Node) -> Id {
        self.nodes.push(node);
        Id(self.nodes.len() - 1)
    }

    fn set(&mut self, id: Id, node: Node) {
        *self.nodes.get_mut(id.0).expect("it was given by add") = node;
    }

    /// The node of a schema, or of the one that it stands for.
    fn schema(&mut self, place: Place<'a>, path: &str) -> Result<Id> {
        let place = self.followed(place, path)?;
        let address = ptr::from_ref(place.schema);
        if let Some(known) = self.ids.get(&address) {
            return Ok(*known);
        }
        let id = self.add(Node::default());
        self.ids.insert(address, id);
        self.waiting.push_back(Waiting { place, id, path: path.to_owned() });
        Ok(id)
    }

    /// Follows references that are all there is to their schema, as they always are in drafts up to 7, to their end.
    fn followed(&self, mut place: Place<'a>, path: &str) -> Result<Place<'a>> {
        let mut seen = HashSet::new();
        while let Value::Object(object) = place.schema
            && let Some(Value::String(reference)) = object.get("$ref").filter(|_| !place.modern || object.len() == 1)
        {
            if !seen.insert(ptr::from_ref(place.schema)) {
                return Err(Invalid::new(format!("{path}/$ref: {reference} leads back to itself")));
            }
            place = self.find(place, reference, &format!("{path}/$ref"))?;
        }
        Ok(place)
    }

    fn find(&self, from: Place<'a>, reference: &str, path: &str) -> Result<Place<'a>> {
        self.places.find(from, reference).ok_or_else(|| {
            Invalid::new(format!(
                "{path}: {reference} leads nowhere. A schema outside of this one must be among its references, under the name it has here."
            ))
        })
    }

    fn node(&mut self, place: Place<'a>, path: &str) -> Result<Node> {
        let object = match place.schema {
            Value::Bool(true) => return Ok(Node::default()),
            Value::Bool(false) => return Ok(Node { shape: Shape::Nothing, ..Node::default() }),
            Value::Object(object) => object,
            _ => return Err(Invalid::new(format!("{path}: a schema is an object, true or false"))),
        };
        let keywords = Keywords { object, path };
        let mut parts = self.parts(place, keywords)?;
        let shape = match (parts.pop(), parts.is_empty()) {
            (None, _) => Shape::Anything,
            (Some(Part::Shape(only)), true) => only,
            (Some(last), _) => {
                parts.push(last);
                let branches = parts.into_iter().map(|part| match part {
                    Part::Node(id) => id,
                    Part::Shape(shape) => self.add(Node { shape, ..Node::default() }),
                });
                Shape::Combined(Criterion::All, branches.collect())
            }
        };
        let props =
            object.iter().filter(|(key, _)| key.starts_with("connect.") || *key == "title" || *key == "description");
        let props = props.map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(Node { shape, default: object.get("default").cloned(), props })
    }

    /// What a schema asks for, by kinds.
    fn parts(&mut self, place: Place<'a>, keywords: Keywords<'a, '_>) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        for key in REFERENCES.into_iter().filter(|_| place.modern) {
            if let Some(reference) = keywords.text(key)? {
                let place = self.find(place, reference, &keywords.at(key))?;
                parts.push(Part::Node(self.schema(place, &keywords.at(key))?));
            }
        }
        if let Some(values) = keywords.list("enum")? {
            parts.push(Part::Shape(Shape::Enum(values.clone())));
        }
        for (key, criterion) in COMBINATIONS {
            if let Some(branches) = keywords.list(key)? {
                let mut texts = HashSet::new();
                let different = branches.iter().enumerate().filter(|(_, branch)| texts.insert(branch.to_string()));
                let ids = different.map(|(index, branch)| {
                    self.schema(self.places.inside(place, branch), &format!("{}/{index}", keywords.at(key)))
                });
                parts.push(Part::Shape(Shape::Combined(criterion, ids.collect::<Result<_>>()?)));
            }
        }
        if let Some(inner) = self.inner(place, keywords, "not")? {
            parts.push(Part::Shape(Shape::Not(inner)));
        }
        if let Some(value) = keywords.object.get("const") {
            parts.push(Part::Shape(Shape::Const(value.clone())));
        }
        let types = types(keywords)?;
        if let [only] = types.as_slice() {
            parts.push(Part::Shape(self.typed(only, place, keywords)?));
        } else if !types.is_empty() {
            let branches = types.iter().map(|kind| -> Result<Id> {
                let shape = self.typed(kind, place, keywords)?;
                Ok(self.add(Node { shape, ..Node::default() }))
            });
            parts.push(Part::Shape(Shape::Combined(Criterion::Any, branches.collect::<Result<_>>()?)));
        }
        for (kind, of_type) in OF_TYPE {
            let named = types.contains(&kind) || (kind == "number" && types.contains(&"integer"));
            // A format says something of a text where nothing else is said; elsewhere of whatever has it.
            let only_format =
                kind == "string" && !types.is_empty() && !keywords.has(&["pattern", LENGTHS[0], LENGTHS[1]]);
            if !named && !only_format && keywords.has(of_type) {
                parts.push(Part::Shape(self.typed(kind, place, keywords)?));
            }
        }
        let conditions = ["if", "then", "else"];
        if keywords.has(&conditions) {
            for key in conditions {
                self.inner(place, keywords, key)?;
            }
            parts.push(Part::Shape(Shape::Conditional));
        }
        Ok(parts)
    }

    fn typed(&mut self, kind: &str, place: Place<'a>, keywords: Keywords<'a, '_>) -> Result<Shape> {
        Ok(match kind {
            "null" => Shape::Null,
            "boolean" => Shape::Boolean,
            "string" => {
                let pattern = keywords.text("pattern")?;
                if let Some(pattern) = pattern {
                    Keywords::pattern(pattern, &keywords.at("pattern"))?;
                }
                Shape::String { limits: counts(keywords, &LENGTHS)?, pattern: pattern.map(str::to_owned) }
            }
            "integer" | "number" => Shape::Number {
                integer: kind == "integer",
                limits: bounds(keywords)?,
                multiple_of: keywords.number("multipleOf")?,
            },
            "array" => Shape::Array(Box::new(self.array(place, keywords)?)),
            _ => Shape::Object(Box::new(self.object(place, keywords)?)),
        })
    }

    fn array(&mut self, place: Place<'a>, keywords: Keywords<'a, '_>) -> Result<Array> {
        self.inner(place, keywords, "contains")?;
        let mut limits = counts(keywords, &SIZES)?;
        if place.modern && keywords.has(&["contains"]) {
            limits.extend(counts(keywords, &CONTAINED)?);
        }
        let mut array = Array {
            limits,
            unique: keywords.boolean("uniqueItems")?.unwrap_or_default(),
            every: None,
            first: Vec::new(),
            beyond: Beyond::Anything,
            unevaluated: None,
        };
        let listed = matches!(keywords.object.get("items"), Some(Value::Array(_)));
        let tuple = if listed { "items" } else { "prefixItems" };
        for (index, schema) in
            keywords.list(tuple)?.filter(|_| listed || place.modern).into_iter().flatten().enumerate()
        {
            let schema = self.places.inside(place, schema);
            array.first.push(self.schema(schema, &format!("{}/{index}", keywords.at(tuple)))?);
        }
        match (listed, place.modern) {
            (false, true) => match self.beyond(place, keywords, "items")? {
                Beyond::Of(id) if array.first.is_empty() => array.every = Some(id),
                beyond => array.beyond = beyond,
            },
            (false, false) => {
                array.every = self.inner(place, keywords, "items")?;
                array.beyond = self.beyond(place, keywords, "additionalItems")?;
            }
            (true, _) => array.beyond = self.beyond(place, keywords, "additionalItems")?,
        }
        if place.modern {
            array.unevaluated = self.inner(place, keywords, "unevaluatedItems")?;
        }
        Ok(array)
    }

    fn object(&mut self, place: Place<'a>, keywords: Keywords<'a, '_>) -> Result<Object> {
        self.inner(place, keywords, "propertyNames")?;
        let mut object = Object {
            limits: counts(keywords, &COUNTS)?,
            properties: self.by_name(place, keywords, "properties")?.into_iter().collect(),
            required: keywords.texts("required")?.into_iter().map(Arc::from).collect(),
            patterns: Vec::new(),
            beyond: self.beyond(place, keywords, "additionalProperties")?,
            unevaluated: None,
            needs: BTreeMap::new(),
            demands: BTreeMap::new(),
        };
        for (pattern, id) in self.by_name(place, keywords, "patternProperties")? {
            let at = format!("{}/{pattern}", keywords.at("patternProperties"));
            object.patterns.push((Keywords::pattern(&pattern, &at)?, id));
        }
        if place.modern {
            object.unevaluated = self.inner(place, keywords, "unevaluatedProperties")?;
            object.demands.extend(self.by_name(place, keywords, "dependentSchemas")?);
        }
        for key in ["dependencies", "dependentRequired"].into_iter().take(if place.modern { 2 } else { 1 }) {
            let Some(dependencies) = keywords.map(key)? else { continue };
            let path = keywords.at(key);
            let inside = Keywords { object: dependencies, path: &path };
            for (name, needed) in dependencies {
                if needed.is_array() {
                    let needed = inside.texts(name)?.into_iter().map(Arc::from);
                    object.needs.insert(name.as_str().into(), needed.collect());
                } else {
                    let id = self.schema(self.places.inside(place, needed), &inside.at(name))?;
                    object.demands.insert(name.as_str().into(), id);
                }
            }
        }
        Ok(object)
    }

    /// The schema under a keyword.
    fn inner(&mut self, place: Place<'a>, keywords: Keywords<'a, '_>, key: &str) -> Result<Option<Id>> {
        let schema = keywords.object.get(key);
        schema.map(|schema| self.schema(self.places.inside(place, schema), &keywords.at(key))).transpose()
    }

    /// What a keyword allows beyond what is named.
    fn beyond(&mut self, place: Place<'a>, keywords: Keywords<'a, '_>, key: &str) -> Result<Beyond> {
        Ok(match keywords.object.get(key) {
            None | Some(Value::Bool(true)) => Beyond::Anything,
            Some(Value::Bool(false)) => Beyond::Nothing,
            Some(_) => self.inner(place, keywords, key)?.map_or(Beyond::Anything, Beyond::Of),
        })
    }

    fn by_name(&mut self, place: Place<'a>, keywords: Keywords<'a, '_>, key: &str) -> Result<Vec<(Arc<str>, Id)>> {
        let schemas = keywords.map(key)?.into_iter().flatten();
        let named = schemas.map(|(name, schema)| {
            let id = self.schema(self.places.inside(place, schema), &format!("{}/{name}", keywords.at(key)))?;
            Ok((Arc::from(name.as_str()), id))
        });
        named.collect()
    }
}

/// One of the things that a schema asks for.
enum Part {
    Shape(Shape),
    /// A schema that is referred to.
    Node(Id),
}

fn types<'a>(keywords: Keywords<'a, '_>) -> Result<Vec<&'a str>> {
    let types = match keywords.object.get("type") {
        Some(Value::String(only)) => vec![only.as_str()],
        _ => keywords.texts("type")?,
    };
    match types.iter().find(|kind| !TYPES.contains(kind)) {
        Some(unknown) => {
            Err(keywords.wrong("type", &format!("no type is named {unknown:?}; there are {}", TYPES.join(", "))))
        }
        None => Ok(types),
    }
}

fn counts(keywords: Keywords<'_, '_>, keys: &[&'static str]) -> Result<Limits> {
    let counts = keys.iter().filter_map(|key| keywords.count(key).map(|count| Some((*key, count?))).transpose());
    counts.collect()
}

/// The bounds of a number. In draft 4 a bound is made exclusive by a word of its own.
fn bounds(keywords: Keywords<'_, '_>) -> Result<Limits> {
    let mut limits = Limits::new();
    for (key, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        let bound = keywords.number(key)?;
        let (bound, limit) = match keywords.object.get(exclusive) {
            Some(Value::Bool(true)) => (None, bound),
            Some(Value::Bool(false)) => (bound, None),
            _ => (bound, keywords.number(exclusive)?),
        };
        limits.extend(bound.map(|bound| (key, bound)));
        limits.extend(limit.map(|limit| (exclusive, limit)));
    }
    Ok(limits)
}
