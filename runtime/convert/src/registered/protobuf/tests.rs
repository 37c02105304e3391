//! What schemas become, which bytes come out, what is read of bytes that others have written; and random ones both ways.

use proptest::prelude::*;
use serde_json::{Value, json};
use towpath_model::datum::{write_bytes, write_double, write_float, write_long};
use towpath_model::{Field, Schema, Type};

use super::wire::{DELIMITED, FIXED32, VARINT, write_delimited, write_key, write_varint};
use super::*;
use crate::definition::protobuf::ProtobufSchema;
use crate::json::{DECIMAL, Encoder as JsonEncoder, Options, Transcoder};
use crate::registered::settings::Protobuf;
use crate::registered::{DATE, TIME, TIMESTAMP};

const SETTINGS: Protobuf = Protobuf {
    full_names: false,
    optional_nullables: true,
    wrapped_nullables: false,
    wrapped_roots: true,
    enums_as_numbers: false,
    numbered_unions: true,
};
/// As Confluent's converter has it where nothing is set.
const CONFLUENT: Protobuf = Protobuf { optional_nullables: false, ..SETTINGS };

fn parse(text: &str) -> ProtobufSchema {
    ProtobufSchema::parse(text, &[]).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn schema(text: &Value) -> Schema {
    Schema::from_json(text).expect("a schema")
}

/// A value in JSON as a datum.
fn datum(schema: &Schema, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let raw = serde_json::value::to_raw_value(value).expect("JSON");
    JsonEncoder::of(schema.clone()).write(&raw, &mut out).unwrap_or_else(|fault| panic!("{}: {value}", fault.reason));
    out
}

fn shown(schema: &Schema, datum: &[u8]) -> Value {
    let mut out = Vec::new();
    let options = Options { nulls_take_defaults: false, ..Options::default() };
    Transcoder::new(schema, options).write(datum, &mut out).expect("a datum of the schema");
    serde_json::from_slice(&out).expect("JSON")
}

/// The text that a schema is rendered as, and the bytes of a value.
fn written(schema: &Schema, settings: Protobuf, value: &Value) -> (ProtobufSchema, String, Vec<u8>) {
    let rendered = from_connect(schema, settings, false).unwrap_or_else(|fault| panic!("{}", fault.reason));
    let file = parse(&rendered.text);
    let message = file.message(&rendered.message).expect("the message");
    let mut out = Vec::new();
    let encoder = Encoder::new(schema, &message, false).unwrap_or_else(|fault| panic!("{}", fault.reason));
    assert!(encoder.write(&datum(schema, value), &mut out).unwrap_or_else(|fault| panic!("{}", fault.reason)));
    (file, rendered.message, out)
}

fn read(file: &ProtobufSchema, message: &str, settings: Protobuf, data: &[u8]) -> Result<(Schema, Value), Fault> {
    let message = file.message(message).expect("the message");
    let (schema, decoder) = to_connect(file, &message, settings)?;
    let datum = decoder.decode(data)?;
    let value = shown(&schema, &datum);
    Ok((schema, value))
}

fn everything() -> Schema {
    schema(&json!({"type": "struct", "name": "shop.v1.Order", "fields": [
        {"field": "tiny", "type": "int8"}, {"field": "id", "type": "int64"},
        {"field": "note", "type": "string", "optional": true},
        {"field": "price", "type": "bytes", "name": DECIMAL, "version": 1,
            "parameters": {"scale": "2", "connect.decimal.precision": "9"}},
        {"field": "day", "type": "int32", "name": DATE, "optional": true}, {"field": "time", "type": "int32", "name": TIME},
        {"field": "at", "type": "int64", "name": TIMESTAMP},
        {"field": "tags", "type": "array", "items": {"type": "string"}},
        {"field": "sums", "type": "array", "items": {"type": "int32"}},
        {"field": "counts", "type": "map", "name": "shop.v1.order_counts", "keys": {"type": "string"}, "values": {"type": "double"}},
        {"field": "Line", "type": "struct", "name": "shop.v1.Line", "optional": true, "fields": [{"field": "sku", "type": "string"}]},
        {"field": "more", "type": "array", "items": {"type": "struct", "fields": [{"field": "ok", "type": "boolean"}]}},
        {"field": "state", "type": "string", "name": "State", "parameters": {
            "io.confluent.connect.protobuf.Enum": "State", "io.confluent.connect.protobuf.Enum.SHUT": "7",
            "io.confluent.connect.protobuf.Enum.OPEN": "0"}},
        {"field": "payer_0", "type": "struct", "name": "io.confluent.connect.protobuf.Union.payer", "optional": true, "fields": [
            {"field": "name", "type": "string", "optional": true}, {"field": "card", "type": "int64", "optional": true}]},
    ]}))
}

fn everything_value() -> Value {
    json!({"tiny": -3, "id": 300, "note": null, "price": "BNI=", "day": 20_000, "time": 3_723_004, "at": -1,
        "tags": ["a", ""], "sums": [1, -1], "counts": {"x": 1.5, "y": 0.0}, "Line": {"sku": "s"}, "more": [{"ok": true}, {"ok": false}],
        "state": "SHUT", "payer_0": {"name": null, "card": 0}})
}

#[test]
fn schemas_are_rendered_as_protobuf_data_renders_them() {
    let (file, _, _) = written(&everything(), SETTINGS, &everything_value());
    let text = r#"syntax = "proto3";
package shop.v1;

import "confluent/type/decimal.proto";
import "google/type/date.proto";
import "google/type/timeofday.proto";
import "google/protobuf/timestamp.proto";

message Order {
  int32 tiny = 1 [(confluent.field_meta) = {
    params: [
      {
        key: "connect.type",
        value: "int8"
      }
    ]
  }];
  int64 id = 2;
  optional string note = 3;
  confluent.type.Decimal price = 4 [(confluent.field_meta) = {
    params: [
      {
        value: "9",
        key: "precision"
      },
      {
        value: "2",
        key: "scale"
      }
    ]
  }];
  optional google.type.Date day = 5;
  google.type.TimeOfDay time = 6;
  google.protobuf.Timestamp at = 7;
  repeated string tags = 8;
  repeated int32 sums = 9;
  repeated OrderCountsEntry counts = 10;
  optional LineMessage Line = 11;
  repeated ConnectDefault1 more = 12;
  State state = 13;

  oneof payer {
    string name = 14;
    int64 card = 15;
  }

  message OrderCountsEntry {
    string key = 1;
    double value = 2;
  }
  message LineMessage {
    string sku = 1;
  }
  message ConnectDefault1 {
    bool ok = 1;
  }
  enum State {
    OPEN = 0;
    SHUT = 7;
  }
}
"#;
    assert_eq!(file.canonical(), text);
    // As Confluent's converter renders it, what may be null is not marked.
    let plain = from_connect(&everything(), CONFLUENT, false).unwrap_or_else(|fault| panic!("{}", fault.reason));
    assert_eq!(parse(&plain.text).canonical(), text.replace("optional ", ""));
    let wrapped = Protobuf { wrapped_nullables: true, ..CONFLUENT };
    let wrapped = from_connect(&everything(), wrapped, false).unwrap_or_else(|fault| panic!("{}", fault.reason));
    let wrapped = parse(&wrapped.text).canonical();
    assert!(wrapped.contains("  google.protobuf.StringValue note = 3;"), "{wrapped}");
}

#[test]
fn data_come_back_as_they_went() {
    let wrapped = Protobuf { wrapped_nullables: true, ..CONFLUENT };
    for settings in [SETTINGS, wrapped] {
        let (file, message, data) = written(&everything(), settings, &everything_value());
        let (read_schema, value) =
            read(&file, &message, settings, &data).unwrap_or_else(|fault| panic!("{}", fault.reason));
        // A oneof stands before the fields, under its own name.
        let mut expected = everything_value();
        let union = expected.as_object_mut().and_then(|fields| fields.shift_remove("payer_0")).expect("there");
        assert_eq!(value["payer_0"], union);
        for (name, field) in expected.as_object().expect("a struct") {
            assert_eq!(value[name], *field, "{name}");
        }
        let of =
            |name: &str| read_schema.fields().iter().find(|field| *field.name == *name).expect("there").schema.clone();
        assert_eq!(read_schema.name.as_deref(), Some("Order"));
        assert_eq!((of("tiny").kind.name(), of("tiny").optional), ("int8", false));
        assert_eq!(of("price").parameters["connect.decimal.precision"], "9");
        assert_eq!(of("counts").name.as_deref(), Some("order_counts"));
        assert_eq!(
            (of("note").optional, of("id").parameters["io.confluent.connect.protobuf.Tag"].as_str()),
            (true, "2")
        );
        assert_eq!(of("state").parameters["io.confluent.connect.protobuf.Enum.SHUT"], "7");
    }
    // Without either setting a null of a scalar comes back as what stands where nothing does, and everything may be null.
    let (file, message, data) = written(&everything(), CONFLUENT, &everything_value());
    let (read_schema, value) =
        read(&file, &message, CONFLUENT, &data).unwrap_or_else(|fault| panic!("{}", fault.reason));
    assert_eq!((&value["note"], value["day"].as_i64()), (&json!(""), Some(20_000)));
    assert!(read_schema.fields().iter().all(|field| field.schema.optional));
    let named = Protobuf { full_names: true, numbered_unions: false, enums_as_numbers: true, ..SETTINGS };
    let (read_schema, value) = read(&file, &message, named, &data).unwrap_or_else(|fault| panic!("{}", fault.reason));
    assert_eq!((read_schema.name.as_deref(), &value["state"]), (Some("shop.v1.Order"), &json!(7)));
    assert_eq!(value["payer"]["card"], 0);
    assert_eq!(
        read_schema.fields()[0].schema.name.as_deref(),
        Some("io.confluent.connect.protobuf.Union.shop.v1.Order.payer")
    );
}

#[test]
fn bytes_are_protobufs() {
    let schema = schema(&json!({"type": "struct", "fields": [
        {"field": "a", "type": "int32"}, {"field": "b", "type": "string", "optional": true}, {"field": "c", "type": "array", "items": {"type": "int64"}},
        {"field": "d", "type": "map", "keys": {"type": "int32"}, "values": {"type": "boolean"}}, {"field": "e", "type": "float"}]}));
    let check = |value: Value, expected: &[u8]| assert_eq!(written(&schema, SETTINGS, &value).2, expected, "{value}");
    check(json!({"a": 0, "b": null, "c": [], "d": [], "e": 0.0}), &[]);
    check(json!({"a": 0, "b": "", "c": [], "d": [], "e": 0.0}), &[0x12, 0]);
    check(
        json!({"a": 150, "b": null, "c": [0, 300], "d": [[1, false]], "e": 1.0}),
        &[8, 0x96, 1, 0x1a, 3, 0, 0xac, 2, 0x22, 2, 8, 1, 0x2d, 0, 0, 0x80, 0x3f],
    );
    let mut places = Vec::new();
    for (list, expected) in [(vec![0], vec![0]), (vec![1], vec![2, 2]), (vec![1, 0, 64], vec![6, 2, 0, 0x80, 1])] {
        places.clear();
        write_places(&list, &mut places);
        assert_eq!(places, expected);
        places.push(9);
        assert_eq!(read_places(&places).expect("places"), (list, &[9][..]));
    }
    assert_eq!(read_places(&[2, 0, 7]).expect("the longer form").0, [0]);
    for wrong in [&[1][..], &[0x82, 1], &[4, 2], &[]] {
        assert!(read_places(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn what_is_no_struct_is_a_message_of_googles() {
    for (kind, value, message, data) in [
        ("string", json!("k"), "google.protobuf.StringValue", vec![10, 1, b'k']),
        ("int16", json!(3), "google.protobuf.Int32Value", vec![8, 3]),
        ("bytes", json!("AQ=="), "google.protobuf.BytesValue", vec![10, 1, 1]),
        ("double", json!(0.0), "google.protobuf.DoubleValue", vec![]),
    ] {
        let schema = schema(&json!({"type": kind}));
        let (file, name, written) = written(&schema, SETTINGS, &value);
        assert_eq!((name.as_str(), &written), (message, &data), "{kind}");
        assert_eq!(read(&file, message, SETTINGS, &data).unwrap_or_else(|fault| panic!("{}", fault.reason)).1, value);
        let plain = Protobuf { wrapped_roots: false, ..SETTINGS };
        assert_eq!(
            read(&file, message, plain, &data).unwrap_or_else(|fault| panic!("{}", fault.reason)).1,
            json!({"value": value})
        );
    }
    let file = parse(
        &from_connect(&schema(&json!({"type": "string"})), SETTINGS, false).unwrap_or_else(|_| panic!("no text")).text,
    );
    assert!(file.canonical().starts_with("syntax = \"proto3\";\npackage google.protobuf;\n\noption java_package = "));
    assert_eq!(file.message("google.protobuf.StringValue").and_then(|message| file.places_of(&message)), Some(vec![7]));
}

/// A field of these bytes.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_delimited(&mut out, number, |out| {
        out.extend_from_slice(bytes);
        Ok(())
    })
    .unwrap_or_else(|fault| panic!("{}", fault.reason));
    out
}

fn varint(number: u32, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_key(&mut out, number, VARINT);
    write_varint(&mut out, value);
    out
}

#[test]
fn messages_of_other_producers_are_read() {
    let file = parse(
        r#"syntax = "proto3"; package p; import "google/protobuf/wrappers.proto"; import "google/protobuf/timestamp.proto";
        import "confluent/type/decimal.proto";
        message First {}
        message Outer {
          message Inner { int32 n = 1; string s = 2; }
          repeated sint32 packed = 2; Inner inner = 1; map<string, Inner> inners = 3;
          oneof which { string text = 4; Inner message = 5; } optional int32 maybe = 6; int32 plain = 7;
          google.protobuf.StringValue wrapped = 8; Kind kind = 9; fixed32 fixed = 10; google.protobuf.Timestamp at = 11;
          confluent.type.Decimal amount = 12; uint64 large = 13;
          enum Kind { NONE = 0; SOME = 1; }
        }"#,
    );
    assert_eq!(file.message_at(&[1]).map(|message| message.full_name().to_owned()).as_deref(), Some("p.Outer"));
    // The entries of the map are no message that anybody has written.
    assert_eq!(
        file.message_at(&[1, 0]).map(|message| message.full_name().to_owned()).as_deref(),
        Some("p.Outer.Inner")
    );
    assert!(file.message_at(&[1, 1]).is_none() && file.message_at(&[2]).is_none());
    let check = |parts: &[Vec<u8>], expected: Value| {
        let (_, value) = read(&file, "p.Outer", SETTINGS, &parts.concat())
            .unwrap_or_else(|fault| panic!("{}: {expected}", fault.reason));
        for (name, field) in expected.as_object().expect("fields") {
            assert_eq!(value[name], *field, "{name} of {value}");
        }
    };
    let nothing = json!({"packed": [], "inner": null, "inners": {}, "which_0": null, "maybe": null, "plain": 0, "wrapped": null,
        "kind": "NONE", "fixed": 0, "at": null, "amount": null, "large": 0});
    check(&[], nothing.clone());
    // What nobody knows is passed over, in every form, and so is what has another form than its field.
    let group = [vec![0xa3, 6], varint(1, 1), vec![0xab, 6, 0xac, 6], vec![0xa4, 6]].concat();
    check(&[varint(99, 1), field(98, b"x"), group, vec![0x3d, 1, 2, 3, 4], field(7, b"x")], nothing);
    check(&[field(2, &[1, 2]), varint(2, 5), field(2, &[0])], json!({"packed": [-1, 1, -3, 0]}));
    // A message that comes twice is taken together; of scalars the last counts.
    check(&[field(1, &varint(1, 7)), field(1, &field(2, b"s"))], json!({"inner": {"n": 7, "s": "s"}}));
    check(&[varint(7, 1), varint(6, 0), varint(7, 2)], json!({"plain": 2, "maybe": 0}));
    check(&[field(4, b"t"), field(5, &varint(1, 1))], json!({"which_0": {"text": null, "message": {"n": 1, "s": ""}}}));
    check(
        &[field(5, &varint(1, 1)), field(4, b""), field(5, &[])],
        json!({"which_0": {"text": null, "message": {"n": 0, "s": ""}}}),
    );
    let entry = |key: &[u8], value: &[u8]| field(3, &[field(1, key), field(2, value)].concat());
    check(
        &[entry(b"a", &varint(1, 1)), field(3, &[]), entry(b"a", &varint(1, 2))],
        json!({"inners": {"": {"n": 0, "s": ""}, "a": {"n": 2, "s": ""}}}),
    );
    check(&[field(8, &field(1, b"w")), varint(9, 1)], json!({"wrapped": {"value": "w"}, "kind": "SOME"}));
    check(
        &[varint(9, 5), vec![0x55, 255, 255, 255, 255]],
        json!({"kind": "UNKNOWN_ENUM_VALUE_Kind_5", "fixed": 4_294_967_295u32}),
    );
    check(
        &[field(11, &[varint(1, 2), varint(2, 1_999_999)].concat()), varint(13, u64::MAX)],
        json!({"at": 2001, "large": -1}),
    );
    let amount = |scale: u64| field(12, &[field(1, &[0x04, 0xd2]), varint(3, scale)].concat());
    check(&[amount(0)], json!({"amount": "BNI="}));
    for (parts, said) in [
        (vec![amount(2)], "a decimal has other places"),
        (vec![amount(u64::from(i32::MAX.unsigned_abs()))], "a decimal has other places"),
        (vec![field(4, &[0xff])], "not UTF-8"),
        (vec![vec![0x3c]], "no Protobuf"),
        (vec![vec![0]], "no Protobuf"),
        (vec![vec![0x12, 5, 1]], "no Protobuf"),
        (vec![vec![0xa3, 6]], "no Protobuf"),
        (vec![[0xa3, 6].repeat(100_000)], "no Protobuf"),
    ] {
        let fault = read(&file, "p.Outer", SETTINGS, &parts.concat()).expect_err(said);
        assert!(fault.reason.contains(said), "{}", fault.reason);
    }
}

#[test]
fn proto2_has_fields_that_must_be_there_and_groups() {
    let file = parse(
        "message M { required int32 id = 1; optional string s = 2 [default = \"d\"]; optional group G = 3 { optional int32 n = 1; } \
         enum E { B = 3; A = 1; } repeated E es = 4; }",
    );
    let data = [varint(1, 5), vec![0x1b], varint(1, 2), vec![0x1c], varint(4, 1)].concat();
    let (schema, value) = read(&file, "M", SETTINGS, &data).unwrap_or_else(|fault| panic!("{}", fault.reason));
    assert_eq!(value, json!({"id": 5, "s": null, "g": {"n": 2}, "es": ["A"]}));
    assert!(!schema.fields()[0].schema.optional);
    let fault = read(&file, "M", SETTINGS, &[]).expect_err("required");
    assert!(fault.reason.contains("is missing"), "{}", fault.reason);
}

#[test]
fn schemas_that_connect_or_protobuf_do_not_have_are_refused() {
    let file = parse("syntax = \"proto3\"; message A { B b = 1; } message B { repeated A a = 1; }");
    let fault = read(&file, "A", SETTINGS, &[]).expect_err("it contains itself");
    assert!(fault.reason.contains("field b: field a: the message A contains itself"), "{}", fault.reason);
    for (text, said) in [
        (json!({"type": "array", "items": {"type": "string"}}), "must be a field of a struct"),
        (json!({"type": "struct", "fields": [{"field": "a-b", "type": "string"}]}), "scrub.invalid.names"),
        (json!({"type": "struct", "name": "a.1", "fields": []}), "is no name that Protobuf allows"),
        (
            json!({"type": "struct", "fields": [{"field": "f", "type": "array", "items": {"type": "array", "items": {"type": "string"}}}]}),
            "field f: Protobuf has no arrays of arrays",
        ),
        (
            json!({"type": "struct", "fields": [{"field": "a", "type": "struct", "name": "N", "fields": []},
                {"field": "b", "type": "struct", "name": "N", "fields": [{"field": "x", "type": "string"}]}]}),
            "field b: two schemas that differ are both named N",
        ),
    ] {
        let fault = from_connect(&schema(&text), SETTINGS, false).err().expect(said);
        assert!(fault.reason.contains(said), "{}", fault.reason);
    }
    let scrubbed = schema(
        &json!({"type": "struct", "name": "my-shop.1st", "fields": [{"field": "a b", "type": "string"}, {"field": "_c", "type": "string"}]}),
    );
    let rendered = from_connect(&scrubbed, SETTINGS, true).unwrap_or_else(|fault| panic!("{}", fault.reason));
    assert_eq!(
        parse(&rendered.text).canonical(),
        "syntax = \"proto3\";\npackage my_shop;\n\nmessage x1st {\n  string a_b = 1;\n  string x_c = 2;\n}\n"
    );
}

/// Numbers of which each follows from the one before: the seed tells all of them.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn number(&mut self, bits: u64) -> i64 {
        let shift = 64 - bits + self.roll(bits);
        (self.roll(u64::MAX).cast_signed()) >> shift
    }

    fn schema(&mut self, depth: u64) -> Schema {
        let kinds = if depth == 0 { 13 } else { 16 };
        let schema = match self.roll(kinds) {
            0 => Schema::new(Type::Int8),
            1 => Schema::new(Type::Int16),
            2 => Schema::new(Type::Int32),
            3 => Schema::new(Type::Int64),
            4 => Schema::new(Type::Float32),
            5 => Schema::new(Type::Float64),
            6 => Schema::new(Type::Boolean),
            7 => Schema::new(Type::String),
            8 => Schema::new(Type::Bytes),
            9 => Schema::new(Type::Bytes).named(DECIMAL, 1).parameter("scale", self.roll(5).to_string()),
            10 => Schema::new(Type::Int32).named(DATE, 1),
            11 => Schema::new(Type::Int32).named(TIME, 1),
            12 => Schema::new(Type::Int64).named(TIMESTAMP, 1),
            13 => {
                let mut items = self.schema(depth - 1);
                while matches!(items.kind, Type::Array(_) | Type::Map(..)) {
                    items = self.schema(depth - 1);
                }
                items.optional = false;
                return Schema::new(Type::Array(items.into()));
            }
            14 => {
                let keys = [Type::String, Type::Int32, Type::Int64, Type::Boolean];
                let keys = Schema::new(keys[self.roll(4) as usize].clone());
                let mut values = self.schema(0);
                values.optional = false;
                return Schema::new(Type::Map(keys.into(), values.into()));
            }
            _ => self.record(depth - 1),
        };
        if self.roll(3) == 0 { schema.optional() } else { schema }
    }

    fn record(&mut self, depth: u64) -> Schema {
        let count = self.roll(6);
        let field =
            |dice: &mut Self, place| Field { name: format!("f{place}").into(), schema: dice.schema(depth).into() };
        Schema::new(Type::Struct((0..count).map(|place| field(self, place)).collect()))
    }

    fn datum(&mut self, schema: &Schema, out: &mut Vec<u8>) {
        if schema.optional {
            let null = self.roll(3) == 0;
            write_long(out, i64::from(!null));
            if null {
                return;
            }
        }
        match (&schema.kind, schema.name.as_deref()) {
            (_, Some(DATE)) => write_long(out, self.roll(40_000).cast_signed() - 20_000),
            (_, Some(TIME)) => write_long(out, self.roll(86_400_000).cast_signed()),
            (_, Some(TIMESTAMP)) => write_long(out, self.number(45)),
            (Type::Int8, _) => write_long(out, self.number(8)),
            (Type::Int16, _) => write_long(out, self.number(16)),
            (Type::Int32, _) => write_long(out, self.number(32)),
            (Type::Int64, _) => write_long(out, self.number(64)),
            (Type::Float32, _) => write_float(out, self.number(20) as f32),
            (Type::Float64, _) => write_double(out, self.number(50) as f64 / 8.0),
            (Type::Boolean, _) => out.push(self.roll(2) as u8),
            (Type::String, _) => {
                let length = self.roll(8) as usize;
                write_bytes(out, "grüße".chars().cycle().take(length).collect::<String>().as_bytes());
            }
            (Type::Bytes, _) => {
                // One byte at least, which a decimal has.
                let bytes: Vec<u8> = (0..=self.roll(4)).map(|_| self.roll(256) as u8).collect();
                write_bytes(out, &bytes);
            }
            (Type::Array(items), _) => {
                let count = self.roll(4);
                if count > 0 {
                    write_long(out, count.cast_signed());
                    (0..count).for_each(|_| self.datum(items, out));
                }
                write_long(out, 0);
            }
            (Type::Map(keys, values), _) => {
                let count = self.roll(3);
                if count > 0 {
                    write_long(out, count.cast_signed());
                }
                for place in 0..count {
                    match keys.kind {
                        Type::String => write_bytes(out, place.to_string().as_bytes()),
                        Type::Boolean => out.push(place as u8),
                        _ => write_long(out, place.cast_signed()),
                    }
                    self.datum(values, out);
                }
                write_long(out, 0);
            }
            (Type::Struct(fields), _) => fields.iter().for_each(|field| self.datum(&field.schema, out)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A failure names the seed, of which schema and data follow.
    #[test]
    fn random_data_come_back_and_broken_ones_do_no_harm(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let schema = dice.record(3);
        let mut datum = Vec::new();
        dice.datum(&schema, &mut datum);
        let settings = Protobuf { wrapped_nullables: dice.roll(2) == 0, ..SETTINGS };
        let rendered = from_connect(&schema, settings, false).map_err(|fault| TestCaseError::fail(fault.reason))?;
        let file = parse(&rendered.text);
        let message = file.message(&rendered.message).expect("the message");
        let mut data = Vec::new();
        let encoder = Encoder::new(&schema, &message, false).map_err(|fault| TestCaseError::fail(fault.reason))?;
        encoder.write(&datum, &mut data).map_err(|fault| TestCaseError::fail(fault.reason))?;
        let (read, decoder) = to_connect(&file, &message, settings).map_err(|fault| TestCaseError::fail(fault.reason))?;
        let back = decoder.decode(&data).map_err(|fault| TestCaseError::fail(fault.reason))?;
        prop_assert_eq!(shown(&read, &back), shown(&schema, &datum));
        // What was read is written again as it was.
        let mut again = Vec::new();
        let encoder = Encoder::new(&read, &message, false).map_err(|fault| TestCaseError::fail(fault.reason))?;
        encoder.write(&back, &mut again).map_err(|fault| TestCaseError::fail(fault.reason))?;
        prop_assert_eq!(&again, &data);
        for _ in 0..20 {
            let mut broken = data.clone();
            for _ in 0..=dice.roll(4) {
                let at = dice.roll(broken.len() as u64 + 1) as usize;
                match dice.roll(3) {
                    0 => broken.truncate(at),
                    1 => broken.insert(at, dice.roll(256) as u8),
                    _ => broken.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << dice.roll(8)),
                }
            }
            if let Ok(datum) = decoder.decode(&broken) {
                shown(&read, &datum);
            }
            let cut = datum.get(..dice.roll(datum.len() as u64 + 1) as usize).unwrap_or_default();
            drop(encoder.write(cut, &mut Vec::new()));
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (file, message, _) = written(&everything(), SETTINGS, &everything_value());
        if let Ok((_, value)) = read(&file, &message, SETTINGS, &bytes) {
            prop_assert!(value.is_object());
        }
        drop(read_places(&bytes));
    }
}

#[test]
fn a_key_holds_number_and_form() {
    let mut out = Vec::new();
    write_key(&mut out, 2, DELIMITED);
    write_key(&mut out, 536_870_911, FIXED32);
    assert_eq!(out, [0x12, 0xfd, 0xff, 0xff, 0xff, 0x0f]);
}
