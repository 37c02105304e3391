//! What is a JSON Schema, where its references lead, and Confluent's rules change by change.

use serde_json::{Value, json};

use super::{JsonSchema, cannot_read};
use crate::definition::Referenced;

fn schema(text: &Value) -> JsonSchema {
    JsonSchema::parse(&text.to_string(), &[]).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What keeps `new` from reading what `old` allowed: kinds, and where.
fn check(old: &Value, new: &Value, expected: &[&str]) {
    let found: Vec<String> = cannot_read(&schema(new), &schema(old))
        .iter()
        .map(|difference| {
            let path = difference.description.split('\'').nth(1).unwrap_or_default();
            format!("{} {path}", difference.kind)
        })
        .collect();
    let [old, new] = [old, new].map(Value::to_string);
    assert!(found == expected, "{found:?} and not {expected:?}: {new:.300} reads {old:.300}");
}

/// Both ways.
fn check_both(old: &Value, new: &Value, forth: &[&str], back: &[&str]) {
    check(old, new, forth);
    check(new, old, back);
}

#[test]
fn texts_keep_their_order_and_lose_it_in_the_normal_form() {
    let parse = |text: &str| JsonSchema::parse(text, &[]).expect("a schema");
    let spread = parse("{ \"type\" : \"object\",\n \"properties\": {\"b\": {\"multipleOf\": 0.0001}, \"a\": true} }");
    assert_eq!(spread.canonical(), r#"{"type":"object","properties":{"b":{"multipleOf":0.0001},"a":true}}"#);
    assert_eq!(spread.normalized(), r#"{"properties":{"a":true,"b":{"multipleOf":0.0001}},"type":"object"}"#);
    assert_eq!((parse(r#"{"title":"Order"}"#).name(), parse("true").name()), (Some("Order"), None));
}

#[test]
fn what_is_no_schema_is_refused_with_its_place() {
    for (text, said) in [
        ("{", "not JSON"),
        ("3", "#: a schema is an object"),
        (r#"{"type":"text"}"#, "#/type: no type"),
        (r#"{"type":["string",3]}"#, "#/type: expected a list of texts"),
        (r#"{"properties":{"a":{"type":"int"}}}"#, "#/properties/a/type"),
        (r##"{"$ref":"#/definitions/a"}"##, "#/$ref: #/definitions/a leads nowhere"),
        (r##"{"items":{"$ref":"#"},"$ref":"#"}"##, "leads back to itself"),
        (r#"{"properties":{"a":{"pattern":"("}}}"#, "#/properties/a/pattern: \"(\" is no regular expression"),
        (r#"{"patternProperties":{"[":{}}}"#, "#/patternProperties/[: \"[\" is no regular expression"),
        (r#"{"allOf":{}}"#, "#/allOf: expected a list"),
        (r#"{"items":[{"not":3}]}"#, "#/items/0/not: a schema"),
        (r#"{"minLength":-1}"#, "#/minLength: expected a whole number"),
        (r#"{"required":"a"}"#, "#/required: expected a list of texts"),
        (r#"{"dependencies":{"a":["b",1]}}"#, "#/dependencies/a: expected a list of texts"),
        (r#"{"uniqueItems":1}"#, "#/uniqueItems: expected true or false"),
    ] {
        let error = JsonSchema::parse(text, &[]).expect_err(text).to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    // What only ECMA's regular expressions have is taken, too.
    schema(&json!({"pattern": "^(?!x)\\d+\\/(a)\\1$"}));
}

#[test]
fn references_lead_to_pointers_ids_anchors_and_other_documents() {
    let text = json!({"type": "string"});
    let number = json!({"type": "number"});
    let check = |outer: Value, others: &[(&str, &Value)]| {
        let referenced: Vec<_> = others
            .iter()
            .map(|(name, text)| Referenced { name: (*name).into(), text: text.to_string().into() })
            .collect();
        let outer =
            JsonSchema::parse(&outer.to_string(), &referenced).unwrap_or_else(|error| panic!("{outer}: {error}"));
        assert!(cannot_read(&outer, &schema(&text)).is_empty(), "{outer:?}");
        assert!(!cannot_read(&outer, &schema(&number)).is_empty(), "{outer:?}");
    };
    check(json!({"definitions": {"a/b c": text}, "$ref": "#/definitions/a~1b%20c"}), &[]);
    check(json!({"definitions": {"a": text}, "$ref": "#/$defs/a"}), &[]);
    check(json!({"definitions": {"a": {"$id": "#here", "type": "string"}}, "$ref": "#here"}), &[]);
    let modern = "https://json-schema.org/draft/2020-12/schema";
    check(json!({"$schema": modern, "$defs": {"a": {"$anchor": "here", "type": "string"}}, "$ref": "#here"}), &[]);
    check(json!({"definitions": {"a": {"$id": "inner.json", "type": "string"}}, "$ref": "inner.json"}), &[]);
    check(json!({"$ref": "other.json"}), &[("other.json", &text)]);
    check(json!({"$ref": "./other.json"}), &[("other.json", &text)]);
    check(json!({"$id": "https://shop.example/a/outer.json", "$ref": "other.json"}), &[("other.json", &text)]);
    let absolute = ("https://shop.example/a/other.json", &text);
    check(json!({"$id": "https://shop.example/a/outer.json", "$ref": "/a/other.json"}), &[absolute]);
    check(json!({"$id": "urn:shop:outer", "$ref": "urn:shop:text"}), &[("urn:shop:text", &text)]);
    let chain = json!({"definitions": {"b": {"$ref": "last.json"}}});
    check(json!({"$ref": "middle.json#/definitions/b"}), &[("last.json", &text), ("middle.json", &chain)]);
    // A document that is referred to is checked as far as it is reached.
    let broken = Referenced { name: "a.json".into(), text: r#"{"$ref":"b.json"}"#.into() };
    let error = JsonSchema::parse(r#"{"items":{"$ref":"a.json"}}"#, &[broken]).expect_err("a schema").to_string();
    assert!(error.contains("b.json leads nowhere"), "{error}");
}

#[test]
fn types_values_and_limits() {
    let of = |kind: &str| json!({ "type": kind });
    check_both(&of("integer"), &of("number"), &[], &["TYPE_NARROWED #/"]);
    check_both(&of("string"), &of("number"), &["TYPE_CHANGED #/"], &["TYPE_CHANGED #/"]);
    check_both(&of("string"), &json!({"type": ["string", "null"]}), &[], &["TYPE_CHANGED #/"]);
    check_both(&of("string"), &json!(true), &[], &["TYPE_CHANGED #/"]);
    check_both(&json!(false), &of("string"), &[], &["TYPE_CHANGED #/"]);
    check_both(&of("string"), &json!({"title": "T", "description": "d", "default": "", "type": "string"}), &[], &[]);
    let decimal = |kind: &str| json!({"type": kind, "connect.type": "bytes"});
    check_both(&decimal("string"), &decimal("number"), &[], &[]);
    for (kind, keyword, name, more_is_stricter) in [
        ("string", "minLength", "MIN_LENGTH", true),
        ("string", "maxLength", "MAX_LENGTH", false),
        ("number", "minimum", "MINIMUM", true),
        ("integer", "maximum", "MAXIMUM", false),
        ("number", "exclusiveMinimum", "EXCLUSIVE_MINIMUM", true),
        ("number", "exclusiveMaximum", "EXCLUSIVE_MAXIMUM", false),
        ("array", "minItems", "MIN_ITEMS", true),
        ("array", "maxItems", "MAX_ITEMS", false),
        ("object", "minProperties", "MIN_PROPERTIES", true),
        ("object", "maxProperties", "MAX_PROPERTIES", false),
    ] {
        let with = |limit: u32| json!({"type": kind, keyword: limit});
        check_both(&of(kind), &with(3), &[&format!("{name}_ADDED #/{keyword}")], &[]);
        let (lax, strict) = if more_is_stricter { (3, 4) } else { (4, 3) };
        let change = if more_is_stricter { "INCREASED" } else { "DECREASED" };
        check_both(&with(lax), &with(strict), &[&format!("{name}_{change} #/{keyword}")], &[]);
    }
    let multiple = |of: f64| json!({"type": "number", "multipleOf": of});
    check_both(&multiple(0.3), &multiple(0.1), &[], &["MULTIPLE_OF_EXPANDED #/multipleOf"]);
    check(&multiple(2.0), &multiple(3.0), &["MULTIPLE_OF_CHANGED #/multipleOf"]);
    let pattern = |text: &str| json!({"type": "string", "pattern": text});
    check(&pattern("a"), &pattern("b"), &["PATTERN_CHANGED #/pattern"]);
    check_both(&of("string"), &pattern("a"), &["PATTERN_ADDED #/pattern"], &[]);
    let values = |values: Value| json!({ "enum": values });
    check_both(&values(json!(["a"])), &values(json!(["b", "a"])), &[], &["ENUM_ARRAY_NARROWED #/enum"]);
    check(&values(json!(["a"])), &values(json!(["b"])), &["ENUM_ARRAY_CHANGED #/enum"]);
    check(&json!({"const": 1}), &json!({"const": 2}), &["ENUM_ARRAY_CHANGED #/const"]);
    let not = |schema: Value| json!({ "not": schema });
    check_both(&not(of("number")), &not(of("integer")), &[], &["NOT_TYPE_EXTENDED #/not"]);
}

#[test]
fn properties_come_and_go_by_the_content_model() {
    let object = |properties: &[&str], more: Value| {
        let properties: serde_json::Map<_, _> =
            properties.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
        let mut object = json!({"type": "object", "properties": properties});
        object.as_object_mut().expect("it is one").extend(more.as_object().cloned().unwrap_or_default());
        object
    };
    let closed = || json!({"additionalProperties": false});
    let of = |kind: &str| json!({"additionalProperties": {"type": kind}});
    let b = "#/properties/b";
    check_both(
        &object(&["a"], json!({})),
        &object(&["a", "b"], json!({})),
        &[&format!("OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL {b}")],
        &[],
    );
    check_both(
        &object(&["a"], closed()),
        &object(&["a", "b"], closed()),
        &[],
        &[&format!("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL {b}")],
    );
    check_both(&object(&["a"], of("string")), &object(&["a", "b"], of("string")), &[], &[]);
    check_both(
        &object(&["a"], of("number")),
        &object(&["a", "b"], of("number")),
        &[&format!("TYPE_CHANGED {b}"), &format!("PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL {b}")],
        &[&format!("TYPE_CHANGED {b}"), &format!("PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL {b}")],
    );
    let pattern = json!({"patternProperties": {"^b": {"type": "string"}}, "additionalProperties": false});
    check_both(&object(&["a"], pattern.clone()), &object(&["a", "b"], pattern), &[], &[]);
    let needing = |more: Value| json!({"required": ["b"], "additionalProperties": more});
    check(
        &object(&["a"], closed()),
        &object(&["a", "b"], needing(json!(false))),
        &[&format!("REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL {b}")],
    );
    check(
        &object(&["a"], json!({})),
        &object(&["a", "b"], needing(json!(true))),
        &[&format!("REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL {b}")],
    );
    check(
        &object(&["a", "b"], closed()),
        &object(&["a", "b"], needing(json!(false))),
        &["REQUIRED_ATTRIBUTE_ADDED #/required/b"],
    );
    let mut with_default = object(&["a", "b"], needing(json!(false)));
    with_default["properties"]["b"]["default"] = "".into();
    check(&object(&["a"], closed()), &with_default, &[]);
    check(&object(&["a", "b"], closed()), &with_default, &[]);
    let additional = "#/additionalProperties";
    check_both(
        &object(&["a"], json!({})),
        &object(&["a"], closed()),
        &[&format!("ADDITIONAL_PROPERTIES_REMOVED {additional}")],
        &[],
    );
    check_both(
        &object(&["a"], json!({})),
        &object(&["a"], of("string")),
        &[&format!("ADDITIONAL_PROPERTIES_NARROWED {additional}")],
        &[],
    );
    let depends = |on: Value| json!({"type": "object", "dependencies": {"a": on}});
    check_both(
        &depends(json!(["b"])),
        &depends(json!(["b", "c"])),
        &["DEPENDENCY_ARRAY_EXTENDED #/dependencies/a"],
        &[],
    );
    check_both(
        &json!({"type": "object"}),
        &depends(json!({"required": ["b"]})),
        &["DEPENDENCY_SCHEMA_ADDED #/dependencies/a"],
        &[],
    );
    let modern = |more: Value| json!({"$schema": "https://json-schema.org/draft/2019-09/schema", "type": "object", "unevaluatedProperties": more});
    check_both(
        &modern(json!(true)),
        &modern(json!(false)),
        &["UNEVALUATED_PROPERTIES_REMOVED #/unevaluatedProperties"],
        &[],
    );
}

#[test]
fn items_come_and_go_likewise() {
    let every = |items: Value| json!({"type": "array", "items": items});
    let of = |kind: &str| json!({ "type": kind });
    check_both(&every(of("integer")), &every(of("number")), &[], &["TYPE_NARROWED #/items"]);
    check_both(&json!({"type": "array"}), &every(of("string")), &["SCHEMA_ADDED #/items"], &[]);
    let unique = json!({"type": "array", "uniqueItems": true});
    check_both(&json!({"type": "array"}), &unique, &["UNIQUE_ITEMS_ADDED #/uniqueItems"], &[]);
    let first = |items: &[&str], more: Value| {
        let items: Vec<Value> = items.iter().map(|kind| of(kind)).collect();
        json!({"type": "array", "items": items, "additionalItems": more})
    };
    check_both(
        &first(&["string"], json!(true)),
        &first(&["string", "number"], json!(true)),
        &["ITEM_ADDED_TO_OPEN_CONTENT_MODEL #/items/1"],
        &[],
    );
    check_both(
        &first(&["string"], json!(false)),
        &first(&["string", "number"], json!(false)),
        &[],
        &["ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL #/items/1"],
    );
    check_both(
        &first(&["string"], of("string")),
        &first(&["string", "number"], of("string")),
        &["TYPE_CHANGED #/items/1", "ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL #/items/1"],
        &["TYPE_CHANGED #/items/1", "ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL #/items/1"],
    );
    // The same in the words of the latest draft.
    let modern = |items: Value| json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "prefixItems": [of("string")], "items": items});
    check_both(&modern(json!(true)), &modern(json!(false)), &["ADDITIONAL_ITEMS_REMOVED #/additionalItems"], &[]);
}

#[test]
fn combinations_need_a_partner_for_each_of_theirs() {
    let (text, number, flag) = (json!({"type": "string"}), json!({"type": "number"}), json!({"type": "boolean"}));
    let of = |word: &str, branches: &[&Value]| json!({ word: branches });
    check_both(&text, &of("oneOf", &[&number, &text]), &[], &["TYPE_CHANGED #/"]);
    check_both(&text, &of("allOf", &[&text]), &[], &[]);
    check_both(&of("oneOf", &[&text]), &of("oneOf", &[&number, &text]), &[], &["SUM_TYPE_NARROWED #/"]);
    check_both(&of("allOf", &[&text]), &of("allOf", &[&text, &number]), &["PRODUCT_TYPE_EXTENDED #/"], &[]);
    check_both(&of("oneOf", &[&text, &number]), &of("anyOf", &[&text, &number]), &[], &["COMBINED_TYPE_CHANGED #/"]);
    check(&of("oneOf", &[&text, &number]), &of("oneOf", &[&text, &flag]), &["COMBINED_TYPE_SUBSCHEMAS_CHANGED #/"]);
    // The first one takes what only the second one fits, unless it is made to give way.
    let (integer, short) = (json!({"type": "integer"}), json!({"type": "string", "maxLength": 3}));
    check(&of("anyOf", &[&integer, &short]), &of("anyOf", &[&number, &integer, &text]), &[]);
    check(&of("anyOf", &[&integer, &number, &text]), &of("anyOf", &[&number, &integer, &text]), &[]);
}

#[test]
fn schemas_that_contain_themselves_are_compared_to_the_end() {
    let tree = |leaf: &str| json!({"type": "object", "properties": {"leaf": {"type": leaf}, "next": {"$ref": "#"}}});
    check(&tree("integer"), &tree("number"), &[]);
    let found = cannot_read(&schema(&tree("integer")), &schema(&tree("number")));
    assert_eq!(found.first().map(|difference| difference.kind), Some("TYPE_NARROWED"), "{found:?}");
    // Each definition refers to all others, and a change hides behind every way round.
    let web = |kind: &str| {
        let names: Vec<String> = (0..12).map(|number| format!("d{number}")).collect();
        let all: Vec<Value> = names.iter().map(|name| json!({"$ref": format!("#/definitions/{name}")})).collect();
        let definition = |name: &String| json!({"type": "object", "properties": {"at": {"const": name}, "any": {"anyOf": all}, "x": {"type": kind}}});
        let definitions: serde_json::Map<_, _> = names.iter().map(|name| (name.clone(), definition(name))).collect();
        json!({"definitions": definitions, "anyOf": all})
    };
    check(&web("integer"), &web("number"), &[]);
    check(&web("number"), &web("integer"), &["COMBINED_TYPE_SUBSCHEMAS_CHANGED #/"]);
}

#[test]
fn chains_have_no_limit_and_webs_have_one() {
    let chain = |last: &str| {
        let of = |number: u32| json!({"items": {"$ref": format!("#/definitions/d{}", number + 1)}});
        let links = (0..5000).map(|number| (format!("d{number}"), of(number)));
        let all: serde_json::Map<_, _> = links.chain([("d5000".to_owned(), json!({"type": last}))]).collect();
        json!({"definitions": all, "$ref": "#/definitions/d0"})
    };
    check(&chain("integer"), &chain("number"), &[]);
    assert_eq!(cannot_read(&schema(&chain("integer")), &schema(&chain("number"))).len(), 1);
    let any = |kind: &str| {
        let branches: Vec<Value> = (0..1001).map(|number| json!({"title": number.to_string(), "type": kind})).collect();
        json!({ "anyOf": branches })
    };
    check(&any("string"), &any("number"), &["COMPARISON_TOO_LARGE "]);
}
