//! Whether all that one schema allows is allowed by another one, by Confluent's rules for JSON Schema.
//!
//! A schema that says nothing of further properties allows them (an open content model), so that a property may not be added to it: old
//! documents may hold anything under its name. A closed one (`additionalProperties: false`) takes new properties that need not be there, and
//! loses none. One that asks something of further properties is partially open: what comes or goes must be covered by that.
//!
//! Pairs of schemas wait in a queue. Each is taken for compatible until the opposite is found, and then those are looked at again that had
//! relied on it. So pairs may lead back to themselves, and no chain of them is too deep.

mod arrays;
mod combinations;
mod objects;

use std::collections::{HashMap, HashSet, VecDeque};
use std::mem::discriminant;

use super::{Beyond, Id, JsonSchema, Limits, Node, Shape};
use crate::definition::Difference;

/// How often two schemas are looked at in one comparison.
const LOOKS_MAX: usize = 1_000_000;
/// More changes than anybody reads.
const TOLD_MAX: usize = 1000;

/// Keywords that limit: whether more or less is stricter, and what it is called where one is added, or made stricter.
const LIMITS: [(&str, Stricter, &str, &str); 12] = [
    ("minLength", Stricter::More, "MIN_LENGTH_ADDED", "MIN_LENGTH_INCREASED"),
    ("maxLength", Stricter::Less, "MAX_LENGTH_ADDED", "MAX_LENGTH_DECREASED"),
    ("minimum", Stricter::More, "MINIMUM_ADDED", "MINIMUM_INCREASED"),
    ("maximum", Stricter::Less, "MAXIMUM_ADDED", "MAXIMUM_DECREASED"),
    ("exclusiveMinimum", Stricter::More, "EXCLUSIVE_MINIMUM_ADDED", "EXCLUSIVE_MINIMUM_INCREASED"),
    ("exclusiveMaximum", Stricter::Less, "EXCLUSIVE_MAXIMUM_ADDED", "EXCLUSIVE_MAXIMUM_DECREASED"),
    ("minItems", Stricter::More, "MIN_ITEMS_ADDED", "MIN_ITEMS_INCREASED"),
    ("maxItems", Stricter::Less, "MAX_ITEMS_ADDED", "MAX_ITEMS_DECREASED"),
    ("minContains", Stricter::More, "MIN_CONTAINS_ADDED", "MIN_CONTAINS_INCREASED"),
    ("maxContains", Stricter::Less, "MAX_CONTAINS_ADDED", "MAX_CONTAINS_DECREASED"),
    ("minProperties", Stricter::More, "MIN_PROPERTIES_ADDED", "MIN_PROPERTIES_INCREASED"),
    ("maxProperties", Stricter::Less, "MAX_PROPERTIES_ADDED", "MAX_PROPERTIES_DECREASED"),
];

/// Which way a limit is made stricter.
#[derive(Clone, Copy, PartialEq)]
enum Stricter {
    More,
    Less,
}

/// Why `reader` does not take all that `writer` allows; nothing where it does.
pub(crate) fn cannot_read(reader: &JsonSchema, writer: &JsonSchema) -> Vec<Difference> {
    let whole = (Place(0, writer.root()), Place(1, reader.root()));
    let mut comparison = Comparison {
        schemas: [writer, reader],
        known: HashMap::new(),
        fresh: Vec::new(),
        again: VecDeque::new(),
        at: whole,
        looks: LOOKS_MAX,
    };
    comparison.compare(whole).unwrap_or_else(|| {
        let description = format!(
            "The {{reader}} and the {{writer}} schema cannot be compared: their parts would have to be looked at more than {LOOKS_MAX} times"
        );
        vec![Difference { kind: "COMPARISON_TOO_LARGE", description, detail: None }]
    })
}

/// A node of the old schema (0) or of the new one (1). Under `not` the two change places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place(usize, Id);

/// What data were written under, and what reads them.
type Pair = (Place, Place);

/// A change that keeps old data from being read.
#[derive(Clone, Debug)]
struct Change {
    what: What,
    /// Where, from the pair that was compared, without a slash at either end.
    path: String,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Kind(&'static str),
    /// What was found in that pair.
    Inside(Pair),
}

/// Changes between two schemas; none where they are too large to be compared.
type Changes = Option<Vec<Change>>;

struct Comparison<'a> {
    schemas: [&'a JsonSchema; 2],
    known: HashMap<Pair, Known>,
    /// Pairs that were not looked at.
    fresh: Vec<Pair>,
    /// Pairs that relied on one that has turned out to be incompatible. They come after the fresh ones and
    /// in turn, so that they come once for many.
    again: VecDeque<Pair>,
    /// The pair that is being looked at.
    at: Pair,
    looks: usize,
}

/// What is known of a pair.
#[derive(Default)]
struct Known {
    changes: Vec<Change>,
    /// Pairs that take it for compatible.
    relying: Vec<Pair>,
    waits: bool,
}

impl<'a> Comparison<'a> {
    fn compare(&mut self, whole: Pair) -> Option<Vec<Difference>> {
        self.is_compatible(whole.0, whole.1)?;
        while let Some(pair) = self.fresh.pop().or_else(|| self.again.pop_front()) {
            self.at = pair;
            self.known.entry(pair).or_default().waits = false;
            let changes = self.nodes(pair.0, pair.1)?;
            let known = self.known.entry(pair).or_default();
            let relying = if changes.is_empty() { Vec::new() } else { std::mem::take(&mut known.relying) };
            known.changes = changes;
            for pair in relying {
                if !std::mem::replace(&mut self.known.entry(pair).or_default().waits, true) {
                    self.again.push_back(pair);
                }
            }
        }
        Some(self.told(whole))
    }

    /// All changes, each pair's where it is met first.
    fn told(&self, whole: Pair) -> Vec<Difference> {
        let changes = |pair: &Pair| self.known.get(pair).into_iter().flat_map(|known| known.changes.iter().rev());
        let mut met = HashSet::from([whole]);
        let mut open: Vec<(String, &Change)> = changes(&whole).map(|change| (String::new(), change)).collect();
        let mut told = Vec::new();
        while let Some((outer, change)) = open.pop().filter(|_| told.len() < TOLD_MAX) {
            let path = joined(&outer, &change.path);
            match change.what {
                What::Kind(kind) => told.push(difference(kind, &path)),
                What::Inside(pair) if met.insert(pair) => {
                    open.extend(changes(&pair).map(|change| (path.clone(), change)));
                }
                What::Inside(_) => {}
            }
        }
        told
    }

    fn node(&self, place: Place) -> &'a Node {
        let [old, new] = self.schemas;
        if place.0 == 0 { old.node(place.1) } else { new.node(place.1) }
    }

    fn look(&mut self) -> Option<()> {
        self.looks = self.looks.checked_sub(1)?;
        Some(())
    }

    /// Whether a pair is compatible, as far as it is known.
    fn is_compatible(&mut self, old: Place, new: Place) -> Option<bool> {
        self.look()?;
        let pair = (old, new);
        let known = self.known.entry(pair).or_insert_with(|| {
            self.fresh.push(pair);
            Known { waits: true, ..Known::default() }
        });
        let compatible = known.changes.is_empty();
        if compatible {
            known.relying.push(self.at);
        }
        Some(compatible)
    }

    fn schemas(&mut self, old: Place, new: Place) -> Changes {
        let changed = !self.is_compatible(old, new)?;
        Some(changed.then(|| Change { what: What::Inside((old, new)), path: String::new() }).into_iter().collect())
    }

    fn nodes(&mut self, old: Place, new: Place) -> Changes {
        let (before, after) = (self.node(old), self.node(new));
        if self.joins_or_leaves_a_combination(old, new)? {
            return Some(Vec::new());
        }
        let mut changes = Vec::new();
        match (&before.shape, &after.shape) {
            (Shape::String { limits, pattern }, Shape::String { limits: new_limits, pattern: new_pattern }) => {
                compare_limits(limits, new_limits, &mut changes);
                match (pattern, new_pattern) {
                    (None, Some(_)) => changes.push(Change::at("pattern", "PATTERN_ADDED")),
                    (Some(was), Some(is)) if was != is => changes.push(Change::at("pattern", "PATTERN_CHANGED")),
                    _ => {}
                }
            }
            (
                Shape::Number { limits, multiple_of, integer },
                Shape::Number { limits: new_limits, multiple_of: new_multiple, integer: new_integer },
            ) => {
                compare_limits(limits, new_limits, &mut changes);
                changes.extend(compare_multiples(*multiple_of, *new_multiple));
                if *new_integer && !integer {
                    changes.push(Change::here("TYPE_NARROWED"));
                }
            }
            (Shape::Const(was), Shape::Const(is)) if was != is => {
                changes.push(Change::at("const", "ENUM_ARRAY_CHANGED"))
            }
            (Shape::Enum(was), Shape::Enum(is)) if !was.iter().all(|value| is.contains(value)) => {
                let narrowed = is.iter().all(|value| was.contains(value));
                changes.push(Change::at("enum", if narrowed { "ENUM_ARRAY_NARROWED" } else { "ENUM_ARRAY_CHANGED" }));
            }
            (Shape::Not(was), Shape::Not(is)) => {
                // What must not match: the two change places.
                if !self.is_compatible(Place(new.0, *is), Place(old.0, *was))? {
                    changes.push(Change::at("not", "NOT_TYPE_EXTENDED"));
                }
            }
            (Shape::Array(was), Shape::Array(is)) => return self.arrays((old, was.as_ref()), (new, is.as_ref())),
            (Shape::Object(was), Shape::Object(is)) => return self.objects((old, was.as_ref()), (new, is.as_ref())),
            (Shape::Combined(was, branches), Shape::Combined(is, new_branches)) => {
                return self.combinations((old, *was, branches.as_slice()), (new, *is, new_branches.as_slice()));
            }
            (was, is) if discriminant(was) == discriminant(is) => {}
            (Shape::Nothing, _) | (_, Shape::Anything) => {}
            // A decimal may be a text or a number, by how its converter is configured.
            _ if [before, after].into_iter().all(|node| node.prop("connect.type") == Some("bytes")) => {}
            _ => changes.push(Change::here("TYPE_CHANGED")),
        }
        Some(changes)
    }

    /// Compares what is named on one side with what covers it on the other; `uncovered` is what it is called where that will not do.
    fn covered(&mut self, old: Place, new: Place, uncovered: &'static str) -> Changes {
        let mut changes = self.schemas(old, new)?;
        if !changes.is_empty() {
            changes.push(Change::here(uncovered));
        }
        Some(changes)
    }

    /// What may stand beyond what is named: `word` is the keyword, `kinds` what its loss and its restriction are called.
    fn beyond(
        &mut self,
        (old, before): (Place, Beyond),
        (new, after): (Place, Beyond),
        word: &str,
        [removed, narrowed]: [&'static str; 2],
    ) -> Changes {
        match (before, after) {
            (Beyond::Nothing, _) | (Beyond::Anything | Beyond::Of(_), Beyond::Anything) => Some(Vec::new()),
            (_, Beyond::Nothing) => Some(vec![Change::at(word, removed)]),
            (Beyond::Anything, Beyond::Of(_)) => Some(vec![Change::at(word, narrowed)]),
            (Beyond::Of(was), Beyond::Of(is)) => Some(under(word, self.schemas(Place(old.0, was), Place(new.0, is))?)),
        }
    }

    /// What a schema for what nothing else has looked at allows.
    fn unevaluated(&self, place: Place, schema: Option<Id>) -> Beyond {
        match schema.map(|id| (id, &self.node(Place(place.0, id)).shape)) {
            None | Some((_, Shape::Anything)) => Beyond::Anything,
            Some((_, Shape::Nothing)) => Beyond::Nothing,
            Some((id, _)) => Beyond::Of(id),
        }
    }
}

fn compare_limits(old: &Limits, new: &Limits, changes: &mut Vec<Change>) {
    for (keyword, stricter, added, tightened) in LIMITS {
        let Some(is) = new.get(keyword) else { continue };
        match old.get(keyword) {
            None => changes.push(Change::at(keyword, added)),
            Some(was) if is != was && (is > was) == (stricter == Stricter::More) => {
                changes.push(Change::at(keyword, tightened));
            }
            Some(_) => {}
        }
    }
}

fn compare_multiples(old: Option<f64>, new: Option<f64>) -> Option<Change> {
    let divides = |divisor: f64, number: f64| {
        let times = number / divisor;
        divisor != 0.0 && (times - times.round()).abs() < 1e-9
    };
    let kind = match (old, new?) {
        (None, _) => "MULTIPLE_OF_ADDED",
        (Some(was), is) if divides(is, was) => return None,
        (Some(was), is) if divides(was, is) => "MULTIPLE_OF_EXPANDED",
        _ => "MULTIPLE_OF_CHANGED",
    };
    Some(Change::at("multipleOf", kind))
}

/// Changes as they are seen from further out.
fn under(path: &str, changes: Vec<Change>) -> Vec<Change> {
    changes.into_iter().map(|change| Change { path: joined(path, &change.path), ..change }).collect()
}

fn joined(outer: &str, inner: &str) -> String {
    let between = if outer.is_empty() || inner.is_empty() { "" } else { "/" };
    format!("{outer}{between}{inner}")
}

impl Change {
    fn here(kind: &'static str) -> Self {
        Self::at("", kind)
    }

    fn at(path: &str, kind: &'static str) -> Self {
        Self { what: What::Kind(kind), path: path.to_owned() }
    }
}

/// What the registry's clients are told of a change.
fn difference(kind: &'static str, path: &str) -> Difference {
    let path = format!("'#/{path}'");
    let ends = |ends: &[&str]| ends.iter().any(|end| kind.ends_with(end));
    let description = match kind {
        "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL" | "ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL" => format!(
            "The {{reader}} schema has a closed content model and lacks the property or item at path {path} of the {{writer}} schema"
        ),
        "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL" => format!(
            "The {{reader}} schema requires the property at path {path}, which the {{writer}} schema does not have"
        ),
        _ if ends(&["NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"]) => format!(
            "The property or item at path {path} is in one of the {{reader}} and the {{writer}} schema only, and the partially open content \
             model of the other one does not cover it"
        ),
        _ if ends(&["_TO_OPEN_CONTENT_MODEL"]) => format!(
            "The {{writer}} schema has an open content model, in which the property or item at path {path} of the {{reader}} schema may \
             have been anything"
        ),
        _ if ends(&["_ADDED", "_REMOVED"]) => {
            format!("What the {{reader}} schema asks for at path {path} the {{writer}} schema does not ask for")
        }
        _ if ends(&["_INCREASED", "_EXPANDED"]) => {
            format!("The value at path {path} is more in the {{reader}} schema than in the {{writer}} schema")
        }
        _ if ends(&["_DECREASED"]) => {
            format!("The value at path {path} is less in the {{reader}} schema than in the {{writer}} schema")
        }
        _ if ends(&["_NARROWED"]) => {
            format!("The {{reader}} schema allows less at path {path} than the {{writer}} schema")
        }
        _ if ends(&["_EXTENDED"]) => {
            format!("The {{reader}} schema asks for more at path {path} than the {{writer}} schema")
        }
        _ => format!("The {{reader}} schema differs at path {path} from the {{writer}} schema"),
    };
    Difference { kind, description, detail: None }
}
