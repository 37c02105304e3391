//! Texts as Java writes them, and the Avro specification's table of schema resolution.

use super::{AvroSchema, cannot_read};
use crate::definition::Referenced;

fn schema(text: &str) -> AvroSchema {
    AvroSchema::parse(text, &[]).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn texts_are_written_as_java_writes_them() {
    let check = |text: &str, expected: &str| assert_eq!(schema(text).canonical(), expected);
    check(r#"{"type": "string"}"#, r#""string""#);
    check("\"long\"", "\"long\"");
    // An alias counts once.
    check(
        r#"{"type":"fixed","name":"F","size":2,"aliases":["E","E"]}"#,
        r#"{"type":"fixed","name":"F","size":2,"aliases":["E"]}"#,
    );
    check(
        r#"{"type":"int","logicalType":"date","connect.version":1}"#,
        r#"{"type":"int","logicalType":"date","connect.version":1}"#,
    );
    // Attributes in Java's order; the namespace is left out where it is the enclosing one; aliases come last.
    check(
        r#"{"aliases":["Old"],"fields":[
            {"type":{"symbols":["A","B"],"default":"A","type":"enum","name":"E","x":1},"name":"e","default":"A","doc":"d"},
            {"name":"again","type":"a.b.E"},
            {"name":"other","type":{"type":"fixed","size":4,"name":"c.F"},"order":"ignore","aliases":["o"],"p":[1.0,1e10]},
            {"name":"self","type":["null","R"],"order":"ascending"}
           ],"name":"R","namespace":"a.b","type":"record","doc":"a record","connect.name":"x"}"#,
        concat!(
            r#"{"type":"record","name":"R","namespace":"a.b","doc":"a record","fields":["#,
            r#"{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"],"default":"A","x":1},"doc":"d","default":"A"},"#,
            r#"{"name":"again","type":"E"},"#,
            r#"{"name":"other","type":{"type":"fixed","name":"F","namespace":"c","size":4},"order":"ignore","aliases":["o"],"p":[1.0,1.0E10]},"#,
            r#"{"name":"self","type":["null","R"]}],"connect.name":"x","aliases":["Old"]}"#
        ),
    );
}

#[test]
fn the_normal_form_does_not_know_order() {
    let one =
        schema(r#"{"type":"record","name":"R","namespace":"n","b":1,"a":2,"fields":[{"name":"f","type":"int"}]}"#);
    let other = schema(r#"{"a":2,"type":"record","fields":[{"type":{"type":"int"},"name":"f"}],"name":"n.R","b":1}"#);
    assert_ne!(one.canonical(), other.canonical());
    assert_eq!(one.normalized(), other.normalized());
    assert_eq!(
        one.normalized(),
        r#"{"name":"n.R","type":"record","fields":[{"name":"f","type":"int","order":"ASCENDING"}],"a":2,"b":1}"#
    );
}

#[test]
fn what_is_referred_to_is_known_and_not_repeated() {
    let referenced = [Referenced {
        name: "n.Inner".into(),
        text: r#"{"type":"record","name":"Inner","namespace":"n","fields":[]}"#.into(),
    }];
    let text = r#"{"type":"record","name":"Outer","namespace":"n","fields":[{"name":"f","type":"n.Inner"}]}"#;
    let outer = AvroSchema::parse(text, &referenced).expect("a schema");
    assert_eq!(outer.canonical(), text.replace("n.Inner", "Inner"));
    assert!(AvroSchema::parse(text, &[]).expect_err("unknown").to_string().contains("n.Inner"));
}

#[test]
fn what_is_no_schema_is_refused_with_the_reason() {
    let check = |text: &str, said: &str| {
        let error = AvroSchema::parse(text, &[]).expect_err(text).to_string();
        assert!(error.contains(said), "{text}: {error}");
    };
    let field = |field: &str| format!(r#"{{"type":"record","name":"R","fields":[{field}]}}"#);
    check("{", "not JSON");
    check("12", "12");
    check(r#"{"type":"unknown"}"#, "unknown");
    check(r#"{"name":"R"}"#, "No type");
    check(r#"{"type":"record","name":"R"}"#, "no fields");
    check(r#"{"type":"record","fields":[]}"#, "No name");
    check(r#"{"type":"record","name":"a-b","fields":[]}"#, "a-b");
    check(r#"["int","int"]"#, "Duplicate in union: int");
    check(r#"["int",["null"]]"#, "Nested union");
    check(r#"{"type":"enum","name":"E","symbols":["A","A"]}"#, "Duplicate enum symbol");
    check(r#"{"type":"enum","name":"E","symbols":["A"],"default":"B"}"#, "The Enum Default: B");
    check(r#"{"type":"fixed","name":"F"}"#, "size");
    check(r#"{"type":"array"}"#, "items");
    check(&field(r#"{"name":"a","type":"int"},{"name":"a","type":"int"}"#), "Duplicate field a");
    check(&field(r#"{"name":"a","type":"int","default":"x"}"#), "Invalid default for field a");
    check(&field(r#"{"name":"a","type":{"type":"record","name":"R","fields":[]}}"#), "Can't redefine: R");
    for good in [
        field(r#"{"name":"a","type":["null","int"],"default":null}"#),
        field(
            r#"{"name":"a","type":{"type":"record","name":"S","fields":[{"name":"b","type":"int","default":1}]},"default":{}}"#,
        ),
        field(r#"{"name":"a","type":{"type":"map","values":"bytes"},"default":{"k":"ÿ"}}"#),
        field(r#"{"name":"a","type":["null",{"type":"array","items":"R"}]}"#),
    ] {
        schema(&good);
    }
}

/// The specification, "Schema Resolution": which primitive types a writer's may be promoted to.
#[test]
fn primitives_are_promoted_as_the_specification_says() {
    let types = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
    let promoted = |writer: &str| -> &[&str] {
        match writer {
            "int" => &["long", "float", "double"],
            "long" => &["float", "double"],
            "float" => &["double"],
            "string" => &["bytes"],
            "bytes" => &["string"],
            _ => &[],
        }
    };
    for writer in types {
        for reader in types {
            let (written, read) = (schema(&format!("{writer:?}")), schema(&format!("{reader:?}")));
            let expected = writer == reader || promoted(writer).contains(&reader);
            assert_eq!(cannot_read(&read, &written).is_empty(), expected, "{writer} read as {reader}");
        }
    }
}

#[test]
fn complex_types_resolve_as_the_specification_says() {
    let enumeration = |name: &str, symbols: &str, more: &str| {
        format!(r#"{{"type":"enum","name":"{name}","symbols":[{symbols}]{more}}}"#)
    };
    let fixed = |name: &str, size: usize| format!(r#"{{"type":"fixed","name":"{name}","size":{size}}}"#);
    let record = |name: &str, fields: &str, more: &str| {
        format!(r#"{{"type":"record","name":"{name}"{more},"fields":[{fields}]}}"#)
    };
    let array = |items: &str| format!(r#"{{"type":"array","items":{items}}}"#);
    let map = |values: &str| format!(r#"{{"type":"map","values":{values}}}"#);
    let (a, b) = (r#"{"name":"a","type":"int"}"#, r#"{"name":"b","type":"int"}"#);
    let check = |reader: &str, writer: &str, kinds: &[&str]| {
        let differences = cannot_read(&schema(reader), &schema(writer));
        let found: Vec<_> = differences.iter().map(|difference| difference.kind).collect();
        assert_eq!(found, kinds, "{reader} reads {writer}");
    };
    check(&array("\"long\""), &array("\"int\""), &[]);
    check(&array("\"int\""), &array("\"long\""), &["TYPE_MISMATCH"]);
    check(&map("\"double\""), &map("\"float\""), &[]);
    check(&map("\"int\""), &array("\"int\""), &["TYPE_MISMATCH"]);
    check(&fixed("F", 4), &fixed("F", 4), &[]);
    check(&fixed("F", 4), &fixed("F", 5), &["FIXED_SIZE_MISMATCH"]);
    check(&fixed("F", 4), &fixed("G", 4), &["NAME_MISMATCH"]);
    check(&fixed("x.F", 4), &fixed("y.F", 4), &[]);
    check(&enumeration("E", r#""A","B""#, ""), &enumeration("E", r#""A""#, ""), &[]);
    check(&enumeration("E", r#""A""#, ""), &enumeration("E", r#""A","B""#, ""), &["MISSING_ENUM_SYMBOLS"]);
    check(&enumeration("E", r#""A""#, r#","default":"A""#), &enumeration("E", r#""A","B""#, ""), &[]);
    check(&enumeration("E", r#""A""#, ""), "\"string\"", &["TYPE_MISMATCH"]);
    // Records: fields by name, in any order; what the writer has beyond is passed over, what the reader has beyond needs a default.
    check(&record("R", a, ""), &record("R", &format!("{b},{a}"), ""), &[]);
    check(&record("R", &format!("{a},{b}"), ""), &record("R", a, ""), &["READER_FIELD_MISSING_DEFAULT_VALUE"]);
    check(&record("R", &format!(r#"{a},{{"name":"b","type":"int","default":1}}"#), ""), &record("R", a, ""), &[]);
    check(&record("R", r#"{"name":"b","type":"int","aliases":["a"]}"#, ""), &record("R", a, ""), &[]);
    check(&record("S", a, ""), &record("R", a, ""), &["NAME_MISMATCH"]);
    check(&record("S", a, r#","aliases":["R"]"#), &record("R", a, ""), &[]);
    // An error is a record, with a name that counts.
    let error = |name: &str| record(name, a, "").replace(r#""record""#, r#""error""#);
    check(&record("R", a, ""), &error("R"), &[]);
    check(&record("S", a, ""), &error("R"), &["NAME_MISMATCH"]);
    // The default of an enum is for unknown symbols, not for a field that is missing.
    let choice = enumeration("E", r#""A""#, r#","default":"A""#);
    let with_choice = format!(r#"{a},{{"name":"b","type":{choice}}}"#);
    check(&record("R", &with_choice, ""), &record("R", a, ""), &["TYPE_MISMATCH"]);
    // A field that is two of the writer's, by name and alias, is neither, wherever it stands.
    let both = record("R", r#"{"name":"b","type":"int","aliases":["a"]}"#, "");
    check(&both, &record("R", &format!("{a},{b}"), ""), &["READER_FIELD_AMBIGUOUS"]);
    check(&format!(r#"["null",{both}]"#), &record("R", &format!("{a},{b}"), ""), &["READER_FIELD_AMBIGUOUS"]);
    // Unions.
    check(r#"["null","long"]"#, "\"int\"", &[]);
    check(r#"["null","int"]"#, "\"long\"", &["MISSING_UNION_BRANCH"]);
    check("\"long\"", r#"["int","long"]"#, &[]);
    check("\"int\"", r#"["int","string"]"#, &["TYPE_MISMATCH"]);
    check(r#"["null","int"]"#, r#"["int","null"]"#, &[]);
    check(r#"["null","int"]"#, r#"["null","int","string"]"#, &["MISSING_UNION_BRANCH"]);
    // A type that contains itself.
    let list = |value: &str| {
        record("L", &format!(r#"{{"name":"v","type":"{value}"}},{{"name":"next","type":["null","L"]}}"#), "")
    };
    check(&list("long"), &list("int"), &[]);
    assert!(!cannot_read(&schema(&list("int")), &schema(&list("long"))).is_empty());
}

#[test]
fn a_branch_that_cannot_be_read_is_named_by_its_place() {
    let differences = cannot_read(&schema("\"int\""), &schema(r#"["int","string"]"#));
    let told: Vec<_> = differences.iter().map(|difference| difference.description.as_str()).collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("(path '/1')"), "{told:?}");
}
