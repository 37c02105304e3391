//! `/openapi.json`: it is written down in a file, so that a change of the interface is seen, and every answer of the tests beside this
//! one is held against it.

use std::path::Path;
use std::sync::OnceLock;

use axum::http::Method;

use super::*;

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::to_value(routes(Stage::of(None)).1).unwrap())
}

/// Panics unless the document names the operation, and this answer among its answers.
pub(super) fn check(method: &Method, path: &str, status: u16, body: &Value) {
    if method == Method::OPTIONS || path == "/openapi.json" {
        return;
    }
    let Some(operation) = operation(method, path) else {
        assert!(status >= 400, "{method} {path} is not in the document, and answers {status}");
        return;
    };
    let responses = &operation["responses"];
    let response = [&responses[status.to_string()], &responses["default"]].into_iter().find(|found| !found.is_null());
    let response = response.unwrap_or_else(|| panic!("{method} {path}: no {status} in the document"));
    assert!(status >= 400 || responses.get(status.to_string()).is_some(), "{method} {path}: {status} is undocumented");
    let Some(content) = response["content"].as_object() else {
        assert!(body.is_null(), "{method} {path} {status}: the document knows no body, but there is {body}");
        return;
    };
    let schema = &content.values().next().unwrap()["schema"];
    if let Some(fault) = fault(schema, body) {
        panic!("{method} {path} {status}: {fault}\n{body:#}");
    }
}

fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let path = path.trim_end_matches('/').split('/');
    let fits = |template: &str| {
        let template = template.trim_end_matches('/').split('/');
        template.clone().count() == path.clone().count()
            && template.zip(path.clone()).all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
    };
    // What is named in full comes before what a parameter stands for.
    let paths = document()["paths"].as_object().unwrap().iter().filter(|(template, _)| fits(template));
    let (_, item) = paths.min_by_key(|(template, _)| template.matches('{').count())?;
    item.get(method.as_str().to_lowercase())
}

/// The first fault of a value before a schema of the kinds that occur here.
fn fault(schema: &Value, value: &Value) -> Option<String> {
    fault_of_part(schema, value).or_else(|| {
        let known = known(schema)?;
        let unknown = value.as_object()?.keys().find(|key| !known.contains(&key.as_str()))?;
        Some(format!("{unknown} is undocumented"))
    })
}

/// The same where other schemas may know further properties.
fn fault_of_part(schema: &Value, value: &Value) -> Option<String> {
    let schema = resolved(schema);
    if let Some(parts) = schema["allOf"].as_array() {
        return parts.iter().find_map(|part| fault_of_part(part, value));
    }
    if let Some(choices) = schema.get("oneOf").or(schema.get("anyOf")).and_then(Value::as_array) {
        let fits = choices.iter().any(|choice| fault(choice, value).is_none());
        return (!fits).then(|| format!("{value} is none of what it may be"));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let fits = |kind: &str| match kind {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => value.is_string(),
    };
    if !types.into_iter().any(fits) {
        return Some(format!("{value} is no {}", schema["type"]));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return Some(format!("{value} is none of {}", schema["enum"]));
    }
    if let Some(items) = value.as_array() {
        return items.iter().find_map(|item| fault(&schema["items"], item));
    }
    let fields = value.as_object()?;
    let mut required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.find(|key| !fields.contains_key(*key)) {
        return Some(format!("{missing} is missing"));
    }
    fields.iter().find_map(|(key, field)| {
        let of_key = schema["properties"].get(key).or(schema.get("additionalProperties"))?;
        Some(format!("{key}: {}", fault(of_key, field)?))
    })
}

/// The properties of an object; none where any are allowed.
fn known(schema: &Value) -> Option<Vec<&str>> {
    let schema = resolved(schema);
    if let Some(parts) = schema["allOf"].as_array() {
        let known: Option<Vec<_>> = parts.iter().map(known).collect();
        return known.map(|parts| parts.concat());
    }
    let properties = schema["properties"].as_object()?;
    schema.get("additionalProperties").is_none().then(|| properties.keys().map(String::as_str).collect())
}

fn resolved(schema: &Value) -> &Value {
    match schema["$ref"].as_str() {
        Some(reference) => document().pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

#[tokio::test]
async fn it_is_served_at_any_time_and_changes_only_with_its_file() {
    let answer = ask(&server(Stage::of(None)), request("GET /openapi.json")).await;
    assert_eq!((answer.status, &answer.body), (200, document()));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let text = format!("{:#}\n", document());
    if std::env::var_os("TOWPATH_UPDATE").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == text, "the interface has changed: TOWPATH_UPDATE=1 writes {} anew", file.display());
}

#[test]
fn every_operation_and_field_says_what_it_is() {
    for (path, item) in document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let says = operation["summary"].as_str().is_some_and(|summary| summary.ends_with('.'));
            assert!(says, "{method} {path} has no summary");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(
                    parameter["description"].is_string(),
                    "{method} {path}: {} is not described",
                    parameter["name"]
                );
            }
            let ids =
                document()["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
            let same = ids.filter(|other| other["operationId"] == operation["operationId"]).count();
            assert_eq!(same, 1, "{} names several operations", operation["operationId"]);
        }
    }
}
