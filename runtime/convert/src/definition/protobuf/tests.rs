//! What is a schema in Protobuf's language, how it is printed, where its imports lead, and Confluent's rules change by change.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::{ProtobufSchema, cannot_read};
use crate::definition::Referenced;

fn parse(text: &str, others: &[(&str, &str)]) -> ProtobufSchema {
    let referenced: Vec<_> =
        others.iter().map(|(name, text)| Referenced { name: (*name).into(), text: (*text).into() }).collect();
    ProtobufSchema::parse(text, &referenced).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What keeps `new` from reading what `old` allowed: kinds, and where.
fn check_all(old: &ProtobufSchema, new: &ProtobufSchema, expected: &[&str]) {
    let found: Vec<String> = cannot_read(new, old)
        .iter()
        .map(|difference| {
            let path = difference.description.split('\'').nth(1).unwrap_or_default();
            format!("{} {path}", difference.kind)
        })
        .collect();
    assert!(found == expected, "{found:?} and not {expected:?}: {} reads {}", new.canonical(), old.canonical());
}

fn check(old: &str, new: &str, expected: &[&str]) {
    let [old, new] = [old, new].map(|body| parse(&format!("syntax = \"proto3\"; package shop; {body}"), &[]));
    check_all(&old, &new, expected);
}

/// A message of these fields.
fn check_fields(old: &str, new: &str, expected: &[&str]) {
    check(&format!("message M {{ {old} }}"), &format!("message M {{ {new} }}"), expected);
}

const EVERYTHING: &str = r#"// Not kept.
syntax = "proto2";
package shop.v1;
import "google/protobuf/descriptor.proto"; import public "google/type/date.proto";
import "lint.proto";
option java_package = "com.shop"; option optimize_for = SPEED; option (lint.rule).level = -3;
message Order { // nor this
  reserved 20, 30 to 40; reserved "old", 'older';
  extensions 100 to 199, 500 to max;
  option deprecated = true;
  optional int32 id = 1 [default = 5, deprecated = true, json_name = "ID"];
  repeated sint64 sums = 2 [packed=true];
  map<string, Line> lines = 3;
  oneof payer { option (x) = "it's"; string name = 4; group Card = 5 { required string number = 1; } }
  required .google.type.Date date = 6 [(confluent.field_meta) = { doc: "a \"day\"" params: [{key: "k", value: "v"}] tags: "T" tags: "U" }];
  message Line { optional bytes sku = 1 [default = "\001a"]; enum Kind { NEW = 0; } }
  optional State state = 7 [default = OPEN];
  extend google.protobuf.FieldOptions { optional string unit = 50001; }
}
enum State { option allow_alias = true; reserved -2; OPEN = 1 [deprecated = true]; SHUT = 2; CLOSED = 2; }
extend Order { repeated int32 extra = 100; }
service Orders { option deprecated = true; rpc Get (Order) returns (stream Order) { option idempotency_level = IDEMPOTENT; } rpc Put (stream Order) returns (Order); }
"#;

const PRINTED: &str = r#"syntax = "proto2";
package shop.v1;

import "google/protobuf/descriptor.proto";
import "lint.proto";
import public "google/type/date.proto";

option java_package = "com.shop";
option optimize_for = SPEED;
option (lint.rule).level = -3;

message Order {
  reserved 20, 30 to 40;
  reserved "old", "older";

  option deprecated = true;

  optional int32 id = 1 [
    deprecated = true,
    default = 5,
    json_name = "ID"
  ];
  repeated sint64 sums = 2 [packed = true];
  map<string, Line> lines = 3;
  required .google.type.Date date = 6 [(confluent.field_meta) = {
    doc: "a \"day\"",
    params: [
      {
        key: "k",
        value: "v"
      }
    ],
    tags: [
      "T",
      "U"
    ]
  }];
  optional State state = 7 [default = OPEN];

  oneof payer {
    option (x) = "it\'s";
  
    string name = 4;
    group Card = 5 {
      required string number = 1;
    }
  }

  extensions 100 to 199, 500 to max;

  extend google.protobuf.FieldOptions {
    optional string unit = 50001;
  }

  message Line {
    optional bytes sku = 1 [default = "\001a"];
  
    enum Kind {
      NEW = 0;
    }
  }
}
enum State {
  reserved -2;
  option allow_alias = true;
  OPEN = 1 [deprecated = true];
  SHUT = 2;
  CLOSED = 2;
}

extend Order {
  repeated int32 extra = 100;
}

service Orders {
  option deprecated = true;

  rpc Get (Order) returns (stream Order) {
    option idempotency_level = IDEMPOTENT;
  };
  rpc Put (stream Order) returns (Order);
}
"#;

#[test]
fn texts_are_printed_as_confluents_registry_prints_them() {
    let schema = parse(EVERYTHING, &[]);
    assert_eq!(schema.canonical(), PRINTED);
    assert_eq!(parse(PRINTED, &[]).canonical(), PRINTED, "what was printed is printed again as it is");
    assert_eq!(schema.name(), Some("shop.v1.Order"));
    let bare = parse("message A {} message B { optional A a = 1; }", &[]);
    assert_eq!(bare.canonical(), "\nmessage A {}\nmessage B {\n  optional A a = 1;\n}\n");
    assert_eq!(parse("syntax = \"proto3\"; enum E { X = 0; }", &[]).name(), Some("E"));
}

#[test]
fn the_normal_form_has_names_in_full_and_is_in_order() {
    let text = r#"syntax = "proto3"; package a.b;
        import "google/type/date.proto"; import "confluent/meta.proto";
        message M {
          reserved "z"; reserved 9, 4 to 5; reserved 1;
          oneof two { N n = 8; } oneof one { string s = 7; int32 i = 6; }
          map<string, N> names = 3;
          optional N third = 2 [json_name = "x", (confluent.field_meta).tags = "U", (confluent.field_meta).tags = "T", deprecated = true];
          message N { google.type.Date date = 1; }
        }
        enum E { A = 0; C = 2; B = 1; }"#;
    let normal = r#"syntax = "proto3";
package a.b;

import "confluent/meta.proto";
import "google/type/date.proto";

message M {
  reserved 1;
  reserved 4 to 5;
  reserved 9;
  reserved "z";

  optional .a.b.M.N third = 2 [
    (confluent.field_meta) = {
      tags: [
        "U",
        "T"
      ]
    },
    deprecated = true,
    json_name = "x"
  ];
  map<string, .a.b.M.N> names = 3;

  oneof one {
    int32 i = 6;
    string s = 7;
  }
  oneof two {
    .a.b.M.N n = 8;
  }

  message N {
    .google.type.Date date = 1;
  }
}
enum E {
  A = 0;
  B = 1;
  C = 2;
}
"#;
    assert_eq!(parse(text, &[]).normalized(), normal);
    assert_eq!(parse(normal, &[]).normalized(), normal);
}

#[test]
fn serialized_files_are_taken_and_given() {
    let file = r#"syntax = "proto3"; package shop;
        import "confluent/meta.proto";
        message Order { map<string, int32> counts = 1 [(confluent.field_meta) = { params: [{key: "scale", value: "2"}] }]; }"#;
    let schema = parse(file, &[]);
    let sent = parse(&schema.serialized(), &[]);
    // Whoever sends a descriptor has names in full, and entries of maps are messages.
    let printed = "syntax = \"proto3\";\npackage shop;\n\nimport \"confluent/meta.proto\";\n\nmessage Order {\n  repeated \
                   .shop.Order.CountsEntry counts = 1;\n\n  message CountsEntry {\n    option map_entry = true;\n  \n    \
                   string key = 1 [json_name = \"key\"];\n    int32 value = 2 [json_name = \"value\"];\n  }\n}\n";
    assert_eq!(sent.canonical(), printed);
    assert_eq!(parse(printed, &[]).canonical(), printed);
    check_all(&schema, &sent, &[]);
    check_all(&sent, &schema, &[]);
    assert!(sent.normalized().contains("  map<string, int32> counts = 1;\n"), "{}", sent.normalized());

    let mut pool = prost_reflect::DescriptorPool::global();
    let others = ["confluent/meta.proto"].map(|name| super::known::file(name).expect("known"));
    pool.add_file_descriptor_protos(others).expect("they fit");
    let options = r#"syntax = "proto3"; import "confluent/meta.proto"; option java_package = "p"; option deprecated = true;
        message M { option (confluent.message_meta) = { doc: "d" }; int32 i = 1; }"#;
    let kind = pool.get_message_by_name("google.protobuf.FileDescriptorSet").expect("known");
    let mut set = prost_reflect::DynamicMessage::new(kind);
    let mut file = protox_parse::parse("f.proto", options).expect("a file");
    (file.options, file.message_type[0].options) = (None, None);
    set.transcode_from(&FileDescriptorSet { file: vec![file] }).expect("the same");
    let meta = pool.get_extension_by_name("confluent.message_meta").expect("known");
    let mut value = prost_reflect::DynamicMessage::new(pool.get_message_by_name("confluent.Meta").expect("known"));
    value.set_field_by_name("doc", prost_reflect::Value::String("d".into()));
    let file = set.get_field_by_name_mut("file").and_then(|files| files.as_list_mut()).expect("a list");
    let file = file[0].as_message_mut().expect("a file");
    let set_option = |of: &mut prost_reflect::DynamicMessage, set: &dyn Fn(&mut prost_reflect::DynamicMessage)| {
        set(of.get_field_by_name_mut("options").and_then(|options| options.as_message_mut()).expect("options"));
    };
    set_option(file, &|options| {
        options.set_field_by_name("deprecated", prost_reflect::Value::Bool(true));
        options.set_field_by_name("java_package", prost_reflect::Value::String("p".into()));
    });
    let message = file.get_field_by_name_mut("message_type").and_then(|list| list.as_list_mut()).expect("a list");
    set_option(message[0].as_message_mut().expect("a message"), &|options| {
        options.set_extension(&meta, prost_reflect::Value::Message(value.clone()));
    });
    let sent = STANDARD.encode(file.encode_to_vec());
    assert_eq!(
        parse(&sent, &[]).canonical(),
        "syntax = \"proto3\";\n\nimport \"confluent/meta.proto\";\n\noption java_package = \"p\";\noption deprecated = \
         true;\n\nmessage M {\n  option (confluent.message_meta) = {\n    doc: \"d\"\n  };\n\n  int32 i = 1;\n}\n"
    );
}

#[test]
fn what_is_no_schema_is_refused_with_its_place() {
    for (text, said) in [
        ("syntax = \"proto3\";\nmessage M {\n  string s = 1\n}", "line 4, column 1: expected"),
        ("syntax = \"proto4\";", "line 1, column 10: unknown syntax 'proto4'"),
        ("syntax = \"proto3\";\nmessage M { N n = 1; }", "line 2, column 13: name 'N' is not defined"),
        ("import \"n.proto\"; message M { optional N n = 1; }", "nor known: n.proto"),
        (
            "syntax = \"proto3\"; message M { string a = 1; string b = 1; }",
            "line 1, column 57: field number '1' is already used",
        ),
        ("syntax = \"proto3\"; message M {} message M {}", "'M' is defined twice"),
        ("{\"type\": \"string\"}", "line 1, column 1: expected"),
        ("aGFsbG8=", "line 1, column 1: expected"),
    ] {
        let error = ProtobufSchema::parse(text, &[]).expect_err(text).to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    let cycle = Referenced { name: "a.proto".into(), text: "import \"a.proto\"; message A {}".into() };
    let error = ProtobufSchema::parse("import \"a.proto\"; message M { optional A a = 1; }", &[cycle]);
    assert!(error.expect_err("a cycle").to_string().contains("imports itself"));
    let broken = Referenced { name: "a.proto".into(), text: "message A {".into() };
    let error = ProtobufSchema::parse("import \"a.proto\"; message M {}", &[broken]).expect_err("broken");
    assert!(error.to_string().contains("in \"a.proto\""), "{error}");
}

#[test]
fn imports_lead_to_other_files_and_to_those_that_are_known() {
    let line = (
        "shop/line.proto",
        "syntax = \"proto3\"; package shop; import public \"base.proto\"; message Line { Unit unit = 1; }",
    );
    let base = ("base.proto", "syntax = \"proto3\"; package shop; enum Unit { PIECE = 0; }");
    let text = "syntax = \"proto3\"; import \"shop/line.proto\"; message Order { repeated shop.Line lines = 1; shop.Unit unit = 2; }";
    parse(text, &[base, line]);
    // In whatever order, and twice over.
    parse(&text.replace("import", "import \"base.proto\"; import"), &[line, base]);
    for (file, message) in [
        ("google/protobuf/timestamp.proto", "google.protobuf.Timestamp"),
        ("google/protobuf/wrappers.proto", "google.protobuf.StringValue"),
        ("google/type/timeofday.proto", "google.type.TimeOfDay"),
        ("google/type/postal_address.proto", "google.type.PostalAddress"),
        ("confluent/meta.proto", "confluent.Meta"),
        ("confluent/type/decimal.proto", "confluent.type.Decimal"),
    ] {
        let text = format!("syntax = \"proto3\"; import \"{file}\"; message M {{ {message} m = 1; }}");
        // Some clients register what is known, too.
        parse(&text, &[(file, "not looked at")]);
    }
}

#[test]
fn changes_are_told_by_confluents_names() {
    check_fields("string a = 1;", "string a = 1; int32 b = 2;", &[]);
    check_fields("string a = 1; int32 b = 2;", "string a = 1;", &[]);
    check_fields("string a = 1;", "bytes other = 1;", &[]);
    check_fields("int32 a = 1;", "uint64 a = 1;", &[]);
    check_fields("bool a = 1;", "E a = 1; enum E { X = 0; }", &[]);
    check_fields("int32 a = 1;", "sint32 a = 1;", &["FIELD_SCALAR_KIND_CHANGED #/M/1"]);
    check_fields("fixed32 a = 1;", "sfixed32 a = 1;", &[]);
    check_fields("fixed32 a = 1;", "fixed64 a = 1;", &["FIELD_SCALAR_KIND_CHANGED #/M/1"]);
    check_fields("float a = 1;", "double a = 1;", &["FIELD_SCALAR_KIND_CHANGED #/M/1"]);
    check_fields("string a = 1;", "int32 a = 1;", &["FIELD_SCALAR_KIND_CHANGED #/M/1"]);
    check_fields("optional int32 a = 1;", "repeated int32 a = 1;", &["FIELD_NUMERIC_LABEL_CHANGED #/M/1"]);
    check_fields("optional string a = 1;", "repeated string a = 1;", &[]);
    check_fields("string a = 1;", "N a = 1; message N {}", &["FIELD_KIND_CHANGED #/M/1"]);
    check_fields("map<string, int32> a = 1;", "map<string, uint32> a = 1;", &[]);
    check_fields("map<string, int32> a = 1;", "map<string, string> a = 1;", &["FIELD_SCALAR_KIND_CHANGED #/M/1"]);
    check_fields("map<string, int32> a = 1;", "string a = 1;", &["FIELD_KIND_CHANGED #/M/1"]);
    check_fields(
        "N a = 1; message N {} message O {}",
        "O a = 1; message N {} message O {}",
        &["FIELD_NAMED_TYPE_CHANGED #/M/1"],
    );
    check_fields("message N { int32 a = 1; }", "message N { string a = 1; }", &["FIELD_SCALAR_KIND_CHANGED #/M/N/1"]);
    check_fields("string a = 1; message N {}", "string a = 1;", &["MESSAGE_REMOVED #/M/N"]);
    check("message M {} message N {}", "message N {} enum E { X = 0; }", &["MESSAGE_REMOVED #/M"]);
    check("message M {} enum E { X = 0; Y = 1; }", "message M {} enum E { X = 0; Z = 1; }", &[]);
}

#[test]
fn oneofs_and_required_fields_are_compared_by_their_own_rules() {
    let (first, second) = ("string a = 1;", "string b = 2;");
    check_fields(first, "oneof o { string a = 1; int32 c = 3; }", &[]);
    let both = format!("{first} {second}");
    check_fields(&both, "oneof o { string a = 1; string b = 2; }", &["MULTIPLE_FIELDS_MOVED_TO_ONEOF #/M/o"]);
    check_fields(
        "string a = 1; oneof o { string b = 2; }",
        "oneof o { string a = 1; string b = 2; }",
        &["FIELD_MOVED_TO_EXISTING_ONEOF #/M/o"],
    );
    let oneof = format!("oneof o {{ {both} }}");
    check_fields(&oneof, "oneof o { string a = 1; string b = 2; int32 c = 3; }", &[]);
    check_fields(&oneof, &format!("oneof o {{ {first} }}"), &["ONEOF_FIELD_REMOVED #/M/o/2"]);
    check_fields(&oneof, &both, &[]);
    check_fields(&oneof, "", &[]);
    check_fields(&oneof, "oneof o { int32 a = 1; string b = 2; }", &["FIELD_SCALAR_KIND_CHANGED #/M/o/1"]);
    check_fields(&oneof, "oneof p { int32 a = 1; string b = 2; }", &["FIELD_SCALAR_KIND_CHANGED #/M/1"]);
    let proto2 = |fields: &str| parse(&format!("message M {{ {fields} }}"), &[]);
    let (optional, required) = (proto2("optional int32 a = 1;"), proto2("optional int32 a = 1; required int32 b = 2;"));
    check_all(&optional, &required, &["REQUIRED_FIELD_ADDED #/M/2"]);
    check_all(&required, &optional, &["REQUIRED_FIELD_REMOVED #/M/2"]);
}

#[test]
fn imported_messages_are_compared_where_fields_lead_to_them() {
    let file = |package: &str, kind: &str| {
        format!(
            "syntax = \"proto3\"; package {package}; message Outer {{ message Line {{ Deep deep = 1; }} }} message Deep {{ {kind} id = 1; Deep deep = 2; }}"
        )
    };
    let text = |package: &str| {
        format!(
            "syntax = \"proto3\"; import \"line.proto\"; message Order {{ repeated {package}.Outer.Line lines = 1; }}"
        )
    };
    let of = |package: &str, kind: &str| parse(&text(package), &[("line.proto", file(package, kind).as_str())]);
    check_all(&of("a", "int32"), &of("a", "int64"), &[]);
    check_all(&of("a", "int32"), &of("b.c", "int32"), &[]);
    check_all(
        &of("a", "int32"),
        &of("b", "string"),
        &[
            "FIELD_SCALAR_KIND_CHANGED #/Deep/1",
            "FIELD_NAMED_TYPE_CHANGED #/Outer/Line/1",
            "FIELD_NAMED_TYPE_CHANGED #/Deep/2",
            "FIELD_NAMED_TYPE_CHANGED #/Order/1",
        ],
    );
    let local = parse("syntax = \"proto3\"; message Order { M m = 1; } message M { int32 a = 1; }", &[]);
    let import = "syntax = \"proto3\"; import \"m.proto\"; message Order { x.M m = 1; }";
    let imported = parse(import, &[("m.proto", "syntax = \"proto3\"; package x; message M { int32 a = 1; }")]);
    check_all(&local, &imported, &["MESSAGE_REMOVED #/M"]);
    check_all(&imported, &local, &[]);
}

/// Neither depth nor size nor cycles cost more than they say.
#[test]
fn hostile_schemas_are_bounded() {
    let nested = |depth: usize| format!("syntax = \"proto3\"; {}{}", "message M { ".repeat(depth), "}".repeat(depth));
    parse(&nested(30), &[]);
    assert!(ProtobufSchema::parse(&nested(100_000), &[]).is_err());
    let tree = format!("message M {{ option (a) = {{ {}{} }}; }}", "a { ".repeat(100_000), "} ".repeat(100_000));
    assert!(parse(&tree, &[]).canonical().contains("a {"));
    let list = format!("message M {{ option (a) = {{ a: {}{} }}; }}", "[".repeat(100_000), "]".repeat(100_000));
    parse(&list, &[]).normalized();
    let chain = |kind: &str| {
        let messages = (0..3000).map(|i| format!("message C{i} {{ C{} next = 1; {kind} x = 2; }} ", (i + 1) % 3000));
        format!("syntax = \"proto3\"; package {kind}_; {}", messages.collect::<String>())
    };
    let of = |kind: &str| {
        let text = format!("syntax = \"proto3\"; import \"c.proto\"; message M {{ {kind}_.C0 c = 1; }}");
        parse(&text, &[("c.proto", chain(kind).as_str())])
    };
    assert_eq!(cannot_read(&of("string"), &of("int32")).len(), 1000);
    let imports: Vec<(String, String)> = (0..1500)
        .map(|i| {
            (format!("f{i}.proto"), format!("syntax = \"proto3\"; import \"f{}.proto\"; message F{i} {{}}", i + 1))
        })
        .collect();
    let imports: Vec<(&str, &str)> = imports.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    parse("import \"f0.proto\"; message M { optional F0 f = 1; }", &imports);
    // Many of a kind in one place cost no more than as many in many places.
    let many = |line: &dyn Fn(usize) -> String| {
        let lines: String = (0..20_000).map(line).collect();
        let schema = parse(&format!("syntax = \"proto3\"; message M {{ {lines} }}"), &[]);
        (schema.normalized().len(), cannot_read(&schema, &schema).len())
    };
    for line in [
        &|i| format!("reserved {}; ", i + 20_000) as _,
        &|i| format!("oneof o{i} {{ int32 f{i} = {}; }} ", i + 20_000),
        &|i| format!("map<int32, int32> f{i} = {}; ", i + 20_000),
        &|i| format!("option (o).tags = \"t{i}\"; "),
    ] as [&dyn Fn(usize) -> String; 4]
    {
        assert!(many(line).0 > 20_000);
    }
    let imports: String = (0..50_000).map(|i| format!("import \"f{i}\"; ")).collect();
    assert_eq!(parse(&imports, &[]).canonical().lines().count(), 50_001);
    // What was cut, or was never a file, is refused and no more.
    for cut in 0..EVERYTHING.len() {
        if let Some(text) = EVERYTHING.get(..cut) {
            drop(ProtobufSchema::parse(text, &[]));
        }
        drop(ProtobufSchema::parse(&STANDARD.encode(&EVERYTHING.as_bytes()[..cut]), &[]));
    }
}

proptest! {
    /// Whatever is done to a text, it is refused, or printed so that it is printed the same again.
    #[test]
    fn changed_texts_do_no_harm_and_what_is_printed_stays(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4u8), 1..6),
    ) {
        let words: Vec<&str> = EVERYTHING.split(' ').collect();
        let mut changed = words.clone();
        for (at, from, edit) in edits {
            let (at, word) = (at.index(changed.len()), words[from.index(words.len())]);
            match edit {
                0 => drop(changed.remove(at)),
                1 => changed.insert(at, word),
                2 => changed[at] = word,
                _ => changed[at] = changed[at].get(1..).unwrap_or_default(),
            }
        }
        if let Ok(schema) = ProtobufSchema::parse(&changed.join(" "), &[]) {
            let printed = schema.canonical();
            let again = ProtobufSchema::parse(&printed, &[]);
            prop_assert!(again.is_ok(), "{:?}: {printed}", again.err());
            prop_assert_eq!(again.expect("seen").canonical(), printed);
            schema.normalized();
        }
    }
}
