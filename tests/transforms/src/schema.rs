//! Random schemas and values that fit them, with the edges that transforms stumble over.

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// Names of fields; few, so that settings often meet them.
pub(crate) const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "x.y"];
const LOGICAL: [(&str, &str); 5] = [
    ("int32", "org.apache.kafka.connect.data.Date"),
    ("int32", "org.apache.kafka.connect.data.Time"),
    ("int64", "org.apache.kafka.connect.data.Timestamp"),
    ("bytes", "org.apache.kafka.connect.data.Decimal"),
    ("int64", "io.debezium.time.MicroTimestamp"),
];
const PLAIN: [&str; 9] = ["int8", "int16", "int32", "int64", "float", "double", "boolean", "string", "bytes"];

pub(crate) fn pick<'a, T>(random: &mut StdRng, all: &'a [T]) -> &'a T {
    &all[random.random_range(0..all.len())]
}

/// Some of the names, each once.
pub(crate) fn some_names(random: &mut StdRng, least: usize) -> Vec<&'static str> {
    let mut names: Vec<_> = NAMES.into_iter().filter(|_| random.random_bool(0.4)).collect();
    while names.len() < least {
        let name = *pick(random, &NAMES);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A schema in JsonConverter's form; structs nest no deeper than `depth`.
pub(crate) fn schema(random: &mut StdRng, depth: u32) -> Value {
    let mut schema = match random.random_range(0..10) {
        0..5 => json!({"type": pick(random, &PLAIN)}),
        5..7 => logical(random),
        7 => json!({"type": "array", "items": {"type": pick(random, &PLAIN), "optional": random.random_bool(0.3)}}),
        8 if depth > 0 => return structure(random, depth - 1),
        8 => json!({"type": "string"}),
        _ => {
            json!({"type": "map", "keys": {"type": "string", "optional": false}, "values": {"type": "int32", "optional": true}})
        }
    };
    dress(random, &mut schema);
    schema
}

fn logical(random: &mut StdRng) -> Value {
    let (kind, name) = *pick(random, &LOGICAL);
    let mut schema = json!({"type": kind, "name": name, "version": 1});
    if kind == "bytes" {
        schema["parameters"] = json!({"scale": pick(random, &["0", "2", "5"])});
    }
    schema
}

/// A struct.
pub(crate) fn structure(random: &mut StdRng, depth: u32) -> Value {
    let fields = some_names(random, 1).into_iter().map(|name| {
        let mut field = schema(random, depth);
        field["field"] = name.into();
        field
    });
    let mut schema = json!({"type": "struct", "fields": fields.collect::<Vec<_>>()});
    if random.random_bool(0.5) {
        schema["name"] = "shop.public.orders.Value".into();
        schema["version"] = 3.into();
    }
    dress(random, &mut schema);
    schema
}

/// Whether null is allowed, what it is for, a default.
fn dress(random: &mut StdRng, schema: &mut Value) {
    schema["optional"] = random.random_bool(0.5).into();
    if random.random_bool(0.15) {
        schema["doc"] = "what it is for".into();
    }
    if random.random_bool(0.1) && schema.get("name").is_none() {
        schema["parameters"] = json!({"k": "v"});
    }
    let has_plain_default = !matches!(schema["type"].as_str(), Some("struct" | "map" | "array"));
    if has_plain_default && random.random_bool(0.3) {
        schema["default"] = present(random, schema);
    }
}

/// A value, or a null where one is allowed.
pub(crate) fn value(random: &mut StdRng, schema: &Value) -> Value {
    if schema["optional"] == true && random.random_bool(0.3) { Value::Null } else { present(random, schema) }
}

fn present(random: &mut StdRng, schema: &Value) -> Value {
    let name = schema.get("name").and_then(Value::as_str).unwrap_or_default().rsplit('.').next().unwrap_or_default();
    match (schema["type"].as_str().unwrap_or_default(), name) {
        (_, "Date") => (*pick(random, &[0, 1, -1, 20_000, -141_428, -719_162, 100_000])).into(),
        (_, "Time") => (*pick(random, &[0, 1, 86_399_999, 43_200_000])).into(),
        (_, "Timestamp") => (*pick(random, &MOMENTS)).into(),
        (_, "Decimal") => {
            (*pick(random, &["AA==", "MDk=", "zzc=", "fw==", "AP8=", "AIAAAAAAAAAA", "gAAAAAAAAAAAAA=="])).into()
        }
        ("int8", _) => (*pick(random, &[0i64, 1, -1, 127, -128])).into(),
        ("int16", _) => (*pick(random, &[0i64, 300, -300, 32_767, -32_768])).into(),
        ("int32", _) => (*pick(random, &[0i64, 70_000, -70_000, 2_147_483_647, -2_147_483_648])).into(),
        ("int64", _) => {
            (*pick(random, &[0i64, 5_000_000_000, -5_000_000_000, i64::MAX, i64::MIN, 1_795_788_309_042])).into()
        }
        ("float", _) => (*pick(random, &[0.0, 0.5, -1.25, 1_500_000_000.0, 0.25, 1234.75])).into(),
        ("double", _) => (*pick(random, &[0.0, 0.1, -2.5, 1e20, 123_456_789.125, 1e-9, 3e9])).into(),
        ("boolean", _) => random.random_bool(0.5).into(),
        ("string", _) => text(random).into(),
        ("bytes", _) => (*pick(random, &["", "AQID", "/w=="])).into(),
        ("array", _) => (0..random.random_range(0..3)).map(|_| value(random, &schema["items"])).collect(),
        ("map", _) => {
            let keys = NAMES.iter().take(random.random_range(0..3));
            Value::Object(keys.map(|key| ((*key).to_owned(), value(random, &schema["values"]))).collect())
        }
        _ => {
            let fields = schema["fields"].as_array().cloned().unwrap_or_default();
            let entry = |field: &Value| (field["field"].as_str().unwrap_or_default().to_owned(), value(random, field));
            Value::Object(fields.iter().map(entry).collect())
        }
    }
}

/// Points in time.
pub(crate) const MOMENTS: [i64; 9] = [
    0,
    1,
    -1,
    1_795_788_309_042,
    1_795_737_600_000,
    -62_135_596_800_000,
    -12_219_292_800_001,
    253_402_300_799_999,
    951_782_400_000,
];

fn text(random: &mut StdRng) -> &'static str {
    pick::<&'static str>(
        random,
        &[
            "",
            "0",
            "7",
            "-129",
            "+5",
            " 3",
            "1.5",
            "1e3",
            "true",
            "TRUE",
            "NaN",
            "x",
            "é\"\\",
            "2026-11-27",
            "2026-02-31",
            "2026-11-27 14:05:09",
            "27/11/26",
            "99999999999",
        ],
    )
}

/// A JSON value without a schema.
pub(crate) fn schemaless(random: &mut StdRng, depth: u32) -> Value {
    match random.random_range(0..9) {
        0 => Value::Null,
        1 => random.random_bool(0.5).into(),
        2 | 3 => (*pick(random, &[0i64, 1, -1, 300, 1_795_788_309_042, i64::MAX])).into(),
        4 => (*pick(random, &[0.5, -2.25, 1e20, 1.5e-5])).into(),
        5 | 6 => text(random).into(),
        7 if depth > 0 => (0..random.random_range(0..3)).map(|_| schemaless(random, depth - 1)).collect(),
        _ if depth > 0 => object(random, depth - 1),
        _ => Value::Null,
    }
}

/// A JSON object without a schema.
pub(crate) fn object(random: &mut StdRng, depth: u32) -> Value {
    let names = some_names(random, 0).into_iter();
    Value::Object(names.map(|name| (name.to_owned(), schemaless(random, depth))).collect())
}
