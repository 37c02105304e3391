//! Where references lead: to documents by the names under which they are referred to, to schemas with an `$id` of their own, to anchors,
//! and into all of them by JSON pointers.

use std::collections::HashMap;
use std::ptr;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use url::Url;

/// What URIs are relative to where no `$id` says it.
const BASE: &str = "mem://input/";
/// Keywords whose values are schemas.
const SCHEMAS: [&str; 11] = [
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "items",
    "not",
    "if",
    "then",
    "else",
];
/// Keywords whose values are lists of schemas.
const LISTS: [&str; 5] = ["allOf", "anyOf", "oneOf", "prefixItems", "items"];
/// Keywords whose values are schemas by name.
const MAPS: [&str; 6] = ["properties", "patternProperties", "definitions", "$defs", "dependencies", "dependentSchemas"];

/// A schema as it is written, with what holds for it there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) schema: &'a Value,
    /// Whether its document names a draft after 7.
    pub(super) modern: bool,
    base: usize,
}

/// All places that can be referred to.
pub(super) struct Places<'a> {
    bases: Vec<Base<'a>>,
    /// By URIs without fragments, and with an anchor for one.
    by_uri: HashMap<String, Place<'a>>,
    /// By the addresses of schemas.
    base_of: HashMap<*const Value, usize>,
}

/// A document, or a schema in it with a URI of its own.
struct Base<'a> {
    uri: Url,
    schema: &'a Value,
    document: &'a Value,
    modern: bool,
}

impl<'a> Places<'a> {
    /// The places of a document, which comes first in the answer, and of those that it refers to by name.
    pub(super) fn new(root: &'a Value, others: impl Iterator<Item = (&'a str, &'a Value)>) -> (Place<'a>, Self) {
        let mut places = Self { bases: Vec::new(), by_uri: HashMap::new(), base_of: HashMap::new() };
        let default: Url = BASE.parse().expect("it is a URI");
        let own = own_uri(root).and_then(|id| default.join(id).ok()).unwrap_or_else(|| default.clone());
        let first = places.document(root, own.clone());
        for (name, document) in others {
            // A name is relative to the document that refers by it, like the reference itself.
            let uri = [&own, &default].into_iter().find_map(|base| base.join(name).ok());
            let place = places.document(document, uri.unwrap_or_else(|| default.clone()));
            places.by_uri.entry(name.to_owned()).or_insert(place);
        }
        (first, places)
    }

    fn document(&mut self, document: &'a Value, uri: Url) -> Place<'a> {
        let modern = document.get("$schema").and_then(Value::as_str).is_some_and(|draft| {
            ["json-schema.org/draft/2019-09/", "json-schema.org/draft/2020-12/"].iter().any(|new| draft.contains(new))
        });
        let base = self.base(Base { uri, schema: document, document, modern });
        self.visit(document, base);
        self.place(document, base)
    }

    fn base(&mut self, base: Base<'a>) -> usize {
        let place = Place { schema: base.schema, modern: base.modern, base: self.bases.len() };
        self.by_uri.entry(without_fragment(&base.uri)).or_insert(place);
        self.bases.push(base);
        place.base
    }

    /// Notes a schema and those inside of it. Their depth is that of the text, which its reader has bounded.
    fn visit(&mut self, schema: &'a Value, outer: usize) {
        let Value::Object(object) = schema else { return };
        let mut base = outer;
        if let (Some(id), Some(known)) = (own_uri(schema), self.bases.get(outer))
            && let Ok(uri) = known.uri.join(id)
            && !id.starts_with('#')
        {
            base = self.base(Base { uri, schema, document: known.document, modern: known.modern });
        }
        self.base_of.insert(ptr::from_ref(schema), base);
        let anchors = ["$anchor", "$dynamicAnchor"].into_iter().filter_map(|key| object.get(key)?.as_str());
        let old_anchor = own_uri(schema).and_then(|id| id.strip_prefix('#'));
        for anchor in anchors.chain(old_anchor) {
            if let Some(known) = self.bases.get(base) {
                let uri = format!("{}#{anchor}", without_fragment(&known.uri));
                let place = self.place(schema, base);
                self.by_uri.entry(uri).or_insert(place);
            }
        }
        inner(object).for_each(|schema| self.visit(schema, base));
    }

    fn place(&self, schema: &'a Value, base: usize) -> Place<'a> {
        Place { schema, modern: self.bases.get(base).is_some_and(|base| base.modern), base }
    }

    /// A schema inside of another one.
    pub(super) fn inside(&self, outer: Place<'a>, schema: &'a Value) -> Place<'a> {
        let base = self.base_of.get(&ptr::from_ref(schema)).copied().unwrap_or(outer.base);
        self.place(schema, base)
    }

    /// What a reference leads to from a place.
    pub(super) fn find(&self, from: Place<'a>, reference: &str) -> Option<Place<'a>> {
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let base = self.bases.get(from.base)?;
        let absolute = base.uri.join(uri).map(|uri| without_fragment(&uri));
        let resource = match (uri, &absolute) {
            ("", _) => self.place(base.schema, from.base),
            (_, Ok(absolute)) if self.by_uri.contains_key(absolute) => *self.by_uri.get(absolute)?,
            _ => *self.by_uri.get(uri)?,
        };
        let fragment = percent_decode_str(fragment).decode_utf8().ok()?;
        if fragment.is_empty() {
            return Some(resource);
        }
        let base = self.bases.get(resource.base)?;
        if !fragment.starts_with('/') {
            return self.by_uri.get(&format!("{}#{fragment}", without_fragment(&base.uri))).copied();
        }
        // What drafts up to 7 call definitions is found as $defs, too.
        let older = fragment.strip_prefix("/$defs/").map(|rest| format!("/definitions/{rest}"));
        let pointers = [Some(fragment.as_ref()), older.as_deref()].into_iter().flatten();
        let found = pointers.flat_map(|pointer| [base.schema.pointer(pointer), base.document.pointer(pointer)]);
        found.flatten().next().map(|schema| self.inside(resource, schema))
    }
}

/// The schemas directly inside of one.
fn inner(object: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    object.iter().flat_map(|(key, value)| {
        let key = key.as_str();
        let one = SCHEMAS.contains(&key).then_some(value);
        let list = value.as_array().filter(|_| LISTS.contains(&key)).into_iter().flatten();
        let by_name = value.as_object().filter(|_| MAPS.contains(&key)).into_iter().flat_map(Map::values);
        one.into_iter().chain(list).chain(by_name)
    })
}

/// What a schema calls itself; draft 4 has another word for it.
fn own_uri(schema: &Value) -> Option<&str> {
    schema.get("$id").or_else(|| schema.get("id")).and_then(Value::as_str)
}

fn without_fragment(uri: &Url) -> String {
    let mut uri = uri.clone();
    uri.set_fragment(None);
    uri.into()
}
