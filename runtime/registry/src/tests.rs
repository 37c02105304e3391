//! The interface as clients see it: for each request status and body, as Confluent's registry gives them.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use towpath_http::{Access, Door};
use towpath_log::{Embedded, LogConfig, OsVfs};
use towpath_model::{Secret, SystemClock};

use crate::server::guarded;
use crate::{Config, Error, Registry, Server, api};

/// A registry over a log in a folder of its own.
struct Rig {
    folder: tempfile::TempDir,
    log: Arc<Embedded>,
    routes: Router,
    registry: Registry,
}

impl Rig {
    async fn new() -> Self {
        Self::within(tempfile::tempdir().expect("a folder")).await
    }

    async fn within(folder: tempfile::TempDir) -> Self {
        let config = LogConfig::new(folder.path().join("log"));
        let log = Embedded::open(config, Arc::new(OsVfs), Arc::new(SystemClock::default()), 1).expect("a log");
        let log = Arc::new(log);
        let registry = Registry::open(log.clone()).await.expect("a registry");
        Self { folder, log, routes: api::routes(registry.clone(), 64 * 1024), registry }
    }

    async fn restarted(self) -> Self {
        self.log.close().await.expect("closed");
        drop((self.routes, self.registry, self.log));
        Self::within(self.folder).await
    }

    async fn ask(&self, line: &str, body: Option<Value>) -> (u16, Value) {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        let request = request.body(body.map_or_else(Body::empty, |body| body.to_string().into())).expect("a request");
        answer(&self.routes, request).await
    }

    async fn check(&self, line: &str, body: Option<Value>, expected: Value) {
        assert_eq!(self.ask(line, body).await, (200, expected), "{line}");
    }

    async fn refused(&self, line: &str, body: Option<Value>, code: u32, said: &str) {
        let (status, answer) = self.ask(line, body).await;
        let expected_status = if code >= 1000 { code / 100 } else { code };
        assert_eq!(
            (u32::from(status), answer["error_code"].as_u64()),
            (expected_status, Some(code.into())),
            "{line}: {answer}"
        );
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(message.contains(said), "{line}: {message}");
    }

    async fn register(&self, subject: &str, schema: &str) -> (u16, Value) {
        let (status, answer) =
            self.ask(&format!("POST /subjects/{subject}/versions"), Some(json!({ "schema": schema }))).await;
        (status, if status == 200 { answer["id"].clone() } else { answer["error_code"].clone() })
    }
}

async fn answer(routes: &Router, request: Request<Body>) -> (u16, Value) {
    let response = routes.clone().oneshot(request).await.expect("an answer");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/vnd.schemaregistry.v1+json");
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, serde_json::from_slice(&bytes).expect("JSON"))
}

fn record(fields: &[&str]) -> String {
    let fields: Vec<Value> = fields.iter().map(|name| json!({"name": name, "type": "int"})).collect();
    json!({"type": "record", "name": "R", "fields": fields}).to_string()
}

#[tokio::test]
async fn schemas_are_registered_once_and_found_by_id_subject_and_version() {
    let rig = Rig::new().await;
    rig.check("GET /subjects", None, json!([])).await;
    rig.check("GET /schemas/types", None, json!(["JSON", "PROTOBUF", "AVRO"])).await;
    let body = json!({"schema": "{\"type\": \"string\"}"});
    rig.check("POST /subjects/s/versions", Some(body.clone()), json!({"id": 1, "version": 1, "schema": "\"string\""}))
        .await;
    rig.check("POST /subjects/s/versions", Some(body.clone()), json!({"id": 1, "version": 1, "schema": "\"string\""}))
        .await;
    // The same schema has the same id under another subject.
    assert_eq!(rig.register("t%2Fu", "\"string\"").await, (200, json!(1)));
    assert_eq!(rig.register("t", "\"long\"").await, (200, json!(2)));
    rig.check("GET /subjects", None, json!(["s", "t", "t/u"])).await;
    rig.check("GET /subjects?subjectPrefix=t&offset=1&limit=5", None, json!(["t/u"])).await;
    rig.check("GET /schemas/ids/1", None, json!({"schema": "\"string\""})).await;
    rig.check("GET /schemas/ids/1?fetchMaxId=true", None, json!({"schema": "\"string\"", "maxId": 2})).await;
    rig.check("GET /schemas/ids/1/schema", None, json!("string")).await;
    rig.check("GET /schemas/ids/1/subjects", None, json!(["s", "t/u"])).await;
    let versions = json!([{"subject": "s", "version": 1}, {"subject": "t/u", "version": 1}]);
    rig.check("GET /schemas/ids/1/versions", None, versions).await;
    let version = json!({"subject": "s", "version": 1, "id": 1, "schema": "\"string\""});
    for name in ["1", "latest", "-1"] {
        rig.check(&format!("GET /subjects/s/versions/{name}"), None, version.clone()).await;
    }
    rig.check("GET /subjects/s/versions/1/schema", None, json!("string")).await;
    rig.check("GET /subjects/s/versions", None, json!([1])).await;
    rig.check("POST /subjects/s", Some(body.clone()), version.clone()).await;
    rig.check("POST /subjects/s?normalize=False&deleted=true", Some(body.clone()), version.clone()).await;
    rig.check("GET /schemas?subjectPrefix=s&latestOnly=true", None, json!([version])).await;

    rig.refused("GET /subjects/no/versions", None, 40401, "Subject 'no' not found.").await;
    rig.refused("POST /subjects/no", Some(body), 40401, "Subject 'no' not found.").await;
    rig.refused("GET /subjects/no/versions/1", None, 40401, "Subject 'no' not found.").await;
    rig.refused("GET /subjects/s/versions/9", None, 40402, "Version 9 not found.").await;
    rig.refused("GET /subjects/s/versions/0", None, 42202, "The specified version '0' is not a valid version id.")
        .await;
    rig.refused("GET /schemas/ids/99", None, 40403, "Schema 99 not found").await;
    rig.refused("POST /subjects/s", Some(json!({"schema": "\"int\""})), 40403, "Schema not found").await;
    rig.refused("POST /subjects/s/versions", Some(json!({"schema": "nonsense!"})), 42201, "Invalid schema nonsense!")
        .await;
    rig.refused("POST /subjects/s/versions", Some(json!({"schema": ""})), 42201, "Empty schema").await;
    let thrift = json!({"schema": "x", "schemaType": "THRIFT"});
    rig.refused("POST /subjects/s/versions", Some(thrift), 42201, "Invalid schema type THRIFT").await;
    rig.refused("POST /subjects/:.ctx:s/versions", Some(json!({"schema": "\"int\""})), 42208, ":.ctx:s").await;
    rig.refused("POST /subjects/s/versions", Some(json!([])), 422, "body").await;
    rig.refused("GET /nowhere", None, 404, "HTTP 404 Not Found").await;
    rig.refused("PATCH /subjects", None, 405, "HTTP 405").await;
    let large = json!({"schema": " ".repeat(65 * 1024)});
    rig.refused("POST /subjects/s/versions", Some(large), 413, "65536 bytes").await;
}

#[tokio::test]
async fn a_schema_must_be_compatible_at_the_level_that_holds() {
    let rig = Rig::new().await;
    rig.check("GET /config", None, json!({"compatibilityLevel": "BACKWARD"})).await;
    rig.refused("GET /config/s", None, 40408, "subject-level compatibility configured").await;
    rig.check("GET /config/s?defaultToGlobal=true", None, json!({"compatibilityLevel": "BACKWARD"})).await;
    assert_eq!(rig.register("s", &record(&["a"])).await, (200, json!(1)));
    assert_eq!(rig.register("s", &record(&["a", "b"])).await, (409, json!(409)));
    let body = json!({"schema": record(&["a", "b"])});
    rig.refused("POST /subjects/s/versions", Some(body.clone()), 409, "READER_FIELD_MISSING_DEFAULT_VALUE").await;
    let ask = "POST /compatibility/subjects/s/versions/latest";
    rig.check(ask, Some(body.clone()), json!({"is_compatible": false})).await;
    let (_, verbose) = rig.ask(&format!("{ask}?verbose=true"), Some(body.clone())).await;
    assert!(verbose["messages"][0].as_str().is_some_and(|message| message.contains("'b'")), "{verbose}");
    rig.check("POST /compatibility/subjects/s/versions", Some(body.clone()), json!({"is_compatible": false})).await;
    rig.check("POST /compatibility/subjects/new/versions/latest", Some(body.clone()), json!({"is_compatible": true}))
        .await;
    rig.refused("POST /compatibility/subjects/new/versions/1", Some(body.clone()), 40402, "Version 1 not found.").await;

    rig.check("PUT /config/s", Some(json!({"compatibility": "forward"})), json!({"compatibility": "forward"})).await;
    rig.check("GET /config/s", None, json!({"compatibilityLevel": "FORWARD"})).await;
    assert_eq!(rig.register("s", &record(&["a", "b"])).await, (200, json!(2)));
    rig.check("DELETE /config/s", None, json!({"compatibilityLevel": "FORWARD"})).await;
    rig.refused("DELETE /config/s", None, 40401, "Subject 's' not found.").await;
    rig.check("PUT /config", Some(json!({"compatibility": "NONE"})), json!({"compatibility": "NONE"})).await;
    assert_eq!(rig.register("s", "\"int\"").await, (200, json!(3)));
    rig.refused("PUT /config", Some(json!({"compatibility": "MAYBE"})), 42203, "full_transitive").await;
    rig.refused("PUT /config", Some(json!({"alias": "x"})), 422, "alias").await;
    rig.check("DELETE /config", None, json!({"compatibilityLevel": "NONE"})).await;
    rig.check("GET /config", None, json!({"compatibilityLevel": "BACKWARD"})).await;
}

#[tokio::test]
async fn deletion_is_soft_first_and_for_good_when_asked_again() {
    let rig = Rig::new().await;
    rig.register("s", &record(&["a", "b"])).await;
    rig.register("s", &record(&["a"])).await;
    rig.refused("DELETE /subjects/s/versions/1?permanent=true", None, 40407, "was not deleted first").await;
    rig.check("DELETE /subjects/s/versions/1", None, json!(1)).await;
    rig.refused("DELETE /subjects/s/versions/1", None, 40406, "was soft deleted").await;
    rig.check("GET /subjects/s/versions", None, json!([2])).await;
    rig.check("GET /subjects/s/versions?deleted=true", None, json!([1, 2])).await;
    rig.check("GET /subjects/s/versions?deletedOnly=true", None, json!([1])).await;
    rig.refused("GET /subjects/s/versions/1", None, 40402, "Version 1 not found.").await;
    let (status, deleted) = rig.ask("GET /subjects/s/versions/1?deleted=true", None).await;
    assert_eq!((status, &deleted["deleted"]), (200, &json!(true)));
    // What was written under it can still be read.
    assert_eq!(rig.ask("GET /schemas/ids/1", None).await.0, 200);
    rig.check("GET /schemas/ids/1/subjects", None, json!([])).await;
    // Registered again it is a new version with the old id.
    rig.check("PUT /config/s", Some(json!({"compatibility": "NONE"})), json!({"compatibility": "NONE"})).await;
    assert_eq!(rig.register("s", &record(&["a", "b"])).await, (200, json!(1)));
    rig.check("GET /subjects/s/versions", None, json!([2, 3])).await;

    rig.refused("DELETE /subjects/s?permanent=true", None, 40405, "was not deleted first").await;
    rig.check("DELETE /subjects/s", None, json!([2, 3])).await;
    rig.refused("DELETE /subjects/s", None, 40404, "was soft deleted").await;
    rig.refused("GET /config/s", None, 40408, "s").await;
    rig.check("GET /subjects", None, json!([])).await;
    rig.check("GET /subjects?deleted=true", None, json!(["s"])).await;
    rig.check("DELETE /subjects/s?permanent=true", None, json!([1, 2, 3])).await;
    rig.refused("DELETE /subjects/s", None, 40401, "Subject 's' not found.").await;
    rig.refused("GET /schemas/ids/1", None, 40403, "Schema 1 not found").await;
    // Ids are never used again, versions begin anew.
    assert_eq!(rig.register("s", "\"int\"").await, (200, json!(3)));
    rig.check("GET /subjects/s/versions", None, json!([1])).await;
}

#[tokio::test]
async fn references_lead_to_schemas_and_keep_them() {
    let rig = Rig::new().await;
    rig.register("inner", &record(&["a"])).await;
    let outer = json!({
        "schema": r#"{"type":"record","name":"O","fields":[{"name":"r","type":"R"}]}"#,
        "references": [{"name": "R", "subject": "inner", "version": -1}],
    });
    let (status, answer) = rig.ask("POST /subjects/outer/versions", Some(outer.clone())).await;
    let references = json!([{"name": "R", "subject": "inner", "version": 1}]);
    assert_eq!((status, &answer["references"]), (200, &references));
    rig.check("GET /subjects/inner/versions/1/referencedby", None, json!([2])).await;
    assert_eq!(rig.ask("GET /schemas/ids/2", None).await.1["references"], references);
    rig.refused("DELETE /subjects/inner", None, 42206, "subject=inner,version=1").await;
    rig.refused("DELETE /subjects/inner/versions/1", None, 42206, "subject=inner,version=1").await;
    let nowhere = json!({"schema": outer["schema"], "references": [{"name": "R", "subject": "no", "version": 1}]});
    rig.refused("POST /subjects/x/versions", Some(nowhere), 42201, "No schema reference found for subject \"no\"")
        .await;
    rig.check("DELETE /subjects/outer", None, json!([1])).await;
    rig.check("DELETE /subjects/inner", None, json!([1])).await;
}

#[tokio::test]
async fn json_schemas_are_a_language_of_their_own() {
    let rig = Rig::new().await;
    let of = |schema: &Value| json!({"schemaType": "JSON", "schema": schema.to_string()});
    let object = |properties: Value| json!({"type": "object", "properties": properties, "additionalProperties": false});
    let spread = json!({"schemaType": "JSON", "schema": "{ \"type\" : \"object\",\n \"title\": \"Order\" }"});
    let kept = json!({"id": 1, "version": 1, "schemaType": "JSON", "schema": r#"{"type":"object","title":"Order"}"#});
    rig.check("POST /subjects/spread/versions", Some(spread.clone()), kept).await;
    let reordered = of(&json!({"title": "Order", "type": "object"}));
    rig.refused("POST /subjects/spread", Some(reordered.clone()), 40403, "Schema not found").await;
    assert_eq!(rig.ask("POST /subjects/spread?normalize=true", Some(reordered)).await.1["id"], 1);
    // The same text in another language is another schema, and may not follow.
    rig.refused("POST /subjects/spread", Some(json!({"schema": "\"int\""})), 40403, "Schema not found").await;
    rig.refused("POST /subjects/spread/versions", Some(json!({"schema": "\"int\""})), 409, "different schema type")
        .await;

    let first = of(&object(json!({"a": {"type": "integer"}, "b": {"type": "string"}})));
    rig.ask("POST /subjects/s/versions", Some(first)).await;
    let wider = of(&object(json!({"a": {"type": "number"}, "b": {"type": "string"}, "c": {}})));
    assert_eq!(rig.ask("POST /subjects/s/versions", Some(wider)).await.1["version"], 2);
    let narrower = of(&object(json!({"a": {"type": "number"}, "c": {}})));
    rig.refused("POST /subjects/s/versions", Some(narrower.clone()), 409, "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL")
        .await;
    rig.check("PUT /config/s", Some(json!({"compatibility": "FORWARD"})), json!({"compatibility": "FORWARD"})).await;
    assert_eq!(rig.ask("POST /subjects/s/versions", Some(narrower)).await.1["version"], 3);

    let reference = json!([{"name": "https://shop.example/order.json", "subject": "spread", "version": 1}]);
    let text = json!({"type": "array", "items": {"$ref": "https://shop.example/order.json"}}).to_string();
    let outer = json!({"schemaType": "JSON", "schema": text, "references": reference});
    assert_eq!(rig.ask("POST /subjects/outer/versions", Some(outer)).await.1["references"], reference);
    for (schema, said) in [
        (r#"{"type":"text"}"#, "#/type: no type is named"),
        (r#"{"items":{"$ref":"order.json"}}"#, "#/items/$ref: order.json leads nowhere"),
        ("3", "of type JSON"),
        ("{", "not JSON"),
    ] {
        let body = json!({"schemaType": "JSON", "schema": schema});
        rig.refused("POST /subjects/x/versions", Some(body), 42201, said).await;
    }
    let rig = rig.restarted().await;
    assert_eq!(rig.ask("GET /schemas/ids/1", None).await.1["schemaType"], "JSON");
}

#[tokio::test]
async fn protobuf_is_a_language_of_its_own() {
    let rig = Rig::new().await;
    let of = |text: &str| json!({"schemaType": "PROTOBUF", "schema": text});
    let line = "syntax = \"proto3\";\npackage shop;\n\nmessage Line {\n  int32 count = 1;\n}\n";
    let kept = json!({"id": 1, "version": 1, "schemaType": "PROTOBUF", "schema": line});
    let spread = "syntax=\"proto3\"; package shop; /* one */ message Line { int32 count = 1; }";
    rig.check("POST /subjects/shop%2Fline.proto/versions", Some(of(spread)), kept).await;

    let reference = json!([{"name": "shop/line.proto", "subject": "shop/line.proto", "version": 1}]);
    let order = |fields: &str| {
        let text = format!("syntax = \"proto3\"; import \"shop/line.proto\"; message Order {{ {fields} }}");
        json!({"schemaType": "PROTOBUF", "schema": text, "references": reference})
    };
    let first = order("repeated shop.Line lines = 2; int32 id = 1;");
    assert_eq!(rig.ask("POST /subjects/s/versions", Some(first.clone())).await.1["references"], reference);
    rig.check("GET /subjects/shop%2Fline.proto/versions/1/referencedby", None, json!([2])).await;
    // In another order, and with the name in full.
    let reordered = order("int32 id = 1; repeated .shop.Line lines = 2;");
    rig.refused("POST /subjects/s", Some(reordered.clone()), 40403, "Schema not found").await;
    assert_eq!(rig.ask("POST /subjects/s?normalize=true", Some(reordered)).await.1["id"], 2);
    assert_eq!(
        rig.ask("POST /subjects/s/versions", Some(order("string note = 3; int64 id = 1;"))).await.1["version"],
        2
    );
    let other = order("string id = 1;");
    rig.refused("POST /subjects/s/versions", Some(other.clone()), 409, "FIELD_SCALAR_KIND_CHANGED").await;
    rig.refused("POST /subjects/s/versions", Some(other), 409, "at path '#/Order/1'").await;

    // Clients may send a file serialized, and ask for it so.
    let serialized = rig.ask("GET /schemas/ids/2?format=serialized", None).await.1["schema"].clone();
    let sent = json!({"schemaType": "PROTOBUF", "schema": serialized, "references": reference});
    assert_eq!(rig.ask("POST /subjects/s?normalize=true", Some(sent.clone())).await.1["id"], 2);
    let answer = rig.ask("POST /subjects/other/versions", Some(sent)).await.1;
    assert_eq!((&answer["schema"], &answer["references"]), (&serialized, &reference));
    assert_eq!(rig.ask("GET /subjects/s/versions/1?format=serialized", None).await.1["schema"], serialized);
    for (schema, said) in [
        ("syntax = \"proto3\";\nmessage M {", "of type PROTOBUF, details: "),
        ("syntax = \"proto3\";\nmessage M { int32 0 = 1; }", "line 2, column 19"),
        ("syntax = \"proto3\"; message M { shop.Line line = 1; }", "name 'shop.Line' is not defined"),
        ("\"string\"", "line 1, column 1"),
    ] {
        rig.refused("POST /subjects/x/versions", Some(of(schema)), 42201, said).await;
    }
    let rig = rig.restarted().await;
    assert_eq!(rig.ask("GET /schemas/ids/1", None).await.1["schemaType"], "PROTOBUF");
}

#[tokio::test]
async fn modes_say_what_may_be_done() {
    let rig = Rig::new().await;
    rig.check("GET /mode", None, json!({"mode": "READWRITE"})).await;
    rig.refused("GET /mode/s", None, 40409, "subject-level mode configured").await;
    let set = |mode: &str| Some(json!({ "mode": mode }));
    rig.check("PUT /mode/s", set("READONLY"), json!({"mode": "READONLY"})).await;
    assert_eq!(rig.register("s", "\"int\"").await, (422, json!(42205)));
    rig.refused("PUT /config/s", Some(json!({"compatibility": "NONE"})), 42205, "read-only").await;
    rig.check("GET /mode/s", None, json!({"mode": "READONLY"})).await;
    rig.check("DELETE /mode/s", None, json!({"mode": "READONLY"})).await;
    rig.refused("PUT /mode", set("SOMETIMES"), 42204, "READWRITE").await;
    let import = json!({"schema": "\"int\"", "id": 100, "version": 5});
    rig.refused("POST /subjects/s/versions", Some(import.clone()), 42205, "not in import mode").await;
    rig.check("PUT /mode/s", set("IMPORT"), json!({"mode": "IMPORT"})).await;
    assert_eq!(rig.register("s", "\"int\"").await, (422, json!(42205)));
    let (status, answer) = rig.ask("POST /subjects/s/versions", Some(import)).await;
    assert_eq!((status, &answer["id"], &answer["version"]), (200, &json!(100), &json!(5)));
    let taken = json!({"schema": "\"long\"", "id": 100, "version": 6});
    rig.refused("POST /subjects/s/versions", Some(taken), 42205, "id 100").await;
    rig.check("PUT /mode/s", set("READWRITE"), json!({"mode": "READWRITE"})).await;
    assert_eq!(rig.register("s", "\"long\"").await, (200, json!(101)));
    rig.refused("PUT /mode", set("IMPORT"), 42205, "existing subjects").await;
    rig.check("PUT /mode?force=true", set("IMPORT"), json!({"mode": "IMPORT"})).await;
}

#[tokio::test]
async fn the_normal_form_finds_what_differs_in_order_alone() {
    let rig = Rig::new().await;
    let written = r#"{"type":"record","name":"R","b":1,"a":2,"fields":[]}"#;
    let reordered = json!({"schema": r#"{"name":"R","a":2,"b":1,"type":"record","fields":[]}"#});
    rig.register("s", written).await;
    rig.refused("POST /subjects/s", Some(reordered.clone()), 40403, "Schema not found").await;
    assert_eq!(rig.ask("POST /subjects/s?normalize=true", Some(reordered.clone())).await.1["id"], 1);
    let on = json!({"normalize": true});
    rig.check("PUT /config/t", Some(on.clone()), on).await;
    rig.register("t", written).await;
    assert_eq!(rig.ask("POST /subjects/t/versions", Some(reordered)).await.1["version"], 1);
}

#[tokio::test]
async fn all_of_it_is_there_after_a_restart() {
    let rig = Rig::new().await;
    rig.register("gone", "\"int\"").await;
    rig.register("soft", "\"string\"").await;
    rig.register("s", &record(&["a"])).await;
    rig.ask("PUT /config/s", Some(json!({"compatibility": "FULL"}))).await;
    rig.ask("PUT /mode/t", Some(json!({"mode": "READONLY"}))).await;
    rig.ask("DELETE /subjects/gone", None).await;
    rig.ask("DELETE /subjects/gone?permanent=true", None).await;
    rig.ask("DELETE /subjects/soft", None).await;
    let rig = rig.restarted().await;
    rig.check("GET /subjects", None, json!(["s"])).await;
    rig.check("GET /subjects?deleted=true", None, json!(["s", "soft"])).await;
    rig.check("GET /config/s", None, json!({"compatibilityLevel": "FULL"})).await;
    rig.check("GET /mode/t", None, json!({"mode": "READONLY"})).await;
    rig.check("GET /schemas/ids/3", None, json!({"schema": record(&["a"])})).await;
    rig.refused("GET /schemas/ids/1", None, 40403, "Schema 1 not found").await;
    assert_eq!(rig.register("u", "\"double\"").await, (200, json!(4)));
}

#[tokio::test]
async fn off_loopback_it_is_asked_who_comes_and_what_for() {
    let exposed = Config { listen: "0.0.0.0:0".into(), ..Config::default() };
    assert!(matches!(Server::bind(exposed.clone()).await.err(), Some(Error::TokenMissing { .. })));
    let (token, read_token) = (Some(Secret::new("s3cret")), Some(Secret::new("look")));
    let access = Access { token, read_token, users: None };
    assert!(Server::bind(Config { access: access.clone(), ..exposed }).await.is_ok());
    let rig = Rig::new().await;
    let door = Door::new(([0, 0, 0, 0], 8081).into(), access);
    let routes = guarded(rig.routes.clone(), rig.registry.clone(), door);
    let ask = async |line: &str, given: Option<&str>| {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let request = Request::builder().method(method).uri(path);
        let request = given.into_iter().fold(request, |request, given| request.header("authorization", given));
        let body = json!({"schema": "\"string\""}).to_string();
        answer(&routes, request.body(body.into()).expect("a request")).await
    };
    assert_eq!(ask("GET /subjects", None).await.1["error_code"], 401);
    assert_eq!(ask("GET /subjects", Some("Bearer s3cret")).await.0, 200);
    let counted = rig.registry.metrics();
    assert_eq!((counted.requests_total, counted.requests_refused_total), (2, 1));
    let looks = Some("Bearer look");
    assert_eq!(ask("POST /subjects/s/versions", looks).await.1["error_code"], 403);
    assert_eq!(ask("POST /subjects/s/versions", Some("Bearer s3cret")).await.0, 200);
    assert_eq!(ask("GET /subjects/s/versions", looks).await, (200, json!([1])));
    assert_eq!(ask("POST /subjects/s", looks).await.1["version"], 1);
    assert_eq!(ask("POST /compatibility/subjects/s/versions", looks).await.1["is_compatible"], true);
    for line in ["DELETE /subjects/s", "DELETE /subjects/s/versions/1", "PUT /config", "DELETE /mode/s"] {
        assert_eq!(ask(line, looks).await.1["error_code"], 403, "{line}");
    }
}
