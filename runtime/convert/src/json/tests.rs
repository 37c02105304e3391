//! Every type's JSON, and round trips of random schemas and data.

use proptest::prelude::*;
use serde_json::{Value, json};
use towpath_model::datum::{write_boolean, write_bytes, write_double, write_float, write_long};
use towpath_model::{Field, Schema, Type};

use super::*;

fn written(schema: &str, datum: &[u8], options: Options) -> String {
    let schema = Schema::parse(schema).expect("a schema");
    let mut out = Vec::new();
    Transcoder::new(&schema, options).write(datum, &mut out).expect("a datum");
    String::from_utf8(out).expect("UTF-8")
}

/// Schema, datum, JSON.
type Case = (&'static str, &'static [u8], &'static str);

const TYPES: [Case; 20] = [
    (r#"{"type":"int8","optional":false}"#, &[1], "-1"),
    (
        r#"{"type":"int64","optional":false}"#,
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        "-9223372036854775808",
    ),
    (r#"{"type":"boolean","optional":false}"#, &[1], "true"),
    (r#"{"type":"float","optional":false}"#, &[0, 0, 0xc0, 0x7f], "\"NaN\""),
    (r#"{"type":"float","optional":false}"#, &[0xcd, 0xcc, 0x8c, 0x3f], "1.1"),
    (r#"{"type":"double","optional":false}"#, &[0, 0, 0, 0, 0, 0, 0xf0, 0xff], "\"-Infinity\""),
    (r#"{"type":"double","optional":false}"#, &[0, 0, 0, 0, 0, 0, 0xf8, 0x3f], "1.5"),
    (r#"{"type":"string","optional":false}"#, &[8, b'a', b'"', b'\n', 0x7f], "\"a\\\"\\n\u{7f}\""),
    (r#"{"type":"bytes","optional":false}"#, &[8, 0xde, 0xad, 0xbe, 0xef], "\"3q2+7w==\""),
    (
        r#"{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"}}"#,
        &[4, 0x30, 0x39],
        "\"MDk=\"",
    ),
    (r#"{"type":"string","optional":true}"#, &[0], "null"),
    (r#"{"type":"string","optional":true}"#, &[2, 2, b'x'], "\"x\""),
    (r#"{"type":"string","optional":true,"default":"d"}"#, &[2], "\"d\""),
    (r#"{"type":"string","optional":true,"default":"d"}"#, &[0, 2, b'x'], "\"x\""),
    (r#"{"type":"double","optional":true,"default":1e10}"#, &[2], "1.0E10"),
    (
        r#"{"type":"array","items":{"type":"int32","optional":true},"optional":false}"#,
        &[4, 2, 2, 0, 2, 2, 4, 0],
        "[1,null,2]",
    ),
    // A block with its size in front, as Avro's writers may give it.
    (r#"{"type":"array","items":{"type":"int32","optional":false},"optional":false}"#, &[3, 4, 2, 4, 0], "[1,2]"),
    (
        r#"{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"int32","optional":false},"optional":false}"#,
        &[2, 2, b'k', 2, 0],
        "{\"k\":1}",
    ),
    (
        r#"{"type":"map","keys":{"type":"int32","optional":false},"values":{"type":"int32","optional":false},"optional":false}"#,
        &[4, 2, 4, 6, 8, 0],
        "[[1,2],[3,4]]",
    ),
    (r#"{"type":"struct","fields":[],"optional":false}"#, &[], "{}"),
];

#[test]
fn every_type_is_written_as_connect_writes_it() {
    for (schema, datum, expected) in TYPES {
        assert_eq!(written(schema, datum, Options::default()), expected, "{schema}");
        let enveloped = written(schema, datum, Options { schemas: true, ..Options::default() });
        // Connect's own spelling of a default differs from serde's; the rest of the schema is as it was given.
        if !schema.contains("1e10") {
            assert_eq!(enveloped, format!(r#"{{"schema":{schema},"payload":{expected}}}"#));
        }
    }
}

#[test]
fn decimals_are_numbers_when_asked_for() {
    let (schema, datum, _) = TYPES[9];
    let options = Options { numeric_decimals: true, ..Options::default() };
    assert_eq!(written(schema, datum, options), "123.45");
    let encoder = Encoder::new(schema, options).expect("a schema").expect("one");
    for json in ["123.45", "1.2345e2", "\"MDk=\""] {
        let mut out = Vec::new();
        let raw: &serde_json::value::RawValue = serde_json::from_str(json).expect("JSON");
        encoder.write(raw, &mut out).expect("a value");
        assert_eq!(out, datum, "{json}");
    }
}

#[test]
fn nulls_stay_nulls_when_defaults_are_not_to_replace_them() {
    let options = Options { nulls_take_defaults: false, ..Options::default() };
    assert_eq!(written(TYPES[12].0, TYPES[12].1, options), "null");
}

#[test]
fn data_cut_short_or_too_long_are_refused() {
    for (schema, datum, _) in TYPES {
        let mut transcoder = Transcoder::new(&Schema::parse(schema).expect("a schema"), Options::default());
        for cut in 0..datum.len() {
            assert!(transcoder.write(&datum[..cut], &mut Vec::new()).is_err(), "{schema} cut at {cut}");
        }
        let longer = [datum, &[0]].concat();
        assert!(transcoder.write(&longer, &mut Vec::new()).is_err(), "{schema} with more behind");
    }
}

const EVENT: &str = r#"{"type":"struct","fields":[{"type":"string","optional":true,"field":"before"},{"type":"int64","optional":false,"field":"id"},{"type":"struct","fields":[{"type":"string","optional":false,"field":"name"},{"type":"int64","optional":true,"field":"lsn"},{"type":"string","optional":false,"field":"table"}],"optional":false,"field":"source"},{"type":"string","optional":false,"field":"op"},{"type":"int64","optional":false,"field":"ts_ms"}],"optional":false}"#;

/// The event with this number: some fields change with each, some now and then, some seldom.
fn event(number: i64) -> Vec<u8> {
    let mut out = Vec::new();
    write_long(&mut out, i64::from(number % 7000 > 6000));
    if number % 7000 > 6000 {
        write_bytes(&mut out, b"before");
    }
    write_long(&mut out, number);
    write_bytes(&mut out, b"shop");
    write_long(&mut out, i64::from(number % 10 > 0));
    if number % 10 > 0 {
        write_long(&mut out, number / 100);
    }
    write_bytes(&mut out, if number % 1000 > 900 { b"orders" } else { b"items" });
    write_bytes(&mut out, if number > 8000 { b"u" } else { b"c" });
    write_long(&mut out, number / 500);
    out
}

#[test]
fn a_record_is_written_alike_whatever_came_before() {
    let schema = Schema::parse(EVENT).expect("a schema");
    let mut transcoder = Transcoder::new(&schema, Options::default());
    for number in 0..20_000 {
        let (mut after_others, mut alone) = (Vec::new(), Vec::new());
        transcoder.write(&event(number), &mut after_others).expect("a datum");
        Transcoder::new(&schema, Options::default()).write(&event(number), &mut alone).expect("a datum");
        assert_eq!(String::from_utf8(after_others), String::from_utf8(alone), "event {number}");
    }
    let last = event(19_999);
    for cut in 0..last.len() {
        assert!(transcoder.write(&last[..cut], &mut Vec::new()).is_err(), "cut at {cut}");
    }
}

/// A random schema with a value of it: the datum, and the JSON that is meant.
#[derive(Clone, Debug)]
struct Sample {
    schema: Schema,
    datum: Vec<u8>,
    json: Value,
}

impl Sample {
    fn new(kind: Type, write: impl FnOnce(&mut Vec<u8>), json: Value) -> Self {
        let mut datum = Vec::new();
        write(&mut datum);
        Self { schema: Schema::new(kind), datum, json }
    }

    /// The same under an optional schema, as a value or as a null.
    fn optional(self, present: bool) -> Self {
        let schema = self.schema.optional();
        let mut datum = Vec::new();
        write_long(&mut datum, i64::from(present));
        if present {
            datum.extend_from_slice(&self.datum);
        }
        Self { schema, datum, json: if present { self.json } else { Value::Null } }
    }
}

fn base64_of(bytes: &[u8]) -> Value {
    let mut out = Vec::new();
    write_base64(&mut out, bytes);
    serde_json::from_slice(&out).expect("a string")
}

fn finite(value: f64) -> Value {
    match () {
        () if value.is_nan() => json!("NaN"),
        () if value.is_infinite() => json!(if value > 0.0 { "Infinity" } else { "-Infinity" }),
        () => json!(value),
    }
}

/// A float as the double with its shortest digits, which is how Java shows it.
fn narrow(value: f32) -> Value {
    if value.is_finite() {
        return finite(zmij::Buffer::new().format_finite(value).parse().expect("a number"));
    }
    finite(value.into())
}

fn sample() -> impl Strategy<Value = Sample> {
    let leaf = prop_oneof![
        any::<i8>().prop_map(|value| Sample::new(Type::Int8, |out| write_long(out, value.into()), json!(value))),
        any::<i64>().prop_map(|value| Sample::new(Type::Int64, |out| write_long(out, value), json!(value))),
        any::<f64>().prop_map(|value| Sample::new(Type::Float64, |out| write_double(out, value), finite(value))),
        any::<f32>().prop_map(|value| Sample::new(Type::Float32, |out| write_float(out, value), narrow(value))),
        any::<bool>().prop_map(|value| Sample::new(Type::Boolean, |out| write_boolean(out, value), json!(value))),
        any::<String>().prop_map(|value| Sample::new(
            Type::String,
            |out| write_bytes(out, value.as_bytes()),
            json!(value)
        )),
        any::<Vec<u8>>().prop_map(|value| Sample::new(Type::Bytes, |out| write_bytes(out, &value), base64_of(&value))),
    ];
    let leaf = (leaf, any::<Option<bool>>()).prop_map(|(sample, optional)| match optional {
        Some(present) => sample.optional(present),
        None => sample,
    });
    leaf.prop_recursive(4, 48, 6, |inner| {
        let array = (inner.clone(), 0usize..4).prop_map(|(item, count)| {
            let write = |out: &mut Vec<u8>| {
                if count > 0 {
                    write_long(out, count as i64);
                    (0..count).for_each(|_| out.extend_from_slice(&item.datum));
                }
                write_long(out, 0);
            };
            Sample::new(Type::Array(item.schema.clone().into()), write, Value::Array(vec![item.json.clone(); count]))
        });
        let structs = prop::collection::btree_map("[a-z \"é]{1,6}", inner, 0..6).prop_map(|fields| {
            let kinds = fields
                .iter()
                .map(|(name, field)| Field { name: name.as_str().into(), schema: field.schema.clone().into() });
            let json = fields.iter().map(|(name, field)| (name.clone(), field.json.clone())).collect();
            let write = |out: &mut Vec<u8>| fields.values().for_each(|field| out.extend_from_slice(&field.datum));
            Sample::new(Type::Struct(kinds.collect()), write, Value::Object(json))
        });
        prop_oneof![array, structs]
    })
}

proptest! {
    #[test]
    fn data_become_the_json_that_is_meant_and_come_back(sample in sample()) {
        let mut out = Vec::new();
        Transcoder::new(&sample.schema, Options::default()).write(&sample.datum, &mut out).expect("a datum");
        // Compared as text: serde_json reads some doubles only nearly.
        let mut meant = Vec::new();
        transcode::write_value(&mut meant, &sample.json);
        prop_assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&meant));
        prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&out).is_ok());

        let schema = sample.schema.to_json().to_string();
        let encoder = Encoder::new(&schema, Options::default()).expect("a schema").expect("one");
        let raw: &serde_json::value::RawValue = serde_json::from_slice(&out).expect("JSON");
        let mut back = Vec::new();
        encoder.write(raw, &mut back).expect("the same value");
        // NaN has many bit patterns; everything else comes back as it was.
        if !String::from_utf8_lossy(&out).contains("\"NaN\"") {
            prop_assert_eq!(back, sample.datum);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(sample in sample(), bytes: Vec<u8>) {
        let _ = Transcoder::new(&sample.schema, Options::default()).write(&bytes, &mut Vec::new());
        let _ = crate::text::write(&sample.schema, &bytes, crate::text::Style::Values, &mut Vec::new());
    }
}
