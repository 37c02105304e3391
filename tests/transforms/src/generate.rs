//! Random cases: a transform, settings that suit it, a record that may suit them.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::Value;

use crate::case::{Case, Header, Input, envelope};
use crate::debezium;
use crate::schema::{MOMENTS, NAMES, object, pick, schema, schemaless, some_names, structure, value};

pub(crate) type Settings = BTreeMap<String, String>;
type Make = fn(&mut StdRng) -> Settings;

/// Transforms of keys or values, then those of whole records.
const OF_PARTS: [(&str, Make); 10] = [
    ("Cast", cast),
    ("ExtractField", extract_field),
    ("Flatten", flatten),
    ("HeaderFrom", header_from),
    ("HoistField", |_| set([("field", "whole")])),
    ("InsertField", insert_field),
    ("MaskField", mask_field),
    ("ReplaceField", replace_field),
    ("SetSchemaMetadata", set_schema_metadata),
    ("TimestampConverter", timestamp_converter),
];
const OF_RECORDS: [(&str, Make); 6] = [
    ("DropHeaders", |random| set([("headers", *pick(random, &["h", "h,i", "none"]))])),
    ("Filter", |_| Settings::new()),
    ("InsertHeader", insert_header),
    ("RegexRouter", regex_router),
    ("TimestampRouter", timestamp_router),
    ("ValueToKey", |random| nulls([("fields", some_names(random, 1).join(","))], random)),
];
const PREDICATES: [(&str, Make); 3] = [
    ("HasHeaderKey", |random| set([("name", *pick(random, &["h", "i", "none"]))])),
    ("RecordIsTombstone", |_| Settings::new()),
    ("TopicNameMatches", |random| set([("pattern", *pick(random, &["shop.*", "a", "a-\\d", ".x"]))])),
];
const PATTERNS: [&str; 9] = [
    "yyyy-MM-dd",
    "yyyy-MM-dd HH:mm:ss",
    "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "dd/MM/yy",
    "EEE, d MMM yyyy hh:mm a z",
    "yyyyMMddHHmmssSSS",
    "D yyyy G Z",
    "YYYY ww u k K",
    "MMMM ''yy W F",
];

/// A case of a transform whose name holds `only`.
pub(crate) fn case(random: &mut StdRng, only: &str) -> Case {
    loop {
        let case = any(random);
        if case.transform.contains(only) {
            return case;
        }
    }
}

fn any(random: &mut StdRng) -> Case {
    let package = "org.apache.kafka.connect.transforms";
    let index = random.random_range(0..OF_PARTS.len() + OF_RECORDS.len() + PREDICATES.len() + 4);
    let (name, make) = match (OF_PARTS.get(index), OF_RECORDS.get(index.wrapping_sub(OF_PARTS.len()))) {
        (Some((name, make)), _) => (format!("{name}${}", pick(random, &["Key", "Value"])), make),
        (None, Some((name, make))) => ((*name).to_owned(), make),
        (None, None) => match PREDICATES.get(index - OF_PARTS.len() - OF_RECORDS.len()) {
            Some((name, make)) => (format!("predicates.{name}"), make),
            None => return debezium::case(random),
        },
    };
    Case { transform: format!("{package}.{name}"), settings: make(random), record: record(random) }
}

pub(crate) fn record(random: &mut StdRng) -> Input {
    let headers = (0..random.random_range(0..3)).map(|_| {
        let shape = schema(random, 0);
        let value = value(random, &shape);
        Header { key: (*pick(random, &["h", "i"])).to_owned(), value: Some(envelope(&shape, &value)) }
    });
    Input {
        headers: headers.collect(),
        topic: (*pick(random, &["shop.public.orders", "a-1", "$x"])).to_owned(),
        partition: random.random_range(0..4),
        offset: random.random_range(0..1000),
        timestamp: *pick(random, &MOMENTS),
        key: payload(random),
        value: payload(random),
    }
}

fn payload(random: &mut StdRng) -> Option<String> {
    let shaped = |random: &mut StdRng, shape: Value| {
        let value = value(random, &shape);
        Some(envelope(&shape, &value))
    };
    match random.random_range(0..20) {
        0 => None,
        1..12 => {
            let shape = structure(random, 2);
            shaped(random, shape)
        }
        12..15 => {
            let shape = schema(random, 1);
            shaped(random, shape)
        }
        15..19 => Some(envelope(&Value::Null, &object(random, 2))),
        _ => Some(envelope(&Value::Null, &schemaless(random, 1))),
    }
}

pub(crate) fn set<K: Into<String>, V: Into<String>>(settings: impl IntoIterator<Item = (K, V)>) -> Settings {
    settings.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}

/// The same, with a word now and then on what becomes of nulls with defaults.
fn nulls<V: Into<String>>(settings: impl IntoIterator<Item = (&'static str, V)>, random: &mut StdRng) -> Settings {
    let mut settings = set(settings);
    if random.random_bool(0.4) {
        settings.insert("replace.null.with.default".into(), random.random_bool(0.5).to_string());
    }
    settings
}

fn cast(random: &mut StdRng) -> Settings {
    let types = ["int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string", "STRING"];
    let spec = if random.random_bool(0.2) {
        (*pick(random, &types)).to_owned()
    } else {
        let fields = some_names(random, 1);
        fields.into_iter().map(|field| format!("{field}:{}", pick(random, &types))).collect::<Vec<_>>().join(",")
    };
    nulls([("spec", spec)], random)
}

fn extract_field(random: &mut StdRng) -> Settings {
    let path = match random.random_range(0..4) {
        0 => format!("{}.{}", pick(random, &NAMES[..5]), pick(random, &NAMES[..5])),
        1 => "`x.y`".to_owned(),
        _ => (*pick(random, &NAMES)).to_owned(),
    };
    let mut settings = nulls([("field", path)], random);
    if random.random_bool(0.6) {
        settings.insert("field.syntax.version".into(), (*pick(random, &["V1", "V2", "v2"])).into());
    }
    settings
}

fn flatten(random: &mut StdRng) -> Settings {
    if random.random_bool(0.5) { Settings::new() } else { set([("delimiter", *pick(random, &["_", "", "->"]))]) }
}

fn header_from(random: &mut StdRng) -> Settings {
    let fields = some_names(random, 1);
    let headers: Vec<_> = fields.iter().map(|field| format!("from-{field}")).collect();
    let operation = (*pick(random, &["move", "copy"])).to_owned();
    nulls([("fields", fields.join(",")), ("headers", headers.join(",")), ("operation", operation)], random)
}

fn insert_field(random: &mut StdRng) -> Settings {
    let names = ["topic", "partition", "offset", "timestamp", "static"];
    let chosen: Vec<&str> = names.into_iter().filter(|_| random.random_bool(0.4)).collect();
    let mut settings = nulls([("static.value", "fixed")], random);
    for name in chosen {
        let field = if random.random_bool(0.9) { format!("new-{name}") } else { (*pick(random, &NAMES)).to_owned() };
        settings.insert(format!("{name}.field"), format!("{field}{}", pick(random, &["", "!", "?"])));
    }
    settings
}

fn insert_header(random: &mut StdRng) -> Settings {
    let literals = [
        "",
        "x",
        "true",
        "null",
        "7",
        "-40000",
        "1.5",
        "1e60",
        "9223372036854775808",
        "2026-11-27",
        "10:00:00.000Z",
        "2026-11-27T00:00:00.001Z",
        "[1, 300]",
        "[\"x\",\"y\"]",
        "{\"k\": 1}",
        "[1",
        " 5 ",
        "0x1",
        "+3",
        "1.0",
        "-",
        "1.2.3",
    ];
    set([("header", "h"), ("value.literal", *pick(random, &literals))])
}

fn mask_field(random: &mut StdRng) -> Settings {
    let mut settings = nulls([("fields", some_names(random, 1).join(","))], random);
    if random.random_bool(0.5) {
        settings.insert("replacement".into(), (*pick(random, &["7", "300", "-1.75", "x", "1e3"])).into());
    }
    settings
}

fn regex_router(random: &mut StdRng) -> Settings {
    let (regex, replacement) = *pick(
        random,
        &[
            ("shop\\.(\\w+)\\.(.*)", "$2_$1"),
            ("(?<all>.+)", "x-${all}"),
            ("a-(\\d)", "\\$$1"),
            ("nothing", "y"),
            ("(.)(.*)", "$1$2$12"),
        ],
    );
    set([("regex", regex), ("replacement", replacement)])
}

fn replace_field(random: &mut StdRng) -> Settings {
    let mut settings = nulls(
        [("exclude", if random.random_bool(0.5) { some_names(random, 0).join(",") } else { String::new() })],
        random,
    );
    if random.random_bool(0.4) {
        settings.insert("include".into(), some_names(random, 1).join(","));
    }
    if random.random_bool(0.5) {
        settings.insert("renames".into(), (*pick(random, &["a:z", "b:y,c:w", "x.y:flat"])).into());
    }
    settings
}

fn set_schema_metadata(random: &mut StdRng) -> Settings {
    match random.random_range(0..3) {
        0 => nulls([("schema.name", "other")], random),
        1 => nulls([("schema.version", "9")], random),
        _ => nulls([("schema.name", "other"), ("schema.version", "-1")], random),
    }
}

fn timestamp_converter(random: &mut StdRng) -> Settings {
    let target = *pick(random, &["string", "unix", "Date", "Time", "Timestamp"]);
    let mut settings = nulls([("target.type", target)], random);
    if random.random_bool(0.8) {
        settings.insert("field".into(), (*pick(random, &NAMES)).into());
    }
    if target == "string" || random.random_bool(0.6) {
        // Weeks are only written.
        let patterns = if target == "string" { &PATTERNS[..] } else { &PATTERNS[..7] };
        settings.insert("format".into(), (*pick(random, patterns)).into());
    }
    if random.random_bool(0.4) {
        let precisions = ["seconds", "milliseconds", "microseconds", "nanoseconds"];
        settings.insert("unix.precision".into(), (*pick(random, &precisions)).into());
    }
    settings
}

fn timestamp_router(random: &mut StdRng) -> Settings {
    match random.random_range(0..3) {
        0 => Settings::new(),
        1 => set([("topic.format", "${timestamp}.${topic}"), ("timestamp.format", *pick(random, &PATTERNS))]),
        _ => set([("timestamp.format", *pick(random, &PATTERNS))]),
    }
}
