//! Random schemas in Avro, and changes of them: fields, defaults, aliases, promotions, branches of unions, symbols, sizes, names.

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::edit::{entries, list, somewhere};
use crate::schema::pick;

const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
const LOGICAL: [(&str, &str); 6] = [
    ("int", "date"),
    ("int", "time-millis"),
    ("long", "timestamp-millis"),
    ("long", "timestamp-micros"),
    ("string", "uuid"),
    ("bytes", "decimal"),
];
const FIELDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const SYMBOLS: [&str; 5] = ["A", "B", "C", "D", "E"];

/// A schema, or another one made of it.
pub(super) fn text(random: &mut StdRng, earlier: Option<&str>) -> String {
    let Some(earlier) = earlier.and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        let mut names = Names::default();
        return if random.random_bool(0.8) { names.record(random, 3) } else { names.node(random, 2) }.to_string();
    };
    let mut schema = earlier;
    for _ in 0..*pick(random, &[1, 1, 1, 2, 3]) {
        somewhere(random, &mut schema, is_part, change);
    }
    schema.to_string()
}

/// Names that are defined already, which may stand for their types.
#[derive(Default)]
struct Names {
    known: Vec<String>,
    next: usize,
}

impl Names {
    fn node(&mut self, random: &mut StdRng, depth: u32) -> Value {
        match random.random_range(0..14) {
            0..5 => (*pick(random, &PRIMITIVES[1..])).into(),
            5 | 6 => logical(random),
            7 if depth > 0 => json!({"type": "array", "items": self.node(random, depth - 1)}),
            8 if depth > 0 => json!({"type": "map", "values": self.node(random, depth - 1)}),
            9 if depth > 0 => self.record(random, depth - 1),
            10 if depth > 0 => self.union(random, depth - 1),
            11 => self.enumeration(random),
            12 => self.fixed(random),
            _ if !self.known.is_empty() => pick(random, &self.known).as_str().into(),
            _ => json!({"type": pick(random, &PRIMITIVES)}),
        }
    }

    fn name(&mut self, random: &mut StdRng, schema: &mut Value) {
        self.next += 1;
        schema["name"] = format!("N{}", self.next).into();
        let spaces = ["x", "x.y", ""];
        let space = Some(*pick(random, &spaces)).filter(|_| random.random_bool(0.3));
        let full = space.map(|space| format!("{space}.N{}", self.next));
        match full.filter(|full| !full.starts_with('.')) {
            Some(full) => {
                schema["namespace"] = space.into();
                self.known.push(full);
            }
            None => self.known.push(format!("N{}", self.next)),
        }
        if random.random_bool(0.1) {
            schema["aliases"] = json!([format!("N{}", random.random_range(1..6))]);
        }
    }

    fn record(&mut self, random: &mut StdRng, depth: u32) -> Value {
        let mut schema = json!({"type": if random.random_bool(0.03) { "error" } else { "record" }});
        self.name(random, &mut schema);
        let fields = FIELDS.into_iter().filter(|_| random.random_bool(0.4)).collect::<Vec<_>>();
        let fields = fields.into_iter().map(|name| {
            let node = self.node(random, depth);
            field(random, name, node)
        });
        schema["fields"] = fields.collect();
        schema
    }

    fn union(&mut self, random: &mut StdRng, depth: u32) -> Value {
        let mut branches: Vec<Value> = Vec::new();
        for _ in 0..random.random_range(1..5) {
            let branch = self.node(random, depth);
            // Most unions are valid; those that are not are refused by both.
            if !branch.is_array()
                && (random.random_bool(0.02) || !branches.iter().any(|known| kind(known) == kind(&branch)))
            {
                branches.push(branch);
            }
        }
        if random.random_bool(0.6) && !branches.contains(&"null".into()) {
            branches.insert(random.random_range(0..=branches.len().min(1)), "null".into());
        }
        branches.into()
    }

    fn enumeration(&mut self, random: &mut StdRng) -> Value {
        let mut schema = json!({"type": "enum"});
        self.name(random, &mut schema);
        let symbols: Vec<_> = SYMBOLS.into_iter().filter(|_| random.random_bool(0.6)).collect();
        if let Some(default) = symbols.first().filter(|_| random.random_bool(0.3)) {
            schema["default"] = (*default).into();
        }
        schema["symbols"] = symbols.into();
        schema
    }

    fn fixed(&mut self, random: &mut StdRng) -> Value {
        let mut schema = json!({"type": "fixed", "size": pick(random, &[1, 4, 12, 16])});
        self.name(random, &mut schema);
        if random.random_bool(0.2) {
            schema["logicalType"] = "decimal".into();
            schema["precision"] = 2.into();
        }
        schema
    }
}

/// What tells branches of a union apart.
fn kind(branch: &Value) -> String {
    let named = matches!(branch["type"].as_str(), Some("record" | "error" | "enum" | "fixed"));
    let kind = if named { branch["name"].as_str() } else { branch["type"].as_str().or(branch.as_str()) };
    kind.unwrap_or_default().to_owned()
}

fn logical(random: &mut StdRng) -> Value {
    let (kind, name) = *pick(random, &LOGICAL);
    let mut schema = json!({"type": kind, "logicalType": name});
    if name == "decimal" {
        schema["precision"] = (*pick(random, &[4, 9])).into();
        schema["scale"] = (*pick(random, &[0, 2])).into();
    }
    schema
}

fn field(random: &mut StdRng, name: &str, node: Value) -> Value {
    let mut field = json!({"name": name, "type": node});
    if random.random_bool(0.4) {
        field["default"] = default(random, &field["type"]);
    }
    if random.random_bool(0.04) {
        field["aliases"] = json!([pick(random, &FIELDS)]);
    }
    field
}

/// A default that mostly fits.
fn default(random: &mut StdRng, node: &Value) -> Value {
    let node = node.as_array().and_then(|branches| branches.first()).unwrap_or(node);
    let kind = node.as_str().or(node["type"].as_str()).unwrap_or_default();
    match kind {
        _ if random.random_bool(0.02) => "x".into(),
        "null" => Value::Null,
        "boolean" => random.random_bool(0.5).into(),
        "int" | "long" => (*pick(random, &[0, -7, 2_147_483_647])).into(),
        "float" | "double" => (*pick(random, &[json!(0), json!(1.5), json!(-2e10)])).clone(),
        "bytes" | "string" => (*pick(random, &["", "x", "ÿ"])).into(),
        "array" => json!([]),
        "map" | "record" | "error" => json!({}),
        "enum" => node["symbols"].get(0).cloned().unwrap_or_default(),
        "fixed" => "x".repeat(node["size"].as_u64().unwrap_or_default() as usize).into(),
        _ => Value::Null,
    }
}

/// Types in full, fields, unions, and names of primitives where a type may stand.
fn is_part(value: &Value) -> bool {
    match value {
        Value::Object(entries) => entries.contains_key("type"),
        Value::Array(values) => {
            values.iter().any(|value| value.as_str().is_some_and(|name| PRIMITIVES.contains(&name)))
        }
        Value::String(name) => PRIMITIVES.contains(&name.as_str()),
        _ => false,
    }
}

fn change(random: &mut StdRng, part: &mut Value) {
    match part["type"].as_str() {
        Some("record" | "error") => record(random, part),
        Some("enum") => enumeration(random, part),
        Some("fixed") => fixed(random, part),
        _ if part.get("name").is_some() => of_field(random, part),
        _ => of_node(random, part),
    }
}

fn record(random: &mut StdRng, part: &mut Value) {
    if random.random_bool(0.25) {
        return rename(random, part);
    }
    let mut fresh = Names { known: Vec::new(), next: random.random_range(20..90) };
    if let Some(fields) = part["fields"].as_array_mut() {
        list(random, fields, |random| {
            let node = fresh.node(random, 1);
            let name = *pick(random, &["g", "h", "i", "a"]);
            field(random, name, node)
        });
    }
}

fn rename(random: &mut StdRng, part: &mut Value) {
    match random.random_range(0..4) {
        0 => drop(entries(part).remove("aliases")),
        1 => drop(entries(part).insert("namespace".into(), (*pick(random, &["x", "z"])).into())),
        2 => part["aliases"] = json!([pick(random, &["N1", "N2", "x.N1", "z.N2", "R7"])]),
        _ => {
            let old = std::mem::replace(&mut part["name"], format!("R{}", random.random_range(1..9)).into());
            if random.random_bool(0.5) {
                part["aliases"] = json!([old]);
            }
        }
    }
}

fn enumeration(random: &mut StdRng, part: &mut Value) {
    match random.random_range(0..5) {
        0 => rename(random, part),
        1 => drop(entries(part).remove("default")),
        2 => part["default"] = part["symbols"].get(0).cloned().unwrap_or_else(|| "A".into()),
        _ => {
            if let Some(symbols) = part["symbols"].as_array_mut() {
                list(random, symbols, |random| (*pick(random, &["X", "Y", "Z", "A"])).into());
            }
        }
    }
}

fn fixed(random: &mut StdRng, part: &mut Value) {
    match random.random_range(0..4) {
        0 => rename(random, part),
        1 => drop(entries(part).remove("logicalType")),
        2 => *part = "bytes".into(),
        _ => part["size"] = (*pick(random, &[1, 4, 5, 16])).into(),
    }
}

fn of_field(random: &mut StdRng, part: &mut Value) {
    match random.random_range(0..6) {
        0 => drop(entries(part).remove("default")),
        1 => part["default"] = default(random, &part["type"]),
        2 => {
            let old = std::mem::replace(&mut part["name"], (*pick(random, &["g", "h", "b"])).into());
            if random.random_bool(0.6) {
                part["aliases"] = json!([old]);
            }
        }
        3 => part["doc"] = "what it is for".into(),
        _ => {
            entries(part).remove("default");
            of_node(random, &mut part["type"]);
        }
    }
}

fn of_node(random: &mut StdRng, part: &mut Value) {
    let kind = part.as_str().or(part["type"].as_str()).unwrap_or_default().to_owned();
    if let Some(branches) = part.as_array_mut() {
        if branches.len() == 1 || random.random_bool(0.2) {
            *part = branches.last().cloned().unwrap_or_else(|| "null".into());
            return;
        }
        return list(random, branches, |random| (*pick(random, &PRIMITIVES)).into());
    }
    let promoted = match kind.as_str() {
        "int" => pick(random, &["long", "float", "double"]),
        "long" => pick(random, &["float", "double", "int"]),
        "float" => &"double",
        "string" => &"bytes",
        "bytes" => &"string",
        _ => pick(random, &PRIMITIVES),
    };
    let plain = PRIMITIVES.contains(&kind.as_str());
    match random.random_range(0..8) {
        0..3 if plain => *part = (*promoted).into(),
        3 => *part = json!(["null", part]),
        4 => *part = json!([part, "null"]),
        5 => *part = json!({"type": pick(random, &["array", "map"]), "items": part, "values": part}),
        6 if part.is_object() => drop(entries(part).remove("logicalType")),
        7 => *part = logical(random),
        _ => *part = (*pick(random, &PRIMITIVES)).into(),
    }
}
