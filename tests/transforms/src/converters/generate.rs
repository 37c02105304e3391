//! Random cases: a converter with its settings, data to write or bytes to read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::Case;
use crate::case::envelope;
use crate::schema::{object, pick, schema, schemaless, structure, value};

const CONVERTERS: [&str; 10] = [
    "org.apache.kafka.connect.json.JsonConverter",
    "org.apache.kafka.connect.storage.StringConverter",
    "org.apache.kafka.connect.converters.ByteArrayConverter",
    "org.apache.kafka.connect.storage.SimpleHeaderConverter",
    "org.apache.kafka.connect.converters.ShortConverter",
    "org.apache.kafka.connect.converters.IntegerConverter",
    "org.apache.kafka.connect.converters.LongConverter",
    "org.apache.kafka.connect.converters.FloatConverter",
    "org.apache.kafka.connect.converters.DoubleConverter",
    "org.apache.kafka.connect.converters.BooleanConverter",
];
const TYPES: [&str; 9] = ["int8", "int16", "int32", "int64", "float", "double", "boolean", "string", "bytes"];
/// Texts that a header may be read from.
const TEXTS: [&str; 34] = [
    "",
    " ",
    "x",
    "true",
    "TRUE",
    "false",
    "null",
    "7",
    "-40000",
    "3000000000",
    "1.5",
    "1e60",
    "0.1",
    "9223372036854775808",
    "2026-11-27",
    "10:00:00.000Z",
    "2026-11-27T00:00:00.001Z",
    "[1, 300]",
    "[\"x\",\"y\"]",
    "[]",
    "{}",
    "{\"k\": 1}",
    "{\"k\":\"v\"}",
    "[1",
    " 5 ",
    "0x1",
    "+3",
    "1.0",
    "-",
    "é\"\\",
    "a:b",
    "{a:b}",
    "[1,\"x\"]",
    "1e-7",
];

/// A case of a converter whose name holds `only`.
pub(crate) fn case(random: &mut StdRng, only: &str) -> Case {
    let chosen: Vec<&str> = CONVERTERS.into_iter().filter(|name| name.contains(only)).collect();
    // The first has the most to it.
    let converter = if random.random_bool(0.5) { chosen[0] } else { *pick(random, &chosen) };
    let part = match converter.ends_with("SimpleHeaderConverter") {
        true => "header",
        false => pick(random, &["key", "value", "header"]),
    };
    let writes = random.random_bool(0.5);
    let given = if writes { Some(data(random)) } else { bytes(random, converter).map(|bytes| BASE64.encode(bytes)) };
    Case {
        converter: converter.to_owned(),
        settings: settings(random, converter),
        part: part.to_owned(),
        writes,
        given,
    }
}

fn settings(random: &mut StdRng, converter: &str) -> std::collections::BTreeMap<String, String> {
    let mut settings = std::collections::BTreeMap::new();
    if converter.ends_with("JsonConverter") {
        for (key, values) in [
            ("schemas.enable", ["true", "false"]),
            ("decimal.format", ["NUMERIC", "base64"]),
            ("replace.null.with.default", ["true", "false"]),
        ] {
            if random.random_bool(0.5) {
                settings.insert(key.to_owned(), (*pick(random, &values)).to_owned());
            }
        }
    }
    settings
}

/// Data in an envelope.
fn data(random: &mut StdRng) -> String {
    let shape = match random.random_range(0..10) {
        0 => return envelope(&Value::Null, &schemaless(random, 2)),
        1 => return envelope(&Value::Null, &object(random, 2)),
        2..4 => structure(random, 2),
        4 => nested(random),
        // What a converter of one type takes, among what it does not.
        5..8 => json!({"type": pick(random, &TYPES), "optional": random.random_bool(0.5)}),
        _ => schema(random, 2),
    };
    let value = value(random, &shape);
    envelope(&shape, &value)
}

/// Lists and maps of all kinds.
fn nested(random: &mut StdRng) -> Value {
    let inner = schema(random, 1);
    match random.random_range(0..3) {
        0 => json!({"type": "array", "items": inner, "optional": random.random_bool(0.5)}),
        1 => {
            json!({"type": "map", "keys": {"type": "string", "optional": false}, "values": inner, "optional": random.random_bool(0.5)})
        }
        _ => json!({"type": "array", "items": {"type": "array", "items": inner, "optional": true}, "optional": false}),
    }
}

/// Bytes of a topic.
fn bytes(random: &mut StdRng, converter: &str) -> Option<Vec<u8>> {
    if random.random_bool(0.03) {
        return None;
    }
    let name = converter.rsplit('.').next().unwrap_or_default();
    let length = match name {
        "JsonConverter" => return Some(text_of_json(random).into_bytes()),
        "SimpleHeaderConverter" => return Some(pick(random, &TEXTS).as_bytes().to_vec()),
        "StringConverter" => return Some(pick(random, &TEXTS).as_bytes().to_vec()),
        "ShortConverter" => 2,
        "IntegerConverter" | "FloatConverter" => 4,
        "LongConverter" | "DoubleConverter" => 8,
        "BooleanConverter" => 1,
        _ => random.random_range(0..6),
    };
    let length = if random.random_bool(0.1) { random.random_range(0..10) } else { length };
    Some(match random.random_range(0..4) {
        0 => vec![0; length],
        1 => vec![0xff; length],
        2 => vec![1; length],
        _ => (0..length).map(|_| random.random()).collect(),
    })
}

/// Text that JsonConverter may read: an envelope, something without one, something that fits no schema, something broken.
fn text_of_json(random: &mut StdRng) -> String {
    let shape = if random.random_bool(0.5) { structure(random, 2) } else { schema(random, 2) };
    match random.random_range(0..12) {
        0 => schemaless(random, 2).to_string(),
        1 => object(random, 2).to_string(),
        2 => envelope(&Value::Null, &schemaless(random, 2)),
        3 => envelope(&shape, &schemaless(random, 2)),
        4 => (*pick(
            random,
            &[
                "",
                " ",
                "{",
                "nul",
                "01",
                "1 2",
                "{\"schema\":null}",
                "{\"payload\":1}",
                "[1,]",
                "'x'",
                "NaN",
                "\u{feff}1",
                "1e999",
                "123456789012345678901234567890",
            ],
        ))
        .to_owned(),
        5 => {
            let value = value(random, &shape);
            let mut envelope: Value = json!({"schema": shape, "payload": value});
            envelope["more"] = 1.into();
            envelope.to_string()
        }
        _ => {
            let value = value(random, &shape);
            envelope(&shape, &value)
        }
    }
}
